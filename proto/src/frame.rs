//! Frames as bytes: one schema, two encodings.

use bytes::Bytes;
use prost::Message as _;
use thiserror::Error;

use crate::ids::{Cursor, RoomId};
use crate::v1::{Auth, Change, ClientFrame, Error as ErrorBody, ServerFrame, change, server_frame::Body};

/// How a connection writes its frames; settled by the WebSocket subprotocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Text frames of JSON: `carillon.v1.json`, also when none was asked for.
    Json,
    /// Binary frames of protobuf: `carillon.v1.proto`.
    Protobuf,
}

/// Bytes that are not a frame. Displays as a reason a client's author can use.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// Not JSON, or JSON of another shape.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Not protobuf of this schema.
    #[error("{0}")]
    Protobuf(#[from] prost::DecodeError),
}

impl Encoding {
    /// Both, for tests and tables.
    pub const ALL: [Encoding; 2] = [Encoding::Json, Encoding::Protobuf];

    /// The WebSocket subprotocol that asks for it.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Encoding::Json => "carillon.v1.json",
            Encoding::Protobuf => "carillon.v1.proto",
        }
    }

    /// The encoding of a subprotocol's name.
    pub fn from_subprotocol(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.subprotocol() == name)
    }

    /// Reads what a client sent.
    pub fn decode_client(self, bytes: &[u8]) -> Result<ClientFrame, DecodeError> {
        Ok(match self {
            Encoding::Json => serde_json::from_slice(bytes)?,
            Encoding::Protobuf => ClientFrame::decode(bytes)?,
        })
    }

    /// Reads what a server sent.
    pub fn decode_server(self, bytes: &[u8]) -> Result<ServerFrame, DecodeError> {
        Ok(match self {
            Encoding::Json => serde_json::from_slice(bytes)?,
            Encoding::Protobuf => ServerFrame::decode(bytes)?,
        })
    }

    /// Writes what a client sends.
    pub fn encode_client(self, frame: &ClientFrame) -> Bytes {
        match self {
            Encoding::Json => serde_json::to_vec(frame).expect("frames hold valid JSON text").into(),
            Encoding::Protobuf => frame.encode_to_vec().into(),
        }
    }

    /// Appends what a server sends to `to`.
    pub fn encode_server(self, frame: &ServerFrame, to: &mut Vec<u8>) {
        match self {
            Encoding::Json => serde_json::to_writer(to, frame).expect("stored data is valid JSON text"),
            Encoding::Protobuf => frame.encode(to).expect("a Vec grows"),
        }
    }
}

impl ServerFrame {
    /// The answer to the request `re`.
    pub fn answer(re: u64, body: Body) -> Self {
        ServerFrame { re, body: Some(body), ..Default::default() }
    }

    /// A refusal of the request `re`; 0 where no request can be named.
    pub fn refusal(re: u64, error: ErrorBody) -> Self {
        Self::answer(re, Body::Error(error))
    }

    /// Something ephemeral of a room.
    pub fn ephemeral(room: &RoomId, body: Body) -> Self {
        ServerFrame { room: room.into(), body: Some(body), ..Default::default() }
    }

    /// A change of a feed as it is delivered: `room` empty for a user's own
    /// feed. None for changes that are not shown to clients.
    pub fn delivery(room: &str, change: Change) -> Option<Self> {
        let cursor = change.cursor();
        let body = match change.thing? {
            change::Thing::Message(message) => Body::Message(message),
            change::Thing::Member(member) => Body::Member(member),
            change::Thing::Details(details) => Body::Details(details),
            change::Thing::Notification(notification) => Body::Notification(notification),
            change::Thing::Membership(membership) => Body::Membership(membership),
            change::Thing::Revocation(_) => return None,
        };
        Some(ServerFrame {
            re: 0,
            room: room.to_owned(),
            seq: change.seq,
            cursor: cursor.to_string(),
            body: Some(body),
        })
    }
}

/// Says that there is a token, never which: it must not reach a log.
impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("since", &self.since).finish_non_exhaustive()
    }
}

impl Change {
    /// The place in the feed after this change.
    pub fn cursor(&self) -> Cursor {
        Cursor { seq: self.seq, check: self.check }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{Message, MessageType, client_frame::Request};

    #[test]
    fn a_send_reads_alike_in_both_encodings() {
        let json = br#"{"id":3,"send":{"room":"r","key":"k","type":"image","text":"hi","data":{"url": "x"},"later":1},"new":[]}"#;
        let frame = Encoding::Json.decode_client(json).unwrap();
        let Some(Request::Send(send)) = &frame.request else { panic!("{frame:?}") };
        assert_eq!(send.data, r#"{"url": "x"}"#);
        assert_eq!(send.r#type(), MessageType::Image);
        let bytes = Encoding::Protobuf.encode_client(&frame);
        assert_eq!(Encoding::Protobuf.decode_client(&bytes).unwrap(), frame);
    }

    #[test]
    fn a_delivery_is_flat_json() {
        let change = Change {
            seq: 18,
            check: 0xbeef,
            thing: Some(change::Thing::Message(Message {
                id: "m".into(),
                seq: 18,
                ordinal: 2,
                sender: "a".into(),
                text: "hi".into(),
                time: 5,
                ..Default::default()
            })),
        };
        let mut json = Vec::new();
        Encoding::Json.encode_server(&ServerFrame::delivery("r", change).unwrap(), &mut json);
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#"{"room":"r","seq":18,"cursor":"18-0000beef","message":{"id":"m","seq":18,"ordinal":2,"sender":"a","name":"","type":"TEXT","text":"hi","time":5}}"#
        );
    }

    #[test]
    fn malformed_json_is_an_error_never_a_panic() {
        let deep = "[".repeat(10_000);
        for bad in [
            "",
            "null",
            "[]",
            "{",
            "{\"id\":-1}",
            "{\"id\":1e999}",
            "{\"id\":1,\"id\":2}",
            "{\"send\":{\"room\":\"a\",\"room\":\"b\"}}",
            "{\"send\":{},\"ping\":{}}",
            "{\"ping\":[]}",
            "{\"join\":[\"a\",\"\"]}",
            "{\"send\":{\"text\":\"\\ud800\"}}",
            "{\"send\":{\"type\":\"NOPE\"}}",
            &deep,
            &format!("{{\"x\":{deep}"),
        ] {
            assert!(Encoding::Json.decode_client(bad.as_bytes()).is_err(), "{bad:.40}");
        }
        assert!(Encoding::Json.decode_client(b"{\"send\":{\"text\":\"\xff\"}}").is_err());
        assert!(Encoding::Json.decode_client(br#"{"__proto__":{"a":1}}"#).unwrap().request.is_none());
    }
}
