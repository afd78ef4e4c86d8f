//! Messages: sending, paging, searching, editing, marking as read.

use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use proto::node::query::Question;
use proto::node::{self, answer::Result as Answered, command::Action, outcome::Result as Came};
use proto::v1::{Changed, Delete, Edit, History, HistoryRequest, Message, Read, ReadMark, Send, Sent};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::problem::{expected, refusals};
use super::request::{Body, Caller, IdempotencyKey, InRoom, OfMessage, OptionalBody, Params, key, page};
use super::{Answer, Shared, tag};
use crate::reference::{examples, wire};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// Messages with a seq below this; 0: the newest.
    #[serde(default)]
    #[param(example = 18)]
    before: u64,
    /// At most this many; 50 by default, never more than 100.
    #[param(nullable = false, example = 50)]
    limit: Option<u32>,
}

/// A page of messages
///
/// The newest of those before a place, oldest first. To go further back, ask
/// again with the first message's `seq` as `before`.
#[utoipa::path(
    get, path = "/v1/rooms/{room}/messages", operation_id = "listMessages", tag = tag::MESSAGES,
    params(InRoom, PageParams),
    responses(
        (status = 200, description = "The page.", body = wire::History,
            example = json!(History {
                room: examples::ROOM.into(),
                messages: vec![examples::picture(), examples::message()],
                more: true,
            })),
    ),
    extensions(("x-error-codes" = json!(refusals![NotMember]))),
)]
pub async fn history(
    State(state): Shared,
    Caller(actor): Caller,
    InRoom(room): InRoom,
    Params(params): Params<PageParams>,
) -> Answer<History> {
    let request = HistoryRequest { room: (&room).into(), before: params.before, limit: page(params.limit) };
    Ok(Json(expected!(state.link.ask(actor, Question::History(request)).await, Answered::History)))
}

/// Sends a message
///
/// The answer means that it is stored, durably. Members only, service tokens
/// neither.
#[utoipa::path(
    post, path = "/v1/rooms/{room}/messages", operation_id = "sendMessage", tag = tag::MESSAGES,
    params(InRoom, IdempotencyKey),
    request_body(content = wire::NewMessage, examples(
        ("text" = (summary = "A text", value = json!({
            "text": "Chapter three tonight?", "key": examples::KEY,
        }))),
        ("image" = (summary = "A picture with a caption", value = json!({
            "type": "IMAGE", "text": "The new bell", "key": "0f8c1d52",
            "data": { "url": "https://files.example.org/bell.jpg", "mediaType": "image/jpeg", "width": 1200 },
        }))),
    )),
    responses(
        (status = 200, description = "It is stored, or was under this key.", body = wire::Sent,
            example = json!(examples::sent())),
    ),
    extensions(("x-error-codes" = json!(refusals![NotMember, Invalid, KeyConflict]))),
)]
pub async fn send(
    State(state): Shared,
    Caller(actor): Caller,
    InRoom(room): InRoom,
    headers: HeaderMap,
    Body(mut send): Body<Send>,
) -> Answer<Sent> {
    send.room = (&room).into();
    send.key = key(send.key, &headers)?;
    if send.key.is_empty() {
        send.key = Uuid::new_v4().to_string();
    }
    Ok(Json(expected!(state.link.command(actor, Action::Send(send)).await, Came::Sent)))
}

/// How far the user has read.
#[derive(Deserialize, Default, ToSchema)]
pub struct Mark {
    /// Seq of the last message read; 0: everything.
    #[serde(default)]
    seq: u64,
}

/// Marks messages as read
///
/// Up to the message of this seq, or everything. The mark only moves forward.
#[utoipa::path(
    post, path = "/v1/rooms/{room}/read", operation_id = "markRead", tag = tag::MESSAGES,
    params(InRoom),
    request_body(content = Option<Mark>, example = json!({ "seq": 18 })),
    responses(
        (status = 200, description = "The mark, where it is now.", body = wire::ReadMark,
            example = json!(examples::own_read_mark())),
    ),
    extensions(("x-error-codes" = json!(refusals![NotMember]))),
)]
pub async fn read(
    State(state): Shared,
    Caller(actor): Caller,
    InRoom(room): InRoom,
    OptionalBody(mark): OptionalBody<Mark>,
) -> Answer<ReadMark> {
    let action = Action::Read(Read { room: (&room).into(), seq: mark.seq });
    Ok(Json(expected!(state.link.command(actor, action).await, Came::ReadMark)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SearchParams {
    /// Words that a message has to hold, all of them.
    #[param(example = "chapter")]
    q: String,
    /// Messages with a seq below this; 0: the newest.
    #[serde(default)]
    #[param(example = 100)]
    before: u64,
    /// At most this many; 20 by default, never more than 100.
    #[param(nullable = false, example = 20)]
    limit: Option<u32>,
}

/// Messages that were found.
#[derive(Serialize, ToSchema)]
#[schema(as = FoundMessages)]
pub struct Found {
    #[schema(value_type = Vec<wire::Message>)]
    messages: Vec<Message>,
    /// There are more of them.
    more: bool,
}

/// Searches a room
///
/// Messages that hold all these words, newest first.
#[utoipa::path(
    get, path = "/v1/rooms/{room}/search", operation_id = "searchMessages", tag = tag::MESSAGES,
    params(InRoom, SearchParams),
    responses(
        (status = 200, description = "A page of messages.", body = Found,
            example = json!(Found { messages: vec![examples::message()], more: false })),
    ),
    extensions(("x-error-codes" = json!(refusals![NotMember, Invalid, TooLarge]))),
)]
pub async fn search(
    State(state): Shared,
    Caller(actor): Caller,
    InRoom(room): InRoom,
    Params(params): Params<SearchParams>,
) -> Answer<Found> {
    let search = node::Search {
        room: (&room).into(),
        text: params.q,
        before: params.before,
        limit: page(params.limit),
    };
    let found = expected!(state.link.ask(actor, Question::Search(search)).await, Answered::Search);
    Ok(Json(Found { messages: found.messages, more: found.more }))
}

/// A message by itself: with its room.
#[derive(Serialize, ToSchema)]
#[schema(as = PlacedMessage)]
pub struct Placed {
    /// The room that it is in.
    room: String,
    #[serde(flatten)]
    #[schema(value_type = wire::Message)]
    message: Message,
}

/// A message
///
/// In its newest state, with its room.
#[utoipa::path(
    get, path = "/v1/messages/{message}", operation_id = "getMessage", tag = tag::MESSAGES,
    params(OfMessage),
    responses(
        (status = 200, description = "The message.", body = Placed,
            example = json!(Placed { room: examples::ROOM.into(), message: examples::edited() })),
    ),
    extensions(("x-error-codes" = json!(refusals![NotFound]))),
)]
pub async fn get(
    State(state): Shared,
    Caller(actor): Caller,
    OfMessage(message): OfMessage,
) -> Answer<Placed> {
    let question = Question::GetMessage(node::GetMessage { message: (&message).into() });
    let found = expected!(state.link.ask(actor, question).await, Answered::GetMessage);
    Ok(Json(Placed { room: found.room, message: found.message.unwrap_or_default() }))
}

/// A message's new text.
#[derive(Deserialize, ToSchema)]
pub struct NewText {
    /// At most 16 KiB of UTF-8.
    text: String,
}

/// Edits a message
///
/// One's own, and not for longer than 15 minutes after it was sent, unless the
/// server is set otherwise.
#[utoipa::path(
    patch, path = "/v1/messages/{message}", operation_id = "editMessage", tag = tag::MESSAGES,
    params(OfMessage),
    request_body(content = NewText, example = json!({ "text": "Chapter four tonight?" })),
    responses(
        (status = 200, description = "The change is stored.", body = wire::Changed,
            example = json!(examples::changed())),
    ),
    extensions(("x-error-codes" = json!(refusals![NotFound, Forbidden, Conflict, EditExpired, Invalid]))),
)]
pub async fn edit(state: Shared, caller: Caller, of: OfMessage, new: Body<NewText>) -> Answer<Changed> {
    replace(state, caller, of, new).await
}

/// Edits a message
///
/// The same as `PATCH`, for clients that put.
#[utoipa::path(
    put, path = "/v1/messages/{message}", operation_id = "replaceMessage", tag = tag::MESSAGES,
    params(OfMessage),
    request_body(content = NewText, example = json!({ "text": "Chapter four tonight?" })),
    responses(
        (status = 200, description = "The change is stored.", body = wire::Changed,
            example = json!(examples::changed())),
    ),
    extensions(("x-error-codes" = json!(refusals![NotFound, Forbidden, Conflict, EditExpired, Invalid]))),
)]
pub async fn replace(
    State(state): Shared,
    Caller(actor): Caller,
    OfMessage(message): OfMessage,
    Body(new): Body<NewText>,
) -> Answer<Changed> {
    let edit = Edit { room: String::new(), message: (&message).into(), text: new.text };
    Ok(Json(expected!(state.link.command(actor, Action::Edit(edit)).await, Came::Changed)))
}

/// Deletes a message
///
/// One's own; those of others for moderators and above. A tombstone stays.
#[utoipa::path(
    delete, path = "/v1/messages/{message}", operation_id = "deleteMessage", tag = tag::MESSAGES,
    params(OfMessage),
    responses(
        (status = 200, description = "The change is stored.", body = wire::Changed,
            example = json!(examples::changed())),
    ),
    extensions(("x-error-codes" = json!(refusals![NotFound, Forbidden]))),
)]
pub async fn delete(
    State(state): Shared,
    Caller(actor): Caller,
    OfMessage(message): OfMessage,
) -> Answer<Changed> {
    let delete = Delete { room: String::new(), message: (&message).into() };
    Ok(Json(expected!(state.link.command(actor, Action::Delete(delete)).await, Came::Changed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_by_itself_keeps_its_data_byte_for_byte() {
        let message = Message { id: "m".into(), data: r#"{ "n": 1.50 }"#.into(), ..Default::default() };
        let json = serde_json::to_string(&Placed { room: "r".into(), message }).unwrap();
        assert!(json.starts_with(r#"{"room":"r","id":"m","#), "{json}");
        assert!(json.contains(r#""data":{ "n": 1.50 }"#), "{json}");
    }
}
