//! Many at once: order without gaps (P2), one message per key (P4), no window
//! in which the removed can write (P5), and reads that see one moment.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dispatcher::store::{Appended, Store, StoreError};
use proto::v1::{RoomKind, change::Thing};
use proto::{Cursor, RoomId, Seq};
use tokio::task::JoinSet;

use super::feed::Client;
use super::world::{World, keyed, message, new_room, room, room_feed, user};

/// Runs tasks side by side to their ends.
async fn all<T: Send + 'static>(
    tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    tasks.into_iter().collect::<JoinSet<_>>().join_all().await
}

/// P2: whoever writes whatever, a feed counts 1, 2, 3.
pub async fn a_feed_has_no_gaps_under_load(store: Arc<dyn Store>) {
    const ROUNDS: usize = 12;
    let world = World(store);
    let rooms =
        [world.group("tea", &["ann", "bob", "cat"]).await, world.group("art", &["ann", "bob", "cat"]).await];
    let senders = ["ann", "bob", "cat", "ann"].into_iter().enumerate().map(|(task, sender)| {
        let (world, rooms) = (world.clone(), rooms.clone());
        async move {
            let mut sent = Vec::new();
            for round in 0..ROUNDS {
                // Rooms in either order: nobody may lock them crosswise.
                let order = if task % 2 == 0 { [0, 1, 0] } else { [1, 0, 1] };
                let batch: Vec<_> =
                    order.map(|n| message(&rooms[n], sender, &format!("{task} {round}"))).into();
                for (new, answer) in batch.iter().zip(patiently(&world, &batch).await) {
                    let Appended::Stored { seq, .. } = answer else { panic!("{answer:?}") };
                    sent.push((new.room.clone(), seq, new.id.clone()));
                }
            }
            sent
        }
    });
    let changers = rooms.clone().map(|room| {
        let world = world.clone();
        async move {
            for i in 0..ROUNDS {
                world.add(&room, &["eve"]).await;
                world.change_room(&room, |row| row.name = format!("{i}")).await;
                world.remove(&room, &["eve"]).await;
            }
        }
    });
    let changed = tokio::spawn(all(changers));
    let sent: Vec<_> = all(senders).await.into_iter().flatten().collect();
    changed.await.expect("no panic");

    for room in &rooms {
        let head = world.cursor(&room_feed(room)).await.seq;
        // Creation and three members, six messages of four senders a round, three changes a round.
        assert_eq!(head as usize, 4 + ROUNDS * (2 * 2 + 1 + 1) + ROUNDS * 3);
        let messages = world.messages(room).await;
        assert!(messages.iter().enumerate().all(|(i, message)| message.ordinal == i as u64 + 1));
        let own: HashSet<_> =
            sent.iter().filter(|(of, ..)| of == room).map(|(_, seq, id)| (*seq, id.as_str())).collect();
        let stored: HashSet<_> = messages.iter().map(|message| (message.seq, message.id.as_str())).collect();
        assert_eq!(own, stored);
        // Every seq is known by its check value: each is a cursor to resume from.
        assert_gapless(&world, room, head).await;
        let sum: u64 = {
            let mut sum = 0;
            for id in ["ann", "bob", "cat"] {
                sum += world.member(room, &user(id)).await.expect("read").expect("a member").sent;
            }
            sum
        };
        assert_eq!(sum as usize, messages.len());
    }
}

/// Pages of one change go through places that lie between folded things.
async fn assert_gapless(world: &World, room: &RoomId, head: Seq) {
    let mut client = Client::default();
    let end = client.catch_up(world, &room_feed(room), Cursor::START, 1).await;
    assert_eq!(end.seq, head);
}

/// Appends, again where another transaction was first.
async fn patiently(world: &World, batch: &[dispatcher::store::NewMessage]) -> Vec<Appended> {
    loop {
        match world.append(batch).await {
            Err(StoreError::Contention(_)) => tokio::task::yield_now().await,
            answers => return answers.expect("append"),
        }
    }
}

/// P4: the same key on two ways at once is stored once, and both are told so.
pub async fn a_key_on_two_ways_is_stored_once(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann"]).await;
    for round in 0..20 {
        let key = format!("k{round}");
        let ways = (0..3).map(|way| {
            let (world, tea, key) = (world.clone(), tea.clone(), key.clone());
            async move {
                let other = message(&tea, "ann", &format!("with it {way}"));
                patiently(&world, &[other, keyed(&tea, "ann", &key, "hi")]).await.remove(1)
            }
        });
        let answers = all(ways).await;
        let first = answers.iter().find_map(|answer| match answer {
            Appended::Stored { seq, ordinal } => Some((*seq, *ordinal)),
            _ => None,
        });
        let first = first.expect("one is stored");
        let repeated = answers.iter().filter(
            |answer| matches!(answer, Appended::Repeated { seq, ordinal, .. } if (*seq, *ordinal) == first),
        );
        assert_eq!(repeated.count(), 2, "{answers:?}");
    }
    assert_eq!(world.messages(&tea).await.len(), 20 + 60);
    assert_eq!(world.cursor(&room_feed(&tea)).await.seq, 2 + 80);
}

/// P5: no message of a member has a seq after their removal.
pub async fn removal_stops_a_sender_at_once(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann", "bob"]).await;
    let senders =
        [(world.clone(), tea.clone()), (world.clone(), tea.clone())].map(|(world, tea)| async move {
            let mut last = 0;
            loop {
                match patiently(&world, &[message(&tea, "bob", "still here")]).await.remove(0) {
                    Appended::Stored { seq, .. } => last = seq,
                    Appended::NotMember => return last,
                    other => panic!("{other:?}"),
                }
            }
        });
    let senders = tokio::spawn(all(senders));
    testkit::eventually("some messages", std::time::Duration::from_secs(30), async || {
        let messages = world.history(&tea, 0, 20).await.expect("history").0;
        (messages.len() >= 10).then_some(())
    })
    .await;
    let removal = world.remove(&tea, &["bob"]).await;
    for last in senders.await.expect("no panic") {
        assert!(last < removal, "{last} is not before {removal}");
    }
    assert_eq!(world.heads(&[room_feed(&tea)]).await.expect("heads"), [removal]);
}

/// Two users who write each other first at the same time meet in one room.
pub async fn a_pair_meets_in_one_direct_room(store: Arc<dyn Store>) {
    let world = World(store);
    for round in 0..10 {
        let meet = (0..3).map(|way| {
            let world = world.clone();
            async move {
                let (low, high) = (user(&format!("a{round}")), user(&format!("b{round}")));
                let pair = if way % 2 == 0 { (&low, &high) } else { (&high, &low) };
                let id = room(&format!("{round}-{way}"));
                loop {
                    let attempt = async {
                        let mut tx = world.begin().await?;
                        if let Some(found) = tx.direct_room(pair.0, pair.1).await? {
                            return Ok(Some(found));
                        }
                        let row = new_room(&id, RoomKind::Direct, pair.0.as_str());
                        if !tx.insert_room(&row, Some(pair), "").await? {
                            return Ok(None);
                        }
                        tx.commit().await?;
                        Ok(Some(id.clone()))
                    };
                    match attempt.await {
                        Ok(Some(room)) => return room,
                        Ok(None) | Err(StoreError::Contention(_)) => tokio::task::yield_now().await,
                        Err(error) => panic!("{error:?}"),
                    }
                }
            }
        });
        let rooms: HashSet<_> = all(meet).await.into_iter().collect();
        assert_eq!(rooms.len(), 1, "{rooms:?}");
    }
}

/// P3: a read in the middle of writes is the state of one moment: what it
/// reaches is what it tells.
pub async fn reads_see_one_moment(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann", "bob"]).await;
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (world, tea, done) = (world.clone(), tea.clone(), done.clone());
        async move {
            for i in 0..40 {
                let sent = world.send(&tea, "ann", &format!("{i}")).await;
                world.edit(&sent.id, "edited").await;
                world.read(&tea, "bob", sent.seq).await;
            }
            done.store(true, Ordering::Release);
        }
    });
    let feed = room_feed(&tea);
    loop {
        let last = done.load(Ordering::Acquire);
        let changes = world.since(&feed, Cursor::START).await;
        let newest = changes.changes.last().expect("not empty");
        assert_eq!((newest.seq, newest.check), (changes.to, changes.check));
        let messages =
            changes.changes.iter().filter(|change| matches!(change.thing, Some(Thing::Message(_))));
        // Besides three first changes, each message was created, and edited unless it is the newest.
        let messages = messages.count() as u64;
        assert!([3 + 2 * messages, 2 + 2 * messages].contains(&changes.to), "{messages} at {}", changes.to);

        let snapshot = world.snapshot(&user("bob"), 1, 10).await.expect("snapshot");
        let summary = &snapshot.rooms[0];
        let at: Cursor = summary.cursor.parse().expect("a cursor");
        let ordinal = summary.last_message.as_ref().map_or(0, |message| message.ordinal);
        assert!([3 + 2 * ordinal, 2 + 2 * ordinal].contains(&at.seq), "{ordinal} at {at}");
        assert!(summary.unread <= 1);
        let mark = summary.read_marks.iter().find(|mark| mark.user == "bob").expect("bob's mark");
        assert_eq!(mark.seq, summary.read_seq);
        if last {
            assert_eq!((messages, summary.unread), (40, 0));
            break;
        }
    }
    writer.await.expect("no panic");
}

/// P1, P4: a send whose caller has gone is stored whole or not at all, and a
/// retry finds out; nobody waits for what it left behind.
pub async fn an_abandoned_append_is_whole_or_absent(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann"]).await;
    let mut batches = Vec::new();
    for round in 0..40 {
        let batch: Vec<_> = (0..5).map(|i| keyed(&tea, "ann", &format!("{round} {i}"), "hi")).collect();
        let task = tokio::spawn({
            let (world, batch) = (world.clone(), batch.clone());
            async move { drop(world.append(&batch).await) }
        });
        // Let go at another point each time.
        for _ in 0..round * 3 {
            tokio::task::yield_now().await;
        }
        task.abort();
        batches.push(batch);
    }
    let mut stored = 0;
    for batch in batches {
        let answers = patiently(&world, &batch).await;
        let new = answers.iter().filter(|answer| matches!(answer, Appended::Stored { .. })).count();
        assert!([0, 5].contains(&new), "{answers:?}");
        stored += answers.len();
    }
    let messages = world.messages(&tea).await;
    assert_eq!(messages.len(), stored);
    assert!(messages.iter().enumerate().all(|(i, message)| message.ordinal == i as u64 + 1));
    assert_eq!(world.cursor(&room_feed(&tea)).await.seq as usize, 2 + stored);
}
