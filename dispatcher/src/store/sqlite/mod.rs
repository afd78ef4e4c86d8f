//! The store in one file: SQLite, for a process that stands alone.
//!
//! One connection writes, a few read. A write takes the file's lock as it
//! begins, and writers queue for the one connection: none ever finds that the
//! state it has read was changed under it, so nothing here has to be repeated.
//! The write-ahead log lets readers go on meanwhile, each with a view of one
//! moment. A commit has reached the disk before it is answered (P1).

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use proto::node::FeedChanges;
use proto::v1::{self, RoomSummary, Snapshot};
use proto::{Cursor, FeedId, MessageId, RoomId, Seq, UserId};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::pool::PoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlSafeStr, Sqlite, SqlitePool};

use self::error::{migration_error, store_error};
use super::{
    Appended, FollowAnswer, FollowAsk, MemberRow, MessageRow, NewMessage, Result, Store, StoreError,
    Transaction,
};

mod append;
mod columns;
mod error;
mod feed;
mod message;
mod rooms;
mod transaction;
mod user;

/// Reads that run side by side; each has a thread of its own.
const READERS: u32 = 4;
/// How long a call waits for its turn.
const TURN: Duration = Duration::from_secs(10);
/// How long SQLite waits for a lock of another process, such as a backup.
const BUSY: Duration = Duration::from_secs(5);
/// More than there are different statements.
const STATEMENTS: usize = 200;

/// The store in one file. Of the same file, open one.
#[derive(Debug)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

/// Opens the store in the file `path`, which is made with its folder if there
/// is none, and brings its schema up to date.
pub async fn open(path: &Path) -> Result<SqliteStore> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        tokio::fs::create_dir_all(folder).await.map_err(|error| StoreError::Unavailable(error.into()))?;
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        .statement_cache_capacity(STATEMENTS)
        .row_buffer_size(256)
        .pragma("temp_store", "memory")
        .disable_statement_logging();
    let writer = PoolOptions::<Sqlite>::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(TURN)
        .test_before_acquire(false)
        .after_release(|connection, _| {
            Box::pin(async move {
                // A full disk may end a transaction by itself. The driver then
                // still counts one, and begins no other on this connection.
                if connection.is_in_transaction() {
                    // Past the rollback of a transaction that was dropped.
                    connection.ping().await?;
                }
                Ok(!connection.is_in_transaction())
            })
        })
        .connect_with(
            options
                .clone()
                .create_if_missing(true)
                // In KiB. Writes find their pages in memory, and a checkpoint
                // comes once in 64 MiB of them.
                .pragma("cache_size", "-65536")
                .pragma("wal_autocheckpoint", "16384")
                .pragma("journal_size_limit", "134217728"),
        )
        .await
        .map_err(store_error)?;
    migrations().run(&writer).await.map_err(migration_error)?;
    let readers = PoolOptions::<Sqlite>::new()
        .max_connections(READERS)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(TURN)
        .test_before_acquire(false)
        .connect_with(options.read_only(true))
        .await
        .map_err(store_error)?;
    Ok(SqliteStore { writer, readers })
}

macro_rules! migration {
    ($version:literal, $name:literal) => {
        Migration::new(
            $version,
            $name.into(),
            MigrationType::Simple,
            include_str!(concat!("../../../../migrations/sqlite/", $name, ".sql")).into_sql_str(),
            false,
        )
    };
}

fn migrations() -> Migrator {
    Migrator::with_migrations(vec![
        migration!(1, "0001_create_rooms_and_feeds"),
        migration!(2, "0002_create_search"),
        migration!(3, "0003_drop_search_index"),
        migration!(4, "0004_drop_index_of_senders"),
    ])
}

/// A transaction of the driver.
type Tx = sqlx::Transaction<'static, Sqlite>;

impl SqliteStore {
    /// The file's lock, when it is this call's turn.
    async fn write(&self) -> Result<Tx> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(store_error)
    }

    /// One moment's view, for several statements.
    async fn view(&self) -> Result<Tx> {
        self.readers.begin().await.map_err(store_error)
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn append(&self, batch: &[NewMessage]) -> Result<Vec<Appended>> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.write().await?;
        let answers = append::append(&mut tx, batch).await.map_err(store_error)?;
        if answers.iter().any(|answer| matches!(answer, Appended::Stored { .. })) {
            tx.commit().await.map_err(store_error)?;
        }
        Ok(answers)
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>> {
        Ok(Box::new(transaction::SqliteTransaction::new(self.write().await?)))
    }

    async fn follow(&self, asks: &[FollowAsk], limit: usize) -> Result<Vec<FollowAnswer>> {
        let found = feed::standings(&self.readers, asks).await.map_err(store_error)?;
        let unnamed = asks.iter().zip(&found).filter(|(ask, found)| {
            ask.room.is_none() && !found.as_ref().is_some_and(|found| found.is_named(&ask.name))
        });
        let names: Vec<_> = unnamed.map(|(ask, _)| (ask.user.as_str(), ask.name.as_str())).collect();
        if !names.is_empty() {
            let mut tx = self.write().await?;
            user::keep_names(&mut tx, &names).await.map_err(store_error)?;
            tx.commit().await.map_err(store_error)?;
        }
        match feed::settled(asks, &found) {
            Some(answers) => Ok(answers),
            None => feed::follow(&mut *self.view().await?, asks, limit).await.map_err(store_error),
        }
    }

    async fn changes(&self, feed: &FeedId, since: Cursor, limit: usize) -> Result<FeedChanges> {
        feed::changes(&mut *self.view().await?, feed, since, limit).await.map_err(store_error)
    }

    async fn heads(&self, feeds: &[FeedId]) -> Result<Vec<Seq>> {
        feed::heads(&self.readers, feeds).await.map_err(store_error)
    }

    async fn recent_heads(&self, seconds: u32) -> Result<Vec<(FeedId, Seq)>> {
        feed::recent_heads(&self.readers, seconds).await.map_err(store_error)
    }

    async fn forget_old_activity(&self) -> Result<()> {
        feed::forget_old_activity(&self.writer).await.map_err(store_error)
    }

    async fn snapshot(&self, user: &UserId, rooms: usize, mark_limit: u32) -> Result<Snapshot> {
        rooms::snapshot(&mut *self.view().await?, user, rooms, mark_limit).await.map_err(store_error)
    }

    async fn rooms(&self, user: &UserId, limit: usize, skip: usize) -> Result<(Vec<RoomSummary>, bool)> {
        rooms::rooms(&mut *self.view().await?, user, limit, skip, None).await.map_err(store_error)
    }

    async fn room(&self, user: &UserId, room: &RoomId, mark_limit: u32) -> Result<Option<RoomSummary>> {
        rooms::room(&mut *self.view().await?, user, room, mark_limit).await.map_err(store_error)
    }

    async fn member(&self, room: &RoomId, user: &UserId) -> Result<Option<MemberRow>> {
        rooms::member(&self.readers, room, user).await.map_err(store_error)
    }

    async fn members(&self, room: &RoomId, after: &str, limit: usize) -> Result<(Vec<v1::Member>, bool)> {
        rooms::members(&self.readers, room, after, limit).await.map_err(store_error)
    }

    async fn history(&self, room: &RoomId, before: Seq, limit: usize) -> Result<(Vec<v1::Message>, bool)> {
        message::history(&self.readers, room, before, limit).await.map_err(store_error)
    }

    async fn search(
        &self,
        room: &RoomId,
        text: &str,
        before: Seq,
        limit: usize,
    ) -> Result<(Vec<v1::Message>, bool)> {
        message::search(&self.readers, room, text, before, limit).await.map_err(store_error)
    }

    async fn message(&self, message: &MessageId) -> Result<Option<MessageRow>> {
        let mut connection = self.readers.acquire().await.map_err(store_error)?;
        message::message(&mut connection, message).await.map_err(store_error)
    }

    async fn notifications(
        &self,
        user: &UserId,
        unread_only: bool,
        before: &str,
        limit: usize,
    ) -> Result<(Vec<v1::Notification>, bool, u64)> {
        user::notifications(&mut *self.view().await?, user, unread_only, before, limit)
            .await
            .map_err(store_error)
    }

    async fn rooms_of(&self, users: &[UserId], max_members: u32) -> Result<Vec<Vec<RoomId>>> {
        user::rooms_of(&self.readers, users, max_members).await.map_err(store_error)
    }

    async fn acquainted(&self, user: &UserId, others: &[UserId]) -> Result<Vec<(UserId, i64)>> {
        user::acquainted(&self.readers, user, others).await.map_err(store_error)
    }

    async fn record_last_seen(&self, users: &[(UserId, i64)]) -> Result<()> {
        user::record_last_seen(&self.writer, users).await.map_err(store_error)
    }

    async fn ping(&self) -> Result<()> {
        let look = sqlx::query("SELECT 1 FROM rooms LIMIT 1").fetch_optional(&self.readers).await;
        look.map(drop).map_err(store_error)
    }

    async fn close(&self) {
        self.readers.close().await;
        // The last to go: it brings the log back into the file.
        self.writer.close().await;
    }
}

#[cfg(test)]
mod tests;
