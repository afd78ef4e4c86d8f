//! One feed with listeners on this node: a room's, or a user's own.
//!
//! A feed is an actor without a task. Whatever happens to it is put into its
//! mailbox; whoever finds nobody at work there does the work: follows, encodes,
//! hands to each listener's queue. So order is kept without a lock over the
//! fan-out, and a quiet feed costs no task. Feeds with many listeners are worked
//! on by a task of their own, in slices, so that no other work waits for them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use bus::{Inbox, Subscription};
use bytes::Bytes;
use prost::Message as _;
use proto::node::{Ephemeral, Event, FeedChanges};
use proto::v1::{Change, server_frame::Body};
use proto::{Cursor, FeedId, Seq};
use tokio::sync::{OnceCell, oneshot};

use crate::client::Client;
use crate::hub::Hub;
use crate::trace::Coming;

mod actor;
#[cfg(test)]
mod actor_tests;
mod follower;
mod typing;

pub(crate) use actor::Actor;
use actor::{Effect, Fanout};
pub use follower::{Follower, HOLE_PATIENCE, Todo};

/// Above this many listeners a feed is worked on by a task of its own.
const MANY_LISTENERS: usize = 256;
/// Listeners served before others get the thread.
const SLICE: usize = 512;
/// Inputs waiting at one feed; beyond it hints are dropped, the follower finds the hole.
const MAX_MAILBOX: usize = 4096;

/// What happens to a feed.
pub(crate) enum Input {
    /// A client is about to ask the dispatcher: hold what comes from now on.
    BeginJoin,
    /// The dispatcher has answered a join.
    Attach(Box<Attach>),
    /// A join came to nothing.
    JoinFailed,
    /// A client leaves, or is gone; `done` answers this request.
    Detach { client: Arc<Client>, done: Option<u64> },
    /// Some of the changes that the broker is about to bring are traced.
    Traced(Vec<Coming>),
    /// The broker brought changes, at this time.
    Heard(Vec<Change>, Instant),
    /// The broker brought something ephemeral.
    Now(Ephemeral),
    /// A dispatcher announced the head.
    Head(Seq),
    /// The store answered a fill, or could not.
    Filled(Option<FeedChanges>),
    /// A hole's patience is over.
    Look,
    /// A typing sign may have run out.
    TypingLook,
}

/// A join that the dispatcher has allowed.
pub(crate) struct Attach {
    pub client: Arc<Client>,
    /// What the client hears first.
    pub answer: JoinAnswer,
    /// What the answer reaches.
    pub at: Cursor,
    /// The answer is a page: the client will ask again before it hears live.
    pub more: bool,
}

/// How a join is answered, before anything that is delivered after it.
pub(crate) enum JoinAnswer {
    /// `joined` or `ready`, to this request; 0 for `ready` without a request.
    Frame(u64, Body),
    /// Written already; whoever asked is told whether they have to ask again.
    Written(Bytes, oneshot::Sender<bool>),
}

/// A feed with listeners on this node.
pub struct Feed {
    id: FeedId,
    hub: Weak<Hub>,
    mailbox: Mutex<Mailbox>,
    actor: Mutex<Actor>,
    /// Joins on their way, and listeners. At 0 the hub lets go of the feed.
    interest: AtomicUsize,
    many: AtomicBool,
    subscription: OnceCell<Subscription>,
}

#[derive(Default)]
struct Mailbox {
    inputs: VecDeque<Input>,
    /// Someone is at work.
    busy: bool,
}

impl Feed {
    pub(crate) fn new(id: FeedId, hub: Weak<Hub>, typing_expiry: Duration) -> Arc<Self> {
        let actor = Mutex::new(Actor::new(&id, typing_expiry));
        Arc::new(Self {
            id,
            hub,
            mailbox: Mutex::default(),
            actor,
            interest: AtomicUsize::new(0),
            many: AtomicBool::new(false),
            subscription: OnceCell::new(),
        })
    }

    /// Which feed.
    pub fn id(&self) -> &FeedId {
        &self.id
    }

    pub(crate) fn interest(&self) -> &AtomicUsize {
        &self.interest
    }

    pub(crate) fn subscription(&self) -> &OnceCell<Subscription> {
        &self.subscription
    }

    /// Puts an input into the mailbox, and works on it unless someone does.
    pub(crate) fn post(self: &Arc<Self>, input: Input) {
        let hint = matches!(input, Input::Traced(_) | Input::Heard(..) | Input::Now(_) | Input::Head(_));
        {
            let mut mailbox = self.mailbox();
            if hint && mailbox.inputs.len() >= MAX_MAILBOX {
                if let Some(hub) = self.hub.upgrade() {
                    hub.metrics().hints_dropped.increment(1);
                }
                return;
            }
            mailbox.inputs.push_back(input);
            if std::mem::replace(&mut mailbox.busy, true) {
                return;
            }
        }
        let Some(hub) = self.hub.upgrade() else { return };
        if self.many.load(Ordering::Relaxed) {
            let feed = self.clone();
            let tasks = hub.tasks().clone();
            tasks.spawn(async move { feed.work_in_slices(&hub).await });
        } else {
            self.work(&hub);
        }
    }

    fn work(self: &Arc<Self>, hub: &Arc<Hub>) {
        while let Some(input) = self.next_input() {
            let (fanouts, effects) = self.actor().handle(self, input, Instant::now());
            for fanout in fanouts {
                let mut actor = self.actor();
                let delivered = actor.deliver(&fanout, 0, usize::MAX);
                self.after(hub, &mut actor, fanout, delivered);
            }
            self.effects(hub, effects);
        }
    }

    async fn work_in_slices(self: Arc<Self>, hub: &Arc<Hub>) {
        while let Some(input) = self.next_input() {
            let (fanouts, effects) = self.actor().handle(&self, input, Instant::now());
            for fanout in fanouts {
                let listeners = self.actor().listeners();
                let mut delivered = 0;
                for start in (0..listeners).step_by(SLICE) {
                    delivered += self.actor().deliver(&fanout, start, SLICE);
                    tokio::task::yield_now().await;
                }
                let mut actor = self.actor();
                self.after(hub, &mut actor, fanout, delivered);
            }
            self.effects(hub, effects);
        }
    }

    /// Takes the next input, or goes off duty.
    fn next_input(&self) -> Option<Input> {
        let mut mailbox = self.mailbox();
        let input = mailbox.inputs.pop_front();
        if input.is_none() {
            mailbox.busy = false;
            // Most feeds are quiet: a room for inputs is made anew sooner than kept by all.
            mailbox.inputs = VecDeque::new();
        }
        input
    }

    fn after(self: &Arc<Self>, hub: &Arc<Hub>, actor: &mut Actor, fanout: Fanout, delivered: u64) {
        hub.metrics().deliveries.increment(delivered);
        if let Some(since) = fanout.since.filter(|_| delivered > 0) {
            hub.metrics().fan_out_seconds.record(since.elapsed());
        }
        let traced = actor.traced(&fanout);
        if !traced.is_empty() {
            hub.link().tracer().fanned_out(&self.id, traced, delivered / fanout.frames().max(1));
        }
        let evicted = actor.evict(fanout.evict);
        if evicted > 0 {
            hub.release(self, evicted);
        }
    }

    fn effects(self: &Arc<Self>, hub: &Arc<Hub>, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Fill(since) => hub.fill(self.clone(), since),
                Effect::Late(late) => {
                    hub.metrics().late_filled.increment(late.filled);
                    hub.metrics().late_seen.increment(late.seen);
                }
                Effect::LookLater => hub.post_later(self, HOLE_PATIENCE, Input::Look),
                Effect::TypingLookAfter(delay) => hub.post_later(self, delay, Input::TypingLook),
                Effect::Release(count) => hub.release(self, count),
                Effect::Resync(clients) => {
                    hub.metrics().resyncs.increment(1);
                    for client in clients {
                        client.outbound.close(crate::outbound::Closing::with(proto::CloseCode::Resync));
                    }
                }
            }
        }
        self.many.store(self.actor().listeners() > MANY_LISTENERS, Ordering::Relaxed);
    }

    fn mailbox(&self) -> std::sync::MutexGuard<'_, Mailbox> {
        self.mailbox.lock().expect("no panic while a mailbox is locked")
    }

    fn actor(&self) -> std::sync::MutexGuard<'_, Actor> {
        self.actor.lock().expect("no panic while a feed is locked")
    }
}

/// Takes what the broker brings for a feed. Holds the feed weakly: the feed owns
/// the subscription, which owns this.
pub(crate) struct FeedInbox(pub Weak<Feed>);

impl Inbox for FeedInbox {
    fn receive(&self, subject: &str, payload: Bytes) {
        let Some(feed) = self.0.upgrade() else { return };
        let arrived = Instant::now();
        let input = if subject.ends_with(".feed") {
            Event::decode(payload).map(|event| {
                if !event.traces.is_empty() {
                    feed.post(Input::Traced(Coming::of(&event)));
                }
                Input::Heard(event.changes, arrived)
            })
        } else {
            Ephemeral::decode(payload).map(Input::Now)
        };
        match input {
            Ok(input) => feed.post(input),
            Err(error) => tracing::warn!(subject, %error, "not an event of ours"),
        }
    }
}
