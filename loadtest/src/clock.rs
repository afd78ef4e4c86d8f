//! One clock for everyone in this process: microseconds since it started.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Microseconds since the first call.
pub fn now() -> u64 {
    START.elapsed().as_micros() as u64
}

/// When that was, for a timer.
pub fn at(micros: u64) -> tokio::time::Instant {
    tokio::time::Instant::from_std(*START + Duration::from_micros(micros))
}
