//! What a run has shown.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Result of a run.
#[derive(Serialize)]
pub struct Report {
    /// What was asked for.
    pub rooms: usize,
    /// Members of each room.
    pub members: usize,
    /// Senders in all.
    pub senders: usize,
    /// Asked for messages per second; 0: as fast as answered.
    pub rate: u64,
    /// Messages answered, the warm-up included.
    pub answered: u64,
    /// Messages heard by members, the warm-up included.
    pub delivered: u64,
    /// Messages refused.
    pub refused: u64,
    /// Messages answered per second of measuring.
    pub answered_per_second: f64,
    /// Messages heard per second of measuring.
    pub delivered_per_second: f64,
    /// From the intended send to the answer.
    pub answer_ms: Latency,
    /// From the intended send to each member's hearing it.
    pub delivery_ms: Latency,
    /// What was wrong; the first ones.
    pub violations: Vec<String>,
}

/// Milliseconds.
#[derive(Serialize)]
pub struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl From<&Histogram<u64>> for Latency {
    fn from(micros: &Histogram<u64>) -> Self {
        let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1000.0;
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: micros.max() as f64 / 1000.0 }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p90, p99, p999, max } = self;
        write!(f, "p50 {p50:.2}  p90 {p90:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.2} ms")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} rooms of {} members, {} senders", self.rooms, self.members, self.senders)?;
        writeln!(f, "answered   {:>10.0} /s   {}", self.answered_per_second, self.answer_ms)?;
        writeln!(f, "delivered  {:>10.0} /s   {}", self.delivered_per_second, self.delivery_ms)?;
        writeln!(
            f,
            "in all {} answered and stored, {} delivered, {} refused",
            self.answered, self.delivered, self.refused
        )?;
        if self.violations.is_empty() {
            write!(f, "every member heard every message once, in order, and the store agrees")
        } else {
            writeln!(f, "WRONG:")?;
            self.violations.iter().try_for_each(|violation| writeln!(f, "  {violation}"))
        }
    }
}
