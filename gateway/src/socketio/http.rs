//! The endpoint `/socket.io/`: handshakes, polls and upgrades, with the statuses
//! and bodies that Engine.IO's clients know.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::engine::Open;
use super::session::Session;
use super::sessions::{Found, Handle, Polled, Request as Asked, Sessions, Taken};
use crate::app::App;
use crate::auth::Identity;
use crate::metrics;
use crate::server::{Refused, place, shown_token};
use crate::websocket::{self, origin_allowed};

/// Engine.IO's own errors: code and text
/// (<https://socket.io/docs/v4/server-api/#connection_error>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Transport,
    Session,
    Method,
    Request,
    Forbidden,
    Version,
    /// The body is larger than allowed.
    TooLarge,
    /// The body takes longer than allowed.
    Slow,
}

impl Wrong {
    const fn told(self) -> (StatusCode, u8, &'static str) {
        match self {
            Wrong::Transport => (StatusCode::BAD_REQUEST, 0, "Transport unknown"),
            Wrong::Session => (
                StatusCode::BAD_REQUEST,
                1,
                "Session ID unknown (it is over, or another node has it: long-polling needs a balancer that sends \
                 a client to one node, by cookie or address; WebSocket does not)",
            ),
            Wrong::Method => (StatusCode::BAD_REQUEST, 2, "Bad handshake method"),
            Wrong::Request => (StatusCode::BAD_REQUEST, 3, "Bad request"),
            Wrong::Forbidden => (StatusCode::FORBIDDEN, 4, "Forbidden"),
            Wrong::Version => (StatusCode::BAD_REQUEST, 5, "Unsupported protocol version"),
            Wrong::Slow => (StatusCode::REQUEST_TIMEOUT, 3, "The body did not arrive in time"),
            Wrong::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, 3, "Payload too large"),
        }
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let (status, code, message) = self.told();
        metrics::refused("engine");
        (status, axum::Json(serde_json::json!({ "code": code, "message": message }))).into_response()
    }
}

#[derive(Clone)]
struct Endpoint {
    app: Arc<App>,
    sessions: Arc<Sessions>,
    connections: TaskTracker,
}

/// The endpoint; each session's task is on `connections`.
pub fn router(app: Arc<App>, connections: TaskTracker) -> Router {
    let cors = cors(&app.settings.allowed_origins);
    let endpoint = Endpoint { app, sessions: Arc::default(), connections };
    let router =
        Router::new().route("/socket.io/", any(handle)).route("/socket.io", any(handle)).with_state(endpoint);
    match cors {
        Some(cors) => router.layer(cors),
        None => router,
    }
}

/// Pages of the configured origins may read the answers, and send cookies: a
/// balancer may need one to find the node.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> =
        origins.iter().filter(|origin| *origin != "*").filter_map(|origin| origin.parse().ok()).collect();
    if origins.is_empty() {
        return None;
    }
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .max_age(std::time::Duration::from_secs(3600));
    Some(layer)
}

/// What a request says in its query.
#[derive(Debug, Deserialize)]
struct Asks {
    #[serde(rename = "EIO")]
    version: Option<String>,
    transport: Option<String>,
    sid: Option<String>,
}

async fn handle(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let answer = match endpoint.answer(request).await {
        Ok(response) => response,
        Err(Answer::Wrong(wrong)) => wrong.into_response(),
        Err(Answer::Refused(refused)) => refused.into_response(),
    };
    let mut answer = answer;
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Why a request is not answered with what it asked for.
enum Answer {
    Wrong(Wrong),
    Refused(Refused),
}

impl From<Wrong> for Answer {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

impl From<Refused> for Answer {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Endpoint {
    async fn answer(self, request: Request) -> Result<Response, Answer> {
        let (mut parts, body) = request.into_parts();
        let asks: Asks =
            Query::try_from_uri(&parts.uri).map(|Query(asks)| asks).map_err(|_| Wrong::Request)?;
        let text = |name| parts.headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("null"));
        if !origin_allowed(text(header::ORIGIN), text(header::HOST), &self.app.settings.allowed_origins) {
            return Err(Wrong::Forbidden.into());
        }
        if asks.version.as_deref() != Some("4") {
            return Err(Wrong::Version.into());
        }
        match (asks.transport.as_deref(), asks.sid) {
            (Some("polling"), None) if parts.method == Method::GET => self.open(&parts).await,
            (Some("polling"), None) => Err(Wrong::Method.into()),
            (Some("polling"), Some(sid)) => {
                let session = self.find(&sid, &parts.headers)?;
                match parts.method {
                    Method::GET => poll(session).await,
                    Method::POST => self.packets(session, body).await,
                    _ => Err(Wrong::Request.into()),
                }
            }
            (Some("websocket"), sid) => self.websocket(&mut parts, sid).await,
            _ => Err(Wrong::Transport.into()),
        }
    }

    fn find(&self, sid: &str, headers: &HeaderMap) -> Result<Handle, Wrong> {
        match self.sessions.find(sid, headers.get(header::AUTHORIZATION)) {
            Found::Session(handle) => Ok(handle),
            Found::Another => Err(Wrong::Forbidden),
            Found::Unknown => Err(Wrong::Session),
        }
    }

    /// A handshake by polling.
    async fn open(self, parts: &Parts) -> Result<Response, Answer> {
        let bearer = self.bearer(parts).await?;
        let place = place(&self.app)?;
        let (listed, requests) = self.sessions.add(parts.headers.get(header::AUTHORIZATION).cloned());
        let packet = self.app.engine_open(listed.id(), &["websocket"]).packet();
        let session = Session::polling(self.app, requests, listed, bearer);
        self.connections.spawn(async move {
            let _place = place;
            session.run().await;
        });
        Ok(text(packet))
    }

    /// A handshake by WebSocket, or the upgrade of a session that polls.
    async fn websocket(self, parts: &mut Parts, sid: Option<String>) -> Result<Response, Answer> {
        let accept = websocket::handshake::accept(parts).map_err(|_| Wrong::Request)?;
        let session = match &sid {
            Some(sid) => Some(self.find(sid, &parts.headers)?),
            None => None,
        };
        let opened = match session {
            None => Some((self.bearer(parts).await?, place(&self.app)?)),
            Some(_) => None,
        };
        let upgrade = parts.extensions.remove::<OnUpgrade>().ok_or(Wrong::Request)?;
        let response = accept.response().map(|()| Body::empty());
        drop(accept);
        let app = self.app;
        self.connections.spawn(async move {
            let Some((stream, unread)) = upgraded(upgrade).await else { return };
            match (opened, session) {
                (Some((bearer, place)), _) => {
                    let _place = place;
                    Session::on_websocket(app, stream, unread, bearer).run().await;
                }
                (None, Some(session)) => {
                    let unread = unread.to_vec();
                    // A session that has ended meanwhile takes no more.
                    let _ = session.requests.send(Asked::Upgrade { stream, unread }).await;
                }
                (None, None) => {}
            }
        });
        Ok(response)
    }

    /// Packets of a client that polls.
    async fn packets(self, session: Handle, body: Body) -> Result<Response, Answer> {
        let settings = &self.app.settings;
        let body = tokio::time::timeout(settings.http_timeout, to_bytes(body, settings.max_frame_bytes));
        let body = body.await.map_err(|_| Wrong::Slow)?.map_err(|_| Wrong::TooLarge)?;
        let body = String::from_utf8(body.to_vec()).map_err(|_| Wrong::Request)?;
        let (done, taken) = oneshot::channel();
        session.requests.send(Asked::Packets { body, done }).await.map_err(|_| Wrong::Session)?;
        match taken.await {
            Ok(Taken::Ok) => Ok(text("ok".to_owned())),
            Ok(Taken::Refused) => Err(Wrong::Request.into()),
            Err(_) => Err(Wrong::Session.into()),
        }
    }

    /// What becomes of the token in the request, if there is one.
    async fn bearer(&self, parts: &Parts) -> Result<Option<Result<Identity, proto::v1::Error>>, Refused> {
        let in_query = self.app.settings.token_in_query;
        let Some(token) = shown_token(&parts.headers, parts.uri.query(), in_query)? else { return Ok(None) };
        let identity = self.app.authenticator.identify(&token).await;
        Ok(Some(identity.map_err(|error| error.code().with(error.to_string()))))
    }
}

/// The stream below an upgraded connection, and what came behind the handshake.
async fn upgraded(upgrade: OnUpgrade) -> Option<(TcpStream, bytes::Bytes)> {
    match upgrade.await {
        Ok(upgraded) => match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => Some((parts.io.into_inner(), parts.read_buf)),
            Err(_) => {
                tracing::error!("an upgraded connection is not the TCP stream it was");
                None
            }
        },
        Err(error) => {
            tracing::debug!(%error, "the client left during the handshake");
            None
        }
    }
}

async fn poll(session: Handle) -> Result<Response, Answer> {
    let (answer, polled) = oneshot::channel();
    session.requests.send(Asked::Poll(answer)).await.map_err(|_| Wrong::Session)?;
    match polled.await {
        Ok(Polled::Payload(payload)) => Ok(text(payload)),
        Ok(Polled::Refused) => Err(Wrong::Request.into()),
        Err(_) => Err(Wrong::Session.into()),
    }
}

fn text(body: String) -> Response {
    let kind: (HeaderName, HeaderValue) =
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    ([kind], body).into_response()
}

impl App {
    /// The first packet of a session.
    pub fn engine_open<'a>(&self, sid: &'a str, upgrades: &'a [&'a str]) -> Open<'a> {
        Open {
            sid,
            upgrades,
            ping_interval: self.settings.engine_ping_interval.as_millis() as u64,
            ping_timeout: self.settings.engine_ping_timeout.as_millis() as u64,
            max_payload: self.settings.max_frame_bytes,
        }
    }
}
