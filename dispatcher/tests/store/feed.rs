//! Feeds: what a client that was away is told (P3), and when it must start anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use dispatcher::store::Store;
use proto::v1::{Change, RoomKind, change::Thing};
use proto::{Cursor, FeedId};

use super::world::{World, changed_message, room, room_feed, seqs, user_feed};

/// A client that applies changes as the protocol says: an upsert by id.
#[derive(Debug, Default, PartialEq, Clone)]
pub struct Client(BTreeMap<String, Change>);

impl Client {
    /// Applies changes, each unless it was overtaken.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            let thing = match change.thing.as_ref().expect("a thing") {
                Thing::Message(message) => format!("message {}", message.id),
                Thing::Member(member) => format!("member {}", member.user),
                Thing::Details(_) => "details".to_owned(),
                Thing::Notification(notification) => format!("notification {}", notification.id),
                Thing::Membership(membership) => format!("membership {}", membership.room),
                Thing::Revocation(_) => "revocation".to_owned(),
            };
            if self.0.get(&thing).is_none_or(|known| known.seq < change.seq) {
                self.0.insert(thing, change.clone());
            }
        }
    }

    /// Reads a feed from `since` to its end, `limit` changes at a time.
    pub async fn catch_up(&mut self, world: &World, feed: &FeedId, since: Cursor, limit: usize) -> Cursor {
        let mut cursor = since;
        loop {
            let page = world.changes(feed, cursor, limit).await.expect("changes");
            assert!(!page.reset, "{cursor}");
            assert_eq!(page.from, cursor.seq);
            assert!(page.changes.len() <= limit);
            assert!(page.changes.is_sorted_by(|a, b| a.seq < b.seq), "{:?}", seqs(&page.changes));
            assert!(page.changes.iter().all(|change| change.seq > cursor.seq && change.seq <= page.to));
            self.apply(&page.changes);
            cursor = Cursor { seq: page.to, check: page.check };
            if !page.more {
                return cursor;
            }
            assert_eq!(page.changes.last().expect("not empty").cursor(), cursor);
        }
    }
}

/// P3: edits, deletions, members and the room itself, each in its newest state.
pub async fn changes_are_folded_to_the_newest_state(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann", "bob"]).await;
    let feed = room_feed(&tea);
    let sent = world.send_all(&tea, "ann", &["one", "two", "three"]).await;
    let away = world.cursor(&feed).await;
    assert_eq!(away.seq, 6);

    world.edit(&sent[0].id, "uno").await; // 7
    world.edit(&sent[1].id, "due").await; // 8
    world.add(&tea, &["eve"]).await; // 9
    world.delete(&sent[1].id).await; // 10
    let four = world.send(&tea, "eve", "four").await; // 11
    world.remove(&tea, &["eve"]).await; // 12
    world.change_room(&tea, |row| row.name = "Tea".to_owned()).await; // 13
    world.edit(&four.id, "quattro").await; // 14

    let changes = world.since(&feed, away).await;
    assert_eq!(seqs(&changes.changes), [7, 10, 12, 13, 14]);
    assert_eq!((changes.to, changes.reset), (14, false));
    assert_eq!(changed_message(&changes.changes[0]).text, "uno");
    let deleted = changed_message(&changes.changes[1]);
    assert_eq!((deleted.text.as_str(), deleted.deleted_at != 0, deleted.seq), ("", true, 5));
    let Some(Thing::Member(eve)) = &changes.changes[2].thing else { panic!("{changes:?}") };
    assert_eq!((eve.user.as_str(), eve.active), ("eve", false));
    let Some(Thing::Details(details)) = &changes.changes[3].thing else { panic!("{changes:?}") };
    assert_eq!((details.id.as_str(), details.name.as_str(), details.members), ("tea", "Tea", 2));
    assert_eq!(changed_message(&changes.changes[4]).text, "quattro");
    assert_eq!(changes.changes[4].check, changes.check);

    // Up to date: nothing, and the same place.
    let now = Cursor { seq: changes.to, check: changes.check };
    let changes = world.since(&feed, now).await;
    assert_eq!((changes.to, changes.check, changes.changes.len()), (now.seq, now.check, 0));

    // From the start: everything once.
    let changes = world.since(&feed, Cursor::START).await;
    assert_eq!(seqs(&changes.changes), [2, 3, 6, 7, 10, 12, 13, 14]);
}

/// P3: pages of any size lead to the same end, and each is a place to go on from.
pub async fn pages_of_changes_add_up(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann", "bob", "cat"]).await;
    let feed = room_feed(&tea);
    let mut live = Vec::new();
    for i in 0..12 {
        let sent = world.send(&tea, ["ann", "bob", "cat"][i % 3], &format!("m{i}")).await;
        match i % 4 {
            0 => drop(world.edit(&sent.id, &format!("m{i}, edited")).await),
            1 => drop(world.delete(&sent.id).await),
            2 => world.add(&tea, &[["dan", "eve", "fay"][i / 4]]).await,
            _ => drop(world.change_room(&tea, |row| row.name = format!("Tea {i}")).await),
        }
        live.push(world.cursor(&feed).await);
    }
    let all = world.since(&feed, Cursor::START).await;
    let mut whole = Client::default();
    whole.apply(&all.changes);
    for limit in [1, 2, 3, 7, 100] {
        let mut client = Client::default();
        let end = client.catch_up(&world, &feed, Cursor::START, limit).await;
        assert_eq!(client, whole, "{limit} at a time");
        assert_eq!(end, *live.last().expect("not empty"));
    }
    // The last page may be full without being followed by another.
    let page = world.changes(&feed, Cursor::START, all.changes.len()).await.expect("changes");
    assert!(!page.more);
    let page = world.changes(&feed, Cursor::START, all.changes.len() - 1).await.expect("changes");
    assert!(page.more);

    // Whoever stopped anywhere gets to the same end.
    for cursor in live {
        let mut client = Client::default();
        let before = all.changes.iter().filter(|change| change.seq <= cursor.seq);
        client.apply(&before.cloned().collect::<Vec<_>>());
        client.catch_up(&world, &feed, cursor, 2).await;
        assert_eq!(client, whole, "from {cursor}");
    }
}

/// F14, S22: a cursor that this store did not give out is never served.
pub async fn a_foreign_cursor_is_reset(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann"]).await;
    let art = world.group("art", &["ann"]).await;
    let feed = room_feed(&tea);
    let mut given = vec![world.cursor(&feed).await];
    let sent = world.send(&tea, "ann", "one").await;
    given.push(world.cursor(&feed).await);
    world.edit(&sent.id, "uno").await;
    given.push(world.cursor(&feed).await);
    world.send(&tea, "ann", "two").await;
    given.push(world.cursor(&feed).await);
    world.add(&tea, &["bob"]).await;
    world.send_all(&art, "ann", &["a", "b", "c", "d", "e"]).await;
    let head = world.cursor(&feed).await;
    given.push(head);
    for cursor in &given {
        assert!(!world.since(&feed, *cursor).await.reset, "{cursor}");
    }

    let mut foreign = Vec::new();
    for cursor in &given {
        foreign.push(Cursor { check: cursor.check ^ 1, ..*cursor });
        foreign.push(Cursor { check: 0, ..*cursor });
    }
    // The future, also the farthest.
    for seq in [head.seq + 1, head.seq + 1_000, 1 << 36, i64::MAX as u64] {
        foreign.push(Cursor { seq, check: head.check });
    }
    foreign.push(Cursor { seq: 0, check: 1 });
    // Another room's, with a seq that is known here too.
    foreign.push(world.cursor(&room_feed(&art)).await);
    foreign.push(world.cursor(&user_feed("ann")).await);
    for cursor in foreign {
        let changes = world.changes(&feed, cursor, 100).await.expect("changes");
        assert!(changes.reset, "{cursor}");
        assert_eq!((changes.from, changes.to, changes.check), (cursor.seq, head.seq, head.check));
        assert!(changes.changes.is_empty() && !changes.more);
    }

    let own = user_feed("ann");
    let head = world.cursor(&own).await;
    assert_eq!(head.seq, 2);
    let first = world.changes(&own, Cursor::START, 1).await.expect("changes");
    let first = Cursor { seq: first.to, check: first.check };
    assert!(!world.since(&own, first).await.reset);
    for cursor in [
        Cursor { check: first.check ^ 1, ..first },
        Cursor { check: head.check ^ 1, ..head },
        Cursor { seq: 3, check: head.check },
        Cursor { seq: i64::MAX as u64, check: 0 },
    ] {
        assert!(world.since(&own, cursor).await.reset, "{cursor}");
    }
}

/// A feed that does not exist has head 0 and nothing in it.
pub async fn an_unknown_feed_is_empty(store: Arc<dyn Store>) {
    let world = World(store);
    for feed in [room_feed(&room("void")), user_feed("nobody")] {
        let changes = world.since(&feed, Cursor::START).await;
        assert_eq!((changes.to, changes.check, changes.changes.len(), changes.reset), (0, 0, 0, false));
        let changes = world.since(&feed, Cursor { seq: 3, check: 4 }).await;
        assert_eq!((changes.to, changes.changes.len(), changes.reset), (0, 0, true));
    }
}

/// A user's feed: memberships, notifications, read marks, revocations.
pub async fn a_users_feed_tells_what_concerns_them(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann", "bob"]).await; // 1
    world.notify("bob", "n1", "").await; // 2
    let art = world.room("art", RoomKind::Public, &["bob"]).await; // 3
    world.notify("bob", "n2", "").await; // 4
    world.send_all(&tea, "ann", &["one", "two", "three"]).await;
    let feed = user_feed("bob");
    let changes = world.since(&feed, Cursor::START).await;
    assert_eq!(seqs(&changes.changes), [1, 2, 3, 4]);
    let Some(Thing::Membership(membership)) = &changes.changes[0].thing else { panic!("{changes:?}") };
    assert_eq!((membership.room.as_str(), membership.active), ("tea", true));
    assert_eq!((membership.read_seq, membership.unread), (0, 3));
    let Some(Thing::Notification(notification)) = &changes.changes[1].thing else { panic!("{changes:?}") };
    assert_eq!(notification.id, "n1");
    assert_eq!((notification.r#type.as_str(), &notification.data[..]), ("LIKE", r#"{"post":"🔔 7"}"#));

    let away = Cursor { seq: changes.to, check: changes.check };
    world.read(&tea, "bob", 5).await; // 5
    world.read_notification("bob", "n1").await; // 6
    world.revoke("bob", 1_000).await; // 7
    world.remove(&art, &["bob"]).await; // 8
    let changes = world.since(&feed, away).await;
    assert_eq!(seqs(&changes.changes), [5, 6, 7, 8]);
    let Some(Thing::Membership(membership)) = &changes.changes[0].thing else { panic!("{changes:?}") };
    assert_eq!((membership.room.as_str(), membership.read_seq, membership.unread), ("tea", 5, 1));
    let Some(Thing::Notification(notification)) = &changes.changes[1].thing else { panic!("{changes:?}") };
    assert!(notification.read_at != 0);
    let Some(Thing::Revocation(revocation)) = &changes.changes[2].thing else { panic!("{changes:?}") };
    assert_eq!(revocation.issued_before, 1_000);
    let Some(Thing::Membership(membership)) = &changes.changes[3].thing else { panic!("{changes:?}") };
    assert_eq!((membership.room.as_str(), membership.active), ("art", false));

    let all = world.since(&feed, Cursor::START).await;
    assert_eq!(seqs(&all.changes), [1 + 3, 5, 6, 7, 8]);
    for limit in [1, 2, 3] {
        let mut whole = Client::default();
        whole.apply(&all.changes);
        let mut client = Client::default();
        client.catch_up(&world, &feed, Cursor::START, limit).await;
        assert_eq!(client, whole);
    }
    assert_eq!(seqs(&world.since(&user_feed("ann"), Cursor::START).await.changes), [1]);
}

/// The heads of feeds, in the order asked for.
pub async fn heads_are_told_in_order(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann", "bob"]).await;
    world.send(&tea, "ann", "one").await;
    // A user and a room of one name are two feeds.
    let ann = world.group("ann", &["bob"]).await;
    let feeds = [
        user_feed("bob"),
        room_feed(&room("void")),
        room_feed(&tea),
        user_feed("nobody"),
        user_feed("ann"),
        room_feed(&ann),
        room_feed(&tea),
    ];
    assert_eq!(world.heads(&feeds).await.expect("heads"), [2, 0, 4, 0, 1, 2, 4]);
    assert!(world.heads(&[]).await.expect("heads").is_empty());
}

/// P3: what changed lately is announced, by whichever means it changed.
pub async fn heads_of_active_feeds_are_recent(store: Arc<dyn Store>) {
    let world = World(store);
    assert_eq!(world.recent_heads(60).await.expect("heads"), []);
    let tea = world.group("tea", &["ann", "bob"]).await;
    let art = world.group("art", &["ann"]).await;
    world.send_all(&tea, "ann", &["one", "two"]).await;
    world.notify("eve", "n1", "").await;
    let expected = [
        (room_feed(&art), 2),
        (room_feed(&tea), 5),
        (user_feed("ann"), 2),
        (user_feed("bob"), 1),
        (user_feed("eve"), 1),
    ];
    let recent = || async {
        let mut heads = world.recent_heads(60).await.expect("heads");
        heads.sort();
        heads
    };
    assert_eq!(recent().await, expected);
    // What is forgotten is older than a minute.
    world.forget_old_activity().await.expect("forget");
    assert_eq!(recent().await, expected);
}

/// P3: a deleted room says so in its feed, and keeps its history to itself.
pub async fn a_deleted_room_ends_with_its_details(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann"]).await;
    let away = world.cursor(&room_feed(&tea)).await;
    world.change_room(&tea, |row| row.deleted_at = 77).await;
    let changes = world.since(&room_feed(&tea), away).await;
    let Some(Thing::Details(details)) = &changes.changes[0].thing else { panic!("{changes:?}") };
    assert_eq!((changes.changes.len(), details.deleted_at), (1, 77));
}
