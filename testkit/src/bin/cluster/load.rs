//! Some of everything that clients do, so that every metric of a healthy
//! cluster has something to count.

use std::time::Duration;

use anyhow::{Context, ensure};
use proto::v1;
use serde_json::json;
use testkit::client::Client;
use testkit::cluster::System;
use testkit::crowd::{Crowd, CrowdOptions};

/// Light enough for a debug build on two cores.
const USERS: usize = 60;
const ROOM: usize = 6;
const PACE: Duration = Duration::from_millis(150);

/// People who talk, all the time.
pub async fn crowd(system: &System) -> anyhow::Result<Crowd> {
    let options = CrowdOptions { users: USERS, room_size: ROOM, pace: PACE };
    Crowd::start(system, options).await
}

fn took<T>(what: &str, answer: Result<T, v1::Error>) -> anyhow::Result<T> {
    answer.map_err(|error| anyhow::anyhow!("{what}: {}: {}", error.code, error.message))
}

/// Each request once, over both interfaces, and some that must be refused.
pub async fn everything_once(system: &System) -> anyhow::Result<()> {
    let (ana, ben) = (system.client(0, "ana").await?, system.client(1, "ben").await?);
    let rest = system.rest(0, "ana");
    let room = rest.create_group("Ringers", &["ben"]).await?;
    took("join", ana.join(&room).await)?;
    took("join", ben.join(&room).await)?;
    let sent = took("send", ana.send(&room, "hi").await)?;
    took("edit", ana.edit(&room, &sent.message, "hello").await)?;
    took("read", ben.read(&room, 0).await)?;
    took("typing", ana.typing(&room, false).await)?;
    took("signal", ana.signal(&room, "wave", "1").await)?;
    took("presence", ana.presence(&room, &[]).await)?;
    took("history", ana.history(&room, 0, 10).await)?;
    took("snapshot", ana.snapshot().await)?;
    took("delete", ana.delete(&room, &sent.message).await)?;
    refused(&ben, &room, &sent.message).await?;

    let direct = rest.create_direct("cleo").await?;
    for path in [
        "/v1/rooms".to_owned(),
        format!("/v1/rooms/{direct}"),
        format!("/v1/rooms/{room}/members"),
        format!("/v1/rooms/{room}/search?q=hello"),
        format!("/v1/messages/{}", sent.message),
        "/v1/notifications".to_owned(),
    ] {
        rest.get(&path).await?.ok().context(path)?;
    }
    let notice = json!({ "user": "ben", "type": "LIKE", "data": {} });
    system.service(0).post("/v1/notifications", notice).await?.ok()?;
    took("readNotification", ben.read_notification("").await)?;
    rest.patch(&format!("/v1/rooms/{room}"), json!({ "name": "Bells" })).await?.ok()?;
    rest.delete(&format!("/v1/rooms/{room}/members/ben")).await?.ok()?;
    // A cursor of nobody: the answer is a reset.
    let joined = took("join", ana.join_since(&room, &proto::Cursor { seq: 1, check: 1 }.to_string()).await)?;
    ensure!(joined.reset, "a cursor of nobody is taken");
    let no_websocket = rest.get("/v1/ws").await?;
    ensure!(no_websocket.status == 400, "no handshake, and status {}", no_websocket.status);
    system.service(0).post("/v1/users/cleo/disconnect", json!({})).await?.ok()?;
    ana.close().await;
    Ok(())
}

/// What is refused for good is counted apart.
async fn refused(client: &Client, room: &str, message: &str) -> anyhow::Result<()> {
    ensure!(client.edit(room, message, "mine").await.is_err(), "an edit of somebody else's message");
    ensure!(client.send("nowhere", "hi").await.is_err(), "a send to no room");
    ensure!(client.history("nowhere", 0, 1).await.is_err(), "the history of no room");
    Ok(())
}
