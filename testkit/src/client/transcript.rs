//! What happened on one connection, in order, on the clock of the test process.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use proto::v1::{ClientFrame, ServerFrame, server_frame::Body};

use super::Closed;

/// Time since the first look at the clock of this process; what all histories
/// of one test have in common.
pub fn now() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// The client sent this.
    Asked(ClientFrame),
    /// The client received this.
    Received(ServerFrame),
    /// The connection ended.
    Closed(Closed),
}

impl Entry {
    /// The frame, if it came unasked.
    pub fn event(&self) -> Option<&ServerFrame> {
        match self {
            Entry::Received(frame) if frame.re == 0 && !matches!(frame.body, Some(Body::Ready(_))) => {
                Some(frame)
            }
            _ => None,
        }
    }
}

/// All that happened on one connection.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transcript {
    entries: Vec<(Duration, Entry)>,
}

impl Transcript {
    /// Adds what happens now.
    pub fn note(&mut self, entry: Entry) {
        self.entries.push((now(), entry));
    }

    /// Everything, with its time.
    pub fn entries(&self) -> &[(Duration, Entry)] {
        &self.entries
    }

    /// What the client received.
    pub fn received(&self) -> impl Iterator<Item = &ServerFrame> {
        self.entries.iter().filter_map(|(_, entry)| match entry {
            Entry::Received(frame) => Some(frame),
            _ => None,
        })
    }

    /// What came unasked.
    pub fn events(&self) -> impl Iterator<Item = &ServerFrame> {
        self.entries.iter().filter_map(|(_, entry)| entry.event())
    }
}
