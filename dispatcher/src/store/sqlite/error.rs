//! The driver's errors as kinds of ours.

use sqlx::migrate::MigrateError;

use super::super::StoreError;

/// Codes of <https://www.sqlite.org/rescode.html>; the low byte is the kind.
mod code {
    pub const PERM: i32 = 3;
    pub const BUSY: i32 = 5;
    pub const LOCKED: i32 = 6;
    pub const NOMEM: i32 = 7;
    pub const READONLY: i32 = 8;
    pub const INTERRUPT: i32 = 9;
    pub const IOERR: i32 = 10;
    pub const FULL: i32 = 13;
    pub const CANTOPEN: i32 = 14;
    pub const PROTOCOL: i32 = 15;
    /// A reader's view was too old to write on.
    pub const BUSY_SNAPSHOT: i32 = 5 | (2 << 8);
}

/// What the caller can do about it.
pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    use sqlx::Error;

    match &error {
        Error::Database(database) => {
            let code = database.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0);
            match (code, code & 0xff) {
                (code::BUSY_SNAPSHOT, _) | (_, code::LOCKED) => StoreError::Contention(error.into()),
                (
                    _,
                    code::PERM
                    | code::BUSY
                    | code::NOMEM
                    | code::READONLY
                    | code::INTERRUPT
                    | code::IOERR
                    | code::FULL
                    | code::CANTOPEN
                    | code::PROTOCOL,
                ) => StoreError::Unavailable(error.into()),
                _ => StoreError::Fault(error.into()),
            }
        }
        Error::Io(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed
        | Error::BeginFailed
        | Error::InvalidSavePointStatement => StoreError::Unavailable(error.into()),
        _ => StoreError::Fault(error.into()),
    }
}

/// A schema that cannot be brought up to date.
pub(super) fn migration_error(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => store_error(error),
        error => StoreError::Fault(error.into()),
    }
}
