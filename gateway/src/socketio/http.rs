//! The endpoint `/socket.io/`: handshakes, polls and upgrades, with the statuses
//! and bodies that Engine.IO's clients know.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::engine::Open;
use super::relay::{Relay, Relayed};
use super::session::Session;
use super::sessions::{Found, Handle, Outcome, Sessions, Shown, Whose};
use crate::app::{App, Place};
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
    /// Another node has the session, and does not answer.
    Unanswered,
    Method,
    Request,
    /// An upgrade of a session that another node has.
    Elsewhere,
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
            Wrong::Session => (StatusCode::BAD_REQUEST, 1, "Session ID unknown"),
            Wrong::Unanswered => {
                (StatusCode::BAD_REQUEST, 1, "Session ID unknown: the node that has it does not answer")
            }
            Wrong::Method => (StatusCode::BAD_REQUEST, 2, "Bad handshake method"),
            Wrong::Request => (StatusCode::BAD_REQUEST, 3, "Bad request"),
            Wrong::Elsewhere => (
                StatusCode::BAD_REQUEST,
                3,
                "Bad request: another node has the session; go on polling, or begin with a WebSocket",
            ),
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

/// What polls stand on.
#[derive(Clone)]
pub struct Polls {
    /// The sessions that poll.
    pub sessions: Arc<Sessions>,
    /// The way to those of other gateways.
    pub relay: Arc<Relay>,
}

#[derive(Clone)]
struct Endpoint {
    app: Arc<App>,
    polls: Polls,
    connections: TaskTracker,
    /// This gateway goes away.
    leaving: CancellationToken,
}

/// The endpoint; each session's task is on `connections`. Polls for other
/// gateways end soon when this one is `leaving`.
pub fn router(app: Arc<App>, polls: Polls, connections: TaskTracker, leaving: CancellationToken) -> Router {
    let cors = cors(&app.settings.allowed_origins);
    let body_limit = DefaultBodyLimit::max(app.settings.max_frame_bytes);
    let endpoint = Endpoint { app, polls, connections, leaving };
    let router = Router::new()
        .route("/socket.io/", any(handle))
        .route("/socket.io", any(handle))
        .layer(body_limit)
        .with_state(endpoint);
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
    let mut answer = match endpoint.answer(request).await {
        Ok(response) => response,
        Err(Answer::Wrong(wrong)) => wrong.into_response(),
        Err(Answer::Refused(refused)) => refused.into_response(),
    };
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
                let shown = Shown::of(&parts.headers);
                match parts.method {
                    Method::GET => self.poll(&sid, shown).await.map_err(Answer::Wrong),
                    Method::POST => {
                        let request = Request::from_parts(parts, body);
                        self.packets(&sid, shown, request).await.map_err(Answer::Wrong)
                    }
                    _ => Err(Wrong::Request.into()),
                }
            }
            (Some("websocket"), sid) => self.websocket(&mut parts, sid).await,
            _ => Err(Wrong::Transport.into()),
        }
    }

    /// A session that is here.
    fn find(&self, sid: &str, shown: Option<Shown>) -> Result<Handle, Wrong> {
        match self.polls.sessions.find(sid, shown) {
            Found::Session(handle) => Ok(handle),
            Found::Another => Err(Wrong::Forbidden),
            Found::Unknown => Err(Wrong::Session),
        }
    }

    /// A handshake by polling.
    async fn open(self, parts: &Parts) -> Result<Response, Answer> {
        let bearer = self.bearer(parts).await?;
        let place = place(&self.app)?;
        let (listed, requests) = self.polls.sessions.add(Shown::of(&parts.headers));
        let packet = Open::new(listed.id(), &["websocket"], &self.app.settings).packet();
        let session = Box::new(Session::polling(self.app, requests, listed, bearer));
        self.connections.spawn(async move {
            let _place = place;
            session.run().await;
        });
        Ok(text(packet))
    }

    async fn poll(&self, sid: &str, shown: Option<Shown>) -> Result<Response, Wrong> {
        match self.polls.sessions.whose(sid) {
            Whose::Ours => outcome(self.find(sid, shown)?.poll().await),
            Whose::Of(gateway) => self.relay(gateway, sid, shown, None).await,
            Whose::Nobodys => Err(Wrong::Session),
        }
    }

    /// Packets of a client that polls.
    async fn packets(&self, sid: &str, shown: Option<Shown>, request: Request) -> Result<Response, Wrong> {
        match self.polls.sessions.whose(sid) {
            Whose::Ours => {
                let session = self.find(sid, shown)?;
                let posting = session.begin_post().await.ok_or(Wrong::Request)?;
                let body = self.body(request).await?;
                outcome(session.packets(&posting, body).await)
            }
            Whose::Of(gateway) => {
                let body = self.body(request).await?;
                self.relay(gateway, sid, shown, Some(body)).await
            }
            Whose::Nobodys => Err(Wrong::Session),
        }
    }

    async fn relay(
        &self,
        gateway: &str,
        sid: &str,
        shown: Option<Shown>,
        packets: Option<Bytes>,
    ) -> Result<Response, Wrong> {
        match self.polls.relay.ask(gateway, sid, shown, packets, &self.leaving).await {
            Relayed::Payload(payload) => Ok(text(payload)),
            Relayed::Unknown => Err(Wrong::Session),
            Relayed::Forbidden => Err(Wrong::Forbidden),
            Relayed::Refused => Err(Wrong::Request),
            Relayed::Unanswered => Err(Wrong::Unanswered),
        }
    }

    /// The body of a request, in time and not too large.
    async fn body(&self, request: Request) -> Result<Bytes, Wrong> {
        let reading = Bytes::from_request(request, &());
        match tokio::time::timeout(self.app.settings.http_timeout, reading).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)))) => {
                Err(Wrong::TooLarge)
            }
            Ok(Err(_)) => Err(Wrong::Request),
            Err(_) => Err(Wrong::Slow),
        }
    }

    /// A handshake by WebSocket, or the upgrade of a session that polls.
    async fn websocket(self, parts: &mut Parts, sid: Option<String>) -> Result<Response, Answer> {
        let accept = websocket::handshake::accept(parts).map_err(|_| Wrong::Request)?;
        let from = match &sid {
            Some(sid) => match self.polls.sessions.whose(sid) {
                Whose::Ours => Origin::Session(self.find(sid, Shown::of(&parts.headers))?),
                Whose::Of(_) => return Err(Wrong::Elsewhere.into()),
                Whose::Nobodys => return Err(Wrong::Session.into()),
            },
            None => Origin::Nothing(self.bearer(parts).await?, place(&self.app)?),
        };
        let upgrade = parts.extensions.remove::<OnUpgrade>().ok_or(Wrong::Request)?;
        let response = accept.response().map(|()| Body::empty());
        drop(accept);
        let app = self.app;
        let id = self.polls.sessions.new_id();
        self.connections.spawn(async move {
            // Copied: converted, what came behind would keep the whole buffer of the handshake.
            let Some((stream, unread)) = upgraded(upgrade).await else { return };
            match from {
                Origin::Nothing(bearer, place) => {
                    let _place = place;
                    let session = Box::new(Session::on_websocket(app, &id, stream, unread, bearer));
                    drop(id);
                    session.run().await;
                }
                Origin::Session(session) => session.upgrade(stream, unread).await,
            }
        });
        Ok(response)
    }

    /// What becomes of the token in the request, if there is one.
    async fn bearer(&self, parts: &Parts) -> Result<Option<Result<Identity, proto::v1::Error>>, Refused> {
        let in_query = self.app.settings.token_in_query;
        let Some(token) = shown_token(&parts.headers, parts.uri.query(), in_query)? else { return Ok(None) };
        let identity = self.app.authenticator.identify(&token).await;
        Ok(Some(identity.map_err(|error| error.code().with(error.to_string()))))
    }
}

/// What becomes a session on a WebSocket.
enum Origin {
    /// A handshake.
    Nothing(Option<Result<Identity, proto::v1::Error>>, Place),
    /// One that polls.
    Session(Handle),
}

/// The stream below an upgraded connection, and what came behind the handshake.
async fn upgraded(upgrade: OnUpgrade) -> Option<(TcpStream, Vec<u8>)> {
    match upgrade.await {
        Ok(upgraded) => match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => Some((parts.io.into_inner(), parts.read_buf.to_vec())),
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

fn outcome(outcome: Outcome) -> Result<Response, Wrong> {
    match outcome {
        Outcome::Payload(payload) => Ok(text(payload)),
        Outcome::Refused => Err(Wrong::Request),
        Outcome::Over => Err(Wrong::Session),
    }
}

fn text(body: String) -> Response {
    let kind: (HeaderName, HeaderValue) =
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    ([kind], body).into_response()
}
