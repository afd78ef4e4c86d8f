//! Waiting for conditions, the only kind of waiting that tests do.

use std::time::{Duration, Instant};

/// First pause between two looks; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Looks again and again until `look` answers with something, and panics with
/// what it waited for when that takes longer than `timeout`.
pub async fn eventually<T>(
    what: impl AsRef<str>,
    timeout: Duration,
    look: impl AsyncFnMut() -> Option<T>,
) -> T {
    match try_eventually(what, timeout, look).await {
        Ok(seen) => seen,
        Err(error) => panic!("{error}"),
    }
}

/// As [`eventually`], with an error in place of a panic.
pub async fn try_eventually<T>(
    what: impl AsRef<str>,
    timeout: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + timeout;
    let mut pause = FIRST_PAUSE;
    loop {
        // A look that hangs counts as one that saw nothing.
        let left = deadline.saturating_duration_since(Instant::now()).max(FIRST_PAUSE);
        if let Ok(Some(seen)) = tokio::time::timeout(left, look()).await {
            return Ok(seen);
        }
        if Instant::now() >= deadline {
            anyhow::bail!("waited {timeout:?} in vain for {}", what.as_ref());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_answers_with_what_was_seen() {
        let mut looks = 0;
        let seen = eventually("the third look", Duration::from_secs(5), async || {
            looks += 1;
            (looks == 3).then_some(looks)
        })
        .await;
        assert_eq!(seen, 3);
    }

    #[tokio::test]
    async fn it_says_what_it_waited_for() {
        let never = try_eventually("the moon", Duration::from_millis(5), async || None::<()>).await;
        assert_eq!(never.unwrap_err().to_string(), "waited 5ms in vain for the moon");
        let hung = try_eventually("an answer", Duration::from_millis(5), async || {
            std::future::pending::<Option<()>>().await
        });
        assert!(hung.await.is_err());
    }
}
