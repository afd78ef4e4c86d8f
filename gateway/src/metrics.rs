//! The gateway's metrics: described once, looked up once.

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use proto::CloseCode;

const CLOSES: &str = "carillon_gateway_closes_total";
const REFUSED: &str = "carillon_gateway_handshakes_refused_total";

/// Handles to the metrics of the busy paths.
pub struct Metrics {
    /// Frames handed to clients' queues: changes and ephemeral events.
    pub deliveries: Counter,
    /// Hints of the broker that a full mailbox dropped; the store has them.
    pub hints_dropped: Counter,
    /// Holes filled from the store.
    pub fills: Counter,
    /// Fills that the dispatcher did not answer.
    pub fill_errors: Counter,
    /// Feeds whose past had changed.
    pub resyncs: Counter,
    /// Feeds with listeners here.
    pub feeds: Gauge,
    /// Open connections.
    pub connections: Gauge,
    /// Socket.IO sessions that poll.
    pub polling_sessions: Gauge,
    /// Frames from clients.
    pub frames: Counter,
    /// Bytes from clients.
    pub bytes_in: Counter,
    /// Bytes to clients.
    pub bytes_out: Counter,
    /// Writes to sockets.
    pub writes: Counter,
    /// Ephemeral events dropped because the broker does not keep up.
    pub ephemeral_dropped: Counter,
    /// Joins and resumes answered.
    pub joins: Counter,
    /// Resumes whose cursor the store does not know.
    pub resets: Counter,
    /// Commands on the way to dispatchers.
    pub commands_in_flight: Gauge,
    /// From a command's submission to its outcome.
    pub command_seconds: Histogram,
    /// Commands without an outcome in time, answered with `timeout`.
    pub commands_failed: Counter,
    /// Commands sent again to another dispatcher.
    pub commands_rerouted: Counter,
    /// Dispatchers connected.
    pub dispatchers: Gauge,
}

/// Why handshakes are refused.
const REFUSALS: [&str; 6] = ["engine", "full", "handshake", "origin", "rate", "token"];

impl Default for Metrics {
    fn default() -> Self {
        // From zero on: a series that begins with its first event hides that from
        // every rate and increase, and with it a first wave of closes or refusals.
        for code in CloseCode::ALL {
            counter!(CLOSES, "code" => code.name()).increment(0);
        }
        for reason in REFUSALS {
            counter!(REFUSED, "reason" => reason).increment(0);
        }
        Self {
            deliveries: counter!("carillon_gateway_deliveries_total"),
            hints_dropped: counter!("carillon_gateway_hints_dropped_total"),
            fills: counter!("carillon_gateway_fills_total"),
            fill_errors: counter!("carillon_gateway_fill_errors_total"),
            resyncs: counter!("carillon_gateway_resyncs_total"),
            feeds: gauge!("carillon_gateway_feeds"),
            connections: gauge!("carillon_gateway_connections"),
            polling_sessions: gauge!("carillon_gateway_polling_sessions"),
            frames: counter!("carillon_gateway_frames_received_total"),
            bytes_in: counter!("carillon_gateway_received_bytes_total"),
            bytes_out: counter!("carillon_gateway_sent_bytes_total"),
            writes: counter!("carillon_gateway_socket_writes_total"),
            ephemeral_dropped: counter!("carillon_gateway_ephemeral_dropped_total"),
            joins: counter!("carillon_gateway_joins_total"),
            resets: counter!("carillon_gateway_resets_total"),
            commands_in_flight: gauge!("carillon_gateway_commands_in_flight"),
            command_seconds: histogram!("carillon_gateway_command_seconds"),
            commands_failed: counter!("carillon_gateway_commands_failed_total"),
            commands_rerouted: counter!("carillon_gateway_commands_rerouted_total"),
            dispatchers: gauge!("carillon_gateway_dispatchers"),
        }
    }
}

/// A connection was closed by this side, or went away.
pub fn closed(code: CloseCode) {
    counter!(CLOSES, "code" => code.name()).increment(1);
}

/// A handshake was refused.
pub fn refused(reason: &'static str) {
    debug_assert!(REFUSALS.contains(&reason), "{reason} is not in the list");
    counter!(REFUSED, "reason" => reason).increment(1);
}

/// A request of a polling session that another gateway has was relayed to it.
pub fn relayed(outcome: &'static str, count: u64) {
    counter!("carillon_gateway_relayed_requests_total", "outcome" => outcome).increment(count);
}

/// Describes every metric of the gateway to the recorder.
pub fn describe() {
    let counters = [
        ("carillon_gateway_deliveries_total", "Frames handed to clients' queues."),
        (
            "carillon_gateway_hints_dropped_total",
            "Broker messages dropped at a full mailbox; the store has them.",
        ),
        ("carillon_gateway_fills_total", "Holes in feeds filled from the store."),
        ("carillon_gateway_fill_errors_total", "Fills that no dispatcher answered."),
        ("carillon_gateway_resyncs_total", "Feeds whose past had changed under their listeners."),
        ("carillon_gateway_frames_received_total", "Frames from clients."),
        ("carillon_gateway_socket_writes_total", "Writes to client sockets."),
        (
            "carillon_gateway_ephemeral_dropped_total",
            "Ephemeral events dropped because the broker did not keep up.",
        ),
        ("carillon_gateway_joins_total", "Joins and resumes answered."),
        ("carillon_gateway_resets_total", "Resumes whose cursor the store did not know."),
        (
            "carillon_gateway_commands_failed_total",
            "Commands without an outcome in time, answered with timeout.",
        ),
        ("carillon_gateway_commands_rerouted_total", "Commands sent again to another dispatcher."),
        (CLOSES, "Connections closed, by code."),
        (REFUSED, "Handshakes and requests of polling sessions refused, by reason."),
        (
            "carillon_gateway_relayed_requests_total",
            "Requests of polling sessions relayed to the gateway that has them, by outcome.",
        ),
    ];
    for (name, help) in counters {
        describe_counter!(name, Unit::Count, help);
    }
    describe_counter!("carillon_gateway_received_bytes_total", Unit::Bytes, "Bytes from clients.");
    describe_counter!("carillon_gateway_sent_bytes_total", Unit::Bytes, "Bytes to clients.");
    describe_gauge!("carillon_gateway_feeds", Unit::Count, "Feeds with listeners here.");
    describe_gauge!("carillon_gateway_connections", Unit::Count, "Open client connections.");
    describe_gauge!("carillon_gateway_polling_sessions", Unit::Count, "Socket.IO sessions that poll.");
    describe_gauge!(
        "carillon_gateway_commands_in_flight",
        Unit::Count,
        "Commands on the way to dispatchers."
    );
    describe_gauge!("carillon_gateway_dispatchers", Unit::Count, "Dispatchers connected.");
    describe_histogram!(
        "carillon_gateway_command_seconds",
        Unit::Seconds,
        "From a command's submission to its outcome."
    );
}
