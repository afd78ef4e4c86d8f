//! From polls to a WebSocket.

use super::wire::{BINARY, Heard, Line, Polling, Server, argument, connect, message, standalone};

/// Probes, and ends the poll that may be parked.
async fn probe(line: &mut Line) {
    line.say("2probe").await;
    assert_eq!(line.text().await, "3probe");
}

#[tokio::test]
async fn a_session_moves_to_a_websocket_and_loses_nothing() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let room = system.rest(0, "ana").create_group("Ringers", &["ben"]).await.expect("a room");
    let mut ben = Line::open(&server).await;
    ben.say(&connect(&system, "ben")).await;
    ben.next("40{").await;
    let mut ana = Polling::open(vec![server.clone()]).await;
    ana.say(&connect(&system, "ana")).await;
    ana.next("40{").await;
    let sid = ana.sid.clone();
    let parked = tokio::spawn({
        let (server, sid) = (server.clone(), sid.clone());
        async move { server.poll(&sid).await }
    });
    let mut line = Line::upgrade(&server, &sid).await;
    probe(&mut line).await;
    assert_eq!(parked.await.expect("a poll").body, "6", "the poll ends, so that the client can move");
    // What comes between the last poll and the move goes over the WebSocket.
    ben.say(&message(1, &room, "between")).await;
    ben.next("431").await;
    line.say("5").await;
    let heard = argument(&line.next(r#"42["message_received""#).await);
    assert_eq!(heard["content"], "between");
    line.say(&message(2, &room, "after")).await;
    assert_eq!(argument(&line.next("432").await)["ok"], true);
    // Own messages come too, before or behind their acknowledgement.
    while argument(&ben.next(r#"42["message_received""#).await)["content"] != "after" {}
    for _ in 0..2 {
        assert!(server.poll(&sid).await.is(400, 1), "it polls no more");
        assert!(server.post(&sid, "3").await.is(400, 1));
        let second = Line::connect(&server, &format!("&sid={sid}")).await.err();
        assert_eq!(second.map(|(status, _)| status), Some(400), "there is one WebSocket");
    }
}

#[tokio::test]
async fn a_client_that_polls_again_while_it_probes_is_let_go() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let sid = server.open().await;
    let mut line = Line::upgrade(&server, &sid).await;
    probe(&mut line).await;
    for _ in 0..3 {
        assert_eq!(server.poll(&sid).await.body, "6");
    }
    line.say("5").await;
    line.say("2again").await;
    assert_eq!(line.text().await, "3again");
}

#[tokio::test]
async fn an_upgrade_at_once_is_one() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let sid = server.open().await;
    let mut line = Line::upgrade(&server, &sid).await;
    line.say("2probe").await;
    line.say("5").await;
    line.say(&connect(&system, "ana")).await;
    assert_eq!(line.text().await, "3probe");
    assert!(line.text().await.starts_with("40{"));
}

#[tokio::test]
async fn s18_an_upgrade_that_is_none_leaves_the_polls_alone() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let sid = server.open().await;
    for nonsense in ["5", "40{}", "2", "2prob", "abc", "3probe"] {
        let mut line = Line::upgrade(&server, &sid).await;
        line.say(nonsense).await;
        assert_eq!(line.hear().await, Heard::End, "{nonsense}");
    }
    let mut line = Line::upgrade(&server, &sid).await;
    line.frame(BINARY, b"2probe").await;
    assert_eq!(line.hear().await, Heard::End);
    let mut line = Line::upgrade(&server, &sid).await;
    probe(&mut line).await;
    line.say("2probe").await;
    assert_eq!(line.hear().await, Heard::End, "one probe is enough");
    drop(Line::upgrade(&server, &sid).await);
    // One at a time: the second is not taken.
    let mut first = Line::upgrade(&server, &sid).await;
    probe(&mut first).await;
    let mut second = Line::upgrade(&server, &sid).await;
    assert_eq!(second.hear().await, Heard::End);
    drop(first);
    server.post(&sid, "2still").await;
    let mut polled = server.poll(&sid).await.body;
    if polled == "6" {
        polled = server.poll(&sid).await.body;
    }
    assert_eq!(polled, "3still");
}

#[tokio::test]
async fn s18_an_upgrade_that_is_not_finished_is_given_up() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let sid = server.open().await;
    server.post(&sid, connect(&system, "ana")).await;
    assert!(server.poll(&sid).await.body.starts_with("40{"));
    let mut line = Line::upgrade(&server, &sid).await;
    probe(&mut line).await;
    assert_eq!(line.hear().await, Heard::End);
    server.post(&sid, "2still").await;
    let polled = server.poll(&sid).await.body;
    assert!(polled == "3still" || polled == "6", "{polled}");
}
