//! Many users who stay connected as good clients do: whoever is sent away comes
//! back to another gateway, as late as it is told to, and resumes where it was.
//! In every room one of them sends. All sessions are kept, for the checker.
//!
//! ```no_run
//! # async fn example(system: &testkit::cluster::System) -> anyhow::Result<()> {
//! let crowd = testkit::crowd::Crowd::start(system, Default::default()).await?;
//! crowd.answered(100).await?;
//! system.gateway(0).restart().await?;
//! let account = crowd.finish(system).await?;
//! account.report.assert_kept();
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt, stream};
use proto::Seq;
use proto::v1::server_frame::Body;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::checker::{History, Report, check, read_room};
use crate::client::Transcript;
use crate::cluster::System;
use crate::wait::try_eventually;

mod user;

use user::User;

/// How many connect, or open a room, at once: a crowd does not arrive as a storm.
const AT_ONCE: usize = 50;
/// Until everybody is there, or has heard everything: much more than it takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many, and how busy.
#[derive(Debug, Clone)]
pub struct CrowdOptions {
    /// All users; each has one connection.
    pub users: usize,
    /// Users in each room. The first of them sends.
    pub room_size: usize,
    /// Between two messages of one room.
    pub pace: Duration,
}

impl Default for CrowdOptions {
    fn default() -> Self {
        Self { users: 500, room_size: 20, pace: Duration::from_millis(500) }
    }
}

/// A user who lost a connection and has another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Return {
    /// Who.
    pub user: String,
    /// The gateway that was left, by number.
    pub from: usize,
    /// The gateway that took the user.
    pub to: usize,
    /// The close code; `None`: without a close frame.
    pub code: Option<u16>,
    /// When the connection ended.
    pub left: Duration,
    /// After which time the gateway said to come back.
    pub told: Duration,
    /// When the room was joined again.
    pub back: Duration,
}

/// What a run came to.
pub struct Account {
    /// What the checker says of all that was sent, heard and stored.
    pub report: Report,
    /// Every connection that was lost and replaced.
    pub returns: Vec<Return>,
    /// Users who were shown as offline, and when. Nobody was offline for longer
    /// than it took to come back.
    pub shown_offline: Vec<(Duration, String)>,
}

/// Users who are connected, and talk until they are told to finish.
pub struct Crowd {
    shared: Arc<Shared>,
    /// With its sender.
    rooms: Vec<(String, String)>,
    lives: JoinSet<anyhow::Result<Life>>,
}

/// A user's connections, in order.
struct Life {
    user: String,
    sessions: Vec<Transcript>,
}

/// What all users know.
struct Shared {
    gateways: Vec<String>,
    pace: Duration,
    doors: Semaphore,
    phase: watch::Sender<Phase>,
    connected: AtomicUsize,
    /// Senders with something on the way.
    busy: AtomicUsize,
    answered: AtomicUsize,
    returns: Mutex<Vec<Return>>,
    /// What nobody should have been answered with.
    failure: Mutex<Option<String>>,
}

/// What there is to do.
#[derive(Debug, Clone)]
enum Phase {
    Talk,
    /// Finish what was begun.
    Quiet,
    /// Leave, once everything up to these heads was heard.
    Leave(Arc<BTreeMap<String, Seq>>),
}

impl Crowd {
    /// Opens the rooms and connects everybody, spread over all gateways.
    pub async fn start(system: &System, options: CrowdOptions) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            gateways: system.gateway_urls(),
            pace: options.pace,
            doors: Semaphore::new(AT_ONCE),
            phase: watch::Sender::new(Phase::Talk),
            connected: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
            returns: Mutex::default(),
            failure: Mutex::default(),
        });
        let names: Vec<_> = (0..options.users).map(|number| format!("user-{number}")).collect();
        let opened = names.chunks(options.room_size).enumerate().map(async |(number, members)| {
            let others: Vec<_> = members[1..].iter().map(String::as_str).collect();
            let rest = system.rest(number, &members[0]);
            Ok::<_, anyhow::Error>((rest.create_group("Crowd", &others).await?, members))
        });
        let opened: Vec<_> = stream::iter(opened).buffered(AT_ONCE).try_collect().await?;

        let mut crowd = Self { shared: shared.clone(), rooms: Vec::new(), lives: JoinSet::new() };
        let mut number = 0;
        for (room, members) in opened {
            for (seat, name) in members.iter().enumerate() {
                let token = system.token(name);
                let user = User::new(shared.clone(), name, token, &room, number, seat == 0);
                crowd.lives.spawn(user.live());
                number += 1;
            }
            crowd.rooms.push((room, members[0].clone()));
        }
        crowd
            .wait_for("everybody to be connected", |shared| {
                shared.connected.load(Ordering::Relaxed) == options.users
            })
            .await?;
        Ok(crowd)
    }

    /// How many have a connection and a room now.
    pub fn connected(&self) -> usize {
        self.shared.connected.load(Ordering::Relaxed)
    }

    /// Waits until this many more sends are answered.
    pub async fn answered(&self, more: usize) -> anyhow::Result<()> {
        let before = self.shared.answered.load(Ordering::Relaxed);
        let what = format!("{more} more answers");
        self.wait_for(&what, |shared| shared.answered.load(Ordering::Relaxed) >= before + more).await
    }

    /// Lets everybody finish and hear the last message, and checks it all.
    pub async fn finish(mut self, system: &System) -> anyhow::Result<Account> {
        let users = self.lives.len();
        self.shared.phase.send_replace(Phase::Quiet);
        self.wait_for("the last answers", |shared| shared.busy.load(Ordering::SeqCst) == 0).await?;
        self.wait_for("everybody to be back", |shared| shared.connected.load(Ordering::Relaxed) == users)
            .await?;
        let mut history = History::default();
        let readers = self.rooms.iter().map(async |(room, sender)| {
            let client = system.client(0, sender).await.context("connect to read a room")?;
            let state = read_room(&client, room).await?;
            Ok::<_, anyhow::Error>((room.clone(), sender, state, client.transcript()))
        });
        let mut heads = BTreeMap::new();
        for (room, sender, state, transcript) in try_join_all(readers).await? {
            heads.insert(room.clone(), state.head);
            history.rooms.insert(room, state);
            history.add_life(sender, [&transcript]);
        }
        self.shared.phase.send_replace(Phase::Leave(Arc::new(heads)));
        let mut shown_offline = Vec::new();
        while let Some(life) = self.lives.join_next().await {
            let Life { user, sessions } = life.context("a user's task")??;
            shown_offline.extend(sessions.iter().flat_map(offline));
            history.add_life(&user, &sessions);
        }
        let returns = std::mem::take(&mut *self.shared.returns());
        Ok(Account { report: check(&history), returns, shown_offline })
    }

    async fn wait_for(&self, what: &str, is_so: impl Fn(&Shared) -> bool) -> anyhow::Result<()> {
        let looked = try_eventually(what, PATIENCE, async || match self.shared.failure() {
            Some(failure) => Some(Err(anyhow::anyhow!(failure))),
            None => is_so(&self.shared).then_some(Ok(())),
        });
        looked.await?.with_context(|| format!("waiting for {what}"))
    }
}

impl Shared {
    fn returns(&self) -> MutexGuard<'_, Vec<Return>> {
        self.returns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first one is kept.
    fn fail(&self, failure: &anyhow::Error) {
        let mut slot = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_insert_with(|| format!("{failure:#}"));
    }
}

/// Who was shown as offline, and when.
fn offline(transcript: &Transcript) -> Vec<(Duration, String)> {
    let mut shown = Vec::new();
    for (at, entry) in transcript.entries() {
        if let Some(Body::Presence(presence)) = entry.event().and_then(|frame| frame.body.as_ref()) {
            let offline = presence.users.iter().filter(|user| user.status == "offline");
            shown.extend(offline.map(|user| (*at, user.user.clone())));
        }
    }
    shown
}
