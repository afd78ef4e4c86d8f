//! The server goes away and comes back.

use std::time::Duration;

use dispatcher::store::{Store, StoreError};
use futures_util::future::join_all;
use testkit::eventually;
use testkit::servers::postgres;

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
