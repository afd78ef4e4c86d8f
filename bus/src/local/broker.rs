//! The broker of one process. A message goes to its inboxes on the publisher's
//! own task: there is no queue to fill and nothing to wait for.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::lock;
use crate::meter::BrokerMeter;
use crate::pattern::{check_pattern, check_subject};
use crate::{Broker, BusError, Inbox, Link, Subscription};

/// Locks that publishers and subscribers share; a power of two.
const SHARDS: usize = 64;
/// Messages that wait for their delay; more make publishers wait.
const DELAYED: usize = 4096;

/// What goes wrong on request. Counts are of published messages; 0 is never.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Every n-th message is lost.
    pub drop_every: u64,
    /// Every n-th message arrives twice.
    pub repeat_every: u64,
    /// Every n-th message is held, and arrives after the next one on its
    /// subject (or when another one is to be held).
    pub reorder_every: u64,
    /// Every message arrives this much later.
    pub delay: Duration,
}

/// A [`Broker`] within this process.
pub struct LocalBroker {
    core: Arc<Core>,
    link: watch::Sender<Link>,
    faults: Option<Faulty>,
}

struct Core {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    next_id: AtomicU64,
    meter: BrokerMeter,
}

/// Lists are never changed but replaced, so that a publisher takes one with a
/// short lock and calls the inboxes without any.
type Listeners = Arc<[Listener]>;

#[derive(Default)]
struct Shard {
    /// By subject.
    exact: HashMap<Arc<str>, Listeners>,
    /// Of `stem.*`, by stem.
    under: HashMap<Arc<str>, Listeners>,
}

#[derive(Clone)]
struct Listener {
    id: u64,
    inbox: Arc<dyn Inbox>,
}

struct Faulty {
    faults: Faults,
    published: AtomicU64,
    held: Mutex<Option<(String, Bytes)>>,
    /// To the task that lets messages wait; `None` without a delay.
    delayed: Option<mpsc::Sender<(Instant, String, Bytes)>>,
    _task: Option<AbortOnDropHandle<()>>,
}

impl Default for LocalBroker {
    fn default() -> Self {
        Self::new()
    }
}

impl LocalBroker {
    /// A broker that loses nothing.
    pub fn new() -> Self {
        let meter = BrokerMeter::new();
        meter.link_up.set(1.0);
        let core = Core {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            next_id: AtomicU64::new(0),
            meter,
        };
        Self { core: Arc::new(core), link: watch::Sender::new(Link { up: true, epoch: 1 }), faults: None }
    }

    /// A broker that goes wrong in these ways, for tests. With a delay it must
    /// be called within a runtime.
    pub fn with_faults(faults: Faults) -> Self {
        let broker = Self::new();
        let (delayed, task) = if faults.delay.is_zero() {
            (None, None)
        } else {
            let (sender, mut receiver) = mpsc::channel::<(Instant, String, Bytes)>(DELAYED);
            let core = broker.core.clone();
            let task = tokio::spawn(async move {
                while let Some((due, subject, payload)) = receiver.recv().await {
                    tokio::time::sleep_until(due).await;
                    core.deliver(&subject, &payload);
                }
            });
            (Some(sender), Some(AbortOnDropHandle::new(task)))
        };
        let faults =
            Faulty { faults, published: AtomicU64::new(0), held: Mutex::new(None), delayed, _task: task };
        Self { faults: Some(faults), ..broker }
    }

    /// Takes the link down or up. While it is down publishing fails; what was
    /// held back is lost with it.
    pub fn set_up(&self, up: bool) {
        let changed = self.link.send_if_modified(|link| {
            let changed = link.up != up;
            link.up = up;
            link.epoch += u64::from(changed && up);
            changed
        });
        if !changed {
            return;
        }
        self.core.meter.link_up.set(f64::from(u8::from(up)));
        if up {
            self.core.meter.reconnects.increment(1);
        } else if let Some(faulty) = &self.faults {
            lock(&faulty.held).take();
        }
    }

    /// How many subscriptions there are.
    pub fn subscriptions(&self) -> usize {
        let count =
            |lists: &HashMap<Arc<str>, Listeners>| lists.values().map(|list| list.len()).sum::<usize>();
        self.core.shards.iter().map(lock).map(|shard| count(&shard.exact) + count(&shard.under)).sum()
    }
}

impl Core {
    /// The shard of a subject and of the wildcard that covers it: one lock.
    fn shard(&self, stem: &str) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(stem) as usize % SHARDS]
    }

    fn deliver(&self, subject: &str, payload: &Bytes) {
        let stem = stem(subject);
        let (exact, under) = {
            let shard = lock(self.shard(stem.unwrap_or(subject)));
            (shard.exact.get(subject).cloned(), stem.and_then(|stem| shard.under.get(stem).cloned()))
        };
        for listener in [exact, under].iter().flatten().flat_map(|list| list.iter()) {
            listener.inbox.receive(subject, payload.clone());
            self.meter.received.increment(1);
        }
    }

    fn add(&self, key: &Arc<str>, wildcard: bool, listener: Listener) {
        let mut shard = lock(self.shard_of_key(key, wildcard));
        let lists = if wildcard { &mut shard.under } else { &mut shard.exact };
        match lists.get_mut(key) {
            Some(list) => *list = list.iter().cloned().chain([listener]).collect(),
            None => drop(lists.insert(key.clone(), Arc::new([listener]))),
        }
    }

    fn remove(&self, key: &Arc<str>, wildcard: bool, id: u64) {
        // An inbox may hold subscriptions itself: what was replaced is dropped
        // after the lock, or its end would wait for this very lock.
        let _replaced = {
            let mut shard = lock(self.shard_of_key(key, wildcard));
            let lists = if wildcard { &mut shard.under } else { &mut shard.exact };
            let Some(list) = lists.get_mut(key) else { return };
            let rest: Listeners = list.iter().filter(|listener| listener.id != id).cloned().collect();
            if rest.is_empty() { lists.remove(key) } else { Some(std::mem::replace(list, rest)) }
        };
        self.meter.subscriptions.decrement(1);
    }

    fn shard_of_key(&self, key: &str, wildcard: bool) -> &Mutex<Shard> {
        self.shard(if wildcard { key } else { stem(key).unwrap_or(key) })
    }
}

/// What stands before the last token.
fn stem(subject: &str) -> Option<&str> {
    subject.rsplit_once('.').map(|(stem, _)| stem)
}

impl Faulty {
    /// What arrives instead of this message, in order.
    fn apply(&self, subject: String, payload: Bytes) -> Vec<(String, Bytes)> {
        let Faults { drop_every, repeat_every, reorder_every, .. } = self.faults;
        let number = self.published.fetch_add(1, Ordering::Relaxed) + 1;
        let every = |n: u64| n != 0 && number.is_multiple_of(n);
        if every(drop_every) {
            return Vec::new();
        }
        let mut held = lock(&self.held);
        if every(reorder_every) {
            return held.replace((subject, payload)).into_iter().collect();
        }
        let late = held.take_if(|(of, _)| *of == subject);
        drop(held);
        let copies = if every(repeat_every) { 2 } else { 1 };
        std::iter::repeat_n((subject, payload), copies).chain(late).collect()
    }
}

#[async_trait]
impl Broker for LocalBroker {
    async fn publish(&self, subject: String, payload: Bytes) -> Result<(), BusError> {
        let meter = &self.core.meter;
        check_subject(&subject).inspect_err(|_| meter.publish_errors.increment(1))?;
        if !self.link.borrow().up {
            meter.publish_errors.increment(1);
            let source = io::Error::new(io::ErrorKind::NotConnected, "the link was taken down");
            return Err(BusError::Away { what: "broker", source: source.into() });
        }
        meter.published.increment(1);
        let Some(faulty) = &self.faults else {
            self.core.deliver(&subject, &payload);
            return Ok(());
        };
        for (subject, payload) in faulty.apply(subject, payload) {
            match &faulty.delayed {
                None => self.core.deliver(&subject, &payload),
                // The task ends only with this broker.
                Some(delayed) => {
                    let due = Instant::now() + faulty.faults.delay;
                    let _ = delayed.send((due, subject, payload)).await;
                }
            }
        }
        Ok(())
    }

    async fn subscribe(&self, subject: String, inbox: Arc<dyn Inbox>) -> Result<Subscription, BusError> {
        let stem = check_pattern(&subject)?;
        let (key, wildcard): (Arc<str>, bool) = (stem.unwrap_or(&subject).into(), stem.is_some());
        let id = self.core.next_id.fetch_add(1, Ordering::Relaxed);
        self.core.add(&key, wildcard, Listener { id, inbox });
        self.core.meter.subscriptions.increment(1);
        // Weak: an inbox often owns its subscription, and the core the inbox.
        let core = Arc::downgrade(&self.core);
        Ok(Subscription::new(move || {
            if let Some(core) = core.upgrade() {
                core.remove(&key, wildcard, id);
            }
        }))
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }
}
