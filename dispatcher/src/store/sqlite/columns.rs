//! Rows of the driver as rows of ours.

use proto::v1::{Message, MessageType, Notification, Role, RoomKind};
use proto::{MessageId, RoomId, Seq, UserId};
use sqlx::Row;
use sqlx::error::BoxDynError;
use sqlx::sqlite::SqliteRow;

use super::super::{MemberRow, MessageRow, NotificationRow, RoomRow, UserRow};

/// Result of the driver.
pub(super) type Result<T> = sqlx::Result<T>;

/// Bits of a place that hold the seq; above it is the room's number.
pub(super) const SEQ_BITS: u32 = 36;
/// No seq is above this one.
pub(super) const MAX_SEQ: Seq = (1 << SEQ_BITS) - 1;

/// The place of a change in the file.
pub(super) fn place(room: i64, seq: Seq) -> i64 {
    (room << SEQ_BITS) | seq.min(MAX_SEQ) as i64
}

/// Values of a row by the names of their columns.
pub(super) trait Columns {
    fn int(&self, column: &str) -> Result<i64>;
    fn text(&self, column: &str) -> Result<String>;

    /// A seq or a count.
    fn count(&self, column: &str) -> Result<u64> {
        Ok(self.int(column)? as u64)
    }

    /// A check value or a small count.
    fn small(&self, column: &str) -> Result<u32> {
        Ok(self.int(column)? as u32)
    }

    /// An id, or a number of an enum, checked when it was written.
    fn parsed<T>(&self, column: &str, value: std::result::Result<T, impl Into<BoxDynError>>) -> Result<T> {
        value.map_err(|source| sqlx::Error::ColumnDecode { index: column.to_owned(), source: source.into() })
    }

    fn user(&self, column: &str) -> Result<UserId> {
        self.parsed(column, UserId::new(&self.text(column)?))
    }

    fn room(&self, column: &str) -> Result<RoomId> {
        self.parsed(column, RoomId::new(&self.text(column)?))
    }

    fn role(&self) -> Result<Role> {
        self.parsed("role", Role::try_from(self.int("role")? as i32))
    }
}

impl Columns for SqliteRow {
    fn int(&self, column: &str) -> Result<i64> {
        self.try_get(column)
    }

    fn text(&self, column: &str) -> Result<String> {
        self.try_get(column)
    }
}

/// Out of `rooms.*`.
pub(super) fn room_row(row: &SqliteRow) -> Result<RoomRow> {
    Ok(RoomRow {
        id: row.room("id")?,
        kind: row.parsed("kind", RoomKind::try_from(row.int("kind")? as i32))?,
        name: row.text("name")?,
        created_at: row.int("created_at")?,
        created_by: row.user("created_by")?,
        deleted_at: row.int("deleted_at")?,
        members: row.small("members")?,
        head: row.count("head")?,
        head_check: row.small("head_check")?,
        messages: row.count("messages")?,
        changed: row.count("changed")?,
        check: row.small("check_value")?,
    })
}

/// Out of `members.*` and `users.name`.
pub(super) fn member_row(room: &RoomId, row: &SqliteRow) -> Result<MemberRow> {
    Ok(MemberRow {
        room: room.clone(),
        user: row.user("user_id")?,
        name: row.text("name")?,
        role: row.role()?,
        active: row.int("active")? != 0,
        sent: row.count("sent")?,
        read_seq: row.count("read_seq")?,
        read_ordinal: row.count("read_ordinal")?,
        read_sent: row.count("read_sent")?,
        changed: row.count("changed")?,
        check: row.small("check_value")?,
        user_changed: row.count("user_changed")?,
        user_check: row.small("user_check")?,
    })
}

/// Out of `users.*`.
pub(super) fn user_row(row: &SqliteRow) -> Result<UserRow> {
    Ok(UserRow {
        id: row.user("id")?,
        name: row.text("name")?,
        head: row.count("head")?,
        head_check: row.small("head_check")?,
        revoked_before: row.int("revoked_before")?,
        revocation_changed: row.count("revocation_changed")?,
        last_seen: row.int("last_seen")?,
    })
}

/// Out of `messages.*`.
pub(super) fn message(row: &SqliteRow) -> Result<Message> {
    let kind = row.parsed("type", MessageType::try_from(row.int("type")? as i32))?;
    Ok(Message {
        id: row.text("id")?,
        seq: row.count("seq")?,
        ordinal: row.count("ordinal")?,
        sender: row.text("sender")?,
        name: row.text("name")?,
        r#type: kind.into(),
        text: row.text("text")?,
        data: row.text("data")?,
        time: row.int("sent_at")?,
        edited_at: row.int("edited_at")?,
        deleted_at: row.int("deleted_at")?,
        key: row.text("key")?,
    })
}

/// Out of `messages.*`.
pub(super) fn message_row(room: RoomId, row: &SqliteRow) -> Result<MessageRow> {
    Ok(MessageRow {
        room,
        message: message(row)?,
        changed: row.count("changed")?,
        check: row.small("check_value")?,
    })
}

/// Out of `messages.*`.
pub(super) fn message_id(row: &SqliteRow) -> Result<MessageId> {
    row.parsed("id", MessageId::new(&row.text("id")?))
}

/// Out of `notifications.*`.
pub(super) fn notification(row: &SqliteRow) -> Result<Notification> {
    Ok(Notification {
        id: row.text("id")?,
        r#type: row.text("type")?,
        data: row.text("data")?,
        time: row.int("created_at")?,
        read_at: row.int("read_at")?,
    })
}

/// Out of `notifications.*`.
pub(super) fn notification_row(user: &UserId, row: &SqliteRow) -> Result<NotificationRow> {
    Ok(NotificationRow {
        user: user.clone(),
        key: row.text("key")?,
        notification: notification(row)?,
        changed: row.count("changed")?,
        check: row.small("check_value")?,
    })
}

/// One row more than `limit` was asked for: whether it was there.
pub(super) fn cut<T>(mut rows: Vec<T>, limit: usize) -> (Vec<T>, bool) {
    let more = rows.len() > limit;
    rows.truncate(limit);
    (rows, more)
}

/// A limit for the driver, with room for the row that says there is more.
pub(super) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// A list for `json_each`.
pub(super) fn json<T: serde::Serialize>(list: impl IntoIterator<Item = T>) -> String {
    let list: Vec<T> = list.into_iter().collect();
    serde_json::to_string(&list).expect("text and numbers are JSON")
}
