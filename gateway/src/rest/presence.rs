//! Who is online.

use axum::Json;
use axum::extract::State;
use proto::v1::{Presence, UserPresence};
use proto::{ErrorCode, RoomId, UserId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::problem::refusals;
use super::request::{Caller, Params};
use super::{Answer, Problem, Shared, tag};
use crate::presence::{of_room, of_users};
use crate::reference::{examples, wire};

/// Users looked at in one request.
const MAX_USERS: usize = 100;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LookParams {
    /// The members of this room who are online.
    #[serde(default)]
    #[param(example = json!(examples::ROOM))]
    room: String,
    /// These users, at most 100, with commas between them. Goes before `room`.
    #[serde(default)]
    #[param(example = "ben,eva")]
    users: String,
}

/// Who is online
///
/// Those of a room, or named users. Users with whom one shares no room are
/// `unknown`, and so is everybody while presence cannot be told.
#[utoipa::path(
    get, path = "/v1/presence", operation_id = "getPresence", tag = tag::PRESENCE,
    params(LookParams),
    responses(
        (status = 200, description = "The users.", body = wire::Presence, example = json!(examples::presence())),
    ),
    extensions(("x-error-codes" = json!(refusals![NotMember, Invalid, TooLarge]))),
)]
pub async fn look(
    State(state): Shared,
    Caller(actor): Caller,
    Params(params): Params<LookParams>,
) -> Answer<Presence> {
    let port = &*state.presence;
    let users = match (params.users.is_empty(), params.room.is_empty()) {
        (false, _) => {
            let asked = asked(&params.users)?;
            let (valid, invalid): (Vec<_>, Vec<_>) =
                asked.into_iter().map(|id| UserId::new(id).map_err(|_| id)).partition(Result::is_ok);
            let valid: Vec<UserId> = valid.into_iter().filter_map(Result::ok).collect();
            let mut users = of_users(&state.link, port, actor, &valid).await?;
            // What cannot be a user is nobody's acquaintance either.
            users.extend(invalid.into_iter().filter_map(Result::err).map(unknown));
            users
        }
        (true, false) => {
            let room = RoomId::new(&params.room)
                .map_err(|_| ErrorCode::NotMember.with("no such room, or not a member of it"))?;
            of_room(&state.link, port, actor, &room).await?
        }
        (true, true) => return Err(ErrorCode::Invalid.with("name a room or users").into()),
    };
    Ok(Json(Presence { users }))
}

fn asked(users: &str) -> Result<Vec<&str>, Problem> {
    let users: Vec<_> = users.split(',').map(str::trim).filter(|user| !user.is_empty()).collect();
    if users.len() > MAX_USERS {
        return Err(ErrorCode::TooLarge.with(format!("at most {MAX_USERS} users at once")).into());
    }
    Ok(users)
}

fn unknown(user: &str) -> UserPresence {
    UserPresence { user: user.to_owned(), status: "unknown".to_owned(), last_seen: 0 }
}
