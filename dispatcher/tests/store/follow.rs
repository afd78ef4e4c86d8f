//! Joining: may this user hear this feed, and what did they miss (P3, P5).

use std::sync::Arc;

use dispatcher::store::{FollowAnswer, FollowAsk, Store};
use proto::node::FeedChanges;
use proto::v1::{Member, RoomKind, change::Thing};
use proto::{Cursor, RoomId};

use super::world::{World, now, room, room_feed, seqs, user, user_feed};

fn ask(id: &str, room: Option<&RoomId>, since: Option<Cursor>) -> FollowAsk {
    FollowAsk { user: user(id), name: format!("{id}'s name"), room: room.cloned(), since }
}

async fn one(world: &World, ask: FollowAsk) -> FollowAnswer {
    let mut answers = world.follow(&[ask], 100).await.expect("follow");
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

fn changes(answer: FollowAnswer) -> FeedChanges {
    match answer {
        FollowAnswer::Changes { changes, .. } => changes,
        other => panic!("refused: {other:?}"),
    }
}

/// One answer each, in order, as if each had been asked alone.
pub async fn follows_are_answered_in_order(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann", "bob"]).await;
    let hall = world.room("hall", RoomKind::Public, &["bob"]).await;
    let away = world.cursor(&room_feed(&tea)).await;
    world.send_all(&tea, "ann", &["one", "two"]).await;
    let head = world.cursor(&room_feed(&tea)).await;
    let asks = [
        ask("ann", Some(&tea), None),
        ask("bob", None, Some(Cursor::START)),
        ask("eve", Some(&tea), Some(Cursor::START)),
        ask("eve", Some(&hall), None),
        ask("bob", Some(&tea), Some(away)),
        ask("bob", Some(&tea), Some(head)),
        ask("ann", Some(&tea), Some(Cursor { check: head.check ^ 1, ..head })),
        ask("ann", Some(&room("void")), None),
        ask("bob", Some(&hall), Some(Cursor::START)),
    ];
    let answers = world.follow(&asks, 100).await.expect("follow");
    assert_eq!(answers.len(), asks.len());
    let mut answers = answers.into_iter();
    let mut next = || answers.next().expect("one each");

    // From now on: at the head, with nothing to catch up on.
    let now = FeedChanges { from: head.seq, to: head.seq, check: head.check, ..Default::default() };
    assert_eq!(next(), FollowAnswer::Changes { changes: now.clone(), revoked_before: 0 });
    assert_eq!(seqs(&changes(next()).changes), [1, 2]);
    assert_eq!(next(), FollowAnswer::NotMember);
    assert_eq!(next(), FollowAnswer::PublicRoom);
    let missed = changes(next());
    assert_eq!((missed.from, missed.to, seqs(&missed.changes)), (3, 5, vec![4, 5]));
    assert_eq!(missed, world.since(&room_feed(&tea), away).await);
    assert_eq!(changes(next()), now);
    let reset = changes(next());
    assert!(reset.reset && reset.changes.is_empty());
    assert_eq!(next(), FollowAnswer::NotMember);
    assert_eq!(seqs(&changes(next()).changes), [1, 2]);
    assert_eq!(world.follow(&[], 100).await.expect("follow"), []);
}

/// Each answer is cut to the limit by itself.
pub async fn a_follow_is_cut_to_the_limit(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann"]).await;
    world.send_all(&tea, "ann", &["one", "two", "three"]).await;
    let asks = [ask("ann", Some(&tea), Some(Cursor::START)), ask("ann", None, Some(Cursor::START))];
    let answers = world.follow(&asks, 2).await.expect("follow");
    let [first, second] = answers.try_into().expect("one each");
    let first = changes(first);
    assert_eq!((first.to, first.more, seqs(&first.changes)), (2, true, vec![1, 2]));
    let second = changes(second);
    assert_eq!((second.to, second.more, seqs(&second.changes)), (1, false, vec![1]));
}

/// P5: strangers, the removed, and everybody once the room is gone.
pub async fn only_active_members_follow_a_room(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann", "bob"]).await;
    let hall = world.room("hall", RoomKind::Public, &["ann", "bob"]).await;
    let direct = world.room("d", RoomKind::Direct, &["ann", "bob"]).await;
    for room in [&tea, &hall, &direct] {
        changes(one(&world, ask("bob", Some(room), None)).await);
    }
    assert_eq!(one(&world, ask("eve", Some(&tea), None)).await, FollowAnswer::NotMember);
    assert_eq!(one(&world, ask("eve", Some(&direct), None)).await, FollowAnswer::NotMember);
    world.remove(&tea, &["bob"]).await;
    world.remove(&hall, &["bob"]).await;
    assert_eq!(one(&world, ask("bob", Some(&tea), Some(Cursor::START))).await, FollowAnswer::NotMember);
    assert_eq!(one(&world, ask("bob", Some(&hall), None)).await, FollowAnswer::PublicRoom);
    world.add(&tea, &["bob"]).await;
    changes(one(&world, ask("bob", Some(&tea), None)).await);

    for room in [&tea, &hall] {
        world.change_room(room, |row| row.deleted_at = now()).await;
        for id in ["ann", "bob", "eve"] {
            assert_eq!(one(&world, ask(id, Some(room), None)).await, FollowAnswer::NotMember);
        }
    }
}

/// P5: a revocation is told with the user's own feed, and with nothing else.
pub async fn a_revocation_is_told_with_the_own_feed(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann", "bob"]).await;
    world.revoke("ann", 1_234_567_890).await;
    let revoked = |answer| match answer {
        FollowAnswer::Changes { revoked_before, .. } => revoked_before,
        other => panic!("refused: {other:?}"),
    };
    assert_eq!(revoked(one(&world, ask("ann", None, None)).await), 1_234_567_890);
    assert_eq!(revoked(one(&world, ask("ann", Some(&tea), None)).await), 0);
    assert_eq!(revoked(one(&world, ask("bob", None, None)).await), 0);
}

/// A name is kept from the token, and shown from then on; an empty one says nothing.
pub async fn names_are_kept_from_the_own_feed(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann", "bob"]).await;
    let name = async |id: &str| world.member(&tea, &user(id)).await.expect("read").expect("a member").name;
    assert_eq!(name("ann").await, "");
    one(&world, FollowAsk { name: "Ann 🫖".to_owned(), ..ask("ann", None, None) }).await;
    assert_eq!(name("ann").await, "Ann 🫖");
    one(&world, FollowAsk { name: String::new(), ..ask("ann", None, None) }).await;
    one(&world, FollowAsk { name: "elsewhere".to_owned(), ..ask("ann", Some(&tea), None) }).await;
    assert_eq!(name("ann").await, "Ann 🫖");
    one(&world, FollowAsk { name: "Annie".to_owned(), ..ask("ann", None, None) }).await;
    assert_eq!(name("ann").await, "Annie");

    // Keeping a name is no change of any feed.
    assert_eq!(world.heads(&[user_feed("ann"), room_feed(&tea)]).await.expect("heads"), [1, 3]);
    let changes = world.since(&room_feed(&tea), Cursor::START).await;
    let Some(Thing::Member(Member { name, .. })) = &changes.changes[1].thing else { panic!("{changes:?}") };
    assert_eq!(name, "Annie");
    assert_eq!(world.members(&tea, "", 10).await.expect("read").0[0].name, "Annie");
}

/// A user who is new follows their own feed from its beginning.
pub async fn a_new_user_follows_an_empty_feed(store: Arc<dyn Store>) {
    let world = World(store);
    let asks = [ask("new", None, None), ask("newer", None, Some(Cursor::START)), ask("new", None, None)];
    let empty = FollowAnswer::Changes { changes: FeedChanges::default(), revoked_before: 0 };
    assert_eq!(world.follow(&asks, 10).await.expect("follow"), [empty.clone(), empty.clone(), empty]);
    world.notify("new", "n1", "").await;
    assert_eq!(changes(one(&world, ask("new", None, Some(Cursor::START))).await).to, 1);
}
