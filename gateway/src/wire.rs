//! Server frames as WebSocket frames: encoded once per wire format, shared by
//! every client that gets them.

use std::ops::Range;
use std::sync::OnceLock;

use bytes::Bytes;
use proto::v1::ServerFrame;
use proto::{Encoding, Seq};

use crate::client::Client;
use crate::socketio::SocketIoWire;
use crate::vocabulary::Vocabulary;
use crate::websocket::{Opcode, encode};

/// How a client's frames are written.
pub enum Wire {
    /// The native protocol.
    Native(Encoding),
    /// Socket.IO events, in a vocabulary.
    SocketIo(Box<SocketIoWire>),
}

/// One frame for one client.
pub fn single(wire: &Wire, frame: &ServerFrame) -> Bytes {
    match wire {
        Wire::Native(encoding) => native(*encoding, frame),
        Wire::SocketIo(wire) => {
            let mut bytes = Vec::with_capacity(256);
            wire.vocabulary().project(frame, &mut bytes);
            bytes.into()
        }
    }
}

/// One frame in the native protocol.
pub fn native(encoding: Encoding, frame: &ServerFrame) -> Bytes {
    let mut bytes = Vec::with_capacity(128);
    append(encoding, frame, &mut bytes);
    bytes.into()
}

fn append(encoding: Encoding, frame: &ServerFrame, to: &mut Vec<u8>) {
    let opcode = match encoding {
        Encoding::Json => Opcode::Text,
        Encoding::Protobuf => Opcode::Binary,
    };
    let start = encode::begin(to);
    encoding.encode_server(frame, to);
    encode::finish(opcode, to, start);
}

/// Frames for many clients, encoded when the first one needs them.
#[derive(Debug)]
pub struct Shared {
    /// In order; ephemeral frames have seq 0.
    frames: Vec<ServerFrame>,
    encoded: [OnceLock<Encoded>; 3],
}

#[derive(Debug)]
struct Encoded {
    /// All frames, one behind the other.
    bytes: Bytes,
    /// Where each frame begins.
    starts: Vec<usize>,
    /// What those whose own doing it is do not hear.
    own: Vec<Own>,
}

/// A part of the bytes that one connection is spared: its own doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// Where it is.
    pub bytes: Range<usize>,
    /// Whose doing it is.
    pub user: String,
    /// The key of the send: tells which connection.
    pub key: String,
}

impl Shared {
    /// Frames in the order of their seqs.
    pub fn new(frames: Vec<ServerFrame>) -> Self {
        Self { frames, encoded: Default::default() }
    }

    /// How many frames.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// The seq of the newest frame; 0 if ephemeral or empty.
    pub fn last_seq(&self) -> Seq {
        self.frames.last().map_or(0, |frame| frame.seq)
    }

    /// Queues the frames with a seq above `after`, and ephemeral ones, for this
    /// client as one piece of bytes. `false`: there is none.
    pub fn hand_to(&self, client: &Client, after: Seq) -> bool {
        let skip = self.skip(after);
        if skip == self.frames.len() {
            return false;
        }
        match &client.wire {
            Wire::Native(encoding) => {
                let encoded = self.encoded[*encoding as usize].get_or_init(|| self.encode_native(*encoding));
                client.outbound.push(encoded.from(skip));
            }
            Wire::SocketIo(wire) => {
                let frames = &self.frames[skip..];
                if wire.takes(frames, client) {
                    return true;
                }
                let encoded = self.encoded[2].get_or_init(|| self.project(wire.vocabulary()));
                let bytes = encoded.without(skip, |own| wire.is_own(client, own));
                if !bytes.is_empty() {
                    client.outbound.push(bytes);
                }
            }
        }
        true
    }

    fn skip(&self, after: Seq) -> usize {
        self.frames.iter().take_while(|frame| frame.seq != 0 && frame.seq <= after).count()
    }

    fn encode_native(&self, encoding: Encoding) -> Encoded {
        self.encode(|frame, bytes, _| append(encoding, frame, bytes))
    }

    /// All clients of one gateway speak one vocabulary.
    fn project(&self, vocabulary: &Vocabulary) -> Encoded {
        self.encode(|frame, bytes, own| own.extend(vocabulary.project(frame, bytes)))
    }

    fn encode(&self, mut write: impl FnMut(&ServerFrame, &mut Vec<u8>, &mut Vec<Own>)) -> Encoded {
        let mut bytes = Vec::with_capacity(256 * self.frames.len());
        let mut starts = Vec::with_capacity(self.frames.len());
        let mut own = Vec::new();
        for frame in &self.frames {
            starts.push(bytes.len());
            write(frame, &mut bytes, &mut own);
        }
        Encoded { bytes: bytes.into(), starts, own }
    }
}

impl Encoded {
    /// Everything from this frame on, shared.
    fn from(&self, frame: usize) -> Bytes {
        self.bytes.slice(self.starts[frame]..)
    }

    /// Everything from this frame on but what is this client's own: copied only
    /// for the one that has something of its own in it.
    fn without(&self, frame: usize, is_own: impl Fn(&Own) -> bool) -> Bytes {
        let start = self.starts[frame];
        let behind = self.own.iter().filter(|own| own.bytes.start >= start);
        let spared: Vec<&Own> = behind.filter(|own| is_own(own)).collect();
        if spared.is_empty() {
            return self.from(frame);
        }
        cut(&self.bytes[start..], start, spared).into()
    }
}

/// `bytes`, which begin at `start` of what the parts count from, without the parts.
pub fn cut<'a>(bytes: &[u8], start: usize, parts: impl IntoIterator<Item = &'a Own>) -> Vec<u8> {
    let mut left = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for own in parts {
        left.extend_from_slice(&bytes[from..own.bytes.start - start]);
        from = own.bytes.end - start;
    }
    left.extend_from_slice(&bytes[from..]);
    left
}
