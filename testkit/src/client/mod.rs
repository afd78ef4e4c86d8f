//! A client of the native protocol that notices everything: requests with their
//! answers, what comes unasked, how the connection ended, and a transcript of
//! all of it for the [checker](crate::checker).

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt, Stream, StreamExt};
use proto::frame::DecodeError;
use proto::v1::{self, ClientFrame, ServerFrame, client_frame::Request, server_frame::Body};
use proto::{CloseCode, Encoding};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WireCode;

mod connect;
mod requests;
mod transcript;

pub use connect::{ConnectError, ConnectOptions};
pub use transcript::{Entry, Transcript, now};

/// The server promises an answer within 10 seconds, if only "timeout".
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the client waits for what must come unasked.
pub const EVENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Code of an error that the client itself made: the connection ended, or no
/// answer came. What was asked may have happened.
pub const DISCONNECTED: &str = "disconnected";

const OUTBOUND_FRAMES: usize = 256;

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The server's close code; `None`: without a close frame.
    pub code: Option<u16>,
    /// The server's reason, or what broke.
    pub reason: String,
}

impl Closed {
    /// The code, if it is in our table.
    pub fn close_code(&self) -> Option<CloseCode> {
        CloseCode::ALL.iter().copied().find(|code| Some(code.number()) == self.code)
    }

    /// Whether a well-behaved client comes back by itself.
    pub fn resumes(&self) -> bool {
        self.code.is_none() || self.close_code().is_some_and(CloseCode::resume)
    }
}

/// One connection of one user. Dropping it ends the connection without a goodbye.
pub struct Client {
    encoding: Encoding,
    outbound: mpsc::Sender<Message>,
    next_id: AtomicU64,
    shared: Arc<Shared>,
    reading: watch::Sender<bool>,
    ready: v1::Ready,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Counts changes of the state.
    version: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    transcript: Transcript,
    pending: HashMap<u64, oneshot::Sender<Body>>,
    /// Newest cursor of each feed; the own feed's under "".
    cursors: BTreeMap<String, String>,
    /// How much of the transcript `next_event` has looked at.
    looked_at: usize,
    closed: Option<Closed>,
}

impl Client {
    fn over(socket: WebSocketStream<TcpStream>, encoding: Encoding) -> Self {
        let (mut sink, mut stream) = socket.split();
        let (outbound, mut frames) = mpsc::channel::<Message>(OUTBOUND_FRAMES);
        let (reading, mut may_read) = watch::channel(true);
        let shared = Arc::<Shared>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Some(frame) = frames.recv().await {
                // What went wrong is for the reader to say.
                if sink.send(frame).await.is_err() {
                    break;
                }
            }
        });
        tasks.spawn({
            let shared = shared.clone();
            async move {
                let mut close = Closed { code: None, reason: "ended without a close frame".to_owned() };
                loop {
                    if may_read.wait_for(|may| *may).await.is_err() {
                        break;
                    }
                    let understood = match stream.next().await {
                        Some(Ok(Message::Close(frame))) => {
                            close = Closed::from(frame);
                            Ok(())
                        }
                        Some(Ok(Message::Text(text))) => shared.receive(encoding, text.as_bytes()),
                        Some(Ok(Message::Binary(bytes))) => shared.receive(encoding, &bytes),
                        Some(Ok(_)) => Ok(()),
                        Some(Err(error)) if close.code.is_none() => {
                            close.reason = error.to_string();
                            break;
                        }
                        Some(Err(_)) | None => break,
                    };
                    if let Err(error) = understood {
                        close.reason = format!("the server sent what is no frame: {error}");
                        break;
                    }
                }
                shared.close(close);
            }
        });
        let next_id = AtomicU64::new(1);
        Self { encoding, outbound, next_id, shared, reading, ready: v1::Ready::default(), tasks }
    }

    /// What the server said when the connection was ready.
    pub fn ready(&self) -> &v1::Ready {
        &self.ready
    }

    /// Asks, and waits for the answer. Any number may be on the way at once:
    /// requests go out in the order of the first poll of these futures.
    pub async fn request(&self, request: Request) -> Result<Body, v1::Error> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        let frame = ClientFrame { id, request: Some(request) };
        let sent = self.push(frame, Some(answer)).await;
        let answer = match sent {
            true => tokio::time::timeout(ANSWER_TIMEOUT, answered).await,
            false => return Err(disconnected("the connection has ended")),
        };
        match answer {
            Ok(Ok(Body::Error(error))) => Err(error),
            Ok(Ok(body)) => Ok(body),
            Ok(Err(_)) => Err(disconnected("the connection ended before the answer")),
            Err(_) => Err(disconnected("no answer in time")),
        }
    }

    /// Sends a frame as it is, with its own id or none, and waits for nothing.
    /// `false`: the connection has ended.
    pub async fn send_frame(&self, frame: ClientFrame) -> bool {
        self.push(frame, None).await
    }

    /// Sends any WebSocket message, also one that is no frame of ours.
    pub async fn send_raw(&self, message: Message) -> bool {
        self.outbound.send(message).await.is_ok()
    }

    /// Notes the frame and sends it, as one step: the transcript has frames in
    /// the order in which they go out.
    async fn push(&self, frame: ClientFrame, answer: Option<oneshot::Sender<Body>>) -> bool {
        let bytes = self.encoding.encode_client(&frame);
        let message = match self.encoding {
            Encoding::Json => Message::text(String::from_utf8_lossy(&bytes).into_owned()),
            Encoding::Protobuf => Message::binary(bytes),
        };
        let Ok(place) = self.outbound.reserve().await else { return false };
        let mut state = self.shared.lock();
        if state.closed.is_some() {
            return false;
        }
        if let Some(answer) = answer {
            state.pending.insert(frame.id, answer);
        }
        state.transcript.note(Entry::Asked(frame));
        place.send(message);
        true
    }

    /// The next frame that came unasked: deliveries and ephemeral events, and
    /// refusals that name no request.
    pub async fn next_event(&self) -> anyhow::Result<ServerFrame> {
        self.expect_event("an event", |frame| Some(frame.clone())).await
    }

    /// Passes over what came unasked until `pick` takes something. An error says
    /// `what` was missing when time was over or the connection ended.
    pub async fn expect_event<T>(
        &self,
        what: &str,
        mut pick: impl FnMut(&ServerFrame) -> Option<T>,
    ) -> anyhow::Result<T> {
        let looking = self.look(|state| {
            while let Some(timed) = state.transcript.entries().get(state.looked_at) {
                state.looked_at += 1;
                if let Some(picked) = timed.1.event().and_then(&mut pick) {
                    return Some(Ok(picked));
                }
            }
            let closed = state.closed.as_ref()?;
            Some(Err(anyhow::anyhow!("waited for {what}, but the connection ended: {closed:?}")))
        });
        tokio::time::timeout(EVENT_TIMEOUT, looking)
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("waited {EVENT_TIMEOUT:?} in vain for {what}")))
    }

    /// Everything that comes unasked, from the connection's start to its end.
    pub fn events(&self) -> impl Stream<Item = ServerFrame> + '_ {
        futures_util::stream::unfold(0, async |mut at| {
            let next = self.look(|state| {
                while let Some(timed) = state.transcript.entries().get(at) {
                    at += 1;
                    if let Some(event) = timed.1.event() {
                        return Some(Some(event.clone()));
                    }
                }
                state.closed.is_some().then_some(None)
            });
            next.await.map(|event| (event, at))
        })
    }

    /// Everything so far, in order.
    pub fn transcript(&self) -> Transcript {
        self.shared.lock().transcript.clone()
    }

    /// Where to resume a room from, or with "" the own feed; empty: never heard.
    pub fn cursor(&self, room: &str) -> String {
        self.shared.lock().cursors.get(room).cloned().unwrap_or_default()
    }

    /// Stops reading from the socket, or goes on.
    pub fn set_reading(&self, reading: bool) {
        self.reading.send_replace(reading);
    }

    /// How the connection ended, if it has.
    pub fn end(&self) -> Option<Closed> {
        self.shared.lock().closed.clone()
    }

    /// Waits for the connection's end.
    pub async fn closed(&self) -> Closed {
        self.look(|state| state.closed.clone()).await
    }

    /// Says goodbye and waits for the end.
    pub async fn close(self) -> Closed {
        let goodbye = CloseFrame { code: WireCode::Normal, reason: "".into() };
        self.send_raw(Message::Close(Some(goodbye))).await;
        self.set_reading(true);
        self.closed().await
    }

    /// Breaks the connection off without a goodbye, and hands over the transcript.
    pub async fn abort(mut self) -> Transcript {
        self.tasks.shutdown().await;
        self.shared.close(Closed { code: None, reason: "broken off by the client".to_owned() });
        self.transcript()
    }

    /// Waits until `look` finds something in the state.
    async fn look<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut version = self.shared.version.subscribe();
        loop {
            if let Some(found) = look(&mut self.shared.lock()) {
                return found;
            }
            version.changed().await.expect("the sender lives in the same client");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receive(&self, encoding: Encoding, bytes: &[u8]) -> Result<(), DecodeError> {
        let frame = encoding.decode_server(bytes)?;
        let mut state = self.lock();
        let cursor = match &frame.body {
            Some(Body::Joined(joined)) => Some((joined.room.clone(), joined.cursor.clone())),
            Some(Body::Ready(ready)) => Some((String::new(), ready.cursor.clone())),
            _ if frame.seq > 0 => Some((frame.room.clone(), frame.cursor.clone())),
            _ => None,
        };
        state.cursors.extend(cursor);
        if let Some(waiting) = state.pending.remove(&frame.re) {
            // A newer server's kind of answer is none to us. Whoever asked may have
            // stopped waiting.
            if let Some(body) = frame.body.clone() {
                let _ = waiting.send(body);
            }
        }
        state.transcript.note(Entry::Received(frame));
        drop(state);
        self.version.send_modify(|version| *version += 1);
        Ok(())
    }

    fn close(&self, closed: Closed) {
        let mut state = self.lock();
        if state.closed.is_none() {
            state.transcript.note(Entry::Closed(closed.clone()));
            state.closed = Some(closed);
        }
        state.pending.clear();
        drop(state);
        self.version.send_modify(|version| *version += 1);
    }
}

impl From<Option<CloseFrame>> for Closed {
    fn from(frame: Option<CloseFrame>) -> Self {
        match frame {
            Some(frame) => Self { code: Some(frame.code.into()), reason: frame.reason.as_str().to_owned() },
            None => Self { code: Some(1005), reason: String::new() },
        }
    }
}

fn disconnected(message: &str) -> v1::Error {
    v1::Error { code: DISCONNECTED.to_owned(), message: message.to_owned(), retryable: true, retry_after: 0 }
}
