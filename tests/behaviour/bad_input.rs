//! What attackers send where a handshake, an id or a frame belongs: each is
//! answered as agreed, nothing is stored and nothing gets stuck.

use proto::CloseCode;
use serde_json::json;

use super::hear::{deliveries, settled, up_to};
use super::raw::{BINARY, CLOSE, FIN, PING, Raw, TEXT, frame};
use super::scene::Scene;
use super::world::Deployment;

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
