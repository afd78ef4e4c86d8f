//! What a run of chat has shown.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Latency;

/// People did all that people do.
#[derive(Serialize)]
pub struct Chat {
    /// Whether commands were run meanwhile: `mixed-faults`, else `chat`.
    pub scenario: String,
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
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

impl fmt::Display for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { users, devices, rooms, largest_room, seed, actions: did, connections: went, .. } = self;
        writeln!(
            f,
            "{}: {users} users with {devices} devices in {rooms} rooms of up to {largest_room}, seed {seed}",
            self.scenario
        )?;
        writeln!(f, "answered   {:>10.0} /s   {}", self.answered_per_second, self.answer_ms)?;
        writeln!(f, "delivered  {:>10.0} /s   {}", self.delivered_per_second, self.delivery_ms)?;
        writeln!(f, "history    {:>10}      {}", did.pages, self.history_ms)?;
        writeln!(
            f,
            "in all {} messages answered and stored, {} edits; {} changes delivered",
            self.answered, did.edited, self.delivered
        )?;
        writeln!(
            f,
            "{} typing signs ({} heard), {} read marks, {} questions who is online, {} changes of status",
            did.typed, did.typing_heard, did.read, did.asked_online, did.changed_status
        )?;
        writeln!(
            f,
            "{} handed on, {} skipped, {} abandoned; {} told to try later, {} said again",
            did.handed_on, did.skipped, did.abandoned, did.later, did.said_again
        )?;
        let others: Vec<_> = went.closes.iter().map(|(why, count)| format!("{count} {why}")).collect();
        let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) };
        writeln!(
            f,
            "connections: {} cut, {} lost{others}, {} failed attempts, {} resets",
            went.cut, went.lost, went.failed_attempts, went.resets
        )?;
        writeln!(
            f,
            "resumed    {:>10}      {}, {} changes",
            went.resumed, self.caught_up_ms, went.resumed_changes
        )?;
        let ends = [self.memory.first(), self.memory.last()];
        if let [Some(first), Some(last)] = ends {
            for (name, first, last) in
                [("servers", first.servers, last.servers), ("generator", first.generator, last.generator)]
            {
                if let (Some(first), Some(last)) = (first, last) {
                    let mebibytes = |bytes| bytes as f64 / f64::from(1 << 20);
                    writeln!(
                        f,
                        "memory     {name:<10} {:.1} MiB at first, {:.1} MiB at the end",
                        mebibytes(first),
                        mebibytes(last)
                    )?;
                }
            }
        }
        self.faults.iter().try_for_each(|fault| writeln!(f, "{fault}"))
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
