//! What is to be run.

use std::time::Duration;

use proto::Encoding;

/// What is to be run.
pub struct Plan {
    /// URLs of gateways.
    pub targets: Vec<String>,
    /// Signs the users' tokens.
    pub secret: String,
    /// Direct rooms; else groups.
    pub direct: bool,
    /// How many.
    pub rooms: usize,
    /// Of each room.
    pub members: usize,
    /// Of each room.
    pub senders: usize,
    /// Messages per second in all; 0: as fast as answered.
    pub rate: u64,
    /// Messages that each sender has on the way at once, without a rate.
    pub window: usize,
    /// Before measuring.
    pub warmup: Duration,
    /// Of measuring.
    pub duration: Duration,
    /// How frames are written.
    pub encoding: Encoding,
}
