//! The one channel of an AsyncAPI document: messages, and the operations that
//! exchange them.

use serde_json::{Map, Value, json};

/// How the channel is called.
const CHANNEL: &str = "#/channels/connection";

/// A message, and its examples.
pub struct Message {
    /// Its name in the document.
    pub key: String,
    /// What it is called on the wire.
    pub name: String,
    /// What it is for.
    pub summary: String,
    /// Its schema.
    pub payload: Value,
    /// Examples: what each shows, the payload, and how it is on the wire.
    pub examples: Vec<(String, Value, String)>,
    /// Under which name that is in the document.
    pub wire: &'static str,
}

/// What an operation is for, in a few words and in some more.
pub type What<'a> = (&'a str, &'a str);

/// Messages and operations, as they are gathered.
#[derive(Default)]
pub struct Channel {
    messages: Map<String, Value>,
    operations: Map<String, Value>,
}

impl Channel {
    /// Adds a message; to one of this key, what else it may be.
    pub fn message(&mut self, message: Message) {
        let Message { key, name, summary, payload, examples, wire } = message;
        let bytes: Vec<Value> = examples.iter().map(|(_, _, bytes)| bytes.as_str().into()).collect();
        let examples: Vec<Value> = examples
            .into_iter()
            .map(|(shows, payload, _)| json!({ "summary": shows, "payload": payload }))
            .collect();
        let Some(known) = self.messages.get_mut(&key) else {
            let value = json!({
                "name": name, "summary": summary, "contentType": "application/json",
                "payload": payload, "examples": examples, wire: bytes,
            });
            self.messages.insert(key, value);
            return;
        };
        if known["payload"] != payload {
            let mut either = match known["payload"].get_mut("anyOf") {
                Some(either) => either.take().as_array().cloned().unwrap_or_default(),
                None => vec![known["payload"].take()],
            };
            if !either.contains(&payload) {
                either.push(payload);
            }
            known["payload"] = json!({ "anyOf": either });
        }
        let said = known["summary"].as_str().unwrap_or_default().to_owned();
        if said != summary {
            known["summary"] = format!("{said}; {}", lower(&summary)).into();
        }
        for (part, more) in [("examples", examples), (wire, bytes)] {
            if let Some(known) = known[part].as_array_mut() {
                known.extend(more);
            }
        }
    }

    /// What the server takes, and what it answers with.
    pub fn receives(&mut self, key: &str, what: What<'_>, message: &str, replies: &[String]) {
        let mut operation = operation("receive", what, &[message.to_owned()]);
        if !replies.is_empty() {
            let replies: Vec<Value> = replies.iter().map(|key| reference(key)).collect();
            operation["reply"] = json!({ "channel": { "$ref": CHANNEL }, "messages": replies });
        }
        self.operations.insert(key.to_owned(), operation);
    }

    /// What the server sends by itself.
    pub fn sends(&mut self, key: &str, what: What<'_>, messages: &[String]) {
        if !messages.is_empty() {
            self.operations.insert(key.to_owned(), operation("send", what, messages));
        }
    }

    /// The document.
    pub fn document(self, mut head: Value, mut channel: Value) -> Value {
        channel["messages"] = self.messages.into();
        head["channels"] = json!({ "connection": channel });
        head["operations"] = self.operations.into();
        head["components"] = json!({
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "A token of the application, as `Authorization: Bearer` of the handshake. \
                                    Browsers cannot set that: they show it on the connection.",
                },
            },
        });
        super::schema::complete(&mut head);
        head
    }
}

fn operation(action: &str, (summary, about): What<'_>, messages: &[String]) -> Value {
    let messages: Vec<Value> = messages.iter().map(|key| reference(key)).collect();
    json!({
        "action": action, "summary": summary, "description": about,
        "channel": { "$ref": CHANNEL }, "messages": messages,
    })
}

fn reference(key: &str) -> Value {
    json!({ "$ref": format!("{CHANNEL}/messages/{key}") })
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

/// The beginning of a document; `path` is where the channel is.
pub fn head(title: &str, about: &str) -> Value {
    let server = |protocol: &str, about: &str| {
        json!({
            "host": "{host}", "protocol": protocol, "description": about,
            "variables": { "host": { "default": "localhost:8080", "description": "Host and port of this server." } },
            "security": [{ "$ref": "#/components/securitySchemes/token" }],
        })
    };
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": title, "version": "1", "description": about,
            "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
            "tags": [
                { "name": "chat", "description": "Rooms and what is said in them." },
                { "name": "presence", "description": "Who is online, and who types." },
                { "name": "notifications", "description": "What a user is told." },
            ],
        },
        "defaultContentType": "application/json",
        "servers": { "plain": server("ws", "This server."), "secure": server("wss", "This server, behind TLS.") },
    })
}
