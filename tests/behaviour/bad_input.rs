//! What attackers and broken clients send: an error with a stable code, the
//! connection lives where it can, nothing is stored and nothing gets stuck.

use proto::v1::{self, client_frame::Request, server_frame::Body};
use proto::{CloseCode, Encoding};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::client::Client;
use testkit::rest::Rest;

use super::hear::{code, deliveries, history, settled, up_to};
use super::raw::{BINARY, CLOSE, FIN, PING, Raw, TEXT, frame};
use super::world::{Deployment, World};

/// A room, its member who only listens, and a place from which it is attacked.
struct Scene {
    world: World,
    user: String,
    room: String,
    listener: Client,
}

impl Scene {
    async fn new(deployment: Deployment) -> Self {
        let world = deployment.shared().await;
        let [user, other] = world.names(["user", "other"]);
        let room = world.group(&user, &[&other]).await;
        let listener = world.member(1, &other, &room).await;
        Self { world, user, room, listener }
    }

    async fn raw(&self) -> Raw {
        Raw::ready(&self.world, &self.user).await
    }

    /// Nothing came of it, and all goes on.
    async fn assert_unharmed(&self) {
        let client = self.world.client(0, &self.user).await;
        assert_eq!(history(&client, &self.room).await, []);
        let sent = client.send(&self.room, "good").await.expect("good sends are taken");
        assert_eq!(sent.ordinal, 1);
        up_to(&self.listener, &self.room, sent.seq).await;
        settled(&self.listener).await;
        assert_eq!(deliveries(&self.listener, &self.room).len(), 1);
        let rest = self.world.rest(0, &self.user);
        let room = rest.get(&format!("/v1/rooms/{}", self.room)).await.expect("an answer").ok();
        assert_eq!(room.expect("the room")["details"]["name"], json!("Ringers"));
    }
}

pub async fn s3_a_connection_without_a_token_is_closed(deployment: Deployment) {
    let world = deployment.shared().await;
    let mut quiet = Raw::open(&world, &[]).await;
    let mut busy = Raw::open(&world, &[]).await;
    // Not even a ping counts: only a token does.
    busy.frame(PING, b"here").await;
    busy.text(r#"{"id":1,"ping":{}}"#).await;
    assert_eq!(busy.refusal().await, "unauthenticated");
    busy.text(r#"{"id":2,"snapshot":{}}"#).await;
    assert_eq!(busy.refusal().await, "unauthenticated");
    let mut refused = Raw::open(&world, &[]).await;
    refused.text(r#"{"id":1,"auth":{"token":"a.b.c"}}"#).await;
    assert_eq!(refused.refusal().await, "token_refused");
    assert_eq!(refused.closed().await, CloseCode::TokenRefused.number());
    for raw in [&mut quiet, &mut busy] {
        assert_eq!(raw.refusal().await, "unauthenticated");
        assert_eq!(raw.closed().await, CloseCode::AuthTimeout.number());
    }
}

pub async fn s8_odd_ids_are_refused_and_never_leave_their_room(deployment: Deployment) {
    let scene = Scene::new(deployment).await;
    let mut raw = scene.raw().await;
    let long = "a".repeat(300);
    let odd = [
        "a*b",
        ">",
        "*",
        "a.>",
        " ",
        "a b",
        "a\r\nSUB x 1",
        "a\n",
        "a\tb",
        "a\0b",
        "ä",
        "аdmin",
        "a/b",
        "../etc",
        "a%2eb",
        "a{b}",
        "💬",
        &long,
        &long[..65],
    ];
    for id in odd {
        for body in [
            json!({ "join": { "room": id } }),
            json!({ "leave": { "room": id } }),
            json!({ "send": { "room": id, "key": "k", "text": "hi" } }),
            json!({ "history": { "room": id } }),
            json!({ "read": { "room": id } }),
            json!({ "typing": { "room": id } }),
            json!({ "signal": { "room": id, "name": "x" } }),
            json!({ "presence": { "room": id } }),
            json!({ "presence": { "users": [id] } }),
            json!({ "edit": { "room": scene.room, "message": id, "text": "x" } }),
            json!({ "delete": { "message": id } }),
        ] {
            let mut request = body.clone();
            request["id"] = json!(1);
            raw.text(&request.to_string()).await;
            assert_eq!(raw.refusal().await, "invalid", "{request}");
        }
        let escaped: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let rest = scene.world.rest(0, &scene.user);
        for (path, status) in [
            (format!("/v1/rooms/{escaped}"), 403),
            (format!("/v1/rooms/{escaped}/messages"), 403),
            (format!("/v1/messages/{escaped}"), 404),
        ] {
            assert_eq!(rest.get(&path).await.expect("an answer").status, status, "{path}");
        }
    }
    assert_eq!(raw.alive().await, Vec::<String>::new());

    // Ids that are good and look like subjects: each is a room by itself.
    let service = scene.world.service();
    let tag = scene.world.name("x");
    let rooms = ["", ".feed", ".now", ".a", ".a.b", ":a", "@a", "=2ea"].map(|end| format!("{tag}{end}"));
    let (rooms, bad) = rooms.split_at(7);
    let user = &scene.user;
    for room in rooms {
        let body = json!({ "id": room, "name": room, "members": [user] });
        assert_eq!(service.create_room(body).await.expect("a room"), *room);
    }
    let body = json!({ "id": bad[0], "name": "bad", "members": [user] });
    assert_eq!(service.post("/v1/rooms", body).await.expect("an answer").code(), "invalid");
    let mut listeners = Vec::new();
    for (number, room) in rooms.iter().enumerate() {
        listeners.push(scene.world.member(number, user, room).await);
    }
    let writer = scene.world.client(0, user).await;
    for room in rooms {
        let sent = writer.send(room, &format!("in {room}")).await.expect("a send");
        writer.send(room, "more").await.expect("a send");
        let place = rooms.iter().position(|other| other == room).expect("it is there");
        up_to(&listeners[place], room, sent.seq + 1).await;
    }
    for (listener, room) in listeners.iter().zip(rooms) {
        settled(listener).await;
        let transcript = listener.transcript();
        assert!(transcript.events().all(|frame| frame.room == *room), "{room}");
        assert_eq!(deliveries(listener, room).len(), 2);
    }
    scene.assert_unharmed().await;
}

pub async fn s11_endless_and_oversized_frames_close_with_1009(deployment: Deployment) {
    let scene = Scene::new(deployment).await;
    let too_large = CloseCode::TooLarge.number();
    // Declared, and never sent.
    let huge = [&[TEXT, 0xff][..], &(i64::MAX as u64).to_be_bytes(), &[0; 4]].concat();
    let just_over = [&[TEXT, 0xff][..], &65_537_u64.to_be_bytes(), &[0; 4]].concat();
    for head in [huge, just_over] {
        let mut raw = scene.raw().await;
        raw.bytes(&head).await;
        assert_eq!(raw.closed().await, too_large);
    }
    // All of it sent at once.
    let mut raw = scene.raw().await;
    let text = "x".repeat(70_000);
    raw.frame(
        TEXT,
        format!(r#"{{"id":1,"send":{{"room":"{}","key":"k","text":"{text}"}}}}"#, scene.room).as_bytes(),
    )
    .await;
    assert_eq!(raw.closed().await, too_large);
    // The largest that is allowed is one that is too long a text, and no more.
    let mut raw = scene.raw().await;
    let head = format!(r#"{{"id":1,"send":{{"room":"{}","key":"k","text":""#, scene.room);
    let tail = r#""}}"#;
    let filling = "x".repeat(65_536 - head.len() - tail.len());
    raw.text(&format!("{head}{filling}{tail}")).await;
    assert_eq!(raw.refusal().await, "too_large");
    assert_eq!(raw.alive().await, Vec::<String>::new());

    for size in [1000, 1, 0] {
        let mut raw = scene.raw().await;
        let piece = |number: usize| frame(if number == 0 { 0x01 } else { 0x00 }, &vec![b'x'; size]);
        assert_eq!(raw.endless(100_000, piece).await, too_large, "fragments of {size} bytes");
    }
    scene.assert_unharmed().await;
}

pub async fn s12_what_is_not_websocket_is_closed_with_its_code(deployment: Deployment) {
    let scene = Scene::new(deployment).await;
    let (protocol, not_utf8) = (CloseCode::ProtocolError.number(), CloseCode::NotUtf8.number());
    let ping = br#"{"id":1,"ping":{}}"#;
    let unmasked = [&[TEXT, ping.len() as u8][..], ping].concat();
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("unmasked", unmasked, protocol),
        ("RSV1, as if compressed", frame(TEXT | 0x40, ping), protocol),
        ("RSV2", frame(TEXT | 0x20, ping), protocol),
        ("RSV3", frame(TEXT | 0x10, ping), protocol),
        ("reserved opcode 3", frame(FIN | 0x3, ping), protocol),
        ("reserved control opcode 11", frame(FIN | 0xb, ping), protocol),
        ("length with the highest bit", [&[TEXT, 0xff, 0x80][..], &[0; 11]].concat(), protocol),
        ("continuation of nothing", frame(FIN, ping), protocol),
        ("a message within a message", [frame(0x01, b"{"), frame(TEXT, ping)].concat(), protocol),
        ("oversized ping", frame(PING, &[0; 126]), protocol),
        ("fragmented ping", frame(0x09, b"p"), protocol),
        ("close of one byte", frame(CLOSE, b"x"), protocol),
        ("close with 1005", frame(CLOSE, &1005_u16.to_be_bytes()), protocol),
        ("close with 999", frame(CLOSE, &999_u16.to_be_bytes()), protocol),
        ("close with 2000", frame(CLOSE, &2000_u16.to_be_bytes()), protocol),
        ("text that is not UTF-8", frame(TEXT, b"{\"id\":1,\"ping\":{\"\xff\":1}}"), not_utf8),
        ("text cut within a character", frame(TEXT, b"\xf0\x9f\x92"), not_utf8),
        ("a surrogate in UTF-8", frame(TEXT, b"\xed\xa0\x80"), not_utf8),
        ("fragments that are not UTF-8", [frame(0x01, b"\xc3"), frame(FIN, b"(")].concat(), not_utf8),
        ("a binary frame on JSON", frame(BINARY, ping), CloseCode::Malformed.number()),
    ];
    for (name, bytes, code) in cases {
        let mut raw = scene.raw().await;
        raw.bytes(&bytes).await;
        assert_eq!(raw.closed().await, code, "{name}");
    }
    // A character cut by a fragment is whole again behind it; pings may come between.
    let mut raw = scene.raw().await;
    raw.frame(0x01, b"{\"id\":7,\"ping\":{},\"\xc3").await;
    raw.frame(PING, b"between").await;
    raw.frame(FIN, b"\xa9\":1}").await;
    assert_eq!(raw.json().await["re"], json!(7));

    // Offered compression is not taken, and all works without.
    let token = format!("Authorization: Bearer {}", scene.world.token(&scene.user));
    let offer =
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-webkit-deflate-frame";
    let mut raw = Raw::open(&scene.world, &[&token, offer]).await;
    assert!(raw.head.starts_with("HTTP/1.1 101 "), "{}", raw.head);
    assert!(!raw.head.to_ascii_lowercase().contains("sec-websocket-extensions"), "{}", raw.head);
    assert!(raw.json().await["ready"].is_object());
    assert_eq!(raw.alive().await, Vec::<String>::new());
    scene.assert_unharmed().await;
}

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
