//! One connected client, as the parts of a gateway share it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use proto::v1::{ServerFrame, server_frame::Body};
use proto::{RoomId, UserId, v1};

use crate::feed::Feed;
use crate::metrics;
use crate::outbound::Outbound;
use crate::wire::{self, Wire};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// An authenticated connection. The connection's task owns the socket; everyone
/// else holds this.
pub struct Client {
    /// Unique in this process.
    pub id: u64,
    /// Unique in the cluster.
    pub connection: String,
    /// Whose token was shown.
    pub user: UserId,
    /// Display name from the token.
    pub name: String,
    /// A server of the application, by its token.
    pub service: bool,
    /// How its frames are written.
    pub wire: Wire,
    /// What waits to be written.
    pub outbound: Arc<Outbound>,
    /// When the newest token was issued, seconds; 0: it does not say.
    issued_at: AtomicI64,
    /// Requests that are not answered yet.
    in_flight: AtomicU32,
    /// Keys made here so far.
    keys: AtomicU32,
    /// Rooms that are heard; `None` once the connection is gone.
    joined: Mutex<Option<HashMap<RoomId, Arc<Feed>>>>,
    /// The user's own feed, once it is heard.
    own: OnceLock<Arc<Feed>>,
}

impl Client {
    /// A client that has just authenticated.
    pub fn new(identity: &crate::Identity, wire: Wire, outbound: Arc<Outbound>) -> Arc<Self> {
        Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            connection: uuid::Uuid::now_v7().simple().to_string(),
            user: identity.user.clone(),
            name: identity.name.clone(),
            service: identity.service,
            wire,
            outbound,
            issued_at: AtomicI64::new(identity.issued_at.unwrap_or(0)),
            in_flight: AtomicU32::new(0),
            keys: AtomicU32::new(0),
            joined: Mutex::new(Some(HashMap::new())),
            own: OnceLock::new(),
        })
    }

    /// As it goes to the dispatcher.
    pub fn actor(&self) -> proto::node::Actor {
        proto::node::Actor { user: (&self.user).into(), name: self.name.clone(), service: self.service }
    }

    /// When the newest token was issued, seconds; 0: it does not say.
    pub fn issued_at(&self) -> i64 {
        self.issued_at.load(Ordering::Relaxed)
    }

    /// A newer token of the same user was accepted.
    pub fn renewed(&self, issued_at: i64) {
        self.issued_at.store(issued_at, Ordering::Relaxed);
    }

    /// A key for a send that came without one: says whose doing it is.
    pub fn new_key(&self) -> String {
        format!("{}.{}", self.connection, self.keys.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether a key is of [`new_key`](Self::new_key).
    pub fn made_key(&self, key: &str) -> bool {
        key.strip_prefix(self.connection.as_str()).is_some_and(|rest| rest.starts_with('.'))
    }

    /// Writes one frame to this client alone.
    pub fn send(&self, frame: &ServerFrame) {
        self.outbound.push(wire::single(&self.wire, frame));
    }

    /// Answers the request `re`; requests without an id only hear refusals.
    pub fn answer(&self, re: u64, body: Body) {
        if let Body::Error(error) = &body {
            metrics::error(&error.code);
        }
        if re != 0 || matches!(body, Body::Error(_)) {
            self.send(&ServerFrame::answer(re, body));
        }
    }

    /// Refuses the request `re`.
    pub fn refuse(&self, re: u64, error: v1::Error) {
        self.answer(re, Body::Error(error));
    }

    /// A request was sent on. Pair with [`finished`](Self::finished).
    pub fn started(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A request was answered: its place is free, and the connection may read on.
    pub fn finished(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.outbound.wake();
    }

    /// Requests that are not answered yet.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The feed of a joined room.
    pub fn joined(&self, room: &RoomId) -> Option<Arc<Feed>> {
        self.rooms().as_ref()?.get(room).cloned()
    }

    /// How many rooms are joined.
    pub fn joined_count(&self) -> usize {
        self.rooms().as_ref().map_or(0, HashMap::len)
    }

    /// Notes a joined room. `false`: the connection is gone already.
    pub(crate) fn note_joined(&self, room: &RoomId, feed: &Arc<Feed>) -> bool {
        match self.rooms().as_mut() {
            Some(rooms) => {
                rooms.insert(room.clone(), feed.clone());
                true
            }
            None => false,
        }
    }

    /// Notes that the user's own feed is heard. `false`: the connection is gone already.
    pub(crate) fn note_own(&self, feed: &Arc<Feed>) -> bool {
        let rooms = self.rooms();
        rooms.is_some() && self.own.set(feed.clone()).is_ok()
    }

    /// Forgets a joined room.
    pub(crate) fn note_left(&self, room: &RoomId) {
        if let Some(rooms) = self.rooms().as_mut() {
            rooms.remove(room);
        }
    }

    /// The connection is gone: what it heard, to be left. Nothing can be joined afterwards.
    pub(crate) fn take_feeds(&self) -> Vec<Arc<Feed>> {
        let rooms = self.rooms().take();
        rooms.into_iter().flat_map(HashMap::into_values).chain(self.own.get().cloned()).collect()
    }

    fn rooms(&self) -> std::sync::MutexGuard<'_, Option<HashMap<RoomId, Arc<Feed>>>> {
        self.joined.lock().expect("no panic while the joined rooms are locked")
    }
}
