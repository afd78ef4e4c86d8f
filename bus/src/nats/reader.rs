//! Hears subscriptions over a connection of its own.
//!
//! There is a subscription for every user and room with a listener on a node.
//! The driver keeps a channel of 7 KiB for each, and a message passes through
//! two tasks before anybody looks at it. Here a subscription is a row in a
//! table, and whoever reads the socket hands the message over.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_nats::ServerAddr;
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::wire::{self, Said};
use super::{PING_INTERVAL, backoff, decode};
use crate::Inbox;
use crate::meter::BrokerMeter;

/// A server that has not greeted us after this is taken for dead.
const GREETING_PATIENCE: Duration = Duration::from_secs(2);
/// What is read at once, and kept while there is nothing to read.
const READ_BUFFER: usize = 64 * 1024;
/// Messages handed over before other tasks get the thread.
const SLICE: usize = 256;

/// The subscriptions of one broker, and the connection that hears them.
pub(super) struct Reader {
    table: Mutex<Table>,
    /// Something is to be written.
    asked: Notify,
    /// Connections so far at which all subscriptions were with the server; 0
    /// in the highest bit while there is one.
    state: AtomicU64,
    name: String,
    meter: Arc<BrokerMeter>,
    /// Called when the state has changed, or messages may be lost soon.
    told: Box<dyn Fn(Change) + Send + Sync>,
}

/// What the reader tells of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Connected, with all subscriptions, or not any more.
    Link,
    /// The server is about to go.
    LameDuck,
}

#[derive(Default)]
struct Table {
    rows: HashMap<u64, Row>,
    next: u64,
    /// What is to be written, while there is a connection.
    asked: Option<Vec<u8>>,
}

struct Row {
    subject: Box<str>,
    inbox: Arc<dyn Inbox>,
}

const DOWN: u64 = 1 << 63;

impl Reader {
    pub fn new(
        name: &str,
        meter: Arc<BrokerMeter>,
        told: impl Fn(Change) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::default(),
            asked: Notify::new(),
            state: AtomicU64::new(DOWN),
            name: name.to_owned(),
            meter,
            told: Box::new(told),
        })
    }

    /// The number of the connection that hears all subscriptions; `None`:
    /// there is none now.
    pub fn connection(&self) -> Option<u64> {
        let state = self.state.load(Ordering::Acquire);
        (state & DOWN == 0).then_some(state)
    }

    /// Begins a subscription; the number ends it.
    pub fn subscribe(&self, subject: &str, inbox: Arc<dyn Inbox>) -> u64 {
        let mut table = self.table();
        table.next += 1;
        let id = table.next;
        if let Some(asked) = &mut table.asked {
            asked.extend_from_slice(format!("SUB {subject} {id}\r\n").as_bytes());
        }
        table.rows.insert(id, Row { subject: subject.into(), inbox });
        drop(table);
        self.asked.notify_one();
        id
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, id: u64) {
        let mut table = self.table();
        let row = table.rows.remove(&id);
        if let (Some(_), Some(asked)) = (&row, &mut table.asked) {
            asked.extend_from_slice(format!("UNSUB {id}\r\n").as_bytes());
        }
        drop(table);
        // Dropped outside of the lock: an inbox may end other subscriptions.
        drop(row);
        self.asked.notify_one();
    }

    /// Connects, and connects again, until `closing`.
    pub async fn run(self: Arc<Self>, servers: Vec<ServerAddr>, closing: CancellationToken) {
        let mut attempt = 0;
        for server in servers.iter().cycle() {
            let before = self.state.load(Ordering::Acquire) & !DOWN;
            let ended = closing.run_until_cancelled(self.connected(server)).await;
            self.disconnected();
            match ended {
                None => return,
                Some(Ok(())) => tracing::debug!("the broker has closed the connection for subscriptions"),
                Some(Err(error)) => tracing::debug!(%error, "the connection for subscriptions failed"),
            }
            let was_good = self.state.load(Ordering::Acquire) & !DOWN != before;
            attempt = if was_good { 0 } else { attempt + 1 };
            let pause = tokio::time::sleep(backoff(attempt));
            if closing.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    fn disconnected(&self) {
        self.table().asked = None;
        if self.state.fetch_or(DOWN, Ordering::AcqRel) & DOWN == 0 {
            (self.told)(Change::Link);
        }
    }

    async fn connected(&self, server: &ServerAddr) -> io::Result<()> {
        let connecting = TcpStream::connect((server.host(), server.port()));
        let mut stream = tokio::time::timeout(GREETING_PATIENCE, connecting).await??;
        stream.set_nodelay(true)?;
        let mut buffer = BytesMut::with_capacity(READ_BUFFER);
        let greeting = tokio::time::timeout(GREETING_PATIENCE, said(&mut stream, &mut buffer)).await??;
        let Said::Info(info) = greeting else {
            return Err(io::Error::other("the broker greets with nonsense"));
        };
        if server.tls_required() || wants_tls(&info) {
            let stream = super::tls::encrypt(stream, server.host()).await?;
            self.talk(stream, buffer, server).await
        } else {
            self.talk(stream, buffer, server).await
        }
    }

    /// Says who we are, asks for everything, and hears it until the end.
    async fn talk(
        &self,
        stream: impl AsyncRead + AsyncWrite,
        mut buffer: BytesMut,
        server: &ServerAddr,
    ) -> io::Result<()> {
        let (mut reading, mut writing) = tokio::io::split(stream);
        let mut out = self.greeting(server).into_bytes();
        let mut written = 0;
        let mut greeted = false;
        // Pings that were not answered yet; the greeting ends with one.
        let mut unanswered = 1;
        let mut ping = tokio::time::interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if written == out.len() {
                (out, written) = (self.take_asked(), 0);
            }
            buffer.reserve(1024);
            tokio::select! {
                read = reading.read_buf(&mut buffer) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    let mut handed = 0;
                    while let Some(said) = wire::next(&mut buffer).map_err(io::Error::other)? {
                        match said {
                            Said::Message { subject, id, payload } => {
                                self.hand_over(id, &subject, payload);
                                handed += 1;
                                if handed % SLICE == 0 {
                                    tokio::task::yield_now().await;
                                }
                            }
                            Said::Pong => {
                                unanswered = 0;
                                if !std::mem::replace(&mut greeted, true) {
                                    let connection = (self.state.load(Ordering::Acquire) & !DOWN) + 1;
                                    self.state.store(connection, Ordering::Release);
                                    (self.told)(Change::Link);
                                }
                            }
                            Said::Ping => self.ask("PONG\r\n"),
                            Said::Info(info) if is_lame_duck(&info) => (self.told)(Change::LameDuck),
                            Said::Info(_) | Said::Ok => {}
                            Said::Error(error) => {
                                if error.contains("Slow Consumer") {
                                    self.meter.slow.increment(1);
                                }
                                tracing::warn!(error, "the broker reports an error to the subscriptions");
                            }
                        }
                    }
                }
                count = writing.write(&out[written..]), if written < out.len() => {
                    written += count?;
                    if written == out.len() {
                        writing.flush().await?;
                    }
                }
                () = self.asked.notified(), if written == out.len() => {}
                _ = ping.tick() => {
                    if unanswered >= 2 {
                        return Err(io::Error::from(io::ErrorKind::TimedOut));
                    }
                    unanswered += 1;
                    self.ask("PING\r\n");
                }
            }
        }
    }

    /// CONNECT, all subscriptions, and a ping whose answer says that they are made.
    /// From here on, what is asked is written.
    fn greeting(&self, server: &ServerAddr) -> String {
        let mut connect = serde_json::json!({
            "verbose": false, "pedantic": false, "lang": "rust", "protocol": 1, "headers": true,
            "version": env!("CARGO_PKG_VERSION"), "name": self.name,
        });
        let user = server.username().map(decode);
        match (user, server.password().map(decode)) {
            (Some(user), Some(password)) => {
                connect["user"] = user.into();
                connect["pass"] = password.into();
            }
            (Some(token), None) => connect["auth_token"] = token.into(),
            _ => {}
        }
        let mut table = self.table();
        let mut greeting = format!("CONNECT {connect}\r\n");
        for (id, row) in &table.rows {
            let _ = write!(greeting, "SUB {} {id}\r\n", row.subject);
        }
        greeting.push_str("PING\r\n");
        table.asked = Some(Vec::new());
        greeting
    }

    fn ask(&self, what: &str) {
        if let Some(asked) = &mut self.table().asked {
            asked.extend_from_slice(what.as_bytes());
        }
        self.asked.notify_one();
    }

    fn take_asked(&self) -> Vec<u8> {
        self.table().asked.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn hand_over(&self, id: u64, subject: &[u8], payload: bytes::Bytes) {
        // Not under the lock: an inbox may end subscriptions, or begin some.
        let inbox = self.table().rows.get(&id).map(|row| row.inbox.clone());
        let (Some(inbox), Ok(subject)) = (inbox, std::str::from_utf8(subject)) else { return };
        self.meter.received.increment(1);
        inbox.receive(subject, payload);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("no panic while the table of subscriptions is locked")
    }
}

/// The next thing that the server says, and nothing behind it.
async fn said(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<Said> {
    loop {
        if let Some(said) = wire::next(buffer).map_err(io::Error::other)? {
            return Ok(said);
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn flag(info: &[u8], name: &str) -> bool {
    serde_json::from_slice::<serde_json::Value>(info).is_ok_and(|info| info[name] == true)
}

fn wants_tls(info: &[u8]) -> bool {
    flag(info, "tls_required")
}

fn is_lame_duck(info: &[u8]) -> bool {
    flag(info, "ldm")
}
