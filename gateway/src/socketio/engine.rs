//! Engine.IO 4 packets (<https://socket.io/docs/v4/engine-io-protocol/>): what
//! long-polling carries, and how it relates to WebSocket frames.
//!
//! What waits for a session is whole WebSocket frames, whatever its transport,
//! so that a delivery is encoded once for everybody. A poll's answer is the same
//! packets without their frames.

use base64::Engine as _;
use bytes::Bytes;
use serde::Serialize;
use thiserror::Error;

use crate::settings::Settings;
use crate::websocket::{Opcode, encode};

/// Ends a poll that there is nothing for.
pub const NOOP: &str = "6";

/// Stands between two packets of a payload.
const SEPARATOR: char = '\x1e';

/// A packet from a client.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    Close,
    Ping(&'a str),
    Pong,
    Message(&'a str),
    Binary(Vec<u8>),
    Upgrade,
    Noop,
}

/// This is no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a packet of Engine.IO 4")]
pub struct NoPacket;

/// Reads a packet of text.
pub fn decode(text: &str) -> Result<Packet<'_>, NoPacket> {
    Ok(match text.as_bytes() {
        [b'1'] => Packet::Close,
        [b'2', ..] => Packet::Ping(&text[1..]),
        [b'3', ..] => Packet::Pong,
        [b'4', ..] => Packet::Message(&text[1..]),
        [b'5'] => Packet::Upgrade,
        [b'6'] => Packet::Noop,
        _ => return Err(NoPacket),
    })
}

/// Reads the body of a POST: packets, one behind the other.
pub fn decode_payload(body: &str) -> impl Iterator<Item = Result<Packet<'_>, NoPacket>> {
    body.split(SEPARATOR).map(|text| match text.strip_prefix('b') {
        Some(base64) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(base64);
            bytes.map(Packet::Binary).map_err(|_| NoPacket)
        }
        None => decode(text),
    })
}

/// The answer to a poll, out of WebSocket frames that were made here.
pub fn payload(frames: &[Bytes]) -> String {
    let mut payload = String::new();
    for (opcode, content) in frames.iter().flat_map(|frames| Unframed(frames)) {
        if !payload.is_empty() {
            payload.push(SEPARATOR);
        }
        match opcode {
            opcode if opcode == Opcode::Binary as u8 => {
                payload.push('b');
                base64::engine::general_purpose::STANDARD.encode_string(content, &mut payload);
            }
            _ => payload.push_str(&String::from_utf8_lossy(content)),
        }
    }
    payload
}

/// Frames of a server, one behind the other: opcode and content of each.
struct Unframed<'a>(&'a [u8]);

impl<'a> Iterator for Unframed<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[first, second], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match second {
            126 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u16::from_be_bytes(*length).into(), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk()?;
                (usize::try_from(u64::from_be_bytes(*length)).ok()?, rest)
            }
            length => (usize::from(length), rest),
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((first & 0x0F, content))
    }
}

/// The first packet of a session.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Open<'a> {
    pub sid: &'a str,
    pub upgrades: &'a [&'a str],
    /// Milliseconds.
    pub ping_interval: u64,
    /// Milliseconds.
    pub ping_timeout: u64,
    /// Bytes of a POST.
    pub max_payload: usize,
}

impl<'a> Open<'a> {
    /// For a session that may move to these transports.
    pub fn new(sid: &'a str, upgrades: &'a [&'a str], settings: &Settings) -> Self {
        Self {
            sid,
            upgrades,
            ping_interval: settings.engine_ping_interval.as_millis() as u64,
            ping_timeout: settings.engine_ping_timeout.as_millis() as u64,
            max_payload: settings.max_frame_bytes,
        }
    }

    /// The packet.
    pub fn packet(&self) -> String {
        format!("0{}", serde_json::to_string(self).expect("it has no maps"))
    }
}

/// One packet as a WebSocket frame.
pub fn frame(packet: &str) -> Bytes {
    encode::frame(Opcode::Text, packet.as_bytes())
}

/// Ping.
pub fn ping() -> Bytes {
    Bytes::from_static(&[0x81, 1, b'2'])
}

/// The answer to the probe of an upgrade.
pub fn probed() -> Bytes {
    Bytes::from_static(b"\x81\x063probe")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_told_by_their_first_digit() {
        assert_eq!(decode("4hi"), Ok(Packet::Message("hi")));
        assert_eq!(decode("2probe"), Ok(Packet::Ping("probe")));
        assert_eq!(decode("3"), Ok(Packet::Pong));
        assert_eq!(decode("1"), Ok(Packet::Close));
        assert_eq!(decode("5"), Ok(Packet::Upgrade));
        for nonsense in ["", "0", "7", "x", "é", "11"] {
            assert_eq!(decode(nonsense), Err(NoPacket), "{nonsense}");
        }
    }

    #[test]
    fn a_payload_has_several_packets_and_binary_in_base64() {
        let packets: Vec<_> = decode_payload("4a\x1e4b\x1ebAQID").collect();
        let expected = [Packet::Message("a"), Packet::Message("b"), Packet::Binary(vec![1, 2, 3])];
        assert_eq!(packets.into_iter().collect::<Result<Vec<_>, _>>().unwrap(), expected);
        assert!(decode_payload("4a\x1e").any(|packet| packet.is_err()));
        assert!(decode_payload("b###").any(|packet| packet.is_err()));
    }

    #[test]
    fn frames_of_any_size_are_unwrapped_for_a_poll() {
        let long = "4".repeat(70_000);
        let middle = "4".repeat(300);
        let mut together = Vec::new();
        for text in ["2", middle.as_str()] {
            together.extend_from_slice(&frame(text));
        }
        let frames =
            [together.into(), frame(&long), encode::frame(Opcode::Binary, &[1, 2, 3]), ping(), probed()];
        assert_eq!(payload(&frames), format!("2\x1e{middle}\x1e{long}\x1ebAQID\x1e2\x1e3probe"));
        assert_eq!(payload(&[]), "");
    }
}
