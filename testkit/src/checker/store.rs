//! C1 to C3: what was sent against what is stored.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use proto::Seq;
use proto::v1;

use super::history::{History, Outcome, Send};
use super::{Check, Report};

pub(super) fn check(history: &History, report: &mut Report) {
    let mut sends: HashMap<(&str, &str, &str), Vec<&Send>> = HashMap::new();
    for send in &history.sends {
        sends.entry((&send.send.room, &send.user, &send.send.key)).or_default().push(send);
    }
    for (room, state) in &history.rooms {
        let mut rows: HashMap<(&str, &str), Vec<&v1::Message>> = HashMap::new();
        for message in &state.messages {
            rows.entry((&message.sender, &message.key)).or_default().push(message);
            let of_key = sends.get(&(room.as_str(), message.sender.as_str(), message.key.as_str()));
            row_was_sent(room, message, of_key.map_or(&[], Vec::as_slice), report);
        }
        for ((sender, key), rows) in rows.iter().filter(|(_, rows)| rows.len() > 1) {
            let seqs: Vec<_> = rows.iter().map(|row| row.seq).collect();
            report.add(
                Check::C2,
                format!("room {room}: key {key} of {sender} is stored {} times: {seqs:?}", rows.len()),
            );
        }
        rows_are_numbered(room, &state.messages, report);
        for send in history.sends.iter().filter(|send| send.send.room == *room) {
            let of_key = rows.get(&(send.user.as_str(), send.send.key.as_str()));
            answers_are_stored(send, of_key.map_or(&[], Vec::as_slice), report);
        }
    }
    order_in_time(history, report);
    order_of_sessions(history, report);
}

fn named(send: &Send) -> String {
    format!("room {}: send {} of {}", send.send.room, send.send.key, send.user)
}

/// C1.
fn answers_are_stored(send: &Send, rows: &[&v1::Message], report: &mut Report) {
    let Some((_, first)) = send.answer() else { return };
    for attempt in &send.attempts {
        if let Outcome::Answered { sent, .. } = &attempt.outcome
            && (&sent.message, sent.seq) != (&first.message, first.seq)
        {
            let (a, b) = (first.seq, sent.seq);
            report.add(Check::C1, format!("{} was answered with seq {a} and with seq {b}", named(send)));
        }
    }
    match rows {
        [row] if row.id != first.message || row.seq != first.seq => {
            let (answered, stored) = (first.seq, row.seq);
            report.add(
                Check::C1,
                format!("{} was answered with seq {answered}, stored at {stored}", named(send)),
            );
        }
        [row] if !holds(row, &send.send) => {
            report.add(Check::C1, format!("{} is stored with other content: {row:?}", named(send)));
        }
        [_] => {}
        _ => {
            let (count, seq) = (rows.len(), first.seq);
            report
                .add(Check::C1, format!("{} was answered with seq {seq}, stored {count} times", named(send)));
        }
    }
}

/// Whether the row is this message, as far as edits and deletions let one see.
fn holds(row: &v1::Message, send: &v1::Send) -> bool {
    row.deleted_at != 0
        || (row.r#type == send.r#type
            && row.data == send.data
            && (row.edited_at != 0 || row.text == send.text))
}

/// C2, but for rows that share a key.
fn row_was_sent(room: &str, row: &v1::Message, sends: &[&Send], report: &mut Report) {
    let row_name = format!("room {room}: the message {} (seq {}) of {}", row.id, row.seq, row.sender);
    let mut candidates = sends.iter().filter(|send| holds(row, &send.send)).peekable();
    if candidates.peek().is_none() {
        report.add(Check::C2, format!("{row_name} was never sent"));
    } else if candidates.all(|send| send.is_refused()) {
        report.add(Check::C2, format!("{row_name} was refused and is stored"));
    }
}

/// Seqs rise without a repeat; ordinals count the messages.
fn rows_are_numbered(room: &str, rows: &[v1::Message], report: &mut Report) {
    for (index, row) in rows.iter().enumerate() {
        if row.ordinal != index as u64 + 1 || (index > 0 && rows[index - 1].seq >= row.seq) {
            let (seq, ordinal) = (row.seq, row.ordinal);
            report.add(
                Check::C2,
                format!("room {room}: message {index} in order has seq {seq}, ordinal {ordinal}"),
            );
            return;
        }
    }
}

/// C3 between any two sends, of whomever.
fn order_in_time(history: &History, report: &mut Report) {
    type Step<'a> = (Duration, bool, &'a Send, Seq);
    let mut steps: BTreeMap<&str, Vec<Step<'_>>> = BTreeMap::new();
    for send in &history.sends {
        let Some((answered, sent)) = send.answer() else { continue };
        let steps = steps.entry(&send.send.room).or_default();
        // At the same instant nothing is before anything: begin first.
        steps.push((send.invoked(), false, send, sent.seq));
        steps.push((answered, true, send, sent.seq));
    }
    for mut steps in steps.into_values() {
        steps.sort_by_key(|(at, is_answer, ..)| (*at, *is_answer));
        let mut newest: Option<(&Send, Seq)> = None;
        for (_, is_answer, send, seq) in steps {
            match newest {
                Some((before, newest)) if !is_answer && newest > seq => {
                    let before = &before.send.key;
                    report.add(
                        Check::C3,
                        format!(
                            "{} began after {before} was answered with {newest}, and got {seq}",
                            named(send)
                        ),
                    );
                }
                Some((_, known)) if known >= seq => {}
                _ if is_answer => newest = Some((send, seq)),
                _ => {}
            }
        }
    }
}

/// C3 within a connection: several on the way at once keep their order. Only
/// first attempts count: a repeat is answered with its first result.
fn order_of_sessions(history: &History, report: &mut Report) {
    let mut newest: HashMap<(usize, &str), (&Send, Seq)> = HashMap::new();
    let mut first: Vec<_> = history
        .sends
        .iter()
        .filter_map(|send| {
            let attempt = send.attempts.first()?;
            match &attempt.outcome {
                Outcome::Answered { sent, .. } => Some((attempt.session, attempt.invoked, send, sent.seq)),
                _ => None,
            }
        })
        .collect();
    // Stable: what began in the same instant is in the order of the transcript.
    first.sort_by_key(|(session, invoked, ..)| (*session, *invoked));
    for (session, _, send, seq) in first {
        let newest = newest.entry((session, &send.send.room)).or_insert((send, seq));
        if seq < newest.1 {
            let (before, newest) = (&newest.0.send.key, newest.1);
            report.add(
                Check::C3,
                format!(
                    "{} was sent after {before} on one connection, and got {seq}, not above {newest}",
                    named(send)
                ),
            );
        } else {
            *newest = (send, seq);
        }
    }
}
