//! Requests of polling sessions that reach another gateway than the one that has
//! the session: carried there over the broker, and the answers back.
//!
//! So long-polling works behind any balancer. The broker may lose and repeat:
//! what is repeated is known again, and a request whose answer is lost fails,
//! after which the client's library begins a new session and resumes. An
//! upgrade cannot be carried; the client goes on polling.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use bus::{Broker, BusError, Inbox, Subscription};
use bytes::Bytes;
use prost::Message as _;
use proto::node::{self, RelayOutcome, RelayedAnswer, RelayedRequest, relay::What};
use proto::subject;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::sessions::{Found, Handle, Outcome, Sessions, Shown};
use crate::metrics;

/// A gateway that works on a request says so this often.
const PENDING_INTERVAL: Duration = Duration::from_secs(2);
/// A gateway that has said nothing yet for this long is not there.
const FIRST_PATIENCE: Duration = Duration::from_secs(3);
/// One that has fallen silent for this long has gone.
const PATIENCE: Duration = Duration::from_secs(6);
/// Bytes of an answer in one message: brokers bound them.
const PART_BYTES: usize = 256 * 1024;
/// Messages about one request that wait to be looked at.
const MAX_HEARD: usize = 256;

/// What comes of a relayed request.
#[derive(Debug, PartialEq, Eq)]
pub enum Relayed {
    /// The body of the answer.
    Payload(String),
    /// There is no such session (any more).
    Unknown,
    /// It is somebody else's.
    Forbidden,
    /// It is against the rules.
    Refused,
    /// The gateway that has the session does not answer.
    Unanswered,
}

impl Relayed {
    /// The label in metrics.
    const fn name(&self) -> &'static str {
        match self {
            Relayed::Payload(_) => "answered",
            Relayed::Unknown => "unknown",
            Relayed::Forbidden => "forbidden",
            Relayed::Refused => "refused",
            Relayed::Unanswered => "unanswered",
        }
    }
}

/// What a gateway says about a request.
enum Heard {
    Pending,
    Part(RelayedAnswer),
}

/// A request of another gateway that is worked on here.
struct Served {
    handle: Handle,
    cancel: CancellationToken,
}

/// One gateway's end.
pub struct Relay {
    sessions: Arc<Sessions>,
    broker: Arc<dyn Broker>,
    tasks: TaskTracker,
    /// Requests that other gateways work on.
    asked: Mutex<HashMap<u64, mpsc::Sender<Heard>>>,
    served: Mutex<HashMap<u64, Served>>,
    /// Room for requests, of here and of others.
    places: Arc<Semaphore>,
}

impl Relay {
    /// Hears other gateways as long as the subscription is kept. At most
    /// `max_requests` are on their way at once.
    pub async fn start(
        sessions: Arc<Sessions>,
        broker: Arc<dyn Broker>,
        tasks: TaskTracker,
        max_requests: usize,
    ) -> Result<(Arc<Self>, Subscription), BusError> {
        for outcome in
            [Relayed::Payload(String::new()), Relayed::Unknown, Relayed::Forbidden, Relayed::Refused]
        {
            metrics::relayed(outcome.name(), 0);
        }
        metrics::relayed(Relayed::Unanswered.name(), 0);
        let relay = Arc::new(Self {
            sessions,
            broker,
            tasks,
            asked: Mutex::default(),
            served: Mutex::default(),
            places: Arc::new(Semaphore::new(max_requests.min(Semaphore::MAX_PERMITS))),
        });
        let own = subject::gateway(relay.sessions.gateway());
        let inbox = Arc::new(RelayInbox(Arc::downgrade(&relay)));
        let subscription = relay.broker.subscribe(own, inbox).await?;
        Ok((relay, subscription))
    }

    /// Asks the gateway that has this session. `packets`: the client's; none: a
    /// poll, which is given up by dropping this. When this gateway is `leaving`,
    /// it lets a poll be answered soon.
    pub async fn ask(
        self: &Arc<Self>,
        gateway: &str,
        session: &str,
        shown: Option<Shown>,
        packets: Option<Bytes>,
        leaving: &CancellationToken,
    ) -> Relayed {
        let relayed = self.asked(gateway, session, shown, packets, leaving).await;
        metrics::relayed(relayed.name(), 1);
        relayed
    }

    async fn asked(
        self: &Arc<Self>,
        gateway: &str,
        session: &str,
        shown: Option<Shown>,
        packets: Option<Bytes>,
        leaving: &CancellationToken,
    ) -> Relayed {
        let Ok(_place) = self.places.try_acquire() else { return Relayed::Unanswered };
        let is_poll = packets.is_none();
        let mut asking = Asking::begin(self, gateway);
        let request = RelayedRequest {
            gateway: self.sessions.gateway().to_owned(),
            session: session.to_owned(),
            authorization: shown.map(|shown| shown.as_bytes().to_vec()).unwrap_or_default(),
            packets: packets.map(|packets| packets.to_vec()),
        };
        if !self.tell(gateway, asking.id, What::Request(request)).await {
            return Relayed::Unanswered;
        }
        let mut patience = FIRST_PATIENCE;
        let mut released = false;
        loop {
            let heard = tokio::select! {
                heard = tokio::time::timeout(patience, asking.heard.recv()) => heard,
                () = leaving.cancelled(), if is_poll && !released => {
                    released = true;
                    self.tell(gateway, asking.id, What::Release(true)).await;
                    continue;
                }
            };
            patience = PATIENCE;
            match heard {
                Ok(Some(Heard::Pending)) => {}
                Ok(Some(Heard::Part(part))) => match asking.take(part) {
                    Some(relayed) => return relayed,
                    None => continue,
                },
                Ok(None) | Err(_) => return Relayed::Unanswered,
            }
        }
    }

    /// `false`: the broker does not take it.
    async fn tell(&self, gateway: &str, id: u64, what: What) -> bool {
        let message = node::Relay { id, what: Some(what) };
        let told = self.broker.publish(subject::gateway(gateway), message.encode_to_vec().into()).await;
        if let Err(error) = &told {
            tracing::debug!(%error, "another gateway was not told of a poll");
        }
        told.is_ok()
    }

    fn heard(self: &Arc<Self>, message: node::Relay) {
        let heard = match message.what {
            Some(What::Request(request)) => return self.requested(message.id, request),
            Some(What::Cancel(_)) => {
                if let Some(served) = self.served().remove(&message.id) {
                    served.cancel.cancel();
                }
                return;
            }
            Some(What::Release(_)) => {
                if let Some(served) = self.served().get(&message.id) {
                    served.handle.release();
                }
                return;
            }
            Some(What::Pending(_)) => Heard::Pending,
            Some(What::Answer(part)) => Heard::Part(part),
            None => return,
        };
        if let Some(asking) = lock(&self.asked).get(&message.id) {
            // Full: a part is missing then, and the answer is none.
            let _ = asking.try_send(heard);
        }
    }

    /// Another gateway has a request for a session that is here.
    fn requested(self: &Arc<Self>, id: u64, request: RelayedRequest) {
        // Full: the other one finds that nobody answers.
        let Ok(place) = self.places.clone().try_acquire_owned() else { return };
        let shown = Shown::from_bytes(&request.authorization);
        let outcome = match self.sessions.find(&request.session, shown) {
            Found::Session(handle) => {
                if self.sessions.is_new(&request.session, id) {
                    let cancel = CancellationToken::new();
                    let served = Served { handle: handle.clone(), cancel: cancel.clone() };
                    self.served().insert(id, served);
                    self.tasks.spawn(self.clone().serve(id, request, handle, cancel, place));
                }
                return;
            }
            Found::Another => RelayOutcome::Forbidden,
            Found::Unknown => RelayOutcome::Unknown,
        };
        let relay = self.clone();
        self.tasks.spawn(async move {
            relay.answer(&request.gateway, id, outcome, &[]).await;
            drop(place);
        });
    }

    async fn serve(
        self: Arc<Self>,
        id: u64,
        RelayedRequest { gateway, packets, .. }: RelayedRequest,
        handle: Handle,
        cancel: CancellationToken,
        _place: OwnedSemaphorePermit,
    ) {
        let outcome = {
            let mut worked_on = std::pin::pin!(work_on(&handle, packets));
            let mut pending = tokio::time::interval(PENDING_INTERVAL);
            loop {
                tokio::select! {
                    outcome = worked_on.as_mut() => break Some(outcome),
                    () = cancel.cancelled() => break None,
                    _ = pending.tick() => drop(self.tell(&gateway, id, What::Pending(true)).await),
                }
            }
        };
        self.served().remove(&id);
        match outcome {
            Some(Outcome::Payload(payload)) => {
                self.answer(&gateway, id, RelayOutcome::Payload, payload.as_bytes()).await;
            }
            Some(Outcome::Refused) => self.answer(&gateway, id, RelayOutcome::Refused, &[]).await,
            Some(Outcome::Over) => self.answer(&gateway, id, RelayOutcome::Unknown, &[]).await,
            None => {}
        }
    }

    async fn answer(&self, gateway: &str, id: u64, outcome: RelayOutcome, payload: &[u8]) {
        for part in parts(outcome, payload) {
            if !self.tell(gateway, id, What::Answer(part)).await {
                return;
            }
        }
    }

    fn served(&self) -> MutexGuard<'_, HashMap<u64, Served>> {
        lock(&self.served)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic while the relay is locked")
}

async fn work_on(handle: &Handle, packets: Option<Vec<u8>>) -> Outcome {
    let Some(packets) = packets else { return handle.poll().await };
    match handle.begin_post().await {
        Some(posting) => handle.packets(&posting, packets.into()).await,
        None => Outcome::Refused,
    }
}

/// An answer in parts that a broker takes; at least one.
fn parts(outcome: RelayOutcome, payload: &[u8]) -> impl Iterator<Item = RelayedAnswer> {
    let count = payload.len().div_ceil(PART_BYTES).max(1);
    (0..count).map(move |part| {
        let start = part * PART_BYTES;
        let end = payload.len().min(start + PART_BYTES);
        RelayedAnswer {
            outcome: outcome.into(),
            part: part as u32,
            last: part + 1 == count,
            payload: payload[start..end].to_vec(),
        }
    })
}

/// A request that another gateway works on. Dropped without its answer, it tells
/// that nobody waits any more.
struct Asking {
    relay: Arc<Relay>,
    gateway: String,
    id: u64,
    heard: mpsc::Receiver<Heard>,
    payload: Vec<u8>,
    next_part: u32,
    answered: bool,
}

impl Asking {
    fn begin(relay: &Arc<Relay>, gateway: &str) -> Self {
        let (asking, heard) = mpsc::channel(MAX_HEARD);
        let (id, _) = uuid::Uuid::new_v4().as_u64_pair();
        lock(&relay.asked).insert(id, asking);
        Self {
            relay: relay.clone(),
            gateway: gateway.to_owned(),
            id,
            heard,
            payload: Vec::new(),
            next_part: 0,
            answered: false,
        }
    }

    /// Takes a part of the answer; `Some`: that is all of it.
    fn take(&mut self, part: RelayedAnswer) -> Option<Relayed> {
        if part.part < self.next_part {
            return None; // The broker has repeated it.
        }
        if part.part > self.next_part {
            return Some(Relayed::Unanswered); // It has lost one.
        }
        self.next_part += 1;
        self.payload.extend_from_slice(&part.payload);
        if !part.last {
            return None;
        }
        self.answered = true;
        Some(match part.outcome() {
            RelayOutcome::Payload => match String::from_utf8(std::mem::take(&mut self.payload)) {
                Ok(payload) => Relayed::Payload(payload),
                Err(_) => Relayed::Unanswered,
            },
            RelayOutcome::Unknown => Relayed::Unknown,
            RelayOutcome::Forbidden => Relayed::Forbidden,
            RelayOutcome::Refused | RelayOutcome::Unspecified => Relayed::Refused,
        })
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        lock(&self.relay.asked).remove(&self.id);
        if !self.answered {
            let (relay, gateway, id) = (self.relay.clone(), std::mem::take(&mut self.gateway), self.id);
            self.relay.tasks.spawn(async move {
                relay.tell(&gateway, id, What::Cancel(true)).await;
            });
        }
    }
}

struct RelayInbox(Weak<Relay>);

impl Inbox for RelayInbox {
    fn receive(&self, _subject: &str, payload: Bytes) {
        let Some(relay) = self.0.upgrade() else { return };
        match node::Relay::decode(payload) {
            Ok(message) => relay.heard(message),
            Err(error) => tracing::warn!(%error, "not a message of another gateway"),
        }
    }
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
