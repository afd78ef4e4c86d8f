//! The broker of a cluster: NATS, core publish and subscribe.
//!
//! The driver publishes. While it is not connected it queues instead of
//! failing, so `publish` looks at the connection's state first. Subscriptions
//! have a connection of their own, see `reader`: the driver keeps a channel for
//! each, and drops what does not fit.

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event, PublishErrorKind, ServerAddr};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::FutureExt;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::meter::BrokerMeter;
use crate::pattern::{check_pattern, check_subject};
use crate::{Broker, BusError, Inbox, Link, Subscription};

mod reader;
mod tls;
mod wire;

use reader::{Change, Reader};

/// Commands on their way to the server.
const CLIENT_CAPACITY: usize = 16 * 1024;
/// Longest wait for room in the queue to the server.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longest pause between two attempts to connect.
const LONGEST_BACKOFF: u64 = 1000;
/// A server that leaves two of these unanswered is taken for dead.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// The driver's event queue may drop events: the link is looked at this often.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// A flood of losses raises the epoch only this often: each makes every
/// follower ask the store.
const LOSS_INTERVAL: Duration = Duration::from_millis(500);

/// A [`Broker`] on a NATS server or cluster.
pub struct NatsBroker {
    shared: Arc<Shared>,
    link: watch::Receiver<Link>,
    reader: Arc<Reader>,
    closing: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    _close_on_drop: DropGuard,
}

struct Shared {
    client: Client,
    meter: Arc<BrokerMeter>,
}

/// What the driver's event callback tells the task that watches the link.
struct Signals {
    link: watch::Sender<Link>,
    /// Something was lost or will be.
    lost: AtomicBool,
    /// That connecting fails was said since the last connection.
    complained: AtomicBool,
    woken: Notify,
    meter: Arc<BrokerMeter>,
}

impl NatsBroker {
    /// Connects as `name` to the server or servers (separated by commas) at
    /// `url`, with the user and password, or the token, in it. A server that is away is no error: the link says so, and
    /// connecting goes on until [`close`](Self::close).
    pub async fn connect(url: &str, name: &str) -> Result<Self, BusError> {
        let servers: Vec<ServerAddr> = url
            .split(',')
            .map(|url| url.trim().parse())
            .collect::<Result<_, io::Error>>()
            .map_err(refused)?;
        let meter = Arc::new(BrokerMeter::new());
        meter.link_up.set(0.0);
        let signals = Arc::new(Signals {
            link: watch::Sender::new(Link::default()),
            lost: AtomicBool::new(false),
            complained: AtomicBool::new(false),
            woken: Notify::new(),
            meter: meter.clone(),
        });
        let told = signals.clone();
        let client = credentials(&servers)
            .name(name)
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(backoff)
            .connection_timeout(Duration::from_secs(2))
            .ping_interval(PING_INTERVAL)
            .client_capacity(CLIENT_CAPACITY)
            .event_callback(move |event| {
                told.note(&event);
                std::future::ready(())
            })
            .connect(servers.clone())
            .await
            .map_err(refused)?;

        let closing = CancellationToken::new();
        let shared = Arc::new(Shared { client, meter });
        let mut link = signals.link.subscribe();
        let told = signals.clone();
        let reader = Reader::new(name, shared.meter.clone(), move |change| told.note_reader(change));
        let tasks = vec![
            tokio::spawn(reader.clone().run(servers, closing.clone())),
            tokio::spawn(signals.watch(shared.client.clone(), reader.clone(), closing.clone())),
        ];
        // Whoever starts beside a running server finds the link up.
        let _ = tokio::time::timeout(PATIENCE, link.wait_for(|link| link.up)).await;
        let _close_on_drop = closing.clone().drop_guard();
        Ok(Self { shared, link, reader, closing, tasks: Mutex::new(tasks), _close_on_drop })
    }

    /// Sends what is on its way, ends all subscriptions and waits for the tasks.
    pub async fn close(&self) {
        let client = &self.shared.client;
        let farewell = async {
            if client.connection_state() == State::Connected {
                let _ = client.flush().await;
                let _ = client.drain().await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, farewell).await;
        self.closing.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the broker ended badly");
            }
        }
    }

    async fn send(&self, subject: String, payload: Bytes) -> Result<(), BusError> {
        check_subject(&subject)?;
        let client = &self.shared.client;
        if client.connection_state() != State::Connected || self.closing.is_cancelled() {
            return Err(away(io::Error::from(io::ErrorKind::NotConnected)));
        }
        let mut sending = pin!(client.publish(subject, payload));
        let sent = match sending.as_mut().now_or_never() {
            Some(sent) => sent,
            // The queue is full: the server is slow, paused, or just going away.
            None => {
                let mut link = self.link.clone();
                tokio::select! {
                    biased;
                    sent = sending => sent,
                    _ = link.wait_for(|link| !link.up) => {
                        return Err(away(io::Error::from(io::ErrorKind::NotConnected)));
                    }
                    () = tokio::time::sleep(PATIENCE) => {
                        return Err(away(io::Error::from(io::ErrorKind::TimedOut)));
                    }
                }
            }
        };
        sent.map_err(|error| match error.kind() {
            PublishErrorKind::Send => away(error),
            PublishErrorKind::MaxPayloadExceeded | PublishErrorKind::InvalidSubject => refused(error),
        })
    }
}

fn away(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BusError {
    BusError::Away { what: "broker", source: source.into() }
}

fn refused(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BusError {
    BusError::Refused { what: "broker", source: source.into() }
}

/// Options with what the first address that holds credentials says; the driver
/// itself does not look.
fn credentials(servers: &[ServerAddr]) -> ConnectOptions {
    let Some(server) = servers.iter().find(|server| server.has_user_pass()) else {
        return ConnectOptions::new();
    };
    let user = decode(server.username().unwrap_or_default());
    match server.password() {
        Some(password) => ConnectOptions::with_user_and_password(user, decode(password)),
        None => ConnectOptions::with_token(user),
    }
}

/// Undoes the percent-encoding of a part of an address.
fn decode(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Doubles from 25 ms to the longest, half of it by chance, so that the nodes of
/// a cluster do not all return at once. The first attempt is made at once.
fn backoff(attempt: usize) -> Duration {
    if attempt <= 1 {
        return Duration::ZERO;
    }
    let full = (25u64 << attempt.min(8)).min(LONGEST_BACKOFF);
    // A fresh hasher's keys are random.
    let chance = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), attempt);
    Duration::from_millis(full / 2 + chance % (full / 2 + 1))
}

impl Signals {
    fn note(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.complained.store(false, Ordering::Relaxed);
                tracing::info!("connected to the broker");
            }
            Event::Disconnected => {
                tracing::warn!("lost the connection to the broker");
                self.set_down();
            }
            Event::SlowConsumer(_) => {
                self.meter.slow.increment(1);
                self.lost.store(true, Ordering::Release);
            }
            Event::LameDuckMode => self.lost.store(true, Ordering::Release),
            Event::ServerError(error) => tracing::warn!(%error, "the broker reports an error"),
            Event::ClientError(error) => {
                if !self.complained.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "connecting to the broker fails; trying on");
                }
            }
            Event::Draining | Event::Closed => {}
        }
        self.woken.notify_one();
    }

    fn note_reader(&self, change: Change) {
        if change == Change::LameDuck {
            self.lost.store(true, Ordering::Release);
        }
        self.woken.notify_one();
    }

    fn set_down(&self) {
        self.meter.link_up.set(0.0);
        self.link.send_if_modified(|link| std::mem::replace(&mut link.up, false));
    }

    fn raise(&self) {
        self.link.send_modify(|link| {
            link.up = true;
            link.epoch += 1;
        });
    }

    /// Keeps the link's state true until closing. Connections are counted by
    /// those who make them, so that no reconnect passes unseen.
    async fn watch(self: Arc<Self>, client: Client, reader: Arc<Reader>, closing: CancellationToken) {
        let stats = client.statistics();
        let mut connection = (0, 0);
        let mut raised = Instant::now();
        let mut tick = tokio::time::interval(CHECK_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.woken.notified() => {}
                _ = tick.tick() => {}
                () = closing.cancelled() => return self.set_down(),
            }
            let connects = stats.connects.load(Ordering::Acquire);
            let Some(hearing) = reader.connection().filter(|_| client.connection_state() == State::Connected)
            else {
                self.set_down();
                continue;
            };
            if (connects, hearing) != connection || !self.link.borrow().up {
                if connection != (0, 0) {
                    self.meter.reconnects.increment(1);
                }
                connection = (connects, hearing);
                self.meter.link_up.set(1.0);
                self.raise();
            } else if raised.elapsed() >= LOSS_INTERVAL && self.lost.swap(false, Ordering::AcqRel) {
                raised = Instant::now();
                self.raise();
            }
        }
    }
}

#[async_trait]
impl Broker for NatsBroker {
    async fn publish(&self, subject: String, payload: Bytes) -> Result<(), BusError> {
        let meter = &self.shared.meter;
        let sent = self.send(subject, payload).await;
        if sent.is_ok() {
            meter.published.increment(1)
        } else {
            meter.publish_errors.increment(1)
        }
        sent
    }

    async fn subscribe(&self, subject: String, inbox: Arc<dyn Inbox>) -> Result<Subscription, BusError> {
        check_pattern(&subject)?;
        if self.closing.is_cancelled() {
            return Err(away(io::Error::other("the broker was closed")));
        }
        let id = self.reader.subscribe(&subject, inbox);
        self.shared.meter.subscriptions.increment(1);
        let (reader, meter) = (self.reader.clone(), self.shared.meter.clone());
        Ok(Subscription::new(move || {
            reader.unsubscribe(id);
            meter.subscriptions.decrement(1);
        }))
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_is_short_and_never_twice_alike() {
        assert_eq!(backoff(1), Duration::ZERO);
        for attempt in (2..100).chain([usize::MAX]) {
            let delay = backoff(attempt);
            assert!(
                (Duration::from_millis(25)..=Duration::from_secs(1)).contains(&delay),
                "{attempt} {delay:?}"
            );
        }
        assert!((0..100).any(|_| backoff(10) != backoff(10)));
    }

    #[test]
    fn credentials_are_read_as_they_were_meant() {
        for (encoded, plain) in
            [("", ""), ("secret", "secret"), ("p%40ss%2Fw%C3%A4", "p@ss/wä"), ("50%", "50%"), ("%zz", "%zz")]
        {
            assert_eq!(decode(encoded), plain);
        }
    }
}
