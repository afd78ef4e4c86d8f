//! For the benchmarks in `benches/`, and nothing else: they are crates of their
//! own, and what they measure is private. No part of the gateway's interface.
//!
//! Hidden rather than behind a feature: a feature that only benchmarks switch on
//! would have the gateway built twice, and checked in a shape that never ships.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use proto::v1::{Change, Joined, ServerFrame, server_frame::Body};
use proto::{Cursor, Encoding, FeedId, RoomId, UserId};

pub use crate::feed::{Follower, HOLE_PATIENCE, Todo};
pub use crate::websocket::{Decoder, Incoming};

use crate::client::Client;
use crate::feed::{Actor, Attach, Feed, Input, JoinAnswer};
use crate::outbound::Outbound;
use crate::socketio::SocketIoWire;
use crate::wire::{Shared, Wire};
use crate::{Identity, Vocabulary};

/// What is queued between two [`Room::drain`]s is less.
const MAX_QUEUED_BYTES: usize = 1 << 30;

/// How a client's frames are written.
#[derive(Debug, Clone, Copy)]
pub enum Speech {
    /// The native protocol.
    Native(Encoding),
    /// Socket.IO in the words of the vocabulary `sessions`.
    SocketIo,
}

impl Speech {
    /// All three, with their names.
    pub const ALL: [(&str, Speech); 3] = [
        ("json", Speech::Native(Encoding::Json)),
        ("protobuf", Speech::Native(Encoding::Protobuf)),
        ("socketio", Speech::SocketIo),
    ];

    fn wire(self, vocabulary: &Arc<Vocabulary>) -> Wire {
        match self {
            Speech::Native(encoding) => Wire::Native(encoding),
            Speech::SocketIo => Wire::SocketIo(Box::new(SocketIoWire::new(vocabulary.clone(), false, None))),
        }
    }
}

fn vocabulary() -> Arc<Vocabulary> {
    let sessions = Vocabulary::shipped("sessions").expect("it ships");
    Arc::new(Vocabulary::parse(sessions).expect("it is right"))
}

fn client(speech: Speech, vocabulary: &Arc<Vocabulary>) -> Arc<Client> {
    let identity = Identity {
        user: UserId::new("listener").expect("an id"),
        name: "Listener".to_owned(),
        service: false,
        issued_at: None,
        expires_at: None,
    };
    Client::new(&identity, speech.wire(vocabulary), Arc::new(Outbound::new(MAX_QUEUED_BYTES)))
}

fn drain(client: &Client) -> usize {
    let bytes = client.outbound.take().frames.iter().map(|frames| frames.len()).sum();
    client.outbound.written(bytes);
    bytes
}

/// Encodes deliveries for one wire format, as often as that is done for all who hear them.
pub struct Encoder(Arc<Client>);

impl Encoder {
    /// For this wire format.
    pub fn new(speech: Speech) -> Self {
        Self(client(speech, &vocabulary()))
    }

    /// Encodes frames; how many bytes they are.
    pub fn encode(&self, frames: Vec<ServerFrame>) -> usize {
        Shared::new(frames).hand_to(&self.0, 0);
        drain(&self.0)
    }
}

/// A room's feed with listeners, and no broker or store around it.
pub struct Room {
    feed: Arc<Feed>,
    actor: Actor,
    listeners: Vec<Arc<Client>>,
}

impl Room {
    /// All of so many listeners have joined, and know everything up to seq 0.
    pub fn new(listeners: usize, speech: Speech) -> Self {
        let id = FeedId::Room(RoomId::new("room").expect("an id"));
        let never = Duration::from_secs(3600);
        let (vocabulary, actor) = (vocabulary(), Actor::new(&id, never));
        let mut room = Self { feed: Feed::new(id, Weak::new(), never), actor, listeners: Vec::new() };
        for _ in 0..listeners {
            let client = client(speech, &vocabulary);
            room.input(Input::BeginJoin);
            room.input(Input::Attach(Box::new(Attach {
                client: client.clone(),
                answer: JoinAnswer::Frame(1, Body::Joined(Joined::default())),
                at: Cursor { seq: 0, check: 0 },
                more: false,
            })));
            room.listeners.push(client);
        }
        room.drain();
        room
    }

    /// The broker brings changes: followed, encoded, put into every listener's
    /// queue. How many frames were queued.
    pub fn hear(&mut self, changes: Vec<Change>) -> u64 {
        self.input(Input::Heard(changes, Instant::now()))
    }

    /// Takes everything out of the queues; how many bytes that were.
    pub fn drain(&self) -> usize {
        self.listeners.iter().map(|client| drain(client)).sum()
    }

    fn input(&mut self, input: Input) -> u64 {
        let (fanouts, _) = self.actor.handle(&self.feed, input, Instant::now());
        fanouts.iter().map(|fanout| self.actor.deliver(fanout, 0, usize::MAX)).sum()
    }
}
