//! The dispatcher's limits and times. Defaults are what production wants.

use std::time::Duration;

/// Limits and times of one dispatcher.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Batches of messages that commit side by side. A room has one lane.
    pub lanes: usize,
    /// Messages in one batch at most.
    pub max_batch: usize,
    /// Messages waiting for one lane.
    pub queue_per_lane: usize,
    /// Commands other than sends that run at once. Those of one room run one
    /// after the other.
    pub max_concurrent_commands: usize,
    /// Commands waiting for one of these.
    pub queue_per_worker: usize,
    /// Commands of one stream whose outcome the gateway has not taken yet; at
    /// this number the stream is not read any further.
    pub max_in_flight: usize,
    /// A stream is ended when its gateway takes no outcome for this long.
    pub stream_stall: Duration,
    /// How long a stream waits for a full lane before it refuses what goes there.
    pub queue_wait: Duration,
    /// A command that the store did not take within this time is refused as
    /// `unavailable`; until then it is repeated. Longer than a restart of the
    /// database, shorter than the gateway's own patience.
    pub store_deadline: Duration,
    /// Queries that run at once; others wait.
    pub max_concurrent_queries: usize,
    /// How long authors may edit their messages.
    pub edit_window: Duration,
    /// Members of a group.
    pub max_members: usize,
    /// Rows in one page of anything.
    pub max_page: usize,
    /// Changes in one answer to a follow.
    pub max_changes: usize,
    /// Feeds asked for in one query.
    pub max_feeds: usize,
    /// Bytes of changes in one answer; the rest is asked for again. Below what
    /// a gRPC client takes by default.
    pub max_answer_bytes: usize,
    /// Bytes of changes in one event: below what a broker carries by default.
    pub max_payload_bytes: usize,
    /// Rooms of at most this many members show how far each has read, and are
    /// told when somebody reads.
    pub read_mark_limit: u32,
    /// Publications waiting for the broker, for each lane. Above, they are
    /// dropped: announced heads make up for it.
    pub publish_queue: usize,
    /// A publication that the broker's client did not take within this time is dropped.
    pub publish_timeout: Duration,
    /// How often the heads of recently changed feeds are announced.
    pub announce_every: Duration,
    /// What counts as recently. Wider than the longest commit, because a
    /// transaction that commits late carries an early time.
    pub announce_window: Duration,
    /// How often one dispatcher announces the same head.
    pub announce_times: u8,
    /// How often the store is told to forget old activity.
    pub forget_every: Duration,
}

impl Settings {
    /// The defaults with a store that takes one commit at a time, as SQLite does:
    /// what waits for it had better be one batch.
    pub fn one_writer() -> Self {
        Self { lanes: 1, max_batch: 1024, ..Self::default() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lanes: 4,
            max_batch: 256,
            queue_per_lane: 4096,
            max_concurrent_commands: 32,
            queue_per_worker: 1024,
            max_in_flight: 4096,
            stream_stall: Duration::from_secs(30),
            queue_wait: Duration::from_secs(1),
            store_deadline: Duration::from_secs(6),
            max_concurrent_queries: 256,
            edit_window: Duration::from_secs(15 * 60),
            max_members: 1000,
            max_page: 100,
            max_changes: 500,
            max_feeds: 10_000,
            max_answer_bytes: 2 * 1024 * 1024,
            max_payload_bytes: 512 * 1024,
            read_mark_limit: 100,
            publish_queue: 1024,
            publish_timeout: Duration::from_secs(1),
            announce_every: Duration::from_secs(1),
            announce_window: Duration::from_secs(10),
            announce_times: 3,
            forget_every: Duration::from_secs(30),
        }
    }
}
