//! Reads: membership is checked, limits hold, cursors are judged.

use proto::node::{
    self, Actor, Changes, Follow, FollowAll, GetMessage, GetRoom, Heads, ListMembers, ListNotifications,
    ListRooms, PresenceRooms, Search, answer, follow_result, query::Question,
};
use proto::v1::{self, HistoryRequest, SnapshotRequest};

use crate::rig::*;

/// A room of ann and bob with this many messages of ann.
async fn chat(messages: usize) -> (Rig, String) {
    let rig = Rig::new().await;
    let room = rig.group("ann", &["bob"]).await;
    let mut stream = Stream::open(&mut rig.client()).await;
    let mut last = None;
    for n in 0..messages {
        last = Some(stream.push(&user("ann"), send(&room, &format!("k{n}"), &format!("word{n} same"))).await);
    }
    if let Some(last) = last {
        assert_eq!(code(stream.outcome(last).await), "ok");
    }
    (rig, room)
}

fn history(room: &str, before: u64, limit: u32) -> Question {
    Question::History(HistoryRequest { room: room.into(), before, limit })
}

fn search(room: &str, text: &str) -> Question {
    Question::Search(Search { room: room.into(), text: text.into(), ..Default::default() })
}

fn members(room: &str) -> Question {
    Question::ListMembers(ListMembers { room: room.into(), ..Default::default() })
}

fn get_room(room: &str) -> Question {
    Question::GetRoom(GetRoom { room: room.into() })
}

#[tokio::test]
async fn p5_absent_and_foreign_rooms_answer_alike() {
    let (rig, room) = chat(1).await;
    let found = rig.store.history(&room_id(&room), 0, 1).await.unwrap().0.remove(0);
    let eve = user("eve");
    for question in [
        history,
        |room: &str, _, _| search(room, "word0"),
        |room: &str, _, _| members(room),
        |room: &str, _, _| get_room(room),
    ] {
        let ask = |actor: Actor, room: String| {
            let rig = &rig;
            async move { rig.ask(&actor, question(&room, 0, 0)).await }
        };
        let foreign = ask(eve.clone(), room.clone()).await;
        assert_eq!(foreign, ask(eve.clone(), "nowhere".into()).await);
        assert_eq!(answer_code(foreign), "not_member");
        assert_eq!(answer_code(ask(user("bob"), room.clone()).await), "ok");
        assert_eq!(answer_code(ask(service(), room.clone()).await), "ok");
        assert_eq!(answer_code(ask(user("bob"), "a b".into()).await), "invalid");
    }
    let message = |id: &str| Question::GetMessage(GetMessage { message: id.into() });
    assert_eq!(rig.ask(&eve, message(&found.id)).await, rig.ask(&eve, message("nothing")).await);
    assert_eq!(answer_code(rig.ask(&eve, message(&found.id)).await), "not_found");
    let answer::Result::GetMessage(got) = rig.ask(&user("bob"), message(&found.id)).await else {
        panic!("not found")
    };
    assert_eq!((got.room, got.message), (room.clone(), Some(found)));
    assert_eq!(rig.follow(&eve, &room, "").await, Err("not_member".into()));
    assert_eq!(rig.follow(&eve, "nowhere", "").await, Err("not_member".into()));
}

#[tokio::test]
async fn s15_pages_are_limited() {
    let (rig, room) = chat(130).await;
    for (limit, expected) in [(0, 50), (7, 7), (100, 100), (10_000_000, 100)] {
        let answer::Result::History(page) = rig.ask(&user("bob"), history(&room, 0, limit)).await else {
            panic!("no history")
        };
        assert_eq!((page.messages.len(), page.more), (expected, true), "{limit}");
        assert_eq!(page.messages.last().unwrap().text, "word129 same");
    }
    // Paging reaches everything once.
    let (mut before, mut seen) = (0, Vec::new());
    loop {
        let answer::Result::History(page) = rig.ask(&user("bob"), history(&room, before, 60)).await else {
            panic!("no history")
        };
        before = page.messages[0].seq;
        seen.splice(0..0, page.messages.iter().map(|message| message.ordinal).collect::<Vec<_>>());
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, (1..=130).collect::<Vec<_>>());
    let Question::Search(ask) = search(&room, "same") else { panic!() };
    for (limit, expected) in [(0, 20), (30, 30), (500, 100)] {
        let answer = rig.ask(&user("bob"), Question::Search(Search { limit, ..ask.clone() })).await;
        let answer::Result::Search(found) = answer else { panic!("{answer:?}") };
        assert_eq!((found.messages.len(), found.more), (expected, true));
    }
    for bad in ["", "  ", "a\nb"] {
        assert_eq!(answer_code(rig.ask(&user("bob"), search(&room, bad)).await), "invalid");
    }
    assert_eq!(answer_code(rig.ask(&user("bob"), search(&room, &"x".repeat(1000))).await), "too_large");
    let far = Question::ListRooms(ListRooms { limit: 1, skip: u32::MAX });
    assert_eq!(answer_code(rig.ask(&user("bob"), far).await), "invalid");
}

#[tokio::test]
async fn p3_a_resume_gets_what_changed_since_its_cursor() {
    let (rig, room) = chat(5).await;
    let bob = user("bob");
    let now = rig.follow(&bob, &room, "").await.unwrap();
    assert_eq!((now.from, now.to, now.changes.len(), now.more, now.reset), (8, 8, 0, false, false));
    let cursor = proto::Cursor { seq: now.to, check: now.check };
    let sent = rig.send("ann", &room, "later", "hi").await;
    let missed = rig.follow(&bob, &room, &cursor.to_string()).await.unwrap();
    assert_eq!((missed.from, missed.to, missed.changes.len()), (8, sent.seq, 1));
    // From the very start: everything, each thing once.
    let all = rig.follow(&bob, &room, "0-00000000").await.unwrap();
    assert_eq!((all.from, all.to, all.changes.len()), (0, 9, 9));

    // S22: what nobody gave out.
    for (since, expected) in [
        ("nonsense", Err("invalid")),
        ("-1", Err("invalid")),
        ("18446744073709551615-00000000", Err("invalid")),
    ] {
        assert_eq!(rig.follow(&bob, &room, since).await.map(drop), expected.map_err(str::to_owned));
    }
    for since in ["9000000000000000000-00000000", "99-0000beef", &format!("8-{:08x}", now.check ^ 1)] {
        let answer = rig.follow(&bob, &room, since).await.unwrap();
        assert!(answer.reset && answer.changes.is_empty() && answer.to == 9, "{since}: {answer:?}");
    }
}

#[tokio::test]
async fn many_follows_are_answered_in_order() {
    let (rig, room) = chat(1).await;
    let town = rig.create(&user("ann"), public("Town hall")).await.id;
    let follow = |who: &str, room: &str| Follow {
        actor: Some(user(who)),
        room: room.into(),
        since: String::new(),
        issued_at: 0,
    };
    let follows = vec![
        follow("ann", &room),
        follow("eve", &room),
        follow("eve", &town),
        follow("ann", ""),
        follow("a b", &room),
        Follow { actor: None, ..follow("ann", &room) },
        follow("fay", &town),
        follow("bob", "nowhere"),
        Follow { since: "?".into(), ..follow("bob", &room) },
    ];
    let question = Question::Follow(FollowAll { follows });
    let answer::Result::Follow(followed) = rig.ask(&user("nobody"), question).await else { panic!() };
    let codes: Vec<String> = followed
        .results
        .into_iter()
        .map(|result| match result.result.unwrap() {
            follow_result::Result::Changes(_) => "ok".to_owned(),
            follow_result::Result::Error(error) => error.code,
        })
        .collect();
    let expected = ["ok", "not_member", "ok", "ok", "invalid", "malformed", "ok", "not_member", "invalid"];
    assert_eq!(codes, expected);
    assert!(rig.role(&town, "fay").await.is_some());
}

#[tokio::test]
async fn gateways_ask_for_changes_and_heads() {
    let (rig, room) = chat(3).await;
    let feeds = [room_feed(&room), user_feed("ann"), room_feed("nowhere")];
    let ask = Question::Heads(Heads { feeds: feeds.iter().map(node::Feed::from).collect() });
    let answer::Result::Heads(heads) = rig.ask(&user("nobody"), ask).await else { panic!() };
    assert_eq!(heads.heads.iter().map(|head| head.head).collect::<Vec<_>>(), [6, 1, 0]);
    let changes = |since: &str| {
        Question::Changes(Changes { feed: Some(node::Feed::from(&feeds[0])), since: since.into() })
    };
    let answer::Result::Changes(all) = rig.ask(&user("nobody"), changes("")).await else { panic!() };
    assert_eq!((all.from, all.to, all.changes.len()), (0, 6, 6));
    assert_eq!(answer_code(rig.ask(&user("nobody"), changes("?")).await), "invalid");
    let none = Question::Changes(Changes::default());
    assert_eq!(answer_code(rig.ask(&user("nobody"), none).await), "invalid");
}

#[tokio::test]
async fn the_first_screen_is_one_call() {
    let (rig, room) = chat(4).await;
    let ask = Question::Snapshot(SnapshotRequest::default());
    let answer::Result::Snapshot(snapshot) = rig.ask(&user("bob"), ask).await else { panic!() };
    assert_eq!(snapshot.rooms.len(), 1);
    let summary = &snapshot.rooms[0];
    assert_eq!(summary.details.as_ref().unwrap().id, room);
    assert_eq!((summary.unread, summary.last_message.as_ref().unwrap().ordinal), (4, 4));
    // Its cursors can be followed from.
    let from = rig.follow(&user("bob"), &room, &summary.cursor).await.unwrap();
    assert_eq!((from.reset, from.changes.len()), (false, 0));
    let own = rig.follow(&user("bob"), "", &snapshot.cursor).await.unwrap();
    assert_eq!((own.reset, own.changes.len()), (false, 0));

    let list = Question::ListRooms(ListRooms::default());
    let answer::Result::ListRooms(rooms) = rig.ask(&user("ann"), list).await else { panic!() };
    assert_eq!((rooms.rooms.len(), rooms.more), (1, false));
    let answer::Result::ListMembers(list) = rig.ask(&user("ann"), members(&room)).await else { panic!() };
    let listed: Vec<_> = list.members.iter().map(|member| (member.user.as_str(), member.role())).collect();
    assert_eq!(listed, [("ann", v1::Role::Owner), ("bob", v1::Role::Member)]);
    let presence = PresenceRooms { users: names(&["bob", "eve", "ann"]), max_members: 2 };
    let answer::Result::PresenceRooms(rooms) =
        rig.ask(&user("nobody"), Question::PresenceRooms(presence)).await
    else {
        panic!()
    };
    let rooms: Vec<Vec<String>> = rooms.users.into_iter().map(|user| user.rooms).collect();
    assert_eq!(rooms, [vec![room.clone()], vec![], vec![room.clone()]]);
    let answer::Result::GetRoom(outside) = rig.ask(&service(), get_room(&room)).await else { panic!() };
    assert_eq!(outside.details, summary.details);
    assert_eq!(outside.cursor, summary.cursor);
    let strange =
        Question::ListNotifications(ListNotifications { before: "a b".into(), ..Default::default() });
    assert_eq!(answer_code(rig.ask(&user("bob"), strange).await), "invalid");
}
