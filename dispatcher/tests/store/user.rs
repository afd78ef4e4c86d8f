//! Users: notifications, whom they know, when they were seen.

use std::sync::Arc;

use dispatcher::store::{FollowAsk, Store};
use proto::RoomId;
use proto::v1::{Notification, RoomKind};

use super::world::{World, now, room, user, users};

/// Newest first, page by page, all or the unread ones.
pub async fn notifications_are_paged_backwards(store: Arc<dyn Store>) {
    let world = World(store);
    for i in 0..5 {
        // Ids do not say which is newer; times do.
        world.notify("ann", &format!("n{}", 9 - i), &format!("k{i}")).await;
        world.notify("bob", &format!("n{}", 9 - i), "").await;
    }
    world.read_notification("ann", "n8").await;
    let page = async |unread_only, before: &str, limit| {
        let (list, more, unread) =
            world.notifications(&user("ann"), unread_only, before, limit).await.expect("notifications");
        (list.iter().map(|n: &Notification| n.id.clone()).collect::<Vec<_>>().join(" "), more, unread)
    };
    assert_eq!(page(false, "", 10).await, ("n5 n6 n7 n8 n9".to_owned(), false, 4));
    assert_eq!(page(false, "", 2).await, ("n5 n6".to_owned(), true, 4));
    assert_eq!(page(false, "n6", 2).await, ("n7 n8".to_owned(), true, 4));
    assert_eq!(page(false, "n8", 2).await, ("n9".to_owned(), false, 4));
    assert_eq!(page(false, "n9", 2).await, (String::new(), false, 4));
    assert_eq!(page(true, "", 10).await, ("n5 n6 n7 n9".to_owned(), false, 4));
    assert_eq!(page(true, "", 3).await, ("n5 n6 n7".to_owned(), true, 4));
    assert_eq!(page(true, "n7", 3).await, ("n9".to_owned(), false, 4));
    assert_eq!(page(true, "n8", 3).await, ("n9".to_owned(), false, 4));

    let (list, ..) = world.notifications(&user("ann"), false, "n7", 1).await.expect("notifications");
    assert!(list[0].read_at != 0 && list[0].time != 0);
    assert_eq!(
        world.notifications(&user("eve"), false, "", 9).await.expect("notifications"),
        (vec![], false, 0)
    );
}

/// For each user the active rooms that are small enough.
pub async fn rooms_of_users_are_told(store: Arc<dyn Store>) {
    let world = World(store);
    world.group("big", &["ann", "bob", "cat"]).await;
    world.group("two", &["ann", "bob"]).await;
    world.room("d", RoomKind::Direct, &["ann", "cat"]).await;
    let gone = world.group("gone", &["ann", "bob"]).await;
    world.change_room(&gone, |row| row.deleted_at = now()).await;
    world.remove(&room("two"), &["bob"]).await;
    let rooms = async |ids: &[&str], max| {
        let mut rooms = world.rooms_of(&users(ids), max).await.expect("rooms");
        rooms.iter_mut().for_each(|rooms| rooms.sort());
        let one = |rooms: Vec<RoomId>| rooms.iter().map(RoomId::as_str).collect::<Vec<_>>().join(" ");
        rooms.into_iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(rooms(&["cat", "nobody", "ann", "bob"], 3).await, ["big d", "", "big d two", "big"]);
    assert_eq!(rooms(&["ann", "bob", "cat"], 2).await, ["d two", "", "d"]);
    assert_eq!(rooms(&["ann"], 1).await, ["two"]);
    assert_eq!(rooms(&["ann"], u32::MAX).await, ["big d two"]);
    assert_eq!(rooms(&[], 3).await, [""; 0]);
}

/// P5: presence is told to those who share a room, and to oneself.
pub async fn acquainted_share_a_room(store: Arc<dyn Store>) {
    let world = World(store);
    world.group("tea", &["ann", "bob", "cat"]).await;
    world.room("d", RoomKind::Direct, &["ann", "dan"]).await;
    world.group("art", &["eve", "bob"]).await;
    let gone = world.group("gone", &["ann", "fay"]).await;
    world.change_room(&gone, |row| row.deleted_at = now()).await;
    world.remove(&room("tea"), &["cat"]).await;
    world.record_last_seen(&[(user("bob"), 77)]).await.expect("record");
    let others = users(&["ann", "bob", "cat", "dan", "eve", "fay", "nobody"]);
    let known = async |id: &str| {
        let mut known = world.acquainted(&user(id), &others).await.expect("acquainted");
        known.sort();
        known.into_iter().map(|(id, seen)| format!("{id} {seen}")).collect::<Vec<_>>()
    };
    assert_eq!(known("ann").await, ["ann 0", "bob 77", "dan 0"]);
    assert_eq!(known("bob").await, ["ann 0", "bob 77", "eve 0"]);
    assert_eq!(known("cat").await, ["cat 0"]);
    assert_eq!(known("eve").await, ["bob 77", "eve 0"]);
    assert_eq!(known("nobody").await, ["nobody 0"]);
    assert_eq!(world.acquainted(&user("ann"), &[]).await.expect("acquainted"), []);
}

/// Last seen moves forward, never back, for users who are known.
pub async fn last_seen_moves_forward_only(store: Arc<dyn Store>) {
    let world = World(store);
    world.group("tea", &["ann", "bob"]).await;
    let name = "Cat".to_owned();
    let ask = FollowAsk { user: user("cat"), name, room: None, since: None };
    world.follow(&[ask], 1).await.expect("follow");
    let seen = async |id: &str| {
        world.transaction().await.lock_users(&users(&[id])).await.expect("lock")[0].last_seen
    };
    let times = [(user("ann"), 500), (user("nobody"), 500), (user("cat"), 1_700_000_000_000)];
    world.record_last_seen(&times).await.expect("record");
    assert_eq!((seen("ann").await, seen("bob").await), (500, 0));
    assert_eq!(seen("cat").await, 1_700_000_000_000);
    world.record_last_seen(&[(user("ann"), 400), (user("bob"), 1)]).await.expect("record");
    assert_eq!((seen("ann").await, seen("bob").await), (500, 1));
    world.record_last_seen(&[(user("ann"), 501)]).await.expect("record");
    assert_eq!(seen("ann").await, 501);
    // One user twice in a batch: the later time.
    let twice = [(user("ann"), 900), (user("ann"), 700)];
    world.record_last_seen(&twice).await.expect("record");
    assert_eq!(seen("ann").await, 900);
    world.record_last_seen(&[]).await.expect("record");
    assert_eq!(
        world.acquainted(&user("nobody"), &users(&["nobody"])).await.expect("read"),
        [(user("nobody"), 0)]
    );
}

/// A store that is there says so.
pub async fn a_store_answers_a_ping(store: Arc<dyn Store>) {
    store.ping().await.expect("ping");
}
