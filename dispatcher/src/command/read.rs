//! Read marks: they move forward, cost one row, and are nothing in the room's feed.

use async_trait::async_trait;
use proto::node::outcome;
use proto::v1::{self, ReadMark};
use proto::{FeedId, RoomId, Seq};

use super::check::{self, Checked};
use super::{Act, Attempt, Done, Refusal, membership, rule};
use crate::raise::Raise;
use crate::store::UserRow;

/// Moving one's own read mark.
pub(super) struct Read {
    room: RoomId,
    seq: Seq,
}

impl Read {
    pub(super) fn check(read: v1::Read) -> Checked<Self> {
        // Stores count in signed 64 bits: what is above is everything, too.
        let seq = if read.seq > i64::MAX as u64 { 0 } else { read.seq };
        Ok(Self { room: check::room(&read.room)?, seq })
    }
}

#[async_trait]
impl Act for Read {
    fn name(&self) -> &'static str {
        "read"
    }

    fn key(&self) -> &str {
        self.room.as_str()
    }

    /// Locks the user and not the room: members who read do not get in the way
    /// of those who write.
    async fn run(&self, at: &Attempt<'_>) -> Result<Done, Refusal> {
        let actor = std::slice::from_ref(&at.actor.user);
        let members = at.sizes.of(at.store, &self.room, &at.actor.user).await;
        let mut tx = at.store.begin().await?;
        // Looked at before the lock, which would create a user for a stranger's question.
        if rule::active(tx.members(&self.room, actor).await?.first()).is_none() {
            return Err(rule::not_member().into());
        }
        let user = tx.lock_users(actor).await?.into_iter().next();
        let row = tx.members(&self.room, actor).await?.into_iter().next().filter(|row| row.active);
        let (Some(user), Some(mut row)) = (user, row) else { return Err(rule::not_member().into()) };

        let newest = tx.message_at(&self.room, 0, &at.actor.user).await?;
        let target =
            if self.seq == 0 { newest } else { tx.message_at(&self.room, self.seq, &at.actor.user).await? };
        let forward = target.filter(|(seq, ..)| *seq > row.read_seq);
        if let Some((seq, ordinal, sent)) = forward {
            (row.read_seq, row.read_ordinal, row.read_sent) = (seq, ordinal, sent);
        }
        // Both numbers from one look: the row's own count may be older or newer.
        let (_, messages, sent) = newest.unwrap_or_default();
        row.sent = sent;
        let unread = row.unread(messages);
        let mark = ReadMark { user: (&at.actor.user).into(), seq: row.read_seq, time: at.now, unread: None };
        let result = outcome::Result::ReadMark(ReadMark { unread: Some(unread), ..mark.clone() });
        if forward.is_none() {
            return Ok(Done::unchanged(result));
        }

        let mut feed = Raise::new(FeedId::User(user.id.clone()), user.head);
        let place = feed.next();
        (row.user_changed, row.user_check) = place;
        feed.note(place, membership(&row, unread));
        tx.put_members(std::slice::from_ref(&row)).await?;
        let user = UserRow { head: feed.head(), head_check: feed.head_check(), ..user };
        tx.update_user(&user, feed.first(), feed.checks()).await?;
        tx.commit().await?;
        // In a large room everybody's ticks to everybody would be a flood.
        let small = members.is_some_and(|members| members <= at.settings.read_mark_limit);
        let read = small.then(|| (self.room.clone(), mark));
        Ok(Done { read, ..Done::changed(result, vec![feed.into_event()]) })
    }
}
