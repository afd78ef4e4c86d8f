//! Whether the whole works, for whoever watches it from outside.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::{StatusCode, header};
use proto::node::query::Question;
use proto::node::{Actor, Feed, Heads, feed};
use serde::Serialize;

use super::Shared;

/// Watchers give up soon themselves.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Serialize)]
pub struct Health {
    status: &'static str,
    database: &'static str,
}

/// `GET /health`: 200 if a dispatcher answers out of the database, else 503.
pub async fn health(
    State(state): Shared,
) -> (StatusCode, [(header::HeaderName, &'static str); 1], Json<Health>) {
    // A feed that need not exist: looking for it is the cheapest read there is.
    let some = Feed { of: Some(feed::Of::Room("health".to_owned())) };
    let question = Question::Heads(Heads { feeds: vec![some] });
    let actor = Actor { user: "health".to_owned(), name: String::new(), service: true };
    let answered = tokio::time::timeout(PATIENCE, state.link.ask(actor, question)).await;
    let (status, health) = match answered {
        Ok(Ok(_)) => (StatusCode::OK, Health { status: "ok", database: "up" }),
        _ => (StatusCode::SERVICE_UNAVAILABLE, Health { status: "unavailable", database: "down" }),
    };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(health))
}
