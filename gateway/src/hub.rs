//! Everything with listeners on this node: feeds by id, clients by id, and the
//! background work that keeps feeds true while the broker is not.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bus::{Broker, BusError, Inbox};
use bytes::Bytes;
use prost::Message as _;
use proto::node::{self, Ephemeral, FeedHeads, answer, query};
use proto::{Cursor, FeedId, RoomId, subject};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::Client;
use crate::feed::{Feed, FeedInbox, Input};
use crate::link::Link;
use crate::metrics::Metrics;

const SHARDS: usize = 64;
/// Ephemeral events waiting for the broker; more are dropped.
const MAX_EPHEMERAL: usize = 4096;
/// How often heads are asked for while the broker is away.
const HEADS_INTERVAL: Duration = Duration::from_secs(1);
/// Feeds asked for in one question.
const HEADS_AT_ONCE: usize = 1000;
/// Pause before a fill is tried again.
const FILL_RETRY: Duration = Duration::from_millis(300);

type Shard = Mutex<HashMap<FeedId, Arc<Feed>>>;

/// The registry of one gateway.
pub struct Hub {
    shards: Box<[Shard]>,
    hasher: RandomState,
    clients: Mutex<HashMap<u64, Arc<Client>>>,
    broker: Arc<dyn Broker>,
    link: Link,
    ephemeral: mpsc::Sender<Ephemeral>,
    metrics: Arc<Metrics>,
    /// After this a typing sign stops by itself.
    typing_expiry: Duration,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Hub {
    /// A hub whose background tasks run on `tasks` until `stop`.
    pub async fn start(
        broker: Arc<dyn Broker>,
        link: Link,
        metrics: Arc<Metrics>,
        typing_expiry: Duration,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, BusError> {
        let (ephemeral, to_publish) = mpsc::channel(MAX_EPHEMERAL);
        let hub = Arc::new(Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            hasher: RandomState::new(),
            clients: Mutex::default(),
            broker: broker.clone(),
            link,
            ephemeral,
            metrics,
            typing_expiry,
            tasks: tasks.clone(),
            stop: stop.clone(),
        });
        let inbox = Arc::new(HeadsInbox(Arc::downgrade(&hub)));
        let heads = broker.subscribe(subject::HEADS.to_owned(), inbox).await?;
        tasks.spawn(publish_ephemeral(broker.clone(), to_publish, stop.clone()));
        let watching = hub.clone();
        tasks.spawn(async move {
            let _heads = heads;
            stop.run_until_cancelled(watching.watch_broker()).await;
        });
        Ok(hub)
    }

    /// The metrics of this gateway.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Owns every task of this gateway.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// The way to the dispatchers.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Registers a client.
    pub fn enter(&self, client: &Arc<Client>) {
        self.clients().insert(client.id, client.clone());
    }

    /// The client's connection is gone: it hears nothing any more.
    pub fn leave(&self, client: &Arc<Client>) {
        self.clients().remove(&client.id);
        for feed in client.take_feeds() {
            feed.post(Input::Detach { client: client.clone(), done: None });
        }
    }

    /// Every client that is connected now.
    pub fn all_clients(&self) -> Vec<Arc<Client>> {
        self.clients().values().cloned().collect()
    }

    /// Begins a join: from here on the feed holds what comes. To be ended by
    /// [`Input::Attach`] or [`Input::JoinFailed`].
    pub async fn begin_join(self: &Arc<Self>, id: &FeedId) -> Result<Arc<Feed>, BusError> {
        let feed = {
            let mut shard = self.shard(id);
            let feed = shard.entry(id.clone()).or_insert_with(|| {
                self.metrics.feeds.increment(1);
                Feed::new(id.clone(), Arc::downgrade(self), self.typing_expiry)
            });
            // Under the shard's lock, so that release() cannot let go of it now.
            feed.interest().fetch_add(1, Ordering::Relaxed);
            feed.clone()
        };
        let inbox = Arc::new(FeedInbox(Arc::downgrade(&feed)));
        let subscribed =
            feed.subscription().get_or_try_init(|| self.broker.subscribe(subject::all(id), inbox)).await;
        if let Err(error) = subscribed {
            self.release(&feed, 1);
            return Err(error);
        }
        feed.post(Input::BeginJoin);
        Ok(feed)
    }

    /// So many joins or listeners of a feed are over; the last one takes it away.
    pub(crate) fn release(&self, feed: &Arc<Feed>, count: usize) {
        if count == 0 {
            return;
        }
        let mut shard = self.shard(feed.id());
        if feed.interest().fetch_sub(count, Ordering::Relaxed) == count
            && shard.get(feed.id()).is_some_and(|kept| Arc::ptr_eq(kept, feed))
        {
            shard.remove(feed.id());
            self.metrics.feeds.decrement(1);
        }
    }

    /// Asks the store what a feed has missed, and tells the feed.
    pub(crate) fn fill(self: &Arc<Self>, feed: Arc<Feed>, since: Cursor) {
        let hub = self.clone();
        self.tasks.spawn(async move {
            let changes = node::Changes { feed: Some(feed.id().into()), since: since.to_string() };
            let filled = match hub.link.ask(Default::default(), query::Question::Changes(changes)).await {
                Ok(answer::Result::Changes(changes)) => {
                    hub.metrics.fills.increment(1);
                    Some(changes)
                }
                _ => {
                    hub.metrics.fill_errors.increment(1);
                    hub.stop.run_until_cancelled(tokio::time::sleep(FILL_RETRY)).await;
                    None
                }
            };
            feed.post(Input::Filled(filled));
        });
    }

    /// Posts an input after a delay, if the feed is still there then.
    pub(crate) fn post_later(&self, feed: &Arc<Feed>, delay: Duration, input: Input) {
        let feed = Arc::downgrade(feed);
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            if stop.run_until_cancelled(tokio::time::sleep(delay)).await.is_some()
                && let Some(feed) = feed.upgrade()
            {
                feed.post(input);
            }
        });
    }

    /// Publishes something ephemeral, soon; dropped where the broker does not keep up.
    pub fn publish(&self, ephemeral: Ephemeral) {
        if self.ephemeral.try_send(ephemeral).is_err() {
            self.metrics.ephemeral_dropped.increment(1);
        }
    }

    /// After every disturbance of the broker, and each second while it is away,
    /// asks the dispatchers for the heads of what is followed here (P7).
    async fn watch_broker(self: Arc<Self>) {
        let mut link = self.broker.link();
        let mut seen = *link.borrow_and_update();
        loop {
            if seen.up {
                if link.changed().await.is_err() {
                    return;
                }
            } else {
                tokio::select! {
                    changed = link.changed() => if changed.is_err() { return },
                    () = tokio::time::sleep(HEADS_INTERVAL) => {}
                }
            }
            let now = *link.borrow_and_update();
            if !now.up || now.epoch != seen.epoch {
                self.ask_heads().await;
            }
            seen = now;
        }
    }

    async fn ask_heads(&self) {
        let feeds: Vec<_> =
            self.shards.iter().flat_map(|shard| lock(shard).values().cloned().collect::<Vec<_>>()).collect();
        for some in feeds.chunks(HEADS_AT_ONCE) {
            let heads = node::Heads { feeds: some.iter().map(|feed| feed.id().into()).collect() };
            match self.link.ask(Default::default(), query::Question::Heads(heads)).await {
                Ok(answer::Result::Heads(heads)) => self.announced(heads),
                Ok(_) => tracing::warn!("a dispatcher answered heads with something else"),
                Err(error) => tracing::debug!(code = error.code, "heads could not be asked for"),
            }
        }
    }

    fn announced(&self, heads: FeedHeads) {
        for head in heads.heads {
            let Some(Ok(id)) = head.feed.as_ref().map(FeedId::try_from) else { continue };
            let feed = self.shard(&id).get(&id).cloned();
            if let Some(feed) = feed {
                feed.post(Input::Head(head.head));
            }
        }
    }

    fn shard(&self, id: &FeedId) -> std::sync::MutexGuard<'_, HashMap<FeedId, Arc<Feed>>> {
        lock(&self.shards[shard_of(&self.hasher, id)])
    }

    fn clients(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Client>>> {
        self.clients.lock().expect("no panic while the clients are locked")
    }
}

fn lock(shard: &Shard) -> std::sync::MutexGuard<'_, HashMap<FeedId, Arc<Feed>>> {
    shard.lock().expect("no panic while a shard is locked")
}

fn shard_of(hasher: &RandomState, id: &impl Hash) -> usize {
    hasher.hash_one(id) as usize % SHARDS
}

struct HeadsInbox(Weak<Hub>);

impl Inbox for HeadsInbox {
    fn receive(&self, _subject: &str, payload: Bytes) {
        let Some(hub) = self.0.upgrade() else { return };
        match FeedHeads::decode(payload) {
            Ok(heads) => hub.announced(heads),
            Err(error) => tracing::warn!(%error, "not an announcement of ours"),
        }
    }
}

/// Publishes ephemeral events one after the other, so that a typing sign and its
/// stop keep their order.
async fn publish_ephemeral(
    broker: Arc<dyn Broker>,
    mut waiting: mpsc::Receiver<Ephemeral>,
    stop: CancellationToken,
) {
    while let Some(Some(ephemeral)) = stop.run_until_cancelled(waiting.recv()).await {
        let Ok(room) = RoomId::new(&ephemeral.room) else { continue };
        // Away: nobody would hear it in time.
        if let Err(error) = broker.publish(subject::now(&room), ephemeral.encode_to_vec().into()).await {
            tracing::debug!(%error, "an ephemeral event was not published");
        }
    }
}
