//! Repeating store calls that may succeed later.

use std::time::Duration;

use proto::{ErrorCode, v1};
use tokio::time::{Instant, timeout_at};
use tracing::{error, warn};

use crate::clock::random;
use crate::metrics;
use crate::store::{self, StoreError};

/// First wait after a transient error; doubles up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(10);
/// Short enough that a database's return is noticed at once.
const LONGEST: Duration = Duration::from_millis(320);

/// Growing, jittered waits up to a deadline.
pub(crate) struct Backoff {
    deadline: Instant,
    wait: Duration,
}

impl Backoff {
    /// Waits that end before `deadline`.
    pub(crate) fn until(deadline: Instant) -> Self {
        Self { deadline, wait: SHORTEST }
    }

    /// Waits before the next attempt. `false`: there is no time for another.
    pub(crate) async fn pause(&mut self, error: &StoreError) -> bool {
        let wait = match error {
            StoreError::Fault(_) => return false,
            // The other transaction has ended: a moment is enough.
            StoreError::Contention(_) => self.wait.min(SHORTEST * 2),
            StoreError::Unavailable(_) => self.wait,
        };
        self.wait = (self.wait * 2).min(LONGEST);
        // Between half and the whole: dispatchers must not return in step.
        let wait = wait / 2 + wait.mul_f64(f64::from(random()) / f64::from(u32::MAX) / 2.0);
        if Instant::now() + wait >= self.deadline {
            return false;
        }
        ::metrics::counter!(metrics::RETRIES).increment(1);
        tokio::time::sleep(wait).await;
        true
    }
}

/// Calls the store until it answers, refuses for good, or `deadline` passes.
pub(crate) async fn retry<T, F>(deadline: Instant, mut attempt: impl FnMut() -> F) -> store::Result<T>
where
    F: Future<Output = store::Result<T>>,
{
    let mut backoff = Backoff::until(deadline);
    loop {
        let error = match timeout_at(deadline, attempt()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error,
            Err(elapsed) => return Err(StoreError::Unavailable(elapsed.into())),
        };
        if !backoff.pause(&error).await {
            return Err(error);
        }
    }
}

/// What the client is told of a store error; the log gets the rest.
pub(crate) fn refusal(error: &StoreError, what: &'static str) -> v1::Error {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    if error.is_transient() {
        warn!(what, error = %error, cause, "the store is not available");
        ErrorCode::Unavailable.with("the store does not answer; try again with the same key")
    } else {
        error!(what, error = %error, cause, "the store refused");
        ErrorCode::Internal.with("a fault of the server's own")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn failing(times: u32, error: fn() -> StoreError) -> (AtomicU32, u32, fn() -> StoreError) {
        (AtomicU32::new(0), times, error)
    }

    async fn call(state: &(AtomicU32, u32, fn() -> StoreError)) -> store::Result<u32> {
        let calls = state.0.fetch_add(1, Ordering::Relaxed) + 1;
        if calls > state.1 { Ok(calls) } else { Err(state.2()) }
    }

    #[tokio::test]
    async fn transient_errors_are_repeated_and_faults_are_not() {
        let deadline = Instant::now() + Duration::from_secs(5);
        let away = failing(3, || StoreError::Unavailable("away".into()));
        assert_eq!(retry(deadline, || call(&away)).await.unwrap(), 4);
        let fault = failing(1, || StoreError::Fault("bad".into()));
        assert!(matches!(retry(deadline, || call(&fault)).await, Err(StoreError::Fault(_))));
    }

    #[tokio::test]
    async fn the_deadline_ends_it() {
        let away = failing(u32::MAX, || StoreError::Unavailable("away".into()));
        let deadline = Instant::now() + Duration::from_millis(50);
        assert!(matches!(retry(deadline, || call(&away)).await, Err(StoreError::Unavailable(_))));
        let hangs = retry(deadline, std::future::pending::<store::Result<()>>).await;
        assert!(matches!(hangs, Err(StoreError::Unavailable(_))));
    }
}
