//! Transactions: all or nothing, and what commands find in them.

use std::sync::Arc;

use dispatcher::store::Store;
use proto::v1::{MessageType, Role, RoomKind};
use proto::{Cursor, MessageId};

use super::world::{
    World, check, keyed, message, new_member, new_room, now, room, room_feed, seqs, texts, user, user_feed,
    users,
};

/// A transaction that is dropped is as if it had never begun.
pub async fn what_is_dropped_never_was(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann", "bob"]).await;
    let hi = world.send(&tea, "ann", "hi").await;
    let before = world.since(&room_feed(&tea), Cursor::START).await;

    let mut tx = world.transaction().await;
    assert!(
        tx.insert_room(&new_room(&room("art"), RoomKind::Group, "ann"), None, "k").await.expect("insert")
    );
    let mut row = tx.lock_room(&tea).await.expect("lock").expect("a room");
    let mut members = tx.members(&tea, &users(&["bob"])).await.expect("read");
    members[0].active = false;
    tx.put_members(&members).await.expect("write");
    let mut edited = tx.message(&hi.id).await.expect("read").expect("a message");
    edited.message.text = "ho".to_owned();
    tx.update_message(&edited).await.expect("write");
    let mut owner = tx.lock_users(&users(&["zoe"])).await.expect("lock").remove(0);
    (owner.head, owner.head_check) = (1, 7);
    tx.update_user(&owner, 1, &[7]).await.expect("update");
    (row.head, row.head_check, row.name) = (row.head + 1, 7, "lost".to_owned());
    tx.update_room(&row, row.head, &[7]).await.expect("update");
    drop(tx);

    // The next one is not kept waiting, and finds everything as it was.
    let mut tx = world.transaction().await;
    assert_eq!(tx.lock_room(&room("art")).await.expect("lock"), None);
    assert_eq!(tx.room_by_key(&user("ann"), "k").await.expect("read"), None);
    assert!(tx.members(&tea, &users(&["bob"])).await.expect("read")[0].active);
    drop(tx);
    assert_eq!(world.since(&room_feed(&tea), Cursor::START).await, before);
    assert_eq!(world.heads(&[user_feed("zoe")]).await.expect("heads"), [0]);
    assert_eq!(world.send(&tea, "bob", "still here").await.seq, hi.seq + 1);
}

/// Rows come back as they were written.
pub async fn rows_come_back_as_written(store: Arc<dyn Store>) {
    let world = World(store);
    let hall = room("hall");
    let mut row = new_room(&hall, RoomKind::Public, "ann");
    row.name = "Große Halle 🏛️ 'x'".to_owned();
    let mut tx = world.transaction().await;
    assert!(tx.insert_room(&row, None, "").await.expect("insert"));
    assert_eq!(tx.lock_room(&hall).await.expect("lock"), Some(row.clone()));

    let owners = tx.lock_users(&users(&["zoe", "ann"])).await.expect("lock");
    assert_eq!(owners.iter().map(|owner| owner.id.as_str()).collect::<Vec<_>>(), ["zoe", "ann"]);
    assert!(owners.iter().all(|o| (o.head, o.head_check, o.revoked_before, o.last_seen) == (0, 0, 0, 0)));
    assert!(owners.iter().all(|o| o.name.is_empty() && o.revocation_changed == 0));

    let mut zoe = new_member(&hall, &user("zoe"));
    (zoe.role, zoe.read_seq, zoe.read_ordinal, zoe.read_sent) = (Role::Moderator, 4, 3, 2);
    (zoe.changed, zoe.check, zoe.user_changed, zoe.user_check) = (2, u32::MAX, 1, check());
    let ann = new_member(&hall, &user("ann"));
    tx.put_members(&[zoe.clone(), ann.clone()]).await.expect("write");
    let mut found = tx.members(&hall, &users(&["ann", "bob", "zoe"])).await.expect("read");
    found.sort_by(|a, b| a.user.cmp(&b.user));
    assert_eq!(found, [ann, zoe.clone()]);

    (row.name, row.deleted_at, row.members) = ("Hall".to_owned(), now(), 2);
    (row.head, row.head_check, row.changed, row.check) = (3, 9, 1, u32::MAX);
    tx.update_room(&row, 1, &[u32::MAX, 8, 9]).await.expect("update");
    let mut owner = owners[0].clone();
    (owner.head, owner.head_check, owner.revoked_before, owner.revocation_changed) = (2, u32::MAX, 77, 2);
    tx.update_user(&owner, 1, &[6, u32::MAX]).await.expect("update");
    tx.commit().await.expect("commit");

    let mut tx = world.transaction().await;
    assert_eq!(tx.lock_room(&hall).await.expect("lock"), Some(row));
    assert_eq!(tx.lock_users(&users(&["zoe"])).await.expect("lock"), [owner]);
    zoe.active = false;
    tx.put_members(std::slice::from_ref(&zoe)).await.expect("write");
    assert_eq!(tx.members(&hall, &users(&["zoe"])).await.expect("read"), [zoe]);
    let active = tx.active_members(&hall).await.expect("read");
    assert_eq!(active.iter().map(|member| member.user.as_str()).collect::<Vec<_>>(), ["ann"]);
    assert_eq!(tx.lock_room(&room("void")).await.expect("lock"), None);
    assert_eq!(tx.members(&room("void"), &users(&["ann"])).await.expect("read"), []);
    assert_eq!(tx.members(&hall, &[]).await.expect("read"), []);
}

/// One id, one room; one pair, one direct room; one key of a creator, one room.
pub async fn a_room_is_inserted_once(store: Arc<dyn Store>) {
    let world = World(store);
    let (ann, bob, eve) = (user("ann"), user("bob"), user("eve"));
    let direct = new_room(&room("d"), RoomKind::Direct, "bob");
    let group = new_room(&room("g"), RoomKind::Group, "ann");
    let mut tx = world.transaction().await;
    assert!(tx.insert_room(&direct, Some((&bob, &ann)), "").await.expect("insert"));
    assert!(tx.insert_room(&group, None, "k").await.expect("insert"));
    tx.commit().await.expect("commit");

    let taken: [(&str, RoomKind, &str, Option<_>, &str); 5] = [
        ("d", RoomKind::Group, "eve", None, ""),
        ("g", RoomKind::Direct, "eve", Some((&ann, &eve)), ""),
        ("d2", RoomKind::Direct, "ann", Some((&ann, &bob)), ""),
        ("d3", RoomKind::Direct, "ann", Some((&bob, &ann)), ""),
        ("g2", RoomKind::Group, "ann", None, "k"),
    ];
    for (id, kind, creator, pair, key) in taken {
        let mut tx = world.transaction().await;
        let row = new_room(&room(id), kind, creator);
        assert!(!tx.insert_room(&row, pair, key).await.expect("insert"), "{id} {pair:?} {key}");
    }
    let mut tx = world.transaction().await;
    for (id, pair) in [("d4", (&ann, &eve)), ("d5", (&eve, &bob))] {
        let row = new_room(&room(id), RoomKind::Direct, "eve");
        assert!(tx.insert_room(&row, Some(pair), "").await.expect("insert"));
    }
    // A key belongs to its creator.
    assert!(tx.insert_room(&new_room(&room("g3"), RoomKind::Group, "eve"), None, "k").await.expect("insert"));
    for (a, b, id) in [(&ann, &bob, "d"), (&bob, &ann, "d"), (&eve, &ann, "d4"), (&bob, &eve, "d5")] {
        assert_eq!(tx.direct_room(a, b).await.expect("read"), Some(room(id)));
    }
    assert_eq!(tx.direct_room(&ann, &user("zoe")).await.expect("read"), None);
    assert_eq!(tx.room_by_key(&ann, "k").await.expect("read"), Some(room("g")));
    assert_eq!(tx.room_by_key(&eve, "k").await.expect("read"), Some(room("g3")));
    assert_eq!(tx.room_by_key(&bob, "k").await.expect("read"), None);
    assert_eq!(tx.room_by_key(&ann, "").await.expect("read"), None);
}

/// `sent` counts what `append` stored, whatever a command writes back.
pub async fn commands_do_not_touch_the_count_of_sends(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann"]).await;
    world.send_all(&tea, "ann", &["one", "two"]).await;
    let mut tx = world.transaction().await;
    let mut ann = tx.members(&tea, &users(&["ann"])).await.expect("read").remove(0);
    assert_eq!(ann.sent, 2);
    ann.sent = 99;
    tx.put_members(&[ann]).await.expect("write");
    tx.commit().await.expect("commit");
    world.send(&tea, "ann", "three").await;
    assert_eq!(world.member(&tea, &user("ann")).await.expect("read").expect("a member").sent, 3);
}

/// Where a read mark goes, and how many of one's own lie before it.
pub async fn a_mark_falls_on_a_message(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann", "bob"]).await;
    let ann = user("ann");
    let mut tx = world.transaction().await;
    assert_eq!(tx.message_at(&tea, 0, &ann).await.expect("read"), None);
    assert_eq!(tx.message_at(&room("void"), 0, &ann).await.expect("read"), None);
    drop(tx);

    let first = world.send(&tea, "ann", "one").await;
    let second = world.send(&tea, "bob", "two").await;
    world.edit(&first.id, "uno").await;
    world.delete(&second.id).await;
    let third = world.send(&tea, "ann", "three").await;
    world.change_room(&tea, |row| row.name = "Tea".to_owned()).await;
    let fourth = world.send(&tea, "bob", "four").await;
    assert_eq!((first.seq, second.seq, third.seq, fourth.seq), (4, 5, 8, 10));

    let mut tx = world.transaction().await;
    let cases = [
        ("ann", 1, None),
        ("ann", 3, None),
        ("ann", 4, Some((4, 1, 1))),
        ("bob", 4, Some((4, 1, 0))),
        ("eve", 4, Some((4, 1, 0))),
        ("ann", 5, Some((5, 2, 1))),
        ("bob", 7, Some((5, 2, 1))),
        ("ann", 9, Some((8, 3, 2))),
        ("bob", 9, Some((8, 3, 1))),
        ("bob", 10, Some((10, 4, 2))),
        ("ann", 0, Some((10, 4, 2))),
        ("ann", i64::MAX as u64, Some((10, 4, 2))),
    ];
    for (id, seq, expected) in cases {
        assert_eq!(tx.message_at(&tea, seq, &user(id)).await.expect("read"), expected, "{id} at {seq}");
    }
}

/// A message is found by its id in any room, with all its parts.
pub async fn a_message_is_written_back_whole(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann"]).await;
    let mut new = keyed(&tea, "ann", "k", "hi");
    (new.r#type, new.data) = (MessageType::Voice, r#"{"url":"u","duration":1.5}"#.to_owned());
    world.append(std::slice::from_ref(&new)).await.expect("append");

    let found = Store::message(&*world.0, &new.id).await.expect("read").expect("a message");
    assert_eq!((&found.room, found.changed, found.message.seq), (&tea, 3, 3));
    assert_eq!(found.check, dispatcher::store::creation_check(&new.id));
    assert_eq!((found.message.r#type(), &found.message.data), (MessageType::Voice, &new.data));

    let edited = world.edit(&new.id, "edited 🖊️").await;
    assert_eq!(Store::message(&*world.0, &new.id).await.expect("read"), Some(edited.clone()));
    assert_eq!((edited.changed, edited.message.seq), (4, 3));
    let deleted = world.delete(&new.id).await;
    assert_eq!(Store::message(&*world.0, &new.id).await.expect("read"), Some(deleted.clone()));
    assert_eq!((deleted.message.text.as_str(), deleted.message.data.as_str()), ("", ""));
    assert_eq!((deleted.message.edited_at, &deleted.message.key), (edited.message.edited_at, &new.key));
    assert_eq!(world.messages(&tea).await, [deleted.message]);

    let unknown = MessageId::new("nothing").expect("a valid id");
    assert_eq!(Store::message(&*world.0, &unknown).await.expect("read"), None);
    assert_eq!(world.transaction().await.message(&unknown).await.expect("read"), None);
}

/// Notifications are found by id and key, of their user alone.
pub async fn notifications_are_found_by_id_and_key(store: Arc<dyn Store>) {
    let world = World(store);
    let first = world.notify("ann", "n1", "k").await;
    let second = world.notify("ann", "n2", "").await;
    let third = world.notify("ann", "n3", "").await;
    let other = world.notify("bob", "n1", "k").await;
    let read = world.read_notification("ann", "n2").await;

    let (ann, bob) = (user("ann"), user("bob"));
    let mut tx = world.transaction().await;
    assert_eq!(tx.notification(&ann, "n1").await.expect("read"), Some(first.clone()));
    assert_eq!(tx.notification(&bob, "n1").await.expect("read"), Some(other.clone()));
    assert_eq!(tx.notification(&bob, "n2").await.expect("read"), None);
    assert_eq!(tx.notification(&ann, "n2").await.expect("read"), Some(read.clone()));
    assert_eq!((read.notification.time, read.changed), (second.notification.time, 4));
    assert_eq!(tx.notification_by_key(&ann, "k").await.expect("read"), Some(first.clone()));
    assert_eq!(tx.notification_by_key(&bob, "k").await.expect("read"), Some(other));
    assert_eq!(tx.notification_by_key(&user("eve"), "k").await.expect("read"), None);
    assert_eq!(tx.notification_by_key(&ann, "").await.expect("read"), None);
    assert_eq!(tx.unread_notifications(&ann, 10).await.expect("read"), [first.clone(), third]);
    assert_eq!(tx.unread_notifications(&ann, 1).await.expect("read"), [first]);
    assert_eq!(tx.unread_notifications(&user("eve"), 10).await.expect("read"), []);
    tx.put_notifications(&[]).await.expect("write");
}

/// What a command reads under its lock is what `append` left there, and the
/// other way round.
pub async fn commands_and_sends_see_each_other(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann"]).await;
    let new = message(&tea, "ann", "hi");
    world.append(std::slice::from_ref(&new)).await.expect("append");
    let mut tx = world.transaction().await;
    let row = tx.lock_room(&tea).await.expect("lock").expect("a room");
    assert_eq!((row.head, row.head_check), (3, dispatcher::store::creation_check(&new.id)));
    assert_eq!((row.messages, row.changed), (1, 1));
    drop(tx);
    let row = world.change_room(&tea, |row| row.name = "Tea".to_owned()).await;
    assert_eq!((row.head, row.messages), (4, 1));
    assert_eq!(world.send(&tea, "ann", "ho").await.seq, 5);
    let changes = world.since(&room_feed(&tea), Cursor::START).await;
    assert_eq!(seqs(&changes.changes), [2, 3, 4, 5]);
    assert_eq!(texts(&world.messages(&tea).await), ["hi", "ho"]);
}
