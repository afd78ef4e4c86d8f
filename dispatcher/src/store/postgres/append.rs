//! The path of a message.

use std::collections::HashSet;

use sqlx::postgres::{PgPool, PgRow};

use super::super::{Appended, NewMessage, Result, StoreError, creation_check};
use super::connection::Lease;
use super::rows::{Columns, message_id, unexpected};

/// What `carillon_append_v1` says became of an item.
const STORED: i16 = 0;
const REPEATED: i16 = 1;
const CONFLICT: i16 = 2;
const NOT_MEMBER: i16 = 3;

/// One statement, one round trip, one commit: the statement is its own transaction.
pub(super) async fn append(pool: &PgPool, batch: &[NewMessage]) -> Result<Vec<Appended>> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    debug_assert!(distinct(batch), "the caller sends a key once in a batch");
    macro_rules! column {
        ($item:ident => $value:expr) => {
            batch.iter().map(|$item| $value).collect::<Vec<_>>()
        };
    }
    let query = sqlx::query(include_str!("sql/append.sql"))
        .bind(column!(m => m.room.as_str()))
        .bind(column!(m => m.id.as_str()))
        .bind(column!(m => m.sender.as_str()))
        .bind(column!(m => m.name.as_str()))
        .bind(column!(m => m.key.as_str()))
        .bind(column!(m => m.r#type as i16))
        .bind(column!(m => m.text.as_str()))
        .bind(column!(m => m.data.as_str()))
        .bind(column!(m => m.digest))
        .bind(column!(m => m.time))
        .bind(column!(m => i64::from(creation_check(&m.id))));
    let rows = Lease::take(pool).await?.rows(query).await?;
    if rows.len() != batch.len() {
        return Err(StoreError::Fault("append did not answer every item".into()));
    }
    rows.iter().map(appended).collect()
}

fn appended(row: &PgRow) -> Result<Appended> {
    Ok(match row.value::<i16>("outcome")? {
        STORED => Appended::Stored { seq: row.count("seq")?, ordinal: row.count("ordinal")? },
        REPEATED => Appended::Repeated {
            id: message_id(row.value("id")?)?,
            seq: row.count("seq")?,
            ordinal: row.count("ordinal")?,
            time: row.value("sent_at")?,
        },
        CONFLICT => Appended::Conflict,
        NOT_MEMBER => Appended::NotMember,
        _ => return Err(unexpected("outcome")),
    })
}

fn distinct(batch: &[NewMessage]) -> bool {
    let mut seen = HashSet::new();
    batch.iter().all(|m| seen.insert((&m.room, &m.sender, &m.key)))
}
