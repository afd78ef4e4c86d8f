//! The server goes away and comes back.

use std::time::Duration;

use dispatcher::store::{Appended, Store, StoreError};
use futures_util::future::join_all;
use sqlx::Connection as _;
use testkit::eventually;
use testkit::proxy::{Direction, FaultProxy};
use testkit::servers::{postgres, shared_postgres};

use crate::world::{database, group, message, room, seq, store, user};

/// P7, F9: a crash of the server breaks every connection at once. One failed
/// call is enough to be rid of all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p7_after_a_restart_the_next_attempt_gets_a_new_connection() {
    let server = postgres().await.expect("a PostgreSQL server");
    if server.is_external() {
        // Not ours to kill.
        return;
    }
    let url = database(&server).await;
    let store = store(&url, 4).await;
    group(&store, &room(0), (0..2).map(user)).await;
    // Four connections, all idle afterwards.
    let used = (0..4).map(|n| async move { message(&room(0), &user(n % 2)) });
    let messages = join_all(used).await;
    join_all(messages.iter().map(|message| store.append(std::slice::from_ref(message)))).await;

    server.kill().await.expect("kill");
    let during = store.ping().await.expect_err("nothing there");
    assert!(matches!(during, StoreError::Unavailable(_)), "{during:?}");
    // It refuses to start while a process of the one before still winds up.
    eventually("the server to start again", Duration::from_secs(30), async || server.start().await.ok())
        .await;

    let sent = message(&room(0), &user(0));
    let answer = eventually("the store to answer", Duration::from_secs(20), async || {
        store.append(std::slice::from_ref(&sent)).await.ok()
    })
    .await;
    // Not stored by an attempt that failed before: the server was not there.
    let stored = seq(&answer[0]).expect("stored now");
    for _ in 0..8 {
        store.ping().await.expect("no broken connection is left");
    }
    // P1: what was answered before the crash is there.
    let (history, _) = store.history(&room(0), 0, 100).await.expect("history");
    assert_eq!(history.len(), 5);
    assert_eq!(history[4].seq, stored);
}

/// F7: a network that says nothing ends a call, and its connections with it:
/// they would come back to life whenever TCP tries again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p7_a_silent_network_is_an_error_and_leaves_nothing_behind() {
    let server = shared_postgres().await.expect("a PostgreSQL server");
    let proxy = FaultProxy::start(&database(server).await).await.expect("a proxy");
    let store = store(proxy.url(), 2).await;
    group(&store, &room(0), (0..2).map(user)).await;
    // All connections of the pool, one of them in a transaction.
    let mut tx = store.begin().await.expect("begin");
    tx.lock_room(&room(0)).await.expect("lock");
    store.ping().await.expect("the other");

    proxy.stall(Direction::Downstream);
    let sent = message(&room(0), &user(0));
    let (read, held, appended) =
        tokio::join!(store.ping(), tx.lock_room(&sent.room), store.append(std::slice::from_ref(&sent)));
    for error in
        [read.expect_err("no answer"), held.expect_err("no answer"), appended.expect_err("no answer")]
    {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
    drop(tx);

    proxy.heal();
    let answer = eventually("the store to answer", Duration::from_secs(20), async || {
        store.append(std::slice::from_ref(&sent)).await.ok()
    })
    .await;
    assert!(matches!(answer[0], Appended::Stored { .. } | Appended::Repeated { .. }), "{answer:?}");
}

/// F10, P4: the commit happened and its answer was lost. Sending again gets the
/// first result.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p4_a_lost_answer_is_repeated() {
    let server = shared_postgres().await.expect("a PostgreSQL server");
    let url = database(server).await;
    let proxy = FaultProxy::start(&url).await.expect("a proxy");
    let (near, far) = (store(&url, 2).await, store(proxy.url(), 1).await);
    group(&near, &room(0), (0..2).map(user)).await;

    // Held back until the proxy loses what comes back.
    let mut holder = near.begin().await.expect("begin");
    holder.lock_room(&room(0)).await.expect("lock");
    let sent = message(&room(0), &user(0));
    let lost = tokio::spawn({
        let sent = sent.clone();
        async move { (far.append(std::slice::from_ref(&sent)).await, far, sent) }
    });
    let mut watcher = sqlx::PgConnection::connect(&url).await.expect("connect");
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("the append to wait for the room", Duration::from_secs(20), async || {
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&mut watcher).await.ok()?;
        (waiting > 0).then_some(())
    })
    .await;
    proxy.swallow();
    drop(holder);
    eventually("the commit", Duration::from_secs(20), async || {
        let (history, _) = near.history(&room(0), 0, 10).await.ok()?;
        (history.len() == 1).then_some(())
    })
    .await;
    proxy.reset();
    let (answer, far, sent) = lost.await.expect("joined");
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");

    proxy.heal();
    let again = far.append(&[sent]).await.expect("on a new connection");
    let (history, _) = near.history(&room(0), 0, 10).await.expect("history");
    assert_eq!(history.len(), 1);
    let Appended::Repeated { id, seq, .. } = &again[0] else { panic!("{again:?}") };
    assert_eq!((id.as_str(), *seq), (history[0].id.as_str(), history[0].seq));
}
