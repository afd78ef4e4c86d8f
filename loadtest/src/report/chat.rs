//! What a run of chat has shown.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Latency;
use super::rows::{Better, Figure, Rows, Unit};

/// People did all that people do.
#[derive(Serialize, Deserialize)]
pub struct Chat {
    /// Whether servers might fail meanwhile: `mixed-faults`.
    pub is_tolerant: bool,
    /// Users.
    pub users: usize,
    /// Devices of all of them.
    pub devices: usize,
    /// Rooms.
    pub rooms: usize,
    /// Members of the largest one.
    pub largest_room: usize,
    /// Asked for messages per second.
    pub rate: u64,
    /// The seed that made them.
    pub seed: u64,
    /// Messages answered, the warm-up included.
    pub answered: u64,
    /// Changes heard by devices, live or on coming back, the warm-up included.
    pub delivered: u64,
    /// Messages answered per second of measuring.
    pub answered_per_second: f64,
    /// Changes heard live per second of measuring.
    pub delivered_per_second: f64,
    /// From the intended send to the answer.
    pub answer_ms: Latency,
    /// From the intended send or edit to each device's hearing it live.
    pub delivery_ms: Latency,
    /// From the intended request to a page of history.
    pub history_ms: Latency,
    /// From the first attempt to come back to having heard what was missed.
    pub caught_up_ms: Latency,
    /// What was done.
    pub actions: Actions,
    /// How connections ended and came back.
    pub connections: Connections,
    /// Memory over the time of measuring.
    pub memory: Vec<Memory>,
    /// Commands that were run meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Injected>,
}

/// What was done, the warm-up included.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Actions {
    /// Edits answered.
    pub edited: u64,
    /// Typing signs answered.
    pub typed: u64,
    /// Typing signs of others heard.
    pub typing_heard: u64,
    /// Read marks answered.
    pub read: u64,
    /// Answers to who is online.
    pub asked_online: u64,
    /// Changes of status answered.
    pub changed_status: u64,
    /// Pages of history.
    pub pages: u64,
    /// Done by another device of the room, because the one whose turn it was
    /// was away.
    pub handed_on: u64,
    /// Not done: nobody was there, or there was nothing of one's own to edit.
    pub skipped: u64,
    /// Asked for, and never answered because the connection was lost: not asked
    /// again, since it is worth nothing later.
    pub abandoned: u64,
    /// Sends and edits that were said again with the same key: the connection
    /// was lost before the answer, or the answer was to try later.
    pub said_again: u64,
    /// Answers that said to try later.
    pub later: u64,
}

/// How connections ended and came back.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Connections {
    /// Lost by a TCP reset of the generator's own.
    pub cut: u64,
    /// Lost otherwise.
    pub lost: u64,
    /// Of them, by what was said.
    pub closes: BTreeMap<String, u64>,
    /// Attempts to connect that failed.
    pub failed_attempts: u64,
    /// Resumes after which everything missed was heard.
    pub resumed: u64,
    /// Changes heard on coming back.
    pub resumed_changes: u64,
    /// Answers that the server did not know a cursor.
    pub resets: u64,
}

/// Memory at one moment, bytes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// Seconds of measuring.
    pub second: f64,
    /// Of the servers, where it could be read.
    pub servers: Option<u64>,
    /// Of this process.
    pub generator: Option<u64>,
}

/// A command that was run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Injected {
    /// What it is called.
    pub name: String,
    /// For `sh -c`.
    pub run: String,
    /// When, in seconds of measuring.
    pub begun: f64,
    /// When it had ended; `None`: it went on until the end.
    pub ended: Option<f64>,
    /// Its exit status; `None`: it has none.
    pub status: Option<i32>,
}

impl Actions {
    /// Those of two processes of one run.
    pub fn merge(&self, other: &Self) -> Self {
        Self {
            edited: self.edited + other.edited,
            typed: self.typed + other.typed,
            typing_heard: self.typing_heard + other.typing_heard,
            read: self.read + other.read,
            asked_online: self.asked_online + other.asked_online,
            changed_status: self.changed_status + other.changed_status,
            pages: self.pages + other.pages,
            handed_on: self.handed_on + other.handed_on,
            skipped: self.skipped + other.skipped,
            abandoned: self.abandoned + other.abandoned,
            said_again: self.said_again + other.said_again,
            later: self.later + other.later,
        }
    }
}

impl Connections {
    /// Those of two processes of one run.
    pub fn merge(mut self, other: Self) -> Self {
        for (why, count) in other.closes {
            *self.closes.entry(why).or_default() += count;
        }
        Self {
            cut: self.cut + other.cut,
            lost: self.lost + other.lost,
            closes: self.closes,
            failed_attempts: self.failed_attempts + other.failed_attempts,
            resumed: self.resumed + other.resumed,
            resumed_changes: self.resumed_changes + other.resumed_changes,
            resets: self.resets + other.resets,
        }
    }
}

impl Chat {
    /// Its kind.
    pub fn name(&self) -> &'static str {
        if self.is_tolerant { "mixed-faults" } else { "chat" }
    }
}

impl Rows for Chat {
    fn title(&self) -> String {
        let Self { users, devices, rooms, largest_room, seed, .. } = self;
        format!(
            "{}: {users} users with {devices} devices in {rooms} rooms of up to {largest_room}, seed {seed}",
            self.name()
        )
    }

    fn figures(&self) -> Vec<Figure> {
        let Self { actions: did, connections: went, .. } = self;
        let count = |name, count: u64, better| Figure::new(name, count as f64, Unit::Count, better);
        let neither = |name, of| count(name, of, Better::Neither);
        vec![
            Figure::headline("answered", self.answered_per_second, Unit::PerSecond, Better::Higher),
            Figure::headline("delivered", self.delivered_per_second, Unit::PerSecond, Better::Higher),
            neither("answered and stored in all", self.answered),
            neither("changes delivered in all", self.delivered),
            neither("edits", did.edited),
            neither("typing signs", did.typed),
            neither("typing signs heard", did.typing_heard),
            neither("read marks", did.read),
            neither("questions who is online", did.asked_online),
            neither("changes of status", did.changed_status),
            neither("pages of history", did.pages),
            neither("handed on to another device", did.handed_on),
            neither("skipped", did.skipped),
            count("abandoned", did.abandoned, Better::Lower),
            count("told to try later", did.later, Better::Lower),
            count("said again", did.said_again, Better::Lower),
            neither("connections cut", went.cut),
            count("connections lost", went.lost, Better::Lower),
            count("failed attempts to connect", went.failed_attempts, Better::Lower),
            neither("resumed", went.resumed),
            neither("changes heard by resuming", went.resumed_changes),
            count("cursors not known", went.resets, Better::Lower),
        ]
    }

    fn latencies(&self) -> Vec<(&'static str, &Latency)> {
        vec![
            ("answer", &self.answer_ms),
            ("delivery", &self.delivery_ms),
            ("history", &self.history_ms),
            ("caught up", &self.caught_up_ms),
        ]
    }

    fn notes(&self) -> Vec<String> {
        let lost = self.connections.closes.iter().map(|(why, count)| format!("{count} lost: {why}"));
        lost.chain(self.faults.iter().map(Injected::to_string)).collect()
    }

    fn verdict(&self) -> &'static str {
        "every device heard every change once, in order, and the store agrees"
    }
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fault      at {:.1} s {}: ", self.begun, self.name)?;
        match (self.ended, self.status) {
            (None, _) => write!(f, "it did not end"),
            (Some(ended), Some(status)) => write!(f, "ended at {ended:.1} s with status {status}"),
            (Some(ended), None) => write!(f, "ended at {ended:.1} s by a signal"),
        }
    }
}
