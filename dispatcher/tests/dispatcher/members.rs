//! Members: who adds, removes and promotes whom.

use dispatcher::Settings;
use proto::v1::{Role, change::Thing};

use crate::rig::*;

/// ann owns it, bob is an admin, cid a moderator, dan and eli are members.
async fn ranked() -> (Rig, String) {
    let rig = Rig::new().await;
    let room = rig.group("ann", &["bob", "cid", "dan", "eli"]).await;
    rig.run(&user("ann"), role(&room, "bob", Role::Admin)).await;
    rig.run(&user("ann"), role(&room, "cid", Role::Moderator)).await;
    (rig, room)
}

#[tokio::test]
async fn members_are_added_by_admins_and_above() {
    let (rig, room) = ranked().await;
    for (who, expected) in
        [("dan", "forbidden"), ("cid", "forbidden"), ("bob", "ok"), ("ann", "ok"), ("eve", "not_member")]
    {
        let added = rig.refused(&user(who), add(&room, &[&format!("by-{who}")])).await;
        assert_eq!(added, expected, "{who}");
    }
    assert_eq!(rig.refused(&service(), add(&room, &["fay"])).await, "ok");
    assert_eq!(rig.refused(&user("ann"), add("nowhere", &["fay"])).await, "not_member");
    assert_eq!(rig.refused(&user("ann"), add(&room, &[])).await, "invalid");
    assert_eq!(rig.refused(&user("ann"), add(&room, &["f y"])).await, "invalid");

    // Once more changes nothing.
    let before = rig.store.heads(&[room_feed(&room)]).await.unwrap();
    assert_eq!(rig.refused(&user("ann"), add(&room, &["fay"])).await, "ok");
    assert_eq!(rig.store.heads(&[room_feed(&room)]).await.unwrap(), before);
    assert_eq!(rig.role(&room, "fay").await, Some((Role::Member, true)));
}

#[tokio::test]
async fn a_group_has_a_limit() {
    let settings = Settings { max_members: 3, ..Default::default() };
    let rig = Rig::with(settings, |store| store).await;
    let room = rig.group("ann", &["bob"]).await;
    assert_eq!(rig.refused(&user("ann"), add(&room, &["cid", "dan"])).await, "too_large");
    assert_eq!(rig.refused(&user("ann"), add(&room, &["cid", "bob"])).await, "ok");
    assert_eq!(rig.refused(&user("ann"), add(&room, &["dan"])).await, "too_large");
    let four = proto::node::command::Action::CreateRoom(group("G", &["b", "c", "d"]));
    assert_eq!(rig.refused(&user("ann"), four).await, "too_large");
}

#[tokio::test]
async fn members_are_removed_by_a_higher_role() {
    let (rig, room) = ranked().await;
    for (who, whom, expected) in [
        ("dan", "eli", "forbidden"),
        ("cid", "bob", "forbidden"),
        ("cid", "ann", "forbidden"),
        ("bob", "ann", "forbidden"),
        ("eve", "dan", "not_member"),
        ("cid", "dan", "ok"),
        ("cid", "dan", "ok"), // gone already
        ("bob", "cid", "ok"),
        ("ann", "bob", "ok"),
    ] {
        assert_eq!(rig.refused(&user(who), remove(&room, whom)).await, expected, "{who} {whom}");
    }
    assert_eq!(rig.refused(&service(), remove(&room, "eli")).await, "ok");
    assert_eq!(rig.role(&room, "dan").await, Some((Role::Member, false)));
}

#[tokio::test]
async fn p5_a_removed_member_writes_and_reads_nothing() {
    let (rig, room) = ranked().await;
    let sent = rig.send("dan", &room, "before", "hi").await;
    rig.run(&user("ann"), remove(&room, "dan")).await;
    assert_eq!(rig.refused(&user("dan"), send(&room, "after", "hi")).await, "not_member");
    assert_eq!(rig.refused(&user("dan"), edit(&sent.message, "ho")).await, "not_found");
    assert_eq!(rig.refused(&user("dan"), delete(&sent.message)).await, "not_found");
    assert_eq!(rig.refused(&user("dan"), read(&room, 0)).await, "not_member");
    assert_eq!(rig.follow(&user("dan"), &room, "").await.unwrap_err(), "not_member");
    // Back again, they have nothing unread.
    rig.run(&user("ann"), add(&room, &["dan"])).await;
    rig.send("dan", &room, "after", "hi").await;
    let own = rig.changes(&user_feed("dan")).await;
    let Some(Thing::Membership(membership)) = &own.last().unwrap().thing else { panic!("{own:?}") };
    assert_eq!((membership.active, membership.unread), (true, 0));
}

#[tokio::test]
async fn an_owner_who_leaves_hands_the_room_over() {
    let (rig, room) = ranked().await;
    for (leaving, next) in [("ann", "bob"), ("bob", "cid")] {
        assert_eq!(rig.refused(&user(leaving), remove(&room, leaving)).await, "ok");
        assert_eq!(rig.role(&room, leaving).await, Some((Role::Member, false)));
        assert_eq!(rig.role(&room, next).await, Some((Role::Owner, true)));
    }
    // A repeat of a leave is answered like the first; a stranger's is not.
    assert_eq!(rig.refused(&user("ann"), remove(&room, "ann")).await, "ok");
    assert_eq!(rig.refused(&user("eve"), remove(&room, "eve")).await, "not_member");
    for last in ["dan", "cid", "eli"] {
        assert_eq!(rig.refused(&user(last), remove(&room, last)).await, "ok");
    }
}

#[tokio::test]
async fn roles_are_given_by_rank_and_there_is_one_owner() {
    let (rig, room) = ranked().await;
    for (who, whom, to, expected) in [
        ("cid", "dan", Role::Moderator, "forbidden"),
        ("dan", "dan", Role::Admin, "forbidden"),
        ("bob", "dan", Role::Moderator, "ok"),
        ("bob", "dan", Role::Moderator, "ok"), // is so already
        ("bob", "dan", Role::Member, "ok"),
        ("bob", "dan", Role::Admin, "forbidden"),
        ("bob", "ann", Role::Member, "forbidden"),
        ("ann", "ann", Role::Member, "conflict"),
        ("ann", "eve", Role::Admin, "not_found"),
        ("eve", "dan", Role::Admin, "not_member"),
        ("ann", "dan", Role::Owner, "ok"),
    ] {
        assert_eq!(rig.refused(&user(who), role(&room, whom, to)).await, expected, "{who} {whom} {to:?}");
    }
    assert_eq!(rig.role(&room, "dan").await, Some((Role::Owner, true)));
    assert_eq!(rig.role(&room, "ann").await, Some((Role::Admin, true)));
    // A repeat of the hand-over, as after a lost answer.
    assert_eq!(rig.refused(&user("ann"), role(&room, "dan", Role::Owner)).await, "ok");
    assert_eq!(rig.refused(&service(), role(&room, "bob", Role::Owner)).await, "ok");
    assert_eq!(rig.role(&room, "dan").await, Some((Role::Admin, true)));
    let unknown = proto::node::ChangeRole { room: room.clone(), user: "dan".into(), role: 17 };
    let unknown = proto::node::command::Action::ChangeRole(unknown);
    assert_eq!(rig.refused(&user("bob"), unknown).await, "invalid");
}

#[tokio::test]
async fn a_membership_change_is_in_both_feeds() {
    let rig = Rig::new().await;
    let room = rig.group("ann", &["bob"]).await;
    let (of_room, of_cid) = (rig.hear(&room_feed(&room)).await, rig.hear(&user_feed("cid")).await);
    rig.run(&user("ann"), add(&room, &["cid"])).await;
    let changes = of_room.up_to(4).await;
    assert!(matches!(&changes[0].thing, Some(Thing::Member(member)) if member.user == "cid"));
    let changes = of_cid.up_to(1).await;
    assert!(matches!(&changes[0].thing, Some(Thing::Membership(m)) if m.room == room && m.active));
    rig.run(&user("ann"), remove(&room, "cid")).await;
    let changes = of_cid.up_to(2).await;
    assert!(matches!(&changes[1].thing, Some(Thing::Membership(m)) if m.room == room && !m.active));
}
