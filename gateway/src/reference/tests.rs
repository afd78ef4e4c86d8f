//! The documents say what there is: nothing more, nothing less.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use proto::{CloseCode, Encoding, ErrorCode};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{asyncapi, openapi, schema, spoken};
use crate::auth::{Authenticator, Keys};
use crate::vocabulary::Vocabulary;
use crate::vocabulary::input::RequestParts;
use crate::{Deps, Endpoints, Gateway, SHIPPED, Settings};

fn shipped() -> impl Iterator<Item = Vocabulary> {
    SHIPPED.iter().map(|(name, text)| {
        Vocabulary::parse(text).unwrap_or_else(|mistakes| panic!("{name}: {mistakes:#?}"))
    })
}

fn texts(list: &Value) -> BTreeSet<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

// ---- routes ------------------------------------------------------------------

/// What pages load, and other spellings of a path: nothing to call.
const UNDESCRIBED: [&str; 8] = [
    "/",
    "/app.js",
    "/carillon.js",
    "/style.css",
    "/docs/",
    "/docs/reference.js",
    "/docs/style.css",
    "/socket.io",
];

/// Where any method is taken, to be refused in the words of another protocol.
const ANY: [&str; 2] = ["/v1/ws", "/socket.io/"];

const METHODS: [&str; 8] = ["get", "delete", "options", "patch", "post", "put", "trace", "connect"];

/// The routes of a gateway that speaks this vocabulary: each path with its methods.
async fn served(vocabulary: Vocabulary) -> BTreeMap<String, BTreeSet<String>> {
    let deps = Deps {
        broker: Arc::new(bus::local::LocalBroker::default()),
        presence: Arc::new(bus::local::LocalPresence::new("node", bus::PresenceTimes::default())),
        dispatchers: Endpoints::Remote(Vec::new()),
        authenticator: Arc::new(Authenticator::new(Keys::Hs256(b"secret".to_vec())).expect("a key")),
        vocabulary: Arc::new(vocabulary),
        spans: None,
    };
    let gateway = Gateway::start(deps, Settings::default()).await.expect("a gateway");
    let router = gateway.router(&TaskTracker::new(), &CancellationToken::new());
    gateway.stop.cancel();
    // A router lists its routes for people only, by their numbers:
    // `RouteId(1): MethodRouter(MethodRouter { get: Route, head: None, ... })`
    // in one place, `RouteId(1): "/v1/rooms"` in another.
    let shown = format!("{router:?}");
    let shown = shown.split("fallback_router").next().unwrap_or_default();
    let (mut paths, mut methods) = (HashMap::new(), HashMap::new());
    for route in shown.split("RouteId(").skip(1) {
        let (number, rest) = route.split_once("): ").expect("a route's number, and the route");
        match rest.strip_prefix('"') {
            Some(path) => drop(paths.insert(number, path.split('"').next().unwrap_or_default())),
            None => {
                let taken = |method: &&&str| !rest.contains(&format!("{method}: None"));
                methods.insert(
                    number,
                    METHODS.iter().filter(taken).map(|method| (*method).to_owned()).collect(),
                );
            }
        }
    }
    assert_eq!(paths.len(), methods.len(), "{shown}");
    let routes =
        paths.into_iter().map(|(number, path)| (path.to_owned(), methods.remove(number).expect(path)));
    routes.collect()
}

#[tokio::test]
async fn every_route_is_described_and_every_description_is_served() {
    for vocabulary in shipped() {
        let name = vocabulary.name.clone();
        let document = openapi::document(&vocabulary);
        let described = document["paths"].as_object().expect("there are paths").iter();
        let described: BTreeMap<String, BTreeSet<String>> = described
            .map(|(path, item)| {
                let methods = item.as_object().expect("a path has methods").keys().cloned();
                (path.clone(), if ANY.contains(&path.as_str()) { BTreeSet::new() } else { methods.collect() })
            })
            .collect();
        let mut served = served(vocabulary).await;
        for path in UNDESCRIBED {
            assert!(served.remove(path).is_some(), "{path} is not served");
        }
        assert_eq!(served, described, "{name}");
    }
}

// ---- codes -------------------------------------------------------------------

/// Nobody is refused with these over HTTP.
const OF_FRAMES: [ErrorCode; 2] = [ErrorCode::NotJoined, ErrorCode::RateLimited];
/// Of paths and methods that there are not.
const OF_NO_OPERATION: [ErrorCode; 1] = [ErrorCode::MethodNotAllowed];

#[test]
fn every_error_code_and_close_code_is_documented() {
    let codes: BTreeSet<&str> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
    for vocabulary in shipped() {
        let document = openapi::document(&vocabulary);
        assert_eq!(texts(&document["components"]["schemas"]["ErrorCode"]["enum"]), codes);
        let mut told = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                for code in texts(&operation["x-error-codes"]) {
                    let code = ErrorCode::from_name(code).unwrap_or_else(|| panic!("{code}"));
                    let answers = operation["responses"].as_object().unwrap();
                    let example = |answer: &Value| {
                        let contents = answer["content"].as_object().into_iter().flatten();
                        contents
                            .into_iter()
                            .any(|(_, content)| content["examples"].get(code.name()).is_some())
                    };
                    assert!(answers.values().any(example), "{method} {path}: {code} has no example");
                    told.insert(code.name());
                }
            }
        }
        let silent = OF_FRAMES.iter().chain(&OF_NO_OPERATION).map(|code| code.name());
        assert_eq!(told, codes.difference(&silent.collect()).copied().collect(), "{}", vocabulary.name);
    }
    let document = asyncapi::document();
    let listed = |list: &str| document[list].as_array().cloned().unwrap_or_default();
    let told: BTreeSet<String> =
        listed("x-error-codes").iter().map(|code| code["code"].as_str().unwrap().to_owned()).collect();
    assert!(told.iter().map(String::as_str).eq(codes.iter().copied()));
    let numbers: Vec<u64> =
        listed("x-close-codes").iter().map(|code| code["number"].as_u64().unwrap()).collect();
    assert!(numbers.into_iter().eq(CloseCode::ALL.iter().map(|code| u64::from(code.number()))));
}

// ---- frames ------------------------------------------------------------------

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().map(|c| c.to_digit(16).expect("a hexadecimal digit")).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// The table of frames panics where a kind has no example; the kinds are those
/// of the schema, so that one that is added there is missed here.
#[test]
fn every_frame_is_shown_and_read_in_both_encodings() {
    let document = asyncapi::document();
    let messages = document["channels"]["connection"]["messages"].as_object().unwrap();
    let kinds = ["ClientFrame", "ServerFrame"].map(schema::kinds);
    assert_eq!(messages.len(), kinds[0].len() + kinds[1].len());
    for (key, message) in messages {
        let (side, kind) = key.split_once('.').unwrap();
        let examples = message["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "{key}");
        assert_eq!(examples.len(), message["x-protobuf"].as_array().unwrap().len(), "{key}");
        for (example, hex) in examples.iter().zip(message["x-protobuf"].as_array().unwrap()) {
            let (json, proto) = (example["payload"].to_string(), bytes(hex.as_str().unwrap()));
            assert!(example["payload"].get(kind).is_some(), "{key}: {json}");
            if side == "client" {
                let frame = Encoding::Json.decode_client(json.as_bytes()).unwrap();
                assert!(frame.request.is_some(), "{key}: {json}");
                assert_eq!(Encoding::Protobuf.decode_client(&proto).unwrap(), frame, "{key}");
            } else {
                let frame = Encoding::Json.decode_server(json.as_bytes()).unwrap();
                assert!(frame.body.is_some(), "{key}: {json}");
                assert_eq!(Encoding::Protobuf.decode_server(&proto).unwrap(), frame, "{key}");
            }
        }
    }
}

#[test]
fn every_request_names_answers_that_there_are() {
    let document = asyncapi::document();
    for kind in schema::kinds("ClientFrame") {
        let operation = &document["operations"][kind];
        assert_eq!(operation["action"], "receive", "{kind}");
        for message in operation["reply"]["messages"].as_array().unwrap() {
            let path = message["$ref"].as_str().unwrap().strip_prefix("#").unwrap();
            assert!(document.pointer(path).is_some(), "{kind}: {path}");
        }
    }
}

// ---- vocabularies ------------------------------------------------------------

#[test]
fn what_a_vocabulary_shows_as_asked_is_what_it_asks_for() {
    for vocabulary in shipped() {
        let document = spoken::events(&vocabulary);
        let messages = &document["channels"]["connection"]["messages"];
        for (name, event) in &vocabulary.client {
            let example = &messages[format!("client.{name}")]["examples"][0]["payload"];
            let ask = event.inputs.ask_of_event(&event.action, Some(&example.to_string()));
            assert!(ask.is_ok(), "{} {name}: {example} {ask:?}", vocabulary.name);
        }
        let openapi = openapi::document(&vocabulary);
        for route in &vocabulary.routes {
            let method = route.method.as_str().to_ascii_lowercase();
            let operation = &openapi["paths"][&route.path][&method];
            let parameters = |place: &str| -> HashMap<String, String> {
                let all = operation["parameters"].as_array().unwrap().iter();
                let some = all.filter(|parameter| parameter["in"] == place).map(|parameter| {
                    let example = &parameter["example"];
                    let text = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
                    (parameter["name"].as_str().unwrap().to_owned(), text)
                });
                some.collect()
            };
            let body = &operation["requestBody"]["content"]["application/json"]["example"];
            let body = (!body.is_null()).then(|| body.to_string());
            let (path, query) = (parameters("path"), parameters("query"));
            let parts = RequestParts { path: &path, query: &query, body: body.as_deref() };
            let ask = route.inputs.ask_of_request(&route.action, &parts);
            assert!(ask.is_ok(), "{} {} {}: {ask:?}", vocabulary.name, route.method, route.path);
        }
    }
}
