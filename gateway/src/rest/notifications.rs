//! Notifications, and what servers of the application do to users.

use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use proto::json;
use proto::node::query::Question;
use proto::node::{self, answer::Result as Answered, command::Action, outcome::Result as Came};
use proto::v1::{Done, Notification, ReadNotification};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::{expected, refusals};
use super::request::{Body, Caller, IdempotencyKey, OfUser, OptionalBody, Params, key, page};
use super::{Answer, Shared, tag};
use crate::reference::{examples, wire};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Only those that are unread.
    #[serde(default)]
    #[param(example = true)]
    unread: bool,
    /// Those older than the notification of this id.
    #[serde(default)]
    #[param(example = json!(examples::NOTIFICATION))]
    before: String,
    /// At most this many; 50 by default, never more than 100.
    #[param(nullable = false, example = 20)]
    limit: Option<u32>,
}

/// A page of notifications.
#[derive(Serialize, ToSchema)]
pub struct Notifications {
    #[schema(value_type = Vec<wire::Notification>)]
    notifications: Vec<Notification>,
    /// There are more of them.
    more: bool,
    /// How many are unread, of all.
    unread: u64,
}

/// One's own notifications
///
/// Newest first.
#[utoipa::path(
    get, path = "/v1/notifications", operation_id = "listNotifications", tag = tag::NOTIFICATIONS,
    params(ListParams),
    responses(
        (status = 200, description = "A page of notifications.", body = Notifications,
            example = json!(Notifications {
                notifications: vec![examples::notification()],
                more: false,
                unread: 1,
            })),
    ),
    extensions(("x-error-codes" = json!(refusals![Invalid]))),
)]
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

/// What a user is to be told.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewNotification)]
pub struct New {
    /// Whom.
    user: String,
    /// The application's own, such as `LIKE`, `COMMENT`, `EVENT_RSVP`.
    #[schema(min_length = 1, max_length = 128)]
    r#type: String,
    /// Any JSON value, at most 8 KiB.
    #[serde(default, deserialize_with = "json::text::deserialize")]
    #[schema(value_type = serde_json::Value)]
    data: String,
    /// The idempotency key.
    #[serde(default)]
    #[schema(max_length = 128)]
    key: String,
}

/// Notifies a user
///
/// For servers of the application, with a service token. Shown at once on every
/// connected device, and kept until it is read.
#[utoipa::path(
    post, path = "/v1/notifications", operation_id = "notifyUser", tag = tag::SERVERS,
    params(IdempotencyKey),
    request_body(content = New, example = json!({
        "user": examples::ANA, "type": "LIKE", "data": { "post": 7, "by": examples::BEN }, "key": "like-7-ben",
    })),
    responses(
        (status = 200, description = "It is stored, or was under this key.", body = wire::Notification,
            example = json!(examples::notification())),
    ),
    extensions(("x-error-codes" = json!(refusals![Forbidden, Invalid, KeyConflict]))),
)]
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

/// One notification, or all of them.
#[derive(Deserialize, Default, ToSchema)]
#[schema(as = WhichNotification)]
pub struct Which {
    /// Empty: all of them.
    #[serde(default)]
    id: String,
}

/// Marks notifications as read
///
/// One, or all, on every device.
#[utoipa::path(
    post, path = "/v1/notifications/read", operation_id = "readNotifications", tag = tag::NOTIFICATIONS,
    request_body(content = Option<Which>, example = json!({ "id": examples::NOTIFICATION })),
    responses((status = 200, description = "They are read.", body = wire::Done, example = json!({}))),
    extensions(("x-error-codes" = json!(refusals![Invalid, NotFound]))),
)]
pub async fn read(
    State(state): Shared,
    Caller(actor): Caller,
    OptionalBody(which): OptionalBody<Which>,
) -> Answer<Done> {
    let action = Action::ReadNotification(ReadNotification { notification: which.id });
    Ok(Json(expected!(state.link.command(actor, action).await, Came::Done)))
}

/// Shuts a user out
///
/// For servers of the application, with a service token. The user's tokens
/// issued so far are refused from now on, and their connections closed, on
/// every node. A token that is issued later is as good as any.
#[utoipa::path(
    post, path = "/v1/users/{user}/disconnect", operation_id = "disconnectUser", tag = tag::SERVERS,
    params(OfUser),
    responses((status = 200, description = "The tokens are refused.", body = wire::Done, example = json!({}))),
    extensions(("x-error-codes" = json!(refusals![Forbidden, NotFound]))),
)]
pub async fn disconnect(State(state): Shared, Caller(actor): Caller, OfUser(user): OfUser) -> Answer<Done> {
    let action = Action::Revoke(node::Revoke { user: (&user).into() });
    Ok(Json(expected!(state.link.command(actor, action).await, Came::Done)))
}
