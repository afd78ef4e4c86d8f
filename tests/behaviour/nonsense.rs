//! Good frames and requests with nothing sensible in them: an error with a
//! stable code, the connection lives, nothing is stored and nothing gets stuck.

use proto::v1::{self, client_frame::Request, server_frame::Body};
use proto::{CloseCode, Encoding};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::rest::Rest;

use super::hear::{code, settled};
use super::raw::{TEXT, frame};
use super::scene::Scene;
use super::world::Deployment;

/// S17, NUL, surrogates, numbers out of range: what each is answered with.
pub async fn s17_frames_that_say_nothing_sensible_are_refused_and_the_connection_lives(
    deployment: Deployment,
) {
    let scene = Scene::new(deployment).await;
    let mut raw = scene.raw().await;
    let send = |fields: &str| format!(r#"{{"id":1,"send":{{"room":"{}",{fields}}}}}"#, scene.room);
    let signal = |fields: &str| format!(r#"{{"id":1,"signal":{{"room":"{}",{fields}}}}}"#, scene.room);
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_objects = format!("{}1{}", r#"{"a":"#.repeat(2_000), "}".repeat(2_000));
    let shallow = format!("{}{}", "[".repeat(40), "]".repeat(40));
    let cases: Vec<(String, &[&str])> = vec![
        // Not JSON, or not an object.
        (String::new(), &["malformed"]),
        ("null".into(), &["malformed"]),
        ("[]".into(), &["malformed"]),
        ("7".into(), &["malformed"]),
        (r#"{"id":1,"ping":{}"#.into(), &["malformed"]),
        (r#"{"id":1,"ping":{}} x"#.into(), &["malformed"]),
        ("{'id':1}".into(), &["malformed"]),
        ("NaN".into(), &["malformed"]),
        (deep.clone(), &["malformed"]),
        // Objects that are no frame.
        ("{}".into(), &["malformed"]),
        (r#"{"id":1}"#.into(), &["malformed"]),
        (r#"{"id":1,"dance":{}}"#.into(), &["malformed"]),
        (r#"{"id":1,"ping":null}"#.into(), &["malformed"]),
        (r#"{"id":1,"ping":{},"snapshot":{}}"#.into(), &["malformed"]),
        (r#"{"id":1,"__proto__":{"ping":{}}}"#.into(), &["malformed"]),
        (r#"{"id":1,"constructor":{"prototype":{"ping":{}}}}"#.into(), &["malformed"]),
        (r#"{"id":1,"ping":[]}"#.into(), &["malformed"]),
        (format!(r#"{{"id":1,"join":["{}",""]}}"#, scene.room), &["malformed"]),
        // Twice the same.
        (r#"{"id":1,"id":2,"ping":{}}"#.into(), &["malformed"]),
        (r#"{"id":1,"ping":{},"ping":{}}"#.into(), &["malformed"]),
        (send(r#""key":"a","text":"one","text":"two""#), &["malformed"]),
        (send(r#""key":"a","key":"b","text":"one""#), &["malformed"]),
        // Numbers.
        (r#"{"id":1e999,"ping":{}}"#.into(), &["malformed"]),
        (r#"{"id":-1,"ping":{}}"#.into(), &["malformed"]),
        (r#"{"id":1.5,"ping":{}}"#.into(), &["malformed"]),
        (r#"{"id":"1","ping":{}}"#.into(), &["malformed"]),
        (r#"{"id":18446744073709551616,"ping":{}}"#.into(), &["malformed"]),
        (format!(r#"{{"id":1,"history":{{"room":"{}","before":-1}}}}"#, scene.room), &["malformed"]),
        (format!(r#"{{"id":1,"history":{{"room":"{}","before":1e999}}}}"#, scene.room), &["malformed"]),
        (format!(r#"{{"id":1,"history":{{"room":"{}","limit":4294967296}}}}"#, scene.room), &["malformed"]),
        (send(r#""key":"n","text":"x","data":{"n":1e999}"#), &["invalid", "malformed"]),
        // Depth.
        (format!(r#"{{"id":1,"join":{{"room":{deep}}}}}"#), &["malformed"]),
        (
            send(&format!(r#""key":"d","text":"x","data":{{"a":{deep}}}"#)),
            &["invalid", "too_large", "malformed"],
        ),
        (
            send(&format!(r#""key":"d","text":"x","data":{deep_objects}"#)),
            &["invalid", "too_large", "malformed"],
        ),
        (send(&format!(r#""key":"d","text":"x","data":{{"a":{shallow}}}"#)), &["invalid"]),
        // Text that cannot be stored, or is none.
        (send(r#""key":"t","text":"a\u0000b""#), &["invalid"]),
        (send(r#""key":"t","text":"\ud800""#), &["malformed"]),
        (send(r#""key":"t","text":"\udc00\ud800""#), &["malformed"]),
        (send(r#""key":"t","text":7"#), &["malformed"]),
        (send(r#""key":"t","text":"""#), &["invalid"]),
        (send(r#""key":"t","text":" \n\t""#), &["invalid"]),
        (send(r#""key":"t""#), &["invalid"]),
        (send(&format!(r#""key":"t","text":"{}""#, "x".repeat(16 * 1024 + 1))), &["too_large"]),
        (send(&format!(r#""key":"t","text":"{}""#, "ä".repeat(8 * 1024 + 1))), &["too_large"]),
        // Keys.
        (send(r#""text":"x""#), &["invalid"]),
        (send(r#""key":"","text":"x""#), &["invalid"]),
        (send(r#""key":"a\u0000b","text":"x""#), &["invalid"]),
        (send(r#""key":"\ud800","text":"x""#), &["malformed"]),
        (send(&format!(r#""key":"{}","text":"x""#, "k".repeat(129))), &["too_large"]),
        // Types and data.
        (send(r#""key":"y","text":"x","type":"VIDEO""#), &["malformed", "invalid"]),
        (send(r#""key":"y","text":"x","type":9"#), &["malformed", "invalid"]),
        (send(r#""key":"y","text":"x","type":"IMAGE""#), &["invalid"]),
        (send(r#""key":"y","text":"x","type":"IMAGE","data":{"url":7}"#), &["invalid"]),
        (send(r#""key":"y","text":"x","data":[1]"#), &["invalid"]),
        (send(r#""key":"y","text":"x","data":"text""#), &["invalid"]),
        (send(r#""key":"y","text":"x","data":{"a":"\u0000"}"#), &["invalid"]),
        (send(r#""key":"y","text":"x","data":{"\u0000":1}"#), &["invalid"]),
        (send(r#""key":"y","text":"x","data":{"a":"\ud800"}"#), &["invalid", "malformed"]),
        (send(&format!(r#""key":"y","text":"x","data":{{"a":"{}"}}"#, "x".repeat(8 * 1024))), &["too_large"]),
        // Other requests.
        (signal(r#""name":"x","data":1e999"#), &["invalid", "malformed"]),
        (signal(r#""name":"a\u0000b""#), &["invalid"]),
        (signal(&format!(r#""name":"{}""#, "n".repeat(300))), &["invalid", "too_large"]),
        (r#"{"id":1,"presence":{}}"#.into(), &["invalid"]),
        (r#"{"id":1,"presence":{"status":"sleepy"}}"#.into(), &["invalid"]),
        (r#"{"id":1,"auth":{"token":7}}"#.into(), &["malformed"]),
        (r#"{"id":1,"auth":{}}"#.into(), &["token_refused"]),
        (json!({ "id": 1, "presence": { "users": vec!["a"; 101] } }).to_string(), &["too_large"]),
        (
            format!(r#"{{"id":1,"edit":{{"room":"{}","message":"m","text":"a\u0000"}}}}"#, scene.room),
            &["invalid"],
        ),
    ];
    let mut wrong = Vec::new();
    for (text, codes) in &cases {
        raw.text(text).await;
        let answer = raw.json().await;
        if !codes.iter().any(|code| answer["error"]["code"] == json!(code)) {
            wrong.push(format!("{text:.200}: {answer}, expected one of {codes:?}"));
        }
        assert_eq!(raw.alive().await, Vec::<String>::new(), "one answer to {text:.200}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Unknown fields are from the future, and fine.
    raw.text(&format!(r#"{{"id":5,"ping":{{"later":{deep}}},"__proto__":{{"admin":true}}}}"#)).await;
    assert!(raw.json().await["pong"].is_object());
    // Without an id only refusals are answered.
    raw.text(&format!(r#"{{"typing":{{"room":"{}"}}}}"#, scene.room)).await;
    assert_eq!(raw.alive().await, ["not_joined"]);
    // Nonsense without an end is not listened to for ever.
    let nonsense = frame(TEXT, b"nonsense").repeat(50);
    raw.bytes(&nonsense).await;
    assert_eq!(raw.closed().await, CloseCode::Malformed.number());
    scene.assert_unharmed().await;
}

/// The same in protobuf, whose strings can hold what JSON could not be written with.
pub async fn s17_protobuf_that_says_nothing_sensible_is_refused_and_the_connection_lives(
    deployment: Deployment,
) {
    let scene = Scene::new(deployment).await;
    let client = scene.world.client_of(0, &scene.user, Encoding::Protobuf).await;
    client.join(&scene.room).await.expect("a join");
    let send = |r#type: i32, text: &str, data: &str| v1::Send {
        room: scene.room.clone(),
        key: "k".into(),
        r#type,
        text: text.into(),
        data: data.into(),
    };
    for bad in [
        send(4, "an unknown type", "{}"),
        send(-1, "a negative type", "{}"),
        send(0, "a\0b", ""),
        send(0, "cut short", "{"),
        send(0, "no object", "null"),
        send(0, "two values", "{}{}"),
        send(0, "smuggled", r#"{}},"seq":1,"x":{"a":1"#),
        send(0, "a surrogate", r#"{"a":"\ud800"}"#),
        send(1, "too large a number", r#"{"url":"x","size":1e999}"#),
        send(1, "no address", "{}"),
        v1::Send { room: "a*".into(), ..send(0, "x", "") },
        v1::Send { key: String::new(), ..send(0, "x", "") },
    ] {
        assert_eq!(code(&client.send_message(bad.clone()).await), "invalid", "{bad:?}");
    }
    for data in ["{", "{}{}", "\"\0\"", r#"1},"re":1,"x":{"a":1"#, "NaN"] {
        assert_eq!(code(&client.signal(&scene.room, "x", data).await), "invalid", "{data:?}");
    }
    let history = v1::HistoryRequest { room: scene.room.clone(), before: u64::MAX, limit: u32::MAX };
    assert_eq!(code(&client.request(Request::History(history)).await), "ok");

    // Bytes that are no frame.
    let refusals = async || {
        settled(&client).await;
        let transcript = client.transcript();
        let errors = transcript.events().filter_map(|frame| match &frame.body {
            Some(Body::Error(error)) => Some(error.code.clone()),
            _ => None,
        });
        errors.collect::<Vec<_>>()
    };
    let not_utf8 = [&[0x3a, 5][..], &[0x0a, 3], b"a\xff\xfe"].concat();
    let cases: [&[u8]; 6] =
        [&[], &[0x08], &[0xff; 20], &not_utf8, &[0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f], b"{}"];
    for (number, bytes) in cases.into_iter().enumerate() {
        assert!(client.send_raw(bytes.to_vec().into()).await);
        assert_eq!(refusals().await, vec!["malformed"; number + 1], "{bytes:?}");
    }
    assert!(client.send_raw(r#"{"id":1,"ping":{}}"#.into()).await);
    assert_eq!(client.closed().await.close_code(), Some(CloseCode::Malformed), "a text frame");
    scene.assert_unharmed().await;
}

/// The same by REST.
pub async fn s17_bodies_that_say_nothing_sensible_are_problems(deployment: Deployment) {
    let scene = Scene::new(deployment).await;
    let rest = scene.world.rest(0, &scene.user);
    let messages = format!("/v1/rooms/{}/messages", scene.room);
    let room = format!("/v1/rooms/{}", scene.room);
    let long = "x".repeat(70_000);
    let cases: Vec<(Method, &str, Value, u16, &str)> = vec![
        (Method::POST, &messages, json!(null), 400, "malformed"),
        (Method::POST, &messages, json!([]), 400, "malformed"),
        (Method::POST, &messages, json!({ "text": 7 }), 400, "malformed"),
        (Method::POST, &messages, json!({ "text": "a\0b" }), 422, "invalid"),
        (Method::POST, &messages, json!({ "text": "" }), 422, "invalid"),
        (Method::POST, &messages, json!({ "text": "x", "key": "k".repeat(129) }), 413, "too_large"),
        (Method::POST, &messages, json!({ "text": "x".repeat(17_000) }), 413, "too_large"),
        (Method::POST, &messages, json!({ "text": long }), 413, "too_large"),
        (Method::POST, &messages, json!({ "text": "x", "data": { "a": "\0" } }), 422, "invalid"),
        (Method::PATCH, &room, json!({}), 400, "malformed"),
        (Method::PATCH, &room, json!({ "name": "" }), 422, "invalid"),
        (Method::PATCH, &room, json!({ "name": "two\nlines" }), 422, "invalid"),
        (Method::PATCH, &room, json!({ "name": "a\0b" }), 422, "invalid"),
        (Method::PATCH, &room, json!({ "name": "n".repeat(257) }), 413, "too_large"),
        (Method::POST, "/v1/rooms", json!({ "kind": "castle" }), 400, "malformed"),
        (Method::POST, "/v1/rooms", json!({ "members": ["a b"] }), 422, "invalid"),
        (Method::POST, "/v1/rooms", json!({ "members": "ben" }), 400, "malformed"),
        (Method::GET, "/v1/rooms?limit=many", Value::Null, 400, "malformed"),
        (Method::GET, "/v1/nothing", Value::Null, 404, "not_found"),
        (Method::PUT, "/v1/rooms", json!({}), 405, "method_not_allowed"),
    ];
    let mut wrong = Vec::new();
    for (method, path, body, status, code) in cases {
        let body = (method != Method::GET).then_some(&body);
        let answer = rest.call(method.clone(), path, body).await.expect("an answer");
        let said = (answer.status, answer.code());
        if said != (status, code) || answer.body["status"] != json!(status) {
            let body = body.unwrap_or(&Value::Null).to_string();
            wrong.push(format!("{method} {path} {body:.100}: {}, expected {status} {code}", answer.body));
        }
        assert!(answer.body["retryable"].is_boolean() && answer.body["title"].is_string());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // A token in the address is refused, and so is none.
    let path = format!("/v1/rooms?token={}", scene.world.token(&scene.user));
    let answer = Rest::new(scene.world.url(0), "").get(&path).await.expect("an answer");
    assert_eq!((answer.status, answer.code()), (401, "unauthenticated"));
    // Monstrous searches and pages are small ones.
    for query in ["q=%25%25%25%25", "q=((((a*)*)*)*)*b", "q=%5C%22%20OR%201%3D1%20--", "q=a&limit=4294967295"]
    {
        let answer = rest.get(&format!("{room}/search?{query}")).await.expect("an answer");
        assert_eq!(answer.ok().expect("found nothing")["messages"], json!([]), "{query}");
    }
    scene.assert_unharmed().await;
}
