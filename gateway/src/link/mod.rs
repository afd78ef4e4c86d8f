//! The way to the dispatchers: commands in order down one stream to each,
//! questions as calls of their own, and another dispatcher when one is gone.
//!
//! Commands of one room prefer one dispatcher, so that batches grow large, and
//! stay with it while any of them is on the way, so that order is kept. When a
//! dispatcher goes, what it had not answered is sent again, in order, to
//! another: every command may be repeated safely, by its key or its nature.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::node::dispatcher_client::DispatcherClient;
use proto::node::{Actor, Answer, Command, Query, answer, command, outcome, query};
use proto::{ErrorCode, v1};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::util::BoxCloneSyncService;

mod dispatchers;
mod routing;
mod together;

use crate::metrics::Metrics;
use crate::trace::Tracer;
use routing::Routing;
use together::{Follows, RoomsOf, Together};

/// A dispatcher's gRPC service: a channel to another process, or the service
/// itself in the same process.
pub type NodeService =
    BoxCloneSyncService<http::Request<tonic::body::Body>, http::Response<tonic::body::Body>, tonic::Status>;

/// What a command came to: never `outcome::Result::Error`, which is the `Err`.
pub type CommandResult = Result<outcome::Result, v1::Error>;

/// Called once with what a command came to. Must not block.
pub type Completion = Box<dyn FnOnce(CommandResult) + Send>;

/// A question is tried at another dispatcher after this.
const ASK_TIMEOUT: Duration = Duration::from_secs(4);
/// How many dispatchers a question is put to.
const ASK_TRIES: usize = 2;
/// How long a question waits for any dispatcher at all.
const ASK_PATIENCE: Duration = Duration::from_secs(3);
/// Commands on the way at once; beyond it they are refused as retryable.
const MAX_IN_FLIGHT: usize = 65_536;
/// How often overdue commands are looked for.
const SWEEP: Duration = Duration::from_millis(200);

/// Where the dispatchers are.
#[derive(Clone)]
pub enum Endpoints {
    /// In this process.
    Local(NodeService),
    /// gRPC URLs (`http://host:port`); a name that resolves to several
    /// addresses stands for all of them.
    Remote(Vec<String>),
}

/// Handle to the dispatchers; cheap to clone.
#[derive(Clone)]
pub struct Link {
    inner: Arc<Inner>,
    follows: Together<Follows>,
    rooms: Together<RoomsOf>,
}

struct Inner {
    routing: Routing,
    tracer: Tracer,
    timeout: Duration,
    /// How many dispatchers are connected.
    connected: watch::Sender<usize>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Link {
    /// Connects, and stays connected on `tasks` until `stop`. Commands are
    /// answered after `timeout` at the latest.
    pub fn start(
        endpoints: Endpoints,
        timeout: Duration,
        tracer: Tracer,
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let inner = Arc::new(Inner {
            routing: Routing::new(metrics, MAX_IN_FLIGHT),
            tracer,
            timeout,
            connected: watch::Sender::new(0),
            tasks: tasks.clone(),
            stop: stop.clone(),
        });
        let sweeping = inner.clone();
        tasks.spawn(async move {
            let mut sweep = tokio::time::interval(SWEEP);
            while sweeping.stop.run_until_cancelled(sweep.tick()).await.is_some() {
                sweeping.routing.expire(Instant::now());
            }
            sweeping.routing.abandon();
        });
        dispatchers::start(&inner, endpoints);
        let (follows, rooms) = (Together::start(inner.clone()), Together::start(inner.clone()));
        Self { inner, follows, rooms }
    }

    /// How many dispatchers are connected, and its changes.
    pub fn connected(&self) -> watch::Receiver<usize> {
        self.inner.connected.subscribe()
    }

    /// Tells of the way of commands that are traced.
    pub(crate) fn tracer(&self) -> &Tracer {
        &self.inner.tracer
    }

    /// Sends a command on its way; `done` hears what came of it, once. Commands
    /// of one `route` (the room, mostly) happen in the order of these calls.
    pub fn submit(&self, actor: Actor, action: command::Action, route: &str, done: Completion) {
        let route = routing::stable_hash(route.bytes());
        let (trace, done) = self.inner.tracer.command(&action, done);
        // The routing numbers it.
        let command = Command { id: 0, actor: Some(actor), trace, action: Some(action) };
        self.inner.routing.submit(command, route, Instant::now() + self.inner.timeout, done);
    }

    /// Runs a command and waits for what comes of it: refusals, timeouts and
    /// unavailability are the `Err`.
    pub async fn command(&self, actor: Actor, action: command::Action) -> CommandResult {
        let (done, outcome) = oneshot::channel();
        let route = route_of(&actor, &action).to_owned();
        // Whoever asked may be gone by then; the command happens all the same.
        let completion: Completion = Box::new(move |result| drop(done.send(result)));
        self.submit(actor, action, &route, completion);
        outcome.await.unwrap_or_else(|_| Err(unavailable()))
    }

    /// Asks a question: refusals and unavailability are the `Err`.
    pub async fn ask(&self, actor: Actor, question: query::Question) -> Result<answer::Result, v1::Error> {
        self.inner.ask(Query { actor: Some(actor), question: Some(question) }).await
    }

    /// May this user hear this feed, and what changed since. Asked together
    /// with others that wait at the same time.
    pub async fn follow(&self, follow: proto::node::Follow) -> Result<proto::node::FeedChanges, v1::Error> {
        self.follows.ask(follow).await
    }

    /// The ids of all rooms of a user. Asked together with others, too.
    pub async fn rooms_of(&self, user: &proto::UserId) -> Result<Vec<String>, v1::Error> {
        self.rooms.ask(user.into()).await
    }
}

impl Inner {
    async fn ask(&self, query: Query) -> Result<answer::Result, v1::Error> {
        for _ in 0..ASK_TRIES {
            let client = self.any_dispatcher().await?;
            match tokio::time::timeout(ASK_TIMEOUT, ask_once(client, query.clone())).await {
                Ok(Ok(Answer { result: Some(answer::Result::Error(error)) })) => return Err(error),
                Ok(Ok(Answer { result: Some(result) })) => return Ok(result),
                Ok(Ok(Answer { result: None })) => {
                    return Err(ErrorCode::Internal.with("a dispatcher does not know this question"));
                }
                Ok(Err(status)) => tracing::debug!(%status, "a dispatcher did not answer a question"),
                Err(_) => tracing::debug!("a dispatcher did not answer a question in time"),
            }
        }
        Err(unavailable())
    }

    async fn any_dispatcher(&self) -> Result<DispatcherClient<NodeService>, v1::Error> {
        let mut connected = self.connected.subscribe();
        let wait = async {
            loop {
                connected.borrow_and_update();
                if let Some(client) = self.routing.any() {
                    return Some(client);
                }
                connected.changed().await.ok()?;
            }
        };
        match self.stop.run_until_cancelled(tokio::time::timeout(ASK_PATIENCE, wait)).await {
            Some(Ok(Some(client))) => Ok(client),
            _ => Err(unavailable()),
        }
    }
}

async fn ask_once(mut client: DispatcherClient<NodeService>, query: Query) -> Result<Answer, tonic::Status> {
    Ok(client.ask(query).await?.into_inner())
}

/// What keeps commands in order: the room where there is one, else the user.
pub fn route_of<'a>(actor: &'a Actor, action: &'a command::Action) -> &'a str {
    match action {
        command::Action::Notify(notify) => &notify.user,
        command::Action::Revoke(revoke) => &revoke.user,
        _ => room_of(action).unwrap_or(&actor.user),
    }
}

/// The room that a command is about.
pub fn room_of(action: &command::Action) -> Option<&str> {
    use command::Action;

    Some(match action {
        Action::Send(send) => &send.room,
        Action::Edit(edit) => &edit.room,
        Action::Delete(delete) => &delete.room,
        Action::Read(read) => &read.room,
        Action::RenameRoom(rename) => &rename.room,
        Action::DeleteRoom(delete) => &delete.room,
        Action::AddMembers(add) => &add.room,
        Action::RemoveMember(remove) => &remove.room,
        Action::ChangeRole(change) => &change.room,
        Action::Notify(_)
        | Action::Revoke(_)
        | Action::ReadNotification(_)
        | Action::CreateRoom(_)
        | Action::RecordLastSeen(_) => return None,
    })
}

fn unavailable() -> v1::Error {
    ErrorCode::Unavailable.with("no dispatcher answers; try again with the same key")
}
