//! One command's reads and writes. The file's lock is held from the beginning:
//! whatever a command reads, nobody else changes before it ends.

use async_trait::async_trait;
use proto::{MessageId, RoomId, Seq, UserId};
use sqlx::SqliteConnection;

use super::super::{
    MemberRow, MessageRow, NotificationRow, Result, RoomRow, StoreError, Transaction, UserRow,
};
use super::columns::{self, Columns, MAX_SEQ, json, member_row, notification_row, place, room_row, user_row};
use super::error::store_error;
use super::{Tx, message};

/// Ends without a trace unless it is committed.
pub(super) struct SqliteTransaction {
    tx: Tx,
}

impl SqliteTransaction {
    pub(super) fn new(tx: Tx) -> Self {
        Self { tx }
    }

    async fn note(&mut self, statement: &'static str, feed: &str) -> columns::Result<()> {
        sqlx::query(statement).bind(json([feed])).execute(&mut *self.tx).await?;
        Ok(())
    }
}

/// The number of a room that is there.
async fn number(tx: &mut SqliteConnection, room: &RoomId) -> columns::Result<i64> {
    let row = sqlx::query("SELECT number FROM rooms WHERE id = ?1").bind(room.as_str()).fetch_one(tx).await?;
    row.int("number")
}

/// The lower id first.
fn pair<'a>(a: &'a UserId, b: &'a UserId) -> (&'a str, &'a str) {
    if a < b { (a.as_str(), b.as_str()) } else { (b.as_str(), a.as_str()) }
}

#[async_trait]
impl Transaction for SqliteTransaction {
    async fn lock_room(&mut self, room: &RoomId) -> Result<Option<RoomRow>> {
        let row = sqlx::query("SELECT * FROM rooms WHERE id = ?1").bind(room.as_str());
        let found = row.fetch_optional(&mut *self.tx).await.map_err(store_error)?;
        found.as_ref().map(room_row).transpose().map_err(store_error)
    }

    async fn direct_room(&mut self, a: &UserId, b: &UserId) -> Result<Option<RoomId>> {
        let (low, high) = pair(a, b);
        let row = sqlx::query(include_str!("sql/direct_room.sql")).bind(low).bind(high);
        let found = row.fetch_optional(&mut *self.tx).await.map_err(store_error)?;
        found.map(|row| row.room("id")).transpose().map_err(store_error)
    }

    async fn room_by_key(&mut self, creator: &UserId, key: &str) -> Result<Option<RoomId>> {
        let row = sqlx::query(include_str!("sql/room_by_key.sql")).bind(creator.as_str()).bind(key);
        let found = row.fetch_optional(&mut *self.tx).await.map_err(store_error)?;
        found.map(|row| row.room("id")).transpose().map_err(store_error)
    }

    async fn insert_room(
        &mut self,
        row: &RoomRow,
        users: Option<(&UserId, &UserId)>,
        key: &str,
    ) -> Result<bool> {
        let users = users.map(|(a, b)| pair(a, b));
        insert_room(&mut self.tx, row, users, key).await.map_err(store_error)
    }

    async fn update_room(&mut self, row: &RoomRow, first: Seq, checks: &[u32]) -> Result<()> {
        if row.head > MAX_SEQ {
            return Err(StoreError::Fault("a room's feed is full".into()));
        }
        update_room(&mut self.tx, row, first, checks).await.map_err(store_error)?;
        self.note(include_str!("sql/note_rooms.sql"), row.id.as_str()).await.map_err(store_error)
    }

    async fn members(&mut self, room: &RoomId, users: &[UserId]) -> Result<Vec<MemberRow>> {
        let rows = sqlx::query(include_str!("sql/members_named.sql"))
            .bind(room.as_str())
            .bind(json(users.iter().map(UserId::as_str)))
            .fetch_all(&mut *self.tx)
            .await
            .map_err(store_error)?;
        rows.iter().map(|row| member_row(room, row)).collect::<columns::Result<_>>().map_err(store_error)
    }

    async fn active_members(&mut self, room: &RoomId) -> Result<Vec<MemberRow>> {
        let rows = sqlx::query(include_str!("sql/members.sql"))
            .bind(room.as_str())
            .bind("")
            .bind(-1)
            .fetch_all(&mut *self.tx)
            .await
            .map_err(store_error)?;
        rows.iter().map(|row| member_row(room, row)).collect::<columns::Result<_>>().map_err(store_error)
    }

    async fn put_members(&mut self, rows: &[MemberRow]) -> Result<()> {
        let rows = json(rows.iter().map(|row| {
            (
                row.room.as_str(),
                row.user.as_str(),
                row.role as i32,
                i64::from(row.active),
                row.read_seq,
                row.read_ordinal,
                row.read_sent,
                row.changed,
                row.check,
                row.user_changed,
                row.user_check,
            )
        }));
        let put = sqlx::query(include_str!("sql/put_members.sql")).bind(rows).execute(&mut *self.tx).await;
        put.map(drop).map_err(store_error)
    }

    async fn message(&mut self, id: &MessageId) -> Result<Option<MessageRow>> {
        message::message(&mut self.tx, id).await.map_err(store_error)
    }

    async fn update_message(&mut self, row: &MessageRow) -> Result<()> {
        let written = sqlx::query(include_str!("sql/update_message.sql"))
            .bind(&row.message.id)
            .bind(&row.message.text)
            .bind(&row.message.data)
            .bind(row.message.edited_at)
            .bind(row.message.deleted_at)
            .bind(row.changed as i64)
            .bind(row.check)
            .execute(&mut *self.tx)
            .await;
        written.map(drop).map_err(store_error)
    }

    async fn message_at(
        &mut self,
        room: &RoomId,
        seq: Seq,
        user: &UserId,
    ) -> Result<Option<(Seq, u64, u64)>> {
        let seq = if seq == 0 { MAX_SEQ } else { seq.min(MAX_SEQ) };
        let row = sqlx::query(include_str!("sql/message_at.sql"))
            .bind(room.as_str())
            .bind(seq as i64)
            .bind(user.as_str())
            .fetch_optional(&mut *self.tx)
            .await
            .map_err(store_error)?;
        row.map(|row| Ok((row.count("seq")?, row.count("ordinal")?, row.count("sent")?)))
            .transpose()
            .map_err(store_error)
    }

    async fn lock_users(&mut self, users: &[UserId]) -> Result<Vec<UserRow>> {
        lock_users(&mut self.tx, users).await.map_err(store_error)
    }

    async fn update_user(&mut self, row: &UserRow, first: Seq, checks: &[u32]) -> Result<()> {
        update_user(&mut self.tx, row, first, checks).await.map_err(store_error)?;
        self.note(include_str!("sql/note_users.sql"), row.id.as_str()).await.map_err(store_error)
    }

    async fn notification(&mut self, user: &UserId, id: &str) -> Result<Option<NotificationRow>> {
        let row = sqlx::query("SELECT * FROM notifications WHERE user_id = ?1 AND id = ?2");
        let found =
            row.bind(user.as_str()).bind(id).fetch_optional(&mut *self.tx).await.map_err(store_error)?;
        found.map(|row| notification_row(user, &row)).transpose().map_err(store_error)
    }

    async fn notification_by_key(&mut self, user: &UserId, key: &str) -> Result<Option<NotificationRow>> {
        // `key <> ''` lets the partial index serve, and no key finds nothing.
        let row = sqlx::query("SELECT * FROM notifications WHERE user_id = ?1 AND key = ?2 AND key <> ''");
        let found =
            row.bind(user.as_str()).bind(key).fetch_optional(&mut *self.tx).await.map_err(store_error)?;
        found.map(|row| notification_row(user, &row)).transpose().map_err(store_error)
    }

    async fn unread_notifications(&mut self, user: &UserId, limit: usize) -> Result<Vec<NotificationRow>> {
        let rows = sqlx::query(include_str!("sql/notifications_oldest.sql"))
            .bind(user.as_str())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&mut *self.tx)
            .await
            .map_err(store_error)?;
        rows.iter()
            .map(|row| notification_row(user, row))
            .collect::<columns::Result<_>>()
            .map_err(store_error)
    }

    async fn put_notifications(&mut self, rows: &[NotificationRow]) -> Result<()> {
        let rows = json(rows.iter().map(|row| {
            let notification = &row.notification;
            (
                row.user.as_str(),
                &notification.id,
                &row.key,
                &notification.r#type,
                &notification.data,
                notification.time,
                notification.read_at,
                row.changed,
                row.check,
            )
        }));
        let put =
            sqlx::query(include_str!("sql/put_notifications.sql")).bind(rows).execute(&mut *self.tx).await;
        put.map(drop).map_err(store_error)
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.tx.commit().await.map_err(store_error)
    }
}

async fn insert_room(
    tx: &mut SqliteConnection,
    row: &RoomRow,
    users: Option<(&str, &str)>,
    key: &str,
) -> columns::Result<bool> {
    let taken = sqlx::query(include_str!("sql/room_taken.sql"))
        .bind(row.id.as_str())
        .bind(users.map(|(low, _)| low))
        .bind(users.map(|(_, high)| high))
        .bind(row.created_by.as_str())
        .bind(key)
        .fetch_one(&mut *tx)
        .await?;
    if taken.int("taken")? != 0 {
        return Ok(false);
    }
    sqlx::query(include_str!("sql/insert_room.sql"))
        .bind(row.id.as_str())
        .bind(row.kind as i32)
        .bind(&row.name)
        .bind(row.created_at)
        .bind(row.created_by.as_str())
        .bind(row.deleted_at)
        .bind(row.members)
        .bind(row.head as i64)
        .bind(row.head_check)
        .bind(row.messages as i64)
        .bind(row.changed as i64)
        .bind(row.check)
        .execute(&mut *tx)
        .await?;
    let room = number(tx, &row.id).await?;
    if let Some((low, high)) = users {
        sqlx::query("INSERT INTO direct_rooms (low_user, high_user, room) VALUES (?1, ?2, ?3)")
            .bind(low)
            .bind(high)
            .bind(room)
            .execute(&mut *tx)
            .await?;
    }
    if !key.is_empty() {
        sqlx::query("INSERT INTO room_keys (creator, key, room) VALUES (?1, ?2, ?3)")
            .bind(row.created_by.as_str())
            .bind(key)
            .bind(room)
            .execute(&mut *tx)
            .await?;
    }
    Ok(true)
}

async fn update_room(
    tx: &mut SqliteConnection,
    row: &RoomRow,
    first: Seq,
    checks: &[u32],
) -> columns::Result<()> {
    let room = number(tx, &row.id).await?;
    sqlx::query(include_str!("sql/update_room.sql"))
        .bind(room)
        .bind(&row.name)
        .bind(row.deleted_at)
        .bind(row.members)
        .bind(row.head as i64)
        .bind(row.head_check)
        .bind(row.messages as i64)
        .bind(row.changed as i64)
        .bind(row.check)
        .execute(&mut *tx)
        .await?;
    let checks = json(checks.iter().zip(first..).map(|(check, seq)| (place(room, seq), check)));
    sqlx::query(include_str!("sql/note_room_changes.sql")).bind(checks).execute(&mut *tx).await?;
    Ok(())
}

async fn lock_users(tx: &mut SqliteConnection, users: &[UserId]) -> columns::Result<Vec<UserRow>> {
    let list = json(users.iter().map(UserId::as_str));
    sqlx::query("INSERT OR IGNORE INTO users (id, name) SELECT value, '' FROM json_each(?1)")
        .bind(&list)
        .execute(&mut *tx)
        .await?;
    let rows = sqlx::query(include_str!("sql/users.sql")).bind(list).fetch_all(tx).await?;
    rows.iter().map(user_row).collect()
}

async fn update_user(
    tx: &mut SqliteConnection,
    row: &UserRow,
    first: Seq,
    checks: &[u32],
) -> columns::Result<()> {
    sqlx::query(include_str!("sql/update_user.sql"))
        .bind(row.id.as_str())
        .bind(row.head as i64)
        .bind(row.head_check)
        .bind(row.revoked_before)
        .bind(row.revocation_changed as i64)
        .execute(&mut *tx)
        .await?;
    let checks = json(checks.iter().zip(first..).map(|(check, seq)| (row.id.as_str(), seq, check)));
    sqlx::query(include_str!("sql/note_user_changes.sql")).bind(checks).execute(&mut *tx).await?;
    Ok(())
}
