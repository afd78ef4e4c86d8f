//! The rules of Socket.IO 5, case by case.

use proptest::prelude::*;
use proto::ErrorCode;

use super::*;

fn packet<'a>(kind: Kind, namespace: &'a str, ack: Option<u64>, data: &'a str) -> Packet<'a> {
    Packet { kind, namespace, ack, data, attachments: 0 }
}

#[test]
fn examples_of_the_protocol() {
    for (text, expected) in [
        ("0", packet(Kind::Connect, "/", None, "")),
        (r#"0{"token":"123"}"#, packet(Kind::Connect, "/", None, r#"{"token":"123"}"#)),
        ("0/admin,", packet(Kind::Connect, "/admin", None, "")),
        ("0/admin", packet(Kind::Connect, "/admin", None, "")),
        (r#"0/admin?token=1234&uid=abcd,{"a":1}"#, packet(Kind::Connect, "/admin", None, r#"{"a":1}"#)),
        ("1", packet(Kind::Disconnect, "/", None, "")),
        ("1/admin,", packet(Kind::Disconnect, "/admin", None, "")),
        (r#"2["foo"]"#, packet(Kind::Event, "/", None, r#"["foo"]"#)),
        (r#"2/admin,["bar"]"#, packet(Kind::Event, "/admin", None, r#"["bar"]"#)),
        (r#"212["foo"]"#, packet(Kind::Event, "/", Some(12), r#"["foo"]"#)),
        ("3/admin,13[]", packet(Kind::Ack, "/admin", Some(13), "[]")),
        (r#"4{"message":"no"}"#, packet(Kind::ConnectError, "/", None, r#"{"message":"no"}"#)),
        (
            r#"51-["baz",{"_placeholder":true,"num":0}]"#,
            Packet {
                attachments: 1,
                ..packet(Kind::BinaryEvent, "/", None, r#"["baz",{"_placeholder":true,"num":0}]"#)
            },
        ),
        (
            r#"61-/admin,456[{"_placeholder":true,"num":0}]"#,
            Packet {
                attachments: 1,
                ..packet(Kind::BinaryAck, "/admin", Some(456), r#"[{"_placeholder":true,"num":0}]"#)
            },
        ),
    ] {
        assert_eq!(decode(text), Ok(expected), "{text}");
    }
}

#[test]
fn s18_what_is_no_packet_is_refused() {
    for (text, why) in [
        ("", PacketError::Kind),
        ("7", PacketError::Kind),
        ("9[\"x\"]", PacketError::Kind),
        ("x", PacketError::Kind),
        ("-1", PacketError::Kind),
        ("é", PacketError::Kind),
        (r#"5["x"]"#, PacketError::Attachments),
        (r#"5-["x"]"#, PacketError::Attachments),
        (r#"5+1-["x"]"#, PacketError::Attachments),
        (r#"5-1-["x"]"#, PacketError::Attachments),
        (r#"59-["x"]"#, PacketError::Attachments),
        (r#"55999999999-["x"]"#, PacketError::Attachments),
        (r#"599999999999999999999999999999-["x"]"#, PacketError::Attachments),
        (r#"218446744073709551616["x"]"#, PacketError::Ack),
    ] {
        assert_eq!(decode(text), Err(why), "{text}");
    }
    let largest = format!(r#"2{}["x"]"#, u64::MAX);
    assert_eq!(decode(&largest).unwrap().ack, Some(u64::MAX));
}

#[test]
fn an_event_is_its_name_and_its_first_argument() {
    assert_eq!(event_parts(r#"["a"]"#), Ok(("a".to_owned(), None)));
    assert_eq!(event_parts(r#"["a",{"b":[1]}, 2]"#), Ok(("a".to_owned(), Some(r#"{"b":[1]}"#))));
    assert_eq!(event_parts(r#"["a\"b",null]"#), Ok(("a\"b".to_owned(), Some("null"))));
    for nonsense in ["", "{}", "[]", "[1]", "[null]", "\"a\"", r#"["a""#, r#"["a"] x"#] {
        assert_eq!(event_parts(nonsense), Err(PacketError::Event), "{nonsense}");
    }
}

fn partial(text: &str) -> Result<Partial, PacketError> {
    Partial::begin(&decode(text)?)
}

#[test]
fn attachments_become_text_where_their_placeholders_are() {
    let text = r#"52-7["send",{"b":{"_placeholder":true,"num":1},"a":[{"_placeholder":true,"num":0}]}]"#;
    let mut event = partial(text).unwrap();
    assert_eq!(event.add(&[1, 2, 3], 1000), Ok(false));
    assert_eq!(event.add(b"", 1000), Ok(true));
    let (ack, data) = event.finish().unwrap();
    assert_eq!(ack, Some(7));
    let data: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert_eq!(data, serde_json::json!(["send", {"b": "", "a": ["AQID"]}]));
}

#[test]
fn s18_attachments_and_placeholders_must_match() {
    for (text, why) in [
        (r#"51-["x"]"#, PacketError::Placeholder),
        (r#"51-["x",{"_placeholder":true,"num":1}]"#, PacketError::Placeholder),
        (r#"51-["x",{"_placeholder":true,"num":-1}]"#, PacketError::Placeholder),
        (r#"51-["x",{"_placeholder":true,"num":"0"}]"#, PacketError::Placeholder),
        (r#"51-["x",{"_placeholder":true}]"#, PacketError::Placeholder),
        (r#"51-["x""#, PacketError::Event),
    ] {
        let mut event = partial(text).unwrap();
        assert_eq!(event.add(b"1", 1000), Ok(true));
        assert_eq!(event.finish(), Err(why), "{text}");
    }
    assert_eq!(partial(r#"50-["x"]"#).unwrap_err(), PacketError::Attachments);
}

#[test]
fn p6_attachments_are_bounded_together() {
    let text = r#"52-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    let limit = text.len() + 10;
    let mut event = partial(text).unwrap();
    assert_eq!(event.add(&[0; 8], limit), Ok(false));
    assert_eq!(event.add(&[0; 8], limit), Err(PacketError::TooLarge));
}

/// The payload of the one frame that was written.
fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    crate::socketio::engine::payload(&[out.into()])
}

#[test]
fn what_is_written_is_what_clients_know() {
    let payload = |out: &mut Vec<u8>| out.extend_from_slice(br#"{"b":1}"#);
    assert_eq!(written(|out| event(out, "a\"", payload)), r#"42["a\"",{"b":1}]"#);
    let placed = written(|out| event_at(out, "a", Some(("r", "5-0")), payload));
    assert!(placed.starts_with(r#"42["a",{"b":1},"r|5-0"#) && placed.ends_with("\"]"), "{placed}");
    assert_eq!(written(|out| ack(out, 12, payload)), r#"4312[{"b":1}]"#);
    assert_eq!(written(disconnect), "41");
    let said = written(|out| connected(out, "s"));
    let said: serde_json::Value = serde_json::from_str(said.strip_prefix("40").unwrap()).unwrap();
    assert_eq!(said, serde_json::json!({ "sid": "s", "pid": "s" }));
    let error = ErrorCode::NotFound.with("Invalid namespace");
    let said = written(|out| connect_error(out, "/admin", &error));
    let said: serde_json::Value = serde_json::from_str(said.strip_prefix("44/admin,").unwrap()).unwrap();
    let data = serde_json::json!({ "code": "not_found", "retryable": false });
    assert_eq!(said, serde_json::json!({ "message": "Invalid namespace", "data": data }));
    assert!(written(|out| connect_error(out, "/", &error)).starts_with("44{"));
}

proptest! {
    #[test]
    fn no_text_is_too_odd(text in "\\PC*") {
        if let Ok(packet) = decode(&text) {
            let _ = event_parts(packet.data);
        }
    }

    #[test]
    fn nearly_packets_are_read_without_a_fault(text in "[0-9]{0,3}[0-9-]{0,25}(/[a-z]{0,3},)?[0-9]{0,25}\\PC{0,10}") {
        if let Ok(packet) = decode(&text) {
            prop_assert!(packet.attachments <= MAX_ATTACHMENTS);
        }
    }
}
