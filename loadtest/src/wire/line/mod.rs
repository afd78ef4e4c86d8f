//! A connection for everything that people do: several rooms, every request.
//! Beside [`super::Reader`], which hears one room at the highest rates.

use std::time::Duration;

use proto::Encoding;
use proto::v1::client_frame;

use super::websocket::{Frame, Sink, Source};
use super::{Ping, Wire, packet};

mod native;
mod socketio;

pub use socketio::page;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// To hear a room from this cursor on; empty: from now on. Where all rooms
    /// are heard at once, there is no such request.
    Join { room: &'a str, since: &'a str },
    /// To store a message.
    Send { room: &'a str, key: &'a str, text: &'a str },
    /// To replace the text of this message.
    Edit { room: &'a str, message: &'a str, text: &'a str },
    /// To show that somebody types.
    Typing { room: &'a str },
    /// To have read up to this seq; on Socket.IO, everything.
    Read { room: &'a str, seq: u64 },
    /// Who of a room is online.
    Online { room: &'a str },
    /// To show this status.
    Status(&'a str),
    /// A page of what is before this seq; on Socket.IO a page is asked for over
    /// REST, with [`page`].
    History { room: &'a str, before: u64 },
}

/// What a client hears.
#[derive(Debug)]
pub enum Heard {
    /// A change of a room.
    Change(Change),
    /// The answer to a join.
    Joined(u64, Joined),
    /// The answer to another request.
    Answer(u64, Result<Done, Refusal>),
    /// Somebody types.
    Typing,
    /// Something that had no number was refused.
    Refused(String),
    /// To be answered with [`Mouth::pong`].
    Ping(Ping),
    /// The server closes, with this code and reason.
    Closed(u16, String),
    /// Nothing that matters here.
    Other,
}

/// A message, new or edited.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it is.
    pub room: String,
    /// Of the change.
    pub seq: u64,
    /// Where to go on from behind it.
    pub position: String,
    /// What the message says now.
    pub text: String,
}

/// What changed in a room since the cursor.
#[derive(Debug)]
pub struct Joined {
    /// The seq that this reaches.
    pub to: u64,
    /// Where to go on from.
    pub cursor: String,
    /// Messages in their newest state, each with the seq of its last change.
    pub changes: Vec<(u64, String)>,
    /// There is more: join again.
    pub more: bool,
    /// The server does not know the cursor.
    pub reset: bool,
}

/// A request was done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The id of the message that was sent or edited.
    pub message: String,
    /// The seq of that change, where the wire says it.
    pub seq: Option<u64>,
    /// Of a page of history: seqs of the creation, and texts.
    pub page: Vec<(u64, String)>,
}

/// A request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Code and explanation.
    pub why: String,
    /// The same may work later.
    pub retryable: bool,
    /// Not before this.
    pub after: Duration,
}

/// The half that hears.
pub struct Ears {
    source: Source,
    wire: Wire,
}

/// The half that speaks.
pub struct Mouth {
    sink: Sink,
    wire: Wire,
}

/// Connects and authenticates. On Socket.IO all rooms are heard from here on,
/// each from its position; natively they are to be joined.
pub async fn open(
    wire: Wire,
    target: &str,
    token: &str,
    positions: &[&str],
) -> anyhow::Result<(Ears, Mouth)> {
    match wire {
        Wire::Native(encoding) => native::open(wire, encoding, target, token).await,
        Wire::SocketIo => socketio::open(wire, target, token, positions).await,
    }
}

impl Ears {
    /// The next thing heard. Cancel-safe.
    pub async fn next(&mut self) -> anyhow::Result<Heard> {
        match self.source.next().await? {
            Frame::Message(payload) => match self.wire {
                Wire::Native(encoding) => Ok(native::heard(encoding.decode_server(&payload)?)),
                Wire::SocketIo => socketio::heard(std::str::from_utf8(&payload)?),
            },
            Frame::Ping => Ok(Heard::Ping(Ping::Socket)),
            Frame::Pong => Ok(Heard::Other),
            Frame::Close(code, reason) => Ok(Heard::Closed(code, reason)),
        }
    }

    /// Ends the connection as a crash or a cut would: with a TCP reset.
    pub fn reset(self, mouth: Mouth) -> anyhow::Result<()> {
        self.source.reset(mouth.sink)
    }
}

impl Mouth {
    /// Asks for something; the answer carries the number again, which is not 0.
    pub async fn ask(&mut self, number: u64, request: Request<'_>) -> anyhow::Result<()> {
        match self.wire {
            Wire::Native(encoding) => self.frame(encoding, number, native::request(request)).await,
            Wire::SocketIo => self.sink.text(socketio::event(number, request)?.as_bytes()).await,
        }
    }

    /// Answers a ping.
    pub async fn pong(&mut self, ping: Ping) -> anyhow::Result<()> {
        match ping {
            Ping::Socket => self.sink.pong().await,
            Ping::Engine => self.sink.text(packet::PONG.as_bytes()).await,
        }
    }

    /// Says goodbye.
    pub async fn close(&mut self) -> anyhow::Result<()> {
        self.sink.close().await
    }

    async fn frame(
        &mut self,
        encoding: Encoding,
        id: u64,
        request: client_frame::Request,
    ) -> anyhow::Result<()> {
        let frame = proto::v1::ClientFrame { id, request: Some(request) };
        let bytes = encoding.encode_client(&frame);
        match encoding {
            Encoding::Json => self.sink.text(&bytes).await,
            Encoding::Protobuf => self.sink.binary(&bytes).await,
        }
    }
}
