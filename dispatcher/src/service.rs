//! The gRPC service: a stream of commands, and queries.

use std::sync::Arc;

use proto::node::dispatcher_server::Dispatcher as Rpc;
use proto::node::{Answer, Command, Query, answer, query::Question};
use proto::{ErrorCode, v1};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use crate::command::check::Checked;
use crate::intake::Intake;
use crate::metrics;
use crate::query::Queries;
use crate::reply::Outcomes;
use crate::task;

/// The service of one dispatcher; cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub(crate) intake: Arc<Intake>,
    pub(crate) queries: Arc<Queries>,
    pub(crate) asking: Arc<Semaphore>,
    pub(crate) streams: TaskTracker,
    /// No new streams.
    pub(crate) stopping: CancellationToken,
    /// No streams.
    pub(crate) stopped: CancellationToken,
}

#[tonic::async_trait]
impl Rpc for Service {
    type CommandsStream = Outcomes;

    async fn commands(
        &self,
        request: Request<Streaming<Command>>,
    ) -> Result<Response<Self::CommandsStream>, Status> {
        if self.stopping.is_cancelled() {
            return Err(Status::unavailable("this dispatcher is stopping"));
        }
        let (outcomes, reader) = self.intake.stream(request.into_inner(), self.stopped.clone());
        task::spawn(&self.streams, "stream", reader);
        Ok(Response::new(outcomes))
    }

    async fn ask(&self, request: Request<Query>) -> Result<Response<Answer>, Status> {
        let Query { actor, question } = request.into_inner();
        let name = question.as_ref().map_or(metrics::UNKNOWN, name);
        let answer = match question {
            Some(question) => self.answer(actor, question).await,
            None => Err(ErrorCode::Malformed.with("a query of an unknown kind")),
        };
        metrics::query(name, answer.as_ref().err());
        let result = answer.unwrap_or_else(answer::Result::Error);
        Ok(Response::new(Answer { result: Some(result) }))
    }
}

impl Service {
    async fn answer(&self, actor: Option<proto::node::Actor>, question: Question) -> Checked<answer::Result> {
        // Never closed; if it were, the dispatcher would be gone.
        let _permit = self.asking.acquire().await.map_err(|_| stopped())?;
        self.queries.answer(actor, question).await
    }
}

fn stopped() -> v1::Error {
    ErrorCode::Unavailable.with("this dispatcher has stopped")
}

fn name(question: &Question) -> &'static str {
    match question {
        Question::Follow(_) => "follow",
        Question::Changes(_) => "changes",
        Question::Heads(_) => "heads",
        Question::Snapshot(_) => "snapshot",
        Question::History(_) => "history",
        Question::Search(_) => "search",
        Question::ListRooms(_) => "list_rooms",
        Question::GetRoom(_) => "get_room",
        Question::ListMembers(_) => "list_members",
        Question::GetMessage(_) => "get_message",
        Question::ListNotifications(_) => "list_notifications",
        Question::PresenceRooms(_) => "presence_rooms",
        Question::Acquainted(_) => "acquainted",
    }
}
