//! What concerns one user: read marks, notifications, revoked tokens, last seen.

use prost::Message as _;
use proto::node::{self, Ephemeral, Follow, command::Action, ephemeral, outcome};
use proto::node::{answer, query::Question};
use proto::v1::{self, ReadMark, change::Thing};

use crate::rig::*;

async fn mark(rig: &Rig, who: &str, room: &str, seq: u64) -> (u64, u64) {
    match rig.run(&user(who), read(room, seq)).await {
        outcome::Result::ReadMark(mark) => (mark.seq, mark.unread.unwrap()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn read_marks_move_forward_and_unread_is_of_others_messages() {
    let rig = Rig::new().await;
    let room = rig.group("ann", &["bob"]).await;
    let mut seqs = Vec::new();
    for (n, who) in ["ann", "ann", "bob", "ann"].iter().enumerate() {
        seqs.push(rig.send(who, &room, &format!("k{n}"), "hi").await.seq);
    }
    let (own, others) = (rig.hear(&user_feed("bob")).await, rig.hear(&room_feed(&room)).await);
    let before = rig.store.heads(&[room_feed(&room)]).await.unwrap();
    assert_eq!(mark(&rig, "bob", &room, seqs[0]).await, (seqs[0], 2));
    assert_eq!(mark(&rig, "bob", &room, seqs[2]).await, (seqs[2], 1));
    assert_eq!(mark(&rig, "bob", &room, seqs[1]).await, (seqs[2], 1));
    assert_eq!(mark(&rig, "bob", &room, 0).await, (seqs[3], 0));
    assert_eq!(mark(&rig, "bob", &room, u64::MAX).await, (seqs[3], 0));
    assert_eq!(mark(&rig, "ann", &room, 0).await, (seqs[3], 0));
    assert_eq!(rig.refused(&user("eve"), read(&room, 0)).await, "not_member");
    assert_eq!(rig.refused(&user("eve"), read("nowhere", 0)).await, "not_member");

    // Three moves: in bob's own feed, and as ticks in the room, not in its feed.
    let head = rig.store.heads(&[user_feed("bob")]).await.unwrap()[0];
    let changes = own.up_to(head).await;
    let marks: Vec<(u64, u64)> = changes
        .iter()
        .map(|change| match &change.thing {
            Some(Thing::Membership(membership)) => (membership.read_seq, membership.unread),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(marks, [(seqs[0], 2), (seqs[2], 1), (seqs[3], 0)]);
    let ticks = testkit::eventually("four ticks", LONG, async || {
        let ticks = others.of(".now");
        (ticks.len() == 4).then_some(ticks)
    });
    let tick = Ephemeral::decode(ticks.await.remove(0)).unwrap();
    let Some(ephemeral::Kind::ReadMark(ReadMark { user, seq, unread: None, .. })) = tick.kind else {
        panic!("{tick:?}")
    };
    assert_eq!((user.as_str(), seq, tick.room.as_str()), ("bob", seqs[0], room.as_str()));
    assert_eq!(rig.store.heads(&[room_feed(&room)]).await.unwrap(), before);
}

#[tokio::test]
async fn p6_large_rooms_hear_no_ticks() {
    let settings = dispatcher::Settings { read_mark_limit: 2, ..Default::default() };
    let rig = Rig::with(settings, |store| store).await;
    let (large, small) = (rig.group("ann", &["bob", "cid"]).await, rig.group("ann", &["bob"]).await);
    let heard = rig.hear(&room_feed(&large)).await;
    let heard_small = rig.hear(&room_feed(&small)).await;
    for room in [&large, &small] {
        let sent = rig.send("ann", room, "k", "hi").await;
        assert_eq!(mark(&rig, "bob", room, 0).await, (sent.seq, 0));
    }
    testkit::eventually("the small room's tick", LONG, async || heard_small.of(".now").pop()).await;
    // One room's publications keep their order: a tick would be here by now.
    let later = rig.send("ann", &large, "later", "hi").await;
    heard.up_to(later.seq).await;
    assert!(heard.of(".now").is_empty());
}

#[tokio::test]
async fn an_empty_room_has_nothing_to_read() {
    let rig = Rig::new().await;
    let room = rig.group("ann", &[]).await;
    assert_eq!(mark(&rig, "ann", &room, 0).await, (0, 0));
}

fn notify(user: &str, key: &str, data: &str) -> Action {
    let notify =
        node::Notify { user: user.into(), r#type: "LIKE".into(), data: data.into(), key: key.into() };
    Action::Notify(notify)
}

async fn unread(rig: &Rig, who: &str) -> u64 {
    let ask = Question::ListNotifications(node::ListNotifications::default());
    match rig.ask(&user(who), ask).await {
        answer::Result::ListNotifications(list) => list.unread,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn p4_the_service_notifies_once_per_key() {
    let rig = Rig::new().await;
    let heard = rig.hear(&user_feed("bob")).await;
    assert_eq!(rig.refused(&user("ann"), notify("bob", "", "{}")).await, "forbidden");
    assert_eq!(rig.refused(&service(), notify("bob", "", "{")).await, "invalid");
    assert_eq!(rig.refused(&service(), notify("b b", "", "{}")).await, "invalid");
    let first = rig.run(&service(), notify("bob", "k", "{\"post\":1}")).await;
    assert_eq!(rig.run(&service(), notify("bob", "k", "{\"post\":1}")).await, first);
    assert_eq!(rig.refused(&service(), notify("bob", "k", "{\"post\":2}")).await, "key_conflict");
    assert_ne!(rig.run(&service(), notify("bob", "", "{\"post\":1}")).await, first);
    assert_eq!(unread(&rig, "bob").await, 2);
    let outcome::Result::Notification(first) = first else { panic!("{first:?}") };
    assert_eq!(heard.up_to(2).await[0].thing, Some(Thing::Notification(first)));
}

#[tokio::test]
async fn p5_notifications_are_read_by_their_user() {
    let rig = Rig::new().await;
    let mut ids = Vec::new();
    for n in 0..3 {
        let outcome::Result::Notification(one) =
            rig.run(&service(), notify("bob", &format!("k{n}"), "1")).await
        else {
            panic!("no notification")
        };
        ids.push(one.id);
    }
    let read = |id: &str| Action::ReadNotification(v1::ReadNotification { notification: id.into() });
    assert_eq!(rig.refused(&user("eve"), read(&ids[0])).await, "not_found");
    assert_eq!(rig.refused(&user("bob"), read("nothing")).await, "not_found");
    assert_eq!(rig.refused(&user("bob"), read(&ids[0])).await, "ok");
    assert_eq!(rig.refused(&user("bob"), read(&ids[0])).await, "ok");
    assert_eq!(unread(&rig, "bob").await, 2);
    assert_eq!(rig.refused(&user("bob"), read("")).await, "ok");
    assert_eq!(unread(&rig, "bob").await, 0);
    assert_eq!(rig.store.heads(&[user_feed("bob")]).await.unwrap(), [6]);
}

#[tokio::test]
async fn all_of_very_many_notifications_are_read() {
    let rig = Rig::new().await;
    let mut stream = Stream::open(&mut rig.client()).await;
    let mut last = 0;
    for _ in 0..401 {
        last = stream.push(&service(), notify("bob", "", "1")).await;
    }
    assert_eq!(code(stream.outcome(last).await), "ok");
    assert_eq!(unread(&rig, "bob").await, 401);
    let all = Action::ReadNotification(v1::ReadNotification::default());
    assert_eq!(code(stream.run(&user("bob"), all).await), "ok");
    assert_eq!(unread(&rig, "bob").await, 0);
}

#[tokio::test]
async fn p5_revoked_tokens_are_refused() {
    let rig = Rig::new().await;
    let heard = rig.hear(&user_feed("bob")).await;
    let revoke = Action::Revoke(node::Revoke { user: "bob".into() });
    assert_eq!(rig.refused(&user("eve"), revoke.clone()).await, "forbidden");
    assert_eq!(rig.refused(&service(), revoke).await, "ok");
    let change = heard.up_to(1).await.remove(0);
    let Some(Thing::Revocation(revocation)) = change.thing else { panic!("{change:?}") };
    for (issued_at, expected) in [
        (0, Err("token_refused".to_owned())),
        (revocation.issued_before - 1, Err("token_refused".to_owned())),
        (revocation.issued_before, Ok(1)),
    ] {
        let follow = Follow { actor: Some(user("bob")), issued_at, ..Default::default() };
        assert_eq!(rig.follow_as(follow).await.map(|changes| changes.to), expected);
    }
    let other = Follow { actor: Some(user("ann")), issued_at: 1, ..Default::default() };
    assert_eq!(rig.follow_as(other).await.map(|changes| changes.to), Ok(0));
}

#[tokio::test]
async fn last_seen_only_moves_forward_and_never_into_the_future() {
    let rig = Rig::new().await;
    rig.group("ann", &["bob"]).await;
    let seen = |time| {
        let bob = node::LastSeen { user: "bob".into(), time };
        Action::RecordLastSeen(node::RecordLastSeen { users: vec![bob.clone(), bob] })
    };
    // As gateways send it: on behalf of nobody.
    let nobody = node::Actor { service: true, ..Default::default() };
    for time in [5000, 3000] {
        assert_eq!(rig.refused(&nobody, seen(time)).await, "ok");
    }
    let ask = || Question::Acquainted(node::Acquainted { users: names(&["bob", "eve"]) });
    let answer::Result::Acquainted(users) = rig.ask(&user("ann"), ask()).await else { panic!("no answer") };
    assert_eq!((users.users, users.last_seen), (names(&["bob"]), vec![5000]));
    let answer::Result::Acquainted(users) = rig.ask(&user("eve"), ask()).await else { panic!("no answer") };
    assert!(!users.users.contains(&"bob".to_owned()));
    let answer::Result::Acquainted(users) = rig.ask(&service(), ask()).await else { panic!("no answer") };
    assert_eq!((users.users, users.last_seen), (names(&["bob", "eve"]), vec![5000, 0]));
    assert_eq!(rig.refused(&service(), seen(i64::MAX)).await, "ok");
    let answer::Result::Acquainted(users) = rig.ask(&user("ann"), ask()).await else { panic!("no answer") };
    assert!(users.last_seen[0] > 5000 && users.last_seen[0] < i64::MAX);
}
