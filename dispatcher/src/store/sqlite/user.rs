//! Users: their names, notifications, rooms, and whom they share a room with.

use proto::v1::Notification;
use proto::{RoomId, UserId};
use sqlx::{SqliteConnection, SqlitePool};

use super::columns::{self, Columns, Result, cut, json, one_more};

/// Creates users who are seen for the first time, and keeps names that are said.
pub(super) async fn keep_names(tx: &mut SqliteConnection, names: &[(&str, &str)]) -> Result<()> {
    sqlx::query(include_str!("sql/keep_names.sql")).bind(json(names)).execute(tx).await?;
    Ok(())
}

pub(super) async fn notifications(
    view: &mut SqliteConnection,
    user: &UserId,
    unread_only: bool,
    before: &str,
    limit: usize,
) -> Result<(Vec<Notification>, bool, u64)> {
    let (notifications, more) = newest_notifications(view, user, unread_only, before, limit).await?;
    let unread =
        sqlx::query("SELECT count(*) AS unread FROM notifications WHERE user_id = ?1 AND read_at = 0")
            .bind(user.as_str())
            .fetch_one(view)
            .await?;
    Ok((notifications, more, unread.count("unread")?))
}

pub(super) async fn newest_notifications(
    view: &mut SqliteConnection,
    user: &UserId,
    unread_only: bool,
    before: &str,
    limit: usize,
) -> Result<(Vec<Notification>, bool)> {
    let statement = if unread_only {
        include_str!("sql/notifications_unread.sql")
    } else {
        include_str!("sql/notifications.sql")
    };
    let rows =
        sqlx::query(statement).bind(user.as_str()).bind(before).bind(one_more(limit)).fetch_all(view).await?;
    let (rows, more) = cut(rows, limit);
    Ok((rows.iter().map(columns::notification).collect::<Result<_>>()?, more))
}

pub(super) async fn rooms_of(
    pool: &SqlitePool,
    users: &[UserId],
    max_members: u32,
) -> Result<Vec<Vec<RoomId>>> {
    let mut rooms = vec![Vec::new(); users.len()];
    let rows = sqlx::query(include_str!("sql/rooms_of.sql"))
        .bind(json(users.iter().map(UserId::as_str)))
        .bind(max_members)
        .fetch_all(pool)
        .await?;
    for row in rows {
        rooms[row.int("n")? as usize].push(row.room("id")?);
    }
    Ok(rooms)
}

pub(super) async fn acquainted(
    pool: &SqlitePool,
    user: &UserId,
    others: &[UserId],
) -> Result<Vec<(UserId, i64)>> {
    let rows = sqlx::query(include_str!("sql/acquainted.sql"))
        .bind(user.as_str())
        .bind(json(others.iter().map(UserId::as_str)))
        .fetch_all(pool)
        .await?;
    rows.iter().map(|row| Ok((row.user("id")?, row.int("last_seen")?))).collect()
}

pub(super) async fn record_last_seen(pool: &SqlitePool, users: &[(UserId, i64)]) -> Result<()> {
    let list = json(users.iter().map(|(user, time)| (user.as_str(), time)));
    sqlx::query(include_str!("sql/record_last_seen.sql")).bind(list).execute(pool).await?;
    Ok(())
}
