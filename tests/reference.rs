//! The reference is true: its examples are what its schemas say, a server
//! answers the calls in it as it says, its tables are those of the pages, and
//! the page that shows it needs nothing from outside.

mod reference {
    pub mod calls;
    pub mod schema;
}

use std::collections::BTreeMap;
use std::path::Path;

use proto::{CloseCode, Encoding, ErrorCode};
use reference::calls::{Caller, operations, unusual, usual};
use reference::schema::check;
use serde_json::Value;
use testkit::cluster::{System, binary};

/// Those that ship with Carillon.
const VOCABULARIES: [&str; 5] = ["sessions", "rooms", "chats", "lobby", "conversations"];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

async fn server(vocabulary: &str) -> System {
    let settings = [("CARILLON_VOCABULARY", vocabulary), ("CARILLON_GUESTS", "true")];
    let settings = if vocabulary == "lobby" { &settings[..] } else { &settings[..1] };
    binary(env!("CARGO_BIN_EXE_carillon")).standalone(settings).await.expect("a running server")
}

/// A server's documents by their file names.
async fn documents(system: &System) -> BTreeMap<String, Value> {
    let rest = testkit::rest::Rest::new(system.gateway(0).url(), "");
    let get = async |path: &str| rest.get(path).await.expect("an answer").ok().expect("a document");
    let native = get("/asyncapi.json").await;
    let spoken = native["x-vocabulary"].as_str().expect("the vocabulary's document").to_owned();
    let events = get(&format!("/{spoken}")).await;
    BTreeMap::from([
        ("openapi".to_owned(), get("/openapi.json").await),
        ("asyncapi".to_owned(), native),
        ("vocabulary".to_owned(), events),
    ])
}

/// Every reference in a document, with where it stands.
fn references(value: &Value, at: &str, to: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match (key.as_str(), value) {
                    ("$ref", Value::String(reference)) => to.push((at.to_owned(), reference.clone())),
                    _ => references(value, &format!("{at}/{key}"), to),
                }
            }
        }
        Value::Array(values) => {
            for (place, value) in values.iter().enumerate() {
                references(value, &format!("{at}/{place}"), to);
            }
        }
        _ => {}
    }
}

/// Wherever a schema and examples stand together, and how the examples differ.
fn odd_examples(document: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) -> usize {
    let mut seen = 0;
    match value {
        Value::Object(object) => {
            let schema = object.get("schema").or(object.get("payload"));
            let one = object.get("example").into_iter();
            let several = object.get("examples").into_iter().flat_map(|examples| {
                let values: Vec<&Value> = match examples {
                    Value::Object(named) => named.values().collect(),
                    other => other.as_array().into_iter().flatten().collect(),
                };
                values
            });
            let several = several.filter_map(|example| {
                let reference = example["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
                let example = reference.and_then(|path| document.pointer(path)).unwrap_or(example);
                example.get("value").or(example.get("payload"))
            });
            for example in one.chain(several).filter(|_| schema.is_some()) {
                seen += 1;
                let odd = check(document, schema.unwrap_or(&Value::Null), example);
                wrong.extend(odd.into_iter().map(|odd| format!("{at}: {odd}")));
            }
            for (key, value) in object {
                seen += odd_examples(document, value, &format!("{at}/{key}"), wrong);
            }
        }
        Value::Array(values) => {
            for (place, value) in values.iter().enumerate() {
                seen += odd_examples(document, value, &format!("{at}/{place}"), wrong);
            }
        }
        _ => {}
    }
    seen
}

/// What is not answered with success although it is asked as the example shows:
/// it is no call, or another call has done it already.
fn may_be_refused(name: &str) -> bool {
    ["/v1/ws", "/socket.io/"].iter().any(|path| name.ends_with(path)) || name.starts_with("DELETE ")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_is_true_of_every_vocabulary() {
    for vocabulary in VOCABULARIES {
        let system = server(vocabulary).await;
        let documents = documents(&system).await;
        let mut wrong = Vec::new();
        for (kind, document) in &documents {
            let mut found = Vec::new();
            references(document, "", &mut found);
            let lost = found.iter().filter(|(_, reference)| {
                reference.strip_prefix('#').and_then(|path| document.pointer(path)).is_none()
            });
            wrong.extend(lost.map(|(at, reference)| format!("{kind} {at}: {reference} is not there")));
            let mut odd = Vec::new();
            let seen = odd_examples(document, document, "", &mut odd);
            assert!(seen > 10, "{kind} has {seen} examples");
            wrong.extend(odd.into_iter().map(|odd| format!("{kind} {odd}")));
        }
        assert!(wrong.is_empty(), "{vocabulary}: {wrong:#?}");
        frames_are_read(&documents["asyncapi"]);
        calls_are_answered_as_described(&system, &documents["openapi"], vocabulary).await;
    }
}

/// By the code that reads them on the wire.
fn frames_are_read(document: &Value) {
    let messages = &document["channels"]["connection"]["messages"];
    for (key, message) in messages.as_object().expect("there are messages") {
        for example in message["examples"].as_array().expect("there are examples") {
            let json = example["payload"].to_string();
            let read = match key.starts_with("client.") {
                true => Encoding::Json.decode_client(json.as_bytes()).map(|frame| frame.request.is_some()),
                false => Encoding::Json.decode_server(json.as_bytes()).map(|frame| frame.body.is_some()),
            };
            assert!(read.as_ref().is_ok_and(|kind| *kind), "{key}: {json}: {read:?}");
        }
    }
}

async fn calls_are_answered_as_described(system: &System, document: &Value, vocabulary: &str) {
    let caller = Caller::new(system).await;
    let mut wrong = Vec::new();
    for operation in operations(document) {
        let name = operation.name();
        for call in unusual(&operation) {
            let (_, unsaid) = caller.call(document, &operation, &call).await;
            wrong.extend(unsaid.into_iter().map(|unsaid| format!("{name} ({}): {unsaid}", call.shows)));
        }
        let mut refused = Vec::new();
        for call in usual(&operation) {
            let (status, unsaid) = caller.call(document, &operation, &call).await;
            wrong.extend(unsaid.into_iter().map(|unsaid| format!("{name} ({}): {unsaid}", call.shows)));
            if !(200..300).contains(&status) {
                refused.push((call.shows, status));
            }
        }
        // What is looked for may be in another room, or want to be named.
        let most = usize::from(operation.method == reqwest::Method::GET);
        if refused.len() > most && !may_be_refused(&name) {
            wrong.push(format!("{name}: {refused:?}"));
        }
    }
    assert!(wrong.is_empty(), "{vocabulary}: {wrong:#?}");
}

/// The meaning in the tables of docs/protocol.md is that of the documents.
#[test]
fn codes_mean_the_same_on_the_protocol_page() {
    let page = read("docs/protocol.md");
    let meaning = |first: &str| {
        let row = page.lines().find(|line| line.starts_with(&format!("| {first} |")));
        let row = row.unwrap_or_else(|| panic!("{first} is not listed"));
        row.trim_end_matches('|').rsplit('|').next().unwrap_or_default().trim().to_owned()
    };
    for code in ErrorCode::ALL {
        assert_eq!(meaning(&format!("`{code}`")), code.meaning(), "{code}");
    }
    for code in CloseCode::ALL {
        assert_eq!(meaning(&code.number().to_string()), code.meaning(), "{}", code.name());
    }
}

#[tokio::test]
async fn the_page_is_served_and_needs_nothing_from_outside() {
    let system = server("sessions").await;
    let http = reqwest::Client::new();
    for (path, kind) in [
        ("/docs", "text/html"),
        ("/docs/", "text/html"),
        ("/docs/style.css", "text/css"),
        ("/docs/reference.js", "text/javascript"),
        ("/docs/client.proto", "text/plain"),
    ] {
        let response =
            http.get(format!("{}{path}", system.gateway(0).url())).send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{path}");
        let header = |name: &str| response.headers()[name].to_str().unwrap_or_default().to_owned();
        assert!(header("content-type").starts_with(kind), "{path}");
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        let text = response.text().await.expect("a body");
        for outside in
            ["src=\"http", "href=\"http", "@import", "from \"http", "url(", "innerHTML", " style=\"", "eval("]
        {
            assert!(!text.contains(outside), "{path} has {outside}");
        }
    }
}
