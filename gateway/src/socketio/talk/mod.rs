//! The conversation over one Engine.IO session: a client shows its token,
//! emits the events of the [vocabulary](crate::vocabulary), and hears what
//! happens in its rooms. It stands on the same commands and feeds as the
//! native protocol; only the words differ.
//!
//! A packet that has to be waited for, because what comes after it builds on
//! it, is handed back as a [`Step`]. Everything else is answered when its
//! answer comes, and may be overtaken.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proto::v1::{self, Membership};
use proto::{CloseCode, ErrorCode, RoomId};
use tokio::time::Instant;

use crate::app::App;
use crate::auth::Identity;
use crate::client::Client;
use crate::outbound::{Closing, Outbound};
use crate::session::Session;
use crate::socketio::packet;
use crate::vocabulary::{Ask, Vocabulary};
use crate::wire::Wire;

mod connect;
mod event;
mod heard;
mod join;
mod reply;

pub(crate) use connect::guest_id;
pub use heard::SocketIoWire;
use reply::Reply;

/// Packets over the rate in a row before the session is closed.
const MAX_REFUSED: u32 = 200;
/// Positions that a client may resume from.
const MAX_POSITIONS: usize = 1000;

/// The conversation over one engine session. Owned by the session's one task.
pub struct Talk {
    app: Arc<App>,
    outbound: Arc<Outbound>,
    /// Of the handshake's Authorization header.
    bearer: Option<Result<Identity, v1::Error>>,
    state: State,
    /// Keeps to the rate of packets.
    session: Session,
    refused: u32,
    opened: Instant,
    /// When the token runs out, seconds since the Unix epoch.
    expires_at: Option<i64>,
    /// Where the client left off, by room; the user's own feed under "".
    positions: HashMap<String, String>,
    /// When the client last heard anything, milliseconds since the Unix epoch, if
    /// it has come back.
    away_since: Option<i64>,
    /// The connection that the client had before this one.
    former: Option<String>,
    /// Rooms whose others were told that this client came.
    announced: Vec<RoomId>,
    /// An event whose attachments have not all come.
    partial: Option<packet::Partial>,
}

enum State {
    /// No CONNECT packet has come.
    Opened,
    /// Connected, but nobody yet: a token or a guest's name has to follow.
    Nobody,
    /// Somebody.
    Client(Arc<Client>),
    /// The client has said goodbye, or was refused.
    Over,
}

/// What has to be waited for before the next packet.
pub enum Step {
    /// A CONNECT packet.
    Connect { token: Option<String> },
    /// An event that what follows builds on.
    Event { reply: Reply, ask: Ask },
    /// Changes of the user's memberships.
    Hear(Vec<Membership>),
}

impl Talk {
    /// `bearer`: what became of the token in the handshake's Authorization
    /// header, if it had one.
    pub fn new(app: Arc<App>, outbound: Arc<Outbound>, bearer: Option<Result<Identity, v1::Error>>) -> Self {
        let now = Instant::now();
        Self {
            session: Session::new(&app.settings, now.into_std()),
            app,
            outbound,
            bearer,
            state: State::Opened,
            refused: 0,
            opened: now,
            expires_at: None,
            positions: HashMap::new(),
            former: None,
            away_since: None,
            announced: Vec::new(),
            partial: None,
        }
    }

    /// Waits for what the conversation has to wait for.
    pub async fn step(&mut self, step: Step) {
        match step {
            Step::Connect { token } => self.connect(token).await,
            Step::Event { reply, ask } => self.event_step(reply, ask).await,
            Step::Hear(memberships) => self.hear(memberships).await,
        }
    }

    /// Whether a packet of the engine's own is within the rate; it counts like any other.
    pub fn control(&mut self) -> bool {
        self.session.control(std::time::Instant::now())
    }

    /// Whether another packet may be handed in now. When it may again, the
    /// outbound is woken.
    pub fn has_room(&self) -> bool {
        let in_flight = self.client().map_or(0, |client| client.in_flight() as usize);
        in_flight < self.app.settings.max_in_flight
    }

    /// The outbound was woken: there may be something to do besides writing.
    pub fn woken(&mut self) -> Option<Step> {
        let Wire::SocketIo(wire) = &self.client()?.wire else { return None };
        match wire.take_memberships() {
            Some(changed) if changed.is_empty() => None,
            Some(changed) => Some(Step::Hear(changed)),
            None => {
                self.outbound.close(Closing::with(CloseCode::Resync));
                None
            }
        }
    }

    /// When the clock matters next.
    pub fn next_look(&self) -> Instant {
        let settings = &self.app.settings;
        let far = Instant::now() + settings.heartbeat * 2;
        match (&self.state, self.expires_at) {
            (State::Opened | State::Nobody, _) if !self.may_stay_nobody() => {
                self.opened + settings.auth_timeout
            }
            (_, Some(expires_at)) => {
                let left = expires_at.saturating_mul(1000).saturating_sub(crate::now_ms()).max(0) as u64;
                far.min(Instant::now() + Duration::from_millis(left).min(settings.heartbeat * 2))
            }
            _ => far,
        }
    }

    /// Does what is due.
    pub fn look(&mut self) {
        let unknown = matches!(self.state, State::Opened | State::Nobody) && !self.may_stay_nobody();
        if unknown && Instant::now() >= self.opened + self.app.settings.auth_timeout {
            self.close(CloseCode::AuthTimeout, ErrorCode::Unauthenticated.with("no token came in time"));
        } else if self.expires_at.is_some_and(|at| at.saturating_mul(1000) <= crate::now_ms()) {
            self.expires_at = None;
            self.close(CloseCode::TokenExpired, ErrorCode::TokenExpired.with("the token has expired"));
        }
    }

    /// The session is over.
    pub fn ended(&mut self) {
        if let State::Client(client) = std::mem::replace(&mut self.state, State::Over) {
            for room in std::mem::take(&mut self.announced) {
                self.announce_left(&client, room);
            }
            self.app.presence.left(&client);
            self.app.hub.leave(&client);
        }
    }

    fn client(&self) -> Option<&Arc<Client>> {
        match &self.state {
            State::Client(client) => Some(client),
            _ => None,
        }
    }

    fn vocabulary(&self) -> &Arc<Vocabulary> {
        self.app.desk.vocabulary()
    }

    /// Where guests are allowed, one may look on before saying a name.
    fn may_stay_nobody(&self) -> bool {
        matches!(self.state, State::Nobody) && self.vocabulary().guests
    }

    /// Tells why, and closes after it.
    fn close(&mut self, code: CloseCode, error: v1::Error) {
        reply::emit_error(&self.outbound, self.vocabulary(), &error);
        self.outbound.close(Closing::with(code));
    }
}
