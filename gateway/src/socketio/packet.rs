//! Socket.IO packets, protocol 5
//! (<https://socket.io/docs/v4/socket-io-protocol/>): read from the text of an
//! Engine.IO message, and written as whole WebSocket frames.

use base64::Engine as _;
use proto::v1;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::websocket::{Opcode, encode};

/// Attachments of one event.
const MAX_ATTACHMENTS: usize = 8;

/// What a packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Connect,
    Disconnect,
    Event,
    Ack,
    ConnectError,
    BinaryEvent,
    BinaryAck,
}

/// A packet as it was sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    pub kind: Kind,
    pub namespace: &'a str,
    /// The acknowledgement that it asks for, or that it is.
    pub ack: Option<u64>,
    /// JSON, or nothing.
    pub data: &'a str,
    /// Binary messages that follow.
    pub attachments: usize,
}

/// This is no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PacketError {
    #[error("an unknown type of packet")]
    Kind,
    #[error("an impossible number of attachments")]
    Attachments,
    #[error("an impossible acknowledgement")]
    Ack,
    #[error("an event is an array that begins with its name")]
    Event,
    #[error("an attachment that nothing refers to, or none for what refers to one")]
    Placeholder,
    #[error("attachments larger than allowed")]
    TooLarge,
}

/// Reads a packet: `<type>[<attachments>-][<namespace>,][<ack>][<JSON>]`.
pub fn decode(text: &str) -> Result<Packet<'_>, PacketError> {
    let kind = match text.as_bytes().first() {
        Some(b'0') => Kind::Connect,
        Some(b'1') => Kind::Disconnect,
        Some(b'2') => Kind::Event,
        Some(b'3') => Kind::Ack,
        Some(b'4') => Kind::ConnectError,
        Some(b'5') => Kind::BinaryEvent,
        Some(b'6') => Kind::BinaryAck,
        _ => return Err(PacketError::Kind),
    };
    let mut rest = &text[1..];
    let mut attachments = 0;
    if matches!(kind, Kind::BinaryEvent | Kind::BinaryAck) {
        let (count, after) = rest.split_once('-').ok_or(PacketError::Attachments)?;
        attachments =
            number(count).and_then(|count| usize::try_from(count).ok()).ok_or(PacketError::Attachments)?;
        if attachments > MAX_ATTACHMENTS {
            return Err(PacketError::Attachments);
        }
        rest = after;
    }
    let mut namespace = "/";
    if rest.starts_with('/') {
        (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
        // What stands behind a question mark is the client's own.
        namespace = namespace.split_once('?').map_or(namespace, |(name, _)| name);
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let mut ack = None;
    if digits > 0 {
        ack = Some(number(&rest[..digits]).ok_or(PacketError::Ack)?);
        rest = &rest[digits..];
    }
    Ok(Packet { kind, namespace, ack, data: rest, attachments })
}

/// A number without sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The name of an event and its first argument.
pub fn event_parts(data: &str) -> Result<(String, Option<&str>), PacketError> {
    let parts: Vec<&RawValue> = serde_json::from_str(data).map_err(|_| PacketError::Event)?;
    let name = parts.first().ok_or(PacketError::Event)?;
    let name = serde_json::from_str(name.get()).map_err(|_| PacketError::Event)?;
    Ok((name, parts.get(1).map(|payload| payload.get())))
}

/// An event whose attachments have not all come.
#[derive(Debug)]
pub struct Partial {
    ack: Option<u64>,
    data: String,
    wanted: usize,
    attachments: Vec<Vec<u8>>,
    bytes: usize,
}

impl Partial {
    /// An event with attachments.
    pub fn begin(packet: &Packet<'_>) -> Result<Self, PacketError> {
        if packet.attachments == 0 {
            return Err(PacketError::Attachments);
        }
        Ok(Self {
            ack: packet.ack,
            data: packet.data.to_owned(),
            wanted: packet.attachments,
            attachments: Vec::new(),
            bytes: packet.data.len(),
        })
    }

    /// Takes the next attachment; `true`: it was the last one.
    pub fn add(&mut self, attachment: &[u8], max_bytes: usize) -> Result<bool, PacketError> {
        self.bytes += attachment.len();
        if self.bytes > max_bytes {
            return Err(PacketError::TooLarge);
        }
        self.attachments.push(attachment.to_vec());
        Ok(self.attachments.len() == self.wanted)
    }

    /// The event, with each attachment as text in base64 where it belongs.
    pub fn finish(self) -> Result<(Option<u64>, String), PacketError> {
        let mut data: serde_json::Value = serde_json::from_str(&self.data).map_err(|_| PacketError::Event)?;
        let mut used = vec![false; self.attachments.len()];
        fill(&mut data, &self.attachments, &mut used)?;
        if used.contains(&false) {
            return Err(PacketError::Placeholder);
        }
        Ok((self.ack, data.to_string()))
    }
}

/// Puts attachments where placeholders are: `{"_placeholder": true, "num": 0}`.
fn fill(
    value: &mut serde_json::Value,
    attachments: &[Vec<u8>],
    used: &mut [bool],
) -> Result<(), PacketError> {
    use serde_json::Value;

    match value {
        Value::Object(object) if object.get("_placeholder") == Some(&Value::Bool(true)) => {
            let place =
                object.get("num").and_then(Value::as_u64).and_then(|place| usize::try_from(place).ok());
            let place = place.filter(|place| *place < attachments.len()).ok_or(PacketError::Placeholder)?;
            used[place] = true;
            *value = base64::engine::general_purpose::STANDARD.encode(&attachments[place]).into();
        }
        Value::Object(object) => object.values_mut().try_for_each(|value| fill(value, attachments, used))?,
        Value::Array(array) => array.iter_mut().try_for_each(|value| fill(value, attachments, used))?,
        _ => {}
    }
    Ok(())
}

/// Appends one packet, as a text frame with an Engine.IO message in it.
fn packet(out: &mut Vec<u8>, begins: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
    let start = encode::begin(out);
    out.push(b'4');
    out.extend_from_slice(begins);
    write(out);
    encode::finish(Opcode::Text, out, start);
}

/// Appends an event with one argument.
pub fn event(out: &mut Vec<u8>, name: &str, payload: impl FnOnce(&mut Vec<u8>)) {
    event_at(out, name, None, payload);
}

/// Appends an event with one argument and, behind it, its position: room,
/// cursor, and about when it was.
pub fn event_at(
    out: &mut Vec<u8>,
    name: &str,
    position: Option<(&str, &str)>,
    payload: impl FnOnce(&mut Vec<u8>),
) {
    packet(out, b"2[", |out| {
        string(out, name);
        out.push(b',');
        payload(out);
        if let Some((room, cursor)) = position {
            // Neither has anything that JSON would escape.
            let time = crate::now_ms().to_string();
            for part in [",\"", room, "|", cursor, "@", &time, "\""] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        out.push(b']');
    });
}

/// Appends an acknowledgement with one argument.
pub fn ack(out: &mut Vec<u8>, id: u64, payload: impl FnOnce(&mut Vec<u8>)) {
    packet(out, b"3", |out| {
        out.extend_from_slice(id.to_string().as_bytes());
        out.push(b'[');
        payload(out);
        out.push(b']');
    });
}

/// Appends the answer to CONNECT.
pub fn connected(out: &mut Vec<u8>, id: &str) {
    // With a pid, the client's library keeps the last argument of the newest
    // event, and shows it when it comes back.
    let shown = serde_json::json!({ "sid": id, "pid": id });
    packet(out, b"0", |out| out.extend_from_slice(shown.to_string().as_bytes()));
}

/// Appends the refusal of CONNECT.
pub fn connect_error(out: &mut Vec<u8>, namespace: &str, error: &v1::Error) {
    let shown = serde_json::json!({
        "message": error.message, "data": { "code": error.code, "retryable": error.retryable },
    });
    packet(out, b"4", |out| {
        if namespace != "/" {
            out.extend_from_slice(namespace.as_bytes());
            out.push(b',');
        }
        out.extend_from_slice(shown.to_string().as_bytes());
    });
}

/// Appends the end of the conversation: the client does not come back by itself.
pub fn disconnect(out: &mut Vec<u8>) {
    packet(out, b"1", |_| ());
}

fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing to memory does not fail");
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
