//! Messages: sent once and in order, edited and deleted by the right people.

use std::time::Duration;

use dispatcher::Settings;
use proto::ErrorCode;
use proto::node::{command::Action, outcome};
use proto::v1::{self, MessageType, Role};

use crate::rig::*;

#[tokio::test]
async fn p2_one_stream_s_sends_get_seqs_in_the_order_sent() {
    let rig = Rig::with(Settings { max_batch: 7, ..Default::default() }, |store| store).await;
    let rooms = [rig.group("ann", &["bob"]).await, rig.group("ann", &["bob"]).await];
    let heard = rig.hear(&room_feed(&rooms[0])).await;
    let mut stream = Stream::open(&mut rig.client()).await;
    let mut ids = Vec::new();
    for n in 0..300 {
        let action = send(&rooms[n % 2], &format!("k{n}"), &format!("{n}"));
        ids.push((n, stream.push(&user(["ann", "bob"][n % 3 % 2]), action).await));
    }
    let mut last = [0, 0];
    for (n, id) in ids {
        let outcome::Result::Sent(sent) = stream.outcome(id).await else { panic!("not sent") };
        assert!(sent.seq > last[n % 2], "{n}");
        last[n % 2] = sent.seq;
    }
    assert_eq!(last, [3 + 150, 3 + 150]);
    // The events come in the same order, without holes.
    let seqs: Vec<u64> = heard.up_to(last[0]).await.iter().map(|change| change.seq).collect();
    assert_eq!(seqs, (4..=last[0]).collect::<Vec<_>>());
}

#[tokio::test]
async fn p4_a_key_is_stored_once_however_often_it_comes() {
    let rig = Rig::new().await;
    let room = rig.group("ann", &["bob"]).await;
    let heard = rig.hear(&room_feed(&room)).await;
    // Before the first is answered, on one stream and on another.
    let (mut one, mut two) = (Stream::open(&mut rig.client()).await, Stream::open(&mut rig.client()).await);
    let mut results = Vec::new();
    for _ in 0..5 {
        let ids = (
            one.push(&user("ann"), send(&room, "k", "hi")).await,
            two.push(&user("ann"), send(&room, "k", "hi")).await,
        );
        results.push(ids);
    }
    let first = rig.send("ann", &room, "k", "hi").await;
    for (a, b) in results {
        assert_eq!(one.outcome(a).await, outcome::Result::Sent(first.clone()));
        assert_eq!(two.outcome(b).await, outcome::Result::Sent(first.clone()));
    }
    // Long after, and after an edit.
    rig.run(&user("ann"), edit(&first.message, "ho")).await;
    assert_eq!(rig.send("ann", &room, "k", "hi").await, first);
    // Other content; the same key of somebody else.
    assert_eq!(rig.refused(&user("ann"), send(&room, "k", "other")).await, "key_conflict");
    let bobs = rig.send("bob", &room, "k", "other").await;
    let shown: Vec<u64> = heard.up_to(bobs.seq).await.iter().map(|change| change.seq).collect();
    assert_eq!(shown, [4, 5, 6]);
}

#[tokio::test]
async fn p5_only_members_send() {
    let rig = Rig::new().await;
    let room = rig.group("ann", &["bob"]).await;
    assert_eq!(rig.refused(&user("eve"), send(&room, "k", "hi")).await, "not_member");
    assert_eq!(rig.refused(&user("eve"), send("nowhere", "k", "hi")).await, "not_member");
    assert_eq!(rig.refused(&service(), send(&room, "k", "hi")).await, "not_member");
}

#[tokio::test]
async fn bad_sends_are_refused_and_disturb_nobody() {
    let rig = Rig::new().await;
    let room = rig.group("ann", &[]).await;
    let base = v1::Send { room: room.clone(), key: "k".into(), text: "hi".into(), ..Default::default() };
    let mut stream = Stream::open(&mut rig.client()).await;
    let cases = [
        (v1::Send { text: " ".into(), ..base.clone() }, "invalid"),
        (v1::Send { text: "a\0".into(), ..base.clone() }, "invalid"),
        (v1::Send { key: String::new(), ..base.clone() }, "invalid"),
        (v1::Send { key: "a\n".into(), ..base.clone() }, "invalid"),
        (v1::Send { room: "a*".into(), ..base.clone() }, "invalid"),
        (v1::Send { r#type: 99, ..base.clone() }, "invalid"),
        (v1::Send { r#type: MessageType::Image.into(), ..base.clone() }, "invalid"),
        (v1::Send { data: "{".into(), ..base.clone() }, "invalid"),
        (v1::Send { text: "x".repeat(20_000), ..base.clone() }, "too_large"),
        (v1::Send { key: "x".repeat(200), ..base.clone() }, "too_large"),
        (base, "ok"),
    ];
    for (send, expected) in cases {
        assert_eq!(code(stream.run(&user("ann"), Action::Send(send.clone())).await), expected, "{send:?}");
    }
    let nobody = proto::node::Actor { user: "a b".into(), ..user("ann") };
    assert_eq!(code(stream.run(&nobody, send(&room, "l", "hi")).await), "invalid");
}

#[tokio::test]
async fn messages_carry_what_was_sent() {
    let rig = Rig::new().await;
    let room = rig.group("ann", &[]).await;
    let heard = rig.hear(&room_feed(&room)).await;
    let image = v1::Send {
        room: room.clone(),
        key: "k".into(),
        r#type: MessageType::Image.into(),
        text: "look".into(),
        data: r#"{"url": "https://x/y.png", "width": 3}"#.into(),
    };
    let outcome::Result::Sent(sent) = rig.run(&user("ann"), Action::Send(image.clone())).await else {
        panic!("not sent")
    };
    let expected = v1::Message {
        id: sent.message.clone(),
        seq: sent.seq,
        ordinal: 1,
        sender: "ann".into(),
        name: "ANN".into(),
        r#type: image.r#type,
        text: image.text,
        data: image.data,
        time: sent.time,
        key: "k".into(),
        ..Default::default()
    };
    let live = heard.up_to(sent.seq).await;
    assert_eq!(message(&live[0]), Some(&expected));
    assert_eq!(rig.changes(&room_feed(&room)).await.last(), live.last());
}

#[tokio::test]
async fn messages_are_edited_by_their_author() {
    let rig = Rig::new().await;
    let room = rig.group("ann", &["bob"]).await;
    let sent = rig.send("bob", &room, "k", "helo").await;
    assert_eq!(rig.refused(&user("ann"), edit(&sent.message, "x")).await, "forbidden");
    assert_eq!(rig.refused(&user("eve"), edit(&sent.message, "x")).await, "not_found");
    assert_eq!(rig.refused(&user("bob"), edit("nothing", "x")).await, "not_found");
    assert_eq!(rig.refused(&user("bob"), edit(&sent.message, " ")).await, "invalid");
    let elsewhere = rig.group("bob", &[]).await;
    let elsewhere = v1::Edit { room: elsewhere, message: sent.message.clone(), text: "x".into() };
    assert_eq!(rig.refused(&user("bob"), Action::Edit(elsewhere)).await, "not_found");

    let first = rig.run(&user("bob"), edit(&sent.message, "hello")).await;
    let outcome::Result::Changed(changed) = &first else { panic!("{first:?}") };
    assert_eq!((changed.seq, changed.room.as_str()), (sent.seq + 1, room.as_str()));
    // Once more: no change, the same answer.
    assert_eq!(rig.run(&user("bob"), edit(&sent.message, "hello")).await, first);
    let changes = rig.changes(&room_feed(&room)).await;
    let edited = message(changes.last().unwrap()).unwrap();
    assert_eq!((edited.text.as_str(), edited.seq, edited.edited_at), ("hello", sent.seq, changed.time));
}

#[tokio::test]
async fn the_time_to_edit_ends() {
    let rig = Rig::with(Settings { edit_window: Duration::ZERO, ..Default::default() }, |store| store).await;
    let room = rig.group("ann", &[]).await;
    let sent = rig.send("ann", &room, "k", "hi").await;
    assert_eq!(rig.refused(&user("ann"), edit(&sent.message, "ho")).await, ErrorCode::EditExpired.name());
    assert_eq!(rig.refused(&user("ann"), delete(&sent.message)).await, "ok");
}

#[tokio::test]
async fn messages_are_deleted_by_their_author_and_moderators() {
    let rig = Rig::new().await;
    let room = rig.group("ann", &["bob", "cid"]).await;
    rig.run(&user("ann"), role(&room, "cid", Role::Moderator)).await;
    let heard = rig.hear(&room_feed(&room)).await;
    let sent = rig.send("ann", &room, "k", "secret words").await;
    assert_eq!(rig.refused(&user("bob"), delete(&sent.message)).await, "forbidden");
    assert_eq!(rig.refused(&user("eve"), delete(&sent.message)).await, "not_found");
    let first = rig.run(&user("cid"), delete(&sent.message)).await;
    let outcome::Result::Changed(changed) = &first else { panic!("{first:?}") };
    assert_eq!(rig.run(&user("cid"), delete(&sent.message)).await, first);
    assert_eq!(rig.run(&user("ann"), delete(&sent.message)).await, first);
    assert_eq!(rig.refused(&user("ann"), edit(&sent.message, "x")).await, "conflict");

    let live = heard.up_to(changed.seq).await;
    let tombstone = message(live.last().unwrap()).unwrap();
    assert_eq!((tombstone.text.as_str(), tombstone.deleted_at), ("", changed.time));
    assert_eq!(rig.changes(&room_feed(&room)).await.last(), live.last());
    let own = rig.send("bob", &room, "k", "mine").await;
    assert_eq!(rig.refused(&user("bob"), delete(&own.message)).await, "ok");
    // A repeat of the send gets its first result, not the words back.
    assert_eq!(rig.send("ann", &room, "k", "secret words").await, sent);
}

#[tokio::test]
async fn edits_of_one_message_keep_their_order() {
    let rig = Rig::new().await;
    let room = rig.group("ann", &[]).await;
    let sent = rig.send("ann", &room, "k", "0").await;
    let mut stream = Stream::open(&mut rig.client()).await;
    let mut last = 0;
    for n in 1..=20 {
        last = stream.push(&user("ann"), edit(&sent.message, &n.to_string())).await;
    }
    assert_eq!(code(stream.outcome(last).await), "ok");
    let changes = rig.changes(&room_feed(&room)).await;
    assert_eq!(message(changes.last().unwrap()).unwrap().text, "20");
}
