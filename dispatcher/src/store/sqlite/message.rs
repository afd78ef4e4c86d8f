//! Messages of one room: pages of them, one of them, those with certain words.

use std::collections::{BTreeSet, HashSet};

use proto::v1::Message;
use proto::{MessageId, RoomId, Seq};
use sqlx::{SqliteConnection, SqlitePool};

use super::super::MessageRow;
use super::columns::{self, Columns, MAX_SEQ, Result, cut, message_row, one_more};

pub(super) async fn message(connection: &mut SqliteConnection, id: &MessageId) -> Result<Option<MessageRow>> {
    let found =
        sqlx::query(include_str!("sql/message.sql")).bind(id.as_str()).fetch_optional(connection).await?;
    found.map(|row| message_row(row.room("room_id")?, &row)).transpose()
}

/// The seq that bounds a page from above; 0: none does.
fn bound(before: Seq) -> i64 {
    let before = if before == 0 { MAX_SEQ + 1 } else { before.min(MAX_SEQ + 1) };
    before as i64
}

pub(super) async fn history(
    pool: &SqlitePool,
    room: &RoomId,
    before: Seq,
    limit: usize,
) -> Result<(Vec<Message>, bool)> {
    let rows = sqlx::query(include_str!("sql/history.sql"))
        .bind(room.as_str())
        .bind(bound(before))
        .bind(one_more(limit))
        .fetch_all(pool)
        .await?;
    let (mut rows, more) = cut(rows, limit);
    rows.reverse();
    Ok((rows.iter().map(columns::message).collect::<Result<_>>()?, more))
}

/// Seqs looked at by one statement of a search: none is long, nor holds many
/// messages at once.
const SLICE: i64 = 1000;

/// Messages with all words of a text, newest first.
///
/// Not through an index, which took half of the time in which messages are
/// written (measured): the room is read downwards in slices.
pub(super) async fn search(
    pool: &SqlitePool,
    room: &RoomId,
    text: &str,
    before: Seq,
    limit: usize,
) -> Result<(Vec<Message>, bool)> {
    let text = text.to_lowercase();
    let wanted: BTreeSet<&str> = words(&text).collect();
    let room = sqlx::query("SELECT number, head FROM rooms WHERE id = ?1").bind(room.as_str());
    let (Some(room), false) = (room.fetch_optional(pool).await?, wanted.is_empty()) else {
        return Ok((Vec::new(), false));
    };
    let mut top = bound(before).min(room.int("head")? + 1);
    let mut found = Vec::new();
    while top > 1 && found.len() <= limit {
        let bottom = (top - SLICE).max(1);
        let slice =
            sqlx::query(include_str!("sql/search.sql")).bind(room.int("number")?).bind(bottom).bind(top);
        for row in &slice.fetch_all(pool).await? {
            if found.len() <= limit && holds_all(&row.text("text")?, &wanted) {
                found.push(columns::message(row)?);
            }
        }
        top = bottom;
    }
    Ok(cut(found, limit))
}

/// Words of a text in lower case. Everything but letters and digits separates,
/// so that nothing is ever read as syntax.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Whether a text, in whatever case, has all of these words.
fn holds_all(text: &str, wanted: &BTreeSet<&str>) -> bool {
    let text = text.to_lowercase();
    // Cheap, and enough for most that do not.
    wanted.iter().all(|word| text.contains(word)) && {
        let has: HashSet<&str> = words(&text).collect();
        wanted.iter().all(|word| has.contains(word))
    }
}
