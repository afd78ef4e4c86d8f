//! Commands other than sends: each one transaction that reads rows, applies the
//! [rules](rule) to them, writes what changes and commits; what changed is
//! published afterwards.
//!
//! The rule is checked in the transaction that acts on it. Every command may
//! run again after a commit of unknown outcome: ids are fixed before the first
//! attempt, and a command that finds its work done answers as if it had done it.
//!
//! Locks are taken in one order: the room, then its users by id. A member's row
//! is written only while its user is locked, and read after that.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use proto::node::{command::Action, outcome};
use proto::v1::{self, Change, Member, Membership, ReadMark, change::Thing};
use proto::{ErrorCode, FeedId, RoomId};
use tokio::time::{Instant, timeout_at};
use tracing::error;

use self::check::{Actor, Checked};
use crate::publish::{Publication, Publisher};
use crate::retry::{Backoff, refusal};
use crate::settings::Settings;
use crate::sizes::Sizes;
use crate::store::{MemberRow, MessageRow, Store, StoreError};
use crate::trace::Traced;
use crate::{clock, metrics};

pub(crate) mod check;
mod member;
mod message;
mod notification;
mod read;
mod revoke;
mod room;
pub(crate) mod rule;

pub(crate) use member::AddMembers;

/// One command, of good form.
#[async_trait]
pub(crate) trait Act: Send + Sync {
    /// Its name in metrics and logs.
    fn name(&self) -> &'static str;

    /// Commands of one key run one after the other, in the order they came.
    fn key(&self) -> &str;

    /// Reads, decides, writes, commits.
    async fn run(&self, at: &Attempt<'_>) -> Result<Done, Refusal>;
}

/// What an attempt at a command stands on.
pub(crate) struct Attempt<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) settings: &'a Settings,
    pub(crate) sizes: &'a Sizes,
    pub(crate) actor: &'a Actor,
    /// Milliseconds since the Unix epoch.
    pub(crate) now: i64,
}

/// A command that is done: what to answer and what to publish.
pub(crate) struct Done {
    result: outcome::Result,
    events: Vec<(FeedId, Vec<Change>)>,
    read: Option<(RoomId, ReadMark)>,
    /// There is more of it than one transaction holds.
    again: bool,
}

impl Done {
    /// Nothing had to be changed.
    fn unchanged(result: outcome::Result) -> Self {
        Self { result, events: Vec::new(), read: None, again: false }
    }

    /// Committed, with these changes.
    fn changed(result: outcome::Result, events: Vec<(FeedId, Vec<Change>)>) -> Self {
        Self { result, events, read: None, again: false }
    }
}

/// A command that is not done.
pub(crate) enum Refusal {
    /// By a rule.
    Rule(v1::Error),
    /// By the store.
    Store(StoreError),
}

impl From<v1::Error> for Refusal {
    fn from(error: v1::Error) -> Self {
        Self::Rule(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Checks a command's form. Sends are not among these: they go to the lanes.
pub(crate) fn parse(action: Action, actor: &Actor, settings: &Settings) -> Checked<Box<dyn Act>> {
    Ok(match action {
        Action::Send(_) => return Err(ErrorCode::Internal.with("a send outside its lane")),
        Action::Edit(edit) => Box::new(message::Edit::check(edit)?),
        Action::Delete(delete) => Box::new(message::Delete::check(delete)?),
        Action::Read(read) => Box::new(read::Read::check(read)?),
        Action::ReadNotification(read) => Box::new(notification::ReadNotification::check(read, actor)?),
        Action::CreateRoom(create) => Box::new(room::CreateRoom::check(create, actor, settings)?),
        Action::RenameRoom(rename) => Box::new(room::RenameRoom::check(rename)?),
        Action::DeleteRoom(delete) => Box::new(room::DeleteRoom::check(delete)?),
        Action::AddMembers(add) => Box::new(AddMembers::check(add, settings)?),
        Action::RemoveMember(remove) => Box::new(member::RemoveMember::check(remove)?),
        Action::ChangeRole(change) => Box::new(member::ChangeRole::check(change)?),
        Action::Notify(notify) => Box::new(notification::Notify::check(notify, actor)?),
        Action::Revoke(revoke) => Box::new(revoke::Revoke::check(revoke, actor)?),
        Action::RecordLastSeen(seen) => Box::new(revoke::RecordLastSeen::check(seen)?),
    })
}

/// Runs commands against the store and publishes what they changed.
#[derive(Clone)]
pub(crate) struct Executor {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) publisher: Publisher,
    pub(crate) settings: Arc<Settings>,
    pub(crate) sizes: Arc<Sizes>,
}

impl Executor {
    /// Runs a command to its outcome, until `deadline`.
    pub(crate) async fn execute(
        &self,
        actor: &Actor,
        act: &dyn Act,
        trace: Option<&Traced>,
        deadline: Instant,
    ) -> outcome::Result {
        // A fault in one command must not take the others of this process with it.
        match AssertUnwindSafe(self.attempt(actor, act, trace, deadline)).catch_unwind().await {
            Ok(Ok(result)) => result,
            Ok(Err(refused)) => outcome::Result::Error(refused),
            Err(_) => {
                ::metrics::counter!(metrics::PANICS).increment(1);
                error!(command = act.name(), "a command panicked");
                outcome::Result::Error(ErrorCode::Internal.with("a fault of the server's own"))
            }
        }
    }

    async fn attempt(
        &self,
        actor: &Actor,
        act: &dyn Act,
        trace: Option<&Traced>,
        deadline: Instant,
    ) -> Checked<outcome::Result> {
        let mut backoff = Backoff::until(deadline);
        loop {
            let attempt = Attempt {
                store: &*self.store,
                settings: &self.settings,
                sizes: &self.sizes,
                actor,
                now: clock::now(),
            };
            let began = Instant::now();
            let error = match timeout_at(deadline, act.run(&attempt)).await {
                Ok(Ok(done)) => {
                    let again = done.again;
                    if !done.events.is_empty() {
                        ::metrics::histogram!(metrics::COMMIT_SECONDS).record(began.elapsed().as_secs_f64());
                    }
                    let result = self.publish(done, trace);
                    if again {
                        continue;
                    }
                    return Ok(result);
                }
                Ok(Err(Refusal::Rule(refused))) => return Err(refused),
                Ok(Err(Refusal::Store(error))) => error,
                Err(elapsed) => StoreError::Unavailable(elapsed.into()),
            };
            if !backoff.pause(&error).await {
                return Err(refusal(&error, act.name()));
            }
        }
    }

    fn publish(&self, done: Done, trace: Option<&Traced>) -> outcome::Result {
        for (feed, changes) in done.events {
            let last = changes.last().map_or(0, |change| change.seq);
            let traced = trace.map(|traced| traced.change(last)).into_iter().collect();
            self.publisher.publish(Publication::Feed(feed, changes, traced));
        }
        if let Some((room, mark)) = done.read {
            self.publisher.publish(Publication::Read(room, mark));
        }
        done.result
    }
}

/// Asks for the whole command to be run again: another transaction was first.
fn again(why: &'static str) -> Refusal {
    Refusal::Store(StoreError::Contention(why.into()))
}

// ---- rows as things ----------------------------------------------------------

fn member(row: &MemberRow) -> Thing {
    Thing::Member(Member {
        user: (&row.user).into(),
        name: row.name.clone(),
        role: row.role.into(),
        active: row.active,
    })
}

fn membership(row: &MemberRow, unread: u64) -> Thing {
    Thing::Membership(Membership {
        room: (&row.room).into(),
        role: row.role.into(),
        active: row.active,
        read_seq: row.read_seq,
        unread,
    })
}

fn changed(row: &MessageRow) -> outcome::Result {
    let message = &row.message;
    outcome::Result::Changed(v1::Changed {
        message: message.id.clone(),
        seq: row.changed,
        time: [message.deleted_at, message.edited_at, message.time]
            .into_iter()
            .find(|t| *t != 0)
            .unwrap_or(0),
        room: (&row.room).into(),
    })
}
