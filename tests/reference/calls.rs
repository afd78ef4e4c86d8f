//! Makes the calls that the OpenAPI document describes, with the examples that
//! it has, and holds the answers against it.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::cluster::{SECRET, System};
use testkit::token::{TokenOptions, mint};

use super::schema::check;

/// What the document says of one method of one path.
pub struct Operation<'a> {
    pub method: Method,
    pub path: &'a str,
    pub said: &'a Value,
}

impl Operation<'_> {
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn is_for_servers(&self) -> bool {
        self.said["tags"][0] == "Servers"
    }

    fn needs_a_token(&self) -> bool {
        let open = self.said["security"].as_array().is_some_and(|all| all.contains(&json!({})));
        !open
    }
}

/// All of them: what is read, then what is changed, then what is deleted.
pub fn operations(document: &Value) -> Vec<Operation<'_>> {
    let items = document["paths"].as_object().expect("there are paths").iter();
    let mut operations: Vec<_> = items
        .flat_map(|(path, item)| {
            item.as_object().expect("a path has methods").iter().map(move |(method, said)| Operation {
                method: method.to_ascii_uppercase().parse().expect("a method"),
                path,
                said,
            })
        })
        .collect();
    operations.sort_by_key(|operation| match operation.method {
        Method::GET => (0, 0),
        // Rooms last: what is in them goes with them.
        Method::DELETE => (2, usize::MAX - operation.path.len()),
        _ => (1, 0),
    });
    operations
}

/// One way to make a call.
#[derive(Default, Clone)]
pub struct Call {
    /// What it tries.
    pub shows: String,
    pub body: Option<Value>,
    pub content_type: Option<&'static str>,
    pub raw: Option<&'static str>,
    pub no_token: bool,
    /// Without parameters that may be left out.
    pub bare: bool,
}

/// Those with the examples of the body.
pub fn usual(operation: &Operation<'_>) -> Vec<Call> {
    let body = &operation.said["requestBody"];
    let Some(content) = body["content"].as_object().and_then(|kinds| kinds.values().next()) else {
        let bare = Call { shows: "bare".to_owned(), bare: true, ..Call::default() };
        return vec![Call::default(), bare];
    };
    let named = content["examples"].as_object().into_iter().flatten();
    let mut calls: Vec<Call> = named
        .map(|(name, example)| Call {
            shows: name.clone(),
            body: Some(example["value"].clone()),
            ..Call::default()
        })
        .collect();
    if let Some(example) = content.get("example") {
        calls.push(Call { body: Some(example.clone()), ..Call::default() });
    }
    assert!(!calls.is_empty(), "{} has no example of its body", operation.name());
    if body["required"] != true {
        calls.push(Call { shows: "nothing".to_owned(), ..Call::default() });
    }
    calls
}

/// Those that are refused.
pub fn unusual(operation: &Operation<'_>) -> Vec<Call> {
    let mut calls = Vec::new();
    if operation.needs_a_token() {
        calls.push(Call { shows: "no token".to_owned(), no_token: true, ..Call::default() });
    }
    if operation.said.get("requestBody").is_some() {
        let broken = Call { shows: "broken".to_owned(), raw: Some("{\"a\":"), ..Call::default() };
        calls.push(Call { shows: "a text".to_owned(), content_type: Some("text/plain"), ..broken.clone() });
        calls.push(broken);
        let odd =
            json!({ "kind": 7, "users": 7, "text": 7, "name": 7, "seq": "x", "content": 7, "chatId": {} });
        calls.push(Call { shows: "odd types".to_owned(), body: Some(odd), ..Call::default() });
        calls.push(Call { shows: "empty".to_owned(), body: Some(json!({})), ..Call::default() });
    }
    calls
}

/// A server, and what examples mean on it.
pub struct Caller {
    base: String,
    user: String,
    service: String,
    http: reqwest::Client,
    /// Ids in examples, and the real ones.
    real: Vec<(String, String)>,
}

impl Caller {
    /// Makes the world of the examples: the room, a message, a notification.
    pub async fn new(system: &System) -> Self {
        let service = system.service(0);
        let room = json!({ "id": "book-club", "name": "Book club", "members": ["ana", "ben"] });
        service.post("/v1/rooms", room).await.expect("an answer").ok().expect("a room");
        let ana = system.rest(0, "ana");
        let message = ana.post("/v1/rooms/book-club/messages", json!({ "text": "chapter" })).await;
        let message = message.expect("an answer").ok().expect("a message")["message"].clone();
        let notify = json!({ "user": "ana", "type": "LIKE", "data": { "post": 7 } });
        let notification = service.post("/v1/notifications", notify).await;
        let notification = notification.expect("an answer").ok().expect("a notification")["id"].clone();
        let text = |id: Value| id.as_str().expect("an id").to_owned();
        Self {
            base: system.gateway(0).url(),
            user: system.token("ana"),
            service: mint(SECRET, "service", "service", &TokenOptions::service()),
            http: reqwest::Client::new(),
            real: vec![
                ("0199f301-7e5c-7cc2-a3f4-b0c1d2e3f405".to_owned(), text(message)),
                ("0199f2aa-1c40-7b3e-9d21-5a6b7c8d9e0f".to_owned(), text(notification)),
            ],
        }
    }

    /// The same with the ids of this server.
    fn real(&self, text: &str) -> String {
        self.real.iter().fold(text.to_owned(), |text, (shown, real)| text.replace(shown, real))
    }

    /// Makes a call, and answers with the status and with what the document does
    /// not say of the answer.
    pub async fn call(&self, document: &Value, operation: &Operation<'_>, call: &Call) -> (u16, Vec<String>) {
        let mut path = operation.path.to_owned();
        let mut query = Vec::new();
        for parameter in operation.said["parameters"].as_array().into_iter().flatten() {
            let example = &parameter["example"];
            let value = self.real(&example.as_str().map_or_else(|| example.to_string(), str::to_owned));
            let name = parameter["name"].as_str().expect("a parameter has a name");
            match parameter["in"].as_str() {
                Some("path") => path = path.replace(&format!("{{{name}}}"), &value),
                Some("query") if name == "token" || call.bare && parameter["required"] != true => {}
                Some("query") => query.push(format!("{name}={}", value.replace(' ', "%20"))),
                _ => {}
            }
        }
        let url = format!("{}{path}?{}", self.base, query.join("&"));
        let mut request = self.http.request(operation.method.clone(), url);
        let by_server = operation.is_for_servers() || call.shows == "service";
        if operation.needs_a_token() && !call.no_token {
            request = request.bearer_auth(if by_server { &self.service } else { &self.user });
        }
        if let Some(raw) = call.raw {
            request =
                request.header("content-type", call.content_type.unwrap_or("application/json")).body(raw);
        } else if let Some(body) = &call.body {
            let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
            let kind = if body.is_string() { "text/plain" } else { "application/json" };
            request = request.header("content-type", kind).body(self.real(&text));
        }
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let kind =
            response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().to_owned();
        let text = response.text().await.expect("a body");
        (status, unsaid(document, operation, status, &kind, &text))
    }
}

/// What the document does not say of an answer.
fn unsaid(document: &Value, operation: &Operation<'_>, status: u16, kind: &str, text: &str) -> Vec<String> {
    let Some(said) = operation.said["responses"].get(status.to_string()) else {
        return vec![format!("nothing is said of {status}: {text}")];
    };
    let Some(kinds) = said["content"].as_object() else {
        return if text.is_empty() { Vec::new() } else { vec![format!("{status} has a body: {text}")] };
    };
    let Some(content) = kinds.get(kind) else {
        return vec![format!("nothing is said of {status} as {kind:?}: {text}")];
    };
    let body: Value = match kind {
        "application/json" | "application/problem+json" => match serde_json::from_str(text) {
            Ok(body) => body,
            Err(error) => return vec![format!("no JSON: {error}: {text}")],
        },
        _ => Value::from(text),
    };
    let mut unsaid = check(document, &content["schema"], &body);
    if kind == "application/problem+json" {
        let code = body["code"].as_str().unwrap_or_default();
        if content["examples"].get(code).is_none() {
            unsaid.push(format!("nothing is said of {status} with {code}: {text}"));
        }
    }
    unsaid
}
