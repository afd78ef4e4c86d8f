//! Who may begin a session, and how it is told no.

use reqwest::Method;
use serde_json::json;

use super::wire::{Heard, Line, Server, opened, send, standalone};

#[tokio::test]
async fn a_handshake_says_what_the_session_is_like() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    for path in ["", "&t=abc&b64=0"] {
        let reply = send(server.request(Method::GET, path)).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), "text/plain; charset=UTF-8");
        assert_eq!(reply.header("cache-control"), "no-store");
        let mut open = opened(&reply.body);
        assert!(open["sid"].as_str().is_some_and(|sid| sid.len() >= 32), "{open}");
        open["sid"] = json!("some");
        assert_eq!(
            open,
            json!({
                "sid": "some", "upgrades": ["websocket"], "pingInterval": 25_000, "pingTimeout": 20_000,
                "maxPayload": 65_536,
            })
        );
    }
    let mut line = Line::connect(&server, "").await.expect("a WebSocket");
    let open = opened(&line.text().await);
    assert_eq!((&open["upgrades"], &open["maxPayload"]), (&json!([]), &json!(65_536)));
    assert_ne!(server.open().await, server.open().await);
}

#[tokio::test]
async fn s18_what_is_no_handshake_gets_the_protocols_own_refusal() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let sid = server.open().await;
    let (node, _) = sid.split_once('.').expect("an id with a node");
    let guessed = format!("EIO=4&transport=polling&sid={node}.{}", "0".repeat(32));
    for (method, query, status, code) in [
        (Method::GET, "transport=polling", 400, 5),
        (Method::GET, "EIO=3&transport=polling", 400, 5),
        (Method::GET, "EIO=abc&transport=polling", 400, 5),
        (Method::GET, "EIO=4", 400, 0),
        (Method::GET, "EIO=4&transport=abc", 400, 0),
        (Method::GET, "EIO=4&transport=constructor", 400, 0),
        (Method::POST, "EIO=4&transport=polling", 400, 2),
        (Method::PUT, "EIO=4&transport=polling", 400, 2),
        (Method::PUT, &format!("EIO=4&transport=polling&sid={sid}"), 400, 3),
        (Method::GET, "EIO=4&transport=websocket", 400, 3),
        (Method::GET, "EIO=4&transport=polling&EIO=4", 400, 3),
        (Method::GET, "EIO=4&transport=polling&sid=", 400, 1),
        (Method::GET, "EIO=4&transport=polling&sid=guessed", 400, 1),
        (Method::GET, "EIO=4&transport=polling&sid=../../etc/passwd%00", 400, 1),
        (Method::GET, &guessed, 400, 1),
        (Method::POST, &guessed, 400, 1),
    ] {
        let reply = send(server.bare(method.clone(), query)).await;
        assert!(reply.is(status, code), "{method} {query}: {reply:?}");
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    for more in ["&sid=guessed", "&EIO=3"] {
        let refused = Line::connect(&server, more).await.err().expect("no WebSocket");
        assert_eq!(refused.0, 400, "{refused:?}");
    }
    // The session that was there is still.
    assert_eq!(server.post(&sid, "40{}").await.body, "ok");
}

#[tokio::test]
async fn s1_only_pages_of_allowed_origins_get_in_and_may_read() {
    let system = standalone(&[("CARILLON_ALLOWED_ORIGINS", "https://chat.example")]).await;
    let server = Server::of(&system, 0);
    let from =
        |origin: &str, query: &str| send(server.bare(Method::GET, query).header("origin", origin.to_owned()));
    let handshake = "EIO=4&transport=polling";
    for origin in ["https://evil.example", "null", "https://chat.example.evil.example", "http://chat.example"]
    {
        let reply = from(origin, handshake).await;
        assert!(reply.is(403, 4), "{origin}: {reply:?}");
        assert_eq!(reply.header("access-control-allow-origin"), "");
        let refused = Line::connect_with(&server, "", &[&format!("Origin: {origin}")]).await.err();
        assert_eq!(refused.map(|(status, _)| status), Some(403), "{origin}");
    }
    // Errors too: else the page would see none of them.
    for (query, status) in [(handshake, 200), ("EIO=3", 400), ("EIO=4&transport=polling&sid=x", 400)] {
        let reply = from("https://chat.example", query).await;
        assert_eq!(reply.status.as_u16(), status);
        assert_eq!(reply.header("access-control-allow-origin"), "https://chat.example");
        assert_eq!(reply.header("access-control-allow-credentials"), "true");
    }
    assert!(Line::connect_with(&server, "", &["Origin: https://chat.example"]).await.is_ok());
    let preflight = server
        .bare(Method::OPTIONS, handshake)
        .header("origin", "https://chat.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type");
    let reply = send(preflight).await;
    assert_eq!(reply.status.as_u16(), 200);
    assert!(reply.header("access-control-allow-methods").contains("POST"), "{reply:?}");
    assert!(reply.header("access-control-allow-headers").contains("authorization"), "{reply:?}");
}

#[tokio::test]
async fn s2_a_token_in_the_query_is_refused() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let query = format!("EIO=4&transport=polling&token={}", system.token("ana"));
    assert_eq!(server.get(&query).await.status, 401);
    let refused = Line::connect(&server, &format!("&token={}", system.token("ana"))).await.err();
    assert_eq!(refused.map(|(status, _)| status), Some(401));
}

#[tokio::test]
async fn s18_a_session_is_bound_to_the_token_that_it_began_with() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let (ana, eve) = (system.token("ana"), system.token("eve"));
    let as_user = |method, more: &str, token: &str| server.request(method, more).bearer_auth(token);
    let open = send(as_user(Method::GET, "", &ana)).await;
    let sid = opened(&open.body)["sid"].as_str().expect("an id").to_owned();
    let more = format!("&sid={sid}");
    assert!(send(as_user(Method::GET, &more, &eve)).await.is(403, 4));
    assert!(send(as_user(Method::POST, &more, &eve).body("41")).await.is(403, 4));
    let header = format!("Authorization: Bearer {eve}");
    let refused = Line::connect_with(&server, &more, &[&header]).await.err();
    assert_eq!(refused.map(|(status, _)| status), Some(403));
    let connected = send(as_user(Method::POST, &more, &ana).body("40")).await;
    assert_eq!(connected.body, "ok");
    let polled = send(as_user(Method::GET, &more, &ana)).await;
    assert!(polled.body.starts_with("40{"), "the header's token is enough: {polled:?}");
}

#[tokio::test]
async fn a_bad_token_in_the_header_is_a_refused_connect() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let open = send(server.request(Method::GET, "").bearer_auth("nonsense")).await;
    let sid = opened(&open.body)["sid"].as_str().expect("an id").to_owned();
    server.post(&sid, "40").await;
    let refused = server.poll(&sid).await.body;
    assert!(refused.starts_with(r#"44{"#) && refused.contains("token_refused"), "{refused}");
    let mut line =
        Line::connect_with(&server, "", &["Authorization: Bearer nonsense"]).await.expect("a line");
    opened(&line.text().await);
    line.say("40").await;
    assert!(matches!(line.hear().await, Heard::Text(text) if text.starts_with("44{")));
}
