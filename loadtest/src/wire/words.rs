//! The words of the vocabulary that the Socket.IO wire speaks (`sessions`, a
//! server's default): the one place that knows them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// What a client emits to send.
pub const SEND: &str = "send_message";
/// What the server emits to a room for a new message.
pub const MESSAGE: &str = "message_received";
/// What the server emits to a room for an edited message.
pub const EDITED: &str = "message_edited";
/// What the server emits to a room when somebody types.
pub const TYPING: &str = "user_typing";
/// What a client emits to edit.
pub const EDIT: &str = "edit_message";
/// What a client emits when its user types.
pub const TYPE: &str = "typing_start";
/// What a client emits when its user has read all of a room.
pub const READ: &str = "mark_as_read";
/// What a client emits to know who of a room is online.
pub const ONLINE: &str = "get_online_users";
/// What a client emits to show a status.
pub const STATUS: &str = "presence_update";
/// Where a page of a room's history is: this, the room's id, [`PAGE`].
pub const ROOMS: &str = "/api/v1/chat/sessions/";
/// The end of a history's path.
pub const PAGE: &str = "/messages";
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
    /// With it, a repeat is stored once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a str>,
}

/// Payload of [`EDIT`].
#[derive(Serialize)]
pub struct Edit<'a> {
    #[serde(rename = "messageId")]
    pub message: &'a str,
    #[serde(rename = "content")]
    pub text: &'a str,
}

/// Payload of what is about a room: [`TYPE`], [`READ`], [`ONLINE`].
#[derive(Serialize)]
pub struct InRoom<'a> {
    #[serde(rename = "chatId")]
    pub room: &'a str,
}

/// Payload of [`STATUS`].
#[derive(Serialize)]
pub struct Status<'a> {
    pub status: &'a str,
}

/// What matters of a page of history.
#[derive(Deserialize)]
pub struct Page<'a> {
    #[serde(borrow)]
    pub messages: Vec<Message<'a>>,
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
pub struct Ack<'a> {
    pub ok: bool,
    /// The message's id; empty where it is not about one.
    #[serde(rename = "messageId", borrow, default)]
    pub message: Cow<'a, str>,
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
        let does = |event: &str, action: &str| {
            let event = table(&file, &format!("client.{event}"));
            assert!(event.contains(&format!("do = \"{action}\"")), "{action} is not in {event}");
        };
        does(EDIT, "edit");
        does(TYPE, "typing");
        does(READ, "read");
        does(ONLINE, "online");
        does(STATUS, "presence");
        let (edit, status) =
            (table(&file, &format!("client.{EDIT}")), table(&file, &format!("client.{STATUS}")));
        assert!(file.contains(&format!("route = \"GET {ROOMS}{{id}}{PAGE}\"\ndo = \"history\"")));
        for (place, said) in [
            (send, r#"key = "key""#),
            (send, r#"messageId = "$message.id""#),
            (edit, r#"with = { message = "messageId", text = "content" }"#),
            (edit, r#"messageId = "$message.id""#),
            (status, r#"status = "status""#),
            (table(&file, "server.edited"), &format!("event = \"{EDITED}\"")),
            (table(&file, "server.typing"), &format!("event = \"{TYPING}\"")),
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
