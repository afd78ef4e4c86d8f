//! Joins asked together: what waits while the last question is answered goes
//! into the next one. When thousands of clients come back at once, the store
//! sees dozens of statements and not thousands.

use std::sync::Arc;

use proto::node::{FeedChanges, Follow, FollowAll, Query, answer, follow_result, query};
use proto::{ErrorCode, v1};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{Inner, unavailable};

/// Joins in one question.
const TOGETHER: usize = 200;
/// Questions on the way at once.
const AT_ONCE: usize = 4;
/// Joins waiting; those beyond wait with their connection.
const MAX_WAITING: usize = 4096;

struct Waiting {
    follow: Follow,
    answer: oneshot::Sender<Result<FeedChanges, v1::Error>>,
}

#[derive(Clone)]
pub(super) struct Follows {
    waiting: mpsc::Sender<Waiting>,
}

impl Follows {
    pub fn start(inner: Arc<Inner>) -> Self {
        let (waiting, next) = mpsc::channel(MAX_WAITING);
        inner.tasks.clone().spawn(gather(inner, next));
        Self { waiting }
    }

    pub async fn follow(&self, follow: Follow) -> Result<FeedChanges, v1::Error> {
        let (answer, answered) = oneshot::channel();
        self.waiting.send(Waiting { follow, answer }).await.map_err(|_| unavailable())?;
        answered.await.unwrap_or_else(|_| Err(unavailable()))
    }
}

async fn gather(inner: Arc<Inner>, mut next: mpsc::Receiver<Waiting>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(place) = inner.stop.run_until_cancelled(places.clone().acquire_owned()).await {
        let mut together = Vec::new();
        match inner.stop.run_until_cancelled(next.recv_many(&mut together, TOGETHER)).await {
            Some(1..) => {}
            _ => return,
        }
        let asking = inner.clone();
        inner.tasks.spawn(async move {
            ask(&asking, together).await;
            drop(place);
        });
    }
}

async fn ask(inner: &Inner, together: Vec<Waiting>) {
    let (follows, answers): (Vec<_>, Vec<_>) =
        together.into_iter().map(|waiting| (waiting.follow, waiting.answer)).unzip();
    let question = query::Question::Follow(FollowAll { follows });
    let results = match inner.ask(Query { actor: None, question: Some(question) }).await {
        Ok(answer::Result::Follow(followed)) if followed.results.len() == answers.len() => {
            Ok(followed.results)
        }
        Ok(_) => Err(ErrorCode::Internal.with("a dispatcher answered a join with something else")),
        Err(error) => Err(error),
    };
    match results {
        Ok(results) => {
            for (result, answer) in results.into_iter().zip(answers) {
                // The client may be gone.
                let _ = answer.send(match result.result {
                    Some(follow_result::Result::Changes(changes)) => Ok(changes),
                    Some(follow_result::Result::Error(error)) => Err(error),
                    None => Err(unavailable()),
                });
            }
        }
        Err(error) => {
            for answer in answers {
                let _ = answer.send(Err(error.clone()));
            }
        }
    }
}
