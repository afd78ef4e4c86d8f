//! Chance that is the same again for the same seed: SplitMix64. And how long to
//! wait between attempts, which is left to chance.

use std::time::Duration;

/// Between attempts, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Added from one number to the next; the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number from 0 to 1, always the same one for a seed.
pub fn chance(seed: u64) -> f64 {
    mix(seed.wrapping_mul(STEP).wrapping_add(STEP)) as f64 / u64::MAX as f64
}

/// How long to wait after so many failed attempts; different for everyone.
pub fn pause(attempt: u32, seed: u64) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << attempt.min(10)).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + 0.5 * chance(seed.wrapping_add(u64::from(attempt) << 56)))
}

fn mix(mut mixed: u64) -> u64 {
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// One chance after the other.
pub struct Chances(u64);

impl Chances {
    /// Of this seed; each stream of a seed is independent of the others.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(mix(seed.wrapping_add(STEP)) ^ mix(stream.wrapping_mul(STEP)))
    }

    /// From 0 up to 1, but not 1.
    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(STEP);
        (mix(self.0) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From 0 up to `end`, but not `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.unit() * end as f64) as usize
    }

    /// A whole number whose mean is this.
    pub fn times(&mut self, mean: f64) -> usize {
        (mean + self.unit()) as usize
    }

    /// A time whose mean is this, as between events that know nothing of each other.
    pub fn time(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.unit()).ln())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_spread_evenly() {
        let mut stream = Chances::new(1, 2);
        let streamed: Vec<_> = (0..10_000).map(|_| stream.unit()).collect();
        for chances in [(0..10_000).map(chance).collect(), streamed] {
            let mean = chances.iter().sum::<f64>() / chances.len() as f64;
            assert!((0.48..0.52).contains(&mean), "{mean}");
            assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)));
        }
    }

    #[test]
    fn a_stream_is_the_same_again_and_unlike_others() {
        let numbers = |seed, stream| {
            let mut chances = Chances::new(seed, stream);
            (0..8).map(|_| chances.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1, 1), numbers(1, 1));
        assert_ne!(numbers(1, 1), numbers(1, 2));
        assert_ne!(numbers(1, 1), numbers(2, 1));
    }

    #[test]
    fn means_are_what_is_asked_for() {
        let mut chances = Chances::new(7, 0);
        let times: usize = (0..10_000).map(|_| chances.times(1.3)).sum();
        assert!((12_700..13_300).contains(&times), "{times}");
        let all: Duration = (0..10_000).map(|_| chances.time(Duration::from_secs(1))).sum();
        assert!((9500..10_500).contains(&all.as_secs()), "{all:?}");
    }

    #[test]
    fn pauses_grow_and_have_an_end() {
        for attempt in 0..100 {
            let pause = pause(attempt, 7);
            assert!((FIRST_PAUSE / 2..=LONGEST_PAUSE).contains(&pause), "{attempt}: {pause:?}");
        }
        assert!(pause(20, 1) > pause(0, 1));
    }
}
