//! Whether what was delivered is what was sent: each message once, to each
//! member, in one order; and the same in the store.

use std::collections::HashMap;
use std::fmt;

/// The text of a message: who sent it, as which number, when it was meant to leave.
pub fn text(sender: usize, number: u64, at: u64) -> String {
    format!("{sender} {number} {at} the quick brown fox jumps over the lazy dog")
}

/// Reads what [`text`] wrote: sender, number, time.
pub fn parse(text: &str) -> Option<(usize, u64, u64)> {
    let mut words = text.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// What one member of one room has heard.
#[derive(Default)]
pub struct Heard {
    seq: u64,
    next: HashMap<usize, u64>,
    /// All messages.
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
    /// From this sender this number came where this one was due: it comes twice, or late.
    Again(usize, u64, u64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(seq, last) => write!(f, "seq {seq} came after {last}"),
            Self::Gap(sender, number, due) | Self::Again(sender, number, due) => {
                write!(f, "sender {sender}: number {number} came where {due} was due")
            }
        }
    }
}

impl Heard {
    /// Takes a delivery; says what is wrong with it. After a gap it goes on
    /// behind it; what comes twice or late is not counted.
    pub fn take(&mut self, seq: Option<u64>, sender: usize, number: u64) -> Result<(), Fault> {
        if let Some(seq) = seq {
            if seq <= self.seq {
                return Err(Fault::Order(seq, self.seq));
            }
            self.seq = seq;
        }
        let next = self.next.entry(sender).or_default();
        let due = *next;
        if number < due {
            return Err(Fault::Again(sender, number, due));
        }
        *next = number + 1;
        self.count += 1;
        self.order = (self.order ^ (sender as u64) << 32 ^ number).wrapping_mul(0x0100_0000_01b3);
        if number > due {
            return Err(Fault::Gap(sender, number, due));
        }
        Ok(())
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

    #[test]
    fn a_drop_a_double_and_a_swap_are_named() {
        let mut heard = Heard::default();
        heard.take(Some(3), 1, 0).unwrap();
        heard.take(Some(4), 2, 0).unwrap();
        assert_eq!(heard.take(Some(4), 2, 0).unwrap_err().to_string(), "seq 4 came after 4");
        assert_eq!(
            heard.take(Some(6), 1, 2).unwrap_err().to_string(),
            "sender 1: number 2 came where 1 was due"
        );
        assert_eq!(heard.take(Some(5), 1, 1).unwrap_err(), Fault::Order(5, 6));
        assert_eq!(heard.count, 3);
    }

    #[test]
    fn without_seqs_they_are_named_too() {
        let mut heard = Heard::default();
        heard.take(None, 1, 0).unwrap();
        assert_eq!(heard.take(None, 1, 0), Err(Fault::Again(1, 0, 1)));
        assert_eq!(heard.take(None, 1, 2), Err(Fault::Gap(1, 2, 1)));
        assert_eq!(heard.take(None, 1, 1), Err(Fault::Again(1, 1, 3)));
        heard.take(None, 1, 3).unwrap();
        assert_eq!(heard.count, 3);
    }

    #[test]
    fn members_who_heard_another_order_differ() {
        let (one, other) = ([(1, 0), (2, 0), (1, 1)], [(2, 0), (1, 0), (1, 1)]);
        assert_ne!(Heard::of(&one, None).order, Heard::of(&other, None).order);
        assert_eq!(Heard::of(&one, Some(2)).order, Heard::of(&other, Some(2)).order);
        assert!(!Heard::of(&one, Some(2)).knows(2));
    }

    #[test]
    fn a_text_says_where_it_is_from() {
        assert_eq!(parse(&text(7, 8, 9)), Some((7, 8, 9)));
        assert_eq!(parse("hello"), None);
    }
}
