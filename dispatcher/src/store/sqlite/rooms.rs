//! Rooms as their members see them.

use std::collections::HashMap;

use proto::v1::{Member, ReadMark, RoomSummary, Snapshot};
use proto::{Cursor, RoomId, UserId};
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, SqlitePool};

use super::super::{MemberRow, RoomRow};
use super::columns::{Columns, Result, cut, json, member_row, message, one_more, room_row, user_row};
use super::user::newest_notifications;

/// Unread notifications in a snapshot.
const NOTIFICATIONS: usize = 50;

pub(super) async fn snapshot(
    view: &mut SqliteConnection,
    user: &UserId,
    limit: usize,
    mark_limit: u32,
) -> Result<Snapshot> {
    let own = sqlx::query("SELECT * FROM users WHERE id = ?1")
        .bind(user.as_str())
        .fetch_optional(&mut *view)
        .await?;
    let cursor = match own.as_ref().map(user_row).transpose()? {
        Some(row) => Cursor { seq: row.head, check: row.head_check },
        None => Cursor::START,
    };
    let (rooms, more) = rooms(view, user, limit, 0, Some(mark_limit)).await?;
    let (notifications, _) = newest_notifications(view, user, true, "", NOTIFICATIONS).await?;
    Ok(Snapshot { cursor: cursor.to_string(), rooms, notifications, more })
}

pub(super) async fn rooms(
    view: &mut SqliteConnection,
    user: &UserId,
    limit: usize,
    skip: usize,
    mark_limit: Option<u32>,
) -> Result<(Vec<RoomSummary>, bool)> {
    let rows = sqlx::query(include_str!("sql/rooms.sql"))
        .bind(user.as_str())
        .bind(one_more(limit))
        .bind(i64::try_from(skip).unwrap_or(i64::MAX))
        .fetch_all(&mut *view)
        .await?;
    let (rows, more) = cut(rows, limit);
    Ok((summaries(view, user, &rows, mark_limit).await?, more))
}

pub(super) async fn room(
    view: &mut SqliteConnection,
    user: &UserId,
    room: &RoomId,
    mark_limit: u32,
) -> Result<Option<RoomSummary>> {
    let rows = sqlx::query(include_str!("sql/room.sql"))
        .bind(user.as_str())
        .bind(room.as_str())
        .fetch_all(&mut *view)
        .await?;
    Ok(summaries(view, user, &rows, Some(mark_limit)).await?.pop())
}

/// Rooms out of `rooms.*` and the user's member row, with what lies in other
/// tables: the last message, and read marks for rooms that are small enough.
async fn summaries(
    view: &mut SqliteConnection,
    user: &UserId,
    rows: &[SqliteRow],
    mark_limit: Option<u32>,
) -> Result<Vec<RoomSummary>> {
    let mut rooms = Vec::with_capacity(rows.len());
    for row in rows {
        rooms.push((row.int("number")?, room_row(row)?, own_row(user, row)?));
    }
    let numbers = json(rooms.iter().map(|(number, ..)| number));
    let mut last = HashMap::new();
    for row in sqlx::query(include_str!("sql/last_messages.sql")).bind(numbers).fetch_all(&mut *view).await? {
        last.insert(row.int("room")?, message(&row)?);
    }
    let small = |room: &RoomRow| mark_limit.is_some_and(|limit| room.members <= limit);
    let mut marks: HashMap<i64, Vec<ReadMark>> = HashMap::new();
    if mark_limit.is_some() {
        let numbers = json(rooms.iter().filter(|(_, room, _)| small(room)).map(|(number, ..)| number));
        for row in sqlx::query(include_str!("sql/read_marks.sql")).bind(numbers).fetch_all(&mut *view).await?
        {
            let mark =
                ReadMark { user: row.text("user_id")?, seq: row.count("read_seq")?, time: 0, unread: None };
            marks.entry(row.int("room")?).or_default().push(mark);
        }
    }
    let summary = |(number, room, own): (i64, RoomRow, MemberRow)| RoomSummary {
        details: Some(room.details()),
        role: own.role.into(),
        unread: own.unread(room.messages),
        read_seq: own.read_seq,
        last_message: last.remove(&number),
        cursor: Cursor { seq: room.head, check: room.head_check }.to_string(),
        read_marks: marks.remove(&number).unwrap_or_default(),
    };
    Ok(rooms.into_iter().map(summary).collect())
}

/// The user's row as far as `rooms.sql` and `room.sql` answer with it.
fn own_row(user: &UserId, row: &SqliteRow) -> Result<MemberRow> {
    Ok(MemberRow {
        room: row.room("id")?,
        user: user.clone(),
        name: String::new(),
        role: row.role()?,
        active: true,
        sent: row.count("sent")?,
        read_seq: row.count("read_seq")?,
        read_ordinal: row.count("read_ordinal")?,
        read_sent: row.count("read_sent")?,
        changed: 0,
        check: 0,
        user_changed: 0,
        user_check: 0,
    })
}

pub(super) async fn member(pool: &SqlitePool, room: &RoomId, user: &UserId) -> Result<Option<MemberRow>> {
    let found = sqlx::query(include_str!("sql/member.sql"))
        .bind(room.as_str())
        .bind(user.as_str())
        .fetch_optional(pool)
        .await?;
    found.map(|row| member_row(room, &row)).transpose()
}

pub(super) async fn members(
    pool: &SqlitePool,
    room: &RoomId,
    after: &str,
    limit: usize,
) -> Result<(Vec<Member>, bool)> {
    let rows = sqlx::query(include_str!("sql/members.sql"))
        .bind(room.as_str())
        .bind(after)
        .bind(one_more(limit))
        .fetch_all(pool)
        .await?;
    let (rows, more) = cut(rows, limit);
    let member = |row: &SqliteRow| {
        let row = member_row(room, row)?;
        Ok(Member { user: (&row.user).into(), name: row.name, role: row.role.into(), active: row.active })
    };
    Ok((rows.iter().map(member).collect::<Result<_>>()?, more))
}
