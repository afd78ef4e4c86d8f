//! Plans are made once per connection, maybe over empty tables: they must be
//! the ones for full tables.

use std::time::Duration;

use dispatcher::store::{FollowAsk, Store};
use proto::{Cursor, FeedId};
use sqlx::{Connection as _, Row};

use crate::world::{group, message, room, shared_database, store, user};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_table_that_grows_is_ever_read_whole() {
    let url = shared_database().await;
    let store = store(&url, 1).await;
    for n in 0..3 {
        group(&store, &room(n), (0..4).map(user)).await;
    }
    for _ in 0..20 {
        let batch: Vec<_> = (0..30).map(|n| message(&room(n % 3), &user(n % 4))).collect();
        store.append(&batch).await.expect("append");
    }
    let ask = |n: usize, since| FollowAsk { user: user(n), name: "Name".into(), room: None, since };
    let asks: Vec<FollowAsk> = (0..4)
        .flat_map(|n| [ask(n, None), FollowAsk { room: Some(room(0)), ..ask(n, Some(Cursor::START)) }])
        .collect();
    store.follow(&asks, 100).await.expect("follow");
    store.changes(&FeedId::User(user(0)), Cursor::START, 10).await.expect("changes");
    store.heads(&[FeedId::Room(room(0)), FeedId::User(user(0))]).await.expect("heads");
    store.recent_heads(10).await.expect("recent heads");
    store.snapshot(&user(0), 10, 10).await.expect("snapshot");
    store.rooms(&user(0), 10, 0).await.expect("rooms");
    store.room(&user(0), &room(0), 10).await.expect("room");
    store.members(&room(0), "", 10).await.expect("members");
    store.history(&room(0), 0, 10).await.expect("history");
    store.search(&room(0), "fox", 0, 10).await.expect("search");
    store.message(&message(&room(0), &user(0)).id).await.expect("message");
    store.notifications(&user(0), true, "", 10).await.expect("notifications");
    store.rooms_of(&[user(0), user(1)], 10).await.expect("rooms of");
    store.acquainted(&user(0), &[user(1), user(9)]).await.expect("acquainted");
    store.record_last_seen(&[(user(0), 7)]).await.expect("last seen");
    let mut tx = store.begin().await.expect("begin");
    tx.lock_room(&room(0)).await.expect("lock");
    tx.lock_users(&[user(0), user(1)]).await.expect("lock");
    tx.message_at(&room(0), 5, &user(0)).await.expect("message at");
    tx.commit().await.expect("commit");
    // A connection hands in what it counted when it ends.
    store.close().await;

    let mut connection = sqlx::PgConnection::connect(&url).await.expect("connect");
    let sql = "SELECT relname::text, seq_scan, idx_scan, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables
               WHERE relname NOT LIKE '\\_sqlx%'";
    let tables = testkit::eventually("the counts", Duration::from_secs(10), async || {
        let rows = sqlx::query(sql).fetch_all(&mut connection).await.expect("read");
        let counted = rows.iter().any(|row| row.get::<&str, _>(0) == "messages" && row.get::<i64, _>(2) > 0);
        counted.then_some(rows)
    })
    .await;
    for row in &tables {
        let (table, whole): (&str, i64) = (row.get(0), row.get(1));
        // One of each index that its creation made.
        let indexes: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_indexes WHERE tablename = $1")
            .bind(table)
            .fetch_one(&mut connection)
            .await
            .expect("read");
        assert!(whole <= indexes, "{table} was read whole {whole} times");
        // Raising a head touches no index.
        if ["rooms", "members"].contains(&table) {
            let (updated, in_place): (i64, i64) = (row.get(3), row.get(4));
            assert!(updated > 50 && in_place * 4 >= updated * 3, "{table}: {in_place} of {updated}");
        }
    }
}
