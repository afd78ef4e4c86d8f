//! One Engine.IO session: the task that owns its transport, its queue and its
//! conversation, from the handshake to the end, polling first or not.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto::{CloseCode, v1};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use self::polling::Polling;
use self::upgrade::Probed;
use super::engine::{self, Open, Packet};
use super::packet;
use super::sessions::{Listed, Request};
use super::talk::{Step, Talk};
use crate::app::App;
use crate::auth::Identity;
use crate::metrics;
use crate::outbound::{Closing, Outbound};
use crate::socket::{self, Socket};
use crate::websocket::{Decoder, Incoming, encode};

mod polling;
mod upgrade;

/// How long a closing session may take to hand over what is left.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// A session. Runs in one task.
pub struct Session {
    app: Arc<App>,
    outbound: Arc<Outbound>,
    talk: Talk,
    transport: Transport,
    /// How it ends, once that is settled.
    closing: Option<Closing>,
    /// What ends it is on its way, or delivered: nothing may come behind it.
    said_goodbye: bool,
    /// The other side says nothing more that counts.
    deaf: bool,
    /// The client is gone, or has gone away from its session.
    gone: bool,
    /// A ping that was not answered went out then.
    pinged: Option<Instant>,
    last_ping: Instant,
}

enum Transport {
    Polling(Box<Polling>),
    WebSocket(Line),
}

/// A WebSocket with what was read from it and not looked at.
struct Line {
    socket: Socket,
    decoder: Decoder,
    unread: Vec<u8>,
}

/// What became of what was read.
enum Read {
    HungUp,
    Done,
    /// To be waited for before what is behind it.
    Step(Step),
}

impl Line {
    fn new(stream: TcpStream, unread: Vec<u8>, max_bytes: usize) -> Self {
        Self { socket: Socket::new(stream), decoder: Decoder::new(max_bytes), unread }
    }
}

impl Session {
    /// A session that begins on a WebSocket; `unread` came behind the handshake.
    pub fn on_websocket(
        app: Arc<App>,
        id: &str,
        stream: TcpStream,
        unread: Vec<u8>,
        bearer: Option<Result<Identity, v1::Error>>,
    ) -> Self {
        let line = Line::new(stream, unread, app.settings.max_frame_bytes);
        let open = engine::frame(&Open::new(id, &[], &app.settings).packet());
        let session = Self::new(app, Transport::WebSocket(line), bearer);
        session.outbound.push(open);
        session
    }

    /// A session that begins with polls.
    pub fn polling(
        app: Arc<App>,
        requests: mpsc::Receiver<Request>,
        listed: Listed,
        bearer: Option<Result<Identity, v1::Error>>,
    ) -> Self {
        app.hub.metrics().polling_sessions.increment(1);
        let polling = Polling::new(requests, listed);
        Self::new(app, Transport::Polling(Box::new(polling)), bearer)
    }

    fn new(app: Arc<App>, transport: Transport, bearer: Option<Result<Identity, v1::Error>>) -> Self {
        let outbound = Arc::new(Outbound::new(app.settings.max_outbound_bytes));
        Self {
            talk: Talk::new(app.clone(), outbound.clone(), bearer),
            app,
            outbound,
            transport,
            closing: None,
            said_goodbye: false,
            deaf: false,
            gone: false,
            pinged: None,
            last_ping: Instant::now(),
        }
    }

    /// Serves until the session is over. Boxed: a future holds what it was given
    /// and what it made of it, both.
    pub async fn run(mut self: Box<Self>) {
        self.app.strangers.add(&self.outbound);
        if let Err(error) = self.serve().await {
            tracing::debug!(%error, "the socket failed");
        }
        if let Transport::Polling(_) = self.transport {
            self.app.hub.metrics().polling_sessions.decrement(1);
        }
        metrics::closed(self.closing.as_ref().map_or(CloseCode::Normal, |closing| closing.code));
        self.app.strangers.remove(&self.outbound);
        self.talk.ended();
    }

    async fn serve(&mut self) -> io::Result<()> {
        let mut timer = std::pin::pin!(sleep_until(self.next_look()));
        let mut gives_up = false;
        loop {
            if let Some(step) = self.talk.woken() {
                Box::pin(self.talk.step(step)).await;
            }
            self.take();
            let blocked = self.hand_over()?;
            if self.gone {
                return Ok(());
            }
            if self.closing.is_some() {
                if self.is_over() {
                    return Box::pin(self.hang_up()).await;
                }
                if !std::mem::replace(&mut gives_up, true) {
                    timer.as_mut().reset(Instant::now() + CLOSE_PATIENCE);
                }
            } else if let Some(read) = self.look_at_unread() {
                Box::pin(self.act(read)).await;
                continue;
            }
            let reads = !self.deaf && self.talk.has_room();
            let outbound = self.outbound.clone();
            tokio::select! {
                () = std::future::poll_fn(|context| outbound.poll_signalled(context)) => {}
                event = self.transport.next(reads, blocked) => {
                    Box::pin(self.happened(event)).await?;
                    let next = self.next_look();
                    if !gives_up && next < timer.deadline() {
                        timer.as_mut().reset(next);
                    }
                }
                () = timer.as_mut() => {
                    if gives_up {
                        return Ok(()); // It does not even fetch its end.
                    }
                    self.look();
                    timer.as_mut().reset(self.next_look());
                }
            }
        }
    }

    /// Moves what waits in the queue to where it is handed over from.
    fn take(&mut self) {
        let taken = self.outbound.take();
        if self.said_goodbye {
            return;
        }
        self.transport.queue(taken.frames);
        let Some(closing) = taken.closing else { return };
        if closing.code == CloseCode::SlowReader {
            // What it has not read is given up: it will resume.
            self.transport.give_up();
        }
        if !closing.code.resume() && closing.code != CloseCode::Normal {
            // The client's library would come back by itself.
            let mut disconnect = Vec::new();
            packet::disconnect(&mut disconnect);
            self.transport.queue([disconnect.into()].into());
        }
        self.say_goodbye(closing);
    }

    /// Ends the transport after what is queued.
    fn say_goodbye(&mut self, closing: Closing) {
        (self.deaf, self.said_goodbye) = (true, true);
        match &mut self.transport {
            Transport::WebSocket(line) => line.socket.push(encode::close(closing.code, &closing.reason)),
            Transport::Polling(polling) => polling.queue([engine::frame("1")].into()),
        }
        self.closing = Some(closing);
    }

    /// Writes, or answers a poll. `true`: the socket takes no more now.
    fn hand_over(&mut self) -> io::Result<bool> {
        let metrics = self.app.hub.metrics();
        match &mut self.transport {
            Transport::WebSocket(line) => line.socket.write(&self.outbound, metrics),
            Transport::Polling(polling) => {
                self.gone |= !polling.answer(&self.outbound, metrics);
                Ok(polling.write_to_probe(&self.outbound, metrics))
            }
        }
    }

    /// Whether everything that ends the session was handed over.
    fn is_over(&self) -> bool {
        match &self.transport {
            Transport::WebSocket(line) => line.socket.is_written(),
            Transport::Polling(polling) => polling.is_empty(),
        }
    }

    async fn hang_up(&mut self) -> io::Result<()> {
        match &mut self.transport {
            Transport::WebSocket(line) => line.socket.hang_up().await,
            Transport::Polling(_) => Ok(()),
        }
    }

    /// Goes on with what was read before.
    fn look_at_unread(&mut self) -> Option<Read> {
        let Transport::WebSocket(line) = &mut self.transport else { return None };
        if line.unread.is_empty() || self.deaf || !self.talk.has_room() {
            return None;
        }
        let unread = std::mem::take(&mut line.unread);
        let mut input = &unread[..];
        let read = self.frames(&mut input);
        self.keep_unread(input);
        Some(read)
    }

    fn keep_unread(&mut self, left: &[u8]) {
        if let (false, Transport::WebSocket(line)) = (left.is_empty(), &mut self.transport) {
            line.unread = left.to_vec();
        }
    }

    async fn act(&mut self, read: Read) {
        match read {
            Read::Step(step) => self.talk.step(step).await,
            Read::HungUp => self.gone = true,
            Read::Done => {}
        }
    }

    async fn happened(&mut self, event: io::Result<Event>) -> io::Result<()> {
        match event? {
            Event::Readable => {
                let read = self.read()?;
                self.act(read).await;
            }
            Event::ProbeReadable => match self.read_probe() {
                Probed::Upgrade(line) => self.upgrade(*line),
                Probed::Waits => {}
            },
            Event::Writable => {}
            Event::Request(request) => self.request(request).await,
            Event::Gone => self.gone = true,
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<Read> {
        socket::lend(|buffer| {
            let Transport::WebSocket(line) = &mut self.transport else { return Ok(Read::Done) };
            let count = match line.socket.try_read(buffer, self.app.hub.metrics())? {
                Some(0) => return Ok(Read::HungUp),
                Some(count) => count,
                None => return Ok(Read::Done),
            };
            self.pinged = None;
            let mut input = &buffer[..count];
            let read = self.frames(&mut input);
            self.keep_unread(input);
            Ok(read)
        })
    }

    /// Runs the frames in `input`, up to one that must be waited for, or as many
    /// as may be on their way at once.
    fn frames(&mut self, input: &mut &[u8]) -> Read {
        while !self.deaf && self.talk.has_room() {
            let Transport::WebSocket(line) = &mut self.transport else { break };
            match line.decoder.decode(input) {
                Ok(Some(incoming)) => {
                    if let Some(step) = self.incoming(incoming) {
                        return Read::Step(step);
                    }
                }
                Ok(None) => break,
                Err(error) => self.close(Closing { code: error.close_code(), reason: error.to_string() }),
            }
        }
        Read::Done
    }

    fn incoming(&mut self, incoming: Incoming) -> Option<Step> {
        match incoming {
            Incoming::Text(payload) => match std::str::from_utf8(&payload).map(engine::decode) {
                Ok(Ok(packet)) => return self.packet(packet),
                _ => self.break_off("not a packet of Engine.IO 4"),
            },
            Incoming::Binary(attachment) => return self.talk.binary(&attachment),
            Incoming::Ping(payload) => {
                if self.within_rate() {
                    self.outbound.push(encode::pong(&payload));
                }
            }
            Incoming::Pong => {}
            Incoming::Close { code, .. } => {
                if let Transport::WebSocket(line) = &mut self.transport {
                    line.socket.push(encode::close_answer(code));
                }
                (self.deaf, self.said_goodbye) = (true, true);
                self.closing = Some(Closing::with(CloseCode::Normal));
            }
        }
        None
    }

    /// A packet, however it came.
    fn packet(&mut self, packet: Packet<'_>) -> Option<Step> {
        match packet {
            Packet::Message(text) => return self.talk.text(text),
            Packet::Binary(attachment) => return self.talk.binary(&attachment),
            Packet::Pong | Packet::Noop => drop(self.within_rate()),
            // Some ask whether it still works.
            Packet::Ping(text) => {
                if self.within_rate() {
                    self.outbound.push(engine::frame(&format!("3{text}")));
                }
            }
            Packet::Close => self.leave(),
            Packet::Upgrade => self.break_off("an upgrade of what is a WebSocket, or was not asked about"),
        }
        None
    }

    /// Packets of the engine's own count as any others.
    fn within_rate(&mut self) -> bool {
        let within = self.talk.control();
        if !within {
            self.close(Closing::with(CloseCode::RateLimited));
        }
        within
    }

    /// Closes after what is queued, and hears nothing more.
    fn close(&mut self, closing: Closing) {
        self.deaf = true;
        self.outbound.close(closing);
    }

    /// The client does not keep to the protocol: the transport ends, which is
    /// all that Engine.IO has for it.
    fn break_off(&mut self, why: &str) {
        if self.said_goodbye {
            return;
        }
        let closing = Closing { code: CloseCode::Malformed, reason: why.to_owned() };
        self.outbound.close(closing.clone());
        self.gone = matches!(&self.transport, Transport::Polling(polling) if !polling.is_polled());
        self.say_goodbye(closing);
    }

    /// The client has said goodbye.
    fn leave(&mut self) {
        match &mut self.transport {
            Transport::WebSocket(_) if !self.said_goodbye => {
                self.say_goodbye(Closing::with(CloseCode::Normal));
            }
            Transport::WebSocket(_) => {}
            Transport::Polling(polling) => {
                polling.release();
                (self.deaf, self.gone) = (true, true);
            }
        }
    }

    /// When something of the clock's is due next.
    fn next_look(&self) -> Instant {
        let settings = &self.app.settings;
        let ping = match self.pinged {
            Some(pinged) => pinged + settings.engine_ping_timeout,
            None => self.last_ping + settings.engine_ping_interval,
        };
        let next = self.talk.next_look().min(ping);
        match &self.transport {
            Transport::Polling(polling) => polling.next_look().map_or(next, |due| due.min(next)),
            Transport::WebSocket(_) => next,
        }
    }

    /// Does what is due.
    fn look(&mut self) {
        let now = Instant::now();
        let settings = &self.app.settings;
        let (interval, timeout) = (settings.engine_ping_interval, settings.engine_ping_timeout);
        if self.pinged.is_some_and(|pinged| now >= pinged + timeout) {
            self.close(Closing::with(CloseCode::Silent));
        } else if self.pinged.is_none() && now >= self.last_ping + interval {
            (self.pinged, self.last_ping) = (Some(now), now);
            self.outbound.push(engine::ping());
        }
        if let Transport::Polling(polling) = &mut self.transport {
            polling.look(now);
        }
        self.talk.look();
    }
}

/// What happens to a transport.
enum Event {
    Readable,
    Writable,
    ProbeReadable,
    Request(Request),
    /// The client has left, or cannot reach the session any more.
    Gone,
}

impl Transport {
    /// Waits for the next thing. Cancel-safe.
    async fn next(&mut self, reads: bool, blocked: bool) -> io::Result<Event> {
        match self {
            Transport::WebSocket(line) => tokio::select! {
                ready = line.socket.readable(), if reads => ready.map(|()| Event::Readable),
                ready = line.socket.writable(), if blocked => ready.map(|()| Event::Writable),
                else => std::future::pending().await,
            },
            // Boxed, so that no WebSocket makes room for it.
            Transport::Polling(polling) => Ok(Box::pin(polling.next()).await),
        }
    }

    fn queue(&mut self, frames: VecDeque<Bytes>) {
        match self {
            Transport::WebSocket(line) => line.socket.queue(frames),
            Transport::Polling(polling) => polling.queue(frames),
        }
    }

    fn give_up(&mut self) {
        match self {
            Transport::WebSocket(line) => line.socket.give_up(),
            Transport::Polling(polling) => polling.give_up(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an idle session's task weighs, its heap apart.
    #[test]
    fn p6_the_future_of_an_idle_session_is_small() {
        fn size_of_future<F: Future>(_: fn(Box<Session>) -> F) -> usize {
            size_of::<F>()
        }
        let size = size_of_future(Session::run);
        assert!(size <= 768, "{size} bytes");
        let size = size_of::<Session>();
        assert!(size <= 640, "{size} bytes");
    }
}
