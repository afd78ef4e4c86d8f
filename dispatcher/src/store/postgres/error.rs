//! What the driver says, as our kinds of error.

use sqlx::Error;

use super::super::StoreError;

/// SQLSTATE classes and codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub(super) fn store_error(error: Error) -> StoreError {
    match kind(&error) {
        Kind::Unavailable => StoreError::Unavailable(error.into()),
        Kind::Contention => StoreError::Contention(error.into()),
        Kind::Fault => StoreError::Fault(error.into()),
    }
}

/// Whether the connection that reported this cannot be used any more.
pub(super) fn breaks_connection(error: &Error) -> bool {
    match error {
        Error::Database(database) => {
            database.code().is_some_and(|code| code.starts_with("08") || ends_session(&code))
        }
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed | Error::BeginFailed => true,
        _ => false,
    }
}

/// Admin shutdown, crash shutdown, cannot connect now, database dropped; idle in
/// a transaction or in a session for too long; a standby, which is the wrong
/// server: another connection may find the primary.
fn ends_session(code: &str) -> bool {
    matches!(code, "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25P03" | "25006")
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Unavailable,
    Contention,
    Fault,
}

fn kind(error: &Error) -> Kind {
    match error {
        Error::Database(database) => database.code().map_or(Kind::Fault, |code| kind_of_code(&code)),
        Error::Io(_)
        | Error::Tls(_)
        | Error::Protocol(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed
        | Error::BeginFailed => Kind::Unavailable,
        _ => Kind::Fault,
    }
}

fn kind_of_code(code: &str) -> Kind {
    match code {
        // Serialization failure, deadlock, lock not available in time.
        "40001" | "40P01" | "55P03" => Kind::Contention,
        // Cancelled: it took longer than the statement timeout.
        "57014" => Kind::Unavailable,
        // Read only: a standby that was the primary until a moment ago.
        "25006" => Kind::Unavailable,
        _ if ends_session(code) => Kind::Unavailable,
        // Connection exception; insufficient resources (disk full, too many
        // connections); system error (input or output).
        _ if code.starts_with("08") || code.starts_with("53") || code.starts_with("58") => Kind::Unavailable,
        _ => Kind::Fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p7_every_code_has_its_kind() {
        for (codes, expected) in [
            (&["40001", "40P01", "55P03"][..], Kind::Contention),
            (
                &["57P01", "57P02", "57P03", "57014", "53100", "53300", "08006", "25P03", "25006", "58030"],
                Kind::Unavailable,
            ),
            (&["23505", "42P01", "22021", "3D000", "28P01", "25P02"], Kind::Fault),
        ] {
            for code in codes {
                assert_eq!(kind_of_code(code), expected, "{code}");
            }
        }
        assert_eq!(kind(&Error::PoolTimedOut), Kind::Unavailable);
        assert!(breaks_connection(&Error::Io(std::io::ErrorKind::BrokenPipe.into())));
        assert!(!breaks_connection(&Error::PoolTimedOut));
    }
}
