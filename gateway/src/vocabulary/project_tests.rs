//! Which events a delivery becomes.

use proto::v1::{server_frame::Body, *};
use serde_json::{Value, json};

use super::load::SHIPPED;
use super::{JOINED, LEFT, Vocabulary};
use crate::wire::cut;

fn shipped(name: &str) -> Vocabulary {
    Vocabulary::parse(Vocabulary::shipped(name).unwrap()).unwrap()
}

/// The events in these bytes: arrays that begin with the name. Positions are
/// without the time behind them, at which they were written.
fn events(mut bytes: &[u8]) -> Vec<Value> {
    let mut events = Vec::new();
    while let [0x81, length, rest @ ..] = bytes {
        let (length, rest) = match *length {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            length => (usize::from(length), rest),
        };
        let packet = std::str::from_utf8(&rest[..length]).unwrap();
        let mut event: Value = serde_json::from_str(packet.strip_prefix("42").unwrap()).unwrap();
        if let Some(position) = event.get_mut(2) {
            let (place, time) = position.as_str().unwrap().split_once('@').unwrap();
            assert!(time.parse::<u64>().is_ok(), "{position}");
            *position = place.into();
        }
        events.push(event);
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty(), "not a whole text frame: {bytes:?}");
    events
}

fn projected(vocabulary: &Vocabulary, frame: &ServerFrame) -> Vec<Value> {
    let mut out = Vec::new();
    vocabulary.project(frame, &mut out);
    events(&out)
}

fn stored(seq: u64, body: Body) -> ServerFrame {
    ServerFrame {
        room: "hall".into(),
        seq,
        cursor: format!("{seq}-0000000a"),
        body: Some(body),
        ..Default::default()
    }
}

fn passing(body: Body) -> ServerFrame {
    ServerFrame { room: "hall".into(), body: Some(body), ..Default::default() }
}

fn message(seq: u64) -> Message {
    Message {
        id: "m1".into(),
        seq,
        sender: "ana".into(),
        name: "Ana".into(),
        text: "hi".into(),
        time: 951_782_400_000,
        key: "k1".into(),
        ..Default::default()
    }
}

#[test]
fn a_message_is_new_then_edited_then_deleted() {
    let sessions = shipped("sessions");
    let names = |frame: &ServerFrame| {
        let events = projected(&sessions, frame);
        events.iter().map(|event| event[0].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let edited = Message { text: "hello".into(), edited_at: 951_782_500_000, ..message(5) };
    let deleted = Message { deleted_at: 951_782_600_000, ..message(5) };
    assert_eq!(names(&stored(5, Body::Message(message(5)))), ["message_received"]);
    assert_eq!(names(&stored(6, Body::Message(edited.clone()))), ["message_edited"]);
    assert_eq!(names(&stored(7, Body::Message(deleted))), ["message_deleted"]);
    // Who was away since before it was sent has not seen it yet.
    let mut out = Vec::new();
    sessions.project_since(&stored(6, Body::Message(edited)), 4, &mut out);
    assert_eq!(events(&out)[0][0], "message_received");
}

#[test]
fn what_is_stored_carries_its_position_and_what_passes_does_not() {
    let chats = shipped("chats");
    assert_eq!(
        projected(&chats, &stored(5, Body::Message(message(5)))),
        [json!(["receive_message",
            { "id": "m1", "chatId": "hall", "sender": { "id": "ana", "username": "Ana" }, "content": "hi",
              "timestamp": "2000-02-29T00:00:00.000Z" },
            "hall|5-0000000a"])]
    );
    let sign = TypingNow { user: "ana".into(), name: "Ana".into(), stopped: false };
    let shown = json!({ "chatId": "hall", "user": { "id": "ana", "username": "Ana" } });
    assert_eq!(projected(&chats, &passing(Body::Typing(sign.clone()))), [json!(["user_typing", shown])]);
    let stopped = TypingNow { stopped: true, ..sign };
    assert_eq!(projected(&chats, &passing(Body::Typing(stopped))), [json!(["user_stopped_typing", shown])]);
    let notification = Notification {
        id: "n1".into(),
        r#type: "LIKE".into(),
        data: "{}".into(),
        time: 1,
        ..Default::default()
    };
    let own = ServerFrame { room: String::new(), ..stored(3, Body::Notification(notification.clone())) };
    assert_eq!(projected(&shipped("rooms"), &own)[0][2], "|3-0000000a");
    let read = Notification { read_at: 2, ..notification };
    assert_eq!(projected(&shipped("rooms"), &stored(4, Body::Notification(read))), [] as [Value; 0]);
}

#[test]
fn only_a_new_message_is_spared_its_sender() {
    let text = Vocabulary::shipped("chats").unwrap().to_owned()
        + "\n[server.edited]\nevent = \"edited\"\npayload = \"$shape.message\"\n"
        + "[server.deleted]\nevent = \"deleted\"\npayload = \"$shape.message\"\n";
    let chats = Vocabulary::parse(&text).unwrap();
    let mut out = vec![0x81, 0];
    let own = chats.project(&stored(5, Body::Message(message(5))), &mut out);
    assert_eq!(own.len(), 1);
    assert_eq!((&*own[0].user, &*own[0].key, own[0].bytes.clone()), ("ana", "k1", 2..out.len()));
    assert_eq!(cut(&out, 0, &own), [0x81, 0]);
    // An edit may come from another device, a deletion from a moderator.
    let deleted = Message { deleted_at: 1, ..message(5) };
    for changed in [Message { edited_at: 1, ..message(5) }, deleted] {
        let mut out = Vec::new();
        assert_eq!(chats.project(&stored(9, Body::Message(changed)), &mut out), []);
        assert_eq!(events(&out).len(), 1);
    }
}

#[test]
fn presence_is_told_of_each_user() {
    let user = |user: &str, status: &str| UserPresence {
        user: user.into(),
        status: status.into(),
        last_seen: 951_782_400_000,
    };
    let users = vec![user("ana", "online"), user("ben", "offline"), user("eva", "busy")];
    let frame = passing(Body::Presence(Presence { users }));
    let told: Vec<_> = projected(&shipped("sessions"), &frame)
        .into_iter()
        .map(|event| (event[0].clone(), event[1]["userId"].clone(), event[1]["status"].clone()))
        .collect();
    assert_eq!(
        told,
        [
            ("user_online", "ana", "online"),
            ("presence_update", "ana", "online"),
            ("user_offline", "ben", "offline"),
            ("presence_update", "ben", "offline"),
            ("presence_update", "eva", "busy"),
        ]
        .map(|(event, user, status)| (json!(event), json!(user), json!(status)))
    );
}

#[test]
fn members_rooms_and_read_marks_are_told_where_the_vocabulary_has_words_for_them() {
    let sessions = shipped("sessions");
    let member = Member { user: "ben".into(), name: "Ben".into(), active: false, ..Default::default() };
    assert_eq!(
        projected(&sessions, &stored(4, Body::Member(member.clone()))),
        [
            json!(["participant_left", { "chatId": "hall", "userId": "ben", "username": "Ben" }, "hall|4-0000000a"])
        ]
    );
    assert!(projected(&sessions, &stored(4, Body::Member(Member { active: true, ..member }))).is_empty());
    let details =
        |deleted_at| Details { id: "hall".into(), name: "Hall".into(), deleted_at, ..Default::default() };
    let text = Vocabulary::shipped("chats").unwrap().to_owned()
        + "\n[server.room_changed]\nevent = \"renamed\"\npayload = { name = \"$room.name\" }\n"
        + "[server.room_deleted]\nevent = \"gone\"\npayload = { id = \"$room\" }\n";
    let chats = Vocabulary::parse(&text).unwrap();
    let told = |deleted_at| projected(&chats, &stored(4, Body::Details(details(deleted_at))))[0].clone();
    assert_eq!(told(0), json!(["renamed", { "name": "Hall" }, "hall|4-0000000a"]));
    assert_eq!(told(1), json!(["gone", { "id": "hall" }, "hall|4-0000000a"]));
    let mark = ReadMark { user: "ben".into(), seq: 7, time: 951_782_400_000, unread: None };
    assert_eq!(
        projected(&shipped("conversations"), &passing(Body::ReadMark(mark))),
        [
            json!(["messages_read", { "conversationId": "hall", "readBy": "ben", "readAt": "2000-02-29T00:00:00.000Z" }])
        ]
    );
    let membership = Membership { room: "hall".into(), active: true, ..Default::default() };
    assert!(projected(&sessions, &stored(4, Body::Membership(membership))).is_empty());
}

#[test]
fn signals_are_events_of_their_name_and_never_pass_for_others() {
    let lobby = shipped("lobby");
    let signal = |name: &str, data: &str| {
        let signal = SignalNow { user: "ana".into(), name: name.into(), data: data.into() };
        projected(&lobby, &passing(Body::Signal(signal)))
    };
    assert_eq!(signal("wave", "[1]"), [json!(["wave", { "room": "hall", "user": "ana", "data": [1] }])]);
    assert_eq!(signal("a \"b\"", ""), [json!(["a \"b\"", { "room": "hall", "user": "ana", "data": null }])]);
    let shown = json!({ "username": "Ana", "onlineCount": 3 });
    assert_eq!(signal(JOINED, r#"{"name":"Ana","online":3}"#), [json!(["user-joined", shown])]);
    assert_eq!(signal(LEFT, r#"{"name":"Ana","online":3}"#), [json!(["user-left", shown])]);
    for odd in ["", "7", "{\"online\":-1}", "[[[", "{\"name\":{}}"] {
        let told = signal(LEFT, odd);
        assert_eq!(told, [json!(["user-left", { "username": "", "onlineCount": null }])], "{odd}");
    }
    for taken in ["connect", "disconnect", "error", "message-received", "user-joined", "join-confirmed"] {
        assert!(signal(taken, "{}").is_empty(), "{taken}");
    }
}

/// Answers to others' frames and what nobody has words for are nothing.
#[test]
fn answers_become_no_events() {
    for (name, _) in SHIPPED {
        let vocabulary = shipped(name);
        let bodies = [
            None,
            Some(Body::Done(Done {})),
            Some(Body::Pong(Pong { time: 1 })),
            Some(Body::Error(Error::default())),
            Some(Body::Sent(Sent::default())),
            Some(Body::Joined(Joined::default())),
        ];
        for body in bodies {
            let frame = ServerFrame { body, ..Default::default() };
            assert!(projected(&vocabulary, &frame).is_empty(), "{name}: {frame:?}");
        }
    }
}
