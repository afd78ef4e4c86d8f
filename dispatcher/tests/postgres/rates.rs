//! How fast messages are written, with every commit flushed to disk, how fast
//! many clients come back, and how fast a room is searched. Prints
//! figures and asserts none: `cargo test -p dispatcher --test postgres rates --
//! --ignored --nocapture`. `DATABASE_URL` names a server to measure instead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dispatcher::store::postgres::PostgresStore;
use dispatcher::store::{FollowAnswer, FollowAsk, NewMessage, Store};
use futures_util::future::join_all;
use testkit::servers::{PostgresOptions, postgres_with};

use crate::world::{database, group, message, room, seq, store, user};

const ROOMS: usize = 400;
const MEMBERS: usize = 20;
const RUN: Duration = Duration::from_secs(5);

struct Load {
    connections: usize,
    batch: usize,
    /// Rooms in one connection's batches; connections share none, as lanes do.
    rooms: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test"]
async fn rates_of_append() {
    let server =
        postgres_with(PostgresOptions { fsync: true, ..Default::default() }).await.expect("a server");
    let url = database(&server).await;
    let store = Arc::new(store(&url, 8).await);
    for n in 0..ROOMS {
        group(&store, &room(n), (0..MEMBERS).map(user)).await;
    }
    for (connections, batch, rooms) in [
        (1, 1, 1),
        (4, 1, 100),
        (1, 100, 1),
        (1, 100, 100),
        (2, 100, 1),
        (2, 100, 100),
        (4, 100, 1),
        (4, 100, 100),
        (4, 500, 100),
    ] {
        measure(&store, Load { connections, batch, rooms }).await;
    }
}

async fn measure(store: &Arc<PostgresStore>, load: Load) {
    let lanes =
        (0..load.connections).map(|lane| tokio::spawn(send(store.clone(), lane, load.batch, load.rooms)));
    let began = Instant::now();
    let mut took: Vec<Duration> =
        join_all(lanes).await.into_iter().flat_map(|lane| lane.expect("joined")).collect();
    let elapsed = began.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |share: usize| took[(took.len() - 1) * share / 100].as_secs_f64() * 1e3;
    println!(
        "{} connections, batches of {:3} over {:3} rooms: {:6.0} messages/s, a batch {:.2} ms (p99 {:.2} ms)",
        load.connections,
        load.batch,
        load.rooms,
        (took.len() * load.batch) as f64 / elapsed,
        at(50),
        at(99),
    );
}

async fn send(store: Arc<PostgresStore>, lane: usize, size: usize, rooms: usize) -> Vec<Duration> {
    let began = Instant::now();
    let mut took = Vec::new();
    while began.elapsed() < RUN {
        let sent = took.len();
        let batch: Vec<_> = (0..size)
            .map(|n| message(&room(lane * 100 + (n + sent) % rooms), &user((n * 7 + sent) % MEMBERS)))
            .collect();
        let started = Instant::now();
        let answers = store.append(&batch).await.expect("append");
        took.push(started.elapsed());
        assert!(answers.iter().all(|answer| seq(answer).is_some()));
    }
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test"]
async fn rates_of_reads() {
    let server = postgres_with(PostgresOptions::default()).await.expect("a server");
    let url = database(&server).await;
    let store = store(&url, 4).await;
    for n in 0..ROOMS {
        group(&store, &room(n), (0..MEMBERS).map(user)).await;
    }
    let mut asks: Vec<FollowAsk> = (0..5000)
        .map(|n| FollowAsk {
            user: user(n % MEMBERS),
            name: String::new(),
            room: (n % 5 > 0).then(|| room(n % ROOMS)),
            since: None,
        })
        .collect();
    let head = timed("5000 follows of own feeds and rooms, first time", store.follow(&asks, 500)).await;
    for (ask, answer) in asks.iter_mut().zip(&head.expect("follow")) {
        let FollowAnswer::Changes { changes, .. } = answer else { panic!("{answer:?}") };
        ask.since = Some(proto::Cursor { seq: changes.to, check: changes.check });
    }
    timed("5000 follows, cursors at the heads", store.follow(&asks, 500)).await.expect("follow");
    for slice in 0..40 {
        let batch: Vec<_> = (0..ROOMS).map(|n| message(&room(n), &user(slice % MEMBERS))).collect();
        store.append(&batch).await.expect("append");
    }
    timed("5000 follows, rooms 40 messages behind", store.follow(&asks, 500)).await.expect("follow");

    for _ in 0..200 {
        let fox = |_| NewMessage {
            text: "The quick brown fox jumps over the lazy dog".into(),
            ..message(&room(0), &user(0))
        };
        store.append(&(0..500).map(fox).collect::<Vec<_>>()).await.expect("append");
    }
    timed("search of 100,000 messages, a word in each", store.search(&room(0), "fox", 0, 20))
        .await
        .expect("search");
    timed("search of 100,000 messages, a word in none", store.search(&room(0), "zebra", 0, 20))
        .await
        .expect("search");
    timed("search of 100,000 messages, part of a word in each", store.search(&room(0), "umps", 0, 20))
        .await
        .expect("search");
}

async fn timed<T>(what: &str, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let done = work.await;
    println!("{what}: {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
    done
}
