//! The transport of polls: what waits for the next one, the one that is parked,
//! and the requests by which they come.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::upgrade::Probe;
use super::{Event, Line, Session, Transport};
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::socketio::engine::{self, Packet};
use crate::socketio::sessions::{Listed, Polled, Request, Taken};

/// Most that one poll gets, if there is more than one piece: the rest waits for
/// the next, so that a client which does not read holds little.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// While an upgrade is probed, a poll is answered at the latest after this.
const PROBED_POLL: Duration = Duration::from_millis(100);

/// A session's transport as long as it polls.
pub(super) struct Polling {
    requests: mpsc::Receiver<Request>,
    /// A poll that waits for packets, and since when.
    parked: Option<(oneshot::Sender<Polled>, Instant)>,
    /// Packets that wait for a poll, as WebSocket frames.
    waiting: VecDeque<Bytes>,
    /// The parked poll, or the next one, is to be answered with nothing.
    release: bool,
    pub(super) probe: Option<Probe>,
    _listed: Listed,
}

impl Polling {
    pub(super) fn new(requests: mpsc::Receiver<Request>, listed: Listed) -> Self {
        Self {
            requests,
            parked: None,
            waiting: VecDeque::new(),
            release: false,
            probe: None,
            _listed: listed,
        }
    }

    /// Waits for the next thing. Cancel-safe.
    pub(super) async fn next(&mut self) -> Event {
        let Self { requests, parked, probe, .. } = self;
        let probe = async {
            match probe {
                // A failure shows when it is read.
                Some(probe) => drop(probe.line.socket.readable().await),
                None => std::future::pending().await,
            }
        };
        let hung_up = async {
            match parked {
                Some((parked, _)) => parked.closed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            request = requests.recv() => request.map_or(Event::Gone, Event::Request),
            () = probe => Event::ProbeReadable,
            // What it would have got is lost with it: Engine.IO's sessions end so too.
            () = hung_up => Event::Gone,
        }
    }

    /// To be told to the next poll.
    pub(super) fn queue(&mut self, frames: VecDeque<Bytes>) {
        if self.waiting.is_empty() {
            self.waiting = frames;
        } else {
            self.waiting.extend(frames);
        }
    }

    pub(super) fn give_up(&mut self) {
        self.waiting = VecDeque::new();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a poll is waiting.
    pub(super) fn is_polled(&self) -> bool {
        self.parked.is_some()
    }

    /// Answers the parked poll, or the next one, even with nothing.
    pub(super) fn release(&mut self) {
        self.release = true;
    }

    /// Answers the parked poll if there is something for it. `false`: its client
    /// has hung up.
    pub(super) fn answer(&mut self, outbound: &Outbound, metrics: &Metrics) -> bool {
        if self.waiting.is_empty() && !self.release {
            return true;
        }
        let Some((parked, _)) = self.parked.take() else { return true };
        self.release = false;
        let mut pieces = Vec::new();
        let mut bytes = 0;
        while let Some(piece) =
            self.waiting.pop_front_if(|piece| bytes == 0 || bytes + piece.len() <= MAX_ANSWER_BYTES)
        {
            bytes += piece.len();
            pieces.push(piece);
        }
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        let payload = if pieces.is_empty() { engine::NOOP.to_owned() } else { engine::payload(&pieces) };
        metrics.bytes_out.increment(payload.len() as u64);
        let answered = parked.send(Polled::Payload(payload)).is_ok();
        outbound.written(bytes);
        answered
    }

    /// When the clock matters next.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let probe = self.probe.as_ref()?;
        match &self.parked {
            Some((_, since)) if probe.asked => Some(probe.given_up_at().min(*since + PROBED_POLL)),
            _ => Some(probe.given_up_at()),
        }
    }

    /// Does what is due.
    pub(super) fn look(&mut self, now: Instant) {
        let Some(probe) = &self.probe else { return };
        if now >= probe.given_up_at() {
            self.probe = None;
        } else if probe.asked && self.parked.as_ref().is_some_and(|(_, since)| now >= *since + PROBED_POLL) {
            // The client may have begun it just before it heard that it may upgrade,
            // and waits for its end.
            self.release = true;
        }
    }

    fn poll(&mut self, poll: oneshot::Sender<Polled>) -> Result<(), oneshot::Sender<Polled>> {
        match &self.parked {
            Some((parked, _)) if !parked.is_closed() => Err(poll),
            _ => {
                self.parked = Some((poll, Instant::now()));
                Ok(())
            }
        }
    }

    pub(super) fn into_waiting(self) -> VecDeque<Bytes> {
        if let Some((parked, _)) = self.parked {
            // One that has hung up is of no interest any more.
            let _ = parked.send(Polled::Payload(engine::NOOP.to_owned()));
        }
        self.waiting
    }
}

impl Session {
    /// A request by which the session is polled, or talked to.
    pub(super) async fn request(&mut self, request: Request) {
        match request {
            Request::Packets { body, done } => {
                self.pinged = None;
                let taken = self.packets(&body).await;
                // Whoever sent them may have gone.
                let _ = done.send(taken);
            }
            request => self.request_at_once(request),
        }
    }

    fn request_at_once(&mut self, request: Request) {
        let Transport::Polling(polling) = &mut self.transport else { return };
        match request {
            Request::Poll(poll) => {
                if let Err(second) = polling.poll(poll) {
                    // Which of the two is to have what comes?
                    let _ = second.send(Polled::Refused);
                    self.break_off("two polls at once");
                }
            }
            Request::Release => polling.release(),
            Request::Overlap => self.break_off("packets in two requests at once"),
            Request::Upgrade { stream, unread } => {
                if polling.probe.is_none() && self.closing.is_none() {
                    let line = Line::new(stream, unread, self.app.settings.max_frame_bytes);
                    polling.probe = Some(Probe::new(line));
                }
            }
            Request::Packets { .. } => {}
        }
    }

    async fn packets(&mut self, body: &[u8]) -> Taken {
        if self.deaf || !matches!(self.transport, Transport::Polling(_)) {
            return Taken::Refused;
        }
        let metrics = self.app.hub.metrics();
        metrics.bytes_in.increment(body.len() as u64);
        let Ok(body) = std::str::from_utf8(body) else {
            self.break_off("not a packet of Engine.IO 4");
            return Taken::Refused;
        };
        for packet in engine::decode_payload(body) {
            while !self.deaf && !self.talk.has_room() {
                let outbound = self.outbound.clone();
                std::future::poll_fn(|context| outbound.poll_signalled(context)).await;
                self.take();
            }
            if self.deaf {
                break;
            }
            let step = match packet {
                Ok(Packet::Upgrade) | Err(_) => {
                    self.break_off("not a packet of Engine.IO 4");
                    return Taken::Refused;
                }
                Ok(packet) => self.packet(packet),
            };
            if let Some(step) = step {
                self.talk.step(step).await;
            }
        }
        Taken::Ok
    }
}
