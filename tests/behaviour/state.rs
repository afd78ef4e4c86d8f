//! P3, P9: what clients put together from what they hear is what is stored,
//! live, resumed, paged or from a snapshot, in both encodings.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use proto::v1::{self, MessageType, RoomKind, change::Thing, server_frame::Body};
use proto::{Encoding, ErrorCode};
use serde_json::json;
use testkit::checker::{Fold, thing_of};
use testkit::client::{Client, ConnectError, ConnectOptions};
use testkit::rest::Rest;

use super::hear::{code, deliveries, history, reached, send_many, settled, up_to};
use super::world::{Deployment, World};

/// Everything a client got of a room, folded as it came.
fn folded(client: &Client, room: &str, joins: &[v1::Joined]) -> Fold {
    let mut fold = Fold::default();
    for joined in joins {
        fold.apply_all(&joined.changes);
    }
    for frame in deliveries(client, room) {
        if let Some(thing) = frame.body.as_ref().and_then(thing_of) {
            fold.apply(frame.seq, &thing);
        }
    }
    fold
}

async fn ok(answer: anyhow::Result<testkit::rest::Answer>) -> serde_json::Value {
    answer.expect("an answer").ok().expect("a success")
}

/// A room's life with all kinds of changes; ends with the last change's seq.
async fn busy_life(world: &World, room: &str, owner: &Client, names: &[&str; 3], round: u32) -> u64 {
    let [ana, ben, eva] = *names;
    let rest = world.rest(round as usize, ana);
    let path = format!("/v1/rooms/{room}");
    let sent = send_many(owner, room, (0..12).map(|number| format!("{round}: message {number}"))).await;
    let other = world.client(round as usize + 1, ben).await;
    let theirs = send_many(&other, room, (0..6).map(|number| format!("{round}: reply {number}"))).await;
    for sent in &sent[..4] {
        owner.edit(room, &sent.message, &format!("{round}: edited")).await.expect("an edit");
    }
    other.edit("", &theirs[1].message, "edited, too").await.expect("an edit");
    other.edit("", &theirs[1].message, "edited twice").await.expect("an edit");
    owner.delete(room, &sent[3].message).await.expect("a deletion");
    owner.delete(room, &theirs[2].message).await.expect("a moderator's deletion");
    ok(rest.delete(&format!("{path}/members/{eva}")).await).await;
    ok(rest.patch(&path, json!({ "name": format!("Round {round}") })).await).await;
    let role = if round.is_multiple_of(2) { "MODERATOR" } else { "MEMBER" };
    ok(rest.patch(&format!("{path}/members/{ben}"), json!({ "role": role })).await).await;
    ok(rest.post(&format!("{path}/members"), json!({ "users": [eva] })).await).await;
    other.delete(room, &theirs[0].message).await.expect("a deletion").seq
}

pub async fn p3_p9_folding_all_that_was_heard_equals_a_fresh_read(deployment: Deployment) {
    let world = deployment.shared().await;
    let [ana, ben, eva, dan] = world.names(["ana", "ben", "eva", "dan"]);
    let room = world.group(&ana, &[&ben, &eva, &dan]).await;
    let owner = world.client(0, &ana).await;
    // From the very beginning, live, in both encodings.
    let mut live = Vec::new();
    for (gateway, encoding) in [(1, Encoding::Json), (2, Encoding::Protobuf)] {
        let client = world.client_of(gateway, &dan, encoding).await;
        let joined = client.join_since(&room, "0-00000000").await.expect("a join");
        live.push((client, vec![joined]));
    }
    let names = [ana.as_str(), &ben, &eva];
    let first = busy_life(&world, &room, &owner, &names, 0).await;
    // One goes away in the middle, and resumes on another gateway.
    let away = world.client(0, &dan).await;
    let before = away.join_since(&room, "0-00000000").await.expect("a join");
    up_to(&away, &room, first).await;
    let last = busy_life(&world, &room, &owner, &names, 1).await;
    let since = before.cursor.clone();
    away.close().await;
    let resumed = world.client(1, &dan).await;
    let after = resumed.join_since(&room, &since).await.expect("a join");
    assert!((after.changes.len() as u64) < last - first, "overtaken changes are folded away");
    let last = busy_life(&world, &room, &owner, &names, 2).await.max(last);
    live.push((resumed, vec![before, after]));

    let stored = history(&owner, &room).await;
    let fresh = read(&world.rest(1, &ana), &room).await;
    for (client, joins) in &live {
        up_to(client, &room, last).await;
        let fold = folded(client, &room, joins);
        assert_eq!(fold.messages(), stored);
        let members: BTreeMap<String, i32> = fold
            .members()
            .into_iter()
            .filter(|member| member.active)
            .map(|member| (member.user, member.role))
            .collect();
        assert_eq!(members, fresh.members);
        let details = fold.things().find_map(|(_, thing)| match thing {
            Thing::Details(details) => Some(details.clone()),
            _ => None,
        });
        let details = details.expect("the room itself has changed");
        assert_eq!((&details.name, details.kind), (&fresh.name, RoomKind::Group as i32));
        let seqs: Vec<u64> = deliveries(client, &room).iter().map(|frame| frame.seq).collect();
        assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
    }
    assert_eq!(deliveries(&live[0].0, &room), deliveries(&live[1].0, &room), "both encodings say the same");
}

pub async fn p3_the_folded_room_counts_its_members(deployment: Deployment) {
    let world = deployment.shared().await;
    let [ana, ben, eva] = world.names(["ana", "ben", "eva"]);
    let room = world.group(&ana, &[&ben]).await;
    let client = world.client(0, &ben).await;
    let joined = client.join_since(&room, "0-00000000").await.expect("a join");
    let path = format!("/v1/rooms/{room}");
    ok(world.rest(1, &ana).post(&format!("{path}/members"), json!({ "users": [eva] })).await).await;
    let sent = client.send(&room, "welcome").await.expect("a send");
    up_to(&client, &room, sent.seq).await;
    let fresh: v1::RoomSummary =
        serde_json::from_value(ok(world.rest(2, &ben).get(&path).await).await).expect("a room");
    let fold = folded(&client, &room, &[joined]);
    let details = fold.things().find_map(|(_, thing)| match thing {
        Thing::Details(details) => Some(details.clone()),
        _ => None,
    });
    assert_eq!(details, fresh.details);
}

/// A room as it is read by REST.
struct Fresh {
    name: String,
    members: BTreeMap<String, i32>,
}

async fn read(rest: &Rest, room: &str) -> Fresh {
    let path = format!("/v1/rooms/{room}");
    let summary: v1::RoomSummary = serde_json::from_value(ok(rest.get(&path).await).await).expect("a room");
    let page = ok(rest.get(&format!("{path}/members")).await).await;
    let members: Vec<v1::Member> = serde_json::from_value(page["members"].clone()).expect("members");
    Fresh {
        name: summary.details.expect("details").name,
        members: members.into_iter().map(|member| (member.user, member.role)).collect(),
    }
}

pub async fn p9_both_encodings_live_in_one_room(deployment: Deployment) {
    let world = deployment.shared().await;
    let [ana, ben] = world.names(["ana", "ben"]);
    let room = world.group(&ana, &[&ben]).await;
    let json = world.client_of(0, &ana, Encoding::Json).await;
    let proto = world.client_of(1, &ben, Encoding::Protobuf).await;
    let observers =
        (world.client_of(2, &ana, Encoding::Protobuf).await, world.client_of(2, &ana, Encoding::Json).await);
    for client in [&json, &proto, &observers.0, &observers.1] {
        client.join(&room).await.expect("a join");
    }
    // Data is the application's: it comes back as it was written.
    let data = r#"{ "url":"https://files.example.org/ü?a=1&b=\u00e9", "size": 1.50e2, "width":10 }"#;
    let send = |key: &str, r#type: MessageType, data: &str| v1::Send {
        room: room.clone(),
        key: key.into(),
        r#type: r#type.into(),
        text: format!("{key} ☎"),
        data: data.into(),
    };
    let image = json.send_message(send("image", MessageType::Image, data)).await.expect("a send");
    let voice = proto.send_message(send("voice", MessageType::Voice, data)).await.expect("a send");
    json.send_message(send("text", MessageType::Text, r#"{"mentions":["ben"]}"#)).await.expect("a send");
    json.edit(&room, &image.message, "").await.expect("an edit");
    proto.delete(&room, &voice.message).await.expect("a deletion");
    json.signal(&room, "wave", r#"{ "hand" : "left" }"#).await.expect("a signal");
    let last = proto.send(&room, "last").await.expect("a send");

    for client in [&json, &proto, &observers.0, &observers.1] {
        up_to(client, &room, last.seq).await;
        settled(client).await;
    }
    let heard = deliveries(&json, &room);
    assert_eq!(heard.len(), 6);
    for client in [&proto, &observers.0, &observers.1] {
        assert_eq!(deliveries(client, &room), heard);
    }
    let Some(Body::Message(first)) = &heard[0].body else { panic!("{heard:?}") };
    assert_eq!((first.data.as_str(), first.text.as_str()), (data, "image ☎"));
    let Some(Body::Message(edited)) = &heard[3].body else { panic!("{heard:?}") };
    assert_eq!((edited.data.as_str(), edited.text.as_str(), edited.seq), (data, "", first.seq));
    let Some(Body::Message(tombstone)) = &heard[4].body else { panic!("{heard:?}") };
    assert_eq!((tombstone.data.as_str(), tombstone.text.as_str()), ("", ""));
    assert!(tombstone.deleted_at > 0);
    let signal = proto.transcript().events().find_map(|frame| match &frame.body {
        Some(Body::Signal(signal)) => Some(signal.clone()),
        _ => None,
    });
    assert_eq!(signal.expect("a signal").data, r#"{ "hand" : "left" }"#);
}

pub async fn p3_a_snapshot_and_joins_from_its_cursors_miss_nothing(deployment: Deployment) {
    const ROOMS: usize = 4;
    const EACH: usize = 60;

    let world = deployment.shared().await;
    let [ana, ben] = world.names(["ana", "ben"]);
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        rooms.push(world.group(&ben, &[&ana]).await);
    }
    let writer = world.client(1, &ben).await;
    // Whoever starts afresh does so in the middle of it.
    let writing = join_all(
        rooms
            .iter()
            .map(|room| send_many(&writer, room, (0..EACH).map(|number| format!("message {number}")))),
    );
    let notifying = async {
        for post in 0..10 {
            let notify = json!({ "user": ana, "type": "COMMENT", "data": { "post": post } });
            ok(world.service().post("/v1/notifications", notify).await).await;
        }
    };
    let starting = async {
        up_to_any(&world, &rooms[0], &ben).await;
        let client = world.client(0, &ana).await;
        let snapshot = client.snapshot().await.expect("a snapshot");
        let mut joins = BTreeMap::new();
        for summary in &snapshot.rooms {
            let room = &summary.details.as_ref().expect("details").id;
            let joined = client.join_since(room, &summary.cursor).await.expect("a join");
            assert!(!joined.reset && !joined.more);
            joins.insert(room.clone(), joined);
        }
        (client, snapshot, joins)
    };
    let (_, (), (client, snapshot, joins)) = tokio::join!(writing, notifying, starting);

    assert_eq!(snapshot.rooms.len(), ROOMS);
    for summary in &snapshot.rooms {
        let room = &summary.details.as_ref().expect("details").id;
        let stored = history(&writer, room).await;
        up_to(&client, room, stored.last().expect("messages").seq).await;
        let known = summary.last_message.as_ref().map_or(0, |message| message.seq);
        assert_eq!(summary.unread, stored.iter().filter(|message| message.seq <= known).count() as u64);
        let expected: Vec<_> = stored.into_iter().filter(|message| message.seq > known).collect();
        let joined = std::slice::from_ref(&joins[room]);
        assert_eq!(folded(&client, room, joined).messages(), expected, "after message {known}");
    }
    // The own feed: what the snapshot does not hold has come since the connection stands.
    let ids = |notifications: &[v1::Notification]| -> BTreeSet<String> {
        notifications.iter().map(|notification| notification.id.clone()).collect()
    };
    let stored = client.snapshot().await.expect("a snapshot").notifications;
    settled(&client).await;
    let mut known = ids(&snapshot.notifications);
    known.extend(deliveries(&client, "").into_iter().filter_map(|frame| match frame.body {
        Some(Body::Notification(notification)) => Some(notification.id),
        _ => None,
    }));
    assert_eq!((known.len(), known), (10, ids(&stored)));
}

/// Waits until a room has some messages.
async fn up_to_any(world: &World, room: &str, user: &str) {
    let client = world.member(2, user, room).await;
    up_to(&client, room, reached(&client, room) + 5).await;
}

pub async fn p3_a_long_absence_is_resumed_page_by_page(deployment: Deployment) {
    const MISSED: usize = 1100;

    let world = deployment.shared().await;
    let [ana, ben] = world.names(["ana", "ben"]);
    let room = world.group(&ana, &[&ben]).await;
    let away = world.member(1, &ben, &room).await;
    let (since, from) = (away.cursor(&room), reached(&away, &room));
    away.close().await;
    let writer = world.client(0, &ana).await;
    send_many(&writer, &room, (0..MISSED).map(|number| format!("missed {number}"))).await;

    // The room goes on while its pages are read.
    let client = world.client(2, &ben).await;
    let writing = send_many(&writer, &room, (0..100).map(|number| format!("meanwhile {number}")));
    let paging = async {
        let mut pages: Vec<v1::Joined> = Vec::new();
        let mut since = since;
        loop {
            let page = client.join_since(&room, &since).await.expect("a page");
            assert!(!page.reset);
            assert_eq!(page.from, pages.last().map_or(from, |page| page.to));
            assert!(deliveries(&client, &room).is_empty() || !page.more, "live before the last page");
            since.clone_from(&page.cursor);
            let more = page.more;
            pages.push(page);
            if !more {
                return pages;
            }
        }
    };
    let (_, pages) = tokio::join!(writing, paging);
    assert!(pages.len() > 1, "{MISSED} changes are more than a page");
    let stored = history(&writer, &room).await;
    up_to(&client, &room, stored.last().expect("messages").seq).await;
    let paged = pages.iter().flat_map(|page| page.changes.iter().map(|change| change.seq));
    let live = deliveries(&client, &room).into_iter().map(|frame| frame.seq);
    let seqs: Vec<u64> = paged.chain(live).collect();
    assert_eq!(seqs, stored.iter().map(|message| message.seq).collect::<Vec<_>>());
    assert_eq!(folded(&client, &room, &pages).messages(), stored);
}

/// S22.
pub async fn p5_cursors_that_were_not_given_out_are_refused_or_reset(deployment: Deployment) {
    let world = deployment.shared().await;
    let [ana, ben] = world.names(["ana", "ben"]);
    let (room, other) = (world.group(&ana, &[&ben]).await, world.group(&ana, &[&ben]).await);
    let client = world.member(0, &ana, &room).await;
    client.join(&other).await.expect("a join");
    for room in [&room, &other] {
        send_many(&client, room, (0..10).map(|number| format!("{number}"))).await;
    }
    let head = history(&client, &room).await.last().expect("messages").seq;
    for room in [&room, &other] {
        up_to(&client, room, head).await;
    }
    let of_other = client.cursor(&other);
    let (seq, check) = of_other.split_once('-').expect("seq and check");
    let resets = [
        of_other.clone(),
        client.cursor(""),
        format!("{seq}-{:08x}", !u32::from_str_radix(check, 16).expect("hexadecimal")),
        format!("{}-{check}", head + 1),
        "4000000000-00000000".to_owned(),
        format!("{}-00000000", i64::MAX),
        format!("{}-00000000", u64::MAX),
        format!("{}-ffffffff", u64::MAX),
    ];
    for since in resets {
        match client.join_since(&room, &since).await {
            Ok(joined) => {
                assert!(joined.reset, "{since}: {joined:?}");
                assert!(joined.changes.is_empty(), "{since}: {joined:?}");
            }
            Err(error) => assert_eq!(error.code, ErrorCode::Invalid.name(), "{since}"),
        }
    }
    let garbage = [
        "nonsense",
        "-",
        "1",
        "1-",
        "-00000000",
        "1-2-3",
        "1-zzzzzzzz",
        "-1-00000000",
        "+1-00000000",
        " 1-00000000",
        "1.0-00000000",
        "1e3-00000000",
        "٣-00000000",
        "18446744073709551616-00000000",
        "99999999999999999999999-00000000",
        "1-000000000",
        "1-0000000é",
        "1-00000000\0",
        "'; --",
    ];
    for since in garbage {
        assert_eq!(code(&client.join_since(&room, since).await), "invalid", "{since:?}");
    }
    // The own feed takes no other cursors either.
    let theirs = world.client(1, &ben).await;
    settled(&theirs).await;
    for since in [theirs.cursor(""), of_other, format!("{}-00000000", u64::MAX), "nonsense".to_owned()] {
        let options = ConnectOptions { since: since.clone(), ..ConnectOptions::new(Encoding::Json) };
        match world.connect(1, &ana, options).await {
            Ok(client) => assert!(client.ready().reset, "{since}: {:?}", client.ready()),
            Err(ConnectError::Refused(error)) => assert_eq!(error.code, "invalid", "{since}"),
            Err(other) => panic!("{since}: {other}"),
        }
    }
    // A page before anything odd is a page like any other.
    for before in [u64::MAX, i64::MAX as u64 + 1, i64::MAX as u64] {
        assert_eq!(client.history(&room, before, 100).await.expect("a page").messages.len(), 10);
    }
    assert_eq!(client.history(&room, 1, 100).await.expect("a page").messages.len(), 0);
    assert_eq!(client.history(&room, 0, u32::MAX).await.expect("a page").messages.len(), 10);
    let own = client.cursor(&room);
    let joined = client.join_since(&room, &own).await.expect("the connection lives");
    assert_eq!((joined.from, joined.to, joined.reset, joined.changes.len()), (head, head, false, 0));
    assert_eq!(client.end(), None);
}
