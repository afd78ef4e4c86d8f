//! Rows as ours: signed columns to unsigned numbers, numbers to names.

use proto::v1::{self, MessageType, Role, RoomKind};
use proto::{MessageId, RoomId, UserId};
use sqlx::postgres::PgRow;
use sqlx::{Decode, Postgres, Row, Type};

use super::super::{MemberRow, MessageRow, NotificationRow, Result, RoomRow, StoreError, UserRow};
use super::error::store_error;

/// For the database, which counts in signed 64 bits. Nothing is counted that far.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Columns by name.
pub(super) trait Columns {
    /// A column of any type.
    fn value<'r, T: Decode<'r, Postgres> + Type<Postgres>>(&'r self, name: &str) -> Result<T>;

    /// A seq, ordinal or count.
    fn count(&self, name: &str) -> Result<u64>;

    /// A check value.
    fn check(&self, name: &str) -> Result<u32>;

    /// A room's id.
    fn room(&self, name: &str) -> Result<RoomId>;

    /// A user's id.
    fn user(&self, name: &str) -> Result<UserId>;

    /// The number of an enum.
    fn variant<T: TryFrom<i32>>(&self, name: &str) -> Result<T>;
}

impl Columns for PgRow {
    fn value<'r, T: Decode<'r, Postgres> + Type<Postgres>>(&'r self, name: &str) -> Result<T> {
        self.try_get(name).map_err(store_error)
    }

    fn count(&self, name: &str) -> Result<u64> {
        u64::try_from(self.value::<i64>(name)?).map_err(|_| unexpected(name))
    }

    fn check(&self, name: &str) -> Result<u32> {
        u32::try_from(self.value::<i64>(name)?).map_err(|_| unexpected(name))
    }

    fn room(&self, name: &str) -> Result<RoomId> {
        RoomId::new(self.value(name)?).map_err(|_| unexpected(name))
    }

    fn user(&self, name: &str) -> Result<UserId> {
        UserId::new(self.value(name)?).map_err(|_| unexpected(name))
    }

    fn variant<T: TryFrom<i32>>(&self, name: &str) -> Result<T> {
        T::try_from(i32::from(self.value::<i16>(name)?)).map_err(|_| unexpected(name))
    }
}

/// A value that this version cannot have written.
pub(super) fn unexpected(column: &str) -> StoreError {
    StoreError::Fault(format!("unexpected value in column {column}").into())
}

/// A message, from the columns of `messages`.
pub(super) fn message(row: &PgRow) -> Result<v1::Message> {
    Ok(v1::Message {
        id: row.value("id")?,
        seq: row.count("seq")?,
        ordinal: row.count("ordinal")?,
        sender: row.value("sender")?,
        name: row.value("name")?,
        r#type: row.variant::<MessageType>("type")?.into(),
        text: row.value("text")?,
        data: row.value("data")?,
        time: row.value("sent_at")?,
        edited_at: row.value("edited_at")?,
        deleted_at: row.value("deleted_at")?,
        key: row.value("key")?,
    })
}

/// A message with its place, from the columns of `messages`.
pub(super) fn message_row(row: &PgRow) -> Result<MessageRow> {
    Ok(MessageRow {
        room: row.room("room")?,
        message: message(row)?,
        changed: row.count("changed")?,
        check: row.check("check_value")?,
    })
}

/// A message's id.
pub(super) fn message_id(id: &str) -> Result<MessageId> {
    MessageId::new(id).map_err(|_| unexpected("id"))
}

/// A room, from the columns of `rooms`.
pub(super) fn room_row(row: &PgRow) -> Result<RoomRow> {
    Ok(RoomRow {
        id: row.room("id")?,
        kind: row.variant::<RoomKind>("kind")?,
        name: row.value("name")?,
        created_at: row.value("created_at")?,
        created_by: row.user("created_by")?,
        deleted_at: row.value("deleted_at")?,
        members: u32::try_from(row.value::<i32>("members")?).map_err(|_| unexpected("members"))?,
        head: row.count("head")?,
        head_check: row.check("head_check")?,
        messages: row.count("messages")?,
        changed: row.count("changed")?,
        check: row.check("check_value")?,
    })
}

/// A member, from the columns of `members` and the user's name.
pub(super) fn member_row(row: &PgRow) -> Result<MemberRow> {
    Ok(MemberRow {
        room: row.room("room")?,
        user: row.user("user_id")?,
        name: row.value("name")?,
        role: row.variant::<Role>("role")?,
        active: row.value("active")?,
        sent: row.count("sent")?,
        read_seq: row.count("read_seq")?,
        read_ordinal: row.count("read_ordinal")?,
        read_sent: row.count("read_sent")?,
        changed: row.count("changed")?,
        check: row.check("check_value")?,
        user_changed: row.count("user_changed")?,
        user_check: row.check("user_check")?,
    })
}

/// A user, from the columns of `users`.
pub(super) fn user_row(row: &PgRow) -> Result<UserRow> {
    Ok(UserRow {
        id: row.user("id")?,
        name: row.value("name")?,
        head: row.count("head")?,
        head_check: row.check("head_check")?,
        revoked_before: row.value("revoked_before")?,
        revocation_changed: row.count("revocation_changed")?,
        last_seen: row.value("last_seen")?,
    })
}

/// A notification, from the columns of `notifications`.
pub(super) fn notification(row: &PgRow) -> Result<v1::Notification> {
    Ok(v1::Notification {
        id: row.value("id")?,
        r#type: row.value("type")?,
        data: row.value("data")?,
        time: row.value("created_at")?,
        read_at: row.value("read_at")?,
    })
}

/// A notification with its place, from the columns of `notifications`.
pub(super) fn notification_row(row: &PgRow) -> Result<NotificationRow> {
    Ok(NotificationRow {
        user: row.user("user_id")?,
        key: row.value("key")?,
        notification: notification(row)?,
        changed: row.count("changed")?,
        check: row.check("check_value")?,
    })
}
