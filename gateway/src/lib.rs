//! The edge: authenticates clients, carries their commands to a dispatcher and
//! the changes of their rooms back to them. It never touches the store and
//! never decides who may do what.
//!
//! A request's way through the files: `server` accepts, `websocket` speaks
//! the wire, `connection` owns the socket, `session` decides what a frame
//! asks for, `requests` runs it, `link` carries it to a dispatcher. A
//! change's way back: `feed` keeps it in order, `wire` encodes it once,
//! `outbound` queues it for each client.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use bus::trace::Spans;
use bus::{Broker, Presence, Subscription};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod admission;
mod app;
pub mod auth;
#[doc(hidden)]
pub mod bench_api;
mod client;
mod connection;
mod drain;
mod feed;
mod hub;
mod link;
mod metrics;
mod outbound;
mod page;
mod presence;
mod queues;
mod reference;
mod requests;
mod rest;
mod server;
mod session;
mod settings;
mod socket;
mod socketio;
mod trace;
mod vocabulary;
mod websocket;
mod wire;

pub use auth::{Authenticator, Identity};
pub use link::{Endpoints, Link, NodeService};
pub use metrics::describe as describe_metrics;
pub use settings::Settings;
use vocabulary::Desk;
pub use vocabulary::Vocabulary;
pub use vocabulary::load::{Mistake, SHIPPED};

/// What a gateway stands on.
pub struct Deps {
    /// Carries events between nodes.
    pub broker: Arc<dyn Broker>,
    /// Who is connected, cluster-wide.
    pub presence: Arc<dyn Presence>,
    /// Where the dispatchers are.
    pub dispatchers: Endpoints,
    /// Checks tokens.
    pub authenticator: Arc<Authenticator>,
    /// The words of Socket.IO front ends.
    pub vocabulary: Arc<Vocabulary>,
    /// Takes the spans of commands that are traced; `None`: none are.
    pub spans: Option<Arc<dyn Spans>>,
}

/// A gateway that is connected to its dispatchers and serves nobody yet.
pub struct Gateway {
    app: Arc<app::App>,
    polls: socketio::Polls,
    /// Other gateways are heard for as long as this is kept.
    _heard: Subscription,
    /// Everything but the dispatchers' link and presence.
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Gateway {
    /// Starts the background work: links, hub, presence.
    pub async fn start(deps: Deps, settings: Settings) -> Result<Self, bus::BusError> {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let metrics = Arc::new(metrics::Metrics::default());
        // Each gateway draws other lots.
        let seed = uuid::Uuid::new_v4().as_u64_pair().0;
        let link = Link::start(
            deps.dispatchers,
            settings.command_timeout,
            trace::Tracer::new(deps.spans, settings.trace_sample, seed),
            metrics.clone(),
            tasks.clone(),
            stop.clone(),
        );
        let typing_expiry = deps.vocabulary.typing_expiry;
        let hub =
            hub::Hub::start(deps.broker.clone(), link, metrics, typing_expiry, tasks.clone(), stop.clone())
                .await?;
        let limit = settings.presence_room_limit;
        let presence =
            presence::PresenceKeeper::start(deps.presence, hub.clone(), limit, &tasks, stop.clone());
        let desk = Desk::new(hub.link().clone(), presence.port(), deps.vocabulary);
        let app = Arc::new(app::App {
            hub,
            desk: Arc::new(desk),
            authenticator: deps.authenticator,
            presence,
            admission: admission::Admission::new(settings.connection_rate, Instant::now()),
            settings,
            strangers: app::Strangers::default(),
            connections: AtomicUsize::new(0),
        });
        app.hub.metrics().connections_limit.set(app.settings.max_connections as f64);
        tasks.spawn(queues::watch(app.clone(), stop.clone()));
        let sessions = Arc::<socketio::Sessions>::default();
        let most = app.settings.max_connections;
        let (relay, heard) =
            socketio::Relay::start(sessions.clone(), deps.broker, tasks.clone(), most).await?;
        Ok(Self { app, polls: socketio::Polls { sessions, relay }, _heard: heard, tasks, stop })
    }

    /// The way to the dispatchers, for readiness.
    pub fn link(&self) -> &Link {
        self.app.hub.link()
    }

    /// Everything that is served; what a connection needs is on `connections`.
    fn router(&self, connections: &TaskTracker, shutdown: &CancellationToken) -> Router {
        let app = &self.app;
        let state = rest::RestState {
            link: app.hub.link().clone(),
            authenticator: app.authenticator.clone(),
            presence: app.presence.port(),
            desk: app.desk.clone(),
            settings: app.settings.clone(),
        };
        rest::router(state)
            .merge(server::websocket_route(app.clone(), connections.clone()))
            .merge(socketio::router(app.clone(), self.polls.clone(), connections.clone(), shutdown.clone()))
            .merge(page::router())
            .merge(reference::router(app.desk.vocabulary()))
    }

    /// Serves clients on `listener` until `shutdown` is cancelled, then drains:
    /// takes no new connections, closes the open ones over the set time with the
    /// code that makes them resume elsewhere, and returns when all are gone.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let connections = TaskTracker::new();
        let router = self.router(&connections, &shutdown);
        server::accept(listener, router, &self.app, &connections, &shutdown).await;
        drain::drain(&self.app, &connections, self.app.settings.drain_spread).await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        Ok(())
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
