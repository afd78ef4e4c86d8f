//! Whether what was delivered is what was sent: each message once, to each
//! member, in one order; and the same in the store.

use std::collections::HashMap;

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

impl Heard {
    /// Takes a delivery; says what is wrong with it.
    pub fn take(&mut self, seq: u64, sender: usize, number: u64) -> Result<(), String> {
        if seq <= self.seq {
            return Err(format!("seq {seq} came after {}", self.seq));
        }
        self.seq = seq;
        self.count += 1;
        self.order = (self.order ^ (sender as u64) << 32 ^ number).wrapping_mul(0x0100_0000_01b3);
        let next = self.next.entry(sender).or_default();
        let expected = std::mem::replace(next, number + 1);
        if number != expected {
            return Err(format!("sender {sender}: number {number} came where {expected} was due"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_a_double_and_a_swap_are_named() {
        let mut heard = Heard::default();
        heard.take(3, 1, 0).unwrap();
        heard.take(4, 2, 0).unwrap();
        assert!(heard.take(4, 2, 0).unwrap_err().contains("seq 4 came after 4"));
        assert!(heard.take(6, 1, 2).unwrap_err().contains("number 2 came where 1 was due"));
        assert!(heard.take(5, 1, 1).unwrap_err().contains("seq 5 came after 6"));
    }

    #[test]
    fn a_text_says_where_it_is_from() {
        assert_eq!(parse(&text(7, 8, 9)), Some((7, 8, 9)));
        assert_eq!(parse("hello"), None);
    }
}
