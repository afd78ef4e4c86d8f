//! Messages of one room: pages of them, one of them, those with certain words.

use std::collections::BTreeSet;

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

pub(super) async fn search(
    pool: &SqlitePool,
    room: &RoomId,
    text: &str,
    before: Seq,
    limit: usize,
) -> Result<(Vec<Message>, bool)> {
    let Some(words) = all_words(text) else { return Ok((Vec::new(), false)) };
    let rows = sqlx::query(include_str!("sql/search.sql"))
        .bind(room.as_str())
        .bind(words)
        .bind(bound(before))
        .bind(one_more(limit))
        .fetch_all(pool)
        .await?;
    let (rows, more) = cut(rows, limit);
    Ok((rows.iter().map(columns::message).collect::<Result<_>>()?, more))
}

/// An expression of the index that asks for every word of a text; `None` if
/// the text has none. What could be an operator separates words, and each word
/// is quoted, so that nothing of a user's is ever read as syntax.
fn all_words(text: &str) -> Option<String> {
    let separates = |c: char| c.is_whitespace() || c.is_control() || c.is_ascii_punctuation();
    let words: BTreeSet<&str> = text.split(separates).filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return None;
    }
    let mut quoted = String::with_capacity(text.len() + 3 * words.len());
    for word in words {
        quoted.push('"');
        quoted.push_str(word);
        quoted.push_str("\" ");
    }
    Some(quoted)
}
