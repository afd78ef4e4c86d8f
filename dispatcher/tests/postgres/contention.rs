//! Several dispatchers on one database.

use std::collections::HashMap;
use std::sync::Arc;

use dispatcher::store::{Appended, NewMessage, Store};
use futures_util::future::join_all;
use proto::{Cursor, FeedId};

use crate::world::{group, message, room, seq, shared_database, store, user};

/// Trap 16: one of them waits for the room, and must then see the key that the
/// other has just committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p4_a_key_sent_through_two_dispatchers_at_once_is_stored_once() {
    let url = shared_database().await;
    let stores = [store(&url, 2).await, store(&url, 2).await, store(&url, 2).await];
    group(&stores[0], &room(0), (0..2).map(user)).await;
    for round in 0..40u64 {
        let sent = message(&room(0), &user(0));
        let racing = stores.iter().map(|store| {
            let id = message(&room(0), &user(0)).id;
            let batch = [NewMessage { id, ..sent.clone() }, message(&room(0), &user(1))];
            async move { store.append(&batch).await.expect("append") }
        });
        let answers = join_all(racing).await;
        let stored: Vec<_> = answers.iter().filter_map(|answer| seq(&answer[0])).collect();
        assert_eq!(stored.len(), 1, "round {round}: {answers:?}");
        for answer in &answers {
            match &answer[0] {
                Appended::Repeated { seq, .. } => assert_eq!(*seq, stored[0]),
                Appended::Stored { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        // Gapless: two members at the start, then one and three of each round.
        let head = stores[0].heads(&[FeedId::Room(room(0))]).await.expect("heads")[0];
        assert_eq!(head, 2 + (round + 1) * 4);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_batches_over_the_same_rooms_in_any_order_leave_no_gap() {
    const ROOMS: usize = 8;
    const BATCHES: usize = 12;
    let url = shared_database().await;
    let store = Arc::new(store(&url, 4).await);
    for n in 0..ROOMS {
        group(&store, &room(n), (0..4).map(user)).await;
    }
    let sends = (0..4).map(|sender| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut seqs: HashMap<usize, Vec<u64>> = HashMap::new();
            for batch in 0..BATCHES {
                // Each in another order of rooms.
                let rooms: Vec<usize> =
                    (0..ROOMS * 2).map(|n| (n * (sender * 2 + 1) + batch) % ROOMS).collect();
                let messages: Vec<_> = rooms.iter().map(|n| message(&room(*n), &user(sender))).collect();
                let answers = store.append(&messages).await.expect("no deadlock");
                for (n, answer) in rooms.iter().zip(&answers) {
                    seqs.entry(*n).or_default().push(seq(answer).expect("stored"));
                }
            }
            seqs
        })
    });
    let mut all: HashMap<usize, Vec<u64>> = HashMap::new();
    for seqs in join_all(sends).await {
        for (room, seqs) in seqs.expect("joined") {
            assert!(seqs.is_sorted(), "one connection's messages in its order");
            all.entry(room).or_default().extend(seqs);
        }
    }
    for (n, mut seqs) in all {
        seqs.sort_unstable();
        let first = 5u64;
        assert_eq!(seqs, (first..first + seqs.len() as u64).collect::<Vec<_>>());
        let changes = store.changes(&FeedId::Room(room(n)), Cursor::START, 1000).await.expect("changes");
        assert_eq!(changes.to, *seqs.last().expect("some"));
        assert_eq!(changes.changes.len() as u64, changes.to);
        let mut tx = store.begin().await.expect("begin");
        let rows = tx.members(&room(n), &(0..4).map(user).collect::<Vec<_>>()).await.expect("members");
        assert_eq!(rows.iter().map(|row| row.sent).sum::<u64>(), seqs.len() as u64);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_held_too_long_is_contention_and_a_dropped_command_lets_go() {
    let url = shared_database().await;
    let store = Arc::new(store(&url, 3).await);
    group(&store, &room(0), (0..2).map(user)).await;

    // Dropped without a commit: nothing of it, and the lock is gone.
    let mut tx = store.begin().await.expect("begin");
    let mut row = tx.lock_room(&room(0)).await.expect("lock").expect("a room");
    row.name = "never".into();
    tx.update_room(&row, row.head + 1, &[]).await.expect("update");
    drop(tx);
    store.append(&[message(&room(0), &user(0))]).await.expect("not held any more");
    let mut tx = store.begin().await.expect("begin");
    assert_eq!(tx.lock_room(&room(0)).await.expect("lock").expect("a room").name, "room");

    // Held by one who says nothing: the server ends it before others give up.
    store.append(&[message(&room(0), &user(0))]).await.expect("gets through");
    let error = tx.commit().await.expect_err("ended by the server");
    assert!(error.is_transient());
}
