//! Engine.IO 4 and Socket.IO 5 packets as they stand in a WebSocket's text
//! frames, for the main namespace.

use std::borrow::Cow;
use std::fmt;

use anyhow::{Context as _, bail};
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::words::{self, Auth, Message, Send};

/// What a server's packet says.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The transport is open.
    Open,
    /// To be answered with [`PONG`].
    Ping,
    /// The session is connected.
    Connected,
    /// It is not, for this reason.
    Refused(&'a str),
    /// The server ends it.
    Ended,
    /// A message, and where it stands in its room if the server says so.
    Message(Message<'a>, Option<Cow<'a, str>>),
    /// A message that was edited, and where that stands in its room.
    Edited(Message<'a>, Option<Cow<'a, str>>),
    /// Somebody types.
    Typing,
    /// Something was refused.
    Error(String),
    /// The request of this number was done, and the id of the message that it
    /// was about; or why it was not.
    Answer(u64, Result<Cow<'a, str>, serde_json::Value>),
    /// Nothing that matters here.
    Other,
}

/// Answers [`Packet::Ping`].
pub const PONG: &str = "3";

/// Reads one packet.
pub fn read(text: &str) -> anyhow::Result<Packet<'_>> {
    let mut chars = text.chars();
    Ok(match chars.next() {
        Some('0') => Packet::Open,
        Some('1') => Packet::Ended,
        Some('2') => Packet::Ping,
        Some('4') => match (chars.next(), chars.as_str()) {
            (Some('0'), _) => Packet::Connected,
            (Some('1'), _) => Packet::Ended,
            (Some('2'), event) => {
                let (_, arguments) = number(event);
                let Event { said, position } =
                    serde_json::from_str(arguments).with_context(|| format!("the event {event}"))?;
                match said {
                    Said::Message(message) => Packet::Message(message, position),
                    Said::Edited(message) => Packet::Edited(message, position),
                    Said::Typing => Packet::Typing,
                    Said::Error(payload) => Packet::Error(payload.to_string()),
                    Said::Other => Packet::Other,
                }
            }
            (Some('3'), answer) => {
                let (Some(id), arguments) = number(answer) else {
                    bail!("an acknowledgement without a number: {answer}")
                };
                let (ack,): (words::Ack<'_>,) = serde_json::from_str(arguments)
                    .with_context(|| format!("the acknowledgement {arguments}"))?;
                Packet::Answer(id, if ack.ok { Ok(ack.message) } else { Err(ack.error) })
            }
            (Some('4'), why) => Packet::Refused(why),
            _ => bail!("a packet of no known type: {text}"),
        },
        Some('6') => Packet::Other,
        _ => bail!("a packet of no known type: {text}"),
    })
}

/// The digits that a packet's data begins with, and the rest.
fn number(data: &str) -> (Option<u64>, &str) {
    let end = data.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(data.len());
    (data[..end].parse().ok(), &data[end..])
}

/// A CONNECT packet.
pub fn connect(auth: &Auth<'_>) -> anyhow::Result<String> {
    Ok(format!("40{}", serde_json::to_string(auth)?))
}

/// The event that sends; it asks for an acknowledgement with this number.
pub fn send(id: u64, send: &Send<'_>) -> anyhow::Result<String> {
    emit(id, words::SEND, send)
}

/// An event that asks for an acknowledgement with this number.
pub fn emit(id: u64, event: &str, payload: &impl Serialize) -> anyhow::Result<String> {
    Ok(format!("42{id}{}", serde_json::to_string(&(event, payload))?))
}

enum Said<'a> {
    Message(Message<'a>),
    Edited(Message<'a>),
    Typing,
    Error(serde_json::Value),
    Other,
}

struct Event<'a> {
    said: Said<'a>,
    position: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Event<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Arguments;
        impl<'de> Visitor<'de> for Arguments {
            type Value = Event<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an event and its arguments")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Event<'de>, A::Error> {
                let missing = || serde::de::Error::custom("an event without its payload");
                let Text(name) = seq.next_element()?.ok_or_else(missing)?;
                let said = match &*name {
                    words::MESSAGE => Said::Message(seq.next_element()?.ok_or_else(missing)?),
                    words::EDITED => Said::Edited(seq.next_element()?.ok_or_else(missing)?),
                    words::TYPING => Said::Typing,
                    words::ERROR => Said::Error(seq.next_element()?.unwrap_or_default()),
                    _ => Said::Other,
                };
                if matches!(said, Said::Message(_) | Said::Edited(_)) {
                    let position = seq.next_element()?.map(|Text(position)| position);
                    while seq.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(Event { said, position });
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Event { said, position: None })
            }
        }
        deserializer.deserialize_seq(Arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(room: &'static str, text: &'static str) -> Message<'static> {
        Message { room: room.into(), text: text.into() }
    }

    #[test]
    fn packets_are_understood() {
        for (text, expected) in [
            (
                r#"0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1}"#,
                Packet::Open,
            ),
            ("2", Packet::Ping),
            ("1", Packet::Ended),
            ("6", Packet::Other),
            ("41", Packet::Ended),
            (r#"40{"sid":"y"}"#, Packet::Connected),
            (r#"44{"message":"no"}"#, Packet::Refused(r#"{"message":"no"}"#)),
            (
                r#"42["message_received",{"id":"1","chatId":"r","sender":{"id":"a"},"content":"hi"}]"#,
                Packet::Message(message("r", "hi"), None),
            ),
            (
                r#"42["message_received",{"content":"a \"b\"","chatId":"r"},"r|5-0a"]"#,
                Packet::Message(message("r", "a \"b\""), Some("r|5-0a".into())),
            ),
            (r#"427["user_online",{"userId":"a"},"x"]"#, Packet::Other),
            (r#"42["error",{"error":"no"}]"#, Packet::Error(r#"{"error":"no"}"#.to_owned())),
            (
                r#"42["message_edited",{"content":"c","chatId":"r"},"r|6-0b"]"#,
                Packet::Edited(message("r", "c"), Some("r|6-0b".into())),
            ),
            (r#"42["user_typing",{"chatId":"r","userId":"a"}]"#, Packet::Typing),
            (r#"4312[{"ok":true,"messageId":"m"}]"#, Packet::Answer(12, Ok("m".into()))),
            (r#"4313[{"ok":true}]"#, Packet::Answer(13, Ok("".into()))),
            (
                r#"430[{"ok":false,"error":{"code":"not_member"}}]"#,
                Packet::Answer(0, Err(serde_json::json!({ "code": "not_member" }))),
            ),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        for text in ["", "9", "4", "47", "42", "42[]", r#"42["message_received"]"#, "43[{}]", "431[]"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn packets_are_written_as_the_official_client_writes_them() {
        let auth = Auth { token: "t", positions: &[] };
        assert_eq!(connect(&auth).unwrap(), r#"40{"token":"t"}"#);
        let auth = Auth { token: "t", positions: &["r|5-0a"] };
        assert_eq!(connect(&auth).unwrap(), r#"40{"token":"t","positions":["r|5-0a"]}"#);
        let hi = Send { room: "r", text: "hi", kind: "TEXT", key: None };
        assert_eq!(
            send(3, &hi).unwrap(),
            r#"423["send_message",{"chatId":"r","content":"hi","type":"TEXT"}]"#
        );
    }
}
