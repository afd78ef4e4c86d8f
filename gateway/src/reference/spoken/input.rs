//! What a client says in the vocabulary: payloads, parameters and bodies, out of
//! the places where their parts are looked for.

use serde_json::{Map, Value, json};

use super::super::{examples, schema::refer};
use crate::vocabulary::Action;
use crate::vocabulary::input::{Input, Inputs, Source};

/// A part of an ask, and where clients put it.
struct Part<'a> {
    input: Input,
    paths: &'a [Vec<String>],
    needed: bool,
    /// Another part does as well.
    instead: Option<Input>,
}

impl Part<'_> {
    fn needed_itself(&self) -> bool {
        self.needed && self.instead.is_none()
    }
}

/// The parts that clients say; the others are the vocabulary's own.
fn parts<'a>(action: &Action, inputs: &'a Inputs) -> Vec<Part<'a>> {
    let (needed, _) = action.parts();
    let known = |wanted| inputs.0.iter().any(|(input, _)| *input == wanted);
    let parts = inputs.0.iter().filter_map(|(input, source)| match source {
        Source::Paths(paths) => {
            let instead = match input {
                Input::Room => Some(Input::To),
                Input::Text => Some(Input::Data),
                _ => None,
            };
            let instead = instead.filter(|other| known(*other));
            Some(Part { input: *input, paths, needed: needed.contains(input), instead })
        }
        Source::Constant(_) => None,
    });
    parts.collect()
}

/// The payload of an event: its schema, and an example. None: it has none.
pub fn payload(action: &Action, inputs: &Inputs, room: &str) -> Option<(Value, Value)> {
    let parts = parts(action, inputs);
    if parts.is_empty() {
        return None;
    }
    let mut object = object(&parts, action);
    let mut example = json!({});
    for part in &parts {
        if let Some(path) = part.paths.iter().find(|path| !path.is_empty()) {
            put(&mut example, path, example_of(part.input, action, path, room));
        }
    }
    // Some front ends send the one thing that there is to say by itself.
    if let Some(bare) = parts.iter().find(|part| part.paths.iter().any(Vec::is_empty)) {
        object = json!({ "anyOf": [object, one(bare.input, action)] });
    }
    Some((object, example))
}

/// Parameters and body of a REST route.
pub fn request(
    action: &Action,
    inputs: &Inputs,
    path: &str,
    in_body: bool,
    room: &str,
) -> (Vec<Value>, Option<Value>) {
    let parts = parts(action, inputs);
    let in_path = |name: &str| path.contains(&format!("{{{name}}}"));
    let mut parameters = Vec::new();
    let mut said = Vec::new();
    for part in parts {
        match part.paths {
            [first] if first.len() == 1 && in_path(&first[0]) => parameters.push(json!({
                "name": first[0], "in": "path", "required": true, "description": about(part.input),
                "schema": one(part.input, action), "example": example_of(part.input, action, first, room),
            })),
            paths if !in_body => {
                for path in paths.iter().filter(|path| path.len() == 1) {
                    parameters.push(json!({
                        "name": path[0], "in": "query", "required": part.needed_itself() && paths.len() == 1,
                        "description": about(part.input), "schema": one(part.input, action),
                        "example": example_of(part.input, action, path, room),
                    }));
                }
            }
            _ => said.push(part),
        }
    }
    if said.is_empty() {
        return (parameters, None);
    }
    let mut example = json!({});
    for part in &said {
        if let Some(path) = part.paths.iter().find(|path| !path.is_empty()) {
            put(&mut example, path, example_of(part.input, action, path, room));
        }
    }
    let needed = said.iter().any(|part| part.needed);
    let body = json!({
        "required": needed,
        "content": { "application/json": { "schema": object(&said, action), "example": example } },
    });
    (parameters, Some(body))
}

fn object(parts: &[Part<'_>], action: &Action) -> Value {
    let mut object = json!({ "type": "object", "properties": {} });
    let mut either = Vec::new();
    for part in parts {
        let paths: Vec<_> = part.paths.iter().filter(|path| !path.is_empty()).collect();
        for path in &paths {
            let mut schema = one(part.input, action);
            if schema.get("$ref").is_some() {
                schema = json!({ "allOf": [schema] });
            }
            schema["description"] = about(part.input).into();
            declare(&mut object, path, schema, part.needed_itself() && paths.len() == 1);
        }
        let others = parts.iter().filter(|other| part.instead == Some(other.input));
        let names =
            paths.into_iter().chain(others.flat_map(|other| other.paths)).filter_map(|path| path.first());
        let names: Vec<Value> = names.map(|name| json!({ "required": [name] })).collect();
        if part.needed && names.len() > 1 {
            either.push(json!({ "anyOf": names }));
        }
    }
    if !either.is_empty() {
        object["allOf"] = either.into();
    }
    object
}

/// Adds a property, with the objects that it is in.
fn declare(object: &mut Value, path: &[String], schema: Value, needed: bool) {
    let Some((name, rest)) = path.split_first() else { return };
    if needed {
        let required =
            object.as_object_mut().expect("an object").entry("required").or_insert_with(|| json!([]));
        let names = required.as_array_mut().expect("a list");
        if !names.contains(&name.as_str().into()) {
            names.push(name.as_str().into());
        }
    }
    let properties = object["properties"].as_object_mut().expect("an object has properties");
    if rest.is_empty() {
        properties.insert(name.clone(), schema);
    } else {
        let inner =
            properties.entry(name.clone()).or_insert_with(|| json!({ "type": "object", "properties": {} }));
        declare(inner, rest, schema, needed);
    }
}

fn put(example: &mut Value, path: &[String], value: Value) {
    if let Some((name, rest)) = path.split_first() {
        let object = example.as_object_mut().expect("an object");
        if rest.is_empty() {
            object.insert(name.clone(), value);
        } else {
            put(object.entry(name.clone()).or_insert_with(|| Map::new().into()), rest, value);
        }
    }
}

/// What a part looks like.
fn one(input: Input, action: &Action) -> Value {
    let text = || json!({ "type": "string" });
    let id = || json!({ "type": ["string", "integer"], "maxLength": 64 });
    match input {
        Input::Token | Input::Query => text(),
        Input::Name if matches!(action, Action::CreateRoom | Action::RenameRoom) => text(),
        Input::Name => {
            json!({ "type": "string", "minLength": 1, "maxLength": 30, "pattern": "^[A-Za-z0-9_ -]*$" })
        }
        Input::Room | Input::To | Input::Message | Input::Before => id(),
        Input::Text => text(),
        Input::Type => refer("MessageType"),
        Input::Data => json!({ "type": "object" }),
        Input::Key => json!({ "type": "string", "maxLength": 128 }),
        Input::Limit => json!({ "type": "integer", "minimum": 1, "maximum": 100 }),
        Input::Skip => json!({ "type": "integer", "minimum": 0, "maximum": 10_000 }),
        Input::Page => json!({ "type": "integer", "minimum": 1 }),
        Input::Active => json!({ "type": "boolean" }),
        Input::Status => {
            json!({ "type": "string", "enum": ["online", "away", "busy", "invisible", "offline"] })
        }
        Input::Kind => refer("RoomKind"),
        Input::Users => json!({ "anyOf": [id(), { "type": "array", "items": id() }] }),
    }
}

fn about(input: Input) -> &'static str {
    match input {
        Input::Token => "A token of the application.",
        Input::Room => "Id of the room.",
        Input::To => "The user with whom one is in the room.",
        Input::Name => "The name.",
        Input::Text => "What the message says.",
        Input::Type => "What kind of message it is; `TEXT` where it is absent.",
        Input::Data => "Data of the message; with `url` where it is no text.",
        Input::Key => "The idempotency key: the same key is stored once.",
        Input::Message => "Id of the message.",
        Input::Limit => "At most this many.",
        Input::Skip => "Leaves out this many.",
        Input::Page => "Which page, from 1.",
        Input::Before => "Only those before the message of this id.",
        Input::Active => "Whether the user types.",
        Input::Status => "One's own status.",
        Input::Kind => "What kind of room; with one other user `DIRECT`, else `GROUP`, where it is absent.",
        Input::Users => "The other members: one, or a list.",
        Input::Query => "Words that a message has to hold, all of them.",
    }
}

fn example_of(input: Input, action: &Action, path: &[String], room: &str) -> Value {
    match input {
        Input::Token => "eyJhbGciOi...".into(),
        Input::Room => room.into(),
        Input::To => examples::BEN.into(),
        Input::Name if matches!(action, Action::CreateRoom | Action::RenameRoom) => "Book club".into(),
        Input::Name => "Ana".into(),
        Input::Text => "Chapter three tonight?".into(),
        Input::Type => "TEXT".into(),
        Input::Data => json!({ "chapter": 3 }),
        Input::Key => "5b0e7d0c".into(),
        Input::Message | Input::Before => examples::MESSAGE.into(),
        Input::Limit => 20.into(),
        Input::Skip => 0.into(),
        Input::Page => 1.into(),
        Input::Active => true.into(),
        Input::Status => "away".into(),
        Input::Kind => "GROUP".into(),
        // Where a path has room for several, its name says so.
        Input::Users if path.last().is_some_and(|name| name.ends_with('s')) => json!([examples::BEN]),
        Input::Users => examples::BEN.into(),
        Input::Query => "chapter".into(),
    }
}
