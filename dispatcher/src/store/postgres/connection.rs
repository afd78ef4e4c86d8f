//! Connections: how they are made, lent and thrown away.
//!
//! Nothing here waits without a limit, because a network can also stay silent:
//! the server ends a statement after [`STATEMENT`], and where even that answer
//! does not come the call ends after [`ANSWER`]. A connection that broke, or was
//! left in the middle of a statement, is never lent again.

use std::str::FromStr;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow};
use sqlx::query::Query;
use sqlx::{ConnectOptions, Connection as _, Postgres};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::super::{Result, StoreError};
use super::error::{breaks_connection, store_error};

/// Wait for a connection.
const ACQUIRE: Duration = Duration::from_secs(3);
/// The server ends a statement that takes longer.
const STATEMENT: Duration = Duration::from_secs(5);
/// The server gives up waiting for a lock; shorter than [`STATEMENT`], to tell one from the other.
const LOCK: Duration = Duration::from_secs(4);
/// The server ends a transaction whose owner is paused or cut off; shorter than
/// [`LOCK`], so that who waits behind it still gets through.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(3);
/// The longest a call waits for the server's answer.
const ANSWER: Duration = Duration::from_secs(6);
/// A connection unused for longer is tried before it is lent: an idle system
/// would otherwise notice a restart of the database by failing.
const TRY_AFTER: Duration = Duration::from_secs(1);
/// The longest an abandoned transaction's rollback may take.
const ROLLBACK: Duration = Duration::from_secs(2);

/// What a URL says, and what every connection of ours sets besides.
pub(super) fn options(url: &str) -> Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url).map_err(store_error)?;
    let ms = |duration: Duration| duration.as_millis().to_string();
    Ok(options
        .application_name("carillon")
        .options([
            ("statement_timeout", ms(STATEMENT)),
            ("lock_timeout", ms(LOCK)),
            ("idle_in_transaction_session_timeout", ms(IDLE_IN_TRANSACTION)),
            // Planning `append` takes six times as long as running it for one
            // message. Every statement goes by key: one plan serves all values,
            ("plan_cache_mode", "force_generic_plan".to_owned()),
            // and is kept; made while a table was still empty, it must not be
            // one that reads the whole table.
            ("enable_seqscan", "off".to_owned()),
            ("jit", "off".to_owned()),
        ])
        .disable_statement_logging())
}

/// A pool that connects when needed.
pub(super) fn pool(options: PgConnectOptions, size: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(size.max(1))
        .acquire_timeout(ACQUIRE)
        .test_before_acquire(false)
        .before_acquire(|connection, unused| {
            Box::pin(async move {
                if unused.idle_for > TRY_AFTER {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

/// One connection outside any pool.
pub(super) async fn single(options: &PgConnectOptions) -> Result<PgConnection> {
    let connecting = timeout(ACQUIRE, options.connect()).await;
    let at = format!(
        "cannot connect to PostgreSQL at {}:{}, database {}",
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or(options.get_username()),
    );
    match connecting {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => {
            let text = format!("{at}: {error}");
            Err(match store_error(error) {
                StoreError::Fault(_) => StoreError::Fault(text.into()),
                _ => StoreError::Unavailable(text.into()),
            })
        }
        Err(_) => Err(StoreError::Unavailable(format!("{at}: no answer").into())),
    }
}

/// A query with its values bound.
pub(super) type Bound<'q> = Query<'q, Postgres, PgArguments>;

/// A connection on loan. Dropped at rest it returns to the pool; a transaction
/// that is still open is rolled back first; in the middle of a statement, or
/// broken, it is closed.
pub(super) struct Lease {
    pool: PgPool,
    connection: Option<PoolConnection<Postgres>>,
    at_rest: bool,
    in_transaction: bool,
    /// A statement of the transaction failed: the server would answer COMMIT
    /// with a rollback, and call that a success.
    failed: bool,
}

impl Lease {
    /// Waits for a connection.
    pub(super) async fn take(pool: &PgPool) -> Result<Self> {
        let connection = pool.acquire().await.map_err(store_error)?;
        Ok(Self {
            pool: pool.clone(),
            connection: Some(connection),
            at_rest: true,
            in_transaction: false,
            failed: false,
        })
    }

    /// All rows of a query.
    pub(super) async fn rows(&mut self, query: Bound<'_>) -> Result<Vec<PgRow>> {
        let connection = self.start()?;
        let answer = timeout(ANSWER, query.fetch_all(connection)).await;
        self.settle(answer)
    }

    /// The row of a query that has one or none.
    pub(super) async fn row(&mut self, query: Bound<'_>) -> Result<Option<PgRow>> {
        Ok(self.rows(query).await?.into_iter().next())
    }

    /// Runs a query and answers with the number of rows it touched.
    pub(super) async fn run(&mut self, query: Bound<'_>) -> Result<u64> {
        let connection = self.start()?;
        let answer = timeout(ANSWER, query.execute(connection)).await;
        self.settle(answer).map(|done| done.rows_affected())
    }

    /// Begins a transaction.
    pub(super) async fn begin(&mut self, statement: &'static str) -> Result<()> {
        self.control(statement).await?;
        self.in_transaction = true;
        Ok(())
    }

    /// Commits; after an error the outcome is unknown.
    pub(super) async fn commit(&mut self) -> Result<()> {
        if self.failed {
            return Err(StoreError::Contention("a statement of the transaction failed".into()));
        }
        self.control("COMMIT").await?;
        self.in_transaction = false;
        Ok(())
    }

    /// A statement without values or rows, about the transaction.
    pub(super) async fn control(&mut self, statement: &'static str) -> Result<()> {
        let connection = self.start()?;
        let answer = timeout(ANSWER, sqlx::raw_sql(statement).execute(connection)).await;
        self.settle(answer).map(drop)
    }

    fn start(&mut self) -> Result<&mut PgConnection> {
        if !std::mem::replace(&mut self.at_rest, false) {
            return Err(StoreError::Unavailable("the connection broke before".into()));
        }
        self.connection.as_deref_mut().ok_or_else(|| StoreError::Fault("no connection on loan".into()))
    }

    fn settle<T>(
        &mut self,
        answer: std::result::Result<sqlx::Result<T>, tokio::time::error::Elapsed>,
    ) -> Result<T> {
        match answer {
            Ok(Ok(answer)) => {
                self.at_rest = true;
                Ok(answer)
            }
            Ok(Err(error)) => {
                self.failed = true;
                self.at_rest = !breaks_connection(&error);
                if !self.at_rest {
                    discard_idle(&self.pool);
                }
                Err(store_error(error))
            }
            Err(elapsed) => {
                discard_idle(&self.pool);
                Err(StoreError::Unavailable(elapsed.into()))
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if !self.at_rest {
            // Closes the socket; the server rolls back.
            drop(connection.detach());
            return;
        }
        if !self.in_transaction {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            drop(connection.detach());
            return;
        };
        // As the pool itself does for connections that come back, in a task of
        // its own, and with an end.
        runtime.spawn(async move {
            match timeout(ROLLBACK, sqlx::raw_sql("ROLLBACK").execute(&mut *connection)).await {
                Ok(Ok(_)) => drop(connection),
                _ => drop(connection.detach()),
            }
        });
    }
}

/// Where one connection broke, those that wait in the pool did too: the next
/// attempt must not be lent one of them.
fn discard_idle(pool: &PgPool) {
    while let Some(connection) = pool.try_acquire() {
        drop(connection.detach());
    }
}
