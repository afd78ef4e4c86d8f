//! The gateway's metrics: described once, looked up once.

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use proto::{CloseCode, ErrorCode};

const CLOSES: &str = "carillon_gateway_closes_total";
const REFUSED: &str = "carillon_gateway_handshakes_refused_total";
const RELAYED: &str = "carillon_gateway_relayed_requests_total";
const LATE_HINTS: &str = "carillon_gateway_late_hints_total";
const ERRORS: &str = "carillon_gateway_errors_total";
const FAN_OUT: &str = "carillon_gateway_fan_out_seconds";

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
    /// Changes that the broker brought after they were filled from the store.
    pub late_filled: Counter,
    /// Changes that the broker brought after they were known otherwise.
    pub late_seen: Counter,
    /// From a change's arrival until it is in every listener's queue.
    pub fan_out_seconds: Histogram,
    /// Bytes that clients have not taken.
    pub queue_bytes: Gauge,
    /// The same of the client that has taken the least.
    pub longest_queue_bytes: Gauge,
    /// How the gateway's end goes.
    pub drain: Drain,
    /// Feeds whose past had changed.
    pub resyncs: Counter,
    /// Feeds with listeners here.
    pub feeds: Gauge,
    /// Open connections.
    pub connections: Gauge,
    /// How many there may be.
    pub connections_limit: Gauge,
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

/// How the gateway's end goes.
pub struct Drain {
    /// 1 from the end of `drain_delay` on.
    pub draining: Gauge,
    /// Connections that are still to be closed.
    pub left: Gauge,
    /// Connections that were told to come back.
    pub closes: Counter,
    /// Times that some of them were.
    pub waves: Counter,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            draining: gauge!("carillon_gateway_draining"),
            left: gauge!("carillon_gateway_drain_connections_left"),
            closes: counter!("carillon_gateway_drain_closes_total"),
            waves: counter!("carillon_gateway_drain_waves_total"),
        }
    }
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
        for code in ErrorCode::ALL {
            counter!(ERRORS, "code" => code.name()).increment(0);
        }
        for reason in REFUSALS {
            counter!(REFUSED, "reason" => reason).increment(0);
        }
        Self {
            deliveries: counter!("carillon_gateway_deliveries_total"),
            hints_dropped: counter!("carillon_gateway_hints_dropped_total"),
            fills: counter!("carillon_gateway_fills_total"),
            fill_errors: counter!("carillon_gateway_fill_errors_total"),
            late_filled: counter!(LATE_HINTS, "kind" => "filled"),
            late_seen: counter!(LATE_HINTS, "kind" => "seen"),
            fan_out_seconds: histogram!(FAN_OUT),
            queue_bytes: gauge!("carillon_gateway_queue_bytes"),
            longest_queue_bytes: gauge!("carillon_gateway_longest_queue_bytes"),
            drain: Drain::default(),
            resyncs: counter!("carillon_gateway_resyncs_total"),
            feeds: gauge!("carillon_gateway_feeds"),
            connections: gauge!("carillon_gateway_connections"),
            connections_limit: gauge!("carillon_gateway_connections_limit"),
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

/// A request was answered with an error of this code.
pub fn error(code: &str) {
    // A newer dispatcher may know codes that this gateway does not.
    let code = ErrorCode::from_name(code).map_or("other", ErrorCode::name);
    counter!(ERRORS, "code" => code).increment(1);
}

/// A handshake was refused.
pub fn refused(reason: &'static str) {
    debug_assert!(REFUSALS.contains(&reason), "{reason} is not in the list");
    counter!(REFUSED, "reason" => reason).increment(1);
}

/// A request of a polling session that another gateway has was relayed to it.
pub fn relayed(outcome: &'static str, count: u64) {
    counter!(RELAYED, "outcome" => outcome).increment(count);
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
        (LATE_HINTS, "Changes that the broker brought when they were known, by how they became known."),
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
        (ERRORS, "Requests answered with an error, by its code."),
        (REFUSED, "Handshakes and requests of polling sessions refused, by reason."),
        (RELAYED, "Requests of polling sessions relayed to the gateway that has them, by outcome."),
        ("carillon_gateway_drain_closes_total", "Connections told to come back by a drain."),
        ("carillon_gateway_drain_waves_total", "Waves in which a drain closed connections."),
    ];
    for (name, help) in counters {
        describe_counter!(name, Unit::Count, help);
    }
    describe_counter!("carillon_gateway_received_bytes_total", Unit::Bytes, "Bytes from clients.");
    describe_counter!("carillon_gateway_sent_bytes_total", Unit::Bytes, "Bytes to clients.");
    describe_gauge!("carillon_gateway_feeds", Unit::Count, "Feeds with listeners here.");
    describe_gauge!("carillon_gateway_connections", Unit::Count, "Open client connections.");
    describe_gauge!("carillon_gateway_connections_limit", Unit::Count, "Connections that are taken at most.");
    describe_gauge!("carillon_gateway_polling_sessions", Unit::Count, "Socket.IO sessions that poll.");
    describe_gauge!("carillon_gateway_queue_bytes", Unit::Bytes, "Bytes that clients have not taken.");
    describe_gauge!(
        "carillon_gateway_longest_queue_bytes",
        Unit::Bytes,
        "Bytes that the client which is farthest behind has not taken."
    );
    describe_gauge!("carillon_gateway_draining", Unit::Count, "1 while connections are closed for a stop.");
    describe_gauge!(
        "carillon_gateway_drain_connections_left",
        Unit::Count,
        "Connections that a drain has still to close."
    );
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
    describe_histogram!(
        FAN_OUT,
        Unit::Seconds,
        "From a change's arrival until it is in every listener's queue."
    );
}
