//! Sending: P1, P2, P4, P5 as far as the store keeps them.

use std::sync::Arc;

use dispatcher::store::{Appended, Store, creation_check};
use proto::v1::RoomKind;
use proto::{Cursor, Seq};

use super::world::{World, changed_message, keyed, message, now, room, room_feed, seqs, texts};

fn stored(answers: &[Appended]) -> Vec<(Seq, u64)> {
    let one = |answer: &Appended| match answer {
        Appended::Stored { seq, ordinal } => (*seq, *ordinal),
        other => panic!("not stored: {other:?}"),
    };
    answers.iter().map(one).collect()
}

/// P2: items of a room get rising seqs in the order given, whatever lies between them.
pub async fn messages_of_a_batch_take_seqs_in_their_order(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann", "bob"]).await;
    let art = world.room("art", RoomKind::Public, &["ann"]).await;
    // The room's creation and its members took the first seqs.
    assert_eq!(world.cursor(&room_feed(&tea)).await.seq, 3);
    assert_eq!(world.cursor(&room_feed(&art)).await.seq, 2);

    let batch = [
        message(&tea, "ann", "one"),
        message(&art, "ann", "uno"),
        message(&tea, "bob", "two"),
        message(&tea, "ann", "three"),
        message(&art, "ann", "due"),
    ];
    let answers = world.append(&batch).await.expect("append");
    assert_eq!(stored(&answers), [(4, 1), (3, 1), (5, 2), (6, 3), (4, 2)]);

    assert_eq!(texts(&world.messages(&tea).await), ["one", "two", "three"]);
    assert_eq!(texts(&world.messages(&art).await), ["uno", "due"]);
    let changes = world.since(&room_feed(&tea), Cursor::START).await;
    assert_eq!(seqs(&changes.changes), [1, 2, 3, 4, 5, 6]);
    assert_eq!((changes.to, changes.check), (6, creation_check(&batch[3].id)));

    let shown = changed_message(&changes.changes[4]);
    assert_eq!(shown.id, batch[2].id.as_str());
    assert_eq!((shown.seq, shown.ordinal, shown.time), (5, 2, batch[2].time));
    assert_eq!((shown.sender.as_str(), shown.name.as_str(), &shown.key), ("bob", "BOB", &batch[2].key));

    let answers = world.append(&[message(&tea, "bob", "four")]).await.expect("append");
    assert_eq!(stored(&answers), [(7, 4)]);
    let bob = world.member(&tea, &super::world::user("bob")).await.expect("read").expect("a member");
    assert_eq!(bob.sent, 2);
}

/// Nothing to do is no fault.
pub async fn an_empty_batch_is_answered(store: Arc<dyn Store>) {
    assert_eq!(store.append(&[]).await.expect("append"), []);
}

/// P4: one key, one message; the repeat is told the first result.
pub async fn a_repeat_gets_the_first_result(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann"]).await;
    let first = keyed(&tea, "ann", "k", "hi");
    let answers = world.append(std::slice::from_ref(&first)).await.expect("append");
    assert_eq!(stored(&answers), [(3, 1)]);

    let batch =
        [message(&tea, "ann", "before"), keyed(&tea, "ann", "k", "hi"), message(&tea, "ann", "after")];
    let answers = world.append(&batch).await.expect("append");
    let repeated = Appended::Repeated { id: first.id.clone(), seq: 3, ordinal: 1, time: first.time };
    assert_eq!(answers[1], repeated);
    // What is not stored takes no seq.
    assert_eq!(answers[0], Appended::Stored { seq: 4, ordinal: 2 });
    assert_eq!(answers[2], Appended::Stored { seq: 5, ordinal: 3 });
    assert_eq!(texts(&world.messages(&tea).await), ["hi", "before", "after"]);
    assert_eq!(world.append(&[keyed(&tea, "ann", "k", "hi")]).await.expect("append"), [repeated]);
}

/// P4: a retry may come after others have changed the message.
pub async fn a_repeat_gets_the_first_result_after_edit_and_deletion(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann"]).await;
    let first = keyed(&tea, "ann", "k", "hi");
    world.append(std::slice::from_ref(&first)).await.expect("append");
    let repeated = Appended::Repeated { id: first.id.clone(), seq: 3, ordinal: 1, time: first.time };

    world.edit(&first.id, "hello").await;
    let answers = world.append(&[keyed(&tea, "ann", "k", "hi")]).await.expect("append");
    assert_eq!(answers[0], repeated);
    assert_eq!(
        world.append(&[keyed(&tea, "ann", "k", "hello")]).await.expect("append"),
        [Appended::Conflict]
    );
    world.delete(&first.id).await;
    assert_eq!(world.append(&[keyed(&tea, "ann", "k", "hi")]).await.expect("append"), [repeated]);
    assert_eq!(texts(&world.messages(&tea).await), [""]);
}

/// P4: the same key with other content is a conflict.
pub async fn the_same_key_with_other_content_is_a_conflict(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann"]).await;
    world.append(&[keyed(&tea, "ann", "k", "hi")]).await.expect("append");
    assert_eq!(world.append(&[keyed(&tea, "ann", "k", "ho")]).await.expect("append"), [Appended::Conflict]);
    assert_eq!(texts(&world.messages(&tea).await), ["hi"]);
    assert_eq!(world.cursor(&room_feed(&tea)).await.seq, 3);
}

/// S10: a key says nothing about another sender's or another room's.
pub async fn a_key_belongs_to_one_room_and_sender(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann", "bob"]).await;
    let art = world.group("art", &["ann"]).await;
    let batch = [keyed(&tea, "ann", "k", "a"), keyed(&tea, "bob", "k", "b"), keyed(&art, "ann", "k", "c")];
    stored(&world.append(&batch).await.expect("append"));
    // Keys are told apart byte by byte.
    let batch =
        [keyed(&tea, "ann", "K", "d"), keyed(&tea, "ann", "k ", "e"), keyed(&tea, "ann", "'\"ä", "f")];
    stored(&world.append(&batch).await.expect("append"));
    assert_eq!(texts(&world.messages(&tea).await), ["a", "b", "d", "e", "f"]);
    assert_eq!(texts(&world.messages(&art).await), ["c"]);
}

/// P5: strangers, and rooms that are not there or not any more.
pub async fn only_active_members_of_a_room_are_stored(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann"]).await;
    let hall = world.room("hall", RoomKind::Public, &["bob"]).await;
    let gone = world.group("gone", &["ann"]).await;
    world.change_room(&gone, |row| row.deleted_at = now()).await;

    let batch = [
        message(&tea, "ann", "stored"),
        message(&tea, "bob", "no member"),
        message(&hall, "ann", "public, but not joined"),
        message(&gone, "ann", "deleted"),
        message(&room("void"), "ann", "no room"),
        message(&tea, "ann", "stored too"),
    ];
    let answers = world.append(&batch).await.expect("append");
    assert_eq!(answers[0], Appended::Stored { seq: 3, ordinal: 1 });
    assert_eq!(answers[1..5], [const { Appended::NotMember }; 4]);
    assert_eq!(answers[5], Appended::Stored { seq: 4, ordinal: 2 });
    assert_eq!(texts(&world.messages(&tea).await), ["stored", "stored too"]);
    assert_eq!(world.heads(&[room_feed(&hall), room_feed(&gone)]).await.expect("heads"), [2, 3]);
}

/// P5: removed is removed; back is back, with the count of before.
pub async fn a_removed_member_writes_nothing_from_the_commit_on(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann", "bob"]).await;
    let first = keyed(&tea, "bob", "k", "hi");
    world.append(std::slice::from_ref(&first)).await.expect("append");
    let head = world.remove(&tea, &["bob"]).await;
    assert_eq!(world.append(&[message(&tea, "bob", "no")]).await.expect("append"), [Appended::NotMember]);
    assert_eq!(world.heads(&[room_feed(&tea)]).await.expect("heads"), [head]);
    // A retry of what was stored before is still told so.
    let answers = world.append(&[keyed(&tea, "bob", "k", "hi")]).await.expect("append");
    assert!(matches!(&answers[0], Appended::Repeated { id, .. } if *id == first.id), "{answers:?}");

    world.add(&tea, &["bob"]).await;
    let again = world.send(&tea, "bob", "back").await;
    assert_eq!((again.seq, again.ordinal), (head + 2, 2));
    let bob = world.member(&tea, &super::world::user("bob")).await.expect("read").expect("a member");
    assert_eq!(bob.sent, 2);
}

/// S19: what goes in comes out, byte for byte, also in names, keys and data.
pub async fn text_comes_back_byte_for_byte(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann"]).await;
    let monsters = [
        "👩‍👩‍👧‍👦 🏳️‍🌈 e\u{301} é \u{202e}evil\u{202c}",
        "'; DROP TABLE messages; -- \" \\ \\u0041 %s $1 ?1 {} [] \u{1}\u{7f}",
        " \t\r\n leading and trailing \u{2028}\u{feff} \n",
        "null",
        "𝕳𝖊𝖑𝖑𝖔 مرحبا नमस्ते 你好",
    ];
    let mut batch = Vec::new();
    for (i, text) in monsters.iter().enumerate() {
        let mut new = keyed(&tea, "ann", &format!("{i} 'ключ' \"🔑\\"), text);
        new.name = format!("Ann 🫖 \\ \" {i}");
        new.data = format!(r#"{{"url":"https://x/\u00e4?{i}", "n" : 1.50, "t":"🔔"}}"#);
        new.r#type = proto::v1::MessageType::Image;
        new.digest = i64::MIN + i as i64;
        batch.push(new);
    }
    stored(&world.append(&batch).await.expect("append"));
    for (message, new) in world.messages(&tea).await.iter().zip(&batch) {
        assert_eq!(message.text.as_bytes(), new.text.as_bytes());
        assert_eq!(message.data.as_bytes(), new.data.as_bytes());
        assert_eq!((&message.name, &message.key), (&new.name, &new.key));
        assert_eq!(message.r#type, new.r#type as i32);
        assert_eq!((message.edited_at, message.deleted_at), (0, 0));
    }
    for new in &batch {
        let answers = world.append(std::slice::from_ref(new)).await.expect("append");
        assert!(matches!(&answers[0], Appended::Repeated { id, .. } if *id == new.id), "{answers:?}");
    }
}

/// P1: as many at once as a batch ever holds, and long texts.
pub async fn a_large_batch_is_stored_whole(store: Arc<dyn Store>) {
    let world = World(store);
    let rooms = [world.group("tea", &["ann", "bob"]).await, world.group("art", &["ann", "bob"]).await];
    let long = "long ".repeat(3_000);
    let batch: Vec<_> = (0..2_000)
        .map(|i| {
            let text = if i % 500 == 0 { long.clone() } else { format!("number {i}") };
            message(&rooms[i % 2], if i % 3 == 0 { "ann" } else { "bob" }, &text)
        })
        .collect();
    let answers = stored(&world.append(&batch).await.expect("append"));
    for (i, (seq, ordinal)) in answers.into_iter().enumerate() {
        assert_eq!((seq, ordinal), (4 + i as u64 / 2, 1 + i as u64 / 2));
    }
    let messages = world.messages(&rooms[1]).await;
    assert_eq!(messages.len(), 1_000);
    assert!(messages.iter().zip(batch.iter().skip(1).step_by(2)).all(|(m, new)| m.text == new.text));
}
