//! How fast connections are let in. After an outage all clients come back at
//! once, and to let one in takes far more than to keep it: those beyond the rate
//! are told to come back a little later, each at another time, and those who are
//! in are served meanwhile.

use std::sync::Mutex;
use std::time::Instant;

/// Milliseconds after which a refused client may try again, at the earliest.
const SOONEST: u64 = 1000;
/// And at the latest.
const LATEST: u64 = 3000;

/// Lets connections in, up to a rate.
pub struct Admission(Option<Mutex<Bucket>>);

impl Admission {
    /// So many at most in any one second; 0: no limit.
    pub fn new(in_a_second: u32, now: Instant) -> Self {
        Self((in_a_second > 0).then(|| Mutex::new(Bucket::new(in_a_second, now))))
    }

    /// Whether one more is let in now.
    pub fn admit(&self, now: Instant) -> bool {
        let Some(bucket) = &self.0 else { return true };
        bucket.lock().expect("no panic while the bucket is locked").take(now)
    }
}

/// Milliseconds that a refused client is to wait: another number for each, so
/// that they do not come back together.
pub fn retry_after() -> u64 {
    let random = uuid::Uuid::new_v4().as_u64_pair().1;
    SOONEST + random % (LATEST - SOONEST + 1)
}

/// The share that may come at once after a quiet moment: one in so many.
const BURST: u32 = 10;

/// A token bucket. A second may have what the bucket holds, and what flows in
/// meanwhile: a bucket of a whole second would let in twice the rate.
struct Bucket {
    holds: f64,
    per_second: f64,
    left: f64,
    filled: Instant,
}

impl Bucket {
    /// A full one.
    fn new(in_a_second: u32, now: Instant) -> Self {
        let holds = (in_a_second / BURST).max(1);
        // The last drop of a second falls when the next one has begun.
        let per_second = in_a_second - holds + 1;
        let (holds, per_second) = (f64::from(holds), f64::from(per_second));
        Self { holds, per_second, left: holds, filled: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.left = (self.left + passed * self.per_second).min(self.holds);
        self.filled = self.filled.max(now);
        let taken = self.left >= 1.0;
        if taken {
            self.left -= 1.0;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn admitted(admission: &Admission, tries: usize, now: Instant) -> usize {
        (0..tries).filter(|_| admission.admit(now)).count()
    }

    #[test]
    fn a_storm_is_let_in_at_the_rate() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let admission = Admission::new(100, start);
        assert_eq!(admitted(&admission, 1000, start), 10);
        assert_eq!(admitted(&admission, 1000, at(5)), 0);
        assert_eq!(admitted(&admission, 1000, at(50)), 4);
        assert_eq!(admitted(&admission, 1000, at(100)), 5);
        // What nobody took is kept, but not for long.
        assert_eq!(admitted(&admission, 1000, at(60_000)), 10);
        // A clock reading that comes late takes nothing away.
        assert_eq!(admitted(&admission, 1, start), 0);
        assert_eq!(admitted(&admission, 1000, at(60_100)), 9);
    }

    #[test]
    fn a_steady_storm_is_let_in_at_nine_tenths() {
        let start = Instant::now();
        for (rate, steady) in [(1, 1), (2, 2), (19, 19), (20, 19), (1000, 901), (20_000, 18_001)] {
            let admission = Admission::new(rate, start);
            let millis = (0..10_000).map(|millis| start + Duration::from_millis(millis));
            let count: usize = millis.map(|now| admitted(&admission, 50, now)).sum();
            let expected = steady * 10;
            assert!(count.abs_diff(expected) <= rate as usize / 5 + 1, "{rate}: {count} in 10 seconds");
        }
    }

    proptest! {
        /// The setting is an upper bound, wherever a second begins.
        #[test]
        fn no_second_has_more_than_the_rate(
            rate in 1..200_u32,
            storm in prop::collection::vec((0..400_u64, 1..300_usize), 1..60),
        ) {
            let start = Instant::now();
            let admission = Admission::new(rate, start);
            let mut at = 0;
            let mut let_in = Vec::new();
            for (pause, tries) in storm {
                at += pause;
                let count = admitted(&admission, tries, start + Duration::from_millis(at));
                let_in.push((at, count));
            }
            for (first, (from, _)) in let_in.iter().enumerate() {
                let second = let_in[first..].iter().take_while(|(at, _)| at - from < 1000);
                prop_assert!(second.map(|(_, count)| count).sum::<usize>() <= rate as usize);
            }
        }
    }

    #[test]
    fn without_a_rate_everybody_is_let_in() {
        let now = Instant::now();
        assert_eq!(admitted(&Admission::new(0, now), 100_000, now), 100_000);
    }

    #[test]
    fn the_refused_come_back_one_by_one() {
        let waits: std::collections::HashSet<u64> = (0..100).map(|_| retry_after()).collect();
        assert!(waits.iter().all(|wait| (SOONEST..=LATEST).contains(wait)));
        assert!(waits.len() > 50);
    }
}
