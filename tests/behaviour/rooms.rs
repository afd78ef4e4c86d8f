//! Rooms and their rules: direct and public ones, roles, the time to edit.

use futures_util::future::join_all;
use proto::v1::{self, Role, RoomKind, server_frame::Body};
use serde_json::{Value, json};
use testkit::eventually;

use super::hear::{code, history, member, membership, message, out};
use super::world::{Deployment, LONG, World};

/// The code of what REST answers; "ok" for a success.
async fn patch(world: &World, user: &str, path: &str, body: Value) -> String {
    let answer = world.rest(1, user).patch(path, body).await.expect("an answer");
    if answer.status < 300 { "ok".to_owned() } else { answer.code().to_owned() }
}

async fn delete(world: &World, user: &str, path: &str) -> String {
    let answer = world.rest(2, user).delete(path).await.expect("an answer");
    if answer.status < 300 { "ok".to_owned() } else { answer.code().to_owned() }
}

pub async fn a_direct_room_of_two_is_one_room_whoever_asks(deployment: Deployment) {
    let world = deployment.shared().await;
    let ana = world.name("ana");
    let others: Vec<String> = (0..12).map(|number| world.name(&format!("ben{number}"))).collect();
    let rooms = join_all(others.iter().map(|ben| {
        let (hers, his) = (world.rest(0, &ana), world.rest(1, ben));
        let ana = &ana;
        async move {
            let (one, other) = tokio::join!(hers.create_direct(ben), his.create_direct(ana));
            let (one, other) = (one.expect("a room"), other.expect("a room"));
            assert_eq!(one, other, "both asked at once");
            one
        }
    }))
    .await;
    assert_eq!(world.rest(2, &others[0]).create_direct(&ana).await.expect("the same"), rooms[0]);
    let client = world.client(0, &ana).await;
    let snapshot = client.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.rooms.len(), others.len());
    for summary in &snapshot.rooms {
        let details = summary.details.as_ref().expect("details");
        assert_eq!((details.kind, details.members, summary.role), (RoomKind::Direct as i32, 2, 0));
    }

    // It stays as it is: nobody renames, deletes, leaves or adds.
    let (room, ben) = (&rooms[0], &others[0]);
    let path = format!("/v1/rooms/{room}");
    assert_eq!(patch(&world, &ana, &path, json!({ "name": "Us" })).await, "conflict");
    assert_eq!(delete(&world, &ana, &path).await, "conflict");
    assert_eq!(delete(&world, &ana, &format!("{path}/members/{ana}")).await, "conflict");
    assert_eq!(delete(&world, &ana, &format!("{path}/members/{ben}")).await, "conflict");
    let add = world.rest(0, &ana).post(&format!("{path}/members"), json!({ "users": [others[1]] })).await;
    assert_eq!(add.expect("an answer").code(), "conflict");
    let theirs = world.member(1, ben, room).await;
    client.send(room, "only us").await.expect("a send");
    message(&theirs, "only us").await;
    let alone = world.rest(0, &ana).post("/v1/rooms", json!({ "kind": "direct", "user": ana })).await;
    assert_eq!(alone.expect("an answer").code(), "invalid");
}

pub async fn p5_a_public_room_is_joined_by_joining(deployment: Deployment) {
    let world = deployment.shared().await;
    let [ana, ben, eva] = world.names(["ana", "ben", "eva"]);
    let room = world.rest(0, &ana).create_room(json!({ "kind": "public", "name": "Square" })).await;
    let room = room.expect("a room");
    let owner = world.member(0, &ana, &room).await;
    let visitor = world.client(1, &ben).await;
    // Before, it is closed like any other.
    assert_eq!(code(&visitor.send(&room, "hi").await), "not_member");
    assert_eq!(code(&visitor.history(&room, 0, 1).await), "not_member");
    let path = format!("/v1/rooms/{room}");
    assert_eq!(world.rest(1, &ben).get(&path).await.expect("an answer").status, 403);

    visitor.join(&room).await.expect("a join");
    let (_, joined) = member(&owner, &room, &ben).await;
    assert_eq!((joined.active, joined.role), (true, Role::Member as i32));
    assert!(membership(&visitor, &room).await.active);
    visitor.send(&room, "hello all").await.expect("a send");
    message(&owner, "hello all").await;
    // Joining again changes nothing.
    visitor.join(&room).await.expect("a join");

    // By REST everybody adds themselves, and nobody else.
    let add = async |user: &str, whom: &str| {
        let body = json!({ "users": [whom] });
        world.rest(2, user).post(&format!("{path}/members"), body).await.expect("an answer")
    };
    assert_eq!(add(&eva, &eva).await.status, 200);
    member(&owner, &room, &eva).await;
    assert_eq!(add(&ana, &world.name("dan")).await.code(), "forbidden");
    assert_eq!(add(&world.name("dan"), &eva).await.code(), "not_member");

    // Left is left: nothing more is heard before the next join.
    assert_eq!(delete(&world, &ben, &format!("{path}/members/{ben}")).await, "ok");
    let (_, left) = member(&owner, &room, &ben).await;
    assert!(!left.active);
    assert_eq!(code(&visitor.send(&room, "still here?").await), "not_member");
    visitor.join(&room).await.expect("a join");
    owner.send(&room, "welcome back").await.expect("a send");
    message(&visitor, "welcome back").await;
}

pub async fn p5_messages_are_changed_by_those_who_may(deployment: Deployment) {
    let world = deployment.shared().await;
    let [owner, moderator, author, reader] = world.names(["owner", "moderator", "author", "reader"]);
    let room = world.group(&owner, &[&moderator, &author, &reader]).await;
    let path = format!("/v1/rooms/{room}");
    let role = |user: &str| format!("{path}/members/{user}");
    assert_eq!(patch(&world, &owner, &role(&moderator), json!({ "role": "MODERATOR" })).await, "ok");
    let (mods, theirs, other) = (
        world.member(0, &moderator, &room).await,
        world.member(1, &author, &room).await,
        world.member(2, &reader, &room).await,
    );

    let sent = theirs.send(&room, "first words").await.expect("a send");
    for stranger in [&mods, &other] {
        assert_eq!(code(&stranger.edit(&room, &sent.message, "put in the mouth").await), "forbidden");
    }
    let edited = theirs.edit(&room, &sent.message, "better words").await.expect("an edit");
    assert!(edited.seq > sent.seq);
    // A repeat whose answer was lost is no second change.
    let again = theirs.edit(&room, &sent.message, "better words").await.expect("a repeat");
    assert_eq!(again.seq, edited.seq);
    let heard = message(&other, "better words").await;
    assert_eq!((heard.seq, heard.ordinal, heard.sender.as_str()), (sent.seq, sent.ordinal, author.as_str()));
    assert!(heard.edited_at > 0);
    assert_eq!(code(&theirs.edit(&room, &sent.message, " ").await), "invalid");

    assert_eq!(code(&other.delete(&room, &sent.message).await), "forbidden");
    let deleted = mods.delete(&room, &sent.message).await.expect("a moderator deletes");
    assert_eq!(theirs.delete(&room, &sent.message).await.expect("a repeat").seq, deleted.seq);
    assert_eq!(code(&theirs.edit(&room, &sent.message, "from the grave").await), "conflict");
    let stored = history(&other, &room).await;
    assert_eq!((stored.len(), stored[0].text.as_str(), stored[0].data.as_str()), (1, "", ""));
    assert!(stored[0].deleted_at > 0);
    let found = world.rest(1, &reader).get(&format!("{path}/search?q=words")).await.expect("an answer");
    assert_eq!(found.ok().expect("found")["messages"], json!([]), "what is deleted is not found");

    // Ranks: who may name, remove and raise whom.
    assert_eq!(patch(&world, &moderator, &path, json!({ "name": "Mine" })).await, "forbidden");
    assert_eq!(patch(&world, &moderator, &role(&reader), json!({ "role": "ADMIN" })).await, "forbidden");
    assert_eq!(patch(&world, &author, &role(&author), json!({ "role": "OWNER" })).await, "forbidden");
    assert_eq!(delete(&world, &reader, &role(&author)).await, "forbidden");
    assert_eq!(delete(&world, &moderator, &role(&owner)).await, "forbidden");
    assert_eq!(delete(&world, &moderator, &role(&reader)).await, "ok");
    assert_eq!(delete(&world, &moderator, &path).await, "forbidden");
    // The owner leaves: the next one in rank follows.
    assert_eq!(delete(&world, &owner, &role(&owner)).await, "ok");
    assert_eq!(member(&theirs, &room, &moderator).await.1.role, Role::Owner as i32);

    // The room goes, and with it everybody's place.
    assert_eq!(delete(&world, &moderator, &path).await, "ok");
    let gone = |frame: &v1::ServerFrame| match &frame.body {
        Some(Body::Details(details)) if details.deleted_at > 0 => Some(()),
        _ => None,
    };
    theirs.expect_event("the room's end", gone).await.expect("all are told");
    out(&theirs, &room).await;
    for client in [&mods, &theirs] {
        assert_eq!(code(&client.send(&room, "anyone?").await), "not_member");
        assert_eq!(code(&client.join(&room).await), "not_member");
    }
}

pub async fn a_message_is_edited_within_its_time_only(deployment: Deployment) {
    let world = deployment.own(&[("CARILLON_EDIT_WINDOW", "2s")]).await;
    let [ana, ben] = world.names(["ana", "ben"]);
    let room = world.group(&ana, &[&ben]).await;
    let (author, listener) = (world.member(0, &ana, &room).await, world.member(1, &ben, &room).await);
    let sent = author.send(&room, "0").await.expect("a send");
    let mut newest = "0".to_owned();
    let mut number = 0;
    eventually("the end of the time to edit", LONG, async || {
        number += 1;
        let text = format!("{number}");
        match author.edit(&room, &sent.message, &text).await {
            Ok(_) => {
                newest = text;
                None
            }
            Err(error) => {
                assert_eq!(error.code, "edit_expired");
                Some(())
            }
        }
    })
    .await;
    assert_ne!(newest, "0", "it was possible at first");
    message(&listener, &newest).await;
    assert_eq!(history(&listener, &room).await[0].text, newest);
    // The repeat of an edit that came in time still is answered, and deleting goes on.
    author.edit(&room, &sent.message, &newest).await.expect("a repeat");
    author.delete(&room, &sent.message).await.expect("a deletion");
}
