//! Latencies of one second: counted in buckets when they come, kept as those
//! that hold something.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

/// Buckets in which a latency doubles: what is read back is 3 % too long at most.
const PER_DOUBLING: u64 = 32;
/// Longer latencies count as this: a little over two minutes.
const LONGEST_MICROS: u64 = (1 << 27) - 1;
const BUCKETS: usize = index(LONGEST_MICROS) + 1;

/// Which bucket a latency falls into. Below 64 microseconds each has its own.
const fn index(micros: u64) -> usize {
    let micros = if micros > LONGEST_MICROS { LONGEST_MICROS } else { micros };
    let octave = (micros | (2 * PER_DOUBLING - 1)).ilog2() - (2 * PER_DOUBLING - 1).ilog2();
    (octave as u64 * PER_DOUBLING + (micros >> octave)) as usize
}

/// The longest latency of a bucket.
const fn longest(index: usize) -> u64 {
    let index = index as u64;
    if index < 2 * PER_DOUBLING {
        return index;
    }
    let octave = index / PER_DOUBLING - 1;
    ((index - octave * PER_DOUBLING + 1) << octave) - 1
}

/// Counts latencies: a shift and an addition each, on 3 KiB that stay in the cache.
pub struct Counting {
    counts: Box<[u32; BUCKETS]>,
}

impl Counting {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self { counts: Box::new([0; BUCKETS]) }
    }

    /// Counts one.
    pub fn record(&mut self, micros: u64) {
        let count = &mut self.counts[index(micros)];
        *count = count.saturating_add(1);
    }

    /// What was counted; from now on from nothing.
    pub fn take(&mut self) -> Buckets {
        let held = self.counts.iter_mut().enumerate().filter(|(_, count)| **count > 0);
        Buckets(held.map(|(index, count)| (index as u16, u64::from(std::mem::take(count)))).collect())
    }
}

/// Counted latencies, in order: the buckets that hold something. As text, the
/// longest microseconds of each and how many: `127:3 129:1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets(Vec<(u16, u64)>);

impl Buckets {
    /// Nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in what was counted elsewhere, or at another time.
    pub fn merge(&mut self, other: &Self) {
        for (index, count) in &other.0 {
            match self.0.binary_search_by_key(index, |(index, _)| *index) {
                Ok(place) => self.0[place].1 += count,
                Err(place) => self.0.insert(place, (*index, *count)),
            }
        }
    }

    /// The milliseconds that this part of all did not exceed; `None` of nothing.
    pub fn millis_at(&self, quantile: f64) -> Option<f64> {
        let all: u64 = self.0.iter().map(|(_, count)| count).sum();
        let rank = (quantile * all as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let reached = self.0.iter().find(|(_, count)| {
            seen += count;
            seen >= rank
        });
        reached.map(|(index, _)| longest(usize::from(*index)) as f64 / 1000.0)
    }
}

impl fmt::Display for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (index, count)) in self.0.iter().enumerate() {
            let blank = if place > 0 { " " } else { "" };
            write!(f, "{blank}{}:{count}", longest(usize::from(*index)))?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Buckets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Self::default();
        for pair in text.split_ascii_whitespace() {
            let read = pair
                .split_once(':')
                .and_then(|(micros, count)| Some((micros.parse().ok()?, count.parse().ok()?)));
            let (micros, count) = read.ok_or_else(|| format!("{pair:?} is not MICROSECONDS:COUNT"))?;
            all.merge(&Self(vec![(index(micros) as u16, count)]));
        }
        Ok(all)
    }
}

impl Serialize for Buckets {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Buckets {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(micros: impl IntoIterator<Item = u64>) -> Buckets {
        let mut counting = Counting::new();
        micros.into_iter().for_each(|micros| counting.record(micros));
        counting.take()
    }

    #[test]
    fn every_latency_is_read_back_a_little_too_long_at_most() {
        let mut before = 0;
        for micros in (0..200).chain((200..LONGEST_MICROS).step_by(9973)).chain([LONGEST_MICROS]) {
            let bucket = index(micros);
            let back = longest(bucket);
            assert!(micros <= back && back as f64 <= micros as f64 * 1.032, "{micros} became {back}");
            assert!(bucket == before || longest(bucket - 1) < micros, "{micros} is in {bucket}");
            before = bucket;
        }
        assert_eq!(index(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_those_of_what_was_counted() {
        let all = counted(1..=1000);
        for (quantile, millis) in [(0.0, 0.001), (0.5, 0.5), (0.99, 0.99), (1.0, 1.0)] {
            let found = all.millis_at(quantile).unwrap();
            assert!(found >= millis && found <= millis * 1.04, "{quantile}: {found}");
        }
        assert_eq!(Buckets::default().millis_at(0.5), None);
    }

    #[test]
    fn merged_is_as_if_counted_together() {
        let mut merged = counted([5, 700, 80_000]);
        merged.merge(&counted([5, 6, 1_000_000]));
        assert_eq!(merged, counted([5, 5, 6, 700, 80_000, 1_000_000]));
    }

    #[test]
    fn text_is_read_back() {
        let all = counted([3, 3, 130, 5_000_000]);
        assert!(all.to_string().starts_with("3:2 131:1 "), "{all}");
        assert_eq!(all.to_string().parse::<Buckets>().unwrap(), all);
        assert!(Buckets::default().to_string().is_empty());
        for wrong in ["3", "3:x", ":4", "-1:2"] {
            assert!(wrong.parse::<Buckets>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn taken_leaves_nothing_behind() {
        let mut counting = Counting::new();
        counting.record(9);
        counting.take();
        assert!(counting.take().is_empty());
    }
}
