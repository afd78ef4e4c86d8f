//! What the vocabulary in use adds to the reference: its REST routes, and the
//! events of its Socket.IO clients.

use proto::ErrorCode;
use serde_json::{Map, Value, json};

use super::openapi::{describe, error, headers_of};
use crate::rest::CODES;
use crate::vocabulary::{Action, Route, Vocabulary};

mod events;
mod input;
mod sample;
mod shape;

pub use events::document as events;
use sample::Sample;

/// Where a route says how its refusals look, until they are spelled out.
pub const FORM: &str = "x-refusals";

/// Adds the vocabulary's routes to the OpenAPI document.
pub fn add_routes(document: &mut Value, vocabulary: &Vocabulary) {
    let name = tag(vocabulary);
    if vocabulary.routes.is_empty() {
        return;
    }
    let about = format!(
        "The routes of the vocabulary `{}`, which this server speaks. They take any `Content-Type`.",
        vocabulary.name
    );
    if let Some(tags) = document["tags"].as_array_mut() {
        tags.push(json!({ "name": name, "description": about }));
    }
    for route in &vocabulary.routes {
        let method = route.method.as_str().to_ascii_lowercase();
        document["paths"][&route.path][&method] = operation(vocabulary, route, &name, &method);
    }
}

fn tag(vocabulary: &Vocabulary) -> String {
    format!("Vocabulary {}", vocabulary.name)
}

fn operation(vocabulary: &Vocabulary, route: &Route, tag: &str, method: &str) -> Value {
    let sample = Sample::own(vocabulary);
    let in_body = matches!(method, "post" | "put" | "patch");
    let (parameters, body) = input::request(&route.action, &route.inputs, &route.path, in_body, &sample.room);
    let mut done = json!({ "description": "It was done." });
    if let Some(template) = &route.answer {
        done["content"]["application/json"] =
            json!({ "schema": shape::of(template), "example": sample.written(template) });
    }
    let (summary, description) = about(&route.action);
    let mut operation = json!({
        "tags": [tag],
        "summary": summary,
        "description": description,
        "operationId": operation_id(method, &route.path),
        "parameters": parameters,
        "responses": { route.status.as_str(): done },
        CODES: codes(&route.action, vocabulary).iter().map(|code| code.name()).collect::<Vec<_>>(),
        FORM: form(vocabulary, &sample),
    });
    if let Some(body) = body {
        operation["requestBody"] = body;
    }
    if route.guests && vocabulary.guests {
        operation["security"] = json!([{}, { "token": [] }]);
        operation["description"] =
            format!("{description} Needs no token; a guest who writes has a name.").into();
    }
    operation
}

/// `getApiRooms`, out of method and path.
fn operation_id(method: &str, path: &str) -> String {
    let letters =
        |part: &str| part.split(|c: char| !c.is_ascii_alphanumeric()).map(capital).collect::<String>();
    path.split('/').fold(method.to_owned(), |id, part| match part.strip_prefix('{') {
        Some(name) => id + "By" + &letters(name),
        None => id + &letters(part),
    })
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// How refusals look: their schema, and an example for each code.
fn form(vocabulary: &Vocabulary, sample: &Sample) -> Value {
    let examples: Map<String, Value> = ErrorCode::ALL
        .iter()
        .map(|code| {
            let value = sample.with_error(&vocabulary.error, Some(&error(*code)));
            (code.name().to_owned(), json!({ "summary": code.meaning(), "value": value }))
        })
        .collect();
    json!({ "schema": shape::of(&vocabulary.error), "examples": examples })
}

/// An answer that refuses, in the vocabulary's form.
pub fn refusal(form: &Value, status: u16, codes: &[ErrorCode]) -> Value {
    let examples: Map<String, Value> =
        codes.iter().map(|code| (code.name().to_owned(), form["examples"][code.name()].clone())).collect();
    let mut answer = json!({
        "description": describe(codes, status),
        "content": { "application/json": { "schema": form["schema"], "examples": examples } },
    });
    if let Some(headers) = headers_of(status) {
        answer["headers"] = headers;
    }
    answer
}

/// What it is for, in a few words and in some more.
fn about(action: &Action) -> (&'static str, &'static str) {
    match action {
        Action::Authenticate => (
            "Shows a token, or a newer one",
            "The newer one has to be of the same user; the connection goes on.",
        ),
        Action::Join { .. } => ("Hears a room from here on", "What the connection has missed comes first."),
        Action::Leave { .. } => ("Hears a room no more", "The user stays in it."),
        Action::Send => (
            "Sends a message",
            "The answer means that it is stored, durably. With a key of one's own a repeat is stored once.",
        ),
        Action::Edit => ("Edits a message", "One's own, for 15 minutes unless the server is set otherwise."),
        Action::Delete => ("Deletes a message", "One's own; those of others for moderators and above."),
        Action::History => ("A page of messages", "Oldest first."),
        Action::Search => ("Searches a room", "Messages that hold all the words, newest first."),
        Action::Read => {
            ("Marks messages as read", "Up to a message, or everything. The mark never moves back.")
        }
        Action::Unread => ("How many messages are unread", "One's own never are."),
        Action::Typing => ("Shows that the user types, or no more", "To the others in the room."),
        Action::Presence => ("Sets one's own status", "`invisible` shows as `offline` to others."),
        Action::Online => ("Who of a room is online", "As far as presence can be told."),
        Action::CreateRoom => ("Makes a room", "Of two users there is one, whoever asks for it."),
        Action::Rooms => ("One's own rooms", "With the newest activity first."),
        Action::Room => ("A room", "As the user sees it."),
        Action::RenameRoom => ("Renames a room", "For admins and the owner."),
        Action::RemoveRoom => {
            ("Deletes a room, or leaves it", "The owner deletes it, everybody else leaves.")
        }
        Action::Notifications => ("One's own notifications", "Newest first."),
        Action::Subscribe => ("Hears notifications from here on", "Unread ones come first, oldest first."),
    }
}

/// What it may be refused with, beside what every request may be.
fn codes(action: &Action, vocabulary: &Vocabulary) -> Vec<ErrorCode> {
    use ErrorCode::*;

    let mut codes = match action {
        Action::Authenticate => vec![],
        Action::Join { .. } | Action::Search => vec![NotMember, Invalid, TooLarge],
        Action::Leave { .. } | Action::Online | Action::Room | Action::Unread => vec![NotMember, Invalid],
        Action::Send => vec![NotMember, Invalid, TooLarge, KeyConflict],
        Action::Edit => vec![NotFound, Forbidden, Conflict, EditExpired, Invalid, TooLarge],
        Action::Delete => vec![NotFound, Forbidden, Invalid],
        Action::History => vec![NotMember, NotFound, Invalid, TooLarge],
        Action::Read => vec![NotMember, NotFound, Invalid],
        Action::Typing => vec![NotJoined, Invalid],
        Action::Presence | Action::Rooms | Action::Notifications => vec![Invalid],
        Action::CreateRoom => vec![Invalid, TooLarge, Conflict],
        Action::RenameRoom => vec![NotMember, Forbidden, Conflict, Invalid, TooLarge],
        Action::RemoveRoom => vec![NotMember, Conflict, Invalid],
        Action::Subscribe => vec![],
    };
    // Rooms that are made when they are first named.
    if vocabulary.rooms.pair.is_some() && !codes.contains(&Conflict) && codes.contains(&NotMember) {
        codes.push(Conflict);
    }
    codes
}
