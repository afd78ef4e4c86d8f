//! The ports to the broker and to presence, with two adapters each: NATS and
//! Redis for a cluster, in-process for one node. And the port to whoever collects
//! [traces](trace).
//!
//! The bus carries bytes and knows no rule of chat. What it promises is small
//! on purpose: **a broker may lose, repeat and reorder**, and whoever needs
//! more (the followers of a gateway) gets it from the feed's seq and the store.
//! In health both brokers deliver what one publisher publishes on one subject
//! once and in order; around a reconnect, and for a reader that is too slow,
//! they lose. Every loss that leaves no trace raises [`Link::epoch`].

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use proto::UserId;
use thiserror::Error;
use tokio::sync::watch;

pub mod local;
mod meter;
pub mod nats;
mod pattern;
pub mod redis;
pub mod trace;

/// The broker or the presence store did not do what was asked. Callers go on
/// without: nothing that must not be lost depends on the bus.
#[derive(Debug, Error)]
pub enum BusError {
    /// It cannot be reached now; the adapter keeps trying to reconnect.
    #[error("{what} cannot be reached")]
    Away {
        /// Which of the two: "broker" or "presence".
        what: &'static str,
        /// What the driver said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It does not take this (a subject that is none, a payload over the
    /// server's limit, an address that is none): asking again does not help.
    #[error("{what} does not take this")]
    Refused {
        /// Which of the two: "broker" or "presence".
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Describes the metrics of this crate to the recorder that is installed.
pub fn describe() {
    meter::describe();
}

/// Whether the broker's link carries messages now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Link {
    /// Connected.
    pub up: bool,
    /// Rises whenever messages may have been lost without a trace: after a
    /// reconnect, or when a subscription was too slow. Followers then ask the
    /// store for what they follow.
    pub epoch: u64,
}

/// Takes what a subscription hears. Called from the adapter's own tasks: it
/// must not block, and hands long work to a task of its own.
pub trait Inbox: Send + Sync {
    /// One message, in the order in which one publisher published on one subject
    /// (with the exceptions that the crate's documentation names).
    fn receive(&self, subject: &str, payload: Bytes);
}

/// A subscription; dropping it ends it. A message that is being handed over at
/// that moment may still arrive.
pub struct Subscription {
    cancel: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Subscription {
    /// A subscription that is ended by calling `cancel`, once.
    pub fn new(cancel: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self { cancel: Some(Box::new(cancel)) }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(cancel) = self.cancel.take() {
            cancel();
        }
    }
}

/// Publish and subscribe by subject. Subjects are dot-separated tokens; a
/// subscription may end in `.*`, which stands for exactly one token.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Publishes. Waits for room in the adapter's bounded queue, at most a
    /// second, and never for a subscriber or for a broker that is away. An
    /// error means that it was not published; success, that it is on its way.
    async fn publish(&self, subject: String, payload: Bytes) -> Result<(), BusError>;

    /// Hands every message published on `subject` from now on to `inbox`.
    /// Returns when the request is on its way to the server: what is published
    /// by others in the next instant may still be missed.
    ///
    /// While the broker is away this succeeds, and takes effect on reconnecting.
    async fn subscribe(&self, subject: String, inbox: Arc<dyn Inbox>) -> Result<Subscription, BusError>;

    /// The state of the link, and its changes.
    fn link(&self) -> watch::Receiver<Link>;
}

/// What a user lets others see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Connected.
    Online,
    /// Connected, says to be away.
    Away,
    /// Connected, says to be busy.
    Busy,
    /// Not connected (or wants to seem so).
    Offline,
}

impl Status {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Online => "online",
            Status::Away => "away",
            Status::Busy => "busy",
            Status::Offline => "offline",
        }
    }

    /// The status of a wire name; "invisible" is [`Status::Offline`].
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "online" => Status::Online,
            "away" => Status::Away,
            "busy" => Status::Busy,
            "offline" | "invisible" => Status::Offline,
            _ => return None,
        })
    }
}

/// One connection of a user, as its node enters it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub user: UserId,
    /// Unique in the cluster; characters of an id.
    pub connection: String,
    /// What this connection contributes.
    pub status: Status,
}

/// What is known of a user: as it changed, or as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Who.
    pub user: UserId,
    /// The most present of the user's connections: online before busy before
    /// away before invisible, which is [`Status::Offline`].
    pub status: Status,
    /// When the user was last connected and not invisible, milliseconds since
    /// the Unix epoch on presence's own clock: now for whoever is. `None` if
    /// presence does not know (it forgets an hour after; the store may know).
    pub last_seen: Option<i64>,
}

/// Who is connected, cluster-wide. Soft state: it may be lost at any time and
/// is rebuilt from the connections themselves.
///
/// Each node holds a lease; its entries count as long as the lease lives.
/// A user's status is that of the entries under live leases, or for a short
/// grace after the best one left what it was: a reconnect is not a change.
///
/// Two calls about the same connection must not overlap. A caller first notes
/// a connection in its own list and then enters it, so that entering the whole
/// list again, when [`renew`](Self::renew) asks for it, heals whatever was lost.
#[async_trait]
pub trait Presence: Send + Sync {
    /// Keeps this node's lease alive; call it first at the start, and then at a
    /// third of the lease's time.
    ///
    /// `false`: this is a new lease, under which nothing is entered yet, and the
    /// caller must [`enter`](Self::enter) all its connections again. So it is on
    /// the first call, when presence was emptied or this node was away too long,
    /// and after anything that may have lost an entry on the way: an error of
    /// `enter` or `leave`, a new connection to the server. What is not entered
    /// again ends with the old lease.
    async fn renew(&self) -> Result<bool, BusError>;

    /// Adds or updates connections of this node. Answers with the users whose
    /// visible status changed by it, each change to exactly one caller. After an
    /// error there is nothing to repeat: the next `renew` says `false`.
    async fn enter(&self, entries: &[Entry]) -> Result<Vec<Seen>, BusError>;

    /// Removes connections of this node; their status does not matter. What
    /// becomes of the users is found by [`sweep`](Self::sweep) after the grace.
    /// After an error there is nothing to repeat: the next `renew` says `false`.
    async fn leave(&self, entries: &[Entry]) -> Result<(), BusError>;

    /// Finds users whose grace is over and nodes whose lease has run out, and
    /// answers with the users whose status fell by it: offline, or to that of
    /// the connections they have left. Each to exactly one caller.
    ///
    /// Finds nothing for a node without a live lease, and finds dead nodes only
    /// for one whose lease is older than a lease's time: after presence was
    /// away, the others come back before anybody is called dead.
    async fn sweep(&self) -> Result<Vec<Seen>, BusError>;

    /// The status of each of these users, in order; offline for those it does
    /// not know.
    async fn look(&self, users: &[UserId]) -> Result<Vec<Seen>, BusError>;

    /// Ends this node's lease and entries, as after a clean stop; users left
    /// without a connection go offline after the grace, found by other nodes.
    /// Nothing is asked of this handle afterwards.
    async fn close(&self) -> Result<(), BusError>;
}

/// How long presence waits.
#[derive(Debug, Clone, Copy)]
pub struct PresenceTimes {
    /// A node that has not renewed for this long is dead.
    pub lease: std::time::Duration,
    /// A user without a connection for this long is offline.
    pub grace: std::time::Duration,
}

impl Default for PresenceTimes {
    fn default() -> Self {
        Self { lease: std::time::Duration::from_secs(15), grace: std::time::Duration::from_secs(5) }
    }
}
