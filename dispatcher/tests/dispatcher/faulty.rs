//! A store that fails on request, in front of a real one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dispatcher::store::{
    Appended, FollowAnswer, FollowAsk, MemberRow, MessageRow, NewMessage, NotificationRow, Result, RoomRow,
    Store, StoreError, Transaction, UserRow,
};
use proto::node::FeedChanges;
use proto::v1::{Member, Message, Notification, RoomSummary, Snapshot};
use proto::{Cursor, FeedId, MessageId, RoomId, Seq, UserId};
use tokio::sync::Semaphore;

/// What goes wrong with an append or a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is stored.
    Away,
    /// Another transaction was first; nothing is stored.
    Contention,
    /// It is stored, and the answer lost.
    Lost,
}

pub struct FaultyStore {
    inner: Arc<dyn Store>,
    /// Faults of the next appends and of the next transactions begun.
    pub appends: Mutex<VecDeque<Fault>>,
    pub begins: Mutex<VecDeque<Fault>>,
    /// A batch with this text in it is refused.
    pub poison: Option<&'static str>,
    /// Appends wait for one of these.
    pub gate: Semaphore,
    /// Sizes of batches as they came.
    pub batches: Mutex<Vec<usize>>,
}

impl FaultyStore {
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            appends: Mutex::default(),
            begins: Mutex::default(),
            poison: None,
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            batches: Mutex::default(),
        }
    }
}

fn error(fault: Fault) -> StoreError {
    match fault {
        Fault::Contention => StoreError::Contention("on request".into()),
        Fault::Away | Fault::Lost => StoreError::Unavailable("on request".into()),
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn append(&self, batch: &[NewMessage]) -> Result<Vec<Appended>> {
        self.gate.acquire().await.unwrap().forget();
        self.batches.lock().unwrap().push(batch.len());
        if self.poison.is_some_and(|poison| batch.iter().any(|message| message.text == poison)) {
            return Err(StoreError::Fault("poison".into()));
        }
        let fault = self.appends.lock().unwrap().pop_front();
        match fault {
            None => self.inner.append(batch).await,
            Some(fault) => {
                if fault == Fault::Lost {
                    self.inner.append(batch).await?;
                }
                Err(error(fault))
            }
        }
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>> {
        let fault = self.begins.lock().unwrap().pop_front();
        match fault {
            Some(Fault::Lost) => Ok(Box::new(LosingTransaction(self.inner.begin().await?))),
            Some(fault) => Err(error(fault)),
            None => self.inner.begin().await,
        }
    }

    async fn follow(&self, asks: &[FollowAsk], limit: usize) -> Result<Vec<FollowAnswer>> {
        self.inner.follow(asks, limit).await
    }

    async fn changes(&self, feed: &FeedId, since: Cursor, limit: usize) -> Result<FeedChanges> {
        self.inner.changes(feed, since, limit).await
    }

    async fn heads(&self, feeds: &[FeedId]) -> Result<Vec<Seq>> {
        self.inner.heads(feeds).await
    }

    async fn recent_heads(&self, seconds: u32) -> Result<Vec<(FeedId, Seq)>> {
        self.inner.recent_heads(seconds).await
    }

    async fn forget_old_activity(&self) -> Result<()> {
        self.inner.forget_old_activity().await
    }

    async fn snapshot(&self, user: &UserId, rooms: usize, mark_limit: u32) -> Result<Snapshot> {
        self.inner.snapshot(user, rooms, mark_limit).await
    }

    async fn rooms(&self, user: &UserId, limit: usize, skip: usize) -> Result<(Vec<RoomSummary>, bool)> {
        self.inner.rooms(user, limit, skip).await
    }

    async fn room(&self, user: &UserId, room: &RoomId, mark_limit: u32) -> Result<Option<RoomSummary>> {
        self.inner.room(user, room, mark_limit).await
    }

    async fn member(&self, room: &RoomId, user: &UserId) -> Result<Option<MemberRow>> {
        self.inner.member(room, user).await
    }

    async fn members(&self, room: &RoomId, after: &str, limit: usize) -> Result<(Vec<Member>, bool)> {
        self.inner.members(room, after, limit).await
    }

    async fn history(&self, room: &RoomId, before: Seq, limit: usize) -> Result<(Vec<Message>, bool)> {
        self.inner.history(room, before, limit).await
    }

    async fn search(
        &self,
        room: &RoomId,
        text: &str,
        before: Seq,
        limit: usize,
    ) -> Result<(Vec<Message>, bool)> {
        self.inner.search(room, text, before, limit).await
    }

    async fn message(&self, message: &MessageId) -> Result<Option<MessageRow>> {
        self.inner.message(message).await
    }

    async fn notifications(
        &self,
        user: &UserId,
        unread_only: bool,
        before: &str,
        limit: usize,
    ) -> Result<(Vec<Notification>, bool, u64)> {
        self.inner.notifications(user, unread_only, before, limit).await
    }

    async fn rooms_of(&self, users: &[UserId], max_members: u32) -> Result<Vec<Vec<RoomId>>> {
        self.inner.rooms_of(users, max_members).await
    }

    async fn acquainted(&self, user: &UserId, others: &[UserId]) -> Result<Vec<(UserId, i64)>> {
        self.inner.acquainted(user, others).await
    }

    async fn record_last_seen(&self, users: &[(UserId, i64)]) -> Result<()> {
        self.inner.record_last_seen(users).await
    }

    async fn ping(&self) -> Result<()> {
        self.inner.ping().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// A transaction that commits, and loses the answer.
struct LosingTransaction(Box<dyn Transaction>);

#[async_trait]
impl Transaction for LosingTransaction {
    async fn lock_room(&mut self, room: &RoomId) -> Result<Option<RoomRow>> {
        self.0.lock_room(room).await
    }

    async fn direct_room(&mut self, a: &UserId, b: &UserId) -> Result<Option<RoomId>> {
        self.0.direct_room(a, b).await
    }

    async fn room_by_key(&mut self, creator: &UserId, key: &str) -> Result<Option<RoomId>> {
        self.0.room_by_key(creator, key).await
    }

    async fn insert_room(
        &mut self,
        row: &RoomRow,
        pair: Option<(&UserId, &UserId)>,
        key: &str,
    ) -> Result<bool> {
        self.0.insert_room(row, pair, key).await
    }

    async fn update_room(&mut self, row: &RoomRow, first: Seq, checks: &[u32]) -> Result<()> {
        self.0.update_room(row, first, checks).await
    }

    async fn members(&mut self, room: &RoomId, users: &[UserId]) -> Result<Vec<MemberRow>> {
        self.0.members(room, users).await
    }

    async fn active_members(&mut self, room: &RoomId) -> Result<Vec<MemberRow>> {
        self.0.active_members(room).await
    }

    async fn put_members(&mut self, rows: &[MemberRow]) -> Result<()> {
        self.0.put_members(rows).await
    }

    async fn message(&mut self, message: &MessageId) -> Result<Option<MessageRow>> {
        self.0.message(message).await
    }

    async fn update_message(&mut self, row: &MessageRow) -> Result<()> {
        self.0.update_message(row).await
    }

    async fn message_at(
        &mut self,
        room: &RoomId,
        seq: Seq,
        user: &UserId,
    ) -> Result<Option<(Seq, u64, u64)>> {
        self.0.message_at(room, seq, user).await
    }

    async fn lock_users(&mut self, users: &[UserId]) -> Result<Vec<UserRow>> {
        self.0.lock_users(users).await
    }

    async fn update_user(&mut self, row: &UserRow, first: Seq, checks: &[u32]) -> Result<()> {
        self.0.update_user(row, first, checks).await
    }

    async fn notification(&mut self, user: &UserId, id: &str) -> Result<Option<NotificationRow>> {
        self.0.notification(user, id).await
    }

    async fn notification_by_key(&mut self, user: &UserId, key: &str) -> Result<Option<NotificationRow>> {
        self.0.notification_by_key(user, key).await
    }

    async fn unread_notifications(&mut self, user: &UserId, limit: usize) -> Result<Vec<NotificationRow>> {
        self.0.unread_notifications(user, limit).await
    }

    async fn put_notifications(&mut self, rows: &[NotificationRow]) -> Result<()> {
        self.0.put_notifications(rows).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.0.commit().await?;
        Err(error(Fault::Lost))
    }
}
