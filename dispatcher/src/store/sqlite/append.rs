//! The path of a message: three statements for a batch, or a few more where it
//! is large.
//!
//! The file's lock is held: what the first statement sees stays true until the
//! commit. It looks at senders and keys; what is new is placed here, and written
//! by the others. Each statement is a way to the connection's thread and back.

use std::collections::HashMap;
use std::sync::LazyLock;

use proto::{MessageId, Seq};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::super::{Appended, NewMessage, creation_check};
use super::columns::{Columns, Result, json, message_id, place};

/// A room's row while messages are placed after its head.
struct Room {
    head: Seq,
    messages: u64,
    /// The newest message placed.
    newest: Option<usize>,
}

/// A sender's row in a room while their messages are counted.
struct Sender {
    may_write: bool,
    sent: u64,
    raised: bool,
}

/// Rooms by number, and senders by room and user.
#[derive(Default)]
struct Known<'a> {
    rooms: HashMap<i64, Room>,
    senders: HashMap<(i64, &'a str), Sender>,
}

/// An item of a batch whose sender is or was a member.
struct Found {
    room: i64,
    first: Option<First>,
}

/// A message that was stored with a key before.
struct First {
    id: MessageId,
    seq: Seq,
    ordinal: u64,
    time: i64,
    digest: i64,
}

/// Stores what is new of a batch that is not empty.
pub(super) async fn append(tx: &mut SqliteConnection, batch: &[NewMessage]) -> Result<Vec<Appended>> {
    let (mut known, found) = look(tx, batch).await?;

    let mut messages = Vec::with_capacity(batch.len());
    let mut answers = Vec::with_capacity(batch.len());
    for (n, (item, found)) in batch.iter().zip(found).enumerate() {
        let Some(Found { room: number, first }) = found else {
            answers.push(Appended::NotMember);
            continue;
        };
        let room = known.rooms.get_mut(&number);
        let sender = known.senders.get_mut(&(number, item.sender.as_str()));
        // A key is looked at before the membership: who was removed since may
        // still ask what became of a send.
        answers.push(match (first, room.zip(sender)) {
            (Some(first), _) if first.digest == item.digest => {
                Appended::Repeated { id: first.id, seq: first.seq, ordinal: first.ordinal, time: first.time }
            }
            (Some(_), _) => Appended::Conflict,
            (None, Some((room, sender))) if sender.may_write => {
                room.head += 1;
                room.messages += 1;
                room.newest = Some(n);
                sender.sent += 1;
                sender.raised = true;
                let (seq, ordinal) = (room.head, room.messages);
                let place = place(number, seq);
                messages.push(Placed { place, item, seq, ordinal, sender_ordinal: sender.sent });
                Appended::Stored { seq, ordinal }
            }
            _ => Appended::NotMember,
        });
    }
    if !messages.is_empty() {
        insert(tx, messages).await?;
        raise(tx, batch, known).await?;
    }
    Ok(answers)
}

/// Reads what is known of a batch; whose sender was never a member is `None`.
async fn look<'a>(
    tx: &mut SqliteConnection,
    batch: &'a [NewMessage],
) -> Result<(Known<'a>, Vec<Option<Found>>)> {
    let items = batch.iter().map(|item| (item.room.as_str(), item.sender.as_str(), item.key.as_str()));
    let rows = sqlx::query(include_str!("sql/append_known.sql")).bind(json(items)).fetch_all(tx).await?;

    let mut known = Known::default();
    let mut found: Vec<_> = batch.iter().map(|_| None).collect();
    for row in rows {
        let (n, room) = (row.int("n")? as usize, row.int("number")?);
        known.rooms.entry(room).or_insert(Room {
            head: row.count("head")?,
            messages: row.count("messages")?,
            newest: None,
        });
        known.senders.entry((room, batch[n].sender.as_str())).or_insert(Sender {
            may_write: row.int("deleted_at")? == 0 && row.int("active")? != 0,
            sent: row.count("sent")?,
            raised: false,
        });
        found[n] = Some(Found { room, first: first(&row)? });
    }
    Ok((known, found))
}

fn first(row: &SqliteRow) -> Result<Option<First>> {
    if row.try_get::<Option<&str>, _>("id")?.is_none() {
        return Ok(None);
    }
    Ok(Some(First {
        id: message_id(row)?,
        seq: row.count("seq")?,
        ordinal: row.count("ordinal")?,
        time: row.int("sent_at")?,
        digest: row.int("digest")?,
    }))
}

/// A new message and its numbers.
struct Placed<'a> {
    place: i64,
    item: &'a NewMessage,
    seq: Seq,
    ordinal: u64,
    sender_ordinal: u64,
}

/// Rows that one statement inserts, and the statement. A batch of any size
/// takes a few statements that are prepared once.
static INSERTS: LazyLock<[(usize, String); 9]> = LazyLock::new(|| {
    [256, 128, 64, 32, 16, 8, 4, 2, 1].map(|rows| {
        let row = format!("({})", ["?"; 14].join(", "));
        (rows, format!("{} VALUES {}", include_str!("sql/append_messages.sql"), vec![row; rows].join(", ")))
    })
});

/// Writes messages in the order of their places, as the table keeps them. Values
/// are bound one by one, which costs half of what it costs to take them out of JSON.
async fn insert(tx: &mut SqliteConnection, mut messages: Vec<Placed<'_>>) -> Result<()> {
    messages.sort_by_key(|message| message.place);
    let mut rest = messages.as_slice();
    for (rows, statement) in &*INSERTS {
        let mut chunks = rest.chunks_exact(*rows);
        for chunk in &mut chunks {
            let mut query = sqlx::query(statement.as_str());
            for Placed { place, item, seq, ordinal, sender_ordinal } in chunk {
                query = query
                    .bind(place)
                    .bind(item.id.as_str())
                    .bind(*ordinal as i64)
                    .bind(item.sender.as_str())
                    .bind(*sender_ordinal as i64)
                    .bind(&item.name)
                    .bind(&item.key)
                    .bind(item.r#type as i32)
                    .bind(&item.text)
                    .bind(&item.data)
                    .bind(item.digest)
                    .bind(item.time)
                    .bind(*seq as i64)
                    .bind(creation_check(&item.id));
            }
            query.execute(&mut *tx).await?;
        }
        rest = chunks.remainder();
    }
    Ok(())
}

/// Three statements that are executed as one.
const RAISE: &str = concat!(
    include_str!("sql/append_rooms.sql"),
    ";",
    include_str!("sql/append_counts.sql"),
    ";",
    include_str!("sql/note_rooms.sql"),
);

/// Raises rooms and counts of senders, and notes the rooms as active.
async fn raise(tx: &mut SqliteConnection, batch: &[NewMessage], known: Known<'_>) -> Result<()> {
    let mut active = Vec::new();
    let rooms = known.rooms.into_iter().filter_map(|(number, room)| {
        let newest = &batch[room.newest?];
        active.push(newest.room.as_str());
        Some((number, room.head, creation_check(&newest.id), room.messages, newest.time))
    });
    let rooms = json(rooms);
    let senders = known.senders.into_iter().filter(|(_, sender)| sender.raised);
    let counts = senders.map(|((room, user), sender)| (room, user, sender.sent));
    sqlx::query(RAISE).bind(rooms).bind(json(counts)).bind(json(active)).execute(tx).await?;
    Ok(())
}
