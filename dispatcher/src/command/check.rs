//! Checking the form of what comes in: ids, texts, data. What passes here can
//! be stored; who may do it is for the [rules](super::rule).

use proto::text::{self, InvalidText, MAX_NAME_BYTES};
use proto::v1::{self, MessageType};
use proto::{ErrorCode, MessageId, RoomId, UserId, node};
use serde_json::{Map, Value};

/// Result of a check.
pub(crate) type Checked<T> = Result<T, v1::Error>;

/// Who acts, as the gateway read it from the token.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub(crate) user: UserId,
    pub(crate) name: String,
    /// A server-to-server token: may do what no user may.
    pub(crate) service: bool,
}

impl Actor {
    pub(crate) fn check(actor: Option<node::Actor>) -> Checked<Self> {
        let actor = actor.ok_or_else(|| ErrorCode::Malformed.with("it is not said who acts"))?;
        Ok(Self { user: user(&actor.user)?, name: display_name(&actor.name), service: actor.service })
    }

    /// Refuses everything but server-to-server tokens.
    pub(crate) fn must_be_service(&self) -> Checked<()> {
        if self.service { Ok(()) } else { Err(ErrorCode::Forbidden.with("for service tokens only")) }
    }
}

/// A name as a token may carry it, made fit to be stored and shown.
fn display_name(name: &str) -> String {
    let mut shown: String = name.chars().filter(|c| !c.is_control()).collect();
    let mut end = shown.len().min(MAX_NAME_BYTES);
    while !shown.is_char_boundary(end) {
        end -= 1;
    }
    shown.truncate(end);
    shown
}

pub(crate) fn user(id: &str) -> Checked<UserId> {
    UserId::new(id).map_err(|error| ErrorCode::Invalid.with(format!("user: {error}")))
}

pub(crate) fn room(id: &str) -> Checked<RoomId> {
    RoomId::new(id).map_err(|error| ErrorCode::Invalid.with(format!("room: {error}")))
}

pub(crate) fn message(id: &str) -> Checked<MessageId> {
    MessageId::new(id).map_err(|error| ErrorCode::Invalid.with(format!("message: {error}")))
}

/// Several users, each once, sorted: the order in which they are locked.
pub(crate) fn users<'a>(ids: impl IntoIterator<Item = &'a String>) -> Checked<Vec<UserId>> {
    let mut users = ids.into_iter().map(|id| user(id)).collect::<Checked<Vec<_>>>()?;
    users.sort();
    users.dedup();
    Ok(users)
}

/// Puts a refused text into words.
pub(crate) fn field(name: &'static str) -> impl Fn(InvalidText) -> v1::Error {
    move |error| {
        let code =
            if matches!(error, InvalidText::TooLong(_)) { ErrorCode::TooLarge } else { ErrorCode::Invalid };
        code.with(format!("{name} {error}"))
    }
}

/// A message to send, of good form.
#[derive(Debug, Clone)]
pub(crate) struct Send {
    pub(crate) room: RoomId,
    pub(crate) key: String,
    pub(crate) r#type: MessageType,
    pub(crate) text: String,
    pub(crate) data: String,
}

impl Send {
    pub(crate) fn check(send: v1::Send) -> Checked<Self> {
        let r#type = MessageType::try_from(send.r#type)
            .map_err(|_| ErrorCode::Invalid.with("type is none of TEXT, IMAGE, FILE, VOICE"))?;
        text::check_key(&send.key).map_err(field("key"))?;
        body(r#type, &send.text)?;
        data(r#type, &send.data)?;
        Ok(Self { room: room(&send.room)?, key: send.key, r#type, text: send.text, data: send.data })
    }
}

/// The text of a message: what a TEXT says, what others are captioned with.
pub(crate) fn body(r#type: MessageType, text: &str) -> Checked<()> {
    text::check_text(text).map_err(field("text"))?;
    if r#type == MessageType::Text && text.trim().is_empty() {
        return Err(field("text")(InvalidText::Empty));
    }
    Ok(())
}

/// The data of a message: an object; of an attachment, with where it is.
fn data(r#type: MessageType, json: &str) -> Checked<()> {
    if json.is_empty() && r#type == MessageType::Text {
        return Ok(());
    }
    if json.is_empty() {
        return Err(ErrorCode::Invalid.with("data with a url is required for this type"));
    }
    text::check_data(json).map_err(field("data"))?;
    let fields: Map<String, Value> =
        serde_json::from_str(json).map_err(|_| ErrorCode::Invalid.with("data is not a JSON object"))?;
    if r#type == MessageType::Text { Ok(()) } else { attachment(&fields) }
}

fn attachment(fields: &Map<String, Value>) -> Checked<()> {
    let invalid = |name: &str, what: &str| Err(ErrorCode::Invalid.with(format!("data.{name} {what}")));
    if !matches!(fields.get("url"), Some(Value::String(url)) if !url.trim().is_empty()) {
        return invalid("url", "is required");
    }
    for name in ["name", "mediaType"] {
        if fields.get(name).is_some_and(|value| !value.is_string()) {
            return invalid(name, "is not a string");
        }
    }
    for name in ["size", "width", "height", "duration"] {
        let amount = |value: &Value| value.as_f64().is_some_and(|number| number >= 0.0);
        if fields.get(name).is_some_and(|value| !amount(value)) {
            return invalid(name, "is not a number of at least 0");
        }
    }
    Ok(())
}

/// A room's name. A room may be without one when it is created, not renamed to none.
pub(crate) fn room_name(name: &str, required: bool) -> Checked<()> {
    if name.is_empty() && !required {
        return Ok(());
    }
    text::check_name(name).map_err(field("name"))
}

/// An idempotency key that may be left out.
pub(crate) fn optional_key(key: &str) -> Checked<()> {
    if key.is_empty() { Ok(()) } else { text::check_key(key).map_err(field("key")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_are_checked() {
        let url = r#"{"url":"https://x/y.png","size":3,"name":"y"}"#;
        let cases = [
            (0, "hi", "", Ok(())),
            (0, "hi", r#"{"mentions":["a"]}"#, Ok(())),
            (0, " \n", "", Err("invalid")),
            (0, "", url, Err("invalid")),
            (0, "a\0b", "", Err("invalid")),
            (0, "hi", "[]", Err("invalid")),
            (0, "hi", "{", Err("invalid")),
            (1, "", url, Ok(())),
            (2, "caption", url, Ok(())),
            (1, "caption", "", Err("invalid")),
            (1, "", r#"{"url":""}"#, Err("invalid")),
            (1, "", r#"{"url":7}"#, Err("invalid")),
            (3, "", r#"{"url":"x","duration":-1}"#, Err("invalid")),
            (3, "", r#"{"url":"x","duration":"1"}"#, Err("invalid")),
            (3, "", r#"{"url":"x","name":1}"#, Err("invalid")),
            (9, "hi", "", Err("invalid")),
        ];
        for (r#type, text, data, expected) in cases {
            let send =
                v1::Send { room: "r".into(), key: "k".into(), r#type, text: text.into(), data: data.into() };
            let checked = Send::check(send).map(drop);
            assert_eq!(checked.as_ref().map_err(|e| e.code.as_str()).copied(), expected, "{text:?} {data}");
        }
        let long = v1::Send {
            room: "r".into(),
            key: "k".into(),
            text: "x".repeat(text::MAX_TEXT_BYTES + 1),
            ..Default::default()
        };
        assert_eq!(Send::check(long).unwrap_err().code, "too_large");
    }

    #[test]
    fn names_of_tokens_are_made_fit() {
        assert_eq!(display_name("A\0n\nn"), "Ann");
        assert_eq!(display_name(&"ä".repeat(200)).len(), 256);
        assert_eq!(display_name(&format!("x{}", "ä".repeat(200))).len(), 255);
    }
}
