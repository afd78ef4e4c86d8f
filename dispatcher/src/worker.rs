//! Workers run the commands that are not sends. Those of one key (a room, a
//! message, a user) go to one worker and so keep their order.

use std::sync::Arc;
use std::time::Duration;

use proto::ErrorCode;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::command::check::Actor;
use crate::command::{Act, Executor};
use crate::queue::{Queues, take};
use crate::reply::Reply;
use crate::settings::Settings;
use crate::task;
use crate::trace::Traced;

/// A command that waits for its worker.
pub(crate) struct Job {
    pub(crate) actor: Actor,
    pub(crate) act: Box<dyn Act>,
    pub(crate) reply: Reply,
    pub(crate) trace: Option<Traced>,
    /// Since when.
    pub(crate) since: Instant,
}

/// A command gets at least this long, however long it has waited.
const LEAST: Duration = Duration::from_secs(1);

/// Starts the workers. They end after `stop`, when their queues are empty.
pub(crate) fn start(
    tasks: &TaskTracker,
    executor: &Executor,
    settings: &Arc<Settings>,
    stop: &CancellationToken,
) -> Queues<Job> {
    Queues::new((0..settings.max_concurrent_commands.max(1)).map(|_| {
        let (sender, queue) = mpsc::channel(settings.queue_per_worker.max(1));
        task::spawn(tasks, "worker", run(executor.clone(), queue, stop.clone()));
        sender
    }))
}

async fn run(executor: Executor, mut queue: mpsc::Receiver<Job>, stop: CancellationToken) {
    let mut next = Vec::with_capacity(1);
    while take(&mut queue, &mut next, 1, &stop).await {
        for job in next.drain(..) {
            let waited = job.since.elapsed();
            if let Some(traced) = &job.trace {
                traced.taken_up(job.act.name(), job.since);
            }
            if waited >= executor.settings.store_deadline {
                job.reply.refuse(ErrorCode::Unavailable.with("too many commands are waiting; try again"));
                continue;
            }
            let began = Instant::now();
            let deadline = began + (executor.settings.store_deadline - waited).max(LEAST);
            let result = executor.execute(&job.actor, &*job.act, job.trace.as_ref(), deadline).await;
            if let Some(traced) = &job.trace {
                traced.executed(began.elapsed(), &result);
            }
            job.reply.send(result);
        }
    }
}
