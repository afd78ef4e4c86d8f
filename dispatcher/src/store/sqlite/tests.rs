//! What is SQLite's own: the file, its settings, its limits, its plans.

use std::fs;
use std::path::Path;

use proto::v1::{MessageType, Role, RoomKind};
use sqlx::{AssertSqlSafe, Row};
use tempfile::TempDir;

use super::super::{MemberRow, RoomRow};
use super::*;

fn id(n: u64) -> MessageId {
    MessageId::new(&format!("{n:032x}")).expect("a valid id")
}

fn message(n: u64, text: &str) -> NewMessage {
    NewMessage {
        room: RoomId::new("tea").expect("a valid id"),
        id: id(n),
        sender: UserId::new("ann").expect("a valid id"),
        name: "Ann".to_owned(),
        key: n.to_string(),
        r#type: MessageType::Text,
        text: text.to_owned(),
        data: String::new(),
        digest: 7,
        time: n as i64,
    }
}

async fn store_with_room() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder.path().join("carillon.db")).await.expect("open");
    let new = message(0, "");
    let row = RoomRow {
        id: new.room.clone(),
        kind: RoomKind::Group,
        name: "Tea".to_owned(),
        created_at: 1,
        created_by: new.sender.clone(),
        deleted_at: 0,
        members: 1,
        head: 0,
        head_check: 0,
        messages: 0,
        changed: 0,
        check: 0,
    };
    let ann = MemberRow {
        room: new.room,
        user: new.sender,
        name: String::new(),
        role: Role::Owner,
        active: true,
        sent: 0,
        read_seq: 0,
        read_ordinal: 0,
        read_sent: 0,
        changed: 0,
        check: 0,
        user_changed: 0,
        user_check: 0,
    };
    let mut tx = store.begin().await.expect("begin");
    assert!(tx.insert_room(&row, None, "").await.expect("insert"));
    tx.put_members(&[ann]).await.expect("write");
    tx.commit().await.expect("commit");
    (store, folder)
}

/// P1: a commit waits for the disk, and what was committed is there again.
#[tokio::test]
async fn what_was_committed_is_there_after_opening_again() {
    let (store, folder) = store_with_room().await;
    let synchronous = sqlx::query("PRAGMA synchronous").fetch_one(&store.writer).await.expect("read");
    assert_eq!(synchronous.get::<i64, _>(0), 2, "FULL");
    let journal = sqlx::query("PRAGMA journal_mode").fetch_one(&store.writer).await.expect("read");
    assert_eq!(journal.get::<String, _>(0), "wal");
    store.append(&[message(1, "hi")]).await.expect("append");
    store.close().await;
    assert!(matches!(store.append(&[message(2, "ho")]).await, Err(StoreError::Unavailable(_))));

    let file = folder.path().join("carillon.db");
    let store = open(&file).await.expect("open");
    let (messages, _) = store.history(&message(1, "").room, 0, 10).await.expect("history");
    assert_eq!(messages.len(), 1);
    assert_eq!(
        store.append(&[message(3, "ho")]).await.expect("append"),
        [Appended::Stored { seq: 2, ordinal: 2 }]
    );
    store.close().await;
    assert!(!folder.path().join("carillon.db-wal").exists(), "the log is in the file");
}

/// F12: a full disk is an error that may pass; what was answered stays, and
/// nothing has to be started again.
#[tokio::test]
async fn a_full_disk_is_survived() {
    let (store, _folder) = store_with_room().await;
    // As if the disk had room for a few pages more.
    let pages = sqlx::query("PRAGMA page_count").fetch_one(&store.writer).await.expect("read");
    let limit = format!("PRAGMA max_page_count = {}", pages.get::<i64, _>(0) + 20);
    sqlx::query(AssertSqlSafe(limit)).execute(&store.writer).await.expect("limit");

    let text = "full of words ".repeat(200);
    let mut stored = 0;
    let error = loop {
        let batch: Vec<_> = (0..5).map(|i| message(1 + stored + i, &text)).collect();
        match store.append(&batch).await {
            Ok(_) => stored += 5,
            Err(error) => break error,
        }
        assert!(stored < 1_000, "the limit was not reached");
    };
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    // Room again.
    sqlx::query("PRAGMA max_page_count = 1000000").execute(&store.writer).await.expect("limit");
    let batch: Vec<_> = (0..10).map(|i| message(1 + stored + i, &text)).collect();
    let answers = store.append(&batch).await.expect("append");
    let first = Appended::Stored { seq: stored + 1, ordinal: stored + 1 };
    assert_eq!(answers[0], first);
    let (messages, _) = store.history(&batch[0].room, 0, 10_000).await.expect("history");
    assert_eq!(messages.len() as u64, stored + 10);
    store.close().await;
}

/// A transaction that has ended under the driver's hands costs its connection
/// and nobody else's.
#[tokio::test]
async fn a_connection_that_lost_its_transaction_is_replaced() {
    let (store, _folder) = store_with_room().await;
    let mut tx = store.write().await.expect("begin");
    // What SQLite does by itself when it runs out of disk or memory.
    sqlx::query("ROLLBACK").execute(&mut *tx).await.expect("roll back");
    drop(tx);
    assert_eq!(
        store.append(&[message(1, "hi")]).await.expect("append"),
        [Appended::Stored { seq: 1, ordinal: 1 }]
    );
    store.close().await;
}

/// Readers go on while a transaction is open, and see nothing of it.
#[tokio::test]
async fn readers_do_not_wait_for_the_writer() {
    let (store, _folder) = store_with_room().await;
    let room = message(1, "").room;
    let mut tx = store.begin().await.expect("begin");
    let mut row = tx.lock_room(&room).await.expect("lock").expect("a room");
    (row.head, row.head_check, row.changed) = (1, 9, 1);
    tx.update_room(&row, 1, &[9]).await.expect("update");
    assert_eq!(store.heads(&[FeedId::Room(room.clone())]).await.expect("heads"), [0]);
    store.ping().await.expect("ping");
    tx.commit().await.expect("commit");
    assert_eq!(store.heads(&[FeedId::Room(room)]).await.expect("heads"), [1]);
    store.close().await;
}

/// A file that is something else, and one of a later version, are not touched.
#[tokio::test]
async fn a_foreign_file_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("letter.txt");
    fs::write(&file, "Dear Ann, ".repeat(1_000)).expect("write");
    assert!(matches!(open(&file).await, Err(StoreError::Fault(_))));
    assert!(fs::read_to_string(&file).expect("read").starts_with("Dear Ann"));

    let (store, folder) = store_with_room().await;
    let later = "INSERT INTO _sqlx_migrations VALUES (999, 'later', CURRENT_TIMESTAMP, 1, x'00', 0)";
    sqlx::query(later).execute(&store.writer).await.expect("write");
    store.close().await;
    assert!(matches!(open(&folder.path().join("carillon.db")).await, Err(StoreError::Fault(_))));

    let folder = folder.path().join("carillon.db");
    assert!(matches!(open(&folder.join("below a file")).await, Err(StoreError::Unavailable(_))));
}

/// S22: no statement walks through a table, whatever is asked for.
#[tokio::test]
async fn every_statement_finds_its_rows_by_an_index() {
    let (store, _folder) = store_with_room().await;
    let statements = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sqlite/sql");
    let mut checked = 0;
    for entry in fs::read_dir(statements).expect("the statements") {
        let file = entry.expect("a statement").path();
        let statement = fs::read_to_string(&file).expect("a statement");
        let statement = match file.file_name().and_then(|name| name.to_str()) {
            Some("append_messages.sql") => format!("{statement} VALUES ({})", ["?"; 14].join(", ")),
            _ => statement,
        };
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        for step in sqlx::query(explain).fetch_all(&store.writer).await.expect("a plan") {
            let step: String = step.get("detail");
            let walks = step.starts_with("SCAN")
                && !step.contains("VIRTUAL TABLE")
                // Of a part of the statement, whose own steps are looked at as well.
                && !step.starts_with("SCAN (subquery")
                && !["SCAN seen", "SCAN active", "SCAN CONSTANT ROW"].contains(&step.as_str());
            assert!(!walks, "{}: {step}", file.display());
        }
        checked += 1;
    }
    assert!(checked > 30, "{checked} statements");
    store.close().await;
}
