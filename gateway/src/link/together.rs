//! Questions asked together: what waits while the last question is answered
//! goes into the next one. When thousands of clients come back at once, the
//! store sees dozens of statements and not thousands.

use std::sync::Arc;

use proto::node::{
    FeedChanges, Follow, FollowAll, PresenceRooms, Query, answer, follow_result, query::Question,
};
use proto::{ErrorCode, v1};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{Inner, unavailable};

/// Asks in one question.
const TOGETHER: usize = 200;
/// Questions of a kind on the way at once.
const AT_ONCE: usize = 4;
/// Asks waiting; those beyond wait with their connection.
const MAX_WAITING: usize = 4096;

type Result<T> = std::result::Result<T, v1::Error>;

/// A kind of ask of which several make one question.
pub(super) trait Kind: Send + 'static {
    type Ask: Send;
    type Answer: Send;

    fn question(asks: Vec<Self::Ask>) -> Question;

    /// One answer for each ask, in order; `None`: an answer to something else.
    fn answers(answer: answer::Result) -> Option<Vec<Result<Self::Answer>>>;
}

/// Joins: may this user hear this feed, and what changed since.
pub(super) struct Follows;

impl Kind for Follows {
    type Ask = Follow;
    type Answer = FeedChanges;

    fn question(follows: Vec<Follow>) -> Question {
        Question::Follow(FollowAll { follows })
    }

    fn answers(answer: answer::Result) -> Option<Vec<Result<FeedChanges>>> {
        let answer::Result::Follow(followed) = answer else { return None };
        let results = followed.results.into_iter().map(|result| match result.result {
            Some(follow_result::Result::Changes(changes)) => Ok(changes),
            Some(follow_result::Result::Error(error)) => Err(error),
            None => Err(unavailable()),
        });
        Some(results.collect())
    }
}

/// The ids of all rooms of a user.
pub(super) struct RoomsOf;

impl Kind for RoomsOf {
    type Ask = String;
    type Answer = Vec<String>;

    fn question(users: Vec<String>) -> Question {
        Question::PresenceRooms(PresenceRooms { users, max_members: u32::MAX })
    }

    fn answers(answer: answer::Result) -> Option<Vec<Result<Vec<String>>>> {
        let answer::Result::PresenceRooms(rooms) = answer else { return None };
        Some(rooms.users.into_iter().map(|rooms| Ok(rooms.rooms)).collect())
    }
}

struct Waiting<K: Kind> {
    ask: K::Ask,
    answer: oneshot::Sender<Result<K::Answer>>,
}

/// The way to ask together with others.
pub(super) struct Together<K: Kind> {
    waiting: mpsc::Sender<Waiting<K>>,
}

impl<K: Kind> Clone for Together<K> {
    fn clone(&self) -> Self {
        Self { waiting: self.waiting.clone() }
    }
}

impl<K: Kind> Together<K> {
    pub fn start(inner: Arc<Inner>) -> Self {
        let (waiting, next) = mpsc::channel(MAX_WAITING);
        inner.tasks.clone().spawn(gather::<K>(inner, next));
        Self { waiting }
    }

    pub async fn ask(&self, ask: K::Ask) -> Result<K::Answer> {
        let (answer, answered) = oneshot::channel();
        self.waiting.send(Waiting { ask, answer }).await.map_err(|_| unavailable())?;
        answered.await.unwrap_or_else(|_| Err(unavailable()))
    }
}

async fn gather<K: Kind>(inner: Arc<Inner>, mut next: mpsc::Receiver<Waiting<K>>) {
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

async fn ask<K: Kind>(inner: &Inner, together: Vec<Waiting<K>>) {
    let (asks, waiting): (Vec<_>, Vec<_>) =
        together.into_iter().map(|waiting| (waiting.ask, waiting.answer)).unzip();
    let answered = inner.ask(Query { actor: None, question: Some(K::question(asks)) }).await;
    let answers = match answered.map(K::answers) {
        Ok(Some(answers)) if answers.len() == waiting.len() => answers,
        other => {
            let error = other
                .err()
                .unwrap_or_else(|| ErrorCode::Internal.with("a dispatcher answered something else"));
            waiting.iter().map(|_| Err(error.clone())).collect()
        }
    };
    for (answer, waiting) in answers.into_iter().zip(waiting) {
        // The client may be gone.
        let _ = waiting.send(answer);
    }
}
