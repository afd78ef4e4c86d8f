//! What templates write: always JSON, and the values that they name.

use std::sync::Arc;

use proptest::prelude::*;
use proto::v1::{self, Role, RoomKind};
use serde_json::{Value, json};
use toml_edit::ImDocument;

use super::load::toml::Loader;
use super::shape::{Known, Shapes};
use super::template::{Field, Nested, Template, Words};
use super::{RoomView, Scope};

/// The payload of a file with these shapes.
fn template(text: &str, iso_times: bool) -> Template {
    let document = ImDocument::parse(text).unwrap();
    let mut loader = Loader::new(text);
    let roles = ["member", "mod", "ADMIN", "ADMIN"].map(str::to_owned);
    let words = Arc::new(Words { iso_times, roles });
    let shapes = Shapes::read(&mut loader, document.get("shape"), words);
    let payload = shapes.template(&mut loader, &document["payload"], &Known::everything("payload"));
    assert_eq!(loader.into_mistakes(), []);
    payload
}

fn written(template: &Template, scope: &Scope<'_>) -> Value {
    let mut out = Vec::new();
    template.write(&mut out, scope);
    serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out)))
}

#[track_caller]
fn check(payload: &str, scope: &Scope<'_>, expected: Value) {
    assert_eq!(written(&template(&format!("payload = {payload}"), true), scope), expected, "{payload}");
}

fn message() -> v1::Message {
    v1::Message {
        id: "m1".into(),
        seq: 7,
        sender: "ana".into(),
        name: "Ana \"A\"".into(),
        text: "hi\n<b> \u{2028}🔔\u{7f}".into(),
        data: r#"{"n":1.50}"#.into(),
        r#type: v1::MessageType::Image.into(),
        time: 951_782_400_000,
        key: "k".into(),
        ..Default::default()
    }
}

#[test]
fn values_stand_where_their_names_stood() {
    let message = message();
    let marks = [("ana", 9), ("ben", 7), ("eva", 6)].map(|(user, seq)| v1::ReadMark {
        user: user.into(),
        seq,
        ..Default::default()
    });
    let scope = Scope {
        room: "hall",
        message: Some(&message),
        read_marks: &marks,
        user: Some(("u", "U")),
        ..Scope::default()
    };
    let payload =
        r#"{ id = "$message.id", at = ["$message.time", "$message.edited_at"], text = "$message.text",
        who = { id = "$message.sender", name = "$message.sender_name" }, "odd \"key\"" = "$message.data",
        type = "$message.type", in = "$room", seq = "$message.seq", by = "$message.read_by", price = "$$5",
        status = "$message.status", n = 1, f = 1.5, yes = true, plain = "text", nothing = "$unread" }"#
            .replace('\n', " ");
    check(
        &payload,
        &scope,
        json!({ "id": "m1", "at": ["2000-02-29T00:00:00.000Z", null], "text": message.text,
            "who": { "id": "ana", "name": "Ana \"A\"" }, "odd \"key\"": { "n": 1.5 }, "type": "IMAGE",
            "in": "hall", "seq": 7, "by": ["ben"], "price": "$5", "status": "read", "n": 1, "f": 1.5,
            "yes": true, "plain": "text", "nothing": null }),
    );
    check("\"$user.name\"", &scope, json!("U"));
}

#[test]
fn times_may_be_numbers_and_data_is_kept_byte_for_byte() {
    let message = message();
    let scope = Scope { message: Some(&message), ..Scope::default() };
    let mut out = Vec::new();
    template(r#"payload = ["$message.time", "$message.deleted_at", "$message.data"]"#, false)
        .write(&mut out, &scope);
    assert_eq!(String::from_utf8(out).unwrap(), r#"[951782400000,null,{"n":1.50}]"#);
}

#[test]
fn a_message_is_sent_then_delivered_then_read() {
    let message = message();
    let status = |shown_to, seq| {
        let marks = [v1::ReadMark { user: "ben".into(), seq, ..Default::default() }];
        let scope = Scope { message: Some(&message), read_marks: &marks, shown_to, ..Scope::default() };
        written(&template("payload = \"$message.status\"", true), &scope)
    };
    assert_eq!(status(None, 6), "sent");
    assert_eq!(status(Some("ana"), 6), "sent", "to its sender");
    assert_eq!(status(Some("eva"), 6), "delivered", "to whom it is shown");
    assert_eq!(status(Some("eva"), 7), "read");
}

#[test]
fn lists_are_of_shapes() {
    let text = r#"
payload = { rooms = "$rooms", all = "$messages", more = "$more" }
[shape]
message = { id = "$message.id", room = "$room", status = "$message.status" }
room = { id = "$room", kind = "$room.kind", last = "$room.last_message", who = "$room.participants", role = "$room.role" }
[shape.participant]
id = "$user.id"
role = "$member.role"
"#;
    let details =
        |id: &str| v1::Details { id: id.into(), kind: RoomKind::Direct.into(), ..Default::default() };
    let summary = |id: &str| v1::RoomSummary {
        details: Some(details(id)),
        role: Role::Owner.into(),
        ..Default::default()
    };
    let member = v1::Member { user: "ben".into(), role: Role::Moderator.into(), ..Default::default() };
    let one = v1::RoomSummary { last_message: Some(message()), ..summary("one") };
    let rooms = [
        RoomView { summary: one, members: vec![member] },
        RoomView { summary: summary("two"), members: Vec::new() },
    ];
    let messages = [message()];
    let scope = Scope {
        room: "hall",
        rooms: &rooms,
        messages: &messages,
        more: Some(true),
        shown_to: Some("ben"),
        ..Scope::default()
    };
    let template = template(text, true);
    assert!(template.wants().members && template.wants().read_marks);
    assert_eq!(
        written(&template, &scope),
        json!({
            "rooms": [
                { "id": "one", "kind": "DIRECT", "last": { "id": "m1", "room": "one", "status": "delivered" },
                  "who": [{ "id": "ben", "role": "mod" }], "role": "ADMIN" },
                { "id": "two", "kind": "DIRECT", "last": null, "who": [], "role": "ADMIN" },
            ],
            "all": [{ "id": "m1", "room": "hall", "status": "delivered" }],
            "more": true,
        })
    );
}

#[test]
fn what_is_not_known_of_a_changed_message_is_asked_for() {
    let wants = |value: &str| template(&format!("payload = \"{value}\""), true).wants().whole_message;
    for known in ["$message.id", "$message.text", "$message.edited_at", "$room", "$user.id"] {
        assert!(!wants(known), "{known}");
    }
    for asked in ["$message.time", "$message.type", "$message.sender_name", "$message.deleted_at"] {
        assert!(wants(asked), "{asked}");
    }
}

/// Every value there is, in every shape there is.
fn everything() -> Template {
    let all: Vec<_> = Field::ALL.iter().map(|(name, _)| format!("{name:?}")).collect();
    let nested: Vec<_> = Nested::ALL.iter().map(|(name, _)| format!("{name:?}")).collect();
    let of = |groups: &[&str]| {
        let fields = Field::ALL.iter().map(|(name, _)| *name);
        let fields = fields.filter(|name| groups.iter().any(|group| name.starts_with(group)));
        fields.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
    };
    let text = format!(
        "payload = [{}, {}]\n[shape]\nmessage = [{}]\nnotification = {{ all = [{}] }}\npresence = [{}]\n\
         participant = [{}]\nroom = [{}, \"$room.participants\", \"$room.last_message\"]",
        all.join(", "),
        nested.join(", "),
        of(&["$message."]),
        of(&["$notification."]),
        of(&["$user.id", "$presence."]),
        of(&["$user.", "$member."]),
        of(&["$room"]),
    );
    template(&text, true)
}

fn any_data() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        ".{0,20}".prop_map(|text| json!({ "text": text }).to_string()),
        any::<f64>().prop_map(|number| json!([number]).to_string()),
    ]
}

prop_compose! {
    fn any_message()(
        texts in proptest::collection::vec(".{0,30}", 4),
        data in any_data(),
        numbers in proptest::collection::vec(any::<i64>(), 3),
        r#type in -1..9i32,
        seq in any::<u64>(),
    ) -> v1::Message {
        v1::Message {
            id: texts[0].clone(),
            seq,
            sender: texts[1].clone(),
            name: texts[2].clone(),
            text: texts[3].clone(),
            r#type,
            data,
            time: numbers[0],
            edited_at: numbers[1],
            deleted_at: numbers[2],
            ..Default::default()
        }
    }
}

proptest! {
    #[test]
    fn whatever_there_is_to_say_is_json(
        messages in proptest::collection::vec(any_message(), 0..3),
        texts in proptest::collection::vec(".{0,20}", 6),
        data in any_data(),
        numbers in proptest::collection::vec(any::<u64>(), 4),
        time in any::<i64>(),
        enumeration in -3..9i32,
        flags in proptest::collection::vec(any::<bool>(), 10),
    ) {
        let details = v1::Details {
            id: texts[0].clone(),
            kind: enumeration,
            name: texts[1].clone(),
            created_at: time,
            ..Default::default()
        };
        let marks = [v1::ReadMark { user: texts[2].clone(), seq: numbers[0], time, ..Default::default() }];
        let member = v1::Member { user: texts[2].clone(), role: enumeration, ..Default::default() };
        let view = RoomView {
            summary: v1::RoomSummary {
                details: flags[0].then_some(details),
                role: enumeration,
                unread: numbers[1],
                last_message: messages.first().cloned(),
                read_marks: marks.to_vec(),
                ..Default::default()
            },
            members: vec![member.clone(); numbers[2] as usize % 3],
        };
        let rooms = [view.clone(), RoomView::default()];
        let presences =
            [v1::UserPresence { user: texts[3].clone(), status: texts[4].clone(), last_seen: time }];
        let notifications = [v1::Notification { r#type: texts[5].clone(), data, time, ..Default::default() }];
        let error = proto::ErrorCode::Invalid.with(texts[4].clone());
        let scope = Scope {
            room: &texts[0],
            user: flags[1].then_some((&*texts[2], &*texts[3])),
            message: messages.first(),
            messages: &messages,
            read_marks: &marks,
            shown_to: flags[2].then_some(&*texts[2]),
            more: flags[3].then_some(flags[4]),
            view: flags[5].then_some(&view),
            rooms: &rooms,
            member: flags[6].then_some(&member),
            read: flags[7].then_some(&marks[0]),
            typing: flags[8].then_some(flags[4]),
            presence: presences.first().filter(|_| flags[9]),
            presences: &presences,
            notification: notifications.first().filter(|_| flags[0]),
            notifications: &notifications,
            online: flags[1].then_some(numbers[3]),
            unread: flags[2].then_some(numbers[3]),
            error: flags[3].then_some(&error),
        };
        let shown = written(&everything(), &scope);
        prop_assert_eq!(shown.as_array().map(Vec::len), Some(Field::ALL.len() + Nested::ALL.len()));
        for ((name, field), shown) in Field::ALL.iter().zip(shown.as_array().unwrap()) {
            if *field == Field::MessageText {
                prop_assert_eq!(shown.as_str(), scope.message.map(|message| &*message.text), "{}", name);
            }
        }
    }
}
