//! The store: the truth. One port, two adapters: PostgreSQL for a cluster,
//! SQLite embedded. The adapters hold all SQL, and translate driver errors.
//!
//! Rules of chat are not here but in the crate's `command` module, which reads
//! and writes rows in a [`Transaction`]. The exception is [`Store::append`],
//! the path of a message: it checks membership inside its one statement.
//!
//! All times are milliseconds since the Unix epoch.

use async_trait::async_trait;
use proto::node::FeedChanges;
use proto::v1::{self, MessageType, Role, RoomKind, RoomSummary, Snapshot};
use proto::{Cursor, FeedId, MessageId, RoomId, Seq, UserId};
use thiserror::Error;

pub mod postgres;
pub mod sqlite;
mod standing;

/// Result of a store call.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The store did not do what was asked. Nothing of it has been applied, except
/// that after [`StoreError::Unavailable`] a commit may have happened: repeat
/// with the same keys.
#[derive(Debug, Error)]
pub enum StoreError {
    /// No connection, lost connection, shutting down, disk full, too busy: the same
    /// call may work later.
    #[error("the store does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Lost against another transaction (deadlock, serialization): repeat at once.
    #[error("the store asks to repeat the transaction")]
    Contention(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A fault of ours or of the data: repeating does not help.
    #[error("the store refused a statement")]
    Fault(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// Whether repeating the whole call may succeed.
    pub fn is_transient(&self) -> bool {
        !matches!(self, StoreError::Fault(_))
    }
}

/// A message to append, already checked for form.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Where to.
    pub room: RoomId,
    /// Taken if the key is new. Its last eight hex digits are the check value
    /// of its creation, see [`creation_check`].
    pub id: MessageId,
    /// Who sends.
    pub sender: UserId,
    /// The sender's display name.
    pub name: String,
    /// Idempotency key, unique per room and sender.
    pub key: String,
    /// Kind.
    pub r#type: MessageType,
    /// Text, may be empty where `data` is not.
    pub text: String,
    /// JSON object or empty.
    pub data: String,
    /// Digest of type, text and data as sent: tells a repeat from a conflict
    /// even after an edit.
    pub digest: i64,
    /// Now.
    pub time: i64,
}

/// The check value of a message's creation: the last eight hex digits of its
/// id, which are random (UUID version 7).
pub fn creation_check(id: &MessageId) -> u32 {
    let id = id.as_str();
    id.get(id.len().saturating_sub(8)..).and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or(0)
}

/// What became of a [`NewMessage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// Stored now.
    Stored {
        /// Its seq, also the room's head at that point.
        seq: Seq,
        /// Its number among the room's messages.
        ordinal: u64,
    },
    /// The key was used before with the same content: the first result.
    Repeated {
        /// Id of the first.
        id: MessageId,
        /// Seq of the first.
        seq: Seq,
        /// Ordinal of the first.
        ordinal: u64,
        /// Time of the first.
        time: i64,
    },
    /// The key was used before with other content.
    Conflict,
    /// No such room, it is deleted, or the sender is not an active member.
    NotMember,
}

/// A row of `rooms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRow {
    /// Its id.
    pub id: RoomId,
    /// Its kind.
    pub kind: RoomKind,
    /// Its name; empty for a direct room.
    pub name: String,
    /// Created when.
    pub created_at: i64,
    /// Created by.
    pub created_by: UserId,
    /// Not 0: deleted.
    pub deleted_at: i64,
    /// Active members.
    pub members: u32,
    /// Newest change.
    pub head: Seq,
    /// Check value of the newest change.
    pub head_check: u32,
    /// Messages ever sent: the newest ordinal.
    pub messages: u64,
    /// Last change of the room itself (name, kind, deletion, member count is not one).
    pub changed: Seq,
    /// Check value of that change.
    pub check: u32,
}

impl RoomRow {
    /// The room itself, as clients see it.
    pub fn details(&self) -> v1::Details {
        v1::Details {
            id: (&self.id).into(),
            kind: self.kind.into(),
            name: self.name.clone(),
            created_at: self.created_at,
            created_by: (&self.created_by).into(),
            members: self.members,
            deleted_at: self.deleted_at,
        }
    }
}

/// A row of `members`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// Which room.
    pub room: RoomId,
    /// Who.
    pub user: UserId,
    /// Display name as last seen in a token (from `users`; not written back).
    pub name: String,
    /// Role.
    pub role: Role,
    /// False: removed or left. The row stays, as the newest state of the thing.
    pub active: bool,
    /// Messages this user has sent to the room (counted by `append`).
    pub sent: u64,
    /// Seq of the last message read.
    pub read_seq: Seq,
    /// Ordinal of the last message read.
    pub read_ordinal: u64,
    /// How many of `sent` were at or before the read mark.
    pub read_sent: u64,
    /// Last change of this member in the room's feed.
    pub changed: Seq,
    /// Check value of that change.
    pub check: u32,
    /// Last change of this membership in the user's feed.
    pub user_changed: Seq,
    /// Check value of that change.
    pub user_check: u32,
}

impl MemberRow {
    /// Unread messages of others, in a room with this many messages.
    /// Arithmetic: no message is counted one by one.
    pub fn unread(&self, messages: u64) -> u64 {
        let after_mark = messages.saturating_sub(self.read_ordinal);
        after_mark.saturating_sub(self.sent.saturating_sub(self.read_sent))
    }
}

/// A row of `users`: created when a user is first seen or first concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Who.
    pub id: UserId,
    /// Display name as last seen in a token; empty if never seen.
    pub name: String,
    /// Newest change of the user's feed.
    pub head: Seq,
    /// Check value of the newest change.
    pub head_check: u32,
    /// Tokens issued before this second are refused; 0: none.
    pub revoked_before: i64,
    /// Last change of the revocation in the user's feed; 0: none.
    pub revocation_changed: Seq,
    /// Last seen connected; 0: never.
    pub last_seen: i64,
}

/// A row of `messages`, without what only `append` needs.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageRow {
    /// Where.
    pub room: RoomId,
    /// The thing itself.
    pub message: v1::Message,
    /// Its last change.
    pub changed: Seq,
    /// Check value of that change.
    pub check: u32,
}

/// A row of `notifications`.
#[derive(Debug, Clone, PartialEq)]
pub struct NotificationRow {
    /// Whose.
    pub user: UserId,
    /// Idempotency key per user; empty: none.
    pub key: String,
    /// The thing itself.
    pub notification: v1::Notification,
    /// Its last change in the user's feed.
    pub changed: Seq,
    /// Check value of that change.
    pub check: u32,
}

/// One item of [`Store::follow`].
#[derive(Debug, Clone)]
pub struct FollowAsk {
    /// Who asks.
    pub user: UserId,
    /// The user's display name; kept if the user's own feed is asked for and it is not empty.
    pub name: String,
    /// Which room; `None`: the user's own feed.
    pub room: Option<RoomId>,
    /// Where from; `None`: from now on.
    pub since: Option<Cursor>,
}

/// Answer to a [`FollowAsk`].
#[derive(Debug, Clone, PartialEq)]
pub enum FollowAnswer {
    /// What changed since.
    Changes {
        /// The changes.
        changes: FeedChanges,
        /// Own feed only: tokens issued before this second are refused; 0: none.
        revoked_before: i64,
    },
    /// Not an active member of a room that exists and is public.
    PublicRoom,
    /// Not an active member, or no such room, or it is deleted.
    NotMember,
}

/// Where rows and feeds are kept durably.
///
/// Every method is one consistent view of the store. Reads of one room or user
/// do not check who asks, except where the name says so: that is done before.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Appends messages: one statement, one commit. Items of the same room get
    /// rising seqs in the order given. No two items have the same room, sender
    /// and key: the caller sees to that. Rooms are locked in the order of their
    /// ids, keys and membership looked at afterwards with a fresh view.
    async fn append(&self, batch: &[NewMessage]) -> Result<Vec<Appended>>;

    /// Begins a transaction for one command.
    async fn begin(&self) -> Result<Box<dyn Transaction>>;

    /// May these users hear these feeds, and what changed since their cursors:
    /// one answer each, in order. At most `limit` changes in one answer.
    async fn follow(&self, asks: &[FollowAsk], limit: usize) -> Result<Vec<FollowAnswer>>;

    /// What changed in a feed since `since`, each thing once in its newest
    /// state, by rising seq, with the seq reached (see [`FeedChanges`]).
    ///
    /// `from` is `since.seq`. Without `more`, `to` and `check` are the head and
    /// its check value; with it they are of the last change in the answer.
    /// `reset` where the store never gave out `since`: its seq is above the
    /// head, or its check value is another; then `changes` is empty and `to`
    /// the head. [`Cursor::START`] is always good. A feed that does not exist
    /// has head 0.
    async fn changes(&self, feed: &FeedId, since: Cursor, limit: usize) -> Result<FeedChanges>;

    /// The heads of these feeds, in order; 0 for one that does not exist.
    async fn heads(&self, feeds: &[FeedId]) -> Result<Vec<Seq>>;

    /// The heads of feeds that changed within the last `seconds`, by the
    /// store's clock. May name some that changed a little earlier.
    async fn recent_heads(&self, seconds: u32) -> Result<Vec<(FeedId, Seq)>>;

    /// Removes what [`recent_heads`](Self::recent_heads) kept of more than a minute ago.
    async fn forget_old_activity(&self) -> Result<()>;

    /// The first screen of a user, at one point in time: rooms with newest
    /// activity first, read marks for rooms of at most `mark_limit` members,
    /// at most 50 unread notifications.
    async fn snapshot(&self, user: &UserId, rooms: usize, mark_limit: u32) -> Result<Snapshot>;

    /// The user's active rooms, newest activity (last message, else creation)
    /// first, without read marks; and whether there are more.
    async fn rooms(&self, user: &UserId, limit: usize, skip: usize) -> Result<(Vec<RoomSummary>, bool)>;

    /// One room as its active member sees it, with read marks; `None` for others.
    async fn room(&self, user: &UserId, room: &RoomId, mark_limit: u32) -> Result<Option<RoomSummary>>;

    /// The member's row, active or not; `None` also where the room is deleted.
    async fn member(&self, room: &RoomId, user: &UserId) -> Result<Option<MemberRow>>;

    /// Active members with ids above `after`, by rising id; and whether there are more.
    async fn members(&self, room: &RoomId, after: &str, limit: usize) -> Result<(Vec<v1::Member>, bool)>;

    /// Messages with a seq below `before` (0: the newest), tombstones included,
    /// the newest `limit` of them, oldest first; and whether there are older ones.
    async fn history(&self, room: &RoomId, before: Seq, limit: usize) -> Result<(Vec<v1::Message>, bool)>;

    /// Messages of a room that hold all words of `text` (in any order, case
    /// ignored, quotes and operators taken as text), newest first, tombstones
    /// never; and whether there are more.
    async fn search(
        &self,
        room: &RoomId,
        text: &str,
        before: Seq,
        limit: usize,
    ) -> Result<(Vec<v1::Message>, bool)>;

    /// A message by its id.
    async fn message(&self, message: &MessageId) -> Result<Option<MessageRow>>;

    /// A user's notifications, newest first, older than the one with id
    /// `before` (empty: the newest); whether there are more; how many are unread.
    async fn notifications(
        &self,
        user: &UserId,
        unread_only: bool,
        before: &str,
        limit: usize,
    ) -> Result<(Vec<v1::Notification>, bool, u64)>;

    /// For each user the active rooms with at most `max_members` members.
    async fn rooms_of(&self, users: &[UserId], max_members: u32) -> Result<Vec<Vec<RoomId>>>;

    /// Those of `others` who share a room with `user` (or are `user`), each
    /// with when they were last seen, 0: never.
    async fn acquainted(&self, user: &UserId, others: &[UserId]) -> Result<Vec<(UserId, i64)>>;

    /// Moves last-seen times forward, never back. Unknown users are skipped.
    async fn record_last_seen(&self, users: &[(UserId, i64)]) -> Result<()>;

    /// Answers if the store does.
    async fn ping(&self) -> Result<()>;

    /// Finishes and closes connections.
    async fn close(&self);
}

/// One command's reads and writes: all or nothing. Dropped without
/// [`commit`](Self::commit): nothing.
///
/// To be free of deadlocks, lock a room first, then users, in the order of ids.
#[async_trait]
pub trait Transaction: Send {
    /// Reads a room and keeps others (`append` too) from changing it. Also
    /// returned when deleted.
    async fn lock_room(&mut self, room: &RoomId) -> Result<Option<RoomRow>>;

    /// The direct room of two users, in either order.
    async fn direct_room(&mut self, a: &UserId, b: &UserId) -> Result<Option<RoomId>>;

    /// The room that this user created with this key.
    async fn room_by_key(&mut self, creator: &UserId, key: &str) -> Result<Option<RoomId>>;

    /// Inserts a room and holds its lock. `false`: the id, the pair or the key
    /// is taken, also by a transaction that ended just now. `pair` for a
    /// direct room, `key` of its creator if not empty.
    async fn insert_room(
        &mut self,
        row: &RoomRow,
        pair: Option<(&UserId, &UserId)>,
        key: &str,
    ) -> Result<bool>;

    /// Writes back name, deletion, members, head, messages, changed and checks,
    /// notes the room as recently active, and records the check values of the
    /// changes from `first` up to the new head (given in order).
    async fn update_room(&mut self, row: &RoomRow, first: Seq, checks: &[u32]) -> Result<()>;

    /// Members of a room by id, active or not; ids without a row are left out.
    async fn members(&mut self, room: &RoomId, users: &[UserId]) -> Result<Vec<MemberRow>>;

    /// Every active member of a room; of direct and group rooms only, which are bounded.
    async fn active_members(&mut self, room: &RoomId) -> Result<Vec<MemberRow>>;

    /// Inserts or replaces members (`sent` stays as it is in the store).
    async fn put_members(&mut self, rows: &[MemberRow]) -> Result<()>;

    /// A message by id, in any room.
    async fn message(&mut self, message: &MessageId) -> Result<Option<MessageRow>>;

    /// Writes back text, data, edited, deleted, changed and check; a deleted
    /// message's words leave the search too.
    async fn update_message(&mut self, row: &MessageRow) -> Result<()>;

    /// The newest message with a seq of at most `seq` (0: the newest of all):
    /// its seq, its ordinal, and how many messages `user` had sent up to it.
    async fn message_at(&mut self, room: &RoomId, seq: Seq, user: &UserId)
    -> Result<Option<(Seq, u64, u64)>>;

    /// Reads users, in the order given, creating missing ones, and keeps
    /// others from changing them.
    async fn lock_users(&mut self, users: &[UserId]) -> Result<Vec<UserRow>>;

    /// Writes back head, check, revocation (not name, not last seen), notes the
    /// feed as recently active, and records the check values of the changes
    /// from `first` up to the new head (given in order).
    async fn update_user(&mut self, row: &UserRow, first: Seq, checks: &[u32]) -> Result<()>;

    /// A notification of a user by id.
    async fn notification(&mut self, user: &UserId, id: &str) -> Result<Option<NotificationRow>>;

    /// A notification of a user by its key.
    async fn notification_by_key(&mut self, user: &UserId, key: &str) -> Result<Option<NotificationRow>>;

    /// Unread notifications of a user, oldest first, at most `limit`.
    async fn unread_notifications(&mut self, user: &UserId, limit: usize) -> Result<Vec<NotificationRow>>;

    /// Inserts or replaces notifications.
    async fn put_notifications(&mut self, rows: &[NotificationRow]) -> Result<()>;

    /// Makes it durable.
    async fn commit(self: Box<Self>) -> Result<()>;
}
