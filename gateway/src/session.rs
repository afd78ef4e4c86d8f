//! What a client may do now: from a frame to the action it asks for.
//!
//! A pure state machine over the frames of one connection. It checks form,
//! state and rate; who may do what is decided by the dispatcher.

use std::time::{Duration, Instant};

use proto::frame::DecodeError;
use proto::node::{command, query};
use proto::v1::{self, ClientFrame, client_frame::Request};
use proto::{CloseCode, ErrorCode, RoomId, UserId, text};

use crate::settings::Settings;

/// Malformed frames in a row before the connection is closed.
const MAX_MALFORMED: u32 = 10;
/// Frames over the rate in a row before the connection is closed.
const MAX_REFUSED: u32 = 200;
/// Users asked for in one presence request.
const MAX_PRESENCE_USERS: usize = 100;

/// Signals with such names come from gateways only.
const OWN_SIGNALS: &str = "carillon.";

/// What the connection is to do. `re` is the request to answer.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Check a token: the first one, or a newer one of the same user.
    Authenticate { re: u64, token: String, since: String },
    /// Let a dispatcher decide.
    Command { re: u64, action: command::Action },
    /// Ask a dispatcher.
    Ask { re: u64, question: query::Question },
    /// Hear a room, or one's own feed.
    Join { re: u64, room: Option<RoomId>, since: String },
    /// Hear a room no more.
    Leave { re: u64, room: RoomId },
    /// Tell a joined room something that is not stored.
    Tell { re: u64, room: RoomId, what: Told },
    /// Ask or tell presence.
    Presence { re: u64, status: Option<bus::Status>, ask: Option<PresenceAsk> },
    /// Answer at once.
    Pong { re: u64 },
    /// Refuse.
    Refuse { re: u64, error: v1::Error },
    /// Refuse, and close.
    Close { re: u64, error: v1::Error, code: CloseCode },
}

/// Something ephemeral of a client.
#[derive(Debug, PartialEq)]
pub enum Told {
    /// Types, or has stopped.
    Typing { stopped: bool },
    /// The application's own.
    Signal { name: String, data: String },
}

/// Whose presence.
#[derive(Debug, PartialEq)]
pub enum PresenceAsk {
    /// The members of a room who are online.
    Room(RoomId),
    /// These users.
    Users(Vec<UserId>),
}

/// State of one connection's conversation.
#[derive(Debug)]
pub struct Session {
    authenticated: bool,
    malformed: u32,
    refused: u32,
    /// Frames that may still come now.
    allowance: f32,
    per_second: f32,
    burst: f32,
    refilled: Instant,
}

impl Session {
    /// A connection that has not authenticated yet.
    pub fn new(settings: &Settings, now: Instant) -> Self {
        let burst = settings.frame_burst as f32;
        Self {
            authenticated: false,
            malformed: 0,
            refused: 0,
            allowance: burst,
            per_second: settings.frames_per_second as f32,
            burst,
            refilled: now,
        }
    }

    /// The token was accepted.
    pub fn authenticated(&mut self) {
        self.authenticated = true;
    }

    /// Whether a control frame is within the rate; it counts like any other.
    pub fn control(&mut self, now: Instant) -> bool {
        self.take_one(now)
    }

    /// Takes a frame.
    pub fn frame(&mut self, frame: Result<ClientFrame, DecodeError>, now: Instant) -> Action {
        let re = frame.as_ref().map_or(0, |frame| frame.id);
        if !self.take_one(now) {
            self.refused += 1;
            let mut error = ErrorCode::RateLimited.with("too many frames; slow down");
            error.retry_after = (1000.0 / self.per_second).ceil() as u64;
            return match self.refused {
                ..=MAX_REFUSED => Action::Refuse { re, error },
                _ => Action::Close { re, error, code: CloseCode::RateLimited },
            };
        }
        self.refused = 0;
        let request = match frame {
            Ok(ClientFrame { request: Some(request), .. }) => request,
            Ok(_) => {
                return self.malformed(re, "the frame names no request that this server knows".to_owned());
            }
            Err(error) => return self.malformed(0, error.to_string()),
        };
        self.malformed = 0;
        match (request, self.authenticated) {
            (Request::Auth(auth), _) => Action::Authenticate { re, token: auth.token, since: auth.since },
            (_, false) => Action::Refuse { re, error: ErrorCode::Unauthenticated.with("send `auth` first") },
            (request, true) => requested(re, request).unwrap_or_else(|error| Action::Refuse { re, error }),
        }
    }

    fn malformed(&mut self, re: u64, why: String) -> Action {
        self.malformed += 1;
        let error = ErrorCode::Malformed.with(why);
        match self.malformed {
            ..=MAX_MALFORMED => Action::Refuse { re, error },
            _ => Action::Close { re, error, code: CloseCode::Malformed },
        }
    }

    fn take_one(&mut self, now: Instant) -> bool {
        let passed: Duration = now.saturating_duration_since(self.refilled);
        self.allowance = (self.allowance + passed.as_secs_f32() * self.per_second).min(self.burst);
        self.refilled = now;
        let allowed = self.allowance >= 1.0;
        if allowed {
            self.allowance -= 1.0;
        }
        allowed
    }
}

fn requested(re: u64, request: Request) -> Result<Action, v1::Error> {
    use command::Action as Command;
    use query::Question;

    Ok(match request {
        Request::Auth(auth) => Action::Authenticate { re, token: auth.token, since: auth.since },
        Request::Ping(_) => Action::Pong { re },
        Request::Join(join) => {
            let room = if join.room.is_empty() { None } else { Some(room(&join.room)?) };
            Action::Join { re, room, since: join.since }
        }
        Request::Leave(leave) => Action::Leave { re, room: room(&leave.room)? },
        Request::Send(send) => {
            room(&send.room)?;
            Action::Command { re, action: Command::Send(send) }
        }
        Request::Edit(edit) => Action::Command { re, action: Command::Edit(edit) },
        Request::Delete(delete) => Action::Command { re, action: Command::Delete(delete) },
        Request::Read(read) => {
            room(&read.room)?;
            Action::Command { re, action: Command::Read(read) }
        }
        Request::ReadNotification(read) => Action::Command { re, action: Command::ReadNotification(read) },
        Request::Snapshot(snapshot) => Action::Ask { re, question: Question::Snapshot(snapshot) },
        Request::History(history) => {
            room(&history.room)?;
            Action::Ask { re, question: Question::History(history) }
        }
        Request::Typing(typing) => {
            Action::Tell { re, room: room(&typing.room)?, what: Told::Typing { stopped: typing.stopped } }
        }
        Request::Signal(signal) => {
            text::check_name(&signal.name).map_err(|why| bad_text("name", why))?;
            if signal.name.starts_with(OWN_SIGNALS) {
                return Err(ErrorCode::Invalid.with("names that begin with `carillon.` are the server's own"));
            }
            if !signal.data.is_empty() {
                text::check_data(&signal.data).map_err(|why| bad_text("data", why))?;
            }
            Action::Tell {
                re,
                room: room(&signal.room)?,
                what: Told::Signal { name: signal.name, data: signal.data },
            }
        }
        Request::Presence(presence) => presence_requested(re, presence)?,
    })
}

fn presence_requested(re: u64, presence: v1::PresenceRequest) -> Result<Action, v1::Error> {
    let status = match presence.status.as_str() {
        "" => None,
        name => Some(bus::Status::from_name(name).ok_or_else(|| ErrorCode::Invalid.with("no such status"))?),
    };
    if presence.users.len() > MAX_PRESENCE_USERS {
        return Err(ErrorCode::TooLarge.with(format!("at most {MAX_PRESENCE_USERS} users at once")));
    }
    let ask = if !presence.users.is_empty() {
        let users = presence.users.iter().map(|user| UserId::new(user)).collect::<Result<_, _>>();
        Some(PresenceAsk::Users(users.map_err(|why| ErrorCode::Invalid.with(why.to_string()))?))
    } else if !presence.room.is_empty() {
        Some(PresenceAsk::Room(room(&presence.room)?))
    } else if status.is_none() {
        return Err(ErrorCode::Invalid.with("name a room, users or a status"));
    } else {
        None
    };
    Ok(Action::Presence { re, status, ask })
}

fn bad_text(field: &str, why: text::InvalidText) -> v1::Error {
    let code = match why {
        text::InvalidText::TooLong(_) => ErrorCode::TooLarge,
        _ => ErrorCode::Invalid,
    };
    code.with(format!("{field} {why}"))
}

fn room(id: &str) -> Result<RoomId, v1::Error> {
    RoomId::new(id).map_err(|why| ErrorCode::Invalid.with(format!("room: {why}")))
}

#[cfg(test)]
mod tests {
    use proto::Encoding;

    use super::*;

    fn session(authenticated: bool) -> (Session, Instant) {
        let now = Instant::now();
        let settings = Settings { frames_per_second: 10, frame_burst: 30, ..Settings::default() };
        let mut session = Session::new(&settings, now);
        if authenticated {
            session.authenticated();
        }
        (session, now)
    }

    fn json(session: &mut Session, json: &str, now: Instant) -> Action {
        session.frame(Encoding::Json.decode_client(json.as_bytes()), now)
    }

    #[test]
    fn p5_nothing_but_auth_before_a_token() {
        let (mut session, now) = session(false);
        let action = json(&mut session, r#"{"id":4,"join":{"room":"r"}}"#, now);
        assert!(matches!(action, Action::Refuse { re: 4, error } if error.code == "unauthenticated"));
        let action = json(&mut session, r#"{"id":5,"auth":{"token":"t"}}"#, now);
        assert!(matches!(action, Action::Authenticate { re: 5, .. }));
    }

    #[test]
    fn bad_form_is_refused_with_a_code_and_the_connection_lives() {
        let (mut session, now) = session(true);
        for (frame, code) in [
            (r#"{"id":1,"join":{"room":"a*b"}}"#, "invalid"),
            (r#"{"id":1,"send":{"room":"a\r\nb"}}"#, "invalid"),
            (r#"{"id":1,"presence":{}}"#, "invalid"),
            (r#"{"id":1,"presence":{"status":"sleepy"}}"#, "invalid"),
            (r#"{"id":1,"signal":{"room":"r","name":""}}"#, "invalid"),
            (r#"{"id":1,"signal":{"room":"r","name":"carillon.joined"}}"#, "invalid"),
            (r#"{"id":1,"dance":{}}"#, "malformed"),
            (r#"{"id":1,"#, "malformed"),
        ] {
            match json(&mut session, frame, now) {
                Action::Refuse { error, .. } => assert_eq!(error.code, code, "{frame}"),
                other => panic!("{frame}: {other:?}"),
            }
        }
    }

    #[test]
    fn p6_nonsense_without_end_closes() {
        let (mut session, now) = session(true);
        for _ in 0..MAX_MALFORMED {
            assert!(matches!(json(&mut session, "x", now), Action::Refuse { .. }));
        }
        assert!(matches!(json(&mut session, "x", now), Action::Close { code: CloseCode::Malformed, .. }));
    }

    #[test]
    fn p6_a_flood_is_refused_then_closed_and_a_burst_is_not() {
        let (mut session, now) = session(true);
        let ping = r#"{"id":1,"ping":{}}"#;
        for _ in 0..30 {
            assert!(matches!(json(&mut session, ping, now), Action::Pong { .. }));
        }
        let Action::Refuse { error, .. } = json(&mut session, ping, now) else { panic!("over the rate") };
        assert!(error.retryable && error.retry_after > 0);
        assert!(matches!(json(&mut session, ping, now + Duration::from_secs(1)), Action::Pong { .. }));
        let later = now + Duration::from_secs(1);
        let last = (0..30 + MAX_REFUSED).map(|_| json(&mut session, ping, later)).last();
        assert!(matches!(last, Some(Action::Close { code: CloseCode::RateLimited, .. })));
    }
}
