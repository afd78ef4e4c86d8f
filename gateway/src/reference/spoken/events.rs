//! The AsyncAPI document of a vocabulary: what its Socket.IO clients emit and
//! hear, out of the vocabulary itself.

use proto::ErrorCode;
use serde_json::{Value, json};

use super::super::asyncapi::error_codes;
use super::super::channel::{Channel, Message, head};
use super::super::examples;
use super::super::openapi::error;
use super::super::schema::refer;
use super::{Sample, about, codes, input, shape};
use crate::vocabulary::{ClientEvent, Vocabulary};

/// For people who open the document.
const ABOUT: &str = "\
Events of Socket.IO (protocol 5, over long-polling or WebSocket, at `/socket.io/`). An event has one argument, the \
payload that is shown here; examples also show the packet on the wire. What a client emits may ask for an \
acknowledgement: it is called with one argument, an object with `ok`. Whatever is refused is also told as the event \
`error`.

Events that tell of something stored have a second argument, a position: `room|cursor@time`. A client that connects \
again hands in the newest position of each room as `auth.positions`, and hears what it has missed. An event of the \
application's own (a signal) comes under its own name, with `room`, `user` and `data`.";

/// Where examples are as packets.
const WIRE: &str = "x-packet";

/// Things that are stored, so that their events have a position.
const STORED: [&str; 8] = [
    "message",
    "edited",
    "deleted",
    "member_added",
    "member_removed",
    "room_changed",
    "room_deleted",
    "notification",
];

/// The document.
pub fn document(vocabulary: &Vocabulary) -> Value {
    let mut channel = Channel::default();
    connect(&mut channel, vocabulary);
    let own = Sample::own(vocabulary);
    refusals(&mut channel, vocabulary, &own);
    let mut events: Vec<(&String, &ClientEvent)> = vocabulary.client.iter().collect();
    // The order of a map is no order.
    events.sort_by_key(|(name, _)| *name);
    for (name, event) in &events {
        client_event(&mut channel, name, event, &own, vocabulary);
    }
    let heard = server_events(&mut channel, vocabulary);
    let tells = ("Tells what happens", "To everybody in the room whom it concerns.");
    channel.sends("tell", tells, &heard);
    let title = format!("Carillon: the vocabulary {}", vocabulary.name);
    let about = json!({
        "address": "/socket.io/",
        "title": "A connection",
        "description": room_rules(vocabulary),
        "bindings": { "ws": { "method": "GET", "query": {
            "type": "object",
            "properties": {
                "EIO": { "type": "string", "const": "4" },
                "transport": { "type": "string", "enum": ["polling", "websocket"] },
            },
        }, "bindingVersion": "0.1.0" } },
    });
    let mut document = channel.document(head(&title, ABOUT), about);
    document["x-error-codes"] = error_codes();
    document
}

fn room_rules(vocabulary: &Vocabulary) -> String {
    let rooms = &vocabulary.rooms;
    let mut said = Vec::new();
    said.push(match rooms.hear_all {
        true => "A connection hears all rooms of its user, new ones too.".to_owned(),
        false => "A connection hears the rooms that it joins.".to_owned(),
    });
    if let Some(fixed) = &rooms.fixed {
        said.push(format!("There is one public room, `{fixed}`."));
    }
    if let Some(pair) = &rooms.pair {
        let id = format!("{}{{a}}{}{{b}}{}", pair.before, pair.between, pair.after);
        said.push(format!(
            "Rooms are those of two users, `{id}`, with the ids in order; they need not be made first."
        ));
    }
    if vocabulary.guests {
        said.push("Whoever has no token may come under a name.".to_owned());
    }
    if vocabulary.late_token {
        said.push("A connection may begin without a token, and show it with an event.".to_owned());
    }
    said.push(format!("A typing sign ends by itself after {:?}.", vocabulary.typing_expiry));
    said.join(" ")
}

/// The packets that begin a connection.
fn connect(channel: &mut Channel, vocabulary: &Vocabulary) {
    let text = |about: &str| json!({ "type": "string", "description": about });
    let room = Sample::new(vocabulary).room;
    let auth =
        json!({ "token": "eyJhbGciOi...", "positions": [format!("{room}|18-d2e3f405@{}", examples::TIME)] });
    let connected =
        json!({ "sid": "0199f300aa107c4e8f1b2c3d4e5f6071", "pid": "0199f300aa107c4e8f1b2c3d4e5f6071" });
    let refused = error(ErrorCode::TokenExpired);
    let refused = json!({
        "message": refused.message, "data": { "code": refused.code, "retryable": refused.retryable },
    });
    channel.message(Message {
        key: "client.CONNECT".into(),
        name: "CONNECT".into(),
        summary: "Begins: the library's option `auth`".into(),
        payload: json!({
            "type": "object",
            "properties": {
                "token": text("A token of the application."),
                "positions": {
                    "type": "array", "items": { "type": "string" },
                    "description": "The newest position of each room, to hear what was missed.",
                },
            },
        }),
        examples: vec![example("With a token, after some time away", &auth, format!("40{auth}"))],
        wire: WIRE,
    });
    channel.message(Message {
        key: "server.CONNECT".into(),
        name: "CONNECT".into(),
        summary: "The connection has begun".into(),
        payload: json!({
            "type": "object",
            "properties": { "sid": text("Id of the connection."), "pid": text("The same, for the client's library.") },
            "required": ["sid"],
        }),
        examples: vec![example("Welcome", &connected, format!("40{connected}"))],
        wire: WIRE,
    });
    channel.message(Message {
        key: "server.CONNECT_ERROR".into(),
        name: "CONNECT_ERROR".into(),
        summary: "The connection is refused: the library's event `connect_error`".into(),
        payload: json!({
            "type": "object",
            "properties": {
                "message": text("What was wrong, for people."),
                "data": {
                    "type": "object",
                    "properties": { "code": refer("ErrorCode"), "retryable": { "type": "boolean" } },
                    "required": ["code", "retryable"],
                },
            },
            "required": ["message", "data"],
        }),
        examples: vec![example("An old token", &refused, format!("44{refused}"))],
        wire: WIRE,
    });
    let replies = ["server.CONNECT".to_owned(), "server.CONNECT_ERROR".to_owned()];
    let begins =
        ("Begins a connection", "What the client's library sends by itself, with its option `auth`.");
    channel.receives("CONNECT", begins, "client.CONNECT", &replies);
}

/// How refusals are told.
fn refusals(channel: &mut Channel, vocabulary: &Vocabulary, own: &Sample) {
    let refused = own.with_error(&vocabulary.error, Some(&error(ErrorCode::NotMember)));
    channel.message(Message {
        key: "server.error".into(),
        name: "error".into(),
        summary: "Something was refused".into(),
        payload: shape::of(&vocabulary.error),
        examples: vec![example("Not a member", &refused, packet("error", Some(&refused), None))],
        wire: WIRE,
    });
}

fn client_event(
    channel: &mut Channel,
    name: &str,
    event: &ClientEvent,
    own: &Sample,
    vocabulary: &Vocabulary,
) {
    let what = about(&event.action);
    let key = format!("client.{}", plain(name));
    let (payload, said) = match input::payload(&event.action, &event.inputs, &own.room) {
        Some((schema, example)) => (schema, Some(example)),
        None => (json!({ "description": "Nothing, or anything." }), None),
    };
    let shown = said.clone().unwrap_or_else(|| json!({}));
    let packet = packet(name, said.as_ref(), Some(7));
    channel.message(Message {
        key: key.clone(),
        name: name.to_owned(),
        summary: what.0.to_owned(),
        payload,
        examples: vec![example("Asking for an acknowledgement", &shown, packet)],
        wire: WIRE,
    });
    let mut replies = Vec::new();
    if let Some(emit) = &event.answer {
        let reply = format!("server.{}", plain(&emit.event));
        let told = own.written(&emit.payload);
        channel.message(Message {
            key: reply.clone(),
            name: emit.event.clone(),
            summary: format!("Answers `{name}`"),
            payload: shape::of(&emit.payload),
            examples: vec![example(
                &format!("Answering {name}"),
                &told,
                self::packet(&emit.event, Some(&told), None),
            )],
            wire: WIRE,
        });
        replies.push(reply);
    }
    let ack = format!("ack.{}", plain(name));
    channel.message(acknowledgement(name, &ack, event, own, vocabulary));
    replies.extend([ack, "server.error".to_owned()]);
    channel.receives(&plain(name), what, &key, &replies);
}

/// What an acknowledgement is called with: one object, with `ok`.
fn acknowledgement(
    name: &str,
    key: &str,
    event: &ClientEvent,
    own: &Sample,
    vocabulary: &Vocabulary,
) -> Message {
    let template = event.ack.as_ref().or(event.answer.as_ref().map(|emit| &emit.payload));
    let ok = |value: bool| json!({ "const": value });
    let mut done = json!({ "type": "object", "properties": { "ok": ok(true) }, "required": ["ok"] });
    let mut shown = json!({ "ok": true });
    if let Some(template) = template {
        let schema = shape::of(template);
        match own.written(template) {
            Value::Object(said) => {
                for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                    done["properties"][name] = property.clone();
                }
                let names = schema["required"].as_array().cloned().unwrap_or_default();
                done["required"] = [vec!["ok".into()], names].concat().into();
                shown.as_object_mut().expect("an object").extend(said);
            }
            said => {
                done["properties"]["result"] = schema;
                done["required"] = json!(["ok", "result"]);
                shown["result"] = said;
            }
        }
    }
    let refused = json!({
        "type": "object",
        "properties": {
            "ok": ok(false),
            "error": {
                "type": "object",
                "properties": {
                    "code": refer("ErrorCode"),
                    "message": { "type": "string" },
                    "retryable": { "type": "boolean" },
                },
                "required": ["code", "message", "retryable"],
            },
        },
        "required": ["ok", "error"],
    });
    let code = codes(&event.action, vocabulary).first().copied().unwrap_or(ErrorCode::TokenRefused);
    let told = error(code);
    let told = json!({
        "ok": false,
        "error": { "code": told.code, "message": told.message, "retryable": told.retryable },
    });
    let packet = |said: &Value| format!("437[{said}]");
    Message {
        key: key.to_owned(),
        name: "ACK".to_owned(),
        summary: format!("Acknowledges `{name}`"),
        payload: json!({ "anyOf": [done, refused] }),
        examples: vec![
            example("It was done", &shown, packet(&shown)),
            example("It was refused", &told, packet(&told)),
        ],
        wire: WIRE,
    }
}

/// Answers with the keys of what is told.
fn server_events(channel: &mut Channel, vocabulary: &Vocabulary) -> Vec<String> {
    let mut heard: Vec<String> = Vec::new();
    for (happening, emit) in vocabulary.server.all() {
        let sample = Sample::of(vocabulary, happening);
        let told = sample.written(&emit.payload);
        let key = format!("server.{}", plain(&emit.event));
        let own_feed = happening == "notification";
        let room = if own_feed { "" } else { &sample.room };
        let position = STORED.contains(&happening).then(|| format!("{room}|18-d2e3f405@{}", examples::TIME));
        let mut packet = packet(&emit.event, Some(&told), None);
        if let Some(position) = position {
            packet.truncate(packet.len() - 1);
            packet = format!("{packet},{}]", Value::from(position));
        }
        let (summary, shows) = happened(happening);
        let summary = match emit.to_others {
            true => format!("{summary}, but by this connection"),
            false => summary.to_owned(),
        };
        channel.message(Message {
            key: key.clone(),
            name: emit.event.clone(),
            summary,
            payload: shape::of(&emit.payload),
            examples: vec![example(shows, &told, packet)],
            wire: WIRE,
        });
        if !heard.contains(&key) {
            heard.push(key);
        }
    }
    heard
}

/// What has happened, and what its example shows.
fn happened(happening: &str) -> (&'static str, &'static str) {
    match happening {
        "message" => ("A message has come", "A text"),
        "edited" => ("A message was edited", "Another text"),
        "deleted" => ("A message was deleted", "A tombstone"),
        "member_added" => ("Somebody is in the room, or has another role there", "A new member"),
        "member_removed" => ("Somebody is in the room no more", "A former member"),
        "room_added" => ("The user is in a room that is new to them", "A group"),
        "room_changed" => ("The room was renamed", "A new name"),
        "room_deleted" => ("The room is gone", "The group"),
        "typing" => ("Somebody types", "Ben begins"),
        "typing_stopped" => ("Somebody types no more", "Ben has stopped"),
        "online" => ("Somebody has come online", "Ben has come"),
        "offline" => ("Somebody has gone offline", "Eva has gone"),
        "presence" => ("Somebody's presence has changed", "Ben is online"),
        "read" => ("Somebody has read", "Ben has"),
        "notification" => ("The user is notified", "A like"),
        "joined" => ("Somebody has joined the room", "Ben has"),
        "left" => ("Somebody has left the room", "Ben has"),
        _ => ("Something has happened", "Something"),
    }
}

fn example(shows: &str, payload: &Value, packet: String) -> (String, Value, String) {
    (shows.to_owned(), payload.clone(), packet)
}

/// An event, as Engine.IO and Socket.IO put it.
fn packet(event: &str, payload: Option<&Value>, ack: Option<u64>) -> String {
    let ack = ack.map(|ack| ack.to_string()).unwrap_or_default();
    let name = Value::from(event);
    match payload {
        Some(payload) => format!("42{ack}[{name},{payload}]"),
        None => format!("42{ack}[{name}]"),
    }
}

/// A name that documents take as a key.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' }).collect()
}
