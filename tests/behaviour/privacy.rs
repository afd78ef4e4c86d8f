//! P5: who was removed, and whose tokens were revoked.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use proto::v1::{ServerFrame, server_frame::Body};
use proto::{CloseCode, Encoding};
use reqwest::Method;
use serde_json::json;
use testkit::client::{Client, ConnectError, ConnectOptions};
use testkit::cluster::SECRET;
use testkit::eventually;
use testkit::rest::Rest;
use testkit::token::{self, TokenOptions, mint};

use super::hear::{code, deliveries, history, member, out, send_many, settled, up_to};
use super::world::{Deployment, LONG, World};

/// Sends without a pause until refused; the seqs that were answered.
async fn flood(client: &Client, room: &str) -> Vec<u64> {
    let sends = stream::iter(0u64..).map(|_| client.send(room, "flood"));
    let mut answers = pin!(sends.buffered(8));
    let mut answered = Vec::new();
    let mut refused = 0;
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(sent) => {
                assert_eq!(refused, 0, "stored after a refusal: {sent:?}");
                answered.push(sent.seq);
            }
            Err(error) => {
                assert_eq!(error.code, "not_member");
                refused += 1;
                if refused == 8 {
                    break;
                }
            }
        }
    }
    answered
}

fn signal(frame: &ServerFrame) -> bool {
    matches!(frame.body, Some(Body::Signal(_)))
}

/// A connection to every gateway that hears the room.
async fn everywhere(world: &World, user: &str, room: &str) -> Vec<Client> {
    join_all((0..world.gateways().max(2)).map(|gateway| world.member(gateway, user, room))).await
}

pub async fn p5_a_removed_member_writes_nothing_more_and_hears_nothing_more(deployment: Deployment) {
    let world = deployment.shared().await;
    let [ana, ben, eva] = world.names(["ana", "ben", "eva"]);
    let room = world.group(&ana, &[&ben, &eva]).await;
    let (devices, witnesses) = tokio::join!(everywhere(&world, &ben, &room), everywhere(&world, &eva, &room));
    let author = world.client(0, &ana).await;

    // Removed while writing on every gateway.
    let floods = join_all(devices.iter().map(|device| flood(device, &room)));
    let removal = async {
        up_to(&witnesses[0], &room, 50).await;
        let path = format!("/v1/rooms/{room}/members/{ben}");
        world.rest(1, &ana).delete(&path).await.expect("an answer").ok().expect("removed");
        for device in &devices {
            assert_eq!(code(&device.send(&room, "late").await), "not_member", "the commit is over");
        }
    };
    let (answered, ()) = tokio::join!(floods, removal);
    let (removed, row) = member(&witnesses[0], &room, &ben).await;
    assert!(!row.active);
    let latest = answered.iter().flatten().max().expect("some were answered in time");
    assert!(*latest < removed, "{latest} was stored after the removal, {removed}");
    let stored = history(&author, &room).await;
    let last = stored.iter().rfind(|message| message.sender == ben).expect("ben has written");
    assert!(last.seq < removed, "{last:?} is behind the removal, {removed}");

    // The others go on, ben is told that he is out, and no more.
    let after = send_many(&author, &room, (0..20).map(|number| format!("private {number}"))).await;
    author.join(&room).await.expect("a join");
    author.signal(&room, "private", "1").await.expect("a signal");
    for witness in &witnesses {
        up_to(witness, &room, after.last().expect("twenty").seq).await;
        witness.expect_event("the signal", |frame| signal(frame).then_some(())).await.expect("a signal");
    }
    for device in &devices {
        out(device, &room).await;
        settled(device).await;
        let late: Vec<_> =
            deliveries(device, &room).into_iter().filter(|frame| frame.seq > removed).collect();
        assert!(late.len() <= 1, "more than one delivery after the removal: {late:?}");
        assert!(!device.transcript().events().any(signal), "what is not stored is private, too");
    }

    refused_everything(&world, &devices[1], &ben, &ana, &room, &last.id).await;

    // Whoever is invited again is a member again.
    let path = format!("/v1/rooms/{room}/members");
    let invited = world.rest(0, &ana).post(&path, json!({ "users": [ben] })).await.expect("an answer");
    invited.ok().expect("invited");
    devices[0].join(&room).await.expect("a join");
    let sent = devices[1].send(&room, "back").await.expect("a send");
    up_to(&devices[0], &room, sent.seq).await;
}

/// What a former member asks for, in all ways.
async fn refused_everything(
    world: &World,
    client: &Client,
    user: &str,
    owner: &str,
    room: &str,
    message: &str,
) {
    let since = client.cursor(room);
    assert!(!since.is_empty());
    assert_eq!(code(&client.join(room).await), "not_member");
    assert_eq!(code(&client.join_since(room, &since).await), "not_member");
    assert_eq!(code(&client.history(room, 0, 10).await), "not_member");
    assert_eq!(code(&client.history(room, 3, 10).await), "not_member");
    assert_eq!(code(&client.send(room, "hi").await), "not_member");
    assert_eq!(code(&client.read(room, 0).await), "not_member");
    assert_eq!(code(&client.presence(room, &[]).await), "not_member");
    assert_eq!(code(&client.typing(room, false).await), "not_joined");
    assert_eq!(code(&client.signal(room, "wave", "1").await), "not_joined");
    assert_eq!(code(&client.edit(room, message, "new").await), "not_found");
    assert_eq!(code(&client.edit("", message, "new").await), "not_found");
    assert_eq!(code(&client.delete(room, message).await), "not_found");
    let presence = client.presence("", &[owner]).await.expect("an answer");
    assert_eq!(presence.users[0].status, "unknown");
    let snapshot = client.snapshot().await.expect("a snapshot");
    assert!(snapshot.rooms.is_empty(), "{snapshot:?}");

    let rest = world.rest(2, user);
    let room = format!("/v1/rooms/{room}");
    for (path, status) in [
        (room.clone(), 403),
        (format!("{room}/members"), 403),
        (format!("{room}/messages"), 403),
        (format!("{room}/messages?before=3&limit=1"), 403),
        (format!("{room}/search?q=private"), 403),
        (format!("/v1/messages/{message}"), 404),
        (format!("/v1/presence?room={}", &room["/v1/rooms/".len()..]), 403),
    ] {
        let answer = rest.get(&path).await.expect("an answer");
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
    }
    let rooms = rest.get("/v1/rooms").await.expect("an answer").ok().expect("a list");
    assert_eq!(rooms["rooms"], json!([]));
}

pub async fn p5_a_revoked_token_closes_its_connections_everywhere_and_is_refused(deployment: Deployment) {
    let world = deployment.shared().await;
    let [ana, ben] = world.names(["ana", "ben"]);
    let room = world.group(&ana, &[&ben]).await;
    let issued_at = token::now() - 60;
    let old = mint(SECRET, &ben, &ben, &TokenOptions { issued_at: Some(issued_at), ..Default::default() });
    let undated = {
        let claims = serde_json::Map::from_iter([("iat".to_owned(), serde_json::Value::Null)]);
        mint(SECRET, &ben, &ben, &TokenOptions { claims, ..Default::default() })
    };
    let open = async |gateway: usize, token: &str, encoding: Encoding| {
        Client::connect_with(world.url(gateway), token, ConnectOptions::new(encoding)).await
    };
    let mut connections = Vec::new();
    for gateway in 0..world.gateways().max(2) {
        for encoding in Encoding::ALL {
            let client = open(gateway, &old, encoding).await.expect("a connection");
            client.join(&room).await.expect("a join");
            connections.push(client);
        }
    }
    let other = world.member(0, &ana, &room).await;

    let path = format!("/v1/users/{ben}/disconnect");
    for user in [&ana, &ben] {
        let answer = world.rest(0, user).post(&path, json!({})).await.expect("an answer");
        assert_eq!((answer.status, answer.code()), (403, "forbidden"), "users do not revoke");
    }
    world.service().post(&path, json!({})).await.expect("an answer").ok().expect("revoked");
    for client in &connections {
        let end = client.closed().await;
        assert_eq!(end.close_code(), Some(CloseCode::Revoked), "{end:?}");
        assert!(!end.resumes());
    }

    for gateway in 0..world.gateways() {
        match open(gateway, &old, Encoding::Json).await.err().expect("a refusal") {
            ConnectError::Refused(error) => assert_eq!(error.code, "token_refused"),
            ConnectError::Closed(end) => assert_eq!(end.close_code(), Some(CloseCode::Revoked)),
            other => panic!("{other}"),
        }
        let answer = Rest::new(world.url(gateway), &old).get("/v1/rooms").await.expect("an answer");
        assert_eq!((answer.status, answer.code()), (401, "token_refused"));
    }
    // A token that does not say when it was issued may be as old.
    assert!(open(0, &undated, Encoding::Json).await.is_err());

    // The user is not gone: a token of later works, and others notice nothing.
    let back = eventually("a newer token to be taken", LONG, async || {
        let client = open(1, &world.token(&ben), Encoding::Json).await.ok()?;
        client.join(&room).await.ok()?;
        Some(client)
    })
    .await;
    let sent = other.send(&room, "still here").await.expect("a send");
    up_to(&back, &room, sent.seq).await;
    assert_eq!(other.end(), None);
}

pub async fn p5_a_token_is_renewed_in_place_and_ends_with_its_time(deployment: Deployment) {
    let world = deployment.shared().await;
    let [ana, ben] = world.names(["ana", "ben"]);
    let room = world.group(&ana, &[]).await;
    let short = TokenOptions { lifetime: Some(Duration::from_secs(4)), ..Default::default() };
    let token = |user: &str, options: &TokenOptions| mint(SECRET, user, user, options);
    let open = async || {
        let options = ConnectOptions { bearer: true, ..ConnectOptions::new(Encoding::Json) };
        Client::connect_with(world.url(0), &token(&ana, &short), options).await.expect("a connection")
    };
    let (renewed, expiring) = tokio::join!(open(), open());
    renewed.join(&room).await.expect("a join");
    // A refused renewal leaves the old token in force; so does one of another user.
    for refused in ["nonsense".to_owned(), token(&ben, &TokenOptions::default())] {
        assert_eq!(code(&renewed.renew(&refused).await), "token_refused");
    }
    let ready = renewed.renew(&token(&ana, &TokenOptions::default())).await.expect("a renewal");
    assert!(ready.expires_at > renewed.ready().expires_at, "{ready:?}");

    let end = expiring.closed().await;
    assert_eq!(end.close_code(), Some(CloseCode::TokenExpired), "{end:?}");
    let sent = renewed.send(&room, "goes on").await.expect("a send");
    up_to(&renewed, &room, sent.seq).await;
    let answer = Rest::new(world.url(0), token(&ana, &TokenOptions { lifetime: None, ..short }))
        .call(Method::GET, "/v1/rooms", None)
        .await
        .expect("an answer");
    assert_eq!(answer.status, 200, "a token without an end");
}
