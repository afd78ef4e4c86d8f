//! How long something took, for each part of those it was done for.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Percentiles of the curve, as far as there are enough to tell them.
const CURVE: [f64; 24] = [
    0.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 85.0, 90.0, 92.5, 95.0, 97.5, 98.5, 99.0, 99.5,
    99.75, 99.9, 99.95, 99.99, 99.995, 99.999,
];

/// Milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half took no longer.
    pub p50: f64,
    /// Nine of ten.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    pub p999: f64,
    /// The longest.
    pub max: f64,
    /// On average.
    #[serde(default)]
    pub mean: f64,
    /// How many there were.
    #[serde(default)]
    pub count: u64,
    /// Percentiles and their milliseconds, for a plot.
    #[serde(default)]
    pub curve: Vec<(f64, f64)>,
}

impl Latency {
    /// What is shown of it, with its names.
    pub fn columns(&self) -> [(&'static str, f64); 5] {
        [("p50", self.p50), ("p90", self.p90), ("p99", self.p99), ("p99.9", self.p999), ("max", self.max)]
    }
}

impl From<&Histogram<u64>> for Latency {
    fn from(micros: &Histogram<u64>) -> Self {
        let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1000.0;
        // The slowest of a hundred are one at least.
        let told = |percentile: &&f64| micros.len() as f64 * (100.0 - **percentile) / 100.0 > 0.999;
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: micros.max() as f64 / 1000.0,
            mean: micros.mean() / 1000.0,
            count: micros.len(),
            curve: CURVE
                .iter()
                .filter(told)
                .map(|percentile| (*percentile, at(percentile / 100.0)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_ends_where_nothing_more_is_known() {
        let mut histogram = Histogram::new_with_max(1_000_000, 3).unwrap();
        assert!(Latency::from(&histogram).curve.is_empty());
        (1..=100).for_each(|millis| histogram.record(millis * 1000).unwrap());
        let latency = Latency::from(&histogram);
        assert_eq!(latency.count, 100);
        assert_eq!(latency.curve.last().map(|(percentile, _)| *percentile), Some(99.0));
        let ninety = latency.curve.iter().find(|(percentile, _)| *percentile == 90.0).unwrap();
        assert_eq!(ninety.1, latency.p90);
    }
}
