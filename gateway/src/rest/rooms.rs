//! Rooms and their members.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use proto::node::query::Question;
use proto::node::{self, answer::Result as Answered, command::Action, outcome::Result as Came};
use proto::v1::{Details, Done, Member, RoomKind, RoomSummary, Snapshot, SnapshotRequest};
use proto::{ErrorCode, json};
use serde::{Deserialize, Serialize};

use super::problem::expected;
use super::request::{Body, Caller, InRoom, OfUser, Params, key, page};
use super::{Answer, Problem, Shared};

#[derive(Deserialize)]
pub struct SnapshotParams {
    rooms: Option<u32>,
}

/// `GET /v1/snapshot?rooms=`
pub async fn snapshot(
    State(state): Shared,
    Caller(actor): Caller,
    Params(params): Params<SnapshotParams>,
) -> Answer<Snapshot> {
    let question = Question::Snapshot(SnapshotRequest { rooms: page(params.rooms) });
    Ok(Json(expected!(state.link.ask(actor, question).await, Answered::Snapshot)))
}

#[derive(Deserialize)]
pub struct ListParams {
    limit: Option<u32>,
    #[serde(default)]
    skip: u32,
}

#[derive(Serialize)]
pub struct Rooms {
    rooms: Vec<RoomSummary>,
    more: bool,
}

/// `GET /v1/rooms?limit=&skip=`: newest activity first.
pub async fn list(
    State(state): Shared,
    Caller(actor): Caller,
    Params(params): Params<ListParams>,
) -> Answer<Rooms> {
    let question = node::ListRooms { limit: page(params.limit), skip: params.skip };
    let found = expected!(state.link.ask(actor, Question::ListRooms(question)).await, Answered::ListRooms);
    Ok(Json(Rooms { rooms: found.rooms, more: found.more }))
}

#[derive(Deserialize)]
pub struct NewRoom {
    #[serde(default, deserialize_with = "json::room_kind::deserialize")]
    kind: i32,
    #[serde(default)]
    name: String,
    #[serde(default)]
    members: Vec<String>,
    /// The other one of a direct room.
    user: Option<String>,
    #[serde(default)]
    key: String,
    /// Chosen by a server of the application.
    #[serde(default)]
    id: String,
}

/// `POST /v1/rooms`: 201, or 200 for a direct room, which may have been there.
pub async fn create(
    State(state): Shared,
    Caller(actor): Caller,
    headers: HeaderMap,
    Body(mut new): Body<NewRoom>,
) -> Result<(StatusCode, Json<Details>), Problem> {
    if !new.id.is_empty() && !actor.service {
        return Err(ErrorCode::Forbidden.with("only service tokens choose a room's id").into());
    }
    new.members.extend(new.user);
    let direct = new.kind == RoomKind::Direct as i32;
    let action = Action::CreateRoom(node::CreateRoom {
        kind: new.kind,
        name: new.name,
        members: new.members,
        key: key(new.key, &headers)?,
        id: new.id,
    });
    let room = expected!(state.link.command(actor, action).await, Came::Room);
    let status = if direct { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(room)))
}

/// `GET /v1/rooms/{room}`: as in the snapshot.
pub async fn get(State(state): Shared, Caller(actor): Caller, InRoom(room): InRoom) -> Answer<RoomSummary> {
    let question = Question::GetRoom(node::GetRoom { room: (&room).into() });
    Ok(Json(expected!(state.link.ask(actor, question).await, Answered::GetRoom)))
}

#[derive(Deserialize)]
pub struct Rename {
    name: String,
}

/// `PATCH /v1/rooms/{room}`
pub async fn rename(
    State(state): Shared,
    Caller(actor): Caller,
    InRoom(room): InRoom,
    Body(rename): Body<Rename>,
) -> Answer<Details> {
    let action = Action::RenameRoom(node::RenameRoom { room: (&room).into(), name: rename.name });
    Ok(Json(expected!(state.link.command(actor, action).await, Came::Room)))
}

/// `DELETE /v1/rooms/{room}`
pub async fn delete(State(state): Shared, Caller(actor): Caller, InRoom(room): InRoom) -> Answer<Done> {
    let action = Action::DeleteRoom(node::DeleteRoom { room: (&room).into() });
    Ok(Json(expected!(state.link.command(actor, action).await, Came::Done)))
}

#[derive(Deserialize)]
pub struct MembersParams {
    #[serde(default)]
    after: String,
    limit: Option<u32>,
}

#[derive(Serialize)]
pub struct Members {
    members: Vec<Member>,
    more: bool,
}

/// `GET /v1/rooms/{room}/members?after=&limit=`: by user id.
pub async fn members(
    State(state): Shared,
    Caller(actor): Caller,
    InRoom(room): InRoom,
    Params(params): Params<MembersParams>,
) -> Answer<Members> {
    let question = node::ListMembers { room: (&room).into(), after: params.after, limit: page(params.limit) };
    let found =
        expected!(state.link.ask(actor, Question::ListMembers(question)).await, Answered::ListMembers);
    Ok(Json(Members { members: found.members, more: found.more }))
}

#[derive(Deserialize)]
pub struct NewMembers {
    #[serde(default)]
    users: Vec<String>,
    user: Option<String>,
}

/// `POST /v1/rooms/{room}/members`: naming nobody adds oneself.
pub async fn add_members(
    State(state): Shared,
    Caller(actor): Caller,
    InRoom(room): InRoom,
    Body(mut new): Body<NewMembers>,
) -> Answer<Done> {
    new.users.extend(new.user);
    if new.users.is_empty() {
        new.users.push(actor.user.clone());
    }
    let action = Action::AddMembers(node::AddMembers { room: (&room).into(), users: new.users });
    Ok(Json(expected!(state.link.command(actor, action).await, Came::Done)))
}

#[derive(Deserialize)]
pub struct NewRole {
    #[serde(deserialize_with = "json::role::deserialize")]
    role: i32,
}

/// `PATCH /v1/rooms/{room}/members/{user}`
pub async fn change_role(
    State(state): Shared,
    Caller(actor): Caller,
    InRoom(room): InRoom,
    OfUser(user): OfUser,
    Body(new): Body<NewRole>,
) -> Answer<Done> {
    let change = node::ChangeRole { room: (&room).into(), user: (&user).into(), role: new.role };
    let action = Action::ChangeRole(change);
    Ok(Json(expected!(state.link.command(actor, action).await, Came::Done)))
}

/// `DELETE /v1/rooms/{room}/members/{user}`: with oneself, leaving.
pub async fn remove_member(
    State(state): Shared,
    Caller(actor): Caller,
    InRoom(room): InRoom,
    OfUser(user): OfUser,
) -> Answer<Done> {
    let action = Action::RemoveMember(node::RemoveMember { room: (&room).into(), user: (&user).into() });
    Ok(Json(expected!(state.link.command(actor, action).await, Came::Done)))
}
