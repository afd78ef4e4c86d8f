//! Decides whether a history kept the promises. A pure function: what clients
//! asked, were answered and heard, and what the store holds in the end, become
//! a list of violations, each with its witness.
//!
//! Let L be a room's changes in the store, by seq.
//!
//! | check | promise | says |
//! |---|---|---|
//! | C1 | P1 | every answered send is in L exactly once, with its seq and content |
//! | C2 | P1, P4 | every row of L was sent; one row per key; what was refused for certain never appears |
//! | C3 | P2 | if send a was answered before send b began, a is before b; sends of one connection keep their order |
//! | C4 | P4 | a client sees each change once in its life, over all its sessions |
//! | C5 | P2 | seqs rise at each client, unless a reset lies between |
//! | C6 | P3 | between join and leave a client saw all of L, and to its end if still connected; folded or not |
//! | C7 | P5 | nobody saw a room outside their membership, plus one delivery |
//! | C10 | P3 | folding all that a client got equals a fresh read |
//!
//! Presence and recovery times (C8, C9) are not in a history: the tests of
//! faults wait for them.

use std::collections::BTreeMap;
use std::fmt;

mod fold;
mod history;
mod store;
#[cfg(test)]
mod tests;
mod view;

pub use fold::{Fold, thing_of};
pub use history::{Attempt, History, Life, Membership, Outcome, RoomState, Seen, Send, read_room};

/// How many witnesses of each check a report shows.
const SHOWN: usize = 20;

/// One of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the module's table says what each is")]
pub enum Check {
    C1,
    C2,
    C3,
    C4,
    C5,
    C6,
    C7,
    C10,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which check found it.
    pub check: Check,
    /// Who saw or did what.
    pub witness: String,
}

/// What was found, and how much was looked at: a history without traffic
/// proves nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// All violations.
    pub violations: Vec<Violation>,
    /// Different messages that clients tried to send.
    pub sends: usize,
    /// Of those, answered.
    pub answered: usize,
    /// Of those, refused for certain. The rest is unknown.
    pub refused: usize,
    /// Changes that clients were shown.
    pub shown: usize,
    /// Clients, each with all its sessions.
    pub lives: usize,
    /// Messages in the store.
    pub stored: usize,
}

impl Report {
    fn add(&mut self, check: Check, witness: String) {
        self.violations.push(Violation { check, witness });
    }

    /// Which checks failed, and how often.
    pub fn failed(&self) -> BTreeMap<Check, usize> {
        let mut failed = BTreeMap::new();
        for violation in &self.violations {
            *failed.entry(violation.check).or_insert(0) += 1;
        }
        failed
    }

    /// Panics with the report if a promise was broken.
    pub fn assert_kept(&self) {
        assert!(self.violations.is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sends, answered, refused, shown, lives, stored, .. } = self;
        writeln!(
            f,
            "{sends} sends ({answered} answered, {refused} refused, {} unknown), {stored} messages stored, \
             {shown} changes shown to {lives} clients",
            sends - answered - refused
        )?;
        for (check, count) in self.failed() {
            writeln!(f, "{check:?}: {count} violations")?;
            let of_check = self.violations.iter().filter(|violation| violation.check == check);
            for violation in of_check.take(SHOWN) {
                writeln!(f, "  {}", violation.witness)?;
            }
        }
        Ok(())
    }
}

/// Checks a history.
pub fn check(history: &History) -> Report {
    let mut report = Report {
        sends: history.sends.len(),
        answered: history.sends.iter().filter(|send| send.answer().is_some()).count(),
        refused: history.sends.iter().filter(|send| send.is_refused()).count(),
        lives: history.lives.len(),
        stored: history.rooms.values().map(|room| room.messages.len()).sum(),
        ..Report::default()
    };
    store::check(history, &mut report);
    view::check(history, &mut report);
    report
}
