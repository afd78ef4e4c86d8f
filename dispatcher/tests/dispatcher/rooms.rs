//! Rooms: who creates, renames and deletes them, and what a repeat answers.

use proto::node::command::Action;
use proto::node::{CreateRoom, DeleteRoom};
use proto::v1::{Role, RoomKind};

use crate::rig::*;

#[tokio::test]
async fn a_group_has_its_creator_as_owner() {
    let rig = Rig::new().await;
    let room = rig.create(&user("ann"), group("Book club", &["bob", "ann"])).await;
    assert_eq!((room.members, room.name.as_str(), room.created_by.as_str()), (2, "Book club", "ann"));
    assert_eq!(rig.role(&room.id, "ann").await, Some((Role::Owner, true)));
    assert_eq!(rig.role(&room.id, "bob").await, Some((Role::Member, true)));
    assert_eq!(rig.role(&room.id, "eve").await, None);
}

#[tokio::test]
async fn p4_a_key_creates_one_group() {
    let rig = Rig::new().await;
    let keyed = |key: &str| CreateRoom { key: key.into(), ..group("G", &["bob"]) };
    let first = rig.create(&user("ann"), keyed("k")).await;
    assert_eq!(rig.create(&user("ann"), keyed("k")).await, first);
    assert_ne!(rig.create(&user("ann"), keyed("l")).await.id, first.id);
    assert_ne!(rig.create(&user("bob"), keyed("k")).await.id, first.id);
    let other = CreateRoom { key: "k".into(), ..public("P") };
    assert_eq!(rig.refused(&user("ann"), Action::CreateRoom(other)).await, "key_conflict");
}

#[tokio::test]
async fn p4_two_users_have_one_direct_room_even_when_both_create_it_at_once() {
    let rig = Rig::new().await;
    let (ann, bob) = (user("ann"), user("bob"));
    let rooms = futures_util::future::join_all((0..10).map(|n| {
        let (actor, with) = if n % 2 == 0 { (&ann, "bob") } else { (&bob, "ann") };
        rig.create(actor, direct(with))
    }))
    .await;
    assert!(rooms.iter().all(|room| room.id == rooms[0].id && room.members == 2), "{rooms:?}");
    assert_eq!(rig.changes(&room_feed(&rooms[0].id)).await.len(), 3);
    assert_eq!(rig.role(&rooms[0].id, "ann").await, Some((Role::Member, true)));
}

#[tokio::test]
async fn a_direct_room_is_of_two_and_stays_as_it_is() {
    let rig = Rig::new().await;
    let ann = user("ann");
    let refused = |create: CreateRoom| rig.refused(&ann, Action::CreateRoom(create));
    assert_eq!(refused(direct("ann")).await, "invalid");
    assert_eq!(refused(CreateRoom { members: names(&["bob", "cid"]), ..direct("bob") }).await, "invalid");
    assert_eq!(refused(CreateRoom { members: vec![], ..direct("bob") }).await, "invalid");
    assert_eq!(refused(CreateRoom { kind: 9, ..direct("bob") }).await, "invalid");
    assert_eq!(refused(direct("b b")).await, "invalid");

    let room = rig.create(&ann, direct("bob")).await.id;
    for action in [
        rename(&room, "Us"),
        add(&room, &["cid"]),
        remove(&room, "ann"),
        remove(&room, "bob"),
        role(&room, "bob", Role::Owner),
        Action::DeleteRoom(DeleteRoom { room: room.clone() }),
    ] {
        assert_eq!(rig.refused(&ann, action.clone()).await, "conflict", "{action:?}");
        assert_eq!(rig.refused(&user("eve"), action.clone()).await, "not_member", "{action:?}");
    }
}

#[tokio::test]
async fn the_service_creates_rooms_for_others() {
    let rig = Rig::new().await;
    let room =
        rig.create(&service(), CreateRoom { id: "team-1".into(), ..group("T", &["bob", "ann"]) }).await;
    assert_eq!((room.id.as_str(), room.members), ("team-1", 2));
    assert_eq!(rig.role("team-1", "bob").await, Some((Role::Owner, true)));
    assert_eq!(rig.role("team-1", "backend").await, None);
    let pair = CreateRoom { members: names(&["ann", "bob"]), ..direct("") };
    let pair = rig.create(&service(), pair).await;
    assert_eq!(rig.create(&user("bob"), direct("ann")).await, pair);

    // An id is given once.
    let again = CreateRoom { id: "team-1".into(), ..group("T", &["bob", "ann"]) };
    assert_eq!(rig.create(&service(), again.clone()).await.id, "team-1");
    assert_eq!(rig.refused(&user("eve"), Action::CreateRoom(again)).await, "conflict");
    let lobby = CreateRoom { id: "lobby".into(), ..public("Lobby") };
    let first = rig.create(&user("ann"), lobby.clone()).await;
    assert_eq!(rig.create(&user("bob"), lobby).await.id, first.id);
}

#[tokio::test]
async fn rooms_are_renamed_by_admins_and_the_owner() {
    let rig = Rig::new().await;
    let room = rig.group("ann", &["bob", "cid"]).await;
    rig.run(&user("ann"), role(&room, "bob", Role::Admin)).await;
    let cases = [("ann", "ok"), ("bob", "ok"), ("cid", "forbidden"), ("eve", "not_member")];
    for (who, expected) in cases {
        assert_eq!(rig.refused(&user(who), rename(&room, &format!("by {who}"))).await, expected);
    }
    assert_eq!(rig.refused(&service(), rename(&room, "by the service")).await, "ok");
    for bad in ["", " ", "a\nb", "a\0b"] {
        assert_eq!(rig.refused(&user("ann"), rename(&room, bad)).await, "invalid");
    }
    assert_eq!(rig.refused(&user("ann"), rename(&room, &"x".repeat(300))).await, "too_large");
    assert_eq!(rig.refused(&user("ann"), rename("nowhere", "x")).await, "not_member");

    // The same name again changes nothing.
    let before = rig.store.heads(&[room_feed(&room)]).await.unwrap();
    assert_eq!(rig.refused(&user("ann"), rename(&room, "by the service")).await, "ok");
    assert_eq!(rig.store.heads(&[room_feed(&room)]).await.unwrap(), before);
}

#[tokio::test]
async fn a_deleted_room_is_gone_for_everybody() {
    let rig = Rig::new().await;
    let room = rig.group("ann", &["bob"]).await;
    let heard = rig.hear(&room_feed(&room)).await;
    let bobs = rig.hear(&user_feed("bob")).await;
    let gone = Action::DeleteRoom(DeleteRoom { room: room.clone() });
    assert_eq!(rig.refused(&user("bob"), gone.clone()).await, "forbidden");
    assert_eq!(rig.refused(&user("eve"), gone.clone()).await, "not_member");
    assert_eq!(rig.refused(&user("ann"), gone.clone()).await, "ok");
    // A repeat, as after a lost answer.
    assert_eq!(rig.refused(&user("ann"), gone.clone()).await, "ok");
    assert_eq!(rig.refused(&user("bob"), gone).await, "not_member");

    assert_eq!(rig.refused(&user("ann"), send(&room, "k", "hi")).await, "not_member");
    assert_eq!(rig.follow(&user("ann"), &room, "").await.unwrap_err(), "not_member");
    assert_eq!(rig.refused(&user("ann"), rename(&room, "x")).await, "not_member");
    let told = heard.up_to(4).await;
    let details = told.iter().find_map(|change| match &change.thing {
        Some(proto::v1::change::Thing::Details(details)) => Some(details),
        _ => None,
    });
    assert_ne!(details.unwrap().deleted_at, 0);
    bobs.up_to(2).await;
}

#[tokio::test]
async fn anybody_joins_a_public_room_by_following_it() {
    let rig = Rig::new().await;
    let room = rig.create(&user("ann"), public("Town hall")).await;
    assert_eq!(room.kind(), RoomKind::Public);
    assert_eq!(rig.role(&room.id, "ann").await, Some((Role::Owner, true)));
    let joined = rig.follow(&user("bob"), &room.id, "").await.unwrap();
    // Two at creation, then the member and the count.
    assert_eq!(joined.to, 4);
    assert_eq!(rig.role(&room.id, "bob").await, Some((Role::Member, true)));
    rig.send("bob", &room.id, "k", "hello").await;
    assert_eq!(rig.refused(&user("bob"), add(&room.id, &["cid"])).await, "forbidden");
    assert_eq!(rig.refused(&user("ann"), add(&room.id, &["cid"])).await, "forbidden");
    assert_eq!(rig.refused(&user("cid"), add(&room.id, &["cid"])).await, "ok");
    assert_eq!(rig.refused(&service(), add(&room.id, &["dan"])).await, "ok");
}
