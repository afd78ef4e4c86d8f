//! One command's transaction. READ COMMITTED: each statement sees what was
//! committed before it began, so that a look after a lock is fresh.

use std::collections::HashMap;

use async_trait::async_trait;
use proto::{MessageId, RoomId, Seq, UserId};
use sqlx::postgres::PgPool;

use super::super::{
    MemberRow, MessageRow, NotificationRow, Result, RoomRow, StoreError, Transaction, UserRow,
};
use super::connection::{Bound, Lease};
use super::rows::{self, Columns, signed};

/// An open transaction; dropped, it is rolled back.
pub(super) struct PgTransaction {
    lease: Lease,
}

impl PgTransaction {
    /// Begins.
    pub(super) async fn begin(pool: &PgPool) -> Result<Self> {
        let mut lease = Lease::take(pool).await?;
        lease.begin("BEGIN").await?;
        Ok(Self { lease })
    }

    async fn lock_those_there(&mut self, users: &[UserId]) -> Result<HashMap<UserId, UserRow>> {
        let ids: Vec<&str> = users.iter().map(UserId::as_str).collect();
        let query = sqlx::query(include_str!("sql/lock_users.sql")).bind(ids);
        let rows = self.lease.rows(query).await?;
        rows.iter().map(|row| rows::user_row(row).map(|user| (user.id.clone(), user))).collect()
    }

    async fn id(&mut self, query: Bound<'_>) -> Result<Option<RoomId>> {
        self.lease.row(query).await?.as_ref().map(|row| row.room("room")).transpose()
    }
}

fn pair<'a>(a: &'a UserId, b: &'a UserId) -> (&'a str, &'a str) {
    if a <= b { (a.as_str(), b.as_str()) } else { (b.as_str(), a.as_str()) }
}

/// Check values as the statements want them.
fn signed_checks(checks: &[u32]) -> Vec<i64> {
    checks.iter().map(|check| i64::from(*check)).collect()
}

#[async_trait]
impl Transaction for PgTransaction {
    async fn lock_room(&mut self, room: &RoomId) -> Result<Option<RoomRow>> {
        let query = sqlx::query("SELECT * FROM rooms WHERE id = $1 FOR NO KEY UPDATE").bind(room.as_str());
        self.lease.row(query).await?.as_ref().map(rows::room_row).transpose()
    }

    async fn direct_room(&mut self, a: &UserId, b: &UserId) -> Result<Option<RoomId>> {
        let (low, high) = pair(a, b);
        let sql = "SELECT room FROM direct_rooms WHERE low_user = $1 AND high_user = $2";
        self.id(sqlx::query(sql).bind(low).bind(high)).await
    }

    async fn room_by_key(&mut self, creator: &UserId, key: &str) -> Result<Option<RoomId>> {
        let sql = "SELECT room FROM room_keys WHERE creator = $1 AND key = $2";
        self.id(sqlx::query(sql).bind(creator.as_str()).bind(key)).await
    }

    async fn insert_room(
        &mut self,
        row: &RoomRow,
        of: Option<(&UserId, &UserId)>,
        key: &str,
    ) -> Result<bool> {
        // Each insert waits for a transaction that has inserted the same and not
        // ended. One that finds its place taken undoes those before it.
        self.lease.control("SAVEPOINT inserting").await?;
        let mut taken = false;
        if let Some((a, b)) = of {
            let (low, high) = pair(a, b);
            let sql = "INSERT INTO direct_rooms (low_user, high_user, room) VALUES ($1, $2, $3)
                       ON CONFLICT DO NOTHING";
            let query = sqlx::query(sql).bind(low).bind(high).bind(row.id.as_str());
            taken = self.lease.run(query).await? == 0;
        }
        if !taken && !key.is_empty() {
            let sql = "INSERT INTO room_keys (creator, key, room) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
            let query = sqlx::query(sql).bind(row.created_by.as_str()).bind(key).bind(row.id.as_str());
            taken = self.lease.run(query).await? == 0;
        }
        if !taken {
            let query = sqlx::query(include_str!("sql/insert_room.sql"))
                .bind(row.id.as_str())
                .bind(row.kind as i16)
                .bind(row.name.as_str())
                .bind(row.created_at)
                .bind(row.created_by.as_str())
                .bind(row.deleted_at)
                .bind(member_count(row)?)
                .bind(signed(row.head))
                .bind(i64::from(row.head_check))
                .bind(signed(row.messages))
                .bind(signed(row.changed))
                .bind(i64::from(row.check));
            taken = self.lease.run(query).await? == 0;
        }
        let end = if taken { "ROLLBACK TO SAVEPOINT inserting" } else { "RELEASE SAVEPOINT inserting" };
        self.lease.control(end).await?;
        Ok(!taken)
    }

    async fn update_room(&mut self, row: &RoomRow, first: Seq, checks: &[u32]) -> Result<()> {
        let query = sqlx::query(include_str!("sql/update_room.sql"))
            .bind(row.id.as_str())
            .bind(row.name.as_str())
            .bind(row.deleted_at)
            .bind(member_count(row)?)
            .bind(signed(row.head))
            .bind(i64::from(row.head_check))
            .bind(signed(row.messages))
            .bind(signed(row.changed))
            .bind(i64::from(row.check))
            .bind(signed(first))
            .bind(signed_checks(checks));
        self.lease.run(query).await.map(drop)
    }

    async fn members(&mut self, room: &RoomId, users: &[UserId]) -> Result<Vec<MemberRow>> {
        let sql = concat!(
            include_str!("sql/members.sql"),
            "WHERE members.room = $1 AND members.user_id = ANY ($2) ORDER BY members.user_id"
        );
        let ids: Vec<&str> = users.iter().map(UserId::as_str).collect();
        let rows = self.lease.rows(sqlx::query(sql).bind(room.as_str()).bind(ids)).await?;
        rows.iter().map(rows::member_row).collect()
    }

    async fn active_members(&mut self, room: &RoomId) -> Result<Vec<MemberRow>> {
        let sql = concat!(
            include_str!("sql/members.sql"),
            "WHERE members.room = $1 AND members.active ORDER BY members.user_id"
        );
        let rows = self.lease.rows(sqlx::query(sql).bind(room.as_str())).await?;
        rows.iter().map(rows::member_row).collect()
    }

    async fn put_members(&mut self, members: &[MemberRow]) -> Result<()> {
        if members.is_empty() {
            return Ok(());
        }
        macro_rules! column {
            ($row:ident => $value:expr) => {
                members.iter().map(|$row| $value).collect::<Vec<_>>()
            };
        }
        let query = sqlx::query(include_str!("sql/put_members.sql"))
            .bind(column!(row => row.room.as_str()))
            .bind(column!(row => row.user.as_str()))
            .bind(column!(row => row.role as i16))
            .bind(column!(row => row.active))
            .bind(column!(row => signed(row.read_seq)))
            .bind(column!(row => signed(row.read_ordinal)))
            .bind(column!(row => signed(row.read_sent)))
            .bind(column!(row => signed(row.changed)))
            .bind(column!(row => i64::from(row.check)))
            .bind(column!(row => signed(row.user_changed)))
            .bind(column!(row => i64::from(row.user_check)));
        self.lease.run(query).await.map(drop)
    }

    async fn message(&mut self, message: &MessageId) -> Result<Option<MessageRow>> {
        let query = sqlx::query(include_str!("sql/message.sql")).bind(message.as_str());
        self.lease.row(query).await?.as_ref().map(rows::message_row).transpose()
    }

    async fn update_message(&mut self, row: &MessageRow) -> Result<()> {
        let message = &row.message;
        let query = sqlx::query(include_str!("sql/update_message.sql"))
            .bind(row.room.as_str())
            .bind(signed(message.seq))
            .bind(message.text.as_str())
            .bind(message.data.as_str())
            .bind(message.edited_at)
            .bind(message.deleted_at)
            .bind(signed(row.changed))
            .bind(i64::from(row.check));
        self.lease.run(query).await.map(drop)
    }

    async fn message_at(
        &mut self,
        room: &RoomId,
        seq: Seq,
        user: &UserId,
    ) -> Result<Option<(Seq, u64, u64)>> {
        let up_to = if seq == 0 { i64::MAX } else { signed(seq) };
        let query = sqlx::query(include_str!("sql/message_at.sql"))
            .bind(room.as_str())
            .bind(up_to)
            .bind(user.as_str());
        let Some(row) = self.lease.row(query).await? else { return Ok(None) };
        Ok(Some((row.count("seq")?, row.count("ordinal")?, row.count("sent")?)))
    }

    async fn lock_users(&mut self, users: &[UserId]) -> Result<Vec<UserRow>> {
        let mut found = self.lock_those_there(users).await?;
        let mut missing: Vec<&str> =
            users.iter().filter(|user| !found.contains_key(*user)).map(UserId::as_str).collect();
        if !missing.is_empty() {
            missing.sort_unstable();
            missing.dedup();
            let names = vec![""; missing.len()];
            let query = sqlx::query(include_str!("sql/see_users.sql")).bind(missing).bind(names);
            self.lease.run(query).await?;
            found = self.lock_those_there(users).await?;
        }
        let in_order = users
            .iter()
            .map(|user| found.get(user).cloned().ok_or_else(|| StoreError::Fault("a user is gone".into())));
        in_order.collect()
    }

    async fn update_user(&mut self, row: &UserRow, first: Seq, checks: &[u32]) -> Result<()> {
        let query = sqlx::query(include_str!("sql/update_user.sql"))
            .bind(row.id.as_str())
            .bind(signed(row.head))
            .bind(i64::from(row.head_check))
            .bind(row.revoked_before)
            .bind(signed(row.revocation_changed))
            .bind(signed(first))
            .bind(signed_checks(checks));
        self.lease.run(query).await.map(drop)
    }

    async fn notification(&mut self, user: &UserId, id: &str) -> Result<Option<NotificationRow>> {
        let sql = "SELECT * FROM notifications WHERE user_id = $1 AND id = $2";
        let row = self.lease.row(sqlx::query(sql).bind(user.as_str()).bind(id)).await?;
        row.as_ref().map(rows::notification_row).transpose()
    }

    async fn notification_by_key(&mut self, user: &UserId, key: &str) -> Result<Option<NotificationRow>> {
        // The last condition lets the planner use the index of keys.
        let sql = "SELECT * FROM notifications WHERE user_id = $1 AND key = $2 AND key <> ''";
        let row = self.lease.row(sqlx::query(sql).bind(user.as_str()).bind(key)).await?;
        row.as_ref().map(rows::notification_row).transpose()
    }

    async fn unread_notifications(&mut self, user: &UserId, limit: usize) -> Result<Vec<NotificationRow>> {
        let sql = "SELECT * FROM notifications WHERE user_id = $1 AND read_at = 0
                   ORDER BY created_at, id LIMIT $2";
        let rows = self.lease.rows(sqlx::query(sql).bind(user.as_str()).bind(signed(limit as u64))).await?;
        rows.iter().map(rows::notification_row).collect()
    }

    async fn put_notifications(&mut self, rows: &[NotificationRow]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        macro_rules! column {
            ($row:ident => $value:expr) => {
                rows.iter().map(|$row| $value).collect::<Vec<_>>()
            };
        }
        let query = sqlx::query(include_str!("sql/put_notifications.sql"))
            .bind(column!(row => row.user.as_str()))
            .bind(column!(row => row.notification.id.as_str()))
            .bind(column!(row => row.key.as_str()))
            .bind(column!(row => row.notification.r#type.as_str()))
            .bind(column!(row => row.notification.data.as_str()))
            .bind(column!(row => row.notification.time))
            .bind(column!(row => row.notification.read_at))
            .bind(column!(row => signed(row.changed)))
            .bind(column!(row => i64::from(row.check)));
        self.lease.run(query).await.map(drop)
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        self.lease.commit().await
    }
}

fn member_count(row: &RoomRow) -> Result<i32> {
    i32::try_from(row.members).map_err(|_| rows::unexpected("members"))
}
