//! P6: what one client can cost.

use testkit::eventually;

use super::wire::{Line, PATIENCE, PING, Server, connect, send, standalone};

#[tokio::test]
async fn s13_handshakes_that_nobody_goes_on_with_cost_little_and_not_for_long() {
    let system = standalone(&[("CARILLON_AUTH_TIMEOUT", "1s"), ("CARILLON_MAX_CONNECTIONS", "300")]).await;
    let server = Server::of(&system, 0);
    let mut refused = 0;
    for _ in 0..320 {
        let reply = send(server.request(reqwest::Method::GET, "")).await;
        if reply.status == 503 {
            assert!(!reply.header("retry-after").is_empty(), "{reply:?}");
            refused += 1;
        }
    }
    let line = Line::connect(&server, "").await;
    assert!(refused > 0 || line.is_ok());
    drop(line);
    let node = system.gateway(0);
    eventually("all of them are gone", PATIENCE, async || {
        let open = node.metric("carillon_gateway_connections").await.unwrap_or(1.0);
        let polling = node.metric("carillon_gateway_polling_sessions").await.unwrap_or(1.0);
        (open == 0.0 && polling == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn places_are_taken_by_sessions_that_poll_as_by_any_others() {
    let system = standalone(&[("CARILLON_MAX_CONNECTIONS", "2")]).await;
    let server = Server::of(&system, 0);
    let sid = server.open().await;
    let line = Line::open(&server).await;
    let full = send(server.request(reqwest::Method::GET, "")).await;
    assert_eq!(full.status, 503);
    assert!(!full.header("retry-after").is_empty());
    assert_eq!(Line::connect(&server, "").await.err().map(|(status, _)| status), Some(503));
    server.post(&sid, "1").await;
    drop(line);
    eventually("there are places again", PATIENCE, async || {
        (send(server.request(reqwest::Method::GET, "")).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn s15_a_flood_of_packets_that_say_nothing_is_closed() {
    let system = standalone(&[("CARILLON_FRAMES_PER_SECOND", "10"), ("CARILLON_FRAME_BURST", "100")]).await;
    let server = Server::of(&system, 0);
    for packet in ["2", "3", "6"] {
        let mut line = Line::open(&server).await;
        line.say(&connect(&system, "ana")).await;
        line.next("40{").await;
        for _ in 0..300 {
            line.say(packet).await;
        }
        assert_eq!(line.is_closed().await, Some(4429), "{packet}");
        let sid = server.open().await;
        server.post(&sid, vec![packet; 300].join("\x1e")).await;
        server.is_over(&sid).await;
    }
    let mut line = Line::open(&server).await;
    for _ in 0..300 {
        line.frame(PING, b"").await;
    }
    assert_eq!(line.is_closed().await, Some(4429));
}

#[tokio::test]
async fn p6_who_does_not_fetch_costs_its_own_session() {
    let system = standalone(&[("CARILLON_MAX_OUTBOUND_BYTES", "65536")]).await;
    let server = Server::of(&system, 0);
    let room = system.rest(0, "ana").create_group("Ringers", &["ben"]).await.expect("a room");
    let sid = server.open().await;
    server.post(&sid, connect(&system, "ben")).await;
    assert!(server.poll(&sid).await.body.starts_with("40{"));
    let mut ana = Line::open(&server).await;
    ana.say(&connect(&system, "ana")).await;
    ana.next("40{").await;
    let text = "x".repeat(1000);
    for number in 0..100 {
        ana.say(&super::wire::message(number, &room, &text)).await;
        ana.next(&format!("43{number}[")).await;
    }
    // Its queue was given up, and it is told to come back.
    let last = server.poll(&sid).await;
    assert!(last.body == "1" || last.is(400, 1), "{}", &last.body[..last.body.len().min(200)]);
    assert!(server.poll(&sid).await.is(400, 1));
}
