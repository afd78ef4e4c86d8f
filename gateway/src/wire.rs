//! Server frames as WebSocket frames: encoded once per encoding, shared by
//! every client that gets them.

use std::sync::OnceLock;

use bytes::Bytes;
use proto::v1::ServerFrame;
use proto::{Encoding, Seq};

use crate::websocket::{Opcode, encode};

/// One frame for one client.
pub fn single(encoding: Encoding, frame: &ServerFrame) -> Bytes {
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

    /// The frames with a seq above `after`, and ephemeral ones, as one piece of
    /// bytes; `None` if there is none.
    pub fn after(&self, encoding: Encoding, after: Seq) -> Option<Bytes> {
        let skip = self.frames.iter().take_while(|frame| frame.seq != 0 && frame.seq <= after).count();
        if skip == self.frames.len() {
            return None;
        }
        let slot = match encoding {
            Encoding::Json => &self.encoded[0],
            Encoding::Protobuf => &self.encoded[1],
        };
        let encoded = slot.get_or_init(|| {
            let mut bytes = Vec::with_capacity(256 * self.frames.len());
            let mut starts = Vec::with_capacity(self.frames.len());
            for frame in &self.frames {
                starts.push(bytes.len());
                append(encoding, frame, &mut bytes);
            }
            Encoded { bytes: bytes.into(), starts }
        });
        Some(encoded.bytes.slice(encoded.starts[skip]..))
    }
}
