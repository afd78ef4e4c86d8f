//! Accepts connections, speaks HTTP on them, and turns WebSocket requests into
//! [`Connection`]s. Ends in an orderly way: see [`drain`](crate::drain).

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use proto::{ErrorCode, v1};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission;
use crate::app::{App, NoPlace, Place};
use crate::auth::Identity;
use crate::connection::Connection;
use crate::metrics;
use crate::rest::{problem, problem_of_status};
use crate::websocket::{self, Accept, origin_allowed};

/// Largest request head.
const MAX_HEAD_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

#[derive(Clone)]
struct Upgrades {
    app: Arc<App>,
    connections: TaskTracker,
}

/// The WebSocket route; each connection's task is on `connections`.
pub fn websocket_route(app: Arc<App>, connections: TaskTracker) -> Router {
    Router::new().route("/v1/ws", any(upgrade)).with_state(Upgrades { app, connections })
}

/// Accepts until `stop`; each connection's task is on `connections`.
pub async fn accept(
    listener: TcpListener,
    router: Router,
    app: &App,
    connections: &TaskTracker,
    stop: &CancellationToken,
) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                // Small frames are meant to leave at once.
                let _ = stream.set_nodelay(true);
                connections.spawn(speak_http(
                    stream,
                    router.clone(),
                    app.settings.http_timeout,
                    stop.clone(),
                ));
            }
            Err(error) => {
                // Out of descriptors, mostly: others have to leave first.
                tracing::warn!(%error, "a connection was not accepted");
                stop.run_until_cancelled(tokio::time::sleep(std::time::Duration::from_millis(50))).await;
            }
        }
    }
}

async fn speak_http(
    stream: TcpStream,
    router: Router,
    head_timeout: std::time::Duration,
    stop: CancellationToken,
) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection failed");
    }
}

async fn upgrade(State(upgrades): State<Upgrades>, request: Request) -> Response {
    match admit(&upgrades, request).await {
        Ok(response) => response,
        Err(refused) => refused.into_response(),
    }
}

/// Why a connection is not taken.
pub struct Refused {
    reason: &'static str,
    response: Box<Response>,
}

impl Refused {
    fn because(reason: &'static str, error: v1::Error) -> Self {
        Self { reason, response: Box::new(problem(error)) }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        metrics::refused(self.reason);
        *self.response
    }
}

async fn admit(Upgrades { app, connections }: &Upgrades, request: Request) -> Result<Response, Refused> {
    let (mut parts, _) = request.into_parts();
    let accept = websocket::handshake::accept(&parts).map_err(|refusal| {
        let malformed = ErrorCode::Malformed.with(refusal.to_string());
        let mut response = problem_of_status(malformed, refusal.status());
        response.headers_mut().extend(refusal.header());
        Refused { reason: "handshake", response: Box::new(response) }
    })?;
    // Another site's page may not use this one's clients. Without an Origin it is
    // no browser, and can do nothing that its token does not allow.
    let text = |name| parts.headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("null"));
    if !origin_allowed(text(header::ORIGIN), text(header::HOST), &app.settings.allowed_origins) {
        return Err(Refused::because("origin", ErrorCode::Forbidden.with("this origin is not allowed")));
    }
    let identity = match shown_token(&parts.headers, parts.uri.query(), app.settings.token_in_query)? {
        Some(token) => Some(identify(app, &token).await?),
        None => None,
    };
    let place = place(app)?;
    let upgrade = parts.extensions.remove::<OnUpgrade>().ok_or_else(|| {
        Refused::because("handshake", ErrorCode::Malformed.with("this connection cannot be upgraded"))
    })?;
    let response = accept.response().map(|()| Body::empty());
    connections.spawn(serve(app.clone(), place, upgrade, accept, identity));
    Ok(response)
}

/// A place among the connections, if there is one now.
pub fn place(app: &Arc<App>) -> Result<Place, Refused> {
    app.take_place().map_err(|no_place| {
        let (reason, why) = match no_place {
            NoPlace::Full => ("full", "this node has all the connections it takes"),
            NoPlace::TooFast => ("rate", "too many connections are being opened at this node"),
        };
        let error = ErrorCode::Unavailable.with(why);
        Refused::because(reason, v1::Error { retry_after: admission::retry_after(), ..error })
    })
}

/// The token of the request itself, from where it is allowed to be.
pub fn shown_token(
    headers: &HeaderMap,
    query: Option<&str>,
    in_query: bool,
) -> Result<Option<String>, Refused> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let token = value.to_str().ok().and_then(|value| value.split_once(' '));
        return match token {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                Ok(Some(token.trim().to_owned()))
            }
            _ => Err(Refused::because("token", ErrorCode::TokenRefused.with("Authorization must be Bearer"))),
        };
    }
    let token = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("token=")));
    match token {
        None => Ok(None),
        Some(token) if in_query => Ok(Some(token.to_owned())),
        Some(_) => {
            let why = "a token in the query ends up in logs; send it as the first frame, or switch on token_in_query";
            Err(Refused::because("token", ErrorCode::TokenRefused.with(why)))
        }
    }
}

async fn identify(app: &App, token: &str) -> Result<Identity, Refused> {
    let identified = app.authenticator.identify(token).await;
    identified.map_err(|error| Refused::because("token", error.code().with(error.to_string())))
}

async fn serve(app: Arc<App>, place: Place, upgrade: OnUpgrade, accept: Accept, identity: Option<Identity>) {
    let _place = place;
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%error, "the client left during the handshake"),
    };
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => {
            let unread: Bytes = parts.read_buf;
            Connection::new(app, parts.io.into_inner(), accept.encoding, unread).run(identity).await;
        }
        Err(_) => tracing::error!("an upgraded connection is not the TCP stream it was"),
    }
}
