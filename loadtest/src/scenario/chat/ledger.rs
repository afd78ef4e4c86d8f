//! What was said in a room, in a few bytes for each change, and what one device
//! has heard of it: whether everybody heard the same, all of it, once, in order.

use std::collections::HashMap;
use std::fmt;

/// A message of this run: who sent it, as which number of theirs.
pub type Name = (u32, u32);

/// A message in one of its versions: 0 when it was sent, 1 after the first edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Which message.
    pub name: Name,
    /// Which version.
    pub version: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name: (sender, number), version } = self;
        write!(f, "message {number} of device {sender}, version {version}")
    }
}

/// The text of a message, which says where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// Which message, and which version.
    pub version: Version,
    /// The number of its room.
    pub room: usize,
    /// When it was meant to leave.
    pub at: u64,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version: Version { name: (sender, number), version }, room, at } = self;
        write!(f, "{sender} {number} {version} {room} {at} the quick brown fox jumps over the lazy dog")
    }
}

impl Said {
    /// Reads what was written; `None`: nobody here wrote it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (sender, number) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let version = words.next()?.parse().ok()?;
        let (room, at) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { version: Version { name: (sender, number), version }, room, at })
    }
}

/// More changes than this at once are not believed.
const LARGEST_STEP: u64 = 1 << 20;

/// The changes of a room, by their seqs, as far as anybody has heard of them.
#[derive(Debug, Default)]
pub struct Ledger {
    base: u64,
    changes: Vec<Option<Version>>,
}

impl Ledger {
    /// Of what comes after this seq.
    pub fn after(base: u64) -> Self {
        Self { base, changes: Vec::new() }
    }

    /// The last seq that anybody has heard of.
    pub fn head(&self) -> u64 {
        self.base + self.changes.len() as u64
    }

    /// What the change of this seq is, if anybody knows.
    pub fn get(&self, seq: u64) -> Option<Version> {
        let index = seq.checked_sub(self.base + 1)?;
        self.changes.get(usize::try_from(index).ok()?).copied().flatten()
    }

    /// Notes what somebody says about a change. An error: somebody said otherwise.
    pub fn note(&mut self, seq: u64, version: Version) -> Result<(), String> {
        let index = seq.checked_sub(self.base + 1).ok_or_else(|| {
            format!("seq {seq} is from before the run, which begins after {}: {version}", self.base)
        })?;
        if index > self.changes.len() as u64 + LARGEST_STEP {
            return Err(format!("seq {seq} comes from nowhere, {} was the last: {version}", self.head()));
        }
        let index = index as usize;
        if index >= self.changes.len() {
            self.changes.resize(index + 1, None);
        }
        match self.changes[index].replace(version) {
            Some(other) if other != version => Err(format!("seq {seq} is {version} and {other}")),
            _ => Ok(()),
        }
    }

    /// The last change of each message.
    pub fn newest(&self) -> Newest {
        let mut newest = Newest::default();
        for (index, version) in self.changes.iter().enumerate() {
            if let Some(Version { name, version }) = version {
                newest.0.insert(*name, (self.base + 1 + index as u64, *version));
            }
        }
        newest
    }
}

/// The last change of each message of a room: its seq and version.
#[derive(Debug, Default)]
pub struct Newest(HashMap<Name, (u64, u32)>);

impl Newest {
    /// Of this message.
    pub fn of(&self, name: Name) -> Option<(u64, u32)> {
        self.0.get(&name).copied()
    }

    /// All messages.
    pub fn names(&self) -> impl Iterator<Item = Name> {
        self.0.keys().copied()
    }

    /// All their seqs, rising.
    pub fn seqs(&self) -> Vec<u64> {
        let mut seqs: Vec<_> = self.0.values().map(|(seq, _)| *seq).collect();
        seqs.sort_unstable();
        seqs
    }
}

/// What one device has heard of a room.
#[derive(Debug, Default)]
pub struct View {
    /// The seq up to which it has heard.
    pub last: u64,
    /// Where it goes on from; empty: it has been nowhere yet.
    pub position: String,
    /// The server did not know its position: nothing can be said about it.
    pub is_reset: bool,
    /// What it did not hear: first and last of each stretch. Each change there
    /// must have been overtaken by a newer one of the same message.
    skipped: Vec<(u64, u64)>,
}

impl View {
    /// Of what comes after this seq.
    pub fn after(base: u64) -> Self {
        Self { last: base, ..Self::default() }
    }

    /// Hears the change of this seq. An error: it comes twice, or late.
    pub fn hear(&mut self, seq: u64) -> Result<(), String> {
        if seq <= self.last {
            return Err(format!("seq {seq} came after {}", self.last));
        }
        self.reach(seq - 1);
        self.last = seq;
        Ok(())
    }

    /// There is nothing more to hear up to this seq.
    pub fn reach(&mut self, seq: u64) {
        if seq > self.last {
            self.skipped.push((self.last + 1, seq));
            self.last = seq;
        }
    }

    /// How many of these seqs, which rise, it has not heard, and the first of them.
    pub fn missed(&self, newest: &[u64]) -> Option<(usize, u64)> {
        let after = newest.partition_point(|seq| *seq <= self.last);
        let within = |(first, last): &(u64, u64)| {
            let start = newest.partition_point(|seq| seq < first);
            let end = newest.partition_point(|seq| seq <= last);
            &newest[start..end]
        };
        let mut missed = self.skipped.iter().map(within).chain([&newest[after..]]);
        let first = *missed.clone().flatten().next()?;
        Some((missed.by_ref().map(<[u64]>::len).sum(), first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u32, version: u32) -> Version {
        Version { name: (7, number), version }
    }

    #[test]
    fn a_text_says_where_it_belongs() {
        let said = Said { version: version(8, 1), room: 9, at: 10 };
        assert_eq!(Said::parse(&said.to_string()), Some(said));
        for text in ["", "hello", "1 2 3 4 x", "-1 2 3 4 5 the"] {
            assert_eq!(Said::parse(text), None, "{text}");
        }
    }

    #[test]
    fn those_who_heard_something_else_are_found() {
        let mut ledger = Ledger::after(4);
        ledger.note(7, version(1, 0)).unwrap();
        ledger.note(5, version(0, 0)).unwrap();
        ledger.note(7, version(1, 0)).unwrap();
        assert_eq!((ledger.head(), ledger.get(6), ledger.get(7)), (7, None, Some(version(1, 0))));
        let twice = ledger.note(7, version(1, 1)).unwrap_err();
        assert_eq!(twice, "seq 7 is message 1 of device 7, version 1 and message 1 of device 7, version 0");
        assert!(ledger.note(4, version(0, 0)).is_err(), "from before");
        assert!(ledger.note(1 << 40, version(0, 0)).is_err(), "from nowhere");
        assert_eq!((ledger.get(4), ledger.get(0), ledger.get(u64::MAX)), (None, None, None));
    }

    #[test]
    fn what_was_overtaken_may_be_skipped_and_nothing_else() {
        let mut ledger = Ledger::after(0);
        for (seq, of) in [(1, version(0, 0)), (2, version(1, 0)), (3, version(0, 1)), (4, version(2, 0))] {
            ledger.note(seq, of).unwrap();
        }
        let newest = ledger.newest();
        assert_eq!((newest.of((7, 0)), newest.of((7, 9)), newest.names().count()), (Some((3, 1)), None, 3));
        let seqs = newest.seqs();
        assert_eq!(seqs, [2, 3, 4]);
        let missed = |heard: &[u64]| {
            let mut view = View::after(0);
            heard.iter().for_each(|seq| view.hear(*seq).unwrap());
            view.missed(&seqs)
        };
        assert_eq!(missed(&[1, 2, 3, 4]), None);
        assert_eq!(missed(&[2, 3, 4]), None, "1 was overtaken by 3");
        assert_eq!(missed(&[1, 2, 4]), Some((1, 3)), "an edit is missing");
        assert_eq!(missed(&[1, 3]), Some((2, 2)), "one in between and the last");
        assert_eq!(missed(&[]), Some((3, 2)));
    }

    #[test]
    fn what_comes_twice_or_late_is_named() {
        let mut view = View::after(3);
        view.hear(5).unwrap();
        for late in [3, 4, 5] {
            assert!(view.hear(late).is_err(), "{late}");
        }
        view.reach(9);
        view.reach(7);
        assert_eq!(view.last, 9);
        assert_eq!(view.missed(&[4, 5, 8]), Some((2, 4)));
    }
}
