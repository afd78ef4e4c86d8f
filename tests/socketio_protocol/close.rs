//! How sessions end, and what their clients make of it: the library comes back
//! by itself unless it was told DISCONNECT.

use serde_json::json;

use super::wire::{Heard, Line, Server, connect, standalone};

#[tokio::test]
async fn a_client_may_say_goodbye() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let sid = server.open().await;
    let (polled, posted) = tokio::join!(server.poll(&sid), async {
        // Behind the poll, most of the time; either way it is answered.
        server.post(&sid, "1").await
    });
    assert_eq!(posted.body, "ok");
    assert!(polled.body == "6" || polled.is(400, 1), "{polled:?}");
    assert!(server.poll(&sid).await.is(400, 1));
    let mut line = Line::open(&server).await;
    line.say("1").await;
    assert_eq!(line.is_closed().await, Some(1000));
    let mut line = Line::open(&server).await;
    line.say(&connect(&system, "ana")).await;
    line.next("40{").await;
    line.say("41").await;
    assert_eq!(line.is_closed().await, Some(1000));
}

#[tokio::test]
async fn f17_a_websocket_that_does_not_answer_pings_is_closed() {
    let system =
        standalone(&[("CARILLON_ENGINE_PING_INTERVAL", "1s"), ("CARILLON_ENGINE_PING_TIMEOUT", "1s")]).await;
    let server = Server::of(&system, 0);
    let mut line = Line::open(&server).await;
    line.say(&connect(&system, "ana")).await;
    line.next("40{").await;
    for _ in 0..2 {
        line.next("2").await;
        line.say("3").await;
    }
    // From here on it says nothing.
    assert_eq!(line.is_closed().await, Some(4502));
}

#[tokio::test]
async fn s7_who_is_revoked_is_told_to_stay_away() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let mut line = Line::open(&server).await;
    line.say(&connect(&system, "ana")).await;
    line.next("40{").await;
    let sid = server.open().await;
    server.post(&sid, connect(&system, "ana")).await;
    assert!(server.poll(&sid).await.body.starts_with("40{"));
    let (polled, _) = tokio::join!(server.poll(&sid), async {
        system
            .service(0)
            .post("/v1/users/ana/disconnect", json!({}))
            .await
            .expect("an answer")
            .ok()
            .expect("done")
    });
    let mut said = polled.body;
    while !said.ends_with("41\x1e1") {
        said += &server.poll(&sid).await.body;
        assert!(said.len() < 10_000, "{said}");
    }
    assert!(server.poll(&sid).await.is(400, 1));
    line.next("41").await;
    assert_eq!(line.hear().await, Heard::Close(4404));
}

#[tokio::test]
async fn p8_a_gateway_that_stops_lets_its_clients_come_back() {
    let system = standalone(&[("CARILLON_DRAIN_SPREAD", "0s")]).await;
    let server = Server::of(&system, 0);
    let mut line = Line::open(&server).await;
    line.say(&connect(&system, "ana")).await;
    line.next("40{").await;
    let sid = server.open().await;
    server.post(&sid, connect(&system, "ben")).await;
    assert!(server.poll(&sid).await.body.starts_with("40{"));
    let parked = tokio::spawn({
        let (server, sid) = (server.clone(), sid.clone());
        async move {
            loop {
                let body = server.poll(&sid).await.body;
                if body.ends_with('1') {
                    return body;
                }
            }
        }
    });
    // Known to be there before the gateway stops.
    assert_eq!(server.post(&sid, "2there").await.body, "ok");
    let stranger = Line::open(&server).await;
    let (stopped, _) = tokio::join!(system.gateway(0).stop(), async {
        loop {
            match line.hear().await {
                Heard::Text(text) => assert_ne!(text, "41", "the library would not come back"),
                closed => return assert_eq!(closed, Heard::Close(4504)),
            }
        }
    });
    assert!(stopped.expect("it stops").success());
    let last = parked.await.expect("the last poll");
    assert!(!last.contains("41"), "{last}");
    drop(stranger);
}
