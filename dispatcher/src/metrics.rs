//! Names of the dispatcher's metrics, and what they mean.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Commands answered, by `command` and `result` ("ok" or an error code).
pub(crate) const COMMANDS: &str = "carillon_dispatcher_commands_total";
/// Messages in a batch.
pub(crate) const BATCH_SIZE: &str = "carillon_dispatcher_batch_size";
/// Time from handing a batch or command to the store until it was durable.
pub(crate) const COMMIT_SECONDS: &str = "carillon_dispatcher_commit_seconds";
/// Repeated store calls.
pub(crate) const RETRIES: &str = "carillon_dispatcher_retries_total";
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

/// Tells the recorder what each metric means.
pub(crate) fn describe() {
    describe_counter!(COMMANDS, Unit::Count, "Commands answered, by kind and result");
    describe_histogram!(BATCH_SIZE, Unit::Count, "Messages committed together");
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "Time until a batch or command was durable");
    describe_counter!(RETRIES, Unit::Count, "Store calls repeated after a transient error");
    describe_counter!(PUBLISHED, Unit::Count, "Events and ephemeral messages handed to the broker");
    describe_counter!(PUBLISH_ERRORS, Unit::Count, "Publications dropped or not taken by the broker");
    describe_gauge!(LANE_QUEUE, Unit::Count, "Messages waiting for a lane");
    describe_counter!(ANNOUNCED, Unit::Count, "Heads of feeds announced");
    describe_counter!(QUERIES, Unit::Count, "Queries answered, by kind and result");
    describe_counter!(PANICS, Unit::Count, "Commands that panicked");
    describe_gauge!(STREAMS, Unit::Count, "Open command streams");
}
