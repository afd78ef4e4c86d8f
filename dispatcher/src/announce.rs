//! Announcing the heads of feeds that changed lately, read back from the store:
//! a gateway that missed the last event of a feed learns of it, also when the
//! dispatcher that should have published it is gone.

use std::collections::HashMap;
use std::sync::Arc;

use bus::Broker;
use prost::Message as _;
use proto::node::{FeedHead, FeedHeads};
use proto::{FeedId, Seq, subject};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::metrics;
use crate::settings::Settings;
use crate::store::{Store, StoreError};

/// Heads in one announcement: far below what a broker carries in one message.
const CHUNK: usize = 1000;

/// Announces until `stop`.
pub(crate) async fn run(
    store: Arc<dyn Store>,
    broker: Arc<dyn Broker>,
    settings: Arc<Settings>,
    stop: CancellationToken,
) {
    let mut announced = Announced::default();
    let mut away = false;
    let mut forgotten = Instant::now();
    let mut ticks = interval(settings.announce_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let window = u32::try_from(settings.announce_window.as_secs()).unwrap_or(u32::MAX).max(1);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let work = async {
            let recent = store.recent_heads(window).await?;
            if forgotten.elapsed() >= settings.forget_every {
                forgotten = Instant::now();
                store.forget_old_activity().await?;
            }
            crate::store::Result::Ok(recent)
        };
        let recent = tokio::select! {
            () = stop.cancelled() => return,
            recent = timeout(settings.store_deadline, work) => recent,
        };
        let recent = recent.unwrap_or_else(|elapsed| Err(StoreError::Unavailable(elapsed.into())));
        let recent = match recent {
            Ok(recent) => recent,
            Err(error) => {
                if !std::mem::replace(&mut away, true) {
                    warn!(%error, "cannot read recent heads; announcing again when the store answers");
                }
                continue;
            }
        };
        if std::mem::take(&mut away) {
            info!("announcing heads again");
        }
        for chunk in announced.due(recent, settings.announce_times).chunks(CHUNK) {
            let heads = chunk.iter().map(|(feed, head)| FeedHead { feed: Some(feed.into()), head: *head });
            let payload = FeedHeads { heads: heads.collect() }.encode_to_vec();
            let published =
                timeout(settings.publish_timeout, broker.publish(subject::HEADS.to_owned(), payload.into()));
            if matches!(published.await, Ok(Ok(()))) {
                announced.note(chunk);
                ::metrics::counter!(metrics::ANNOUNCED).increment(chunk.len() as u64);
            } else {
                // The broker is away. What was not announced stays due.
                ::metrics::counter!(metrics::PUBLISH_ERRORS).increment(1);
                break;
            }
        }
    }
}

/// What was announced how often. Holds no feed that the store does not call recent.
#[derive(Default)]
struct Announced {
    times: HashMap<FeedId, (Seq, u8)>,
}

impl Announced {
    /// Those of the recent heads that were not announced `times` times yet.
    fn due(&mut self, recent: Vec<(FeedId, Seq)>, times: u8) -> Vec<(FeedId, Seq)> {
        let mut known = HashMap::with_capacity(recent.len());
        let mut due = Vec::new();
        for (feed, head) in recent {
            let before = match self.times.remove(&feed) {
                Some((seq, times)) if seq == head => times,
                _ => 0,
            };
            if before < times {
                due.push((feed.clone(), head));
            }
            known.insert(feed, (head, before));
        }
        self.times = known;
        due
    }

    fn note(&mut self, announced: &[(FeedId, Seq)]) {
        for (feed, _) in announced {
            if let Some((_, times)) = self.times.get_mut(feed) {
                *times = times.saturating_add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::RoomId;

    use super::*;

    #[test]
    fn a_head_is_announced_three_times_and_then_forgotten() {
        let feed = |name| FeedId::Room(RoomId::new(name).unwrap());
        let mut announced = Announced::default();
        for _ in 0..3 {
            let due = announced.due(vec![(feed("a"), 7)], 3);
            assert_eq!(due, [(feed("a"), 7)]);
            announced.note(&due);
        }
        assert_eq!(announced.due(vec![(feed("a"), 7)], 3), []);
        // A newer head starts again; one that could not be announced stays due.
        assert_eq!(announced.due(vec![(feed("a"), 8)], 3), [(feed("a"), 8)]);
        assert_eq!(announced.due(vec![(feed("a"), 8)], 1), [(feed("a"), 8)]);
        announced.due(vec![(feed("b"), 1)], 3);
        assert_eq!(announced.times.len(), 1);
    }
}
