//! Ends a gateway without a loss (P8): every client is told when to come back,
//! spread over time, so that the other nodes are not hit by all of them at once.

use std::sync::Arc;
use std::time::Duration;

use proto::CloseCode;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::metrics::Drain;
use crate::outbound::{Closing, Outbound};

/// Pause between two waves of closes: short, since a second has one wave more
/// where it begins with one.
const WAVE: Duration = Duration::from_millis(20);
/// Waves that begin within any second.
const WAVES_PER_SECOND: u64 = 50;
/// What is closed of what a second may have, in percent. The others get the
/// rest on top, from those whom the second before has held up on their way.
const CLOSED_PERCENT: u64 = 80;
/// How long clients may take to go after the last wave.
const PATIENCE: Duration = Duration::from_secs(10);

/// Closes every connection, in no second more than a `spread`th of them, and
/// waits for them to end.
pub async fn drain(app: &App, connections: &TaskTracker, spread: Duration) {
    let metrics = &app.hub.metrics().drain;
    let open =
        || -> Vec<_> { app.outbounds().into_iter().filter(|outbound| !outbound.is_closing()).collect() };
    let count = open().len();
    let mut pace = Pace::new(count, spread);
    tracing::info!(connections = count, ?spread, per_second = pace.per_second, "draining");
    metrics.draining.set(1.0);
    let pause = async || tokio::time::sleep(WAVE).await;
    close_all(&open, &mut pace, metrics, &pause).await;
    connections.close();
    let ended = async {
        // A handshake that was under way may end in a connection even now.
        while tokio::time::timeout(WAVE, connections.wait()).await.is_err() {
            close_all(&open, &mut pace, metrics, &pause).await;
        }
    };
    if tokio::time::timeout(PATIENCE, ended).await.is_err() {
        tracing::warn!(left = connections.len(), "some connections did not end in time");
    }
}

/// Closes all that are open, and those that open meanwhile.
///
/// The pause is counted from the end of a wave. On a machine that is late, waves
/// move apart, and never together.
async fn close_all(
    open: &impl Fn() -> Vec<Arc<Outbound>>,
    pace: &mut Pace,
    metrics: &Drain,
    pause: &impl AsyncFn(),
) {
    let mut left = open();
    while !left.is_empty() {
        if pace.has_begun() {
            pause().await;
        }
        close_wave(&mut left, pace.next_wave(), metrics);
        if left.is_empty() {
            left = open();
        }
        metrics.left.set(left.len() as f64);
    }
}

/// Closes so many of these, as far as they are still open.
fn close_wave(left: &mut Vec<Arc<Outbound>>, count: u64, metrics: &Drain) {
    let mut closed = 0;
    while closed < count
        && let Some(outbound) = left.pop()
    {
        // The waves are the spread; the delay spreads each of them.
        let delay = WAVE.as_millis() as u64 * closed / count;
        let closing = Closing { code: CloseCode::Drain, reason: format!("drain {delay}") };
        closed += u64::from(outbound.close(closing));
    }
    if closed > 0 {
        metrics.closes.increment(closed);
        metrics.waves.increment(1);
    }
}

/// How many are closed in each wave: in no second more than the rate, wherever
/// that second begins.
#[derive(Debug)]
struct Pace {
    per_second: u64,
    waves: u64,
}

impl Pace {
    /// The rate at which so many are closed where `spread` would be time for all
    /// if none was held up; rounded up to whole connections a second.
    fn new(connections: usize, spread: Duration) -> Self {
        let millis = spread.max(WAVE).as_millis() as u64;
        let per_second = (connections as u64 * 10 * CLOSED_PERCENT).div_ceil(millis).max(1);
        Self { per_second, waves: 0 }
    }

    fn has_begun(&self) -> bool {
        self.waves > 0
    }

    /// How many the next wave closes. What is rounded up in one is missing in a
    /// later one, so that those of a second have exactly what a second may have.
    fn next_wave(&mut self) -> u64 {
        let closed_after = |waves: u64| (self.per_second * waves).div_ceil(WAVES_PER_SECOND);
        let count = closed_after(self.waves + 1) - closed_after(self.waves);
        self.waves += 1;
        count
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::*;

    /// The waves until so many are closed.
    fn waves(connections: usize, spread: Duration) -> Vec<u64> {
        let mut pace = Pace::new(connections, spread);
        let mut left = connections as u64;
        let mut waves = Vec::new();
        while left > 0 {
            let wave = pace.next_wave().min(left);
            left -= wave;
            waves.push(wave);
        }
        waves
    }

    /// The most in any so many waves in a row.
    fn most_in(count: u64, waves: &[u64]) -> u64 {
        (0..waves.len()).map(|from| waves[from..].iter().take(count as usize).sum()).max().unwrap_or(0)
    }

    #[test]
    fn p8_the_rate_is_what_the_spread_asks_for() {
        let seconds = Duration::from_secs;
        for (connections, spread, per_second, first) in [
            (1490, seconds(5), 239, [5, 5, 5, 5, 4]),
            (1000, seconds(5), 160, [4, 3, 3, 3, 3]),
            (7, seconds(5), 2, [1, 0, 0, 0, 0]),
            (1, seconds(30), 1, [1, 0, 0, 0, 0]),
            (0, seconds(5), 1, [1, 0, 0, 0, 0]),
            (100, Duration::from_millis(400), 200, [4, 4, 4, 4, 4]),
            // Nothing to spread over: nearly all at once.
            (100, Duration::ZERO, 4000, [80, 80, 80, 80, 80]),
        ] {
            let mut pace = Pace::new(connections, spread);
            let waves = [(); 5].map(|()| pace.next_wave());
            assert_eq!((pace.per_second, waves), (per_second, first), "{connections} over {spread:?}");
        }
    }

    proptest! {
        /// P8: the setting is an upper bound in every second, the last is closed
        /// a quarter later at the latest, and no wave stands out.
        #[test]
        fn p8_no_second_has_more_than_its_share(connections in 1..50_000_usize, seconds in 1..120_u64) {
            let waves = waves(connections, Duration::from_secs(seconds));
            let share = (connections as u64).div_ceil(seconds);
            prop_assert!(most_in(WAVES_PER_SECOND, &waves) <= share);
            // A second that begins with a wave and ends with one; of very few,
            // single ones count.
            prop_assert!(share <= 10 || most_in(WAVES_PER_SECOND + 1, &waves) <= share);
            prop_assert!(waves.len() as u64 <= (seconds * WAVES_PER_SECOND * 100).div_ceil(CLOSED_PERCENT));
            let largest = waves.iter().max().copied().unwrap_or(0);
            prop_assert!(largest <= share.div_ceil(WAVES_PER_SECOND));
        }
    }

    fn outbounds(count: usize) -> Vec<Arc<Outbound>> {
        (0..count).map(|_| Arc::new(Outbound::new(100))).collect()
    }

    fn closed(outbounds: &[Arc<Outbound>]) -> usize {
        outbounds.iter().filter(|outbound| outbound.is_closing()).count()
    }

    #[tokio::test]
    async fn p8_whoever_comes_meanwhile_is_closed_at_the_same_pace() {
        let all = RefCell::new(outbounds(40));
        let open = || all.borrow().iter().filter(|outbound| !outbound.is_closing()).cloned().collect();
        let counts = RefCell::new(Vec::new());
        let pause = async || {
            let count = closed(&all.borrow());
            counts.borrow_mut().push(count);
            // Handshakes that end after the drain has begun.
            if count == 20 {
                all.borrow_mut().extend(outbounds(15));
            }
        };
        let mut pace = Pace::new(40, Duration::from_millis(64));
        close_all(&open, &mut pace, &Drain::default(), &pause).await;
        assert_eq!(closed(&all.borrow()), 55);
        assert_eq!(*counts.borrow(), [10, 20, 30, 40, 50]);
    }

    #[tokio::test]
    async fn p8_the_clients_of_one_wave_are_told_to_come_back_one_by_one() {
        let all = outbounds(4);
        // One has gone by itself, and is not told twice.
        all[0].close(Closing::with(CloseCode::SlowReader));
        let open = || all.iter().filter(|outbound| !outbound.is_closing()).cloned().collect();
        close_all(&open, &mut Pace::new(3, Duration::ZERO), &Drain::default(), &async || ()).await;
        let mut reasons: Vec<_> =
            all.iter().map(|outbound| outbound.take().closing.expect("it is closing").reason).collect();
        reasons.sort();
        assert_eq!(reasons, ["drain 0", "drain 13", "drain 6", "slow_reader"]);
    }
}
