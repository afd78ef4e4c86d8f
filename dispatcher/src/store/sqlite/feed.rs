//! Feeds: heads, and what changed since a cursor.

use proto::node::FeedChanges;
use proto::v1::{Change, Member, Membership, Revocation, RoomKind, change::Thing};
use proto::{Cursor, FeedId, MessageId, RoomId, Seq, UserId};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use super::super::{FollowAnswer, FollowAsk, RoomRow, UserRow, creation_check};
use super::columns::{
    Columns, MAX_SEQ, Result, cut, json, member_row, message, notification, one_more, place, room_row,
    user_row,
};

/// A feed that exists, by the row that has its head.
enum Feed {
    Room(i64, RoomRow),
    User(UserRow),
}

impl Feed {
    fn room(row: &SqliteRow) -> Result<Self> {
        Ok(Feed::Room(row.int("number")?, room_row(row)?))
    }

    fn user(row: &SqliteRow) -> Result<Self> {
        user_row(row).map(Feed::User)
    }

    fn head(&self) -> Cursor {
        match self {
            Feed::Room(_, row) => Cursor { seq: row.head, check: row.head_check },
            Feed::User(row) => Cursor { seq: row.head, check: row.head_check },
        }
    }
}

/// No changes, at `head`.
fn nothing(from: Seq, head: Cursor, reset: bool) -> FeedChanges {
    FeedChanges { from, to: head.seq, check: head.check, changes: Vec::new(), more: false, reset }
}

pub(super) async fn changes(
    view: &mut SqliteConnection,
    feed: &FeedId,
    since: Cursor,
    limit: usize,
) -> Result<FeedChanges> {
    let found = match feed {
        FeedId::Room(room) => {
            let row = sqlx::query("SELECT * FROM rooms WHERE id = ?1").bind(room.as_str());
            row.fetch_optional(&mut *view).await?.as_ref().map(Feed::room).transpose()?
        }
        FeedId::User(user) => {
            let row = sqlx::query("SELECT * FROM users WHERE id = ?1").bind(user.as_str());
            row.fetch_optional(&mut *view).await?.as_ref().map(Feed::user).transpose()?
        }
    };
    match found {
        Some(feed) => fold(view, &feed, since, limit).await,
        None => Ok(nothing(since.seq, Cursor::START, since != Cursor::START)),
    }
}

pub(super) async fn follow(
    view: &mut SqliteConnection,
    asks: &[FollowAsk],
    limit: usize,
) -> Result<Vec<FollowAnswer>> {
    let list = json(asks.iter().map(|ask| (ask.user.as_str(), ask.room.as_ref().map(RoomId::as_str))));
    let mut found: Vec<Option<(Feed, bool)>> = asks.iter().map(|_| None).collect();
    let rows = sqlx::query(include_str!("sql/follow_rooms.sql")).bind(&list).fetch_all(&mut *view).await?;
    for row in rows {
        found[row.int("n")? as usize] = Some((Feed::room(&row)?, row.int("active")? != 0));
    }
    let rows = sqlx::query(include_str!("sql/follow_users.sql")).bind(&list).fetch_all(&mut *view).await?;
    for row in rows {
        found[row.int("n")? as usize] = Some((Feed::user(&row)?, true));
    }

    let mut answers = Vec::with_capacity(asks.len());
    for (ask, found) in asks.iter().zip(found) {
        answers.push(match found {
            Some((feed, true)) => {
                let changes = match ask.since {
                    Some(since) => fold(view, &feed, since, limit).await?,
                    None => nothing(feed.head().seq, feed.head(), false),
                };
                let revoked_before = match &feed {
                    Feed::Room(..) => 0,
                    Feed::User(row) => row.revoked_before,
                };
                FollowAnswer::Changes { changes, revoked_before }
            }
            Some((Feed::Room(_, row), false)) if row.kind == RoomKind::Public => FollowAnswer::PublicRoom,
            _ => FollowAnswer::NotMember,
        });
    }
    Ok(answers)
}

/// The things of a feed that changed since, each in its newest state.
async fn fold(view: &mut SqliteConnection, feed: &Feed, since: Cursor, limit: usize) -> Result<FeedChanges> {
    let head = feed.head();
    if !gave_out(view, feed, since).await? {
        return Ok(nothing(since.seq, head, true));
    }
    if since.seq == head.seq {
        return Ok(nothing(since.seq, head, false));
    }
    let mut changes = match feed {
        Feed::Room(number, row) => room_changes(view, *number, row, since.seq, limit).await?,
        Feed::User(row) => user_changes(view, row, since.seq, limit).await?,
    };
    changes.sort_by_key(|change| change.seq);
    let (changes, more) = cut(changes, limit);
    let to = match changes.last() {
        Some(last) if more => last.cursor(),
        // No room for a single change: the caller is no further than before.
        None if more => since,
        _ => head,
    };
    Ok(FeedChanges { from: since.seq, to: to.seq, check: to.check, changes, more, reset: false })
}

/// Whether this store named this change by this cursor.
async fn gave_out(view: &mut SqliteConnection, feed: &Feed, cursor: Cursor) -> Result<bool> {
    let head = feed.head();
    if cursor.seq == 0 {
        return Ok(cursor == Cursor::START);
    }
    if cursor.seq >= head.seq {
        return Ok(cursor == head);
    }
    let check = match feed {
        Feed::Room(number, _) => {
            let at = place(*number, cursor.seq);
            let found = sqlx::query(include_str!("sql/room_check.sql")).bind(at).fetch_optional(view).await?;
            let Some(row) = found else { return Ok(false) };
            match row.try_get::<Option<String>, _>("id")? {
                Some(id) => creation_check(&row.parsed("id", MessageId::new(&id))?),
                None => row.small("check_value")?,
            }
        }
        Feed::User(row) => match user_check(view, &row.id, cursor.seq).await? {
            Some(check) => check,
            None => return Ok(false),
        },
    };
    Ok(check == cursor.check)
}

async fn user_check(view: &mut SqliteConnection, user: &UserId, seq: Seq) -> Result<Option<u32>> {
    let found = sqlx::query("SELECT check_value FROM user_changes WHERE user_id = ?1 AND seq = ?2")
        .bind(user.as_str())
        .bind(seq as i64)
        .fetch_optional(view)
        .await?;
    found.map(|row| row.small("check_value")).transpose()
}

/// At least the first `limit` changes, and one more if there is one.
async fn room_changes(
    view: &mut SqliteConnection,
    number: i64,
    room: &RoomRow,
    since: Seq,
    limit: usize,
) -> Result<Vec<Change>> {
    let created = sqlx::query(include_str!("sql/messages_created.sql"))
        .bind(place(number, since))
        .bind(place(number, MAX_SEQ))
        .bind(one_more(limit))
        .fetch_all(&mut *view)
        .await?;
    let changed = sqlx::query(include_str!("sql/messages_changed.sql"))
        .bind(number)
        .bind(since as i64)
        .bind(one_more(limit))
        .fetch_all(&mut *view)
        .await?;
    let members = sqlx::query(include_str!("sql/members_changed.sql"))
        .bind(number)
        .bind(since as i64)
        .bind(one_more(limit))
        .fetch_all(&mut *view)
        .await?;

    let mut changes = Vec::with_capacity(created.len() + changed.len() + members.len() + 1);
    for row in created.iter().chain(&changed) {
        changes.push(Change {
            seq: row.count("changed")?,
            check: row.small("check_value")?,
            thing: Some(Thing::Message(message(row)?)),
        });
    }
    for row in &members {
        let row = member_row(&room.id, row)?;
        let member =
            Member { user: (&row.user).into(), name: row.name, role: row.role.into(), active: row.active };
        changes.push(Change { seq: row.changed, check: row.check, thing: Some(Thing::Member(member)) });
    }
    if room.changed > since {
        let thing = Some(Thing::Details(room.details()));
        changes.push(Change { seq: room.changed, check: room.check, thing });
    }
    Ok(changes)
}

/// At least the first `limit` changes, and one more if there is one.
async fn user_changes(
    view: &mut SqliteConnection,
    user: &UserRow,
    since: Seq,
    limit: usize,
) -> Result<Vec<Change>> {
    let notifications = sqlx::query(include_str!("sql/notifications_changed.sql"))
        .bind(user.id.as_str())
        .bind(since as i64)
        .bind(one_more(limit))
        .fetch_all(&mut *view)
        .await?;
    let memberships = sqlx::query(include_str!("sql/memberships_changed.sql"))
        .bind(user.id.as_str())
        .bind(since as i64)
        .bind(one_more(limit))
        .fetch_all(&mut *view)
        .await?;

    let mut changes = Vec::with_capacity(notifications.len() + memberships.len() + 1);
    for row in &notifications {
        changes.push(Change {
            seq: row.count("changed")?,
            check: row.small("check_value")?,
            thing: Some(Thing::Notification(notification(row)?)),
        });
    }
    for row in &memberships {
        let member = member_row(&row.room("room_id")?, row)?;
        let membership = Membership {
            room: (&member.room).into(),
            role: member.role.into(),
            active: member.active,
            read_seq: member.read_seq,
            unread: member.unread(row.count("messages")?),
        };
        let thing = Some(Thing::Membership(membership));
        changes.push(Change { seq: member.user_changed, check: member.user_check, thing });
    }
    if user.revocation_changed > since {
        let seq = user.revocation_changed;
        let check = user_check(view, &user.id, seq).await?.unwrap_or(0);
        let thing = Some(Thing::Revocation(Revocation { issued_before: user.revoked_before }));
        changes.push(Change { seq, check, thing });
    }
    Ok(changes)
}

/// A feed as a kind and an id, as they are written in `feed_activity`.
fn kind_and_id(feed: &FeedId) -> (i64, &str) {
    match feed {
        FeedId::Room(room) => (0, room.as_str()),
        FeedId::User(user) => (1, user.as_str()),
    }
}

pub(super) async fn heads(pool: &SqlitePool, feeds: &[FeedId]) -> Result<Vec<Seq>> {
    let list = json(feeds.iter().map(kind_and_id));
    let rows = sqlx::query(include_str!("sql/heads.sql")).bind(list).fetch_all(pool).await?;
    rows.iter().map(|row| row.count("head")).collect()
}

pub(super) async fn recent_heads(pool: &SqlitePool, seconds: u32) -> Result<Vec<(FeedId, Seq)>> {
    let rows = sqlx::query(include_str!("sql/recent_heads.sql")).bind(seconds).fetch_all(pool).await?;
    let feed = |row: &SqliteRow| {
        let feed = match row.int("kind")? {
            0 => FeedId::Room(row.room("feed")?),
            _ => FeedId::User(row.user("feed")?),
        };
        Ok((feed, row.count("head")?))
    };
    rows.iter().map(feed).collect()
}

pub(super) async fn forget_old_activity(pool: &SqlitePool) -> Result<()> {
    sqlx::query("DELETE FROM feed_activity WHERE second < unixepoch() - 60").execute(pool).await?;
    Ok(())
}
