//! What goes by polls, and what does not.

use std::time::Duration;

use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::wire::{Polling, Server, argument, begin, connect, in_time, message, send, standalone};

#[tokio::test]
async fn packets_go_both_ways_and_several_at_once() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let room = system.rest(0, "ana").create_group("Ringers", &["ben"]).await.expect("a room");
    let mut ana = Polling::open(vec![server.clone()]).await;
    let mut ben = Polling::open(vec![server]).await;
    ana.say(&connect(&system, "ana")).await;
    ana.next("40{").await;
    ben.say(&connect(&system, "ben")).await;
    ben.next("40{").await;
    let several: Vec<_> = (0..20).map(|number| message(number, &room, &format!("n{number}"))).collect();
    ana.say(&several.join("\x1e")).await;
    for number in 0..20 {
        let heard = argument(&ben.next(r#"42["message_received""#).await);
        assert_eq!(heard["content"], format!("n{number}"));
    }
    let mut acked = Vec::new();
    while acked.len() < 20 {
        let ack = ana.next("43").await;
        assert_eq!(argument(&ack)["ok"], true, "{ack}");
        acked.push(ack[2..].trim_end_matches(']').split('[').next().unwrap_or_default().to_owned());
    }
    acked.sort();
    acked.dedup();
    assert_eq!(acked.len(), 20, "each once");
}

#[tokio::test]
async fn two_polls_at_once_end_the_session() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let sid = server.open().await;
    let (one, other) = tokio::join!(server.poll(&sid), server.poll(&sid));
    let (parked, second) = if one.status == 200 { (one, other) } else { (other, one) };
    assert_eq!((parked.status.as_u16(), parked.body.as_str()), (200, "1"));
    assert!(second.is(400, 3), "{second:?}");
    assert!(server.poll(&sid).await.is(400, 1));
}

#[tokio::test]
async fn packets_in_two_requests_at_once_end_the_session() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let sid = server.open().await;
    let head = format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\n\r\n40"
    );
    let mut slow = begin(&server, &head).await;
    // As soon as the slow one is known, a second one is too much.
    in_time("a refusal", async {
        while server.post(&sid, "3").await.status == 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    server.is_over(&sid).await;
    slow.write_all(b"{}x").await.expect("write");
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 400");
}

#[tokio::test]
async fn a_poll_that_is_given_up_ends_the_session() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let sid = server.open().await;
    server.post(&sid, connect(&system, "ana")).await;
    assert!(server.poll(&sid).await.body.starts_with("40{"));
    let head = format!("GET /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: HOST\r\n\r\n");
    in_time("the end of the session", async {
        // One that goes so soon need not have been seen at all.
        while server.post(&sid, "6").await.status == 200 {
            drop(begin(&server, &head).await);
        }
    })
    .await;
    assert!(server.poll(&sid).await.is(400, 1));
}

#[tokio::test]
async fn what_is_no_packet_ends_the_session() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let bodies: [&[u8]; 9] =
        [b"abc", b"", b"40{}\x1e", b"7", b"0{}", b"5", b"b***", b"4\xff\xfe", b"\x1e\x1e\x1e"];
    for body in bodies {
        let sid = server.open().await;
        let reply = server.post(&sid, body).await;
        assert!(reply.is(400, 3), "{body:?}: {reply:?}");
        assert!(server.poll(&sid).await.is(400, 1), "{body:?}");
    }
}

#[tokio::test]
async fn s11_s13_a_body_has_a_size_and_a_time() {
    let system = standalone(&[("CARILLON_HTTP_TIMEOUT", "1s"), ("CARILLON_MAX_FRAME_BYTES", "4096")]).await;
    let server = Server::of(&system, 0);
    let sid = server.open().await;
    assert_eq!(server.post(&sid, "4".repeat(4097)).await.status, 413);
    let chunked = reqwest::Body::from(vec![b'4'; 100_000]);
    assert_eq!(send(server.request(Method::POST, &format!("&sid={sid}")).body(chunked)).await.status, 413);
    let head = format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\n\r\n40"
    );
    let mut slow = begin(&server, &head).await;
    let mut answer = [0; 12];
    in_time("an answer", slow.read_exact(&mut answer)).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert_eq!(server.post(&sid, "40{}").await.body, "ok", "the session has not suffered");
}

#[tokio::test]
async fn pings_come_and_are_answered() {
    let system = standalone(&[("CARILLON_ENGINE_PING_INTERVAL", "1s")]).await;
    let server = Server::of(&system, 0);
    let sid = server.open().await;
    server.post(&sid, connect(&system, "ana")).await;
    assert!(server.poll(&sid).await.body.starts_with("40{"));
    for _ in 0..3 {
        // A poll is parked until the next ping at the longest.
        assert_eq!(server.poll(&sid).await.body, "2");
        assert_eq!(server.post(&sid, "3").await.body, "ok");
    }
    server.post(&sid, "2hello").await;
    assert_eq!(server.poll(&sid).await.body, "3hello");
}

#[tokio::test]
async fn f17_who_does_not_answer_pings_is_gone() {
    let system =
        standalone(&[("CARILLON_ENGINE_PING_INTERVAL", "1s"), ("CARILLON_ENGINE_PING_TIMEOUT", "1s")]).await;
    let server = Server::of(&system, 0);
    let sid = server.open().await;
    server.post(&sid, connect(&system, "ana")).await;
    // Polls alone are no sign of life.
    server.is_over(&sid).await;
}
