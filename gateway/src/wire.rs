//! Server frames as WebSocket frames: encoded once per wire format, shared by
//! every client that gets them.

use std::sync::OnceLock;

use bytes::Bytes;
use proto::v1::ServerFrame;
use proto::{Encoding, Seq};

use crate::client::Client;
use crate::websocket::{Opcode, encode};

/// How a client's frames are written.
pub enum Wire {
    /// The native protocol.
    Native(Encoding),
}

/// One frame for one client.
pub fn single(wire: &Wire, frame: &ServerFrame) -> Bytes {
    match wire {
        Wire::Native(encoding) => native(*encoding, frame),
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
    encoded: [OnceLock<Encoded>; 2],
}

#[derive(Debug)]
struct Encoded {
    /// All frames, one behind the other.
    bytes: Bytes,
    /// Where each frame begins.
    starts: Vec<usize>,
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
        }
        true
    }

    fn skip(&self, after: Seq) -> usize {
        self.frames.iter().take_while(|frame| frame.seq != 0 && frame.seq <= after).count()
    }

    fn encode_native(&self, encoding: Encoding) -> Encoded {
        self.encode(|frame, bytes| append(encoding, frame, bytes))
    }

    fn encode(&self, mut write: impl FnMut(&ServerFrame, &mut Vec<u8>)) -> Encoded {
        let mut bytes = Vec::with_capacity(256 * self.frames.len());
        let mut starts = Vec::with_capacity(self.frames.len());
        for frame in &self.frames {
            starts.push(bytes.len());
            write(frame, &mut bytes);
        }
        Encoded { bytes: bytes.into(), starts }
    }
}

impl Encoded {
    /// Everything from this frame on, shared.
    fn from(&self, frame: usize) -> Bytes {
        self.bytes.slice(self.starts[frame]..)
    }
}
