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
    /// So many in a second, and as many in one burst; 0: no limit.
    pub fn new(per_second: u32, now: Instant) -> Self {
        Self((per_second > 0).then(|| Mutex::new(Bucket::new(f64::from(per_second), now))))
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

/// A token bucket that holds what a second brings.
struct Bucket {
    per_second: f64,
    left: f64,
    filled: Instant,
}

impl Bucket {
    /// A full one.
    fn new(per_second: f64, now: Instant) -> Self {
        Self { per_second, left: per_second, filled: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.left = (self.left + passed * self.per_second).min(self.per_second);
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

    use super::*;

    fn admitted(admission: &Admission, tries: usize, now: Instant) -> usize {
        (0..tries).filter(|_| admission.admit(now)).count()
    }

    #[test]
    fn a_storm_is_let_in_at_the_rate() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let admission = Admission::new(10, start);
        assert_eq!(admitted(&admission, 1000, start), 10);
        assert_eq!(admitted(&admission, 1000, at(50)), 0);
        assert_eq!(admitted(&admission, 1000, at(100)), 1);
        assert_eq!(admitted(&admission, 1000, at(600)), 5);
        // What nobody took is kept for a second, and no longer.
        assert_eq!(admitted(&admission, 1000, at(60_000)), 10);
        // A clock reading that comes late takes nothing away.
        assert_eq!(admitted(&admission, 1, start), 0);
        assert_eq!(admitted(&admission, 1000, at(60_100)), 1);
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
