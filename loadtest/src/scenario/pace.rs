//! When connections are opened, and when a sender sends.

use std::cell::Cell;
use std::time::Duration;

use crate::clock;

/// When connections are opened, if not as fast as it goes.
pub struct Opening {
    per_second: Option<u64>,
    first: Cell<Option<u64>>,
    opened: Cell<u64>,
}

impl Opening {
    /// So many a second, at most.
    pub fn new(per_second: Option<u64>) -> Self {
        Self { per_second, first: Cell::new(None), opened: Cell::new(0) }
    }

    /// Waits until one more may be opened.
    pub async fn turn(&self) {
        let Some(per_second) = self.per_second else { return };
        let first = self.first.get().unwrap_or_else(clock::now);
        self.first.set(Some(first));
        let turn = self.opened.replace(self.opened.get() + 1);
        tokio::time::sleep_until(clock::at(first + due(turn, per_second.max(1), Duration::ZERO))).await;
    }
}

/// How many microseconds after the start this message of all is due, when the
/// rate rises from nothing over the ramp.
pub fn due(turn: u64, per_second: u64, ramp: Duration) -> u64 {
    let ramp = ramp.as_micros() as u64;
    let steady = (u128::from(turn) * 1_000_000 / u128::from(per_second)) as u64;
    // Rising linearly, the ramp carries half of what it would at the full rate.
    if steady >= ramp / 2 {
        return ramp / 2 + steady;
    }
    (2.0 * ramp as f64 * steady as f64).sqrt() as u64
}

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
    /// Over which the rate rises, or the senders begin one after the other.
    pub ramp: Duration,
    /// When the first one is due.
    pub start: u64,
    /// How many were sent.
    pub sent: u64,
}

impl Pace {
    /// When the next message is to leave, with this many on the way and nothing
    /// to be sent from `until` on; `None`: not before something is answered, or
    /// never.
    pub fn next(&self, on_the_way: usize, now: u64, until: u64) -> Option<u64> {
        let may = self.rate > 0 || on_the_way < self.window;
        (may && !self.is_over(now, until)).then(|| self.at(now))
    }

    /// Whether nothing more is to be sent, whatever is answered.
    pub fn is_over(&self, now: u64, until: u64) -> bool {
        self.at(now) >= until
    }

    fn at(&self, now: u64) -> u64 {
        let (senders, sender) = (self.senders as u64, self.sender as u64);
        if self.rate > 0 {
            // Open loop: on time, whatever became of the others.
            return self.start + due(self.sent * senders + sender, self.rate, self.ramp);
        }
        now.max(self.start + self.ramp.as_micros() as u64 * sender / senders.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace =
        Pace { sender: 1, senders: 2, rate: 10, window: 1, ramp: Duration::ZERO, start: 5, sent: 3 };

    #[test]
    fn senders_take_turns_on_time_whatever_is_answered() {
        assert_eq!(PACE.next(99, 0, 1_000_000), Some(5 + 700_000));
        assert_eq!(Pace { sent: 5, ..PACE }.next(0, 0, 1_000_000), None);
        assert!(Pace { sent: 5, ..PACE }.is_over(0, 1_000_000));
    }

    #[test]
    fn without_a_rate_a_sender_waits_for_answers() {
        let pace = Pace { rate: 0, window: 2, start: 0, ..PACE };
        assert_eq!(pace.next(1, 50, 100), Some(50));
        assert_eq!(pace.next(2, 50, 100), None);
        assert!(!pace.is_over(50, 100) && pace.is_over(100, 100));
        assert_eq!(pace.next(0, 100, 100), None);
    }

    #[test]
    fn the_ramp_rises_to_the_rate_and_not_above() {
        let ramp = Duration::from_secs(10);
        let dues: Vec<_> = (0..2000).map(|turn| due(turn, 100, ramp)).collect();
        let within = |from: u64, to: u64| {
            dues.iter().filter(|due| (from * 1_000_000..to * 1_000_000).contains(due)).count()
        };
        assert!((4..=6).contains(&within(0, 1)), "{}", within(0, 1));
        assert!((54..=56).contains(&within(5, 6)), "{}", within(5, 6));
        assert!((499..=501).contains(&within(0, 10)), "{}", within(0, 10));
        assert_eq!(within(10, 11), 100);
        assert!(dues.is_sorted());
    }

    #[test]
    fn without_a_rate_senders_begin_one_after_the_other() {
        let ramp = Duration::from_secs(10);
        let begin = |sender| Pace { sender, rate: 0, ramp, sent: 0, ..PACE }.next(0, 0, u64::MAX);
        assert_eq!((begin(0), begin(1)), (Some(5), Some(5_000_005)));
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_opened_at_their_rate() {
        let opening = Opening::new(Some(10));
        let start = tokio::time::Instant::now();
        for _ in 0..11 {
            opening.turn().await;
        }
        let took = start.elapsed();
        assert!((Duration::from_millis(990)..Duration::from_millis(1100)).contains(&took), "{took:?}");
        Opening::new(None).turn().await;
        assert_eq!(start.elapsed(), took);
    }
}
