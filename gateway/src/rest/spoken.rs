//! The routes of the vocabulary: what its front ends call besides the socket.
//! Each reads a request into an ask; refusals have the vocabulary's shape.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use http::{HeaderValue, StatusCode, header};
use proto::node::Actor;
use proto::{ErrorCode, v1};

use super::RestState;
use super::problem::Problem;
use super::request::Caller;
use crate::vocabulary::input::RequestParts;
use crate::vocabulary::{Ask, Route, Scope};

/// The vocabulary's routes.
pub(super) fn routes(routes: &[Arc<Route>]) -> Router<Arc<RestState>> {
    let mut router = Router::new();
    for route in routes {
        let Ok(filter) = MethodFilter::try_from(route.method.clone()) else { continue };
        let handled = route.clone();
        let handler = move |State(state): State<Arc<RestState>>, request: Request| async move {
            match handle(&state, &handled, request).await {
                Ok(response) => response,
                Err(refused) => refused.response(&state),
            }
        };
        router = router.route(&route.path, on(filter, handler));
    }
    router
}

/// Why a request came to nothing.
enum Refused {
    Told(v1::Error),
    /// By what all routes have in common: its own status and headers.
    Problem(Problem),
}

impl From<v1::Error> for Refused {
    fn from(error: v1::Error) -> Self {
        Self::Told(error)
    }
}

impl Refused {
    /// As any problem, with a body in the vocabulary's words.
    fn response(self, state: &RestState) -> Response {
        let problem = match self {
            Refused::Told(error) => Problem::from(error),
            Refused::Problem(problem) => problem,
        };
        let error = problem.error().clone();
        let (mut head, _) = problem.into_response().into_parts();
        head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        head.headers.remove(header::CONTENT_LENGTH);
        let scope = Scope { error: Some(&error), ..Scope::default() };
        let mut body = Vec::new();
        state.desk.vocabulary().error.write(&mut body, &scope);
        Response::from_parts(head, body.into())
    }
}

async fn handle(state: &Arc<RestState>, route: &Route, request: Request) -> Result<Response, Refused> {
    let (mut parts, body) = request.into_parts();
    let shows_token = parts.headers.contains_key(header::AUTHORIZATION);
    let caller = if route.guests && state.desk.vocabulary().guests && !shows_token {
        None
    } else {
        let caller = Caller::from_request_parts(&mut parts, state).await;
        Some(caller.map_err(Refused::Problem)?.0)
    };
    let path = RawPathParams::from_request_parts(&mut parts, state).await;
    let path: HashMap<String, String> = match &path {
        Ok(params) => params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        Err(rejection) => return Err(ErrorCode::Malformed.with(rejection.body_text()).into()),
    };
    let query: HashMap<String, String> = match Query::try_from_uri(&parts.uri) {
        Ok(Query(query)) => query,
        Err(rejection) => return Err(ErrorCode::Malformed.with(rejection.body_text()).into()),
    };
    let body = read(state, Request::from_parts(parts, body)).await?;
    let body = match std::str::from_utf8(&body) {
        Ok("") => None,
        Ok(body) => Some(body),
        Err(_) => return Err(ErrorCode::Malformed.with("the body is not UTF-8").into()),
    };
    let ask =
        route.inputs.ask_of_request(&route.action, &RequestParts { path: &path, query: &query, body })?;
    let actor = match caller {
        Some(actor) => actor,
        None => guest(&ask)?,
    };
    let wants = route.answer.as_ref().map(|answer| answer.wants()).unwrap_or_default();
    let answer = state.desk.perform(&actor, ask, wants).await?;
    let Some(template) = &route.answer else { return Ok(route.status.into_response()) };
    let mut written = Vec::with_capacity(512);
    template.write(&mut written, &answer.scope());
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((route.status, json, written).into_response())
}

/// Whoever has no token sends under a name.
fn guest(ask: &Ask) -> Result<Actor, v1::Error> {
    match ask {
        Ask::Send { name: Some(name), .. } => Ok(Actor {
            user: crate::socketio::guest_id(name)?.to_string(),
            name: name.clone(),
            service: false,
        }),
        Ask::Send { name: None, .. } => Err(ErrorCode::Invalid.with("username: a guest has a name")),
        _ => Ok(Actor { user: crate::socketio::guest_id("anybody")?.to_string(), ..Actor::default() }),
    }
}

async fn read(state: &RestState, request: Request) -> Result<Bytes, Refused> {
    let reading = Bytes::from_request(request, &());
    match tokio::time::timeout(state.settings.http_timeout, reading).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(ErrorCode::TooLarge.with("the body is larger than allowed").into())
        }
        Ok(Err(rejection)) => Err(ErrorCode::Malformed.with(rejection.body_text()).into()),
        Err(_) => {
            let slow = ErrorCode::Timeout.with("the body did not arrive in time");
            Err(Refused::Problem(Problem::from(slow).with_status(StatusCode::REQUEST_TIMEOUT)))
        }
    }
}
