//! Where commands come in: off a gateway's stream, or from a query that needs one.

use std::sync::Arc;

use bus::trace::Spans;
use proto::node::{Command, command::Action, outcome};
use proto::{ErrorCode, node, v1};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use tracing::{debug, warn};

use crate::command::check::{Actor, Send};
use crate::command::{self, Act};
use crate::lane::Item;
use crate::metrics;
use crate::queue::{Patience, Queues};
use crate::reply::{Outcomes, Reply};
use crate::settings::Settings;
use crate::trace::Traced;
use crate::worker::Job;

/// Takes commands and sees that each gets one outcome.
pub(crate) struct Intake {
    pub(crate) lanes: Queues<Item>,
    pub(crate) workers: Queues<Job>,
    pub(crate) settings: Arc<Settings>,
    /// Takes the spans of commands that are traced; `None`: nobody does.
    pub(crate) spans: Option<Arc<dyn Spans>>,
}

/// What one stream knows of the queues.
struct Path {
    lanes: Patience,
    workers: Patience,
}

impl Intake {
    /// The queue of outcomes for a new stream, and its task, which ends when
    /// the gateway closes the stream or is gone, or `stop` is cancelled.
    pub(crate) fn stream(
        self: &Arc<Self>,
        commands: Streaming<Command>,
        stop: CancellationToken,
    ) -> (Outcomes, impl Future<Output = ()> + use<>) {
        let places = self.settings.max_in_flight.max(1);
        let (sender, outcomes) = Outcomes::new(places);
        (outcomes, self.clone().read(commands, sender, Arc::new(Semaphore::new(places)), stop))
    }

    async fn read(
        self: Arc<Self>,
        mut commands: Streaming<Command>,
        outcomes: mpsc::Sender<crate::reply::Waiting>,
        places: Arc<Semaphore>,
        stop: CancellationToken,
    ) {
        ::metrics::gauge!(metrics::STREAMS).increment(1);
        let mut path = self.path();
        let end = async {
            loop {
                let place = timeout(self.settings.stream_stall, places.clone().acquire_owned()).await;
                let Ok(Ok(place)) = place else {
                    warn!("a gateway takes no outcomes; its stream ends");
                    let _ = outcomes.try_send(Err(Status::resource_exhausted("outcomes are not taken")));
                    return;
                };
                match commands.message().await {
                    Ok(Some(command)) => {
                        let reply = Reply::to_stream(command.id, outcomes.clone(), place);
                        self.take(command, reply, &mut path).await;
                    }
                    Ok(None) => return,
                    Err(status) => {
                        debug!(%status, "a command stream broke off");
                        return;
                    }
                }
            }
        };
        tokio::select! {
            () = end => {}
            // What was read runs on: it may have happened, as after any lost answer.
            () = outcomes.closed() => {}
            () = stop.cancelled() => {}
        }
        ::metrics::gauge!(metrics::STREAMS).decrement(1);
    }

    fn path(&self) -> Path {
        let wait = self.settings.queue_wait;
        Path { lanes: self.lanes.patience(wait), workers: self.workers.patience(wait) }
    }

    /// Checks a command's form and puts it into its queue.
    async fn take(&self, command: Command, reply: Reply, path: &mut Path) {
        let Command { actor, trace, action, .. } = command;
        let since = Instant::now();
        let trace = Traced::from_command(trace.as_ref(), self.spans.as_ref());
        let Some(action) = action else {
            return reply.refuse(ErrorCode::Malformed.with("a command of an unknown kind"));
        };
        let reply = reply.named(name(&action));
        let actor = match &action {
            // Not on behalf of anybody: whom a gateway names does not matter.
            Action::RecordLastSeen(_) => Actor::check(Some(gateway())),
            _ => Actor::check(actor),
        };
        let actor = match actor {
            Ok(actor) => actor,
            Err(error) => return reply.refuse(error),
        };
        if let Action::Send(send) = action {
            let send = match Send::check(send) {
                Ok(send) => send,
                Err(error) => return reply.refuse(error),
            };
            let lane = self.lanes.of(send.room.as_str());
            let item = Item { actor, send, reply, trace, since };
            if let Err(item) = self.lanes.push(lane, item, &mut path.lanes).await {
                item.reply.refuse(busy());
            }
            return;
        }
        match command::parse(action, &actor, &self.settings) {
            Ok(act) => self.push(Job { actor, act, reply, trace, since }, &mut path.workers).await,
            Err(error) => reply.refuse(error),
        }
    }

    async fn push(&self, job: Job, patience: &mut Patience) {
        let worker = self.workers.of(job.act.key());
        if let Err(job) = self.workers.push(worker, job, patience).await {
            job.reply.refuse(busy());
        }
    }

    /// Runs one command that no stream asked for.
    pub(crate) async fn call(&self, actor: Actor, act: Box<dyn Act>) -> outcome::Result {
        let (reply, outcome) = Reply::to_call();
        let reply = reply.named(act.name());
        let mut patience = self.workers.patience(self.settings.queue_wait);
        self.push(Job { actor, act, reply, trace: None, since: Instant::now() }, &mut patience).await;
        outcome.await.unwrap_or_else(|_| outcome::Result::Error(busy()))
    }
}

/// The queue is full, or this dispatcher is stopping. Another one, or the same
/// a little later, takes the command.
fn busy() -> v1::Error {
    ErrorCode::Unavailable.with("this dispatcher takes no command now; try again with the same key")
}

fn gateway() -> node::Actor {
    node::Actor { user: "gateway".to_owned(), name: String::new(), service: true }
}

fn name(action: &Action) -> &'static str {
    match action {
        Action::Send(_) => "send",
        Action::Edit(_) => "edit",
        Action::Delete(_) => "delete",
        Action::Read(_) => "read",
        Action::ReadNotification(_) => "read_notification",
        Action::CreateRoom(_) => "create_room",
        Action::RenameRoom(_) => "rename_room",
        Action::DeleteRoom(_) => "delete_room",
        Action::AddMembers(_) => "add_members",
        Action::RemoveMember(_) => "remove_member",
        Action::ChangeRole(_) => "change_role",
        Action::Notify(_) => "notify",
        Action::Revoke(_) => "revoke",
        Action::RecordLastSeen(_) => "record_last_seen",
    }
}
