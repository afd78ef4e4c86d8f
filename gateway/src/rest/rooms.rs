//! Rooms and their members.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use proto::node::query::Question;
use proto::node::{self, answer::Result as Answered, command::Action, outcome::Result as Came};
use proto::v1::{Details, Done, Member, RoomKind, RoomSummary, Snapshot, SnapshotRequest};
use proto::{ErrorCode, json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::{expected, refusals};
use super::request::{Body, Caller, IdempotencyKey, InRoom, OfUser, Params, key, page};
use super::{Answer, Problem, Shared, tag};
use crate::reference::{examples, wire};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SnapshotParams {
    /// At most this many rooms; 100 by default, and never more.
    #[param(required = false, nullable = false, example = 20)]
    rooms: Option<u32>,
}

/// Everything for a first screen
///
/// Rooms with the newest activity first, each with its last message, what is
/// unread of it, how far its members have read, and the cursor to join from;
/// unread notifications, newest first. All of it at one point in time.
#[utoipa::path(
    get, path = "/v1/snapshot", operation_id = "getSnapshot", tag = tag::ROOMS,
    params(SnapshotParams),
    responses(
        (status = 200, description = "The snapshot.", body = wire::Snapshot, example = json!(examples::snapshot())),
    ),
)]
pub async fn snapshot(
    State(state): Shared,
    Caller(actor): Caller,
    Params(params): Params<SnapshotParams>,
) -> Answer<Snapshot> {
    let question = Question::Snapshot(SnapshotRequest { rooms: page(params.rooms) });
    Ok(Json(expected!(state.link.ask(actor, question).await, Answered::Snapshot)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// At most this many; 50 by default, never more than 100.
    #[param(nullable = false, example = 20)]
    limit: Option<u32>,
    /// Leaves out this many of the newest, at most 10,000.
    #[serde(default)]
    #[param(maximum = 10_000, example = 0)]
    skip: u32,
}

/// A page of rooms.
#[derive(Serialize, ToSchema)]
pub struct Rooms {
    #[schema(value_type = Vec<wire::RoomSummary>)]
    rooms: Vec<RoomSummary>,
    /// There are more of them.
    more: bool,
}

/// One's own rooms
///
/// As in the snapshot, newest activity first.
#[utoipa::path(
    get, path = "/v1/rooms", operation_id = "listRooms", tag = tag::ROOMS,
    params(ListParams),
    responses(
        (status = 200, description = "A page of rooms.", body = Rooms,
            example = json!(Rooms { rooms: vec![examples::summary()], more: false })),
    ),
    extensions(("x-error-codes" = json!(refusals![Invalid]))),
)]
pub async fn list(
    State(state): Shared,
    Caller(actor): Caller,
    Params(params): Params<ListParams>,
) -> Answer<Rooms> {
    let question = node::ListRooms { limit: page(params.limit), skip: params.skip };
    let found = expected!(state.link.ask(actor, Question::ListRooms(question)).await, Answered::ListRooms);
    Ok(Json(Rooms { rooms: found.rooms, more: found.more }))
}

/// A room to be made.
#[derive(Deserialize, ToSchema)]
pub struct NewRoom {
    /// `GROUP` where it is absent. Read in any case.
    #[serde(default, deserialize_with = "json::room_kind::deserialize")]
    #[schema(value_type = wire::RoomKind)]
    kind: i32,
    /// Of a group or a public room: one line, at most 256 bytes.
    #[serde(default)]
    name: String,
    /// User ids, besides one's own.
    #[serde(default)]
    members: Vec<String>,
    /// The other one of a direct room.
    #[schema(nullable = false)]
    user: Option<String>,
    /// The idempotency key.
    #[serde(default)]
    #[schema(max_length = 128)]
    key: String,
    /// An id of the application's own; with service tokens only.
    #[serde(default)]
    id: String,
}

/// Makes a room
///
/// A pair of users has one direct room, whoever asks for it: it is answered
/// with 200, whether it was there before or not.
#[utoipa::path(
    post, path = "/v1/rooms", operation_id = "createRoom", tag = tag::ROOMS,
    params(IdempotencyKey),
    request_body(content = NewRoom, examples(
        ("group" = (summary = "A group", value = json!({
            "kind": "GROUP", "name": "Book club", "members": [examples::BEN], "key": "club-1",
        }))),
        ("direct" = (summary = "The direct room with a user", value = json!({
            "kind": "DIRECT", "user": examples::BEN,
        }))),
        ("public" = (summary = "A room that everybody may join", value = json!({
            "kind": "PUBLIC", "name": "Bell ringers",
        }))),
        ("service" = (summary = "By a server of the application, with an id of its own", value = json!({
            "id": examples::ROOM, "name": "Book club", "members": [examples::ANA, examples::BEN],
        }))),
    )),
    responses(
        (status = 201, description = "The new room, or the one that was made with this key.", body = wire::Details,
            example = json!(examples::details())),
        (status = 200, description = "The direct room.", body = wire::Details,
            example = json!(examples::direct())),
    ),
    extensions(("x-error-codes" = json!(refusals![Invalid, Forbidden, Conflict, KeyConflict]))),
)]
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

/// A room
///
/// As in the snapshot.
#[utoipa::path(
    get, path = "/v1/rooms/{room}", operation_id = "getRoom", tag = tag::ROOMS,
    params(InRoom),
    responses(
        (status = 200, description = "The room.", body = wire::RoomSummary, example = json!(examples::summary())),
    ),
    extensions(("x-error-codes" = json!(refusals![NotMember]))),
)]
pub async fn get(State(state): Shared, Caller(actor): Caller, InRoom(room): InRoom) -> Answer<RoomSummary> {
    let question = Question::GetRoom(node::GetRoom { room: (&room).into() });
    Ok(Json(expected!(state.link.ask(actor, question).await, Answered::GetRoom)))
}

/// A room's new name.
#[derive(Deserialize, ToSchema)]
pub struct Rename {
    /// One line, at most 256 bytes.
    name: String,
}

/// Renames a room
///
/// For admins and the owner. A direct room has no name.
#[utoipa::path(
    patch, path = "/v1/rooms/{room}", operation_id = "renameRoom", tag = tag::ROOMS,
    params(InRoom),
    request_body(content = Rename, example = json!({ "name": "Book club" })),
    responses(
        (status = 200, description = "The room.", body = wire::Details, example = json!(examples::details())),
    ),
    extensions(("x-error-codes" = json!(refusals![NotMember, Forbidden, Conflict, Invalid]))),
)]
pub async fn rename(
    State(state): Shared,
    Caller(actor): Caller,
    InRoom(room): InRoom,
    Body(rename): Body<Rename>,
) -> Answer<Details> {
    let action = Action::RenameRoom(node::RenameRoom { room: (&room).into(), name: rename.name });
    Ok(Json(expected!(state.link.command(actor, action).await, Came::Room)))
}

/// Deletes a room
///
/// For the owner. A direct room stays.
#[utoipa::path(
    delete, path = "/v1/rooms/{room}", operation_id = "deleteRoom", tag = tag::ROOMS,
    params(InRoom),
    responses((status = 200, description = "It is gone.", body = wire::Done, example = json!({}))),
    extensions(("x-error-codes" = json!(refusals![NotMember, Forbidden, Conflict]))),
)]
pub async fn delete(State(state): Shared, Caller(actor): Caller, InRoom(room): InRoom) -> Answer<Done> {
    let action = Action::DeleteRoom(node::DeleteRoom { room: (&room).into() });
    Ok(Json(expected!(state.link.command(actor, action).await, Came::Done)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MembersParams {
    /// Only those whose user ids come after this one.
    #[serde(default)]
    #[param(example = "ana")]
    after: String,
    /// At most this many; 100 by default, and never more.
    #[param(nullable = false, example = 50)]
    limit: Option<u32>,
}

/// A page of members.
#[derive(Serialize, ToSchema)]
pub struct Members {
    #[schema(value_type = Vec<wire::Member>)]
    members: Vec<Member>,
    /// There are more of them.
    more: bool,
}

/// A room's members
///
/// In the order of their user ids.
#[utoipa::path(
    get, path = "/v1/rooms/{room}/members", operation_id = "listMembers", tag = tag::MEMBERS,
    params(InRoom, MembersParams),
    responses(
        (status = 200, description = "A page of members.", body = Members,
            example = json!(Members { members: vec![examples::owner(), examples::member()], more: false })),
    ),
    extensions(("x-error-codes" = json!(refusals![NotMember, Invalid]))),
)]
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

/// Who becomes a member; nobody: oneself.
#[derive(Deserialize, ToSchema)]
pub struct NewMembers {
    /// User ids.
    #[serde(default)]
    users: Vec<String>,
    /// One more.
    #[schema(nullable = false)]
    user: Option<String>,
}

/// Adds members
///
/// For admins and the owner of a group. Into a public room everybody goes
/// themselves: by naming nobody, or themselves.
#[utoipa::path(
    post, path = "/v1/rooms/{room}/members", operation_id = "addMembers", tag = tag::MEMBERS,
    params(InRoom),
    request_body(content = NewMembers, examples(
        ("others" = (summary = "Others", value = json!({ "users": [examples::EVA] }))),
        ("oneself" = (summary = "Oneself, into a public room", value = json!({}))),
    )),
    responses((status = 200, description = "They are members.", body = wire::Done, example = json!({}))),
    extensions(("x-error-codes" = json!(refusals![NotMember, Forbidden, Conflict, Invalid]))),
)]
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

/// What a member becomes.
#[derive(Deserialize, ToSchema)]
pub struct NewRole {
    /// Read in any case.
    #[schema(value_type = wire::Role)]
    #[serde(deserialize_with = "json::role::deserialize")]
    role: i32,
}

/// Changes a member's role
///
/// The owner gives any role; `OWNER` hands the room over. Admins make members
/// moderators, and moderators members.
#[utoipa::path(
    patch, path = "/v1/rooms/{room}/members/{user}", operation_id = "changeRole", tag = tag::MEMBERS,
    params(InRoom, OfUser),
    request_body(content = NewRole, example = json!({ "role": "MODERATOR" })),
    responses((status = 200, description = "The member has this role.", body = wire::Done, example = json!({}))),
    extensions(("x-error-codes" = json!(refusals![NotMember, NotFound, Forbidden, Conflict]))),
)]
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

/// Removes a member, or leaves
///
/// Moderators and above remove members of a lower role. Everybody may remove
/// themselves: the highest of the others follows an owner who leaves.
#[utoipa::path(
    delete, path = "/v1/rooms/{room}/members/{user}", operation_id = "removeMember", tag = tag::MEMBERS,
    params(InRoom, OfUser),
    responses((status = 200, description = "They are no member.", body = wire::Done, example = json!({}))),
    extensions(("x-error-codes" = json!(refusals![NotMember, NotFound, Forbidden, Conflict]))),
)]
pub async fn remove_member(
    State(state): Shared,
    Caller(actor): Caller,
    InRoom(room): InRoom,
    OfUser(user): OfUser,
) -> Answer<Done> {
    let action = Action::RemoveMember(node::RemoveMember { room: (&room).into(), user: (&user).into() });
    Ok(Json(expected!(state.link.command(actor, action).await, Came::Done)))
}
