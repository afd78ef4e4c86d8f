//! The same commands over HTTP: each handler reads a request into one command
//! or question, and writes what a dispatcher says to it. It decides nothing
//! about who may do what.
//!
//! What a handler takes is checked in one order: the token, the path, the
//! query, the body. Whatever is refused, also by the router itself, is a
//! [problem document](problem()).

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, header};
use proto::ErrorCode;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Authenticator;
use crate::link::Link;
use crate::settings::Settings;
use crate::vocabulary::Desk;

mod health;
mod messages;
mod notifications;
mod presence;
mod problem;
mod request;
mod rooms;
mod spoken;

use problem::{Answer, Problem};
pub(crate) use problem::{CODES, Document};
pub use problem::{problem, problem_of_status};

/// What the handlers stand on.
#[derive(Clone)]
pub struct RestState {
    /// The way to the dispatchers.
    pub link: Link,
    /// Checks tokens.
    pub authenticator: Arc<Authenticator>,
    /// Who is online.
    pub presence: Arc<dyn bus::Presence>,
    /// Does what is asked for in the vocabulary.
    pub desk: Arc<Desk>,
    /// Limits and allowed origins.
    pub settings: Settings,
}

type Shared = axum::extract::State<Arc<RestState>>;

/// Under which heads operations are described.
pub(crate) mod tag {
    /// Rooms.
    pub const ROOMS: &str = "Rooms";
    /// Who is in a room.
    pub const MEMBERS: &str = "Members";
    /// What is said in a room.
    pub const MESSAGES: &str = "Messages";
    /// What a user is told.
    pub const NOTIFICATIONS: &str = "Notifications";
    /// Who is online.
    pub const PRESENCE: &str = "Presence";
    /// For servers of the application.
    pub const SERVERS: &str = "Servers";
    /// Whether it works.
    pub const HEALTH: &str = "Health";
}

/// The native routes, with their descriptions.
fn native() -> OpenApiRouter<Arc<RestState>> {
    OpenApiRouter::default()
        .routes(routes!(rooms::snapshot))
        .routes(routes!(rooms::list, rooms::create))
        .routes(routes!(rooms::get, rooms::rename, rooms::delete))
        .routes(routes!(rooms::members, rooms::add_members))
        .routes(routes!(rooms::change_role, rooms::remove_member))
        .routes(routes!(messages::history, messages::send))
        .routes(routes!(messages::read))
        .routes(routes!(messages::search))
        .routes(routes!(messages::get, messages::edit, messages::replace, messages::delete))
        .routes(routes!(notifications::list, notifications::notify))
        .routes(routes!(notifications::read))
        .routes(routes!(presence::look))
        .routes(routes!(notifications::disconnect))
        .routes(routes!(health::health))
}

/// What the native routes take and answer, as their handlers say.
pub(crate) fn described() -> OpenApi {
    native().into_openapi()
}

/// All routes, and the answer to paths that there are none for. Routes that
/// are merged into it are outside of its limits and its CORS.
pub fn router(state: RestState) -> Router {
    let body_limit = state.settings.max_frame_bytes;
    let cors = cors(&state.settings.allowed_origins);
    let spoken = spoken::routes(&state.desk.vocabulary().routes);
    let (native, _) = native().split_for_parts();
    let router = native
        .merge(spoken)
        .fallback(|| async { Problem::from(ErrorCode::NotFound.with("no such path")) })
        .method_not_allowed_fallback(|| async {
            Problem::from(ErrorCode::MethodNotAllowed.with("the path does not take this method"))
        })
        .layer(DefaultBodyLimit::max(body_limit))
        .layer(CatchPanicLayer::custom(panicked));
    let router = match cors {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router.with_state(Arc::new(state))
}

/// For pages of the configured origins. Tokens are in a header that the page
/// sets itself, so no cookie has to be allowed.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    // "*" is no origin; other odd text matches none.
    let origins: Vec<HeaderValue> =
        origins.iter().filter(|origin| *origin != "*").filter_map(|origin| origin.parse().ok()).collect();
    if origins.is_empty() {
        return None;
    }
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, request::IDEMPOTENCY_KEY])
        .expose_headers([header::RETRY_AFTER, HeaderName::from_static("www-authenticate")])
        .max_age(std::time::Duration::from_secs(3600));
    Some(layer)
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    // The panic's own message is in the log already.
    problem(ErrorCode::Internal.with("a fault of the server's own"))
}

#[cfg(test)]
mod tests;
