//! How much waits for clients, for operators. It is looked at now and then, so
//! that no delivery pays for it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::outbound::Outbound;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// Queues looked at before others get the thread.
const SLICE: usize = 1024;

/// Keeps the gauges of queues until `stop`.
pub async fn watch(app: Arc<App>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
        let mut waiting = Waiting::default();
        for some in app.outbounds().chunks(SLICE) {
            waiting.add(some);
            tokio::task::yield_now().await;
        }
        let metrics = app.hub.metrics();
        metrics.queue_bytes.set(waiting.bytes as f64);
        metrics.longest_queue_bytes.set(waiting.longest as f64);
    }
}

/// What waits in queues.
#[derive(Debug, Default, PartialEq, Eq)]
struct Waiting {
    /// In all of them.
    bytes: usize,
    /// In the longest.
    longest: usize,
}

impl Waiting {
    fn add(&mut self, queues: &[Arc<Outbound>]) {
        for bytes in queues.iter().map(|queue| queue.waiting()) {
            self.bytes += bytes;
            self.longest = self.longest.max(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn all_queues_are_summed_and_the_longest_is_told() {
        let queues: Vec<_> = [3, 0, 5]
            .map(|bytes| {
                let queue = Outbound::new(10);
                queue.push(vec![0; bytes].into());
                Arc::new(queue)
            })
            .into();
        let mut waiting = Waiting::default();
        waiting.add(&queues);
        assert_eq!(waiting, Waiting { bytes: 8, longest: 5 });
        // Over its bound it is given up, and its client is sent away.
        queues[2].push(Bytes::from_static(b"more than fits"));
        let mut waiting = Waiting::default();
        waiting.add(&queues);
        assert_eq!(waiting, Waiting { bytes: 3, longest: 3 });
    }
}
