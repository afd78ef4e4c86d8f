//! Whether what was delivered is what was sent: each message once, to each
//! member, in one order; and the same in the store.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

/// What every text ends with, so that it has a usual length.
const TAIL: &str = "the quick brown fox jumps over the lazy dog";
/// Numbers that a member remembers as missing; of more, one that comes late is
/// said to come twice.
const MAX_MISSING: usize = 1024;

/// The text of a message: who sent it, as which number, when it was meant to
/// leave, and check digits, so that no altered text passes for another one.
pub fn text(sender: usize, number: u64, at: u64) -> String {
    format!("{sender} {number} {at} {:010} {TAIL}", digits(sender, number, at))
}

/// Reads what [`text`] wrote: sender, number, time. `None`: it is not exactly that.
pub fn parse(text: &str) -> Option<(usize, u64, u64)> {
    let mut words = text.splitn(5, ' ');
    let (sender, number, at) =
        (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let intact = words.next()?.parse() == Ok(digits(sender, number, at)) && words.next()? == TAIL;
    intact.then_some((sender, number, at))
}

fn digits(sender: usize, number: u64, at: u64) -> u32 {
    let all = sender as u64 ^ number.rotate_left(21) ^ at.rotate_left(42);
    (all.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

/// What one member of one room has heard.
#[derive(Default)]
pub struct Heard {
    seq: u64,
    next: HashMap<usize, u64>,
    /// Passed over: sender and number.
    missing: BTreeSet<(usize, u64)>,
    /// All messages, each once.
    pub count: u64,
    /// Folds the order of what was heard into one number, to compare members.
    pub order: u64,
}

/// What is wrong with a delivery.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// This seq came after one as high.
    Order(u64, u64),
    /// From this sender this number came where this one was due: some are missing.
    Gap(usize, u64, u64),
    /// From this sender this number came after a later one.
    Late(usize, u64),
    /// From this sender this number came before.
    Twice(usize, u64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(seq, last) => write!(f, "out of order: seq {seq} came after {last}"),
            Self::Gap(sender, number, due) => {
                write!(f, "a gap: of sender {sender}, number {number} came where {due} was due")
            }
            Self::Late(sender, number) => {
                write!(f, "out of order: of sender {sender}, number {number} came after a later one")
            }
            Self::Twice(sender, number) => write!(f, "of sender {sender}, number {number} came twice"),
        }
    }
}

impl Heard {
    /// Takes a delivery; says what is wrong with it. After a gap it goes on
    /// behind it; what comes late is counted, what comes twice is not.
    pub fn take(&mut self, seq: Option<u64>, sender: usize, number: u64) -> Result<(), Fault> {
        let next = self.next.entry(sender).or_default();
        let due = *next;
        if number < due {
            if !self.missing.remove(&(sender, number)) {
                return Err(Fault::Twice(sender, number));
            }
            self.note(sender, number);
            return Err(Fault::Late(sender, number));
        }
        *next = number + 1;
        self.note(sender, number);
        let places = MAX_MISSING - self.missing.len();
        self.missing.extend((due..number).take(places).map(|missing| (sender, missing)));
        if let Some(seq) = seq {
            if seq <= self.seq {
                return Err(Fault::Order(seq, self.seq));
            }
            self.seq = seq;
        }
        if number > due {
            return Err(Fault::Gap(sender, number, due));
        }
        Ok(())
    }

    fn note(&mut self, sender: usize, number: u64) {
        self.count += 1;
        self.order = (self.order ^ (sender as u64) << 32 ^ number).wrapping_mul(0x0100_0000_01b3);
    }

    /// Whether anything of this sender was heard.
    pub fn knows(&self, sender: usize) -> bool {
        self.next.contains_key(&sender)
    }

    /// How many of a room's messages, given in their order, should have been
    /// heard, and in which order; those of `spared` not.
    pub fn of(messages: &[(usize, u64)], spared: Option<usize>) -> Self {
        let mut heard = Self::default();
        for (sender, number) in messages.iter().filter(|(sender, _)| Some(*sender) != spared) {
            // Faults of the store are named once, by whoever reads it.
            let _ = heard.take(None, *sender, *number);
        }
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of these deliveries: seq, sender, number.
    fn said(deliveries: &[(u64, usize, u64)], with_seqs: bool) -> (Vec<String>, u64) {
        let mut heard = Heard::default();
        let mut take = |(seq, sender, number)| heard.take(with_seqs.then_some(seq), sender, number).err();
        let said = deliveries.iter().filter_map(|delivery| Some(take(*delivery)?.to_string())).collect();
        (said, heard.count)
    }

    #[test]
    fn a_drop_a_double_and_a_swap_are_named_with_and_without_seqs() {
        for with_seqs in [true, false] {
            let check = |deliveries: &[_], expected: &[&str], count| {
                assert_eq!(
                    said(deliveries, with_seqs),
                    (expected.iter().map(|said| (*said).into()).collect(), count)
                );
            };
            check(&[(3, 1, 0), (4, 2, 0), (5, 1, 1)], &[], 3);
            let gap = "a gap: of sender 1, number 2 came where 1 was due";
            check(&[(3, 1, 0), (5, 1, 2), (6, 1, 3)], &[gap], 3);
            check(&[(3, 1, 0), (4, 2, 0), (4, 2, 0)], &["of sender 2, number 0 came twice"], 2);
            let late = "out of order: of sender 1, number 1 came after a later one";
            check(&[(3, 1, 0), (5, 1, 2), (4, 1, 1), (6, 1, 3)], &[gap, late], 4);
        }
    }

    #[test]
    fn a_swap_of_two_senders_is_named_by_its_seqs_and_otherwise_in_the_end() {
        let swapped = [(4, 2, 0), (3, 1, 0), (5, 1, 1)];
        assert_eq!(said(&swapped, true), (vec!["out of order: seq 3 came after 4".to_owned()], 3));
        assert_eq!(said(&swapped, false), (vec![], 3));
        let (due, heard) = ([(1, 0), (2, 0), (1, 1)], swapped.map(|(_, sender, number)| (sender, number)));
        assert_ne!(Heard::of(&heard, None).order, Heard::of(&due, None).order);
    }

    #[test]
    fn nothing_remembered_as_missing_is_without_bound() {
        let mut heard = Heard::default();
        assert_eq!(heard.take(None, 1, u64::MAX - 1), Err(Fault::Gap(1, u64::MAX - 1, 0)));
        assert_eq!(heard.missing.len(), MAX_MISSING);
        assert_eq!(heard.take(None, 1, 7), Err(Fault::Late(1, 7)));
        assert_eq!(heard.take(None, 1, 7), Err(Fault::Twice(1, 7)));
    }

    #[test]
    fn members_who_heard_another_order_differ() {
        let (one, other) = ([(1, 0), (2, 0), (1, 1)], [(2, 0), (1, 0), (1, 1)]);
        assert_ne!(Heard::of(&one, None).order, Heard::of(&other, None).order);
        assert_eq!(Heard::of(&one, Some(2)).order, Heard::of(&other, Some(2)).order);
        assert!(!Heard::of(&one, Some(2)).knows(2));
    }

    #[test]
    fn a_text_says_where_it_is_from_and_nothing_else_passes_for_one() {
        let text = text(7, 8, 1_234_567);
        assert_eq!(parse(&text), Some((7, 8, 1_234_567)));
        for place in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[place] ^= 1;
            let altered = String::from_utf8(altered).unwrap();
            assert_eq!(parse(&altered), None, "{altered}");
        }
        for other in ["", "hello", "7 8 9", &text[..text.len() - 1], &format!("{text}.")] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
