//! One user of a crowd: connects, hears its room, perhaps sends, and comes back.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{bail, ensure};
use proto::v1;
use proto::{CloseCode, Cursor, Encoding, Seq};
use tokio::sync::watch;

use super::{Life, PATIENCE, Phase, Return, Shared};
use crate::client::{Client, Closed, ConnectError, ConnectOptions, DISCONNECTED, Transcript, now};

/// Before trying again what was refused for now.
const PAUSE: Duration = Duration::from_millis(50);
/// Every so many-th message is edited.
const EDITED: usize = 5;

pub(super) struct User {
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
    name: String,
    token: String,
    room: String,
    encoding: Encoding,
    /// Where it is, or was last.
    gateway: usize,
    /// Cursors of its own feed and of its room.
    own: String,
    since: String,
    sends: bool,
    sent: usize,
    /// A message without an answer.
    on_the_way: Option<String>,
    sessions: Vec<Transcript>,
}

/// Why a connection is over.
enum Over {
    Closed(Closed),
    /// Everything was heard.
    Done,
}

impl User {
    pub fn new(
        shared: Arc<Shared>,
        name: &str,
        token: String,
        room: &str,
        number: usize,
        sends: bool,
    ) -> Self {
        Self {
            phase: shared.phase.subscribe(),
            gateway: number % shared.gateways.len(),
            encoding: Encoding::ALL[number % Encoding::ALL.len()],
            shared,
            name: name.to_owned(),
            token,
            room: room.to_owned(),
            own: String::new(),
            since: String::new(),
            sends,
            sent: 0,
            on_the_way: None,
            sessions: Vec::new(),
        }
    }

    /// From the first connection until the crowd leaves.
    pub async fn live(mut self) -> anyhow::Result<Life> {
        let lived = self.sessions().await;
        if let Err(failure) = &lived {
            self.shared.fail(failure);
        }
        lived.map(|()| Life { user: self.name, sessions: self.sessions })
    }

    async fn sessions(&mut self) -> anyhow::Result<()> {
        let mut lost = None;
        loop {
            let client = self.connect(lost.is_some()).await?;
            let over = match self.join(&client).await? {
                Some(closed) => Over::Closed(closed),
                None => {
                    self.back(&mut lost);
                    self.shared.connected.fetch_add(1, Ordering::Relaxed);
                    let over = self.stay(&client).await?;
                    self.shared.connected.fetch_sub(1, Ordering::Relaxed);
                    over
                }
            };
            self.own = client.cursor("");
            let since = client.cursor(&self.room);
            if !since.is_empty() {
                self.since = since;
            }
            self.sessions.push(client.transcript());
            match over {
                Over::Done => return Ok(()),
                Over::Closed(closed) => {
                    let told = told(&closed);
                    let left = now();
                    // Whoever is turned away while coming back has been away since the first time.
                    let first = lost.take().unwrap_or_else(|| Return {
                        user: self.name.clone(),
                        from: self.gateway,
                        to: self.gateway,
                        code: closed.code,
                        left,
                        told,
                        back: left,
                    });
                    lost = Some(first);
                    if !closed.resumes() {
                        bail!("{} is told not to come back: {closed:?}", self.name);
                    }
                    tokio::time::sleep(told).await;
                }
            }
        }
    }

    /// Notes that a lost connection is replaced.
    fn back(&self, lost: &mut Option<Return>) {
        if let Some(lost) = lost.take() {
            self.shared.returns().push(Return { to: self.gateway, back: now(), ..lost });
        }
    }

    /// Connects to the gateway it is meant for; one that has `left` another one,
    /// or finds nobody, tries the others.
    async fn connect(&mut self, left: bool) -> anyhow::Result<Client> {
        let _door = self.shared.doors.acquire().await?;
        let mut elsewhere = left;
        loop {
            if elsewhere {
                self.gateway = self.another();
            }
            let options = ConnectOptions { since: self.own.clone(), ..ConnectOptions::new(self.encoding) };
            let url = &self.shared.gateways[self.gateway];
            match Client::connect_with(url, &self.token, options).await {
                Ok(client) => return Ok(client),
                Err(ConnectError::Refused(error)) if !error.retryable => {
                    bail!("{} is refused: {}: {}", self.name, error.code, error.message)
                }
                Err(ConnectError::Status(status)) if status != 503 => {
                    bail!("{} is answered with status {status}", self.name)
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
            elsewhere = true;
        }
    }

    /// Any gateway but the one where it was.
    fn another(&self) -> usize {
        let count = self.shared.gateways.len();
        let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
        match count {
            1 => 0,
            _ => (self.gateway + 1 + (random % (count as u64 - 1)) as usize) % count,
        }
    }

    /// Joins from where it was, page by page; `Some`: the connection ended first.
    async fn join(&mut self, client: &Client) -> anyhow::Result<Option<Closed>> {
        loop {
            match client.join_since(&self.room, &self.since).await {
                Ok(joined) if joined.reset => bail!("{}: {} is unknown", self.name, self.since),
                Ok(joined) => {
                    self.since = joined.cursor;
                    if !joined.more {
                        return Ok(None);
                    }
                }
                Err(error) => {
                    if let Some(closed) = self.retry(client, "join", &error).await? {
                        return Ok(Some(closed));
                    }
                }
            }
        }
    }

    /// Waits before another try; `Some`: there is no connection to try it on.
    async fn retry(&self, client: &Client, what: &str, error: &v1::Error) -> anyhow::Result<Option<Closed>> {
        if !error.retryable {
            bail!("{} may not {what}: {}: {}", self.name, error.code, error.message);
        }
        if error.code == DISCONNECTED && client.end().is_none() {
            bail!("{} gets no answer: {what}: {}", self.name, error.message);
        }
        if client.end().is_none() {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(client.end())
    }

    /// Until the connection ends, or the crowd leaves.
    async fn stay(&mut self, client: &Client) -> anyhow::Result<Over> {
        let mut phase = self.phase.clone();
        let room = self.room.clone();
        let leaves = async {
            let phase = phase.wait_for(|phase| matches!(phase, Phase::Leave(_))).await?.clone();
            let Phase::Leave(heads) = phase else { unreachable!("it was waited for") };
            hears(client, &room, &heads).await
        };
        let talks = async {
            if self.sends {
                self.talk(client).await?;
            }
            std::future::pending::<anyhow::Result<()>>().await
        };
        let (leaves, talks) = (pin!(leaves), pin!(talks));
        tokio::select! {
            closed = client.closed() => Ok(Over::Closed(closed)),
            heard = leaves => heard.map(|()| Over::Done),
            failed = talks => failed.map(|()| Over::Done),
        }
    }

    /// Sends one message after the other; one without an answer first, with the
    /// same key. Ends with the connection, or when it is time to be quiet.
    async fn talk(&mut self, client: &Client) -> anyhow::Result<()> {
        let mut pace = tokio::time::interval(self.shared.pace);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if self.on_the_way.is_none() {
                pace.tick().await;
                // Counted before the look: whoever waits for quiet misses nobody.
                self.shared.busy.fetch_add(1, Ordering::SeqCst);
                if !matches!(*self.phase.borrow(), Phase::Talk) {
                    self.shared.busy.fetch_sub(1, Ordering::SeqCst);
                    return Ok(());
                }
                self.sent += 1;
                self.on_the_way = Some(format!("{} says {}", self.name, self.sent));
            }
            let text = self.on_the_way.clone().expect("it was set above");
            match client.send_with_key(&self.room, &text, &text).await {
                Ok(sent) => {
                    if self.sent.is_multiple_of(EDITED) {
                        // Not repeated: an edit without an answer may or may not be there.
                        let edited = client.edit(&self.room, &sent.message, &format!("{text}, or so")).await;
                        if let Err(error) = edited.as_ref()
                            && !error.retryable
                        {
                            bail!("{} may not edit: {}: {}", self.name, error.code, error.message);
                        }
                    }
                    self.on_the_way = None;
                    self.shared.busy.fetch_sub(1, Ordering::SeqCst);
                    self.shared.answered.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    if self.retry(client, "send", &error).await?.is_some() {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// Waits until the client has heard the room up to its head.
async fn hears(client: &Client, room: &str, heads: &BTreeMap<String, Seq>) -> anyhow::Result<()> {
    let head = heads.get(room).copied().unwrap_or_default();
    let heard = || client.cursor(room).parse::<Cursor>().map_or(0, |cursor| cursor.seq);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while heard() < head {
        ensure!(tokio::time::Instant::now() < deadline, "{room}: heard {} of {head}", heard());
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// After which time a closed connection is to be replaced.
fn told(closed: &Closed) -> Duration {
    let drained = closed.close_code() == Some(CloseCode::Drain);
    let delay = closed.reason.strip_prefix("drain ").filter(|_| drained);
    let delay = delay.and_then(|delay| delay.parse().ok());
    delay.map_or(PAUSE, Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drained_client_comes_back_when_it_is_told_to() {
        let closed =
            |code: CloseCode, reason: &str| Closed { code: Some(code.number()), reason: reason.to_owned() };
        assert_eq!(told(&closed(CloseCode::Drain, "drain 57")), Duration::from_millis(57));
        assert_eq!(told(&closed(CloseCode::Drain, "")), PAUSE);
        assert_eq!(told(&closed(CloseCode::Resync, "drain 57")), PAUSE);
        assert_eq!(told(&Closed { code: None, reason: String::new() }), PAUSE);
    }
}
