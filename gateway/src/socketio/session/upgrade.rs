//! From polls to a WebSocket: the client probes it, ends its poll, and moves.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

use super::polling::Polling;
use super::{Line, Session, Transport};
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::socket;
use crate::socketio::engine::{self, Packet};
use crate::websocket::Incoming;

/// An upgrade that was begun and not finished is given up after this.
const PATIENCE: Duration = Duration::from_secs(10);

/// An upgrade that was begun.
pub(super) struct Probe {
    pub(super) line: Line,
    since: Instant,
    /// The client has asked whether it works.
    pub(super) asked: bool,
}

/// What became of a probe.
pub(super) enum Probed {
    Waits,
    /// The client moves to this WebSocket.
    Upgrade(Box<Line>),
}

impl Probe {
    pub(super) fn new(line: Line) -> Self {
        Self { line, since: Instant::now(), asked: false }
    }

    pub(super) fn given_up_at(&self) -> Instant {
        self.since + PATIENCE
    }

    /// Reads what has come. `true`: the client moves.
    fn read(&mut self, metrics: &Metrics) -> io::Result<bool> {
        let Line { socket, decoder, unread } = &mut self.line;
        socket::lend(|buffer| {
            let count = match socket.try_read(buffer, metrics)? {
                Some(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                Some(count) => count,
                None => return Ok(()),
            };
            unread.extend_from_slice(&buffer[..count]);
            Ok(())
        })?;
        let came = std::mem::take(unread);
        let mut input = &came[..];
        while let Some(incoming) = decoder.decode(&mut input).map_err(io::Error::other)? {
            let Incoming::Text(text) = incoming else { return Err(not_an_upgrade()) };
            let packet = std::str::from_utf8(&text).ok().and_then(|text| engine::decode(text).ok());
            match packet {
                Some(Packet::Ping("probe")) if !self.asked => {
                    self.asked = true;
                    socket.push(engine::probed());
                }
                Some(Packet::Upgrade) if self.asked => {
                    *unread = input.to_vec();
                    return Ok(true);
                }
                _ => return Err(not_an_upgrade()),
            }
        }
        Ok(false)
    }
}

fn not_an_upgrade() -> io::Error {
    io::Error::other("not how an upgrade goes")
}

impl Polling {
    /// Writes what is for the WebSocket that is probed. `true`: it takes no more now.
    pub(super) fn write_to_probe(&mut self, outbound: &Outbound, metrics: &Metrics) -> bool {
        let Some(probe) = &mut self.probe else { return false };
        probe.line.socket.write(outbound, metrics).unwrap_or_else(|_| {
            // The upgrade has failed; polling goes on.
            self.probe = None;
            false
        })
    }
}

impl Session {
    pub(super) fn read_probe(&mut self) -> Probed {
        let Transport::Polling(polling) = &mut self.transport else { return Probed::Waits };
        let Some(mut probe) = polling.probe.take() else { return Probed::Waits };
        let asked = probe.asked;
        match probe.read(self.app.hub.metrics()) {
            Ok(true) => Probed::Upgrade(Box::new(probe.line)),
            Ok(false) => {
                if probe.asked && !asked {
                    // The client goes on when its poll has ended.
                    polling.release();
                }
                polling.probe = Some(probe);
                Probed::Waits
            }
            Err(error) => {
                tracing::debug!(%error, "an upgrade has failed");
                Probed::Waits
            }
        }
    }

    /// From here on everything goes over the WebSocket.
    pub(super) fn upgrade(&mut self, line: Line) {
        let before = std::mem::replace(&mut self.transport, Transport::WebSocket(line));
        self.app.hub.metrics().polling_sessions.decrement(1);
        self.pinged = None;
        if let (Transport::Polling(polling), Transport::WebSocket(line)) = (before, &mut self.transport) {
            line.socket.queue(polling.into_waiting());
        }
    }
}
