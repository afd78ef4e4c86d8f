//! Reads for people: lists, pages, search, the first screen.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use proto::v1::{self, MessageType, ReadMark, Role, RoomKind, RoomSummary, Snapshot};
use proto::{Cursor, MessageId, RoomId, Seq, UserId};
use sqlx::postgres::{PgPool, PgRow};

use super::super::{MemberRow, MessageRow, Result, StoreError};
use super::connection::Lease;
use super::rows::{self, Columns, signed};

/// Several statements that see one state of the store.
const ONE_VIEW: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Unread notifications in a snapshot.
const SNAPSHOT_NOTIFICATIONS: usize = 50;

const ROOMS: &str = concat!(include_str!("sql/rooms_of_user.sql"), include_str!("sql/summaries.sql"));
const ONE_ROOM: &str = concat!(include_str!("sql/one_room_of_user.sql"), include_str!("sql/summaries.sql"));
const NOTIFICATIONS: &str =
    concat!(include_str!("sql/notifications.sql"), include_str!("sql/notifications_order.sql"));
const UNREAD_NOTIFICATIONS: &str = concat!(
    include_str!("sql/notifications.sql"),
    "      AND read_at = 0\n",
    include_str!("sql/notifications_order.sql")
);

/// A limit as the statements want it, with one more row to tell whether there are more.
fn one_more(limit: usize) -> i64 {
    signed(limit as u64 + 1)
}

/// Cuts to the limit; whether there was more.
fn cut<T>(rows: &mut Vec<T>, limit: usize) -> bool {
    let more = rows.len() > limit;
    rows.truncate(limit);
    more
}

/// An upper bound of a seq: 0 stands for none.
fn below(before: Seq) -> i64 {
    if before == 0 { i64::MAX } else { signed(before) }
}

/// The first screen.
pub(super) async fn snapshot(
    pool: &PgPool,
    user: &UserId,
    limit: usize,
    mark_limit: u32,
) -> Result<Snapshot> {
    let mut lease = Lease::take(pool).await?;
    lease.begin(ONE_VIEW).await?;
    let head = sqlx::query("SELECT head, head_check FROM users WHERE id = $1").bind(user.as_str());
    let head = lease.row(head).await?;
    let (rooms, more) = summaries(&mut lease, user, limit, 0, Some(mark_limit)).await?;
    let (notifications, ..) = notification_page(&mut lease, user, true, "", SNAPSHOT_NOTIFICATIONS).await?;
    lease.commit().await?;
    let cursor = match head {
        Some(row) => Cursor { seq: row.count("head")?, check: row.check("head_check")? },
        None => Cursor::START,
    };
    Ok(Snapshot { cursor: cursor.to_string(), rooms, notifications, more })
}

/// The user's rooms, without read marks.
pub(super) async fn rooms(
    pool: &PgPool,
    user: &UserId,
    limit: usize,
    skip: usize,
) -> Result<(Vec<RoomSummary>, bool)> {
    summaries(&mut Lease::take(pool).await?, user, limit, skip, None).await
}

async fn summaries(
    lease: &mut Lease,
    user: &UserId,
    limit: usize,
    skip: usize,
    mark_limit: Option<u32>,
) -> Result<(Vec<RoomSummary>, bool)> {
    let query = sqlx::query(ROOMS)
        .bind(user.as_str())
        .bind(one_more(limit))
        .bind(signed(skip as u64))
        .bind(most_members(mark_limit));
    let mut rooms = lease.rows(query).await?.iter().map(summary).collect::<Result<Vec<_>>>()?;
    let more = cut(&mut rooms, limit);
    Ok((rooms, more))
}

/// Of rooms whose read marks are wanted; -1: of none.
fn most_members(mark_limit: Option<u32>) -> i64 {
    mark_limit.map_or(-1, i64::from)
}

/// One room as its active member sees it.
pub(super) async fn room(
    pool: &PgPool,
    user: &UserId,
    room: &RoomId,
    mark_limit: u32,
) -> Result<Option<RoomSummary>> {
    let query = sqlx::query(ONE_ROOM)
        .bind(user.as_str())
        .bind(room.as_str())
        .bind(1i64)
        .bind(most_members(Some(mark_limit)));
    Lease::take(pool).await?.row(query).await?.as_ref().map(summary).transpose()
}

fn summary(row: &PgRow) -> Result<RoomSummary> {
    let cursor = Cursor { seq: row.count("head")?, check: row.check("head_check")? };
    let users = row.value::<Option<Vec<String>>>("mark_users")?.unwrap_or_default();
    let seqs = row.value::<Option<Vec<i64>>>("mark_seqs")?.unwrap_or_default();
    let marks = users.into_iter().zip(seqs);
    let members = row.value::<i32>("members")?;
    Ok(RoomSummary {
        details: Some(v1::Details {
            id: row.value("id")?,
            kind: row.variant::<RoomKind>("kind")?.into(),
            name: row.value("name")?,
            created_at: row.value("created_at")?,
            created_by: row.value("created_by")?,
            members: u32::try_from(members).map_err(|_| rows::unexpected("members"))?,
            deleted_at: row.value("deleted_at")?,
        }),
        role: row.variant::<Role>("role")?.into(),
        unread: row.count("unread")?,
        read_seq: row.count("read_seq")?,
        last_message: last_message(row)?,
        cursor: cursor.to_string(),
        read_marks: marks
            .map(|(user, seq)| ReadMark { user, seq: seq.unsigned_abs(), time: 0, unread: None })
            .collect(),
    })
}

fn last_message(row: &PgRow) -> Result<Option<v1::Message>> {
    let Some(id) = row.value::<Option<String>>("last_id")? else { return Ok(None) };
    Ok(Some(v1::Message {
        id,
        seq: row.count("last_seq")?,
        ordinal: row.count("last_ordinal")?,
        sender: row.value("last_sender")?,
        name: row.value("last_name")?,
        r#type: row.variant::<MessageType>("last_type")?.into(),
        text: row.value("last_text")?,
        data: row.value("last_data")?,
        time: row.value("last_sent_at")?,
        edited_at: row.value("last_edited_at")?,
        deleted_at: row.value("last_deleted_at")?,
        key: row.value("last_key")?,
    }))
}

/// A member's row.
pub(super) async fn member(pool: &PgPool, room: &RoomId, user: &UserId) -> Result<Option<MemberRow>> {
    let sql = concat!(
        include_str!("sql/members.sql"),
        "JOIN rooms ON rooms.id = members.room AND rooms.deleted_at = 0\n",
        "WHERE members.room = $1 AND members.user_id = $2"
    );
    let query = sqlx::query(sql).bind(room.as_str()).bind(user.as_str());
    Lease::take(pool).await?.row(query).await?.as_ref().map(rows::member_row).transpose()
}

/// A page of active members.
pub(super) async fn members(
    pool: &PgPool,
    room: &RoomId,
    after: &str,
    limit: usize,
) -> Result<(Vec<v1::Member>, bool)> {
    let sql = concat!(
        include_str!("sql/members.sql"),
        "WHERE members.room = $1 AND members.user_id > $2 AND members.active ORDER BY members.user_id LIMIT $3"
    );
    let query = sqlx::query(sql).bind(room.as_str()).bind(after).bind(one_more(limit));
    let rows = Lease::take(pool).await?.rows(query).await?;
    let members = rows.iter().map(|row| {
        Ok(v1::Member {
            user: row.value("user_id")?,
            name: row.value("name")?,
            role: row.variant::<Role>("role")?.into(),
            active: row.value("active")?,
        })
    });
    let mut members = members.collect::<Result<Vec<_>>>()?;
    let more = cut(&mut members, limit);
    Ok((members, more))
}

/// A page of messages, oldest first.
pub(super) async fn history(
    pool: &PgPool,
    room: &RoomId,
    before: Seq,
    limit: usize,
) -> Result<(Vec<v1::Message>, bool)> {
    let query = sqlx::query(include_str!("sql/history.sql"))
        .bind(room.as_str())
        .bind(below(before))
        .bind(one_more(limit));
    let rows = Lease::take(pool).await?.rows(query).await?;
    let mut messages = rows.iter().map(rows::message).collect::<Result<Vec<_>>>()?;
    let more = cut(&mut messages, limit);
    messages.reverse();
    Ok((messages, more))
}

/// Seqs looked at by the first statement of a search, and by any.
const SLICE: (i64, i64) = (500, 50_000);
/// A statement faster than the first is followed by one over twice as many
/// seqs, slower than the second by one over half of them.
const PACE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(400));

/// Messages with all words of a text, newest first.
///
/// Not through an index: one of words would take a third of the speed at which
/// messages are written (measured), and each room is searched by itself. The
/// room is read downwards in slices instead, so that no statement is long. What
/// is found in a slice is of one view; messages do not move between slices.
pub(super) async fn search(
    pool: &PgPool,
    room: &RoomId,
    text: &str,
    before: Seq,
    limit: usize,
) -> Result<(Vec<v1::Message>, bool)> {
    let mut lease = Lease::take(pool).await?;
    let terms = sqlx::query(include_str!("sql/search_terms.sql")).bind(room.as_str()).bind(text);
    let Some(terms) = lease.row(terms).await? else { return Ok((Vec::new(), false)) };
    let words: Vec<String> = terms.value("words")?;
    if words.is_empty() {
        return Ok((Vec::new(), false));
    }
    let patterns: Vec<String> = words.iter().map(|word| format!("%{word}%")).collect();
    let mut found = Vec::new();
    let mut top = below(before).min(terms.value::<i64>("head")?.saturating_add(1));
    let mut slice = SLICE.0;
    while top > 1 && found.len() <= limit {
        let bottom = top.saturating_sub(slice).max(1);
        let began = Instant::now();
        let query = sqlx::query(include_str!("sql/search.sql"))
            .bind(room.as_str())
            .bind(bottom)
            .bind(top)
            .bind(&words)
            .bind(&patterns)
            .bind(one_more(limit - found.len()));
        let rows = match lease.rows(query).await {
            Ok(rows) => rows,
            // Too much text for one statement's time: smaller steps. If it was
            // not that, the next one fails as well.
            Err(StoreError::Unavailable(_)) if slice > SLICE.0 => {
                slice = SLICE.0;
                continue;
            }
            Err(error) => return Err(error),
        };
        for row in &rows {
            found.push(rows::message(row)?);
        }
        let took = began.elapsed();
        if took < PACE.0 {
            slice = (slice * 2).min(SLICE.1);
        } else if took > PACE.1 {
            slice = (slice / 2).max(1);
        }
        top = bottom;
    }
    let more = cut(&mut found, limit);
    Ok((found, more))
}

/// A message by its id.
pub(super) async fn message(pool: &PgPool, message: &MessageId) -> Result<Option<MessageRow>> {
    let query = sqlx::query(include_str!("sql/message.sql")).bind(message.as_str());
    Lease::take(pool).await?.row(query).await?.as_ref().map(rows::message_row).transpose()
}

/// A page of notifications.
pub(super) async fn notifications(
    pool: &PgPool,
    user: &UserId,
    unread_only: bool,
    before: &str,
    limit: usize,
) -> Result<(Vec<v1::Notification>, bool, u64)> {
    notification_page(&mut Lease::take(pool).await?, user, unread_only, before, limit).await
}

async fn notification_page(
    lease: &mut Lease,
    user: &UserId,
    unread_only: bool,
    before: &str,
    limit: usize,
) -> Result<(Vec<v1::Notification>, bool, u64)> {
    let sql = if unread_only { UNREAD_NOTIFICATIONS } else { NOTIFICATIONS };
    let query = sqlx::query(sql).bind(user.as_str()).bind(before).bind(one_more(limit));
    let rows = lease.rows(query).await?;
    let unread = rows.first().map_or(Ok(0), |row| row.count("unread"))?;
    let mut page = Vec::with_capacity(rows.len());
    for row in &rows {
        if row.value::<Option<&str>>("id")?.is_some() {
            page.push(rows::notification(row)?);
        }
    }
    let more = cut(&mut page, limit);
    Ok((page, more, unread))
}

/// For each user the rooms that are small enough.
pub(super) async fn rooms_of(pool: &PgPool, users: &[UserId], max_members: u32) -> Result<Vec<Vec<RoomId>>> {
    let mut rooms = vec![Vec::new(); users.len()];
    if users.is_empty() {
        return Ok(rooms);
    }
    let ids: Vec<&str> = users.iter().map(UserId::as_str).collect();
    let query = sqlx::query(include_str!("sql/rooms_of.sql")).bind(ids).bind(i64::from(max_members));
    for row in Lease::take(pool).await?.rows(query).await? {
        let place = usize::try_from(row.count("n")?).ok().and_then(|n| n.checked_sub(1));
        let of = place.and_then(|place| rooms.get_mut(place)).ok_or_else(|| rows::unexpected("n"))?;
        of.push(row.room("id")?);
    }
    Ok(rooms)
}

/// Those of `others` who share a room with the user.
pub(super) async fn acquainted(
    pool: &PgPool,
    user: &UserId,
    others: &[UserId],
) -> Result<Vec<(UserId, i64)>> {
    if others.is_empty() {
        return Ok(Vec::new());
    }
    let known: HashMap<&str, &UserId> = others.iter().map(|other| (other.as_str(), other)).collect();
    let ids: Vec<&str> = others.iter().map(UserId::as_str).collect();
    let query = sqlx::query(include_str!("sql/acquainted.sql")).bind(user.as_str()).bind(ids);
    let rows = Lease::take(pool).await?.rows(query).await?;
    let acquainted = rows.iter().map(|row| {
        let id: &str = row.value("id")?;
        let id = known.get(id).ok_or_else(|| rows::unexpected("id"))?;
        Ok(((*id).clone(), row.value("last_seen")?))
    });
    acquainted.collect()
}
