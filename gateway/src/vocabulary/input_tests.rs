//! What payloads ask for, and what is said of those that ask for nothing.

use std::collections::HashMap;

use bus::Status;
use proptest::prelude::*;
use proto::v1::{MessageType, RoomKind};
use proto::{ErrorCode, RoomId, UserId};
use serde_json::{Value, json};

use super::input::RequestParts;
use super::load::SHIPPED;
use super::{Ask, RoomRef, Vocabulary};

fn shipped(name: &str) -> Vocabulary {
    Vocabulary::parse(Vocabulary::shipped(name).unwrap()).unwrap()
}

fn asked(vocabulary: &Vocabulary, event: &str, payload: Option<&str>) -> Result<Ask, proto::v1::Error> {
    let event = &vocabulary.client[event];
    event.inputs.ask_of_event(&event.action, payload)
}

#[track_caller]
fn check(name: &str, event: &str, payload: Value, expected: Ask) {
    let payload = payload.to_string();
    assert_eq!(asked(&shipped(name), event, Some(&payload)), Ok(expected), "{event} {payload}");
}

#[track_caller]
fn refused(name: &str, event: &str, payload: Value, why: &str) {
    let payload = payload.to_string();
    let error = asked(&shipped(name), event, Some(&payload)).unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid.name(), "{event} {payload}");
    assert_eq!(error.message, why, "{event} {payload}");
}

fn id(room: &str) -> RoomRef {
    RoomRef::Id(RoomId::new(room).unwrap())
}

fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

fn send(room: RoomRef, text: &str) -> Ask {
    Ask::Send {
        room,
        r#type: MessageType::Text,
        text: text.into(),
        data: String::new(),
        key: String::new(),
        name: None,
    }
}

#[test]
fn events_ask_for_what_their_vocabulary_says() {
    check("chats", "send_message", json!({ "chatId": "c", "content": "hi" }), send(id("c"), "hi"));
    check("chats", "send_message", json!({ "chatId": 7, "content": "8" }), send(id("7"), "8"));
    check("chats", "typing_stop", json!({ "chatId": "c" }), Ask::Typing { room: id("c"), active: false });
    check(
        "sessions",
        "typing_indicator",
        json!({ "chatId": "c", "isTyping": true }),
        Ask::Typing { room: id("c"), active: true },
    );
    check("sessions", "presence_update", json!({ "status": "AWAY" }), Ask::Presence { status: Status::Away });
    check(
        "sessions",
        "mark_as_read",
        json!({ "chatId": "c" }),
        Ask::Read { room: id("c"), message: String::new() },
    );
    check(
        "rooms",
        "get_history",
        json!({ "chatRoomId": "c", "limit": 1000, "skip": "20" }),
        Ask::History { room: id("c"), limit: 100, skip: 20, before: String::new() },
    );
    check(
        "lobby",
        "join-chat",
        json!({ "username": "Ana B-_9" }),
        Ask::Join { room: id("lobby"), name: Some("Ana B-_9".into()), history: 50, announce: true },
    );
}

#[test]
fn the_payload_itself_may_be_what_is_asked_for() {
    let join = |room: &str| Ask::Join { room: id(room), name: None, history: 0, announce: false };
    check("conversations", "join_conversation", json!("conv_a_b"), join("conv_a_b"));
    check("conversations", "join_conversation", json!({ "conversationId": "conv_a_b" }), join("conv_a_b"));
    refused("conversations", "join_conversation", json!({}), "conversationId is missing");
    refused("conversations", "join_conversation", json!(["conv_a_b"]), "conversationId is not a text");
}

#[test]
fn a_user_stands_for_the_room_with_them() {
    let payload = json!({ "receiverId": "ben", "content": "hi" });
    check("conversations", "send_message", payload, send(RoomRef::With(user("ben")), "hi"));
    refused(
        "conversations",
        "send_message",
        json!({ "receiverId": "ben *", "content": "hi" }),
        "receiverId is no id: an id is 1 to 64 characters out of A-Z, a-z, 0-9 and _ . : @ -",
    );
}

#[test]
fn messages_are_of_a_type_and_may_carry_data() {
    let message = |r#type, text: &str, data: &str| Ask::Send {
        room: id("c"),
        r#type,
        text: text.into(),
        data: data.into(),
        key: "k".into(),
        name: None,
    };
    let send = |rest: Value| {
        let mut payload = json!({ "chatId": "c", "key": "k" });
        payload.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        payload
    };
    check(
        "sessions",
        "send_message",
        send(json!({ "type": "image", "content": "https://x/y.png" })),
        message(MessageType::Image, "https://x/y.png", r#"{"url":"https://x/y.png"}"#),
    );
    check(
        "sessions",
        "send_message",
        send(json!({ "type": "FILE", "data": { "url": "u" } })),
        message(MessageType::File, "", r#"{"url":"u"}"#),
    );
    for (payload, why) in [
        (json!({ "type": "SONG", "content": "x" }), "type is none of TEXT, IMAGE, FILE, VOICE"),
        (json!({ "type": "IMAGE" }), "content is missing"),
        (json!({ "content": " \n" }), "content may not be empty"),
        (json!({ "content": "a\u{0}" }), "content holds a control character"),
        (json!({ "content": "x", "data": [1] }), "data is not an object"),
        (json!({ "content": "x", "data": { "a": "\u{0}" } }), "data holds a control character"),
        (json!({ "content": ["x"] }), "content is not a text"),
        (json!({ "content": 8 }), "content is not a text"),
        (
            json!({ "content": "x", "chatId": "a b" }),
            "chatId is no id: an id is 1 to 64 characters out of A-Z, a-z, 0-9 and _ . : @ -",
        ),
    ] {
        refused("sessions", "send_message", send(payload), why);
    }
    let long = json!({ "chatId": "c", "content": "x".repeat(20_000) }).to_string();
    let error = asked(&shipped("sessions"), "send_message", Some(&long)).unwrap_err();
    assert_eq!(error.code, ErrorCode::TooLarge.name());
}

#[test]
fn rooms_are_created_for_two_or_for_many() {
    let create = |kind, users: &[&str], name: &str| Ask::CreateRoom {
        kind,
        users: users.iter().map(|id| user(id)).collect(),
        name: name.into(),
    };
    let direct = create(RoomKind::Direct, &["ben"], "");
    check("sessions", "create_chat", json!({ "type": "DIRECT", "targetUserId": "ben" }), direct.clone());
    check("sessions", "create_chat", json!({ "targetUserId": "ben" }), direct);
    check(
        "sessions",
        "create_chat",
        json!({ "type": "group", "participantIds": ["ben", 7], "name": "Ringers" }),
        create(RoomKind::Group, &["ben", "7"], "Ringers"),
    );
    refused("sessions", "create_chat", json!({ "type": "DIRECT" }), "targetUserId is missing");
    refused("sessions", "create_chat", json!({}), "targetUserId is missing");
    refused(
        "sessions",
        "create_chat",
        json!({ "type": "DUO", "targetUserId": "ben" }),
        "type is none of DIRECT, GROUP, PUBLIC",
    );
    refused("sessions", "create_chat", json!({ "participantIds": [{}] }), "targetUserId is not an id");
}

#[test]
fn guests_have_names_of_few_letters() {
    let join = |name: &str| {
        let payload = json!({ "username": name }).to_string();
        asked(&shipped("lobby"), "join-chat", Some(&payload))
    };
    for good in ["a", "Ana_B-9 x", &"x".repeat(30)] {
        assert!(join(good).is_ok(), "{good}");
    }
    for bad in ["", " ", "  ", "Ána", "a\nb", "a.b", "<b>", "ana\u{200b}", &"x".repeat(31)] {
        assert_eq!(
            join(bad).unwrap_err().message,
            "username is 1 to 30 letters, digits, _, - and spaces",
            "{bad}"
        );
    }
}

#[test]
fn requests_are_read_from_path_body_and_query_in_this_order() {
    let sessions = shipped("sessions");
    let ask = |route: &str, path: &[(&str, &str)], query: &[(&str, &str)], body: Option<&str>| {
        let (method, template) = route.split_once(' ').unwrap();
        let found = sessions.routes.iter().find(|known| known.path == template && known.method == method);
        let found = found.unwrap_or_else(|| panic!("{route} is not there"));
        let map = |parts: &[(&str, &str)]| -> HashMap<String, String> {
            parts.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        let (path, query) = (map(path), map(query));
        found.inputs.ask_of_request(&found.action, &RequestParts { path: &path, query: &query, body })
    };
    let messages = "/api/v1/chat/sessions/{id}/messages";
    assert_eq!(
        ask(&format!("GET {messages}"), &[("id", "c")], &[("page", "3"), ("limit", "20")], None),
        Ok(Ask::History { room: id("c"), limit: 20, skip: 40, before: String::new() })
    );
    assert_eq!(
        ask(&format!("GET {messages}"), &[("id", "c")], &[("page", "18446744073709551615")], None),
        Ok(Ask::History { room: id("c"), limit: 50, skip: u32::MAX, before: String::new() })
    );
    let body = Some(r#"{"id":"other","content":"of the body","key":null}"#);
    let query = [("content", "of the query"), ("key", "q")];
    let Ok(Ask::Send { room, text, key, .. }) =
        ask(&format!("POST {messages}"), &[("id", "c")], &query, body)
    else {
        panic!("not a send");
    };
    assert_eq!((room, &*text, &*key), (id("c"), "of the body", "q"));
    for bad in ["{", "7", "[]", "null", "{\"content\":1e999}", "\"hi\""] {
        assert!(ask(&format!("POST {messages}"), &[("id", "c")], &[], Some(bad)).is_err(), "{bad}");
    }
}

/// What no payload may do: anything but be refused.
#[test]
fn nonsense_is_refused_with_a_code() {
    let deep = "[".repeat(10_000);
    let nested = format!("{}1{}", "{\"a\":".repeat(1000), "}".repeat(1000));
    let nonsense = [
        None,
        Some("null"),
        Some("7"),
        Some("true"),
        Some("[]"),
        Some("{}"),
        Some("[[[]]]"),
        Some(&*deep),
        Some(&*nested),
        Some(r#"{"chatId":1e999}"#),
        Some(r#"{"chatId":"\ud800"}"#),
        Some(r#"{"__proto__":{"chatId":"x"},"constructor":1}"#),
        Some(r#"{"chatId":{"toString":1}}"#),
        Some(r#"{"chatId":[],"content":{}}"#),
    ];
    for (name, _) in SHIPPED {
        let vocabulary = shipped(name);
        for (event, spoken) in &vocabulary.client {
            let (required, _) = spoken.action.parts();
            let looks = required.iter().any(|input| *input != super::input::Input::Room)
                || vocabulary.rooms.fixed.is_none() && !required.is_empty();
            for payload in nonsense {
                // Some nonsense is somebody's id: that is refused where ids are looked up.
                if let Err(error) = asked(&vocabulary, event, payload) {
                    assert!(
                        ErrorCode::from_name(&error.code).is_some_and(|code| !code.retryable()),
                        "{error:?}"
                    );
                } else {
                    let harmless =
                        !looks || matches!(payload, Some("7" | "true")) || spoken.inputs.0.len() <= 1;
                    assert!(harmless || event == "presence_update", "{name} {event} {payload:?}");
                }
            }
        }
    }
}

#[test]
fn of_a_key_that_is_there_twice_the_last_counts() {
    let chats = shipped("chats");
    let twice = r#"{"chatId":"a","chatId":"c","content":"hi"}"#;
    assert_eq!(asked(&chats, "send_message", Some(twice)), Ok(send(id("c"), "hi")));
}

#[test]
fn where_nothing_is_looked_for_anything_may_come() {
    let deep = "[".repeat(10_000);
    for payload in [None, Some("7"), Some(&*deep)] {
        assert_eq!(asked(&shipped("rooms"), "subscribe_notifications", payload), Ok(Ask::Subscribe));
    }
}

proptest! {
    #[test]
    fn no_payload_makes_it_panic(payload in ".{0,200}", place in any::<prop::sample::Index>()) {
        for (name, _) in SHIPPED {
            let vocabulary = shipped(name);
            let events: Vec<_> = vocabulary.client.keys().collect();
            let event = events[place.index(events.len())];
            let _ = asked(&vocabulary, event, Some(&payload));
            let _ = asked(&vocabulary, event, Some(&json!({ "chatId": payload, "content": payload }).to_string()));
        }
    }
}
