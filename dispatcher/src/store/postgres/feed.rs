//! Feeds: where they stand, and what changed in them.

use proto::node::FeedChanges;
use proto::v1::{self, Change, Role, RoomKind, change::Thing};
use proto::{Cursor, FeedId, RoomId, Seq, UserId};
use sqlx::postgres::{PgPool, PgRow};

use super::super::standing::Standing;
use super::super::{FollowAnswer, FollowAsk, Result, creation_check};
use super::connection::Lease;
use super::rows::{self, Columns, message_id, signed, unexpected};

/// Changes fetched with one statement, unless one feed alone has more.
const CHANGES_AT_ONCE: u64 = 1000;
/// Bytes of changes in one answer to many; who is left comes again.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The seq to look up, as the statements want it.
fn named(since: Option<Cursor>) -> i64 {
    since.map_or(0, |since| signed(since.seq))
}

/// A room's feed as one user may hear it.
struct RoomStanding {
    feed: Standing,
    /// `None`: no such room, or deleted.
    kind: Option<RoomKind>,
    member: bool,
}

async fn rooms(
    lease: &mut Lease,
    rooms: Vec<&str>,
    users: Vec<&str>,
    since: Vec<i64>,
) -> Result<Vec<RoomStanding>> {
    let query = sqlx::query(include_str!("sql/room_standing.sql")).bind(rooms).bind(users).bind(since);
    lease.rows(query).await?.iter().map(room_standing).collect()
}

fn room_standing(row: &PgRow) -> Result<RoomStanding> {
    if row.value::<Option<i16>>("kind")?.is_none() {
        return Ok(RoomStanding { feed: Standing::NONE, kind: None, member: false });
    }
    let at_cursor = match row.value::<Option<&str>>("created_id")? {
        Some(id) => Some(creation_check(&message_id(id)?)),
        None => past_check(row)?,
    };
    let kind = row.variant::<RoomKind>("kind")?;
    Ok(RoomStanding {
        feed: Standing { head: head(row)?, at_cursor },
        kind: (row.value::<i64>("deleted_at")? == 0).then_some(kind),
        member: row.value::<Option<bool>>("active")?.unwrap_or(false),
    })
}

fn head(row: &PgRow) -> Result<Cursor> {
    Ok(Cursor { seq: row.count("head")?, check: row.check("head_check")? })
}

fn past_check(row: &PgRow) -> Result<Option<u32>> {
    let check = row.value::<Option<i64>>("other_check")?;
    check.map(|check| u32::try_from(check).map_err(|_| unexpected("other_check"))).transpose()
}

/// A user's feed.
struct UserStanding {
    feed: Standing,
    /// `None`: never seen.
    name: Option<String>,
    revoked_before: i64,
}

async fn users(lease: &mut Lease, users: Vec<&str>, since: Vec<i64>) -> Result<Vec<UserStanding>> {
    let query = sqlx::query(include_str!("sql/user_standing.sql")).bind(users).bind(since);
    lease.rows(query).await?.iter().map(user_standing).collect()
}

fn user_standing(row: &PgRow) -> Result<UserStanding> {
    let name = row.value::<Option<String>>("name")?;
    if name.is_none() {
        return Ok(UserStanding { feed: Standing::NONE, name, revoked_before: 0 });
    }
    Ok(UserStanding {
        feed: Standing { head: head(row)?, at_cursor: past_check(row)? },
        name,
        revoked_before: row.value("revoked_before")?,
    })
}

/// Two statements where every cursor is at its head: one for rooms, one for users.
pub(super) async fn follow(pool: &PgPool, asks: &[FollowAsk], limit: usize) -> Result<Vec<FollowAnswer>> {
    let mut answers: Vec<Option<FollowAnswer>> = vec![None; asks.len()];
    let mut behind = Vec::new();
    let mut lease = Lease::take(pool).await?;

    let of_rooms: Vec<(usize, &FollowAsk, &RoomId)> =
        asks.iter().enumerate().filter_map(|(n, ask)| Some((n, ask, ask.room.as_ref()?))).collect();
    if !of_rooms.is_empty() {
        let standings = rooms(
            &mut lease,
            of_rooms.iter().map(|(_, _, room)| room.as_str()).collect(),
            of_rooms.iter().map(|(_, ask, _)| ask.user.as_str()).collect(),
            of_rooms.iter().map(|(_, ask, _)| named(ask.since)).collect(),
        )
        .await?;
        for ((n, ask, room), standing) in of_rooms.into_iter().zip(standings) {
            answers[n] = Some(match standing.kind {
                Some(RoomKind::Public) if !standing.member => FollowAnswer::PublicRoom,
                Some(_) if standing.member => {
                    let changes = standing.feed.settle(ask.since).unwrap_or_else(|| {
                        behind.push(Behind::new(n, FeedId::Room(room.clone()), ask.since, &standing.feed));
                        FeedChanges::default()
                    });
                    FollowAnswer::Changes { changes, revoked_before: 0 }
                }
                _ => FollowAnswer::NotMember,
            });
        }
    }

    let own: Vec<(usize, &FollowAsk)> =
        asks.iter().enumerate().filter(|(_, ask)| ask.room.is_none()).collect();
    if !own.is_empty() {
        let standings = users(
            &mut lease,
            own.iter().map(|(_, ask)| ask.user.as_str()).collect(),
            own.iter().map(|(_, ask)| named(ask.since)).collect(),
        )
        .await?;
        let mut seen = Vec::new();
        for ((n, ask), standing) in own.into_iter().zip(standings) {
            match &standing.name {
                Some(name) if ask.name.is_empty() || *name == ask.name => {}
                _ => seen.push((ask.user.as_str(), ask.name.as_str())),
            }
            let changes = standing.feed.settle(ask.since).unwrap_or_else(|| {
                behind.push(Behind::new(n, FeedId::User(ask.user.clone()), ask.since, &standing.feed));
                FeedChanges::default()
            });
            answers[n] = Some(FollowAnswer::Changes { changes, revoked_before: standing.revoked_before });
        }
        see_users(&mut lease, seen).await?;
    }

    for (n, found) in catch_up(&mut lease, behind, limit).await? {
        if let Some(FollowAnswer::Changes { changes, .. }) = &mut answers[n] {
            *changes = found;
        }
    }
    Ok(answers.into_iter().map(|answer| answer.unwrap_or(FollowAnswer::NotMember)).collect())
}

async fn see_users(lease: &mut Lease, mut seen: Vec<(&str, &str)>) -> Result<()> {
    if seen.is_empty() {
        return Ok(());
    }
    // One row may be touched once in a statement: of several names, one counts.
    seen.sort_unstable();
    seen.reverse();
    seen.dedup_by_key(|(user, _)| *user);
    let (users, names): (Vec<_>, Vec<_>) = seen.into_iter().unzip();
    lease.run(sqlx::query(include_str!("sql/see_users.sql")).bind(users).bind(names)).await.map(drop)
}

/// A feed that has more than its asker's cursor.
struct Behind {
    /// Which answer it belongs to.
    n: usize,
    feed: FeedId,
    since: Cursor,
    /// No more things can have changed than seqs were given out.
    at_most: u64,
}

impl Behind {
    fn new(n: usize, feed: FeedId, since: Option<Cursor>, standing: &Standing) -> Self {
        let since = since.unwrap_or_default();
        Self { n, feed, since, at_most: standing.head.seq - since.seq }
    }
}

/// Fetches changes in statements of bounded size, each a view of its own: an
/// answer's changes and head are from one of them.
async fn catch_up(lease: &mut Lease, behind: Vec<Behind>, limit: usize) -> Result<Vec<(usize, FeedChanges)>> {
    let (of_rooms, of_users): (Vec<_>, Vec<_>) =
        behind.into_iter().partition(|behind| behind.feed.room().is_some());
    let mut answers = Vec::new();
    let mut bytes = 0;
    for (statement, mut behind) in
        [(include_str!("sql/room_changes.sql"), of_rooms), (include_str!("sql/user_changes.sql"), of_users)]
    {
        while !behind.is_empty() {
            if bytes > MAX_BYTES {
                answers.extend(behind.drain(..).map(|left| (left.n, nothing_yet(left.since))));
                break;
            }
            let mut changes = 0;
            let at_once = behind.iter().take_while(|behind| {
                changes += behind.at_most.min(limit as u64 + 1);
                changes <= CHANGES_AT_ONCE
            });
            let at_once = at_once.count().max(1);
            let batch: Vec<Behind> = behind.drain(..at_once).collect();
            let found = fetch(lease, statement, &batch, limit, &mut bytes).await?;
            answers.extend(batch.iter().map(|behind| behind.n).zip(found));
        }
    }
    Ok(answers)
}

/// More to come, from where the asker is.
fn nothing_yet(since: Cursor) -> FeedChanges {
    FeedChanges { from: since.seq, to: since.seq, check: since.check, more: true, ..Default::default() }
}

async fn fetch(
    lease: &mut Lease,
    statement: &'static str,
    batch: &[Behind],
    limit: usize,
    bytes: &mut usize,
) -> Result<Vec<FeedChanges>> {
    let feeds: Vec<&str> = batch.iter().map(|behind| feed_key(&behind.feed).1).collect();
    let since: Vec<i64> = batch.iter().map(|behind| signed(behind.since.seq)).collect();
    // One more than wanted tells whether there are more.
    let query = sqlx::query(statement).bind(feeds).bind(since).bind(signed(limit as u64 + 1));
    let rows = lease.rows(query).await?;
    let mut rows = rows.iter().peekable();
    let mut answers = Vec::with_capacity(batch.len());
    for (place, behind) in (1i64..).zip(batch) {
        let mut answer = nothing_yet(behind.since);
        answer.more = false;
        while let Some(row) = rows.peek() {
            if row.value::<i64>("n")? != place {
                break;
            }
            (answer.to, answer.check) = (row.count("head")?, row.check("head_check")?);
            if row.value::<Option<i32>>("thing")?.is_some() {
                answer.changes.push(change(row)?);
            }
            rows.next();
        }
        if answer.changes.len() > limit {
            answer.changes.truncate(limit);
            answer.more = true;
            let reached = answer.changes.last().map_or(behind.since, Change::cursor);
            (answer.to, answer.check) = (reached.seq, reached.check);
        }
        *bytes += answer.changes.iter().map(prost_len).sum::<usize>();
        answers.push(answer);
    }
    Ok(answers)
}

/// About the bytes of a change: only messages and notifications can be large.
fn prost_len(change: &Change) -> usize {
    let content = match &change.thing {
        Some(Thing::Message(message)) => message.text.len() + message.data.len(),
        Some(Thing::Notification(notification)) => notification.data.len(),
        _ => 0,
    };
    content + 200
}

/// A change, from the columns of room_changes.sql and user_changes.sql.
fn change(row: &PgRow) -> Result<Change> {
    let thing = match row.value::<i32>("thing")? {
        0 => Thing::Message(rows::message(row)?),
        1 => Thing::Member(v1::Member {
            user: row.value("id")?,
            name: row.value("name")?,
            role: row.variant::<Role>("type")?.into(),
            active: row.value("active")?,
        }),
        2 => Thing::Details(v1::Details {
            id: row.value("id")?,
            kind: row.variant::<RoomKind>("type")?.into(),
            name: row.value("name")?,
            created_at: row.value("sent_at")?,
            created_by: row.value("sender")?,
            members: u32::try_from(row.count("ordinal")?).map_err(|_| unexpected("members"))?,
            deleted_at: row.value("deleted_at")?,
        }),
        3 => Thing::Notification(v1::Notification {
            id: row.value("id")?,
            r#type: row.value("name")?,
            data: row.value("data")?,
            time: row.value("sent_at")?,
            read_at: row.value("edited_at")?,
        }),
        4 => Thing::Membership(v1::Membership {
            room: row.value("id")?,
            role: row.variant::<Role>("type")?.into(),
            active: row.value("active")?,
            read_seq: row.count("seq")?,
            unread: row.count("ordinal")?,
        }),
        5 => Thing::Revocation(v1::Revocation { issued_before: row.value("sent_at")? }),
        _ => return Err(unexpected("thing")),
    };
    Ok(Change { seq: row.count("at")?, check: row.check("check_value")?, thing: Some(thing) })
}

/// What changed in one feed.
pub(super) async fn changes(
    pool: &PgPool,
    feed: &FeedId,
    since: Cursor,
    limit: usize,
) -> Result<FeedChanges> {
    let mut lease = Lease::take(pool).await?;
    let at = vec![named(Some(since))];
    let standing = match feed {
        FeedId::Room(room) => {
            // The room's feed itself: nobody's membership is looked at.
            rooms(&mut lease, vec![room.as_str()], vec![""], at).await?.pop().map(|standing| standing.feed)
        }
        FeedId::User(user) => {
            users(&mut lease, vec![user.as_str()], at).await?.pop().map(|standing| standing.feed)
        }
    };
    let standing = standing.unwrap_or(Standing::NONE);
    if let Some(answer) = standing.settle(Some(since)) {
        return Ok(answer);
    }
    let behind = vec![Behind::new(0, feed.clone(), Some(since), &standing)];
    let found = catch_up(&mut lease, behind, limit).await?.pop();
    Ok(found.map_or_else(|| standing.nothing(since.seq, false), |(_, changes)| changes))
}

/// A feed as the tables name it: kind and id.
fn feed_key(feed: &FeedId) -> (i16, &str) {
    match feed {
        FeedId::Room(room) => (0, room.as_str()),
        FeedId::User(user) => (1, user.as_str()),
    }
}

/// The heads of feeds, in order.
pub(super) async fn heads(pool: &PgPool, feeds: &[FeedId]) -> Result<Vec<Seq>> {
    if feeds.is_empty() {
        return Ok(Vec::new());
    }
    let (kinds, ids): (Vec<i16>, Vec<&str>) = feeds.iter().map(feed_key).unzip();
    let query = sqlx::query(include_str!("sql/heads.sql")).bind(kinds).bind(ids);
    let rows = Lease::take(pool).await?.rows(query).await?;
    rows.iter().map(|row| row.count("head")).collect()
}

/// The heads of feeds that changed lately.
pub(super) async fn recent_heads(pool: &PgPool, seconds: u32) -> Result<Vec<(FeedId, Seq)>> {
    let query = sqlx::query(include_str!("sql/recent_heads.sql")).bind(i64::from(seconds));
    let rows = Lease::take(pool).await?.rows(query).await?;
    let recent = rows.iter().map(|row| {
        let feed = match row.value::<i16>("kind")? {
            0 => FeedId::Room(row.room("feed")?),
            1 => FeedId::User(row.user("feed")?),
            _ => return Err(unexpected("kind")),
        };
        Ok((feed, row.count("head")?))
    });
    recent.collect()
}

/// Moves last-seen times forward.
pub(super) async fn record_last_seen(pool: &PgPool, users: &[(UserId, i64)]) -> Result<()> {
    /// Users locked at once: none waits long for the others.
    const SLICE: usize = 500;
    let mut lease = Lease::take(pool).await?;
    // One row may be touched once in a statement: the latest time counts.
    let mut users: Vec<(&str, i64)> = users.iter().map(|(user, at)| (user.as_str(), *at)).collect();
    users.sort_unstable_by(|a, b| (a.0, b.1).cmp(&(b.0, a.1)));
    users.dedup_by_key(|(user, _)| *user);
    for slice in users.chunks(SLICE) {
        let (ids, times): (Vec<&str>, Vec<i64>) = slice.iter().copied().unzip();
        lease.run(sqlx::query(include_str!("sql/last_seen.sql")).bind(ids).bind(times)).await?;
    }
    Ok(())
}
