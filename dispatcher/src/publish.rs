//! Publishing what was committed. A hint: the broker may be away, a queue may
//! be full; then the announced heads tell the gateways to ask the store.

use std::sync::Arc;

use bus::Broker;
use prost::Message as _;
use proto::node::{Ephemeral, Event, Feed, ephemeral};
use proto::v1::{Change, ReadMark};
use proto::{FeedId, RoomId, subject};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::settings::Settings;
use crate::trace::{Publishing, TracedChange};
use crate::{clock, metrics, task};

/// What is published.
pub(crate) enum Publication {
    /// Committed changes of one feed, in order, and which of them are traced.
    Feed(FeedId, Vec<Change>, Vec<TracedChange>),
    /// A live read tick in a room.
    Read(RoomId, ReadMark),
}

/// Hands publications to the broker without making anybody wait for it. Those
/// of one feed go through one queue and keep their order.
#[derive(Clone)]
pub(crate) struct Publisher {
    queues: Arc<[mpsc::Sender<Waiting>]>,
}

/// What is published, and since when it waits.
type Waiting = (Publication, Instant);

impl Publisher {
    /// Starts one task a lane. They end after `stop`, when their queues are empty.
    pub(crate) fn start(
        tasks: &TaskTracker,
        broker: &Arc<dyn Broker>,
        settings: &Arc<Settings>,
        stop: &CancellationToken,
    ) -> Self {
        let queues = (0..settings.lanes.max(1)).map(|_| {
            let (sender, queue) = mpsc::channel(settings.publish_queue.max(1));
            let lane = Lane { broker: broker.clone(), settings: settings.clone(), away: false };
            task::spawn(tasks, "publisher", lane.run(queue, stop.clone()));
            sender
        });
        Self { queues: queues.collect() }
    }

    /// Takes a publication; drops it if the broker is too far behind.
    pub(crate) fn publish(&self, publication: Publication) {
        let key = match &publication {
            Publication::Feed(FeedId::Room(room), ..) | Publication::Read(room, _) => room.as_str(),
            Publication::Feed(FeedId::User(user), ..) => user.as_str(),
        };
        let queue = &self.queues[clock::place(key, self.queues.len())];
        if let Err(refused) = queue.try_send((publication, Instant::now())) {
            ::metrics::counter!(metrics::PUBLISH_ERRORS).increment(1);
            if let (Publication::Feed(feed, _, traced), _) = refused.into_inner() {
                traced.iter().for_each(|change| change.dropped(&feed));
            }
        }
    }
}

struct Lane {
    broker: Arc<dyn Broker>,
    settings: Arc<Settings>,
    /// The last publication was not taken: logged once, not for each.
    away: bool,
}

impl Lane {
    async fn run(mut self, mut queue: mpsc::Receiver<Waiting>, stop: CancellationToken) {
        let publish_seconds = ::metrics::histogram!(metrics::PUBLISH_SECONDS);
        let mut stopping = false;
        loop {
            let next = tokio::select! {
                biased;
                () = stop.cancelled(), if !stopping => {
                    queue.close();
                    stopping = true;
                    continue;
                }
                next = queue.recv() => next,
            };
            let Some((publication, since)) = next else { return };
            if stopping && self.away {
                // No time for a broker that does not answer: another
                // dispatcher announces the heads.
                ::metrics::counter!(metrics::PUBLISH_ERRORS).increment(1);
                continue;
            }
            match publication {
                Publication::Feed(feed, changes, traced) => {
                    let subject = subject::feed(&feed);
                    for mut event in events(&feed, changes, self.settings.max_payload_bytes) {
                        let publishing = Publishing::begin(&traced, &mut event);
                        let taken = self.publish(subject.clone(), event.encode_to_vec()).await;
                        if taken {
                            publish_seconds.record(since.elapsed());
                        }
                        publishing.end(&feed, taken);
                    }
                }
                Publication::Read(room, mark) => {
                    let kind = Some(ephemeral::Kind::ReadMark(mark));
                    let payload = Ephemeral { room: (&room).into(), kind }.encode_to_vec();
                    self.publish(subject::now(&room), payload).await;
                }
            }
        }
    }

    /// Whether the broker has taken it.
    async fn publish(&mut self, subject: String, payload: Vec<u8>) -> bool {
        let published = timeout(self.settings.publish_timeout, self.broker.publish(subject, payload.into()));
        let error = match published.await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the broker's queue is full".to_owned()),
        };
        let taken = error.is_none();
        let name = if taken { metrics::PUBLISHED } else { metrics::PUBLISH_ERRORS };
        ::metrics::counter!(name).increment(1);
        match error {
            Some(error) if !self.away => {
                warn!(error, "cannot publish; gateways learn of changes by asking");
                self.away = true;
            }
            None if self.away => {
                info!("publishing again");
                self.away = false;
            }
            _ => {}
        }
        taken
    }
}

/// The changes as events of a size that every broker carries.
fn events(feed: &FeedId, changes: Vec<Change>, max_bytes: usize) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::with_capacity(1);
    let mut bytes = 0;
    for change in changes {
        let size = change.encoded_len();
        match events.last_mut() {
            Some(event) if bytes + size <= max_bytes => event.changes.push(change),
            _ => {
                events.push(Event {
                    feed: Some(Feed::from(feed)),
                    changes: vec![change],
                    traces: Vec::new(),
                });
                bytes = 0;
            }
        }
        bytes += size;
    }
    events
}

#[cfg(test)]
mod tests {
    use proto::v1::{Message, change::Thing};

    use super::*;

    #[test]
    fn large_batches_become_several_events_in_order() {
        let change = |seq| {
            let message = Message { text: "x".repeat(1000), ..Default::default() };
            Change { seq, check: 0, thing: Some(Thing::Message(message)) }
        };
        let feed = FeedId::Room(RoomId::new("r").unwrap());
        let events = events(&feed, (1..=10).map(change).collect(), 3500);
        let seqs: Vec<Vec<u64>> =
            events.iter().map(|event| event.changes.iter().map(|change| change.seq).collect()).collect();
        assert_eq!(seqs, [vec![1, 2, 3], vec![4, 5, 6], vec![7, 8, 9], vec![10]]);
    }
}
