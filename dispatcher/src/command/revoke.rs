//! What the parts around the chat tell of users: revoked tokens, last seen.

use async_trait::async_trait;
use proto::node::{self, outcome};
use proto::v1::{Done as Nothing, Revocation, change::Thing};
use proto::{ErrorCode, FeedId, UserId};

use super::check::{self, Actor, Checked};
use super::notification::lock_user;
use super::{Act, Attempt, Done, Refusal};
use crate::raise::Raise;
use crate::store::UserRow;

/// Users in one record of last-seen times.
const MAX_SEEN: usize = 10_000;

/// Refusing a user's tokens issued until now.
pub(super) struct Revoke {
    user: UserId,
}

impl Revoke {
    pub(super) fn check(revoke: node::Revoke, actor: &Actor) -> Checked<Self> {
        actor.must_be_service()?;
        Ok(Self { user: check::user(&revoke.user)? })
    }
}

#[async_trait]
impl Act for Revoke {
    fn name(&self) -> &'static str {
        "revoke"
    }

    fn key(&self) -> &str {
        self.user.as_str()
    }

    async fn run(&self, at: &Attempt<'_>) -> Result<Done, Refusal> {
        let mut tx = at.store.begin().await?;
        let mut user = lock_user(&mut *tx, &self.user).await?;
        // Tokens say the second of their issue and no more. One of this very
        // second may be older than the revocation, so it is refused; a new token
        // works from the next second on.
        user.revoked_before = user.revoked_before.max(at.now.div_euclid(1000) + 1);
        let mut feed = Raise::new(FeedId::User(self.user.clone()), user.head);
        let place = feed.next();
        feed.note(place, Thing::Revocation(Revocation { issued_before: user.revoked_before }));
        user.revocation_changed = feed.head();
        let user = UserRow { head: feed.head(), head_check: feed.head_check(), ..user };
        tx.update_user(&user, feed.first(), feed.checks()).await?;
        tx.commit().await?;
        Ok(Done::changed(outcome::Result::Done(Nothing {}), vec![feed.into_event()]))
    }
}

/// Keeping when users were last connected, as presence saw it. From gateways
/// themselves: who acts is not looked at.
pub(super) struct RecordLastSeen {
    users: Vec<(UserId, i64)>,
}

impl RecordLastSeen {
    pub(super) fn check(seen: node::RecordLastSeen) -> Checked<Self> {
        if seen.users.len() > MAX_SEEN {
            return Err(ErrorCode::TooLarge.with(format!("more than {MAX_SEEN} users")));
        }
        let users = seen.users.iter().map(|seen| Ok((check::user(&seen.user)?, seen.time)));
        let mut users = users.collect::<Checked<Vec<_>>>()?;
        // Each user once, in one order, with the latest time.
        users.sort();
        users.reverse();
        users.dedup_by(|a, b| a.0 == b.0);
        users.reverse();
        Ok(Self { users })
    }
}

#[async_trait]
impl Act for RecordLastSeen {
    fn name(&self) -> &'static str {
        "record_last_seen"
    }

    fn key(&self) -> &str {
        ""
    }

    async fn run(&self, at: &Attempt<'_>) -> Result<Done, Refusal> {
        // Times only move forward: one from a clock ahead of ours would stay.
        let users: Vec<_> =
            self.users.iter().map(|(user, time)| (user.clone(), (*time).clamp(0, at.now))).collect();
        if !users.is_empty() {
            at.store.record_last_seen(&users).await?;
        }
        Ok(Done::unchanged(outcome::Result::Done(Nothing {})))
    }
}
