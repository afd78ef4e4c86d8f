//! Messages: sending, paging, searching, editing, marking as read.

use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use proto::node::query::Question;
use proto::node::{self, answer::Result as Answered, command::Action, outcome::Result as Came};
use proto::v1::{Changed, Delete, Edit, History, HistoryRequest, Message, Read, ReadMark, Send, Sent};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::problem::expected;
use super::request::{Body, Caller, InRoom, OfMessage, OptionalBody, Params, key, page};
use super::{Answer, Shared};

#[derive(Deserialize)]
pub struct PageParams {
    /// Messages with a seq below this.
    #[serde(default)]
    before: u64,
    limit: Option<u32>,
}

/// `GET /v1/rooms/{room}/messages?before=&limit=`: oldest first.
pub async fn history(
    State(state): Shared,
    Caller(actor): Caller,
    InRoom(room): InRoom,
    Params(params): Params<PageParams>,
) -> Answer<History> {
    let request = HistoryRequest { room: (&room).into(), before: params.before, limit: page(params.limit) };
    Ok(Json(expected!(state.link.ask(actor, Question::History(request)).await, Answered::History)))
}

/// `POST /v1/rooms/{room}/messages`: a send as in a frame. Without a key, what
/// is repeated is sent twice.
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

#[derive(Deserialize, Default)]
pub struct Mark {
    #[serde(default)]
    seq: u64,
}

/// `POST /v1/rooms/{room}/read`: up to `seq`, or everything.
pub async fn read(
    State(state): Shared,
    Caller(actor): Caller,
    InRoom(room): InRoom,
    OptionalBody(mark): OptionalBody<Mark>,
) -> Answer<ReadMark> {
    let action = Action::Read(Read { room: (&room).into(), seq: mark.seq });
    Ok(Json(expected!(state.link.command(actor, action).await, Came::ReadMark)))
}

#[derive(Deserialize)]
pub struct SearchParams {
    q: String,
    #[serde(default)]
    before: u64,
    limit: Option<u32>,
}

#[derive(Serialize)]
pub struct Found {
    messages: Vec<Message>,
    more: bool,
}

/// `GET /v1/rooms/{room}/search?q=&before=&limit=`: newest first.
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
#[derive(Serialize)]
pub struct Placed {
    room: String,
    #[serde(flatten)]
    message: Message,
}

/// `GET /v1/messages/{message}`
pub async fn get(
    State(state): Shared,
    Caller(actor): Caller,
    OfMessage(message): OfMessage,
) -> Answer<Placed> {
    let question = Question::GetMessage(node::GetMessage { message: (&message).into() });
    let found = expected!(state.link.ask(actor, question).await, Answered::GetMessage);
    Ok(Json(Placed { room: found.room, message: found.message.unwrap_or_default() }))
}

#[derive(Deserialize)]
pub struct NewText {
    text: String,
}

/// `PATCH` and `PUT /v1/messages/{message}`
pub async fn edit(
    State(state): Shared,
    Caller(actor): Caller,
    OfMessage(message): OfMessage,
    Body(new): Body<NewText>,
) -> Answer<Changed> {
    let edit = Edit { room: String::new(), message: (&message).into(), text: new.text };
    Ok(Json(expected!(state.link.command(actor, Action::Edit(edit)).await, Came::Changed)))
}

/// `DELETE /v1/messages/{message}`
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
