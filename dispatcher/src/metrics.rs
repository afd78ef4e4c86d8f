//! Names of the dispatcher's metrics, and what they mean.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use proto::{ErrorCode, v1};

/// Commands answered, by `command` and `result` ("ok" or an error code).
pub(crate) const COMMANDS: &str = "carillon_dispatcher_commands_total";
/// Messages in a batch.
pub(crate) const BATCH_SIZE: &str = "carillon_dispatcher_batch_size";
/// Time from handing a batch or command to the store until it was durable.
pub(crate) const COMMIT_SECONDS: &str = "carillon_dispatcher_commit_seconds";
/// Repeated store calls.
pub(crate) const RETRIES: &str = "carillon_dispatcher_retries_total";
/// Time from a commit until the broker took what it changed.
pub(crate) const PUBLISH_SECONDS: &str = "carillon_dispatcher_publish_seconds";
/// Publications handed to the broker.
pub(crate) const PUBLISHED: &str = "carillon_dispatcher_publish_total";
/// Publications that the broker did not take.
pub(crate) const PUBLISH_ERRORS: &str = "carillon_dispatcher_publish_errors_total";
/// Messages waiting for a lane, by `lane`.
pub(crate) const LANE_QUEUE: &str = "carillon_dispatcher_lane_queue";
/// Heads announced.
pub(crate) const ANNOUNCED: &str = "carillon_dispatcher_announced_heads_total";
/// Queries answered, by `query` and `result`.
pub(crate) const QUERIES: &str = "carillon_dispatcher_queries_total";
/// Commands that panicked.
pub(crate) const PANICS: &str = "carillon_dispatcher_panics_total";
/// Command streams open.
pub(crate) const STREAMS: &str = "carillon_dispatcher_streams";

/// Every `command`.
const COMMAND_NAMES: [&str; 15] = [
    "add_members",
    "change_role",
    "create_room",
    "delete",
    "delete_room",
    "edit",
    "notify",
    "read",
    "read_notification",
    "record_last_seen",
    "remove_member",
    "rename_room",
    "revoke",
    "send",
    UNKNOWN,
];
/// Every `query`.
const QUERY_NAMES: [&str; 14] = [
    "acquainted",
    "changes",
    "follow",
    "get_message",
    "get_room",
    "heads",
    "history",
    "list_members",
    "list_notifications",
    "list_rooms",
    "presence_rooms",
    "search",
    "snapshot",
    UNKNOWN,
];
/// A command or query that this version does not know.
pub(crate) const UNKNOWN: &str = "unknown";
/// The `result` of what was done.
const OK: &str = "ok";
/// The errors that a dispatcher answers with; the others are a gateway's.
const REFUSALS: [ErrorCode; 12] = [
    ErrorCode::Conflict,
    ErrorCode::EditExpired,
    ErrorCode::Forbidden,
    ErrorCode::Internal,
    ErrorCode::Invalid,
    ErrorCode::KeyConflict,
    ErrorCode::Malformed,
    ErrorCode::NotFound,
    ErrorCode::NotMember,
    ErrorCode::TokenRefused,
    ErrorCode::TooLarge,
    ErrorCode::Unavailable,
];

/// Begins every counter at zero: a series that begins with its first event hides
/// that from every rate and increase, and with it a first failure.
pub(crate) fn start() {
    let results = || REFUSALS.iter().map(|code| code.name()).chain([OK]);
    for result in results() {
        for command in COMMAND_NAMES {
            counter!(COMMANDS, "command" => command, "result" => result).increment(0);
        }
        for query in QUERY_NAMES {
            counter!(QUERIES, "query" => query, "result" => result).increment(0);
        }
    }
    for name in [RETRIES, PUBLISHED, PUBLISH_ERRORS, ANNOUNCED, PANICS] {
        counter!(name).increment(0);
    }
    gauge!(STREAMS).increment(0);
}

/// A command was answered.
pub(crate) fn command(name: &'static str, refused: Option<&v1::Error>) {
    debug_assert!(COMMAND_NAMES.contains(&name), "{name} is not in the list");
    counter!(COMMANDS, "command" => name, "result" => result(refused)).increment(1);
}

/// A query was answered.
pub(crate) fn query(name: &'static str, refused: Option<&v1::Error>) {
    debug_assert!(QUERY_NAMES.contains(&name), "{name} is not in the list");
    counter!(QUERIES, "query" => name, "result" => result(refused)).increment(1);
}

fn result(refused: Option<&v1::Error>) -> &'static str {
    let Some(error) = refused else { return OK };
    let code = REFUSALS.iter().find(|code| code.name() == error.code);
    debug_assert!(code.is_some(), "{} is not in the list", error.code);
    code.map_or("other", |code| code.name())
}

/// Tells the recorder what each metric means.
pub(crate) fn describe() {
    describe_counter!(COMMANDS, Unit::Count, "Commands answered, by kind and result");
    describe_histogram!(BATCH_SIZE, Unit::Count, "Messages committed together");
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "Time until a batch or command was durable");
    describe_counter!(RETRIES, Unit::Count, "Store calls repeated after a transient error");
    describe_histogram!(PUBLISH_SECONDS, Unit::Seconds, "Time from a commit until the broker took it");
    describe_counter!(PUBLISHED, Unit::Count, "Events and ephemeral messages handed to the broker");
    describe_counter!(PUBLISH_ERRORS, Unit::Count, "Publications dropped or not taken by the broker");
    describe_gauge!(LANE_QUEUE, Unit::Count, "Messages waiting for a lane");
    describe_counter!(ANNOUNCED, Unit::Count, "Heads of feeds announced");
    describe_counter!(QUERIES, Unit::Count, "Queries answered, by kind and result");
    describe_counter!(PANICS, Unit::Count, "Commands that panicked");
    describe_gauge!(STREAMS, Unit::Count, "Open command streams");
}
