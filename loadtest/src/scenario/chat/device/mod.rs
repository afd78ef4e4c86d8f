//! One device's life: it comes, does what it is told to, hears, loses its
//! connection, and comes back from where it was.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::happenings::Deed;
use super::ledger::Said;
use super::talk::{Asked, Task, Written};
use super::world::World;
use crate::clock;
use crate::scenario::chance::{Chances, pause};
use crate::timeline;
use crate::wire::Wire;
use crate::wire::line::{self, Ears, Mouth, Request};

mod hear;

/// One attempt to connect may take this long.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Every request is answered by then, or the connection is dead.
const ANSWER: Duration = Duration::from_secs(20);
/// A server pings before; then the connection is dead.
const SILENCE: Duration = Duration::from_secs(45);
/// Statuses that a user shows in turn.
const STATUSES: [&str; 3] = ["busy", "away", "online"];

/// How a connection ended.
enum End {
    /// It was cut, as they are now and then.
    Cut,
    /// It was lost for this reason; come back after so long, if that was said.
    Lost(String, Option<Duration>),
}

/// What it is told to do, and since when that is due.
pub type Order = (u64, Deed);

/// One device.
pub struct Device {
    world: Rc<World>,
    number: usize,
    orders: mpsc::UnboundedReceiver<Order>,
    chances: Chances,
    /// Which target it goes to.
    turn: usize,
    /// When it began to come back; `None`: it comes for the first time.
    back_from: Option<u64>,
    /// What is still to be asked for.
    outbox: VecDeque<Task>,
    /// What was refused for now, and when to ask again.
    later: Vec<(u64, Task)>,
    /// What was asked for on this connection, by the request's number.
    asked: BTreeMap<u64, (u64, Asked)>,
    /// The number of the next request, over all connections.
    next: u64,
    /// Its own messages, the newest ones.
    own: Written,
    /// Rooms that are not joined yet.
    joining: usize,
    /// What it has to hear before it has caught up, by room.
    due: Option<Vec<u64>>,
    /// The last answered send of each room on this connection: number and seq.
    in_order: HashMap<usize, (u32, u64)>,
    /// Changes of status.
    statuses: usize,
    pages: JoinSet<()>,
}

impl Device {
    /// The device of this number, which does what is ordered here.
    pub fn new(world: Rc<World>, number: usize, orders: mpsc::UnboundedReceiver<Order>) -> Self {
        let chances = Chances::new(world.seed, 2 + number as u64);
        Self {
            world,
            number,
            orders,
            chances,
            // Neighbours sit at different gateways.
            turn: number,
            back_from: None,
            outbox: VecDeque::new(),
            later: Vec::new(),
            asked: BTreeMap::new(),
            next: 1,
            own: Written::default(),
            joining: 0,
            due: None,
            in_order: HashMap::new(),
            statuses: number,
            pages: JoinSet::new(),
        }
    }

    /// Until it is aborted.
    pub async fn live(mut self) {
        loop {
            let (ears, mouth) = self.come().await;
            let end = self.stay(ears, mouth).await;
            self.leave();
            let pause = match end {
                End::Cut => {
                    self.world.board.borrow_mut().connections.cut += 1;
                    let away = self.chances.time(self.world.away);
                    tokio::time::sleep(away).await;
                    Duration::ZERO
                }
                End::Lost(why, after) => {
                    // The server may be gone: to another one.
                    self.turn += 1;
                    self.lost(why);
                    after.unwrap_or_else(|| pause(0, self.world.seed ^ self.next << 24 ^ self.number as u64))
                }
            };
            self.back_from = Some(clock::now());
            tokio::time::sleep(pause).await;
        }
    }

    fn lost(&self, why: String) {
        let mut board = self.world.board.borrow_mut();
        board.connections.lost += 1;
        if !self.world.tolerant {
            board.violations.push(format!("device {} lost its connection: {why}", self.number));
        }
        *board.connections.closes.entry(why).or_default() += 1;
    }

    /// Connects, in as many attempts as it takes.
    async fn come(&mut self) -> (Ears, Mouth) {
        let world = self.world.clone();
        let gate = match self.back_from {
            Some(_) => None,
            None => {
                let gate = world.gate.acquire().await.ok();
                world.opening.turn().await;
                gate
            }
        };
        for attempt in 0.. {
            let began = clock::now();
            let target = &world.targets[self.turn % world.targets.len()];
            let token = &world.tokens[world.population.devices[self.number]];
            let opened = {
                let positions = self.positions();
                let positions: Vec<_> = positions.iter().map(String::as_str).collect();
                let open = line::open(world.wire, target, token, &positions);
                tokio::time::timeout(ATTEMPT, open).await
            };
            match opened.context("no answer for too long").flatten() {
                Ok(line) => {
                    drop(gate);
                    let (live, micros) = (world.stage.live(), clock::now().saturating_sub(began));
                    if self.back_from.is_some() {
                        live.returned(micros);
                    } else {
                        live.connected(micros);
                    }
                    return line;
                }
                Err(error) => {
                    self.turn += 1;
                    world.stage.live().failed();
                    let failed = &mut world.board.borrow_mut().connections.failed_attempts;
                    *failed += 1;
                    if *failed == 1 {
                        timeline::say(format_args!("the first attempt failed: {error:#}"));
                    }
                }
            }
            tokio::time::sleep(pause(attempt, world.seed ^ (self.number as u64) << 32)).await;
        }
        unreachable!("the attempts do not end")
    }

    /// Where it goes on from, in each room, where that is said on connecting.
    fn positions(&self) -> Vec<String> {
        if self.world.wire != Wire::SocketIo {
            return Vec::new();
        }
        let record = self.world.records[self.number].borrow();
        let positions = record.views.iter().map(|view| view.position.clone());
        positions.filter(|position| !position.is_empty()).collect()
    }

    /// What was on its way when the connection ended is to be asked for again,
    /// in its order, if it is worth that.
    fn leave(&mut self) {
        let mut board = self.world.board.borrow_mut();
        board.live.lost();
        for (_, (_, asked)) in std::mem::take(&mut self.asked).into_iter().rev() {
            match asked {
                Asked::Task(task) => {
                    board.actions.said_again += 1;
                    self.outbox.push_front(task.again());
                }
                Asked::Join(_) => {}
                _ => board.actions.abandoned += 1,
            }
        }
        self.in_order.clear();
        self.world.records[self.number].borrow_mut().is_here = false;
    }

    /// Talks and hears until the connection ends.
    async fn stay(&mut self, mut ears: Ears, mut mouth: Mouth) -> End {
        let world = self.world.clone();
        {
            let board = world.board.borrow();
            let heads = world.rooms_of(self.number).iter().map(|room| board.ledgers[*room].head());
            self.due = Some(heads.collect());
        }
        match self.talk(&mut ears, &mut mouth).await {
            Ok(end) => {
                if let End::Cut = end
                    && let Err(error) = ears.reset(mouth)
                {
                    world.violation(format!("a connection could not be reset: {error:#}"));
                }
                end
            }
            Err(error) => {
                let of_network = error.downcast_ref::<std::io::Error>().is_some();
                if !of_network {
                    world.violation(format!("device {}: {error:#}", self.number));
                }
                End::Lost(if of_network { error.to_string() } else { "not understood".to_owned() }, None)
            }
        }
    }

    async fn talk(&mut self, ears: &mut Ears, mouth: &mut Mouth) -> anyhow::Result<End> {
        let world = self.world.clone();
        self.joining = 0;
        if let Wire::Native(_) = world.wire {
            for place in 0..world.rooms_of(self.number).len() {
                self.join(place, mouth).await?;
                self.joining += 1;
            }
        }
        self.look_whether_caught_up();
        let mut cut_at = self.next_cut();
        let mut last_heard = clock::now();
        loop {
            while let Some(task) = self.outbox.pop_front() {
                self.ask_task(task, mouth).await?;
            }
            let silent_at = last_heard + SILENCE.as_micros() as u64;
            let dead_at = self.asked.values().next().map(|(at, _)| at + ANSWER.as_micros() as u64);
            let retry_at = self.later.iter().map(|(at, _)| *at).min();
            let wake = [cut_at, dead_at, retry_at].into_iter().flatten().fold(silent_at, u64::min);
            tokio::select! {
                heard = ears.next() => {
                    last_heard = clock::now();
                    if let Some(end) = self.hear(heard?, mouth).await? {
                        return Ok(end);
                    }
                }
                Some((at, deed)) = self.orders.recv() => self.obey(at, deed, mouth).await?,
                () = tokio::time::sleep_until(clock::at(wake)) => {
                    let now = clock::now();
                    if now >= silent_at || dead_at.is_some_and(|at| now >= at) {
                        return Ok(End::Lost("no answer".to_owned(), None));
                    }
                    if cut_at.is_some_and(|at| now >= at) {
                        if world.cutting.get() {
                            return Ok(End::Cut);
                        }
                        cut_at = self.next_cut();
                    }
                    self.outbox.extend(self.later.extract_if(.., |(at, _)| *at <= now).map(|(_, task)| task));
                }
            }
        }
    }

    fn next_cut(&mut self) -> Option<u64> {
        let life = self.chances.time(self.world.life?);
        Some(clock::now() + life.as_micros() as u64)
    }

    async fn join(&mut self, place: usize, mouth: &mut Mouth) -> anyhow::Result<()> {
        let room = self.world.rooms_of(self.number)[place];
        let since = self.world.records[self.number].borrow().views[place].position.clone();
        let world = self.world.clone();
        self.ask(Asked::Join(place), Request::Join { room: &world.rooms[room].id, since: &since }, mouth)
            .await
    }

    async fn ask(&mut self, asked: Asked, request: Request<'_>, mouth: &mut Mouth) -> anyhow::Result<()> {
        let number = self.next;
        self.next += 1;
        self.asked.insert(number, (clock::now(), asked));
        mouth.ask(number, request).await
    }

    async fn ask_task(&mut self, task: Task, mouth: &mut Mouth) -> anyhow::Result<()> {
        let world = self.world.clone();
        let text = task.text(self.number as u32).to_string();
        let room = &world.rooms[task.room()].id;
        match task.clone() {
            Task::Send { number, .. } => {
                let key = format!("{}-{number}", self.number);
                self.ask(Asked::Task(task), Request::Send { room, key: &key, text: &text }, mouth).await
            }
            Task::Edit { message, .. } => {
                let request = Request::Edit { room, message: &message.id, text: &text };
                self.ask(Asked::Task(task), request, mouth).await
            }
        }
    }

    async fn obey(&mut self, at: u64, deed: Deed, mouth: &mut Mouth) -> anyhow::Result<()> {
        let world = self.world.clone();
        let is_here = world.records[self.number].borrow().is_here;
        let id = |room: usize| &*world.rooms[room].id;
        let (asked, request) = match deed {
            Deed::Send(room) => {
                let mut record = world.records[self.number].borrow_mut();
                let number = record.sent;
                record.sent += 1;
                record.open.insert(number);
                self.outbox.push_back(Task::Send { room, number, at, is_again: false });
                return Ok(());
            }
            Deed::Edit => {
                match self.own.take(clock::now(), &mut self.chances) {
                    Some(message) => {
                        world.records[self.number].borrow_mut().open_edits += 1;
                        self.outbox.push_back(Task::Edit { message, at });
                    }
                    None => world.board.borrow_mut().actions.skipped += 1,
                }
                return Ok(());
            }
            _ if !is_here => {
                world.board.borrow_mut().actions.skipped += 1;
                return Ok(());
            }
            Deed::Typing(room) => (Asked::Typing, Request::Typing { room: id(room) }),
            Deed::Read(room) => (Asked::Read, Request::Read { room: id(room), seq: self.last(room) }),
            Deed::Online(room) => (Asked::Online, Request::Online { room: id(room) }),
            Deed::Status => {
                self.statuses += 1;
                (Asked::Status, Request::Status(STATUSES[self.statuses % STATUSES.len()]))
            }
            Deed::History(room, _) if world.wire == Wire::SocketIo => {
                self.fetch_page(at, room);
                return Ok(());
            }
            Deed::History(room, back) => {
                // Every other time the newest page, as when a room is opened.
                let last = self.last(room);
                let before = if back % 2 == 0 { 0 } else { last - u64::from(back) % last.max(1) + 1 };
                (Asked::History { room, at }, Request::History { room: id(room), before })
            }
        };
        self.ask(asked, request, mouth).await
    }

    /// The seq up to which a room was heard.
    fn last(&self, room: usize) -> u64 {
        let place = self.place(room);
        place.map_or(0, |place| self.world.records[self.number].borrow().views[place].last)
    }

    fn place(&self, room: usize) -> Option<usize> {
        self.world.rooms_of(self.number).binary_search(&room).ok()
    }

    /// Asks for a page where the wire has no words for it.
    fn fetch_page(&mut self, at: u64, room: usize) {
        while self.pages.try_join_next().is_some() {}
        let (world, number, turn) = (self.world.clone(), self.number, self.turn);
        self.pages.spawn_local(async move {
            let target = &world.targets[turn % world.targets.len()];
            let token = &world.tokens[world.population.devices[number]];
            let page = line::page(&world.http, target, token, &world.rooms[room].id);
            match page.await {
                Ok(texts) => {
                    let strange =
                        texts.iter().find(|text| Said::parse(text).is_none_or(|said| said.room != room));
                    let mut board = world.board.borrow_mut();
                    board.page(at);
                    if let Some(text) = strange {
                        board.violations.push(format!("a page of room {room} has {text}"));
                    }
                }
                Err(_) if world.tolerant => world.board.borrow_mut().actions.abandoned += 1,
                Err(error) => world.violation(format!("no page of room {room}: {error:#}")),
            }
        });
    }
}
