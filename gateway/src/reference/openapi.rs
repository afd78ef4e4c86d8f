//! The OpenAPI document: what the handlers say of themselves, with every
//! refusal spelled out, and the routes of the vocabulary.

use std::collections::BTreeMap;

use http::StatusCode;
use proto::{ErrorCode, v1};
use serde_json::{Map, Value, json};
use utoipa::{OpenApi as _, PartialSchema};

use super::endpoints::{self, tag as endpoint};
use super::{schema, spoken};
use crate::rest::{CODES, Document, described, tag};
use crate::vocabulary::Vocabulary;

/// For people who open the document.
const ABOUT: &str = "\
The same commands as the native protocol's, over HTTP. Every call but a few carries a JSON Web Token of the \
application as `Authorization: Bearer`; a token whose claim `role` is `service` is a server's. Bodies are JSON. \
Times are milliseconds since the Unix epoch. Ids are 1 to 64 characters out of `A-Z a-z 0-9 _ . : @ -`.

Whatever is refused is answered with a problem document (RFC 9457), whose `code` says what was wrong: the \
schema `ErrorCode` has them all. A path that there is not is answered with 404 and `not_found`, a method \
that a path does not take with 405 and `method_not_allowed`. Unknown fields are ignored, on both sides.";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Carillon", version = "1", description = ABOUT,
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = "/", description = "This server.")),
    security(("token" = [])),
    paths(
        endpoints::websocket,
        endpoints::open_socket_io,
        endpoints::send_socket_io,
        endpoints::openapi,
        endpoints::asyncapi,
        endpoints::vocabulary,
        endpoints::page,
        endpoints::client_proto,
    ),
    tags(
        (name = tag::ROOMS, description = "Conversations: of two users, of a group, or public."),
        (name = tag::MEMBERS, description = "Who is in a room, and as what: member, moderator, admin, owner."),
        (name = tag::MESSAGES, description = "What is said in a room."),
        (name = tag::NOTIFICATIONS, description = "What a user is told, wherever it comes from."),
        (name = tag::PRESENCE, description = "Who is online."),
        (name = tag::SERVERS, description = "For servers of the application, with service tokens."),
        (name = tag::HEALTH, description = "For whoever watches the server."),
        (name = endpoint::SOCKETS, description = "Where connections begin."),
        (name = endpoint::REFERENCE, description = "What there is to call and to hear."),
    ),
)]
struct Head;

/// The document of a server that speaks this vocabulary.
pub fn document(vocabulary: &Vocabulary) -> Value {
    let mut head = Head::openapi();
    let endpoints = std::mem::take(&mut head.paths);
    let mut api = head.merge_from(described());
    api.paths.paths.extend(endpoints.paths);
    let mut document = serde_json::to_value(&api).expect("a description is JSON");
    document["components"]["securitySchemes"] = json!({
        "token": {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": "A token of the application. The user is `sub`, else `userId`, else `id`; \
                            the display name is `name`, else `username`.",
        },
    });
    document["components"]["schemas"]["Problem"] =
        serde_json::to_value(Document::schema()).expect("a schema is JSON");
    let asked = &mut document["paths"]["/asyncapi/{vocabulary}"]["get"]["parameters"][0];
    asked["example"] = super::file_name(vocabulary).into();
    spoken::add_routes(&mut document, vocabulary);

    let mut refusals = Refusals::default();
    for (_, item) in document["paths"].as_object_mut().expect("there are paths") {
        for (_, operation) in item.as_object_mut().expect("a path has operations") {
            refusals.spell_out(operation);
        }
    }
    document["components"]["examples"] = refusals.examples.into();
    document["components"]["headers"] = headers();
    schema::complete(&mut document);
    document
}

/// What comes with some refusals.
fn headers() -> Value {
    json!({
        "WWW-Authenticate": {
            "description": "`Bearer`, with `error=\"invalid_token\"` where a token was shown.",
            "schema": { "type": "string" },
            "example": "Bearer error=\"invalid_token\"",
        },
        "Retry-After": {
            "description": "Seconds to wait first, where that is said.",
            "schema": { "type": "integer" },
            "example": 2,
        },
    })
}

/// A code, and the status that it comes with here.
type Refusal = (ErrorCode, u16);

/// Makes answers of codes, and keeps an example of each.
#[derive(Default)]
struct Refusals {
    examples: Map<String, Value>,
}

impl Refusals {
    /// Adds an answer for each status that the operation is refused with.
    fn spell_out(&mut self, operation: &mut Value) {
        let codes = refused_with(operation);
        let named = ErrorCode::ALL.iter().filter(|known| codes.iter().any(|(code, _)| code == *known));
        operation[CODES] = named.map(|code| code.name()).collect();
        // Routes of the vocabulary have its own form.
        let form = operation.as_object_mut().expect("an operation is an object").shift_remove(spoken::FORM);
        let mut by_status: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
        for (code, status) in codes {
            by_status.entry(status).or_default().push(code);
        }
        for (status, codes) in by_status {
            let answer = match &form {
                Some(form) => spoken::refusal(form, status, &codes),
                None => self.problem(status, &codes),
            };
            let answers = &mut operation["responses"];
            match answers.get_mut(status.to_string()) {
                // It says something else with this status too.
                Some(other) => merge(other, answer),
                None => answers[status.to_string()] = answer,
            }
        }
        operation["responses"].as_object_mut().expect("an operation has responses").sort_keys();
    }

    fn problem(&mut self, status: u16, codes: &[ErrorCode]) -> Value {
        let examples: Map<String, Value> = codes
            .iter()
            .map(|code| (code.name().to_owned(), json!({ "$ref": self.example(*code, status) })))
            .collect();
        let mut answer = json!({
            "description": describe(codes, status),
            "content": { "application/problem+json": { "schema": schema::refer("Problem"), "examples": examples } },
        });
        if let Some(headers) = headers_of(status) {
            answer["headers"] = headers;
        }
        answer
    }

    /// Where the example of a code with this status is.
    fn example(&mut self, code: ErrorCode, status: u16) -> String {
        let usual = code.status() == status;
        let name = if usual { code.name().to_owned() } else { format!("{}_{status}", code.name()) };
        let summary = meaning(code, status);
        let error = error_of(code, summary);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let value = serde_json::to_value(Document::of(&error, status)).expect("a problem is JSON");
        let place = format!("#/components/examples/{name}");
        self.examples.insert(name, json!({ "summary": summary, "value": value }));
        place
    }
}

/// What comes with this status, beside the body.
pub fn headers_of(status: u16) -> Option<Value> {
    let name = match status {
        401 => "WWW-Authenticate",
        429 | 503 => "Retry-After",
        _ => return None,
    };
    Some(json!({ name: { "$ref": format!("#/components/headers/{name}") } }))
}

/// What a code means with this status: some say it better than the code alone.
fn meaning(code: ErrorCode, status: u16) -> &'static str {
    match (code, status) {
        (ErrorCode::Unauthenticated, _) => "A token is needed: `Authorization: Bearer`.",
        (ErrorCode::Timeout, 408) => "The body did not arrive in time.",
        (ErrorCode::Malformed, 405) => "A connection is asked for with GET.",
        (ErrorCode::Malformed, 415) => "Content-Type must be application/json.",
        (ErrorCode::Malformed, 426) => "The connection has to be upgraded to version 13 of WebSocket.",
        _ => code.meaning(),
    }
}

/// An error of this code, as an example.
pub fn error(code: ErrorCode) -> v1::Error {
    error_of(code, meaning(code, code.status()))
}

fn error_of(code: ErrorCode, meaning: &str) -> v1::Error {
    let meaning = meaning.trim_end_matches('.');
    let mut letters = meaning.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    let retry_after = if code == ErrorCode::RateLimited { 500 } else { 0 };
    v1::Error { retry_after, ..code.with(first.into_iter().chain(letters).collect::<String>()) }
}

/// What the codes of one status mean.
pub fn describe(codes: &[ErrorCode], status: u16) -> String {
    let lines = codes.iter().map(|code| format!("`{}`: {}", code.name(), meaning(*code, status)));
    lines.collect::<Vec<_>>().join("\n\n")
}

fn merge(into: &mut Value, from: Value) {
    let said = into["description"].as_str().unwrap_or_default();
    into["description"] = format!("{said}\n\n{}", from["description"].as_str().unwrap_or_default()).into();
    for part in ["content", "headers"] {
        for (name, value) in from[part].as_object().into_iter().flatten() {
            into[part][name] = value.clone();
        }
    }
}

/// The codes that an operation names, and those that follow from what it takes.
/// A status other than the code's own stands behind it: `malformed@415`.
fn refused_with(operation: &Value) -> Vec<Refusal> {
    let named = operation[CODES].as_array().into_iter().flatten().filter_map(Value::as_str).map(|named| {
        let (name, status) =
            named.split_once('@').map_or((named, None), |(name, status)| (name, Some(status)));
        let code = ErrorCode::from_name(name).unwrap_or_else(|| panic!("{name} is no code"));
        (code, status.map_or(code.status(), |status| status.parse().expect("a status is a number")))
    });
    let mut codes: Vec<Refusal> = named.collect();
    let mut also = |code: ErrorCode, status: u16| {
        if !codes.contains(&(code, status)) {
            codes.push((code, status));
        }
    };
    let own = |code: ErrorCode| (code, code.status());
    let in_query = |parameter: &Value| parameter["in"] == "query";
    let handled = operation["tags"][0] != endpoint::SOCKETS;
    let body = operation.get("requestBody").is_some() && handled;
    let query = operation["parameters"].as_array().is_some_and(|all| all.iter().any(in_query)) && handled;
    let open = operation["security"].as_array().is_some_and(|all| all == &[json!({})]);
    let mut follow: Vec<Refusal> = Vec::new();
    if !open {
        follow.extend([ErrorCode::TokenRefused, ErrorCode::TokenExpired].map(own));
        if handled {
            follow.push(own(ErrorCode::Unauthenticated));
        }
    }
    if body || query {
        follow.push(own(ErrorCode::Malformed));
    }
    if body {
        follow.push(own(ErrorCode::TooLarge));
        follow.push((ErrorCode::Timeout, 408));
        if operation.get(spoken::FORM).is_none() {
            follow.push((ErrorCode::Malformed, 415));
        }
    }
    if handled && operation["tags"][0] != endpoint::REFERENCE {
        follow.push(own(ErrorCode::Internal));
    }
    if !open && handled {
        follow.extend([ErrorCode::Unavailable, ErrorCode::Timeout].map(own));
    }
    follow.into_iter().for_each(|(code, status)| also(code, status));
    codes.sort_by_key(|(code, status)| (*status, ErrorCode::ALL.iter().position(|known| known == code)));
    codes
}
