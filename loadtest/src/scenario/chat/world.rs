//! What everybody in a run of chat shares: who there is, where they go, and
//! what they write down.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::ledger::{Ledger, Said, View};
use super::population::Population;
use crate::clock;
use crate::part::Micros;
use crate::report::{Actions, Connections, Violations};
use crate::rooms::Room;
use crate::scenario::pace::Opening;
use crate::stage::Stage;
use crate::timeline::Live;
use crate::wire::Wire;

/// What everybody shares.
pub struct World {
    /// How they speak.
    pub wire: Wire,
    /// URLs of gateways.
    pub targets: Vec<String>,
    /// For what is asked over REST.
    pub http: reqwest::Client,
    /// Who there is.
    pub population: Population,
    /// The rooms.
    pub rooms: Vec<Room>,
    /// Their numbers.
    pub by_id: HashMap<String, usize>,
    /// Of each user.
    pub tokens: Vec<String>,
    /// Servers may fail: what that brings is no violation.
    pub tolerant: bool,
    /// Decides what is left to chance.
    pub seed: u64,
    /// Mean life time of a connection.
    pub life: Option<Duration>,
    /// Mean time until it comes back.
    pub away: Duration,
    /// Whether connections are cut now.
    pub cutting: Cell<bool>,
    /// Who comes for the first time comes through here.
    pub gate: Semaphore,
    /// And waits for this.
    pub opening: Opening,
    /// Where the run stands.
    pub stage: Stage,
    /// What all write down.
    pub board: RefCell<Board>,
    /// What each device writes down.
    pub records: Vec<RefCell<Record>>,
}

/// What a device has heard, and what it has said.
pub struct Record {
    /// Of each room of its user, in their order.
    pub views: Vec<View>,
    /// Messages it began to send.
    pub sent: u32,
    /// Those of them that are not answered.
    pub open: BTreeSet<u32>,
    /// Those of them that were refused for good.
    pub refused: BTreeSet<u32>,
    /// Edits that are not answered.
    pub open_edits: u32,
    /// It is connected, and has heard what it missed.
    pub is_here: bool,
}

/// What all write down.
pub struct Board {
    /// Measuring begins.
    pub from: u64,
    /// Measuring ends.
    pub to: u64,
    /// From the intended send to the answer.
    pub answers: Micros,
    /// From the intended send or edit to each live delivery.
    pub deliveries: Micros,
    /// From the intended request to the page.
    pub pages: Micros,
    /// From the first attempt to come back to having heard everything.
    pub caught_up: Micros,
    /// Messages answered.
    pub answered: u64,
    /// Changes heard.
    pub delivered: u64,
    /// Messages answered while it was measured.
    pub answered_in_time: u64,
    /// Changes heard live while it was measured.
    pub delivered_in_time: u64,
    /// What was done.
    pub actions: Actions,
    /// How connections went.
    pub connections: Connections,
    /// The changes of each room.
    pub ledgers: Vec<Ledger>,
    /// What was wrong.
    pub violations: Violations,
    /// Where it is counted what happens, second by second.
    pub live: Rc<Live>,
}

impl Board {
    /// Of rooms in which this is the last change before the run.
    pub fn new(bases: &[u64], live: Rc<Live>) -> Self {
        Self {
            from: u64::MAX,
            to: u64::MAX,
            answers: Micros::default(),
            deliveries: Micros::default(),
            pages: Micros::default(),
            caught_up: Micros::default(),
            answered: 0,
            delivered: 0,
            answered_in_time: 0,
            delivered_in_time: 0,
            actions: Actions::default(),
            connections: Connections::default(),
            ledgers: bases.iter().map(|base| Ledger::after(*base)).collect(),
            violations: Violations::default(),
            live,
        }
    }

    fn measures(&self, at: u64) -> bool {
        (self.from..self.to).contains(&at)
    }

    /// A message was answered.
    pub fn answer(&mut self, at: u64) {
        let now = clock::now();
        let micros = now.saturating_sub(at);
        self.answered += 1;
        self.live.answered(micros);
        if self.measures(now) {
            self.answered_in_time += 1;
            self.answers.record(micros);
        }
    }

    /// A page of history came.
    pub fn page(&mut self, at: u64) {
        let now = clock::now();
        self.actions.pages += 1;
        if self.measures(now) {
            self.pages.record(now.saturating_sub(at));
        }
    }

    /// A change was heard in this room.
    pub fn hear(&mut self, room: usize, seq: u64, text: &str, is_live: bool) -> Result<(), String> {
        let said = Said::parse(text).ok_or_else(|| format!("a text that nobody sent: {text}"))?;
        if said.room != room {
            return Err(format!("{} is of room {}", said.version, said.room));
        }
        self.ledgers[room].note(seq, said.version)?;
        let now = clock::now();
        self.delivered += 1;
        let micros = now.saturating_sub(said.at);
        // A resume says nothing of how fast a delivery is.
        self.live.delivered(is_live.then_some(micros));
        if !is_live {
            self.connections.resumed_changes += 1;
        } else if self.measures(now) {
            self.delivered_in_time += 1;
            self.deliveries.record(micros);
        }
        Ok(())
    }
}

impl World {
    /// What a device writes down at first.
    pub fn record(views: Vec<View>) -> RefCell<Record> {
        RefCell::new(Record {
            views,
            sent: 0,
            open: BTreeSet::new(),
            refused: BTreeSet::new(),
            open_edits: 0,
            is_here: false,
        })
    }

    /// The rooms of a device's user.
    pub fn rooms_of(&self, device: usize) -> &[usize] {
        &self.population.rooms[self.population.devices[device]]
    }

    /// Somebody who can do this now: the device itself, or the next one of the room.
    pub fn somebody_here(&self, device: usize, room: Option<usize>) -> Option<usize> {
        let is_here = |device: &usize| self.records[*device].borrow().is_here;
        if is_here(&device) {
            return Some(device);
        }
        let others = &self.population.heard_by[room?];
        let behind = others.partition_point(|other| *other <= device);
        others[behind..].iter().chain(&others[..behind]).copied().find(is_here)
    }

    /// Nothing is on its way, and everybody is here.
    pub fn is_quiet(&self) -> bool {
        self.records.iter().all(|record| {
            let record = record.borrow();
            record.is_here && record.open.is_empty() && record.open_edits == 0
        })
    }

    /// Everybody has heard what is up to these seqs.
    pub fn has_heard(&self, heads: &[u64]) -> bool {
        self.records.iter().enumerate().all(|(device, record)| {
            let record = record.borrow();
            self.rooms_of(device).iter().zip(&record.views).all(|(room, view)| view.last >= heads[*room])
        })
    }

    /// Something is not as it should be.
    pub fn violation(&self, what: String) {
        self.board.borrow_mut().violations.push(what);
    }
}
