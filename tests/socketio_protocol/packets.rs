//! Socket.IO's packets, on both transports.

use super::wire::{BINARY, Heard, Line, Server, argument, connect, standalone};

#[tokio::test]
async fn s18_what_is_no_packet_of_socket_io_ends_the_session() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let refused = [
        "4",
        "47",
        "49[\"x\"]",
        "4abc",
        "44{}",
        "45[\"x\"]",
        "455999999999-[\"x\",{\"_placeholder\":true,\"num\":0}]",
        "459-[\"x\"]",
        "450-[\"x\"]",
        "4218446744073709551616[\"x\"]",
        "42/admin,[\"x\"]",
        "42{}",
        "42[]",
        "42[1]",
        "42[\"x\"",
    ];
    for packet in refused {
        let mut line = Line::open(&server).await;
        line.say(&connect(&system, "ana")).await;
        line.next("40{").await;
        line.say(packet).await;
        assert_eq!(line.is_closed().await, Some(4400), "{packet}");

        let sid = server.open().await;
        server.post(&sid, connect(&system, "ana")).await;
        server.post(&sid, packet).await;
        server.is_over(&sid).await;
    }
}

#[tokio::test]
async fn s18_attachments_come_as_announced_or_the_session_ends() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let connected = async || {
        let mut line = Line::open(&server).await;
        line.say(&connect(&system, "ana")).await;
        line.next("40{").await;
        line
    };
    let event = "451-[\"x\",{\"_placeholder\":true,\"num\":0}]";
    let mut surplus = connected().await;
    surplus.frame(BINARY, &[1, 2, 3]).await;
    assert_eq!(surplus.is_closed().await, Some(4400));
    let mut missing = connected().await;
    missing.say(event).await;
    missing.say("42[\"x\"]").await;
    assert_eq!(missing.is_closed().await, Some(4400));
    let mut unused = connected().await;
    unused.say("451-[\"x\"]").await;
    unused.frame(BINARY, &[1]).await;
    assert_eq!(unused.is_closed().await, Some(4400));
    let mut large = connected().await;
    large.say("452-[\"x\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]").await;
    large.frame(BINARY, &[0; 40_000]).await;
    large.frame(BINARY, &[0; 40_000]).await;
    assert_eq!(large.is_closed().await, Some(4400));
}

#[tokio::test]
async fn attachments_arrive_as_text() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let room = system.rest(0, "ana").create_group("Ringers", &["ben"]).await.expect("a room");
    let event = format!(
        "451-7[\"send_message\",{{\"chatId\":\"{room}\",\"content\":{{\"_placeholder\":true,\"num\":0}}}}]"
    );
    let mut ben = Line::open(&server).await;
    ben.say(&connect(&system, "ben")).await;
    ben.next("40{").await;
    let mut ana = Line::open(&server).await;
    ana.say(&connect(&system, "ana")).await;
    ana.say(&event).await;
    ana.frame(BINARY, b"Carillon").await;
    assert_eq!(argument(&ana.next("437").await)["ok"], true);
    assert_eq!(argument(&ben.next("42[\"message_received\"").await)["content"], "Q2FyaWxsb24=");
    let sid = server.open().await;
    let packets = [connect(&system, "ana"), event, "bQ2FyaWxsb24=".to_owned()].join("\x1e");
    assert_eq!(server.post(&sid, packets).await.body, "ok");
    assert_eq!(argument(&ben.next("42[\"message_received\"").await)["content"], "Q2FyaWxsb24=");
}

#[tokio::test]
async fn there_is_one_namespace() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let mut line = Line::open(&server).await;
    line.say("40/admin,{}").await;
    let refused = line.text().await;
    assert!(refused.starts_with("44/admin,") && refused.contains("Invalid namespace"), "{refused}");
    line.say(&connect(&system, "ana")).await;
    assert!(line.text().await.starts_with("40{"), "the session has not suffered");
}

#[tokio::test]
async fn websockets_keep_to_engine_io_too() {
    let system = standalone(&[]).await;
    let server = Server::of(&system, 0);
    let mut line = Line::open(&server).await;
    line.say("2").await;
    assert_eq!(line.hear().await, Heard::Text("3".to_owned()));
    for nonsense in ["", "abc", "0{}", "5", "é"] {
        let mut line = Line::open(&server).await;
        line.say(nonsense).await;
        assert_eq!(line.is_closed().await, Some(4400), "{nonsense}");
    }
}
