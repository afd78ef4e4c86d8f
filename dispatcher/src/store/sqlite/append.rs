//! The path of a message: a handful of statements for a batch, however large.
//!
//! The file's lock is held: what the first two statements see stays true until
//! the commit. They look at senders and keys; what is new is placed here, and
//! written by the others.

use std::collections::HashMap;
use std::sync::LazyLock;

use proto::{MessageId, Seq};
use sqlx::SqliteConnection;

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
struct Sender<'a> {
    id: &'a str,
    room: i64,
    may_write: bool,
    sent: u64,
    raised: bool,
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
    let (mut rooms, mut senders, sender_of) = senders(tx, batch).await?;
    let firsts = firsts(tx, batch, &senders, &sender_of).await?;

    let mut messages = Vec::new();
    let mut answers = Vec::with_capacity(batch.len());
    for (n, (item, sender)) in batch.iter().zip(sender_of).enumerate() {
        let sender = senders[sender].as_mut();
        // A key is looked at before the membership: who was removed since may
        // still ask what became of a send.
        answers.push(match (firsts.get(&n), sender) {
            (Some(first), _) if first.digest == item.digest => Appended::Repeated {
                id: first.id.clone(),
                seq: first.seq,
                ordinal: first.ordinal,
                time: first.time,
            },
            (Some(_), _) => Appended::Conflict,
            (None, Some(sender)) if sender.may_write => {
                let room = rooms.get_mut(&sender.room).expect("every sender's room was read");
                room.head += 1;
                room.messages += 1;
                room.newest = Some(n);
                sender.sent += 1;
                sender.raised = true;
                let (seq, ordinal) = (room.head, room.messages);
                let place = place(sender.room, seq);
                messages.push(Placed { place, item, seq, ordinal, sender_ordinal: sender.sent });
                Appended::Stored { seq, ordinal }
            }
            _ => Appended::NotMember,
        });
    }
    if !messages.is_empty() {
        insert(tx, messages).await?;
        raise(tx, batch, rooms, senders).await?;
    }
    Ok(answers)
}

/// Rooms by number, senders, and which of them each item of the batch has.
type Senders<'a> = (HashMap<i64, Room>, Vec<Option<Sender<'a>>>, Vec<usize>);

/// Reads the rooms and senders of a batch; who was never a member is `None`.
async fn senders<'a>(tx: &mut SqliteConnection, batch: &'a [NewMessage]) -> Result<Senders<'a>> {
    let mut pairs = Vec::new();
    let mut known = HashMap::new();
    let mut sender_of = Vec::with_capacity(batch.len());
    for item in batch {
        let pair = (item.room.as_str(), item.sender.as_str());
        let next = pairs.len();
        let n = *known.entry(pair).or_insert(next);
        if n == next {
            pairs.push(pair);
        }
        sender_of.push(n);
    }
    let mut rooms = HashMap::new();
    let mut senders: Vec<_> = pairs.iter().map(|_| None).collect();
    let rows =
        sqlx::query(include_str!("sql/append_senders.sql")).bind(json(&pairs)).fetch_all(&mut *tx).await?;
    for row in rows {
        let room = row.int("number")?;
        rooms.entry(room).or_insert(Room {
            head: row.count("head")?,
            messages: row.count("messages")?,
            newest: None,
        });
        let may_write = row.int("deleted_at")? == 0 && row.int("active")? != 0;
        let sent = row.count("sent")?;
        let n = row.int("n")? as usize;
        senders[n] = Some(Sender { id: pairs[n].1, room, may_write, sent, raised: false });
    }
    Ok((rooms, senders, sender_of))
}

/// What was stored before with the keys of a batch, by the places of the items.
async fn firsts(
    tx: &mut SqliteConnection,
    batch: &[NewMessage],
    senders: &[Option<Sender<'_>>],
    sender_of: &[usize],
) -> Result<HashMap<usize, First>> {
    let keys = json(batch.iter().zip(sender_of).enumerate().filter_map(|(n, (item, sender))| {
        let room = senders[*sender].as_ref()?.room;
        Some((n, room, item.sender.as_str(), item.key.as_str()))
    }));
    let rows = sqlx::query(include_str!("sql/append_firsts.sql")).bind(keys).fetch_all(&mut *tx).await?;
    let first = |row| {
        let first = First {
            id: message_id(&row)?,
            seq: row.count("seq")?,
            ordinal: row.count("ordinal")?,
            time: row.int("sent_at")?,
            digest: row.int("digest")?,
        };
        Ok((row.int("n")? as usize, first))
    };
    rows.into_iter().map(first).collect()
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
static INSERTS: LazyLock<[(usize, String); 3]> = LazyLock::new(|| {
    [64, 8, 1].map(|rows| {
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

/// Raises rooms and counts of senders, and notes the rooms as active.
async fn raise(
    tx: &mut SqliteConnection,
    batch: &[NewMessage],
    rooms: HashMap<i64, Room>,
    senders: Vec<Option<Sender<'_>>>,
) -> Result<()> {
    let mut active = Vec::new();
    let raised = rooms.into_iter().filter_map(|(number, room)| {
        let newest = &batch[room.newest?];
        active.push(newest.room.as_str());
        Some((number, room.head, creation_check(&newest.id), room.messages, newest.time))
    });
    let raised = json(raised);
    sqlx::query(include_str!("sql/append_rooms.sql")).bind(raised).execute(&mut *tx).await?;

    let counts = senders.into_iter().flatten().filter(|sender| sender.raised);
    let counts = counts.map(|sender| (sender.room, sender.id, sender.sent));
    sqlx::query(include_str!("sql/append_counts.sql")).bind(json(counts)).execute(&mut *tx).await?;
    sqlx::query(include_str!("sql/note_rooms.sql")).bind(json(active)).execute(&mut *tx).await?;
    Ok(())
}
