//! Migrations: bringing a database to this version, and checking that it is.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row, SqlSafeStr};
use tokio::time::{Instant, sleep};

use super::super::{Result, StoreError};
use super::connection;
use super::error::store_error;

macro_rules! migrations {
    ($($version:literal $name:literal;)*) => {
        /// Version, name and statements, in order. Never edited once released.
        const MIGRATIONS: &[(i64, &str, &str)] = &[$((
            $version,
            $name,
            include_str!(concat!("../../../../migrations/postgres/", $name, ".sql")),
        )),*];
    };
}

migrations! {
    1 "0001_create_rooms_and_feeds";
    2 "0002_create_append";
    3 "0003_look_up_by_the_right_index";
}

/// Names the advisory lock of those who migrate: "carillon" in ASCII.
const LOCK: i64 = i64::from_be_bytes(*b"carillon");
/// The longest wait for another process's migration.
const TURN: Duration = Duration::from_secs(60);

/// What [`migrate`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationReport {
    /// Names of the migrations applied now, in order.
    pub applied: Vec<&'static str>,
    /// The database's version afterwards; higher than ours if a newer release was here.
    pub version: i64,
}

/// Applies the migrations that the database does not have yet. Safe to call
/// from several processes at once, and while other versions are running.
pub async fn migrate(url: &str) -> Result<MigrationReport> {
    let options = connection::options(url)?
        .application_name("carillon-migrate")
        // An index on a large table takes its time; waiting for a lock in front
        // of everybody else must not.
        .options([("statement_timeout", "0")]);
    let mut connection = connection::single(&options).await?;
    take_turn(&mut connection).await?;
    let before = applied(&mut connection).await?;
    let mut migrator = migrator();
    migrator.set_locking(false);
    migrator.run_direct(None, &mut connection, false).await.map_err(|error| match error {
        MigrateError::Execute(error) => store_error(error),
        MigrateError::ExecuteMigration(error, version) => {
            StoreError::Fault(format!("migration {version}: {error}").into())
        }
        error => StoreError::Fault(error.into()),
    })?;
    let after = applied(&mut connection).await?;
    let new = |version: &i64| !before.iter().any(|(known, _)| known == version);
    let report = MigrationReport {
        applied: MIGRATIONS.iter().filter(|(version, ..)| new(version)).map(|(_, name, _)| *name).collect(),
        version: after.iter().map(|(version, _)| *version).max().unwrap_or_default(),
    };
    connection.close().await.map_err(store_error)?;
    Ok(report)
}

/// One process migrates, the others wait. The lock is the session's: it ends
/// with the connection. Asked for again and again, because waiting for it would
/// end with the lock timeout, which is there for the locks of tables.
async fn take_turn(connection: &mut PgConnection) -> Result<()> {
    let deadline = Instant::now() + TURN;
    loop {
        let taken: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(LOCK)
            .fetch_one(&mut *connection)
            .await
            .map_err(store_error)?;
        if taken {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(StoreError::Contention("another process has been migrating for too long".into()));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Fails with a sentence that says what to do unless every migration was applied.
pub(super) async fn check(connection: &mut PgConnection) -> Result<()> {
    let applied = applied(connection).await?;
    let fault = |text: String| Err(StoreError::Fault(text.into()));
    if applied.is_empty() {
        return fault("the database has no tables of Carillon yet: run `carillon migrate`".to_owned());
    }
    let of_ours = migrator();
    for migration in of_ours.iter() {
        match applied.iter().find(|(version, _)| *version == migration.version) {
            None => {
                let name = &migration.description;
                return fault(format!("the database lacks migration {name}: run `carillon migrate`"));
            }
            Some((_, checksum)) if checksum[..] != migration.checksum[..] => {
                let name = &migration.description;
                return fault(format!("migration {name} of the database is not the one of this version"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.iter().map(|(version, name, sql)| {
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    // A release before this one may meet a database that is ahead of it.
    migrator.set_ignore_missing(true);
    migrator
}

/// Versions and checksums of what was applied.
async fn applied(connection: &mut PgConnection) -> Result<Vec<(i64, Vec<u8>)>> {
    let known: bool = sqlx::query("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(store_error)?;
    if !known {
        return Ok(Vec::new());
    }
    let rows = sqlx::query("SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version")
        .fetch_all(connection)
        .await
        .map_err(store_error)?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<sqlx::Result<_>>()
        .map_err(store_error)
}
