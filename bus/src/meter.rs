//! The metrics of this crate, under the same names for every adapter.

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

/// What a broker counts. The handles are kept, because a look-up by name for
/// every message would cost more than handing the message over.
pub(crate) struct BrokerMeter {
    pub published: Counter,
    pub publish_errors: Counter,
    pub received: Counter,
    pub slow: Counter,
    pub subscriptions: Gauge,
    pub link_up: Gauge,
    pub reconnects: Counter,
}

impl BrokerMeter {
    pub fn new() -> Self {
        Self {
            published: counter!("carillon_broker_published_total"),
            publish_errors: counter!("carillon_broker_publish_errors_total"),
            received: counter!("carillon_broker_received_total"),
            slow: counter!("carillon_broker_slow_consumers_total"),
            subscriptions: gauge!("carillon_broker_subscriptions"),
            link_up: gauge!("carillon_broker_link_up"),
            reconnects: counter!("carillon_broker_reconnects_total"),
        }
    }
}

/// What presence counts.
pub(crate) struct PresenceMeter {
    pub call_seconds: Histogram,
    pub errors: Counter,
    pub link_up: Gauge,
    pub reconnects: Counter,
    pub leases: Counter,
}

impl PresenceMeter {
    pub fn new() -> Self {
        Self {
            call_seconds: histogram!("carillon_presence_call_seconds"),
            errors: counter!("carillon_presence_errors_total"),
            link_up: gauge!("carillon_presence_link_up"),
            reconnects: counter!("carillon_presence_reconnects_total"),
            leases: counter!("carillon_presence_leases_total"),
        }
    }
}

pub(crate) fn describe() {
    describe_counter!("carillon_broker_published_total", "Messages handed to the broker.");
    describe_counter!("carillon_broker_publish_errors_total", "Messages that were not published.");
    describe_counter!("carillon_broker_received_total", "Messages handed to inboxes.");
    describe_counter!(
        "carillon_broker_slow_consumers_total",
        "Times the server gave this node up because it read too slowly."
    );
    describe_gauge!("carillon_broker_subscriptions", "Subscriptions now.");
    describe_gauge!("carillon_broker_link_up", "1 while the broker can be reached.");
    describe_counter!("carillon_broker_reconnects_total", "Connections to the broker after the first.");
    describe_histogram!(
        "carillon_presence_call_seconds",
        Unit::Seconds,
        "Time that the presence store took for a call, failures included."
    );
    describe_counter!("carillon_presence_errors_total", "Calls to the presence store that failed.");
    describe_gauge!("carillon_presence_link_up", "1 while the presence store can be reached.");
    describe_counter!(
        "carillon_presence_reconnects_total",
        "Connections to the presence store after the first."
    );
    describe_counter!(
        "carillon_presence_leases_total",
        "Leases begun: each makes this node enter all its connections."
    );
}
