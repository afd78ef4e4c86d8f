//! What a client hears and says, whatever the wire: the native protocol in its
//! two encodings, or Socket.IO.

use std::fmt;

use anyhow::{bail, ensure};
use proto::Encoding;
use proto::v1::{ClientFrame, Join, Send, ServerFrame, change, client_frame::Request, server_frame::Body};

use crate::clock;

pub mod line;
mod packet;
mod websocket;
mod words;

use packet::Packet;
pub use websocket::ENDED;
use websocket::{Frame, Sink, Source};

/// The request that joins; sends are numbered after it.
const JOIN: u64 = 1;
const FIRST_SEND: u64 = JOIN + 1;

/// How clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// The native protocol.
    Native(Encoding),
    /// Socket.IO over a WebSocket.
    SocketIo,
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native(Encoding::Json) => "json",
            Self::Native(Encoding::Protobuf) => "protobuf",
            Self::SocketIo => "socketio",
        })
    }
}

impl Wire {
    /// Whether a sender's own connection may be left out of a message's
    /// delivery: it has the answer.
    pub fn may_spare_the_sender(self) -> bool {
        self == Self::SocketIo
    }
}

/// A message that was delivered.
#[derive(Debug)]
pub struct Delivery {
    /// Its place in the room, where the wire says it.
    pub seq: Option<u64>,
    /// What it says.
    pub text: String,
}

/// What a client hears.
pub enum Received {
    /// A message in the room.
    Message(Delivery),
    /// The send of this number is answered: stored, or refused for this reason.
    Answer(u64, Result<(), String>),
    /// Something else was refused.
    Error(String),
    /// To be answered with [`Writer::pong`].
    Ping(Ping),
    /// The server closes, with this code and reason.
    Closed(u16, String),
    /// Nothing that matters here.
    Other,
}

/// Whose ping it is.
#[derive(Clone, Copy, Debug)]
pub enum Ping {
    /// The WebSocket's.
    Socket,
    /// Engine.IO's.
    Engine,
}

/// The half that hears.
pub struct Reader {
    source: Source,
    wire: Wire,
    room: String,
    position: String,
}

/// The half that speaks.
pub struct Writer {
    sink: Sink,
    wire: Wire,
}

/// Who comes, and where to.
pub struct Visit<'a> {
    /// URL of a gateway.
    pub target: &'a str,
    /// Says who it is.
    pub token: &'a str,
    /// The room to hear; with Socket.IO, the only one of this user.
    pub room: &'a str,
    /// Where it left off; empty: from now on.
    pub position: &'a str,
}

/// A client that is in its room.
pub struct Entered {
    /// Hears.
    pub reader: Reader,
    /// Speaks.
    pub writer: Writer,
    /// When it was authenticated.
    pub authenticated: u64,
    /// What it had missed.
    pub missed: Vec<Delivery>,
}

/// Connects, authenticates and joins.
pub async fn enter(wire: Wire, visit: &Visit<'_>) -> anyhow::Result<Entered> {
    match wire {
        Wire::Native(encoding) => enter_native(wire, encoding, visit).await,
        Wire::SocketIo => enter_socketio(wire, visit).await,
    }
}

async fn enter_native(wire: Wire, encoding: Encoding, visit: &Visit<'_>) -> anyhow::Result<Entered> {
    let headers = format!(
        "Sec-WebSocket-Protocol: {}\r\nAuthorization: Bearer {}\r\n",
        encoding.subprotocol(),
        visit.token
    );
    let (source, sink) = websocket::open(visit.target, "/v1/ws", &headers).await?;
    let mut reader =
        Reader { source, wire, room: visit.room.to_owned(), position: visit.position.to_owned() };
    let mut writer = Writer { sink, wire };
    expect(&mut reader, &mut writer, |body| matches!(body, Body::Ready(_)).then_some(())).await?;
    let authenticated = clock::now();
    let mut missed = Vec::new();
    loop {
        let join = Join { room: visit.room.to_owned(), since: reader.position.clone() };
        writer.frame(encoding, &ClientFrame { id: JOIN, request: Some(Request::Join(join)) }).await?;
        let joined = expect(&mut reader, &mut writer, |body| match body {
            Body::Joined(joined) => Some(joined),
            _ => None,
        });
        let joined = joined.await?;
        ensure!(!joined.reset, "the server does not know the cursor {}", reader.position);
        reader.position = joined.cursor;
        missed.extend(joined.changes.into_iter().filter_map(|change| match change.thing {
            Some(change::Thing::Message(message)) => {
                Some(Delivery { seq: Some(change.seq), text: message.text })
            }
            _ => None,
        }));
        if !joined.more {
            return Ok(Entered { reader, writer, authenticated, missed });
        }
    }
}

/// Waits for an answer before anything is delivered.
async fn expect<T>(
    reader: &mut Reader,
    writer: &mut Writer,
    what: impl Fn(Body) -> Option<T>,
) -> anyhow::Result<T> {
    let Wire::Native(encoding) = reader.wire else { bail!("a frame is expected of another wire") };
    loop {
        match reader.source.next().await? {
            Frame::Message(payload) => match encoding.decode_server(&payload)?.body {
                Some(Body::Error(error)) => bail!("{}: {}", error.code, error.message),
                Some(body) => {
                    if let Some(found) = what(body) {
                        return Ok(found);
                    }
                }
                None => {}
            },
            Frame::Ping => writer.pong(Ping::Socket).await?,
            Frame::Pong => {}
            Frame::Close(code, reason) => bail!("closed with {code}: {reason}"),
        }
    }
}

async fn enter_socketio(wire: Wire, visit: &Visit<'_>) -> anyhow::Result<Entered> {
    let (source, sink) = websocket::open(visit.target, "/socket.io/?EIO=4&transport=websocket", "").await?;
    let mut reader =
        Reader { source, wire, room: visit.room.to_owned(), position: visit.position.to_owned() };
    let mut writer = Writer { sink, wire };
    loop {
        match reader.source.next().await? {
            Frame::Message(payload) => match packet::read(std::str::from_utf8(&payload)?)? {
                Packet::Open => {
                    let position = [visit.position];
                    let positions = if visit.position.is_empty() { &[][..] } else { &position[..] };
                    let auth = words::Auth { token: visit.token, positions };
                    writer.sink.text(packet::connect(&auth)?.as_bytes()).await?;
                }
                // Whatever was missed comes as any other event.
                Packet::Connected => {
                    return Ok(Entered { reader, writer, authenticated: clock::now(), missed: Vec::new() });
                }
                Packet::Refused(why) => bail!("refused: {why}"),
                Packet::Ended => bail!("ended before it was connected"),
                Packet::Ping => writer.pong(Ping::Engine).await?,
                packet => bail!("{packet:?} before the session is connected"),
            },
            Frame::Ping => writer.pong(Ping::Socket).await?,
            Frame::Pong => {}
            Frame::Close(code, reason) => bail!("closed with {code}: {reason}"),
        }
    }
}

impl Reader {
    /// The next thing heard. Cancel-safe.
    pub async fn next(&mut self) -> anyhow::Result<Received> {
        match self.source.next().await? {
            Frame::Message(payload) => match self.wire {
                Wire::Native(encoding) => self.native(encoding.decode_server(&payload)?),
                Wire::SocketIo => self.socketio(std::str::from_utf8(&payload)?),
            },
            Frame::Ping => Ok(Received::Ping(Ping::Socket)),
            Frame::Pong => Ok(Received::Other),
            Frame::Close(code, reason) => Ok(Received::Closed(code, reason)),
        }
    }

    fn native(&mut self, frame: ServerFrame) -> anyhow::Result<Received> {
        Ok(match frame.body {
            Some(Body::Sent(_)) => Received::Answer(frame.re.wrapping_sub(FIRST_SEND), Ok(())),
            Some(Body::Error(error)) => {
                let why = format!("{}: {}", error.code, error.message);
                match frame.re.checked_sub(FIRST_SEND) {
                    Some(number) => Received::Answer(number, Err(why)),
                    None => Received::Error(why),
                }
            }
            Some(Body::Message(message)) => {
                ensure!(frame.room == self.room, "a message of the room {}, which is not joined", frame.room);
                self.position = frame.cursor;
                Received::Message(Delivery { seq: Some(frame.seq), text: message.text })
            }
            _ => Received::Other,
        })
    }

    fn socketio(&mut self, text: &str) -> anyhow::Result<Received> {
        Ok(match packet::read(text)? {
            Packet::Message(message, position) => {
                ensure!(
                    message.room == self.room,
                    "a message of the room {}, which is not this user's",
                    message.room
                );
                if let Some(position) = position {
                    self.position.clear();
                    self.position.push_str(&position);
                }
                Received::Message(Delivery { seq: None, text: message.text.into_owned() })
            }
            Packet::Answer(number, result) => {
                Received::Answer(number, result.map(drop).map_err(|why| why.to_string()))
            }
            Packet::Error(why) => Received::Error(why),
            Packet::Ping => Received::Ping(Ping::Engine),
            Packet::Ended => Received::Closed(ENDED, "the session was ended".to_owned()),
            Packet::Refused(why) => bail!("refused: {why}"),
            Packet::Open | Packet::Connected | Packet::Edited(..) | Packet::Typing | Packet::Other => {
                Received::Other
            }
        })
    }

    /// Where to go on from after what was heard; empty if the server never said.
    pub fn position(&self) -> &str {
        &self.position
    }

    /// Ends the connection as a crash or a cut would: with a TCP reset.
    pub fn reset(self, writer: Writer) -> anyhow::Result<()> {
        self.source.reset(writer.sink)
    }
}

impl Writer {
    /// Sends the message of this number; its answer carries it again.
    pub async fn send(&mut self, number: u64, room: &str, key: &str, text: String) -> anyhow::Result<()> {
        match self.wire {
            Wire::Native(encoding) => {
                let send = Send { room: room.to_owned(), key: key.to_owned(), text, ..Send::default() };
                let frame = ClientFrame { id: FIRST_SEND + number, request: Some(Request::Send(send)) };
                self.frame(encoding, &frame).await
            }
            Wire::SocketIo => {
                let send = words::Send { room, text: &text, kind: "TEXT", key: None };
                self.sink.text(packet::send(number, &send)?.as_bytes()).await
            }
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

    async fn frame(&mut self, encoding: Encoding, frame: &ClientFrame) -> anyhow::Result<()> {
        let bytes = encoding.encode_client(frame);
        match encoding {
            Encoding::Json => self.sink.text(&bytes).await,
            Encoding::Protobuf => self.sink.binary(&bytes).await,
        }
    }
}
