//! Notifications, and what servers of the application do to users.

use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use proto::json;
use proto::node::query::Question;
use proto::node::{self, answer::Result as Answered, command::Action, outcome::Result as Came};
use proto::v1::{Done, Notification, ReadNotification};
use serde::{Deserialize, Serialize};

use super::problem::expected;
use super::request::{Body, Caller, OfUser, OptionalBody, Params, key, page};
use super::{Answer, Shared};

#[derive(Deserialize)]
pub struct ListParams {
    #[serde(default)]
    unread: bool,
    /// Those older than the notification of this id.
    #[serde(default)]
    before: String,
    limit: Option<u32>,
}

#[derive(Serialize)]
pub struct Notifications {
    notifications: Vec<Notification>,
    more: bool,
    unread: u64,
}

/// `GET /v1/notifications?unread=&before=&limit=`: one's own, newest first.
pub async fn list(
    State(state): Shared,
    Caller(actor): Caller,
    Params(params): Params<ListParams>,
) -> Answer<Notifications> {
    let question = node::ListNotifications {
        unread_only: params.unread,
        before: params.before,
        limit: page(params.limit),
    };
    let question = Question::ListNotifications(question);
    let found = expected!(state.link.ask(actor, question).await, Answered::ListNotifications);
    Ok(Json(Notifications { notifications: found.notifications, more: found.more, unread: found.unread }))
}

#[derive(Deserialize)]
pub struct New {
    user: String,
    r#type: String,
    #[serde(default, deserialize_with = "json::text::deserialize")]
    data: String,
    #[serde(default)]
    key: String,
}

/// `POST /v1/notifications`: for service tokens.
pub async fn notify(
    State(state): Shared,
    Caller(actor): Caller,
    headers: HeaderMap,
    Body(new): Body<New>,
) -> Answer<Notification> {
    let key = key(new.key, &headers)?;
    let notify = node::Notify { user: new.user, r#type: new.r#type, data: new.data, key };
    Ok(Json(expected!(state.link.command(actor, Action::Notify(notify)).await, Came::Notification)))
}

#[derive(Deserialize, Default)]
pub struct Which {
    #[serde(default)]
    id: String,
}

/// `POST /v1/notifications/read`: one, or all.
pub async fn read(
    State(state): Shared,
    Caller(actor): Caller,
    OptionalBody(which): OptionalBody<Which>,
) -> Answer<Done> {
    let action = Action::ReadNotification(ReadNotification { notification: which.id });
    Ok(Json(expected!(state.link.command(actor, action).await, Came::Done)))
}

/// `POST /v1/users/{user}/disconnect`: for service tokens. Refuses the user's
/// tokens issued so far and closes their connections.
pub async fn disconnect(State(state): Shared, Caller(actor): Caller, OfUser(user): OfUser) -> Answer<Done> {
    let action = Action::Revoke(node::Revoke { user: (&user).into() });
    Ok(Json(expected!(state.link.command(actor, action).await, Came::Done)))
}
