//! Whether what everybody heard is what is stored, at the end: every answered
//! message once, in its last version, and every device has heard all of it.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, stream};
use proto::Cursor;
use serde::de::DeserializeOwned;

use super::ledger::{Ledger, Name, Newest, Said, Version};
use super::world::World;
use crate::scenario::chance::pause;

/// Rooms that are read at once.
const AT_ONCE: usize = 8;
/// Attempts to read a page: a server may just be coming back.
const ATTEMPTS: u32 = 30;
/// Messages in a page.
const PAGE: usize = 100;

/// A message as the store has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stored {
    seq: u64,
    version: Version,
}

/// Reads all rooms and compares.
pub async fn verify(world: &World) -> anyhow::Result<()> {
    let mut found: Vec<_> =
        world.records.iter().map(|record| vec![false; record.borrow().sent as usize]).collect();
    let mut rooms = stream::iter(0..world.rooms.len())
        .map(|room| async move { (room, stored(world, room).await) })
        .buffer_unordered(AT_ONCE);
    while let Some((room, stored)) = rooms.next().await {
        let stored = stored?;
        let board = &mut *world.board.borrow_mut();
        for message in &stored {
            let (sender, number) = message.version.name;
            match found.get_mut(sender as usize).and_then(|sent| sent.get_mut(number as usize)) {
                Some(found) if !*found => *found = true,
                Some(_) => {
                    board.violations.wrong.not_as_sent += 1;
                    board.violations.push(format!("{} is stored twice", message.version));
                }
                None => {
                    board.violations.wrong.not_as_sent += 1;
                    board.violations.push(format!("{} was never sent", message.version));
                }
            }
        }
        let newest = board.ledgers[room].newest();
        for why in compare(&stored, &board.ledgers[room], &newest) {
            board.violations.wrong.not_as_stored += 1;
            board.violations.push(format!("room {room}: {why}"));
        }
        let seqs = newest.seqs();
        for device in &world.population.heard_by[room] {
            let place = world.rooms_of(*device).binary_search(&room).unwrap_or_default();
            let view = &world.records[*device].borrow().views[place];
            if let Some((count, first)) = view.missed(&seqs).filter(|_| !view.is_reset) {
                let all = seqs.len();
                board.violations.wrong.lost += count as u64;
                board.violations.push(format!(
                    "room {room}, device {device}: never heard {count} of {all}, the first is seq {first}"
                ));
            }
        }
    }
    drop(rooms);
    for (device, found) in found.iter().enumerate() {
        let record = world.records[device].borrow();
        for (number, found) in (0u32..).zip(found) {
            let name = format!("message {number} of device {device}");
            if record.open.contains(&number) {
                world.violation(format!("{name} was never answered"));
            } else if record.refused.contains(&number) == *found {
                let how = if *found { "refused, and is stored" } else { "answered, and is not stored" };
                world.board.borrow_mut().violations.wrong.not_as_sent += 1;
                world.violation(format!("{name} was {how}"));
            }
        }
    }
    Ok(())
}

/// What is wrong with what is stored of a room, in the order of its seqs, beside
/// what was heard of it.
fn compare(stored: &[Stored], ledger: &Ledger, newest: &Newest) -> Vec<String> {
    let mut wrong = Vec::new();
    if !stored.is_sorted_by(|one, other| one.seq < other.seq) {
        wrong.push("the store is not in order".to_owned());
    }
    let mut names: HashSet<Name> = HashSet::with_capacity(stored.len());
    for Stored { seq, version } in stored {
        names.insert(version.name);
        match newest.of(version.name) {
            None => wrong.push(format!("nobody heard of {version}, which is stored at {seq}")),
            Some((_, last)) if last != version.version => {
                wrong.push(format!("{version} is stored, and version {last} was heard last"));
            }
            Some(_) => {}
        }
        let created = Version { version: 0, ..*version };
        if let Some(heard) = ledger.get(*seq).filter(|heard| *heard != created) {
            wrong.push(format!("{version} is stored at {seq}, where {heard} was heard"));
        }
    }
    for (sender, number) in newest.names().filter(|name| !names.contains(name)) {
        wrong.push(format!("message {number} of device {sender} was heard, and is not stored"));
    }
    wrong
}

/// Whether a page of history agrees with what was heard: seqs of creations, texts.
pub fn page(room: usize, page: &[(u64, String)], ledger: &Ledger) -> Result<(), String> {
    if !page.is_sorted_by(|(one, _), (other, _)| one < other) {
        return Err(format!("a page of room {room} is not in order"));
    }
    for (seq, text) in page {
        let said = Said::parse(text).filter(|said| said.room == room);
        let said = said.ok_or_else(|| format!("a page of room {room} has {text}"))?;
        let created = Version { version: 0, ..said.version };
        if let Some(heard) = ledger.get(*seq).filter(|heard| *heard != created) {
            return Err(format!("a page of room {room} has {} at {seq}, not {heard}", said.version));
        }
    }
    Ok(())
}

/// Everything that is stored in a room, in order.
async fn stored(world: &World, room: usize) -> anyhow::Result<Vec<Stored>> {
    let mut stored = Vec::new();
    let mut before = 0;
    loop {
        let path = format!("/messages?limit={PAGE}&before={before}");
        let page: proto::v1::History = get(world, room, &path).await?;
        for message in page.messages.iter().rev() {
            let said = Said::parse(&message.text).filter(|said| said.room == room);
            let said = said.with_context(|| format!("room {room} has {:?} in the store", message.text))?;
            stored.push(Stored { seq: message.seq, version: said.version });
        }
        if !page.more {
            stored.reverse();
            return Ok(stored);
        }
        let first = page.messages.first().context("a page with nothing in it that says there is more")?;
        ensure!(before == 0 || first.seq < before, "pages of room {room} do not end");
        before = first.seq;
    }
}

/// The seq of the last change of each room.
pub async fn heads(world: &World) -> anyhow::Result<Vec<u64>> {
    let mut heads = vec![0; world.rooms.len()];
    let mut rooms = stream::iter(0..heads.len())
        .map(|room| async move { (room, get::<proto::v1::RoomSummary>(world, room, "").await) })
        .buffer_unordered(AT_ONCE);
    while let Some((room, summary)) = rooms.next().await {
        // No client looks into a cursor; a checker has to know where the end is.
        heads[room] = summary?.cursor.parse::<Cursor>().context("a room's cursor")?.seq;
    }
    Ok(heads)
}

/// Asks any server for something of a room, in the name of its first member.
async fn get<T: DeserializeOwned>(world: &World, room: usize, path: &str) -> anyhow::Result<T> {
    let token = &world.tokens[world.population.members[room][0]];
    let ask = async |target: &str| {
        let url = format!("{target}/v1/rooms/{}{path}", world.rooms[room].id);
        let answer = world.http.get(url).bearer_auth(token).send().await?.error_for_status()?;
        anyhow::Ok(serde_json::from_str(&answer.text().await?)?)
    };
    let mut attempt = 0;
    loop {
        match ask(&world.targets[(room + attempt as usize) % world.targets.len()]).await {
            Ok(found) => return Ok(found),
            Err(error) if attempt >= ATTEMPTS => return Err(error.context(format!("reading room {room}"))),
            Err(_) => tokio::time::sleep(pause(attempt, room as u64).min(Duration::from_secs(1))).await,
        }
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u32, version: u32) -> Version {
        Version { name: (1, number), version }
    }

    fn stored(seq: u64, number: u32, of: u32) -> Stored {
        Stored { seq, version: version(number, of) }
    }

    /// Heard: message 0, message 1, an edit of 0, and 2 in its first edit only.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::after(0);
        for (seq, of) in [(1, version(0, 0)), (2, version(1, 0)), (3, version(0, 1)), (5, version(2, 1))] {
            ledger.note(seq, of).unwrap();
        }
        ledger
    }

    #[test]
    fn the_store_and_those_who_heard_agree_or_it_is_named() {
        let ledger = ledger();
        let newest = ledger.newest();
        let wrong = |stored: &[Stored]| compare(stored, &ledger, &newest);
        let good = [stored(1, 0, 1), stored(2, 1, 0), stored(4, 2, 1)];
        assert!(wrong(&good).is_empty(), "{:?}", wrong(&good));
        for (bad, said) in [
            ([stored(1, 0, 0), good[1], good[2]], "version 0 is stored, and version 1 was heard last"),
            ([good[1], good[0], good[2]], "not in order"),
            ([good[0], stored(2, 3, 0), good[2]], "nobody heard of message 3"),
            ([good[0], good[1], stored(3, 2, 1)], "is stored at 3, where message 0"),
            ([good[0], good[1], good[1]], "message 2 of device 1 was heard, and is not stored"),
        ] {
            assert!(wrong(&bad).iter().any(|wrong| wrong.contains(said)), "{said}: {:?}", wrong(&bad));
        }
    }

    #[test]
    fn a_page_that_is_not_of_its_room_or_out_of_order_is_named() {
        let text =
            |number, version_of, room| Said { version: version(number, version_of), room, at: 0 }.to_string();
        let check = |list: &[(u64, String)]| page(7, list, &ledger());
        assert_eq!(check(&[(1, text(0, 1, 7)), (2, text(1, 0, 7)), (4, text(2, 0, 7))]), Ok(()));
        for bad in [
            vec![(1, text(0, 0, 8))],
            vec![(2, text(1, 0, 7)), (1, text(0, 0, 7))],
            vec![(2, text(0, 0, 7))],
            vec![(1, "hello".to_owned())],
        ] {
            assert!(check(&bad).is_err(), "{bad:?}");
        }
    }
}
