//! What a payload of the vocabulary looks like: its template, as a JSON Schema.

use serde_json::{Map, Value, json};

use super::super::schema::refer;
use crate::vocabulary::Template;
use crate::vocabulary::template::{Field, Nested, Piece, Words};

/// The schema of what a template writes.
pub fn of(template: &Template) -> Value {
    of_pieces(template.pieces(), template.words())
}

/// A place in a template, which stands as text until its schema takes it over.
const PLACE: char = '\0';

fn of_pieces(pieces: &[Piece], words: &Words) -> Value {
    let mut json = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Literal(bytes) => json.extend_from_slice(bytes),
            Piece::Value(_) | Piece::Nested(..) => {
                json.extend_from_slice(Value::from(format!("{PLACE}{number}")).to_string().as_bytes());
            }
        }
    }
    let skeleton = serde_json::from_slice(&json).expect("templates are compiled from JSON values");
    of_skeleton(&skeleton, pieces, words)
}

fn of_skeleton(skeleton: &Value, pieces: &[Piece], words: &Words) -> Value {
    match skeleton {
        Value::Object(object) => {
            let properties: Map<String, Value> = object
                .iter()
                .map(|(name, value)| (name.clone(), of_skeleton(value, pieces, words)))
                .collect();
            let names: Vec<&String> = object.keys().collect();
            json!({ "type": "object", "properties": properties, "required": names })
        }
        Value::Array(values) => {
            let items: Vec<Value> = values.iter().map(|value| of_skeleton(value, pieces, words)).collect();
            json!({ "type": "array", "items": { "anyOf": items } })
        }
        Value::String(text) => match text.strip_prefix(PLACE).and_then(|number| number.parse().ok()) {
            Some(number) => of_piece(&pieces[usize::min(number, pieces.len() - 1)], words),
            None => json!({ "const": text }),
        },
        constant => json!({ "const": constant }),
    }
}

fn of_piece(piece: &Piece, words: &Words) -> Value {
    match piece {
        Piece::Literal(_) => json!({}),
        Piece::Value(field) => of_field(*field, words),
        Piece::Nested(Nested::LastMessage, shape) => {
            json!({ "anyOf": [of_pieces(shape, words), { "type": "null" }] })
        }
        Piece::Nested(_, shape) => json!({ "type": "array", "items": of_pieces(shape, words) }),
    }
}

fn of_field(field: Field, words: &Words) -> Value {
    let text = |about: &str| json!({ "type": "string", "description": about });
    let count = |about: &str| json!({ "type": "integer", "minimum": 0, "description": about });
    let flag = |about: &str| json!({ "type": "boolean", "description": about });
    let role = || json!({ "type": "string", "enum": distinct(&words.roles) });
    let time = |about: &str, sometimes: bool| {
        let kind = if words.iso_times { "string" } else { "integer" };
        let mut schema = json!({ "type": kind, "description": about });
        if sometimes {
            schema["type"] = json!([kind, "null"]);
        }
        if words.iso_times {
            schema["format"] = "date-time".into();
        }
        schema
    };
    match field {
        Field::Room => text("Id of the room."),
        Field::UserId => text("Id of the user."),
        Field::UserName => text("Display name of the user."),
        Field::MessageId => text("Id of the message."),
        Field::MessageText => text("What it says; empty where it is deleted."),
        Field::MessageType => refer("MessageType"),
        Field::MessageData => json!({ "type": ["object", "null"], "description": "Data of the message." }),
        Field::MessageTime => time("When it was sent.", false),
        Field::MessageEditedAt => time("When it was edited; null: never.", true),
        Field::MessageDeletedAt => time("When it was deleted; null: it was not.", true),
        Field::MessageSeq => count("Its place in the room."),
        Field::MessageSender => text("User id of the sender."),
        Field::MessageSenderName => text("Display name of the sender when it was sent."),
        Field::MessageKey => text("The sender's idempotency key."),
        Field::MessageReadBy => {
            json!({ "type": "array", "items": { "type": "string" }, "description": "Ids of others who have read it." })
        }
        Field::MessageStatus => json!({ "type": "string", "enum": ["sent", "delivered", "read"] }),
        Field::RoomKind => refer("RoomKind"),
        Field::RoomName => text("Name of the room; empty where it has none."),
        Field::RoomCreatedAt => time("When the room was made.", false),
        Field::RoomCreatedBy => text("Id of the user who made the room."),
        Field::RoomMembers => count("How many members the room has."),
        Field::RoomUnread => count("How many of its messages are unread."),
        Field::RoomRole | Field::MemberRole => role(),
        Field::ReadSeq => count("Place of the last message read."),
        Field::ReadTime => time("When it was read.", false),
        Field::Typing => flag("Whether the user types."),
        Field::PresenceStatus => {
            json!({ "type": "string", "enum": ["online", "away", "busy", "offline", "unknown", "invisible"] })
        }
        Field::PresenceLastSeen => time("When the user was last seen; null: that is not known.", true),
        Field::NotificationId => text("Id of the notification."),
        Field::NotificationType => text("What kind of notification it is."),
        Field::NotificationData => json!({ "description": "The application's own." }),
        Field::NotificationTime => time("When it came.", false),
        Field::NotificationRead => flag("Whether it was read."),
        Field::NotificationReadAt => time("When it was read; null: it was not.", true),
        Field::More => flag("There are more of them."),
        Field::Online => count("How many users are online."),
        Field::Unread => count("How many messages are unread."),
        Field::ErrorCode => refer("ErrorCode"),
        Field::ErrorMessage => text("What was wrong, for people."),
        Field::ErrorRetryable => flag("The same may work later."),
    }
}

fn distinct(names: &[String]) -> Vec<&String> {
    let mut distinct: Vec<&String> = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}
