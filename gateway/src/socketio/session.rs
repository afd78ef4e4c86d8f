//! One Engine.IO session: the task that owns its transport, its queue and its
//! conversation, from the handshake to the end, polling first or not.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto::{CloseCode, v1};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::engine::{self, Packet};
use super::packet;
use super::sessions::{Listed, Polled, Request, Taken};
use super::talk::{Step, Talk};
use crate::app::App;
use crate::auth::Identity;
use crate::metrics;
use crate::outbound::{Closing, Outbound};
use crate::socket::{self, Socket};
use crate::websocket::{Decoder, Incoming, encode};

/// How long a closing session may take to hand over what is left.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
/// An upgrade that was begun and not finished is given up after this.
const UPGRADE_PATIENCE: Duration = Duration::from_secs(10);

/// A session. Runs in one task.
pub struct Session {
    app: Arc<App>,
    outbound: Arc<Outbound>,
    talk: Talk,
    transport: Transport,
    /// How it ends, once that is settled.
    closing: Option<Closing>,
    /// What ends it is on its way, or delivered.
    said_goodbye: bool,
    /// The other side says nothing more that counts.
    deaf: bool,
    /// The client is gone, or has gone away from its session.
    gone: bool,
    last_heard: Instant,
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

struct Polling {
    requests: mpsc::Receiver<Request>,
    /// A poll that waits for packets.
    parked: Option<oneshot::Sender<Polled>>,
    /// Packets that wait for a poll, as WebSocket frames.
    waiting: Vec<Bytes>,
    probe: Option<Probe>,
    _listed: Listed,
}

/// An upgrade that was begun.
struct Probe {
    line: Line,
    since: Instant,
    /// The client has asked whether it works.
    asked: bool,
}

/// What became of what was read.
enum Read {
    HungUp,
    Done,
    /// To be waited for before what is behind it.
    Step(Step),
    /// The client moves to its WebSocket.
    Upgraded,
}

impl Line {
    fn new(stream: TcpStream, unread: Vec<u8>, max_bytes: usize) -> Self {
        Self { socket: Socket::new(stream), decoder: Decoder::new(max_bytes), unread }
    }
}

impl Session {
    /// A session that begins on a WebSocket.
    pub fn on_websocket(
        app: Arc<App>,
        stream: TcpStream,
        unread: Bytes,
        bearer: Option<Result<Identity, v1::Error>>,
    ) -> Self {
        let line = Line::new(stream, unread.to_vec(), app.settings.max_frame_bytes);
        let session = Self::new(app, Transport::WebSocket(line), bearer);
        let id = super::sessions::new_id();
        session.outbound.push(engine::frame(&session.app.engine_open(&id, &[]).packet()));
        session
    }

    /// A session that begins with polls.
    pub fn polling(
        app: Arc<App>,
        requests: mpsc::Receiver<Request>,
        listed: Listed,
        bearer: Option<Result<Identity, v1::Error>>,
    ) -> Self {
        let polling = Polling { requests, parked: None, waiting: Vec::new(), probe: None, _listed: listed };
        Self::new(app, Transport::Polling(Box::new(polling)), bearer)
    }

    fn new(app: Arc<App>, transport: Transport, bearer: Option<Result<Identity, v1::Error>>) -> Self {
        let now = Instant::now();
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
            last_heard: now,
            pinged: None,
            last_ping: now,
        }
    }

    /// Serves until the session is over.
    pub async fn run(mut self) {
        self.app.strangers.add(&self.outbound);
        if let Err(error) = self.serve().await {
            tracing::debug!(%error, "the socket failed");
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
                event = self.transport.next(reads, blocked) => Box::pin(self.happened(event)).await?,
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
        match &mut self.transport {
            Transport::WebSocket(line) => line.socket.queue(taken.frames),
            Transport::Polling(polling) => polling.waiting.extend(taken.frames),
        }
        if let Some(closing) = taken.closing
            && !std::mem::replace(&mut self.said_goodbye, true)
        {
            self.deaf = true;
            let mut goodbye = Vec::new();
            if !closing.code.resume() {
                // The client's library would come back by itself.
                packet::disconnect(&mut goodbye);
            }
            let given_up = closing.code == CloseCode::SlowReader;
            match &mut self.transport {
                Transport::WebSocket(line) => {
                    if given_up {
                        line.socket.give_up();
                    }
                    line.socket.push(goodbye.into());
                    line.socket.push(encode::close(closing.code, &closing.reason));
                }
                Transport::Polling(polling) => {
                    if given_up {
                        polling.waiting = Vec::new();
                    }
                    if !goodbye.is_empty() {
                        polling.waiting.push(goodbye.into());
                    }
                    polling.waiting.push(engine::frame("1"));
                }
            }
            self.closing = Some(closing);
        }
    }

    /// Writes, or answers a poll. `true`: the socket takes no more now.
    fn hand_over(&mut self) -> io::Result<bool> {
        let metrics = self.app.hub.metrics();
        match &mut self.transport {
            Transport::WebSocket(line) => line.socket.write(&self.outbound, metrics),
            Transport::Polling(polling) => {
                polling.answer(&self.outbound);
                match &mut polling.probe {
                    Some(probe) => match probe.line.socket.write(&self.outbound, metrics) {
                        Ok(blocked) => Ok(blocked),
                        // The upgrade has failed; polling goes on.
                        Err(_) => {
                            polling.probe = None;
                            Ok(false)
                        }
                    },
                    None => Ok(false),
                }
            }
        }
    }

    /// Whether everything that ends the session was handed over.
    fn is_over(&self) -> bool {
        match &self.transport {
            Transport::WebSocket(line) => line.socket.is_written(),
            Transport::Polling(polling) => polling.waiting.is_empty(),
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
        let left = input.to_vec();
        if let Transport::WebSocket(line) = &mut self.transport {
            line.unread = left;
        }
        Some(read)
    }

    async fn act(&mut self, read: Read) {
        match read {
            Read::Step(step) => self.talk.step(step).await,
            Read::HungUp => self.gone = true,
            Read::Upgraded => self.upgrade(),
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
                Ok(Read::Upgraded) => self.upgrade(),
                Ok(Read::Done | Read::Step(_)) => {}
                Ok(Read::HungUp) | Err(_) => self.drop_probe(),
            },
            Event::Writable => {}
            Event::Request(request) => self.request(request).await,
            // Nobody can reach the session any more.
            Event::Unreachable => self.gone = true,
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
            self.heard();
            let mut input = &buffer[..count];
            let read = self.frames(&mut input);
            if let (false, Transport::WebSocket(line)) = (input.is_empty(), &mut self.transport) {
                line.unread = input.to_vec();
            }
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
                Ok(Ok(packet)) => self.packet(packet),
                _ => self.refuse("not a packet of Engine.IO 4"),
            },
            Incoming::Binary(attachment) => self.talk.binary(&attachment),
            Incoming::Ping(payload) => {
                self.outbound.push(encode::pong(&payload));
                None
            }
            Incoming::Pong => None,
            Incoming::Close { code, .. } => {
                if let Transport::WebSocket(line) = &mut self.transport {
                    line.socket.push(encode::close_answer(code));
                }
                (self.deaf, self.said_goodbye) = (true, true);
                self.closing = Some(Closing::with(CloseCode::Normal));
                None
            }
        }
    }

    /// A packet, however it came.
    fn packet(&mut self, packet: Packet<'_>) -> Option<Step> {
        match packet {
            Packet::Message(text) => self.talk.text(text),
            Packet::Binary(attachment) => self.talk.binary(&attachment),
            Packet::Pong | Packet::Noop => None,
            // Some ask whether it still works.
            Packet::Ping(text) => {
                self.outbound.push(engine::frame(&format!("3{text}")));
                None
            }
            Packet::Close => {
                self.close(Closing::with(CloseCode::Normal));
                self.gone = true;
                None
            }
            Packet::Upgrade => self.refuse("an upgrade of what is a WebSocket, or was not asked about"),
        }
    }

    fn refuse(&mut self, why: &str) -> Option<Step> {
        self.close(Closing { code: CloseCode::Malformed, reason: why.to_owned() });
        None
    }

    fn close(&mut self, closing: Closing) {
        self.deaf = true;
        self.outbound.close(closing);
    }

    async fn request(&mut self, request: Request) {
        self.heard();
        match request {
            Request::Poll(poll) => {
                let Transport::Polling(polling) = &mut self.transport else {
                    return drop(poll.send(Polled::Refused));
                };
                match &mut polling.parked {
                    Some(parked) if !parked.is_closed() => {
                        // Which of the two is to have what comes?
                        let _ = poll.send(Polled::Refused);
                        self.close(Closing::with(CloseCode::Malformed));
                    }
                    parked => *parked = Some(poll),
                }
            }
            Request::Packets { body, done } => {
                let taken = self.packets(&body).await;
                let _ = done.send(taken);
            }
            Request::Upgrade { stream, unread } => {
                let max_bytes = self.app.settings.max_frame_bytes;
                if let Transport::Polling(polling) = &mut self.transport
                    && polling.probe.is_none()
                    && self.closing.is_none()
                {
                    let line = Line::new(stream, unread, max_bytes);
                    polling.probe = Some(Probe { line, since: Instant::now(), asked: false });
                }
            }
        }
    }

    async fn packets(&mut self, body: &str) -> Taken {
        if !matches!(self.transport, Transport::Polling(_)) {
            return Taken::Refused;
        }
        for packet in engine::decode_payload(body) {
            let step = match packet {
                Ok(Packet::Upgrade) | Err(_) => {
                    self.refuse("not a packet of Engine.IO 4");
                    return Taken::Refused;
                }
                Ok(packet) => self.packet(packet),
            };
            if let Some(step) = step {
                self.talk.step(step).await;
            }
            while !self.deaf && !self.talk.has_room() {
                let outbound = self.outbound.clone();
                std::future::poll_fn(|context| outbound.poll_signalled(context)).await;
                self.take();
            }
            if self.deaf {
                break;
            }
        }
        Taken::Ok
    }

    fn read_probe(&mut self) -> io::Result<Read> {
        socket::lend(|buffer| {
            let Transport::Polling(polling) = &mut self.transport else { return Ok(Read::Done) };
            let Some(probe) = &mut polling.probe else { return Ok(Read::Done) };
            let count = match probe.line.socket.try_read(buffer, self.app.hub.metrics())? {
                Some(0) => return Ok(Read::HungUp),
                Some(count) => count,
                None => return Ok(Read::Done),
            };
            probe.line.unread.extend_from_slice(&buffer[..count]);
            let unread = std::mem::take(&mut probe.line.unread);
            let mut input = &unread[..];
            let mut read = Read::Done;
            while let Some(incoming) = probe.line.decoder.decode(&mut input).map_err(io::Error::other)? {
                let text = match &incoming {
                    Incoming::Text(text) => std::str::from_utf8(text).ok().map(engine::decode),
                    _ => None,
                };
                match text {
                    Some(Ok(Packet::Ping("probe"))) if !probe.asked => {
                        probe.asked = true;
                        probe.line.socket.push(engine::probed());
                        // The client goes on when its poll has ended.
                        polling.waiting.push(engine::frame("6"));
                    }
                    Some(Ok(Packet::Upgrade)) if probe.asked => {
                        read = Read::Upgraded;
                        break;
                    }
                    _ => return Err(io::Error::other("not how an upgrade goes")),
                }
            }
            probe.line.unread = input.to_vec();
            Ok(read)
        })
    }

    /// From here on everything goes over the WebSocket.
    fn upgrade(&mut self) {
        let Transport::Polling(polling) = &mut self.transport else { return };
        let Some(probe) = polling.probe.take() else { return };
        let mut line = probe.line;
        if let Some(parked) = polling.parked.take() {
            let _ = parked.send(Polled::Payload("6".to_owned()));
        }
        // What only ends a poll is not for a WebSocket.
        let noop = engine::frame("6");
        line.socket
            .queue(std::mem::take(&mut polling.waiting).into_iter().filter(|frame| *frame != noop).collect());
        self.transport = Transport::WebSocket(line);
        self.heard();
    }

    fn drop_probe(&mut self) {
        if let Transport::Polling(polling) = &mut self.transport {
            polling.probe = None;
        }
    }

    fn heard(&mut self) {
        self.last_heard = Instant::now();
        self.pinged = None;
    }

    /// When something of the clock's is due next.
    fn next_look(&self) -> Instant {
        let settings = &self.app.settings;
        let ping = match self.pinged {
            Some(pinged) => pinged + settings.engine_ping_timeout,
            None => self.last_ping + settings.engine_ping_interval,
        };
        let mut next = self.talk.next_look().min(ping);
        if let Transport::Polling(polling) = &self.transport
            && let Some(probe) = &polling.probe
        {
            next = next.min(probe.since + UPGRADE_PATIENCE);
        }
        next
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
        if let Transport::Polling(polling) = &mut self.transport
            && polling.probe.as_ref().is_some_and(|probe| now >= probe.since + UPGRADE_PATIENCE)
        {
            polling.probe = None;
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
    Unreachable,
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
            Transport::Polling(polling) => {
                let Polling { requests, probe, .. } = &mut **polling;
                let probe = async {
                    match probe {
                        Some(probe) => probe.line.socket.readable().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    request = requests.recv() => Ok(request.map_or(Event::Unreachable, Event::Request)),
                    _ = probe => Ok(Event::ProbeReadable),
                }
            }
        }
    }
}

impl Polling {
    /// Answers the parked poll with what waits.
    fn answer(&mut self, outbound: &Outbound) {
        if self.waiting.is_empty() {
            return;
        }
        // A poll whose client has hung up gets nothing; the next one does.
        let Some(parked) = self.parked.take().filter(|parked| !parked.is_closed()) else { return };
        let frames = std::mem::take(&mut self.waiting);
        let bytes = frames.iter().map(Bytes::len).sum();
        if let Err(Polled::Payload(_)) = parked.send(Polled::Payload(engine::payload(&frames))) {
            self.waiting = frames;
        } else {
            outbound.written(bytes);
        }
    }
}
