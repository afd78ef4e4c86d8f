//! Whether the whole works, for whoever watches it from outside.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::{StatusCode, header};
use proto::node::query::Question;
use proto::node::{Actor, Feed, Heads, feed};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Shared, tag};

/// Watchers give up soon themselves.
const PATIENCE: Duration = Duration::from_secs(3);

/// How the whole is.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `ok` or `unavailable`.
    #[schema(value_type = String)]
    status: &'static str,
    /// `up` or `down`.
    #[schema(value_type = String)]
    database: &'static str,
}

const UP: Health = Health { status: "ok", database: "up" };
const DOWN: Health = Health { status: "unavailable", database: "down" };

/// Whether it works
///
/// Asks a dispatcher for something out of the database. Needs no token.
#[utoipa::path(
    get, path = "/health", operation_id = "getHealth", tag = tag::HEALTH,
    responses(
        (status = 200, description = "It works.", body = Health, example = json!(UP)),
        (status = 503, description = "No dispatcher answers out of the database.", body = Health,
            example = json!(DOWN)),
    ),
    security(()),
)]
pub async fn health(
    State(state): Shared,
) -> (StatusCode, [(header::HeaderName, &'static str); 1], Json<Health>) {
    // A feed that need not exist: looking for it is the cheapest read there is.
    let some = Feed { of: Some(feed::Of::Room("health".to_owned())) };
    let question = Question::Heads(Heads { feeds: vec![some] });
    let actor = Actor { user: "health".to_owned(), name: String::new(), service: true };
    let answered = tokio::time::timeout(PATIENCE, state.link.ask(actor, question)).await;
    let (status, health) = match answered {
        Ok(Ok(_)) => (StatusCode::OK, UP),
        _ => (StatusCode::SERVICE_UNAVAILABLE, DOWN),
    };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(health))
}
