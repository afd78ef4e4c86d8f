//! Feeds: heads, and what changed since a cursor.

use std::collections::HashMap;

use proto::node::FeedChanges;
use proto::v1::{Change, Details, Member, Membership, Revocation, Role, RoomKind, change::Thing};
use proto::{Cursor, FeedId, MessageId, RoomId, Seq};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqliteExecutor, SqlitePool};

use super::super::standing::Standing;
use super::super::{FollowAnswer, FollowAsk, creation_check};
use super::columns::{Columns, MAX_SEQ, Result, cut, json, member_row, message, notification, one_more};

/// A feed that exists, as somebody sees it who may want to hear it.
pub(super) struct Found {
    standing: Standing,
    of: Of,
}

enum Of {
    Room { number: i64, kind: RoomKind, deleted: bool, member: bool },
    User { name: String, revoked_before: i64, revocation_changed: Seq },
}

impl Found {
    fn row(row: &SqliteRow) -> Result<Self> {
        let at_cursor = match row.try_get::<Option<String>, _>("created_id")? {
            Some(id) => Some(creation_check(&row.parsed("created_id", MessageId::new(&id))?)),
            None => row.try_get::<Option<i64>, _>("other_check")?.map(|check| check as u32),
        };
        let head = Cursor { seq: row.count("head")?, check: row.small("head_check")? };
        let of = match row.try_get("number")? {
            Some(number) => Of::Room {
                number,
                kind: row.parsed("kind", RoomKind::try_from(row.int("kind")? as i32))?,
                deleted: row.int("deleted_at")? != 0,
                member: row.int("active")? != 0,
            },
            None => Of::User {
                name: row.text("name")?,
                revoked_before: row.int("revoked_before")?,
                revocation_changed: row.count("revocation_changed")?,
            },
        };
        Ok(Self { standing: Standing { head, at_cursor }, of })
    }

    /// Of a user's own feed: whether it is kept under the name that is said now.
    pub fn is_named(&self, said: &str) -> bool {
        matches!(&self.of, Of::User { name, .. } if said.is_empty() || said == name)
    }
}

/// The feeds that are asked for; `None` where there is none.
async fn find<'e>(
    view: impl SqliteExecutor<'e>,
    asks: impl IntoIterator<Item = (&str, Option<&str>, Cursor)>,
) -> Result<Vec<Option<Found>>> {
    let asks: Vec<_> =
        asks.into_iter().map(|(user, room, since)| (user, room, since.seq.min(MAX_SEQ))).collect();
    let mut found: Vec<Option<Found>> = asks.iter().map(|_| None).collect();
    for row in sqlx::query(include_str!("sql/standings.sql")).bind(json(asks)).fetch_all(view).await? {
        found[row.int("n")? as usize] = Some(Found::row(&row)?);
    }
    Ok(found)
}

/// Where the feeds stand that are to be followed.
pub(super) async fn standings<'e>(
    view: impl SqliteExecutor<'e>,
    asks: &[FollowAsk],
) -> Result<Vec<Option<Found>>> {
    let asks = asks.iter().map(|ask| (ask.user.as_str(), ask.room.as_ref(), ask.since.unwrap_or_default()));
    find(view, asks.map(|(user, room, since)| (user, room.map(RoomId::as_str), since))).await
}

/// The answer to one who follows; `None`: what changed has to be read for it.
fn settle(ask: &FollowAsk, found: Option<&Found>) -> Option<FollowAnswer> {
    let changes = |standing: &Standing, revoked_before| {
        let changes = standing.settle(ask.since)?;
        Some(FollowAnswer::Changes { changes, revoked_before })
    };
    match (found.map(|found| (&found.standing, &found.of)), &ask.room) {
        (Some((_, Of::Room { deleted: true, .. })), _) => Some(FollowAnswer::NotMember),
        (Some((standing, Of::Room { member: true, .. })), _) => changes(standing, 0),
        (Some((_, Of::Room { kind: RoomKind::Public, .. })), _) => Some(FollowAnswer::PublicRoom),
        (Some((standing, Of::User { revoked_before, .. })), _) => changes(standing, *revoked_before),
        // Seen for the first time.
        (None, None) => changes(&Standing::NONE, 0),
        _ => Some(FollowAnswer::NotMember),
    }
}

/// All answers, if what changed has to be read for none of them.
pub(super) fn settled(asks: &[FollowAsk], found: &[Option<Found>]) -> Option<Vec<FollowAnswer>> {
    asks.iter().zip(found).map(|(ask, found)| settle(ask, found.as_ref())).collect()
}

/// All answers, of one moment. Those who come back to the same feed from the
/// same cursor, as the members of a room do, get what was read once.
pub(super) async fn follow(
    view: &mut SqliteConnection,
    asks: &[FollowAsk],
    limit: usize,
) -> Result<Vec<FollowAnswer>> {
    let found = standings(&mut *view, asks).await?;
    let mut read: HashMap<(i64, Cursor), FeedChanges> = HashMap::new();
    let mut answers = Vec::with_capacity(asks.len());
    for (ask, found) in asks.iter().zip(found) {
        let answer = match (settle(ask, found.as_ref()), found) {
            (Some(answer), _) => answer,
            (None, Some(found)) => {
                let since = ask.since.unwrap_or_default();
                let (known, revoked_before) = match &found.of {
                    Of::Room { number, .. } => (read.get(&(*number, since)).cloned(), 0),
                    Of::User { revoked_before, .. } => (None, *revoked_before),
                };
                let changes = match known {
                    Some(changes) => changes,
                    None => fold(view, &found, ask.user.as_str(), since, limit).await?,
                };
                if let Of::Room { number, .. } = &found.of {
                    read.entry((*number, since)).or_insert_with(|| changes.clone());
                }
                FollowAnswer::Changes { changes, revoked_before }
            }
            (None, None) => FollowAnswer::NotMember,
        };
        answers.push(answer);
    }
    Ok(answers)
}

pub(super) async fn changes(
    view: &mut SqliteConnection,
    feed: &FeedId,
    since: Cursor,
    limit: usize,
) -> Result<FeedChanges> {
    let (user, room) = match feed {
        FeedId::Room(room) => ("", Some(room.as_str())),
        FeedId::User(user) => (user.as_str(), None),
    };
    let found = find(&mut *view, [(user, room, since)]).await?.pop().flatten();
    let standing = found.as_ref().map_or(Standing::NONE, |found| found.standing);
    match (standing.settle(Some(since)), found) {
        (Some(answer), _) => Ok(answer),
        (None, Some(found)) => fold(view, &found, user, since, limit).await,
        (None, None) => Ok(standing.nothing(since.seq, false)),
    }
}

/// The things of a feed that changed since, each in its newest state.
async fn fold(
    view: &mut SqliteConnection,
    found: &Found,
    user: &str,
    since: Cursor,
    limit: usize,
) -> Result<FeedChanges> {
    let mut changes = match &found.of {
        Of::Room { number, .. } => room_changes(view, *number, since.seq, limit).await?,
        Of::User { revoked_before, revocation_changed, .. } => {
            let mut changes = user_changes(view, user, since.seq, limit).await?;
            if *revocation_changed > since.seq {
                let seq = *revocation_changed;
                let check = user_check(view, user, seq).await?.unwrap_or(0);
                let thing = Some(Thing::Revocation(Revocation { issued_before: *revoked_before }));
                changes.push(Change { seq, check, thing });
            }
            changes
        }
    };
    changes.sort_by_key(|change| change.seq);
    let (changes, more) = cut(changes, limit);
    let to = match changes.last() {
        Some(last) if more => last.cursor(),
        // No room for a single change: the caller is no further than before.
        None if more => since,
        _ => found.standing.head,
    };
    Ok(FeedChanges { from: since.seq, to: to.seq, check: to.check, changes, more, reset: false })
}

async fn user_check(view: &mut SqliteConnection, user: &str, seq: Seq) -> Result<Option<u32>> {
    let found = sqlx::query("SELECT check_value FROM user_changes WHERE user_id = ?1 AND seq = ?2")
        .bind(user)
        .bind(seq as i64)
        .fetch_optional(view)
        .await?;
    found.map(|row| row.small("check_value")).transpose()
}

/// At least the first `limit` changes, and one more if there is one.
async fn room_changes(
    view: &mut SqliteConnection,
    number: i64,
    since: Seq,
    limit: usize,
) -> Result<Vec<Change>> {
    let query = sqlx::query(include_str!("sql/room_changes.sql"));
    let rows = query.bind(number).bind(since as i64).bind(one_more(limit)).fetch_all(view).await?;
    rows.iter().map(change).collect()
}

/// A change, from the columns of room_changes.sql.
fn change(row: &SqliteRow) -> Result<Change> {
    let thing = match row.int("thing")? {
        0 => Thing::Message(message(row)?),
        1 => Thing::Member(Member {
            user: row.text("id")?,
            name: row.text("name")?,
            role: row.parsed("type", Role::try_from(row.int("type")? as i32))?.into(),
            active: row.int("active")? != 0,
        }),
        _ => Thing::Details(Details {
            id: row.text("id")?,
            kind: row.parsed("type", RoomKind::try_from(row.int("type")? as i32))?.into(),
            name: row.text("name")?,
            created_at: row.int("sent_at")?,
            created_by: row.text("sender")?,
            members: row.small("ordinal")?,
            deleted_at: row.int("deleted_at")?,
        }),
    };
    Ok(Change { seq: row.count("changed")?, check: row.small("check_value")?, thing: Some(thing) })
}

/// At least the first `limit` changes, and one more if there is one.
async fn user_changes(
    view: &mut SqliteConnection,
    user: &str,
    since: Seq,
    limit: usize,
) -> Result<Vec<Change>> {
    let notifications = sqlx::query(include_str!("sql/notifications_changed.sql"))
        .bind(user)
        .bind(since as i64)
        .bind(one_more(limit))
        .fetch_all(&mut *view)
        .await?;
    let memberships = sqlx::query(include_str!("sql/memberships_changed.sql"))
        .bind(user)
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
