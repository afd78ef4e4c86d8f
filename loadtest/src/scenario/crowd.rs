//! Connections that only hear, each of a user of its own, and that come back
//! when they are lost. What is said to them comes from one more member of each
//! room, over REST.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::chance::{chance, pause};
use super::pace::Opening;
use crate::check::{self, Fault, Heard};
use crate::clock;
use crate::part::Micros;
use crate::plan::{self, Plan};
use crate::report::Violations;
use crate::rooms::{self, Room};
use crate::stage::Stage;
use crate::timeline;
use crate::wire::{self, Delivery, ENDED, Entered, Reader, Received, Visit, Wire, Writer};

/// Rooms spoken to at once.
const SPEAK_AT_ONCE: usize = 16;
/// One attempt to connect, or to send, may take this long.
const ATTEMPT: Duration = Duration::from_secs(30);
/// Attempts to send.
const MAX_SENDS: u32 = 60;

/// What all of them write down.
pub struct Board {
    /// By room and client.
    heard: Vec<Vec<Heard>>,
    /// Who has come, by room and client.
    there: Vec<Vec<bool>>,
    /// Who comes for the first time and is not in its room yet.
    coming: usize,
    /// Who is in their room now.
    pub connected: usize,
    /// When the first was lost, or let go again.
    pub from: Option<u64>,
    /// When the last one came back.
    pub last_back: u64,
    /// When somebody was last lost, came back or heard something.
    pub last_event: u64,
    /// Connections lost.
    pub lost: u64,
    /// Of them, by the server's end.
    pub closed: u64,
    /// Attempts to come back that failed.
    pub failed_attempts: u64,
    /// Messages of a room that let a client be caught up; `None`: nobody looks.
    pub due: Option<u64>,
    /// Clients that were lost and have heard what was due.
    pub caught_up: u64,
    /// When the last of them had.
    pub last_caught_up: u64,
    /// From an attempt's begin to being authenticated, at first.
    pub authenticated: Micros,
    /// From an attempt's begin to being in the room, at first.
    pub joined: Micros,
    /// From the loss, or from being let go, to being back.
    pub back: Micros,
    /// What was wrong.
    pub violations: Violations,
}

impl Board {
    /// Deliveries that did not come to those who are there, of so many messages
    /// to each room.
    pub fn missed(&self, messages: u64) -> u64 {
        let there = self.heard.iter().flatten().zip(self.there.iter().flatten());
        there.filter(|(_, there)| **there).map(|(heard, _)| messages.saturating_sub(heard.count)).sum()
    }

    fn lose(&mut self) {
        let now = clock::now();
        self.connected -= 1;
        self.lost += 1;
        self.from.get_or_insert(now);
        self.last_event = now;
    }
}

/// What its clients are to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Stay, or come back.
    Here,
    /// Hang up and wait.
    Away,
}

struct Shared {
    wire: Wire,
    targets: Vec<String>,
    rooms: Vec<Room>,
    board: RefCell<Board>,
    phase: watch::Sender<Phase>,
    /// Who comes for the first time comes through here.
    gate: Semaphore,
    opening: Opening,
    spread: Duration,
    stage: Stage,
}

/// A crowd of connections.
pub struct Crowd {
    shared: Rc<Shared>,
    /// Of each room's speaker.
    speakers: Vec<String>,
    http: reqwest::Client,
    /// Messages sent to each room so far.
    pub sent: u64,
    /// How many there are.
    pub connections: usize,
    /// Signed before anything is measured; by room and client.
    tokens: Vec<Vec<String>>,
    clients: JoinSet<()>,
}

impl Crowd {
    /// Makes the users and rooms; nobody is connected yet.
    pub async fn gather(plan: &Plan, crowd: &plan::Crowd, spread: Duration) -> anyhow::Result<Self> {
        let sizes = crowd.sizes();
        timeline::say(format_args!("creating {} rooms", sizes.len()));
        let with_speaker: Vec<_> = sizes.iter().map(|size| size + 1).collect();
        let rooms = rooms::create(plan, &with_speaker, false).await?;
        let sign = |user: &String| rooms::token(plan, user);
        let speakers = rooms.iter().map(|room| sign(&room.members[0])).collect::<Result<_, _>>()?;
        let tokens = rooms
            .iter()
            .map(|room| room.members[1..].iter().map(sign).collect())
            .collect::<Result<_, _>>()?;
        let board = Board {
            heard: sizes.iter().map(|size| (0..*size).map(|_| Heard::default()).collect()).collect(),
            there: sizes.iter().map(|size| vec![false; *size]).collect(),
            coming: 0,
            connected: 0,
            from: None,
            last_back: 0,
            last_event: 0,
            lost: 0,
            closed: 0,
            failed_attempts: 0,
            due: None,
            caught_up: 0,
            last_caught_up: 0,
            authenticated: Micros::default(),
            joined: Micros::default(),
            back: Micros::default(),
            violations: Violations::default(),
        };
        let shared = Shared {
            wire: plan.wire,
            targets: plan.targets.clone(),
            rooms,
            board: RefCell::new(board),
            phase: watch::Sender::new(Phase::Here),
            gate: Semaphore::new(plan.at_once),
            opening: Opening::new(plan.connect_rate),
            spread,
            stage: plan.stage.clone(),
        };
        Ok(Self {
            shared: Rc::new(shared),
            speakers,
            http: reqwest::Client::new(),
            sent: 0,
            connections: crowd.connections,
            tokens,
            clients: JoinSet::new(),
        })
    }

    /// What is written down.
    pub fn board(&self) -> std::cell::RefMut<'_, Board> {
        self.shared.board.borrow_mut()
    }

    /// Connects all, and waits for them; for those who are on their way, if the
    /// run is ended before time: these are all, then.
    pub async fn connect(&mut self, limit: Duration) -> anyhow::Result<()> {
        timeline::say(format_args!("connecting {} clients", self.connections));
        self.shared.stage.live().begin(timeline::Phase::Connecting, None);
        for (room, tokens) in std::mem::take(&mut self.tokens).into_iter().enumerate() {
            for (client, token) in tokens.into_iter().enumerate() {
                let task = Client { shared: self.shared.clone(), room, client, token, lost: false };
                self.clients.spawn_local(task.live());
            }
        }
        let (all, stage) = (self.connections, self.shared.stage.clone());
        let come = |board: &Board| {
            board.connected == all || stage.is_stopped() && board.coming == 0 && board.connected > 0
        };
        if !self.until(limit, come).await {
            let board = self.board();
            return Err(anyhow!(
                "{} of {all} connected; {} attempts failed: {:?}",
                board.connected,
                board.failed_attempts,
                board.violations
            ));
        }
        let come = self.board().connected;
        self.connections = come;
        Ok(())
    }

    /// Says so many messages to each room.
    pub async fn say(&mut self, messages: u64) -> anyhow::Result<()> {
        let (first, after) = (self.sent, self.sent + messages);
        self.sent = after;
        let (this, rooms) = (&*self, self.shared.rooms.iter().enumerate());
        stream::iter(rooms)
            .map(|(number, room)| async move {
                for message in first..after {
                    this.say_in(number, room, message).await?;
                }
                anyhow::Ok(())
            })
            .buffer_unordered(SPEAK_AT_ONCE)
            .try_collect::<()>()
            .await
    }

    async fn say_in(&self, number: usize, room: &Room, message: u64) -> anyhow::Result<()> {
        let body = json!({
            // Tried again with the same key, it is sent once.
            "key": format!("{number}-{message}"),
            "text": check::text(number, message, clock::now()),
        });
        let (targets, live) = (&self.shared.targets, self.shared.stage.live());
        for attempt in 0.. {
            let (target, began) = (&targets[(number + attempt as usize) % targets.len()], clock::now());
            let url = format!("{target}/v1/rooms/{}/messages", room.id);
            let sent =
                tokio::time::timeout(ATTEMPT, rooms::post(&self.http, &url, &self.speakers[number], &body));
            match sent.await.map_err(anyhow::Error::from).flatten() {
                Ok(_) => {
                    live.answered(clock::now() - began);
                    break;
                }
                Err(error) if attempt == MAX_SENDS => {
                    return Err(error.context(format!("sending to {url}")));
                }
                Err(_) => {
                    live.failed();
                    tokio::time::sleep(pause(attempt, number as u64)).await;
                }
            }
        }
        Ok(())
    }

    /// Cuts every connection with a TCP reset, and keeps the clients away.
    pub async fn send_away(&self) {
        self.shared.phase.send_replace(Phase::Away);
        self.until(ATTEMPT, |board| board.connected == 0).await;
    }

    /// Lets all come back at once.
    pub fn let_go(&self) {
        self.board().from = Some(clock::now());
        self.shared.phase.send_replace(Phase::Here);
    }

    /// Waits until the board shows what is waited for; false: it took too long.
    pub async fn until(&self, limit: Duration, shows: impl Fn(&Board) -> bool) -> bool {
        let begun = clock::now();
        while !shows(&self.board()) {
            if clock::now() > begun + limit.as_micros() as u64 {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        true
    }

    /// Waits until everybody has heard everything that was said, or nothing
    /// was heard for so long, or it takes longer than `limit`.
    pub async fn until_heard(&self, quiet: Duration, limit: Duration) -> bool {
        let (sent, since) = (self.sent, clock::now());
        let quiet = quiet.as_micros() as u64;
        self.until(limit, |board| {
            board.missed(sent) == 0 || clock::now() > board.last_event.max(since) + quiet
        })
        .await;
        self.board().missed(sent) == 0
    }

    /// How many deliveries are due of what was said.
    pub fn due(&self) -> u64 {
        self.sent * self.connections as u64
    }

    /// Ends all clients; what they had written down that was wrong.
    pub async fn end(mut self) -> anyhow::Result<Violations> {
        super::stop(std::mem::take(&mut self.clients)).await?;
        Ok(std::mem::take(&mut self.board().violations))
    }
}

/// One user's connections, one after the other.
struct Client {
    shared: Rc<Shared>,
    room: usize,
    client: usize,
    token: String,
    /// Has lost a connection.
    lost: bool,
}

impl Client {
    /// Connects, hears, and comes back whenever it is lost; until it is aborted.
    async fn live(mut self) {
        let mut phase = self.shared.phase.subscribe();
        let mut position = String::new();
        loop {
            // An error: the crowd is gone.
            let Ok(_) = phase.wait_for(|phase| *phase == Phase::Here).await else { return };
            let Some(entered) = self.enter(&position).await else { return };
            let Entered { mut reader, writer, missed, .. } = entered;
            {
                let mut board = self.shared.board.borrow_mut();
                for delivery in missed {
                    self.hear(&delivery, &mut board);
                }
                self.look_whether_caught_up(&mut board);
            }
            let mut writer = Some(writer);
            let ended = tokio::select! {
                error = self.listen(&mut reader, &mut writer) => Some(error),
                _ = phase.wait_for(|phase| *phase == Phase::Away) => None,
            };
            position.clear();
            position.push_str(reader.position());
            self.lost = true;
            let mut board = self.shared.board.borrow_mut();
            board.lose();
            self.shared.stage.live().lost();
            match ended {
                None => {
                    if let Some(writer) = writer
                        && let Err(error) = reader.reset(writer)
                    {
                        board.violations.push(format!("a connection could not be reset: {error:#}"));
                    }
                }
                Some(error) => {
                    board.closed += 1;
                    if board.closed == 1 {
                        timeline::say(format_args!("the first connection was closed: {error:#}"));
                        self.shared.stage.live().mark("the first connection was closed");
                    }
                }
            }
        }
    }

    /// Comes into its room, in as many attempts as it takes; `None`: the run is
    /// ended before it has begun to come.
    async fn enter(&self, position: &str) -> Option<Entered> {
        let shared = &self.shared;
        let seed = (self.room as u64) << 32 | self.client as u64;
        let from = clock::now();
        let gate = if self.lost {
            tokio::time::sleep(shared.spread.mul_f64(chance(seed))).await;
            None
        } else {
            let gate = async {
                let gate = shared.gate.acquire().await.ok();
                shared.opening.turn().await;
                gate
            };
            let gate = tokio::select! {
                biased;
                () = shared.stage.stopped() => return None,
                gate = gate => gate,
            };
            shared.board.borrow_mut().coming += 1;
            gate
        };
        for attempt in 0.. {
            let began = clock::now();
            // Neighbours sit at different gateways; who fails goes to another.
            let turn = self.room + self.client + attempt as usize;
            let visit = Visit {
                target: &shared.targets[turn % shared.targets.len()],
                token: &self.token,
                room: &shared.rooms[self.room].id,
                position,
            };
            let entered = tokio::time::timeout(ATTEMPT, wire::enter(shared.wire, &visit));
            match entered.await.context("no answer for too long").flatten() {
                Ok(entered) => {
                    drop(gate);
                    let now = clock::now();
                    let mut board = shared.board.borrow_mut();
                    board.connected += 1;
                    board.last_event = now;
                    if self.lost {
                        board.last_back = now;
                        board.back.record(now.saturating_sub(from));
                        shared.stage.live().returned(now.saturating_sub(began));
                    } else {
                        board.authenticated.record(entered.authenticated.saturating_sub(began));
                        board.joined.record(now.saturating_sub(began));
                        shared.stage.live().connected(now.saturating_sub(began));
                        board.coming -= 1;
                        board.there[self.room][self.client] = true;
                    }
                    return Some(entered);
                }
                Err(error) => {
                    {
                        let mut board = shared.board.borrow_mut();
                        board.failed_attempts += 1;
                        shared.stage.live().failed();
                        if board.failed_attempts == 1 {
                            timeline::say(format_args!("the first attempt failed: {error:#}"));
                        }
                    }
                    tokio::time::sleep(pause(attempt, seed)).await;
                }
            }
        }
        unreachable!("the attempts do not end")
    }

    /// Hears what comes until the connection ends; why it did. The writer is
    /// gone with it.
    async fn listen(&self, reader: &mut Reader, writer: &mut Option<Writer>) -> anyhow::Error {
        loop {
            let received = match reader.next().await {
                Ok(received) => received,
                Err(error) => return error,
            };
            match received {
                Received::Message(delivery) => {
                    let mut board = self.shared.board.borrow_mut();
                    self.hear(&delivery, &mut board);
                    self.look_whether_caught_up(&mut board);
                }
                Received::Ping(ping) => {
                    if let Some(to) = writer
                        && let Err(error) = to.pong(ping).await
                    {
                        return error;
                    }
                }
                Received::Closed(code, reason) => {
                    if let Some(mut writer) = writer.take()
                        && code != ENDED
                    {
                        // It may be gone already.
                        let _ = writer.close().await;
                    }
                    return anyhow!("closed with {code}: {reason}");
                }
                Received::Error(why) => {
                    self.shared.board.borrow_mut().violations.push(format!("refused: {why}"));
                }
                Received::Answer(..) | Received::Other => {}
            }
        }
    }

    fn hear(&self, delivery: &Delivery, board: &mut Board) {
        let Some((sender, number, at)) = check::parse(&delivery.text) else {
            let (room, client) = (self.room, self.client);
            let why = format!("room {room}, client {client}: a text that nobody sent: {}", delivery.text);
            return board.violations.push(why);
        };
        board.last_event = clock::now();
        self.shared.stage.live().delivered(Some(board.last_event.saturating_sub(at)));
        match board.heard[self.room][self.client].take(delivery.seq, sender, number) {
            // Counted in the end.
            Ok(()) | Err(Fault::Gap(..)) => {}
            Err(why) => {
                board.violations.count(&why);
                board.violations.push(format!("room {}, client {}: {why}", self.room, self.client));
            }
        }
    }

    fn look_whether_caught_up(&self, board: &mut Board) {
        if self.lost && board.due == Some(board.heard[self.room][self.client].count) {
            board.caught_up += 1;
            board.last_caught_up = clock::now();
        }
    }
}
