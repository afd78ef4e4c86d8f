//! The words of the vocabulary that the Socket.IO wire speaks (`sessions`, a
//! server's default): the one place that knows them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// What a client emits to send.
pub const SEND: &str = "send_message";
/// What the server emits to a room for a new message.
pub const MESSAGE: &str = "message_received";
/// What the server emits when it refuses something.
pub const ERROR: &str = "error";

/// Payload of [`SEND`].
#[derive(Serialize)]
pub struct Send<'a> {
    #[serde(rename = "chatId")]
    pub room: &'a str,
    #[serde(rename = "content")]
    pub text: &'a str,
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// What matters of the payload of [`MESSAGE`].
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Message<'a> {
    #[serde(rename = "chatId", borrow)]
    pub room: Cow<'a, str>,
    #[serde(rename = "content", borrow)]
    pub text: Cow<'a, str>,
}

/// An acknowledgement.
#[derive(Deserialize)]
pub struct Ack {
    pub ok: bool,
    /// Why not.
    #[serde(default)]
    pub error: serde_json::Value,
}

/// What goes with CONNECT.
#[derive(Serialize)]
pub struct Auth<'a> {
    pub token: &'a str,
    /// The last arguments of the newest events heard, to go on from.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub positions: &'a [&'a str],
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of a TOML file, up to the next one.
    fn table<'a>(file: &'a str, name: &str) -> &'a str {
        let start = file.find(&format!("\n[{name}]\n")).unwrap_or_else(|| panic!("no [{name}]"));
        let table = &file[start + 1..];
        &table[..table.find("\n[").unwrap_or(table.len())]
    }

    #[test]
    fn the_words_are_those_of_the_shipped_vocabulary() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway/vocabularies/sessions.toml");
        let file = std::fs::read_to_string(file).unwrap();
        let send = table(&file, &format!("client.{SEND}"));
        let message = table(&file, "shape").lines().find(|line| line.starts_with("message =")).unwrap();
        for (place, said) in [
            (send, r#"do = "send""#),
            (send, r#"room = "chatId""#),
            (send, r#"text = "content""#),
            (send, r#"type = "type""#),
            (table(&file, "server.message"), &format!("event = \"{MESSAGE}\"")),
            (message, r#"chatId = "$room""#),
            (message, r#"content = "$message.text""#),
        ] {
            assert!(place.contains(said), "{said} is not in {place}");
        }
    }
}
