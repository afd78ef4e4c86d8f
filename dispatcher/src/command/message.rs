//! Messages that exist: editing and deleting.

use async_trait::async_trait;
use proto::v1::{self, change::Thing};
use proto::{FeedId, MessageId, RoomId};

use super::check::{self, Checked};
use super::rule::{self, Standing};
use super::{Act, Attempt, Done, Refusal, changed};
use crate::raise::Raise;
use crate::store::{MessageRow, RoomRow, Transaction};

/// Which message: by its id, in the room that is said if one is.
struct Which {
    room: Option<RoomId>,
    message: MessageId,
}

impl Which {
    fn check(room: &str, message: &str) -> Checked<Self> {
        let room = if room.is_empty() { None } else { Some(check::room(room)?) };
        Ok(Self { room, message: check::message(message)? })
    }

    /// Locks its room and reads it there. Absent, elsewhere and in a room that
    /// the actor is not in have one answer.
    async fn lock(&self, at: &Attempt<'_>) -> Result<Locked, Refusal> {
        let not_found = || Refusal::Rule(rule::not_found("message"));
        let room = match &self.room {
            Some(room) => room.clone(),
            // A message never changes its room: this may be read before the lock.
            None => at.store.message(&self.message).await?.ok_or_else(not_found)?.room,
        };
        let mut tx = at.store.begin().await?;
        let row = tx.lock_room(&room).await?;
        let own = tx.members(&room, std::slice::from_ref(&at.actor.user)).await?;
        let by = rule::standing(at.actor, row.as_ref(), own.first()).map_err(|_| not_found())?;
        let row = row.ok_or_else(not_found)?;
        let message = tx.message(&self.message).await?.filter(|message| message.room == room);
        Ok(Locked { tx, room: row, message: message.ok_or_else(not_found)?, by })
    }
}

struct Locked {
    tx: Box<dyn Transaction>,
    room: RoomRow,
    message: MessageRow,
    by: Standing,
}

impl Locked {
    /// Writes the message as it is now, with the room's next seq.
    async fn commit(mut self) -> Result<Done, Refusal> {
        let mut feed = Raise::new(FeedId::Room(self.room.id.clone()), self.room.head);
        let place = feed.next();
        (self.message.changed, self.message.check) = place;
        (self.room.head, self.room.head_check) = place;
        feed.note(place, Thing::Message(self.message.message.clone()));
        self.tx.update_message(&self.message).await?;
        self.tx.update_room(&self.room, feed.first(), feed.checks()).await?;
        self.tx.commit().await?;
        Ok(Done::changed(changed(&self.message), vec![feed.into_event()]))
    }
}

/// Changing what one said.
pub(super) struct Edit {
    which: Which,
    text: String,
}

impl Edit {
    pub(super) fn check(edit: v1::Edit) -> Checked<Self> {
        let which = Which::check(&edit.room, &edit.message)?;
        // Whether it may be empty depends on the message's type: that is a rule.
        proto::text::check_text(&edit.text).map_err(check::field("text"))?;
        Ok(Self { which, text: edit.text })
    }
}

#[async_trait]
impl Act for Edit {
    fn name(&self) -> &'static str {
        "edit"
    }

    fn key(&self) -> &str {
        self.which.message.as_str()
    }

    async fn run(&self, at: &Attempt<'_>) -> Result<Done, Refusal> {
        let mut locked = self.which.lock(at).await?;
        let window = at.settings.edit_window;
        if !rule::edit(&at.actor.user, &locked.message, &self.text, at.now, window)? {
            return Ok(Done::unchanged(changed(&locked.message)));
        }
        locked.message.message.text.clone_from(&self.text);
        locked.message.message.edited_at = at.now;
        locked.commit().await
    }
}

/// Taking a message back: a tombstone stays.
pub(super) struct Delete {
    which: Which,
}

impl Delete {
    pub(super) fn check(delete: v1::Delete) -> Checked<Self> {
        Ok(Self { which: Which::check(&delete.room, &delete.message)? })
    }
}

#[async_trait]
impl Act for Delete {
    fn name(&self) -> &'static str {
        "delete"
    }

    fn key(&self) -> &str {
        self.which.message.as_str()
    }

    async fn run(&self, at: &Attempt<'_>) -> Result<Done, Refusal> {
        let mut locked = self.which.lock(at).await?;
        if !rule::delete_message(&at.actor.user, locked.by, &locked.message)? {
            return Ok(Done::unchanged(changed(&locked.message)));
        }
        let message = &mut locked.message.message;
        message.text.clear();
        message.data.clear();
        message.deleted_at = at.now;
        locked.commit().await
    }
}
