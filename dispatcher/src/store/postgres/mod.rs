//! PostgreSQL, 15 or newer: the store of a cluster.
//!
//! Every method is one statement where it can be; where it takes several, the
//! method says what makes them one view. Statements are in `sql/`, the tables in
//! `migrations/postgres`. The database must be encoded in UTF-8, with a locale
//! that knows upper and lower case, else searching ignores case for ASCII only.

use async_trait::async_trait;
use proto::node::FeedChanges;
use proto::v1::{self, RoomSummary, Snapshot};
use proto::{Cursor, FeedId, MessageId, RoomId, Seq, UserId};
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{Connection as _, Row};
use tracing::warn;

use self::connection::Lease;
use self::error::store_error;
use super::{
    Appended, FollowAnswer, FollowAsk, MemberRow, MessageRow, NewMessage, Result, Store, StoreError,
    Transaction,
};

mod append;
mod connection;
mod error;
mod feed;
mod migrate;
mod read;
mod rows;
mod transaction;

pub use self::migrate::{MigrationReport, migrate};

/// A PostgreSQL database with our tables.
pub struct PostgresStore {
    pool: PgPool,
    options: PgConnectOptions,
}

/// Opens a database with at most `pool_size` connections. Fails if it cannot be
/// reached now or is not encoded in UTF-8; later it may come and go.
///
/// The settings of each connection travel in its start-up packet: a pooler in
/// between must pass on `options`, and must not share one session among several
/// clients.
pub async fn connect(url: &str, pool_size: u32) -> Result<PostgresStore> {
    let options = connection::options(url)?;
    let mut first = connection::single(&options).await?;
    let sql = "SELECT current_setting('server_encoding'), current_setting('synchronous_commit'),
                      current_setting('fsync')";
    let row = sqlx::query(sql).fetch_one(&mut first).await.map_err(store_error)?;
    let setting = |place: usize| row.try_get::<String, _>(place).map_err(store_error);
    let (encoding, synchronous_commit, fsync) = (setting(0)?, setting(1)?, setting(2)?);
    first.close().await.map_err(store_error)?;
    if encoding != "UTF8" {
        let text = format!("the database is encoded in {encoding}: create one with ENCODING 'UTF8'");
        return Err(StoreError::Fault(text.into()));
    }
    if synchronous_commit == "off" || fsync == "off" {
        warn!(
            synchronous_commit,
            fsync, "the database answers before a message is on disk: a crash may lose it"
        );
    }
    Ok(PostgresStore { pool: connection::pool(options.clone(), pool_size), options })
}

impl PostgresStore {
    /// Fails with a sentence that says what to do unless the database has all
    /// tables of this version.
    pub async fn check_schema(&self) -> Result<()> {
        let mut connection = connection::single(&self.options).await?;
        migrate::check(&mut connection).await?;
        connection.close().await.map_err(store_error)
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn append(&self, batch: &[NewMessage]) -> Result<Vec<Appended>> {
        append::append(&self.pool, batch).await
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>> {
        Ok(Box::new(transaction::PgTransaction::begin(&self.pool).await?))
    }

    async fn follow(&self, asks: &[FollowAsk], limit: usize) -> Result<Vec<FollowAnswer>> {
        feed::follow(&self.pool, asks, limit).await
    }

    async fn changes(&self, feed: &FeedId, since: Cursor, limit: usize) -> Result<FeedChanges> {
        feed::changes(&self.pool, feed, since, limit).await
    }

    async fn heads(&self, feeds: &[FeedId]) -> Result<Vec<Seq>> {
        feed::heads(&self.pool, feeds).await
    }

    async fn recent_heads(&self, seconds: u32) -> Result<Vec<(FeedId, Seq)>> {
        feed::recent_heads(&self.pool, seconds).await
    }

    async fn forget_old_activity(&self) -> Result<()> {
        let sql =
            "DELETE FROM feed_activity WHERE second < extract(epoch FROM clock_timestamp())::bigint - 60";
        Lease::take(&self.pool).await?.run(sqlx::query(sql)).await.map(drop)
    }

    async fn snapshot(&self, user: &UserId, rooms: usize, mark_limit: u32) -> Result<Snapshot> {
        read::snapshot(&self.pool, user, rooms, mark_limit).await
    }

    async fn rooms(&self, user: &UserId, limit: usize, skip: usize) -> Result<(Vec<RoomSummary>, bool)> {
        read::rooms(&self.pool, user, limit, skip).await
    }

    async fn room(&self, user: &UserId, room: &RoomId, mark_limit: u32) -> Result<Option<RoomSummary>> {
        read::room(&self.pool, user, room, mark_limit).await
    }

    async fn member(&self, room: &RoomId, user: &UserId) -> Result<Option<MemberRow>> {
        read::member(&self.pool, room, user).await
    }

    async fn members(&self, room: &RoomId, after: &str, limit: usize) -> Result<(Vec<v1::Member>, bool)> {
        read::members(&self.pool, room, after, limit).await
    }

    async fn history(&self, room: &RoomId, before: Seq, limit: usize) -> Result<(Vec<v1::Message>, bool)> {
        read::history(&self.pool, room, before, limit).await
    }

    async fn search(
        &self,
        room: &RoomId,
        text: &str,
        before: Seq,
        limit: usize,
    ) -> Result<(Vec<v1::Message>, bool)> {
        read::search(&self.pool, room, text, before, limit).await
    }

    async fn message(&self, message: &MessageId) -> Result<Option<MessageRow>> {
        read::message(&self.pool, message).await
    }

    async fn notifications(
        &self,
        user: &UserId,
        unread_only: bool,
        before: &str,
        limit: usize,
    ) -> Result<(Vec<v1::Notification>, bool, u64)> {
        read::notifications(&self.pool, user, unread_only, before, limit).await
    }

    async fn rooms_of(&self, users: &[UserId], max_members: u32) -> Result<Vec<Vec<RoomId>>> {
        read::rooms_of(&self.pool, users, max_members).await
    }

    async fn acquainted(&self, user: &UserId, others: &[UserId]) -> Result<Vec<(UserId, i64)>> {
        read::acquainted(&self.pool, user, others).await
    }

    async fn record_last_seen(&self, users: &[(UserId, i64)]) -> Result<()> {
        feed::record_last_seen(&self.pool, users).await
    }

    async fn ping(&self) -> Result<()> {
        Lease::take(&self.pool).await?.run(sqlx::query("SELECT 1")).await.map(drop)
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
