//! Rooms as members see them: the first screen, lists, unread counts.

use std::sync::Arc;

use dispatcher::store::Store;
use proto::v1::{Role, RoomKind, RoomSummary, change::Thing};
use proto::{Cursor, RoomId};

use super::feed::Client;
use super::world::{World, now, room, room_feed, seqs, user, user_feed};

fn ids(rooms: &[RoomSummary]) -> Vec<&str> {
    rooms.iter().map(|room| room.details.as_ref().expect("details").id.as_str()).collect()
}

async fn unread(world: &World, room: &RoomId, id: &str) -> u64 {
    let summary = world.0.room(&user(id), room, 0).await.expect("read").expect("a member");
    // Three ways to say the same.
    let row = world.member(room, &user(id)).await.expect("read").expect("a member");
    let messages = world.messages(room).await.last().map_or(0, |message| message.ordinal);
    assert_eq!(row.unread(messages), summary.unread);
    assert_eq!(row.read_seq, summary.read_seq);
    summary.unread
}

/// Messages of others after the mark; one's own are never unread.
pub async fn unread_is_arithmetic(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann", "bob"]).await;
    assert_eq!(unread(&world, &tea, "ann").await, 0);
    world.send_all(&tea, "ann", &["1", "2", "3"]).await; // 4 5 6
    assert_eq!((unread(&world, &tea, "ann").await, unread(&world, &tea, "bob").await), (0, 3));
    world.send(&tea, "bob", "4").await; // 7
    assert_eq!((unread(&world, &tea, "ann").await, unread(&world, &tea, "bob").await), (1, 3));
    world.read(&tea, "bob", 5).await;
    assert_eq!((unread(&world, &tea, "ann").await, unread(&world, &tea, "bob").await), (1, 1));
    world.send_all(&tea, "ann", &["5", "6"]).await; // 8 9
    world.send(&tea, "bob", "7").await; // 10
    assert_eq!((unread(&world, &tea, "ann").await, unread(&world, &tea, "bob").await), (2, 3));
    world.read(&tea, "bob", 8).await;
    assert_eq!(unread(&world, &tea, "bob").await, 1);
    world.read(&tea, "bob", 0).await;
    world.read(&tea, "ann", 7).await;
    assert_eq!((unread(&world, &tea, "ann").await, unread(&world, &tea, "bob").await), (1, 0));
    // A tombstone still counts as a message.
    let last = world.send(&tea, "ann", "8").await;
    world.delete(&last.id).await;
    assert_eq!(unread(&world, &tea, "bob").await, 1);
    // Who joins has read what was said before.
    world.add(&tea, &["eve"]).await;
    assert_eq!(unread(&world, &tea, "eve").await, 0);
    world.send(&tea, "ann", "9").await;
    assert_eq!((unread(&world, &tea, "eve").await, unread(&world, &tea, "bob").await), (1, 2));
    world.send(&tea, "eve", "10").await;
    assert_eq!(unread(&world, &tea, "eve").await, 1);
}

/// The newest activity first: the last message, else the creation.
pub async fn rooms_are_listed_by_activity(store: Arc<dyn Store>) {
    let world = World(store);
    for id in ["a", "b", "c", "d", "e"] {
        world.group(id, &["ann", "bob"]).await;
    }
    let list = async |id: &str, limit, skip| world.rooms(&user(id), limit, skip).await.expect("rooms");
    assert_eq!(ids(&list("ann", 10, 0).await.0), ["e", "d", "c", "b", "a"]);
    world.send(&room("b"), "bob", "hi").await;
    world.send(&room("d"), "bob", "hi").await;
    // No activity: names, members, marks, edits.
    world.change_room(&room("a"), |row| row.name = "A".to_owned()).await;
    world.add(&room("a"), &["eve"]).await;
    world.read(&room("b"), "ann", 0).await;
    assert_eq!(ids(&list("ann", 10, 0).await.0), ["d", "b", "e", "c", "a"]);

    let (page, more) = list("ann", 2, 0).await;
    assert_eq!((ids(&page), more), (vec!["d", "b"], true));
    let (page, more) = list("ann", 2, 2).await;
    assert_eq!((ids(&page), more), (vec!["e", "c"], true));
    let (page, more) = list("ann", 2, 4).await;
    assert_eq!((ids(&page), more), (vec!["a"], false));
    assert!(!list("ann", 5, 0).await.1);
    assert_eq!(list("ann", 5, 99).await, (vec![], false));
    assert_eq!(list("nobody", 5, 0).await, (vec![], false));

    world.remove(&room("d"), &["ann"]).await;
    world.change_room(&room("e"), |row| row.deleted_at = now()).await;
    assert_eq!(ids(&list("ann", 10, 0).await.0), ["b", "c", "a"]);
    assert_eq!(ids(&list("bob", 10, 0).await.0), ["d", "b", "c", "a"]);
    assert_eq!(ids(&list("eve", 10, 0).await.0), ["a"]);
    assert!(list("bob", 10, 0).await.0.iter().all(|room| room.read_marks.is_empty()));
}

/// P5: one room as its active member sees it; nothing for others.
pub async fn a_room_is_shown_to_its_members(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["bob", "ann", "cat"]).await;
    let one = world.send(&tea, "bob", "one").await;
    let two = world.send(&tea, "ann", "two").await;
    world.read(&tea, "cat", one.seq).await;
    world.edit(&two.id, "zwei").await;
    world.remove(&tea, &["ann"]).await;

    let summary = world.0.room(&user("cat"), &tea, 2).await.expect("read").expect("a member");
    let details = summary.details.as_ref().expect("details");
    assert_eq!((details.id.as_str(), details.name.as_str(), details.members), ("tea", "tea's name", 2));
    assert_eq!((details.kind(), details.created_by.as_str()), (RoomKind::Group, "bob"));
    assert_eq!((summary.role(), summary.unread, summary.read_seq), (Role::Member, 1, one.seq));
    assert_eq!(summary.last_message.as_ref().expect("a message").text, "zwei");
    assert_eq!(summary.cursor, world.cursor(&room_feed(&tea)).await.to_string());
    let marks: Vec<_> = summary.read_marks.iter().map(|mark| (mark.user.as_str(), mark.seq)).collect();
    assert_eq!(marks, [("bob", 0), ("cat", one.seq)]);
    assert!(summary.read_marks.iter().all(|mark| mark.unread.is_none()));

    let large = world.0.room(&user("bob"), &tea, 1).await.expect("read").expect("a member");
    assert_eq!((large.role(), large.read_marks.len()), (Role::Owner, 0));
    for (id, room) in [("ann", &tea), ("eve", &tea), ("bob", &room("void"))] {
        assert_eq!(world.0.room(&user(id), room, 9).await.expect("read"), None);
    }
    world.change_room(&tea, |row| row.deleted_at = now()).await;
    assert_eq!(world.0.room(&user("bob"), &tea, 9).await.expect("read"), None);
    assert_eq!(world.member(&tea, &user("bob")).await.expect("read"), None);
}

/// Members by rising id, page by page; a member's row also when removed.
pub async fn members_are_paged_by_id(store: Arc<dyn Store>) {
    let world = World(store);
    // Ids are ordered byte by byte: upper case, `_`, lower case.
    let tea = world.group("tea", &["ann", "Zoe", "b.b", "b-b", "_x", "bob"]).await;
    world.group("art", &["aaa", "zzz"]).await;
    world.remove(&tea, &["bob"]).await;
    let page = async |after: &str, limit| {
        let (members, more) = world.0.members(&tea, after, limit).await.expect("read");
        assert!(members.iter().all(|member| member.active));
        (members.into_iter().map(|member| member.user).collect::<Vec<_>>().join(" "), more)
    };
    assert_eq!(page("", 10).await, ("Zoe _x ann b-b b.b".to_owned(), false));
    assert_eq!(page("", 2).await, ("Zoe _x".to_owned(), true));
    assert_eq!(page("_x", 2).await, ("ann b-b".to_owned(), true));
    assert_eq!(page("b-b", 2).await, ("b.b".to_owned(), false));
    assert_eq!(page("a", 1).await, ("ann".to_owned(), true));
    assert_eq!(page("b.b", 2).await, (String::new(), false));
    let (members, _) = world.0.members(&tea, "", 10).await.expect("read");
    assert_eq!((members[2].role(), members[0].role()), (Role::Owner, Role::Member));
    assert_eq!(world.0.members(&room("void"), "", 10).await.expect("read"), (vec![], false));

    let bob = world.member(&tea, &user("bob")).await.expect("read").expect("a row");
    assert_eq!((bob.active, &bob.room, bob.user.as_str()), (false, &tea, "bob"));
    assert_eq!(world.member(&tea, &user("eve")).await.expect("read"), None);
}

/// The first screen: everything at once, within its limits.
pub async fn a_snapshot_shows_the_first_screen(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann", "bob", "cat"]).await;
    let art = world.room("art", RoomKind::Public, &["bob", "ann"]).await;
    let direct = world.room("d", RoomKind::Direct, &["ann", "bob"]).await;
    let gone = world.group("gone", &["ann"]).await;
    world.change_room(&gone, |row| row.deleted_at = now()).await;
    world.send_all(&tea, "bob", &["one", "two"]).await;
    world.read(&tea, "cat", 0).await;
    for i in 0..60 {
        world.notify("ann", &format!("n{i:02}"), "").await;
    }
    world.read_notification("ann", "n59").await;

    let snapshot = world.snapshot(&user("ann"), 10, 2).await.expect("snapshot");
    assert_eq!(ids(&snapshot.rooms), ["tea", "d", "art"]);
    assert!(!snapshot.more);
    assert_eq!(snapshot.cursor, world.cursor(&user_feed("ann")).await.to_string());
    assert_eq!((snapshot.rooms[0].unread, snapshot.rooms[1].unread), (2, 0));
    assert_eq!(snapshot.rooms[0].last_message.as_ref().expect("a message").text, "two");
    assert_eq!(snapshot.rooms[1].last_message, None);
    // Three members are one too many for marks.
    assert_eq!(snapshot.rooms.iter().map(|room| room.read_marks.len()).collect::<Vec<_>>(), [0, 2, 2]);
    for (summary, room) in snapshot.rooms.iter().zip([&tea, &direct, &art]) {
        assert_eq!(summary.cursor, world.cursor(&room_feed(room)).await.to_string());
        let alone = world.0.room(&user("ann"), room, 2).await.expect("read");
        assert_eq!(alone.as_ref(), Some(summary));
    }
    let shown: Vec<_> = snapshot.notifications.iter().map(|n| n.id.as_str()).collect();
    assert_eq!((shown.len(), shown[0], shown[49]), (50, "n58", "n09"));

    let snapshot = world.snapshot(&user("ann"), 2, 100).await.expect("snapshot");
    assert_eq!((ids(&snapshot.rooms), snapshot.more), (vec!["tea", "d"], true));
    let marks: Vec<_> = snapshot.rooms[0].read_marks.iter().map(|m| (m.user.as_str(), m.seq)).collect();
    assert_eq!(marks, [("ann", 0), ("bob", 0), ("cat", 6)]);

    let nobody = world.snapshot(&user("nobody"), 10, 10).await.expect("snapshot");
    assert_eq!(nobody.cursor, Cursor::START.to_string());
    assert!(nobody.rooms.is_empty() && nobody.notifications.is_empty() && !nobody.more);
}

/// C10: a snapshot and the changes after its cursors say what a fresh snapshot says.
pub async fn a_snapshot_and_its_changes_agree(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann", "bob"]).await;
    let sent = world.send_all(&tea, "ann", &["one", "two"]).await;
    world.notify("bob", "n1", "").await;
    let snapshot = world.snapshot(&user("bob"), 10, 10).await.expect("snapshot");
    let room_at: Cursor = snapshot.rooms[0].cursor.parse().expect("a cursor");
    let user_at: Cursor = snapshot.cursor.parse().expect("a cursor");
    let mut resumed = Client::default();
    resumed.apply(&world.since(&room_feed(&tea), Cursor::START).await.changes);

    world.send(&tea, "ann", "three").await;
    world.edit(&sent[1].id, "zwei").await;
    world.change_room(&tea, |row| row.name = "Tea".to_owned()).await;
    world.read(&tea, "bob", sent[0].seq).await;
    world.read_notification("bob", "n1").await;

    let fresh = world.snapshot(&user("bob"), 10, 10).await.expect("snapshot");
    let changes = world.since(&room_feed(&tea), room_at).await;
    assert_eq!(Cursor { seq: changes.to, check: changes.check }.to_string(), fresh.rooms[0].cursor);
    assert_eq!(seqs(&changes.changes), [6, 7, 8]);
    resumed.apply(&changes.changes);
    let mut client = Client::default();
    client.apply(&world.since(&room_feed(&tea), Cursor::START).await.changes);
    assert_eq!(resumed, client);
    let Some(Thing::Details(details)) = &changes.changes[2].thing else { panic!("{changes:?}") };
    assert_eq!(fresh.rooms[0].details.as_ref(), Some(details));

    let changes = world.since(&user_feed("bob"), user_at).await;
    assert_eq!(Cursor { seq: changes.to, check: changes.check }.to_string(), fresh.cursor);
    let Some(Thing::Membership(membership)) = &changes.changes[0].thing else { panic!("{changes:?}") };
    assert_eq!((membership.unread, membership.read_seq), (fresh.rooms[0].unread, fresh.rooms[0].read_seq));
    assert_eq!((membership.unread, fresh.notifications.len()), (2, 0));
}
