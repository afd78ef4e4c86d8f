//! The gateway's limits and times. Defaults are what production wants.

use std::time::Duration;

/// Limits and times of one gateway.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Origins that browsers may connect from, exactly as in their `Origin`
    /// header. A request without `Origin` needs none. Same-origin is always allowed.
    pub allowed_origins: Vec<String>,
    /// Accept `?token=` on the WebSocket (it may end up in logs of others).
    pub token_in_query: bool,
    /// Connections at once; further upgrades get 503 with `Retry-After`.
    pub max_connections: usize,
    /// New connections in any one second; further ones get 503 with `Retry-After`.
    /// 0: no limit.
    pub connection_rate: u32,
    /// A connection without a token is closed after this.
    pub auth_timeout: Duration,
    /// Slowest request head or body accepted.
    pub http_timeout: Duration,
    /// Largest client frame or request body, bytes.
    pub max_frame_bytes: usize,
    /// Bytes waiting for one connection before it is closed as a slow reader.
    pub max_outbound_bytes: usize,
    /// Requests of one connection on the way at once; more are not read.
    pub max_in_flight: usize,
    /// Rooms joined at once by one connection.
    pub max_joined_rooms: usize,
    /// Frames per second of one connection, averaged over `frame_burst`.
    pub frames_per_second: u32,
    /// Frames of one connection in one burst.
    pub frame_burst: u32,
    /// Answer to a command at the latest after this.
    pub command_timeout: Duration,
    /// A ping goes to a connection that was silent for this long; twice this, and it is closed.
    pub heartbeat: Duration,
    /// Engine.IO: a ping goes to a session this often.
    pub engine_ping_interval: Duration,
    /// Engine.IO: a session that does not answer a ping for this long is closed.
    pub engine_ping_timeout: Duration,
    /// Presence is published to rooms of at most this many members.
    pub presence_room_limit: u32,
    /// The share of commands that are traced, 0 to 1.
    pub trace_sample: f64,
    /// On drain, the part of the connections closed in any one second is one by
    /// so many seconds at most; closing takes a quarter longer.
    pub drain_spread: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            token_in_query: false,
            max_connections: 100_000,
            connection_rate: 20_000,
            auth_timeout: Duration::from_secs(10),
            http_timeout: Duration::from_secs(10),
            max_frame_bytes: 64 * 1024,
            max_outbound_bytes: 1024 * 1024,
            max_in_flight: 256,
            max_joined_rooms: 1000,
            frames_per_second: 1000,
            frame_burst: 5000,
            command_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(15),
            engine_ping_interval: Duration::from_secs(25),
            engine_ping_timeout: Duration::from_secs(20),
            presence_room_limit: 200,
            trace_sample: 0.01,
            drain_spread: Duration::from_secs(5),
        }
    }
}
