//! When a sender sends.

/// When a sender sends.
pub struct Pace {
    /// Counts the senders of the run.
    pub sender: usize,
    /// Senders of the run.
    pub senders: usize,
    /// Messages per second of all senders; 0: as fast as answered.
    pub rate: u64,
    /// Messages on the way at once, without a rate.
    pub window: usize,
    /// When the first one is due.
    pub start: u64,
    /// When no more are.
    pub until: u64,
    /// How many were sent.
    pub sent: u64,
}

impl Pace {
    /// When the next message is to leave, with this many on the way; `None`: not
    /// before something is answered, or never.
    pub fn next(&self, on_the_way: usize, now: u64) -> Option<u64> {
        let turn = self.sent * self.senders as u64 + self.sender as u64;
        let at = match (turn * 1_000_000).checked_div(self.rate) {
            // Open loop: on time, whatever became of the others.
            Some(due) => self.start + due,
            None if on_the_way < self.window => now,
            None => return None,
        };
        (at < self.until).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_take_turns_on_time_whatever_is_answered() {
        let pace = Pace { sender: 1, senders: 2, rate: 10, window: 1, start: 5, until: 1_000_000, sent: 3 };
        assert_eq!(pace.next(99, 0), Some(5 + 700_000));
        assert_eq!(Pace { sent: 5, ..pace }.next(0, 0), None);
    }

    #[test]
    fn without_a_rate_a_sender_waits_for_answers() {
        let pace = Pace { sender: 0, senders: 1, rate: 0, window: 2, start: 0, until: 100, sent: 7 };
        assert_eq!(pace.next(1, 50), Some(50));
        assert_eq!(pace.next(2, 50), None);
        assert_eq!(pace.next(0, 100), None);
    }
}
