//! One client's connection: the task that owns the socket, reads it, writes it,
//! and runs the session's actions.
//!
//! What happens once in a connection's life is boxed, so that its future does
//! not make room for it all the time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto::v1::{Error, Pong, server_frame::Body};
use proto::{CloseCode, Encoding, ErrorCode};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use crate::app::App;
use crate::auth::{AuthError, Identity};
use crate::client::Client;
use crate::metrics;
use crate::outbound::{Closing, Outbound};
use crate::requests;
use crate::session::{Action, Session};
use crate::socket::{self, Socket};
use crate::websocket::{Decoder, Incoming, encode};
use crate::wire::{self, Wire};

/// How long a closing connection may take to write what is left.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
/// A connection whose handshake is done.
pub struct Connection {
    app: Arc<App>,
    socket: Socket,
    encoding: Encoding,
    decoder: Decoder,
    session: Session,
    outbound: Arc<Outbound>,
    client: Option<Arc<Client>>,
    expires_at: Option<i64>,
    /// Read from the socket and not looked at yet, while too much is in flight.
    unread: Vec<u8>,
    /// How it ends, once that is settled.
    closing: Option<Closing>,
    /// No more of its frames are looked at: it is being closed.
    deaf: bool,
    /// The close frame is on its way.
    said_goodbye: bool,
    last_heard: Instant,
    opened: Instant,
    pinged: bool,
}

/// What interrupts the reading of frames: it has to be waited for.
struct ToAuthenticate {
    re: u64,
    token: String,
    since: String,
}

impl Connection {
    /// A connection over `stream`; `unread` came behind the handshake.
    pub fn new(app: Arc<App>, stream: TcpStream, encoding: Encoding, unread: Bytes) -> Self {
        let now = Instant::now();
        Self {
            decoder: Decoder::new(app.settings.max_frame_bytes),
            session: Session::new(&app.settings, now.into_std()),
            outbound: Arc::new(Outbound::new(app.settings.max_outbound_bytes)),
            app,
            socket: Socket::new(stream),
            encoding,
            client: None,
            expires_at: None,
            // Copied: converted, it would keep the whole buffer of the handshake.
            unread: unread.to_vec(),
            closing: None,
            deaf: false,
            said_goodbye: false,
            last_heard: now,
            opened: now,
            pinged: false,
        }
    }

    /// Serves until the connection is over. `identity` is of a bearer token that
    /// came with the handshake.
    pub async fn run(mut self, identity: Option<Identity>) {
        self.app.strangers.add(&self.outbound);
        if let Some(identity) = identity {
            Box::pin(self.accept(0, identity, String::new())).await;
        }
        if let Err(error) = self.serve().await {
            tracing::debug!(%error, "the socket failed");
        }
        metrics::closed(self.closing.as_ref().map_or(CloseCode::Normal, |closing| closing.code));
        self.app.strangers.remove(&self.outbound);
        if let Some(client) = &self.client {
            self.app.presence.left(client);
            self.app.hub.leave(client);
        }
    }

    async fn serve(&mut self) -> io::Result<()> {
        let mut timer = std::pin::pin!(sleep_until(self.next_look()));
        let mut gives_up = false;
        loop {
            self.take();
            let blocked = self.socket.write(&self.outbound, self.app.hub.metrics())?;
            if self.closing.is_some() {
                if self.socket.is_written() {
                    return Box::pin(self.socket.hang_up()).await;
                }
                if !std::mem::replace(&mut gives_up, true) {
                    timer.as_mut().reset(Instant::now() + CLOSE_PATIENCE);
                }
            } else if !self.deaf && !self.unread.is_empty() && self.has_room() {
                let unread = std::mem::take(&mut self.unread);
                let mut input = &unread[..];
                let interrupted = self.frames(&mut input);
                self.unread = input.to_vec();
                if let Some(to_authenticate) = interrupted {
                    Box::pin(self.authenticate(to_authenticate)).await;
                }
                continue;
            }
            let reads = !self.deaf && self.unread.is_empty() && self.has_room();
            let outbound = self.outbound.clone();
            tokio::select! {
                () = std::future::poll_fn(|context| outbound.poll_signalled(context)) => {}
                ready = self.socket.readable(), if reads => {
                    ready?;
                    match self.read()? {
                        Read::HungUp => return Ok(()),
                        Read::Frames => {}
                        Read::Interrupted(to_authenticate) => Box::pin(self.authenticate(to_authenticate)).await,
                    }
                }
                ready = self.socket.writable(), if blocked => ready?,
                () = timer.as_mut() => {
                    if gives_up {
                        return Ok(()); // It does not even read its close.
                    }
                    self.look();
                    timer.as_mut().reset(self.next_look());
                }
            }
        }
    }

    /// Whether another request may be started.
    fn has_room(&self) -> bool {
        let in_flight = self.client.as_ref().map_or(0, |client| client.in_flight() as usize);
        in_flight < self.app.settings.max_in_flight
    }

    fn read(&mut self) -> io::Result<Read> {
        socket::lend(|buffer| {
            let count = match self.socket.try_read(buffer, self.app.hub.metrics())? {
                Some(0) => return Ok(Read::HungUp),
                Some(count) => count,
                None => return Ok(Read::Frames),
            };
            self.last_heard = Instant::now();
            self.pinged = false;
            let mut input = &buffer[..count];
            let interrupted = self.frames(&mut input);
            if !input.is_empty() {
                self.unread = input.to_vec();
            }
            Ok(interrupted.map_or(Read::Frames, Read::Interrupted))
        })
    }

    /// Runs the frames in `input`, up to one that must be waited for, or as many
    /// as may be on their way at once.
    fn frames(&mut self, input: &mut &[u8]) -> Option<ToAuthenticate> {
        while !self.deaf && self.has_room() {
            match self.decoder.decode(input) {
                Ok(Some(incoming)) => {
                    let interrupted = self.incoming(incoming);
                    if interrupted.is_some() {
                        return interrupted;
                    }
                }
                Ok(None) => break,
                Err(error) => self.close(Closing { code: error.close_code(), reason: error.to_string() }),
            }
        }
        None
    }

    fn incoming(&mut self, incoming: Incoming) -> Option<ToAuthenticate> {
        let now = Instant::now().into_std();
        let payload = match (incoming, self.encoding) {
            (Incoming::Text(payload), Encoding::Json) | (Incoming::Binary(payload), Encoding::Protobuf) => {
                payload
            }
            (Incoming::Text(_) | Incoming::Binary(_), encoding) => {
                let reason = format!("{} has frames of the other type", encoding.subprotocol());
                self.close(Closing { code: CloseCode::Malformed, reason });
                return None;
            }
            (Incoming::Ping(payload), _) => {
                if self.session.control(now) {
                    self.outbound.push(encode::pong(&payload));
                } else {
                    self.close(Closing::with(CloseCode::RateLimited));
                }
                return None;
            }
            (Incoming::Pong, _) => return None,
            (Incoming::Close { code, .. }, _) => {
                self.socket.push(encode::close_answer(code));
                (self.deaf, self.said_goodbye) = (true, true);
                self.closing = Some(Closing::with(CloseCode::Normal));
                return None;
            }
        };
        self.app.hub.metrics().frames.increment(1);
        let action = self.session.frame(self.encoding.decode_client(&payload), now);
        match (action, &self.client) {
            (Action::Authenticate { re, token, since }, _) => {
                return Some(ToAuthenticate { re, token, since });
            }
            (Action::Close { re, error, code }, _) => {
                self.refuse(re, error);
                self.close(Closing::with(code));
            }
            (Action::Refuse { re, error }, _) => self.refuse(re, error),
            (Action::Pong { re }, Some(client)) => {
                client.answer(re, Body::Pong(Pong { time: crate::now_ms() }))
            }
            (action, Some(client)) => requests::run(&self.app, client, action),
            (_, None) => self.refuse(0, ErrorCode::Unauthenticated.with("send `auth` first")),
        }
        None
    }

    async fn authenticate(&mut self, ToAuthenticate { re, token, since }: ToAuthenticate) {
        match self.app.authenticator.identify(&token).await {
            Ok(identity) => match &self.client {
                None => self.accept(re, identity, since).await,
                Some(client) if client.user == identity.user => {
                    let client = client.clone();
                    // Asked again, so that a revoked token renews nothing.
                    match requests::ready(&self.app, &client, re, &identity, since).await {
                        Ok(()) => {
                            client.renewed(identity.issued_at.unwrap_or(0));
                            self.expires_at = identity.expires_at;
                        }
                        Err(error) => self.refuse(re, error),
                    }
                }
                Some(_) => self.refuse(re, ErrorCode::TokenRefused.with("the token is of another user")),
            },
            Err(error) => {
                let code = match error {
                    AuthError::Refused(_) => CloseCode::TokenRefused,
                    AuthError::Expired => CloseCode::TokenExpired,
                    AuthError::Unavailable => CloseCode::Unavailable,
                };
                self.refuse(re, error.code().with(error.to_string()));
                // A failed renewal leaves the old token in force until it expires.
                if self.client.is_none() {
                    self.close(Closing::with(code));
                }
            }
        }
    }

    /// The token is good: starts hearing the user's own feed, and says `ready`.
    async fn accept(&mut self, re: u64, identity: Identity, since: String) {
        let client = Client::new(&identity, Wire::Native(self.encoding), self.outbound.clone());
        match requests::ready(&self.app, &client, re, &identity, since).await {
            Ok(()) => {
                self.session.authenticated();
                self.expires_at = identity.expires_at;
                // In this order, so that a drain finds it in one of the two.
                self.app.hub.enter(&client);
                self.app.strangers.remove(&self.outbound);
                self.app.presence.entered(&client);
                self.client = Some(client);
            }
            Err(error) => {
                let code = match ErrorCode::from_name(&error.code) {
                    Some(ErrorCode::TokenRefused) => CloseCode::Revoked,
                    // Not a cursor: the connection may live, with another one.
                    Some(ErrorCode::Invalid) => return self.refuse(re, error),
                    _ => CloseCode::Unavailable,
                };
                self.refuse(re, error);
                self.close(Closing::with(code));
            }
        }
    }

    fn refuse(&self, re: u64, error: Error) {
        metrics::error(&error.code);
        let frame = proto::v1::ServerFrame::refusal(re, error);
        self.outbound.push(wire::native(self.encoding, &frame));
    }

    /// Closes after what is queued, and hears nothing more.
    fn close(&mut self, closing: Closing) {
        self.deaf = true;
        self.outbound.close(closing);
    }

    /// Moves what waits in the queue to where it is written from.
    fn take(&mut self) {
        let taken = self.outbound.take();
        self.socket.queue(taken.frames);
        if let Some(closing) = taken.closing
            && !std::mem::replace(&mut self.said_goodbye, true)
        {
            if closing.code == CloseCode::SlowReader {
                // What it has not read is given up: it will resume.
                self.socket.give_up();
            }
            self.deaf = true;
            self.socket.push(encode::close(closing.code, &closing.reason));
            self.closing = Some(closing);
        }
    }

    /// When something of the clock's is due next.
    fn next_look(&self) -> Instant {
        let settings = &self.app.settings;
        let mut next =
            self.last_heard + if self.pinged { settings.heartbeat * 2 } else { settings.heartbeat };
        if self.client.is_none() {
            next = next.min(self.opened + settings.auth_timeout);
        }
        if let Some(expires_at) = self.expires_at {
            let left = expires_at.saturating_mul(1000).saturating_sub(crate::now_ms()).max(0) as u64;
            // Far-off times are beyond the clock's range; it is looked again before.
            next = next.min(Instant::now() + Duration::from_millis(left).min(settings.heartbeat * 2));
        }
        next
    }

    /// Does what is due.
    fn look(&mut self) {
        let now = Instant::now();
        let settings = &self.app.settings;
        let silent = now - self.last_heard;
        if self.client.is_none() && now >= self.opened + settings.auth_timeout {
            self.refuse(0, ErrorCode::Unauthenticated.with("no token came in time"));
            self.close(Closing::with(CloseCode::AuthTimeout));
        } else if self.expires_at.is_some_and(|at| at.saturating_mul(1000) <= crate::now_ms()) {
            self.close(Closing::with(CloseCode::TokenExpired));
        } else if silent >= settings.heartbeat * 2 {
            self.close(Closing::with(CloseCode::Silent));
        } else if silent >= settings.heartbeat && !self.pinged {
            self.pinged = true;
            self.outbound.push(encode::ping());
        }
    }
}

/// What a read came to.
enum Read {
    HungUp,
    Frames,
    /// A frame has to be waited for before the next one.
    Interrupted(ToAuthenticate),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an idle connection's task weighs, its heap apart. A guard against an
    /// innocent `.await` that makes every connection pay for it.
    #[test]
    fn p6_the_future_of_an_idle_connection_is_small() {
        fn size_of_future<F: Future>(_: fn(Connection, Option<Identity>) -> F) -> usize {
            size_of::<F>()
        }
        let size = size_of_future(Connection::run);
        assert!(size <= 1536, "{size} bytes");
    }
}
