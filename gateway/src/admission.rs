//! How fast connections are let in. After an outage all clients come back at
//! once, and to let one in takes far more than to keep it: those beyond the rate
//! are told to come back a little later, each at another time, and those who are
//! in are served meanwhile.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Milliseconds after which a refused client may try again, at the earliest.
const SOONEST: u64 = 1000;
/// And at the latest.
const LATEST: u64 = 3000;

/// Lets connections in, up to a rate.
pub struct Admission(Option<Mutex<Window>>);

impl Admission {
    /// So many at most in any one second; 0: no limit.
    pub fn new(in_a_second: u32, now: Instant) -> Self {
        Self((in_a_second > 0).then(|| Mutex::new(Window::new(in_a_second, now))))
    }

    /// Whether one more is let in now.
    pub fn admit(&self, now: Instant) -> bool {
        let Some(window) = &self.0 else { return true };
        window.lock().expect("no panic while the window is locked").take(now)
    }
}

/// Milliseconds that a refused client is to wait: another number for each, so
/// that they do not come back together.
pub fn retry_after() -> u64 {
    let random = uuid::Uuid::new_v4().as_u64_pair().1;
    SOONEST + random % (LATEST - SOONEST + 1)
}

/// The length of a slot, and how many a second touches at most.
const SLOT: Duration = Duration::from_millis(50);
const SLOTS: usize = 21;

/// How many were let in during the last second, and a slot more at most.
///
/// Counted rather than a token bucket: that has to hold less than a second
/// brings, or it lets in twice the rate after a quiet moment, and so turns most
/// of a storm away that the rate has room for.
struct Window {
    in_a_second: u32,
    began: Instant,
    /// The slot of the last look, counted from the beginning.
    slot: u64,
    /// Let in by slot, and in all of them.
    let_in: [u32; SLOTS],
    sum: u32,
}

impl Window {
    fn new(in_a_second: u32, began: Instant) -> Self {
        Self { in_a_second, began, slot: 0, let_in: [0; SLOTS], sum: 0 }
    }

    fn take(&mut self, now: Instant) -> bool {
        let slot = (now.saturating_duration_since(self.began).as_millis() / SLOT.as_millis()) as u64;
        // What was let in so long ago is forgotten. A late reading changes nothing.
        for passed in (self.slot + 1..=slot).take(SLOTS) {
            self.sum -= std::mem::take(&mut self.let_in[passed as usize % SLOTS]);
        }
        self.slot = self.slot.max(slot);
        let taken = self.sum < self.in_a_second;
        if taken {
            self.let_in[self.slot as usize % SLOTS] += 1;
            self.sum += 1;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(admitted(&admission, 30, start), 30);
        assert_eq!(admitted(&admission, 1000, at(70)), 70);
        assert_eq!(admitted(&admission, 1000, at(1000)), 0);
        assert_eq!(admitted(&admission, 1000, at(1050)), 30);
        // A clock reading that comes late takes nothing away, and gives nothing.
        assert_eq!(admitted(&admission, 1, start), 0);
        assert_eq!(admitted(&admission, 1000, at(1100)), 70);
        // What nobody took is not kept.
        assert_eq!(admitted(&admission, 1000, at(60_000)), 100);
        assert_eq!(admitted(&admission, 1000, at(60_900)), 0);
    }

    #[test]
    fn a_steady_storm_is_let_in_at_nearly_the_rate() {
        let start = Instant::now();
        for rate in [1, 2, 19, 1000, 20_000] {
            let admission = Admission::new(rate, start);
            let millis = (0..10_000).map(|millis| start + Duration::from_millis(millis));
            let count: usize = millis.map(|now| admitted(&admission, 50, now)).sum();
            let rate = rate as usize;
            assert!((rate * 9..=rate * 10).contains(&count), "{rate}: {count} in 10 seconds");
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
