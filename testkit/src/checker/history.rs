//! What happened: as clients noted it, and as the store has it in the end.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::ensure;
use proto::v1::{self, client_frame::Request, server_frame::Body};
use proto::{Cursor, Seq};

use super::Fold;
use crate::client::{Client, Entry, Transcript};

/// Everything that the checker looks at.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Messages that clients tried to send, each with all its attempts.
    pub sends: Vec<Send>,
    /// What each client was shown.
    pub lives: Vec<Life>,
    /// Edits and deletions that were answered: room, seq, message.
    pub changed: Vec<(String, Seq, String)>,
    /// The store after everything has come to rest.
    pub rooms: BTreeMap<String, RoomState>,
    /// Who may see what. Rooms without an entry are not checked for it.
    pub memberships: Vec<Membership>,
    sessions: usize,
    /// Of a user, a room and a key: indexes of `sends`.
    by_key: HashMap<(String, String, String), Vec<usize>>,
}

/// A message that a client tried to send: same user, room and key.
#[derive(Debug, Clone, PartialEq)]
pub struct Send {
    /// Who.
    pub user: String,
    /// What.
    pub send: v1::Send,
    /// How often, in order.
    pub attempts: Vec<Attempt>,
}

/// One frame that carried a [`Send`].
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Which connection; unique in the history.
    pub session: usize,
    /// When.
    pub invoked: Duration,
    /// What became of it.
    pub outcome: Outcome,
}

/// What a client knows of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Stored.
    Answered {
        /// When the answer came.
        at: Duration,
        /// The answer.
        sent: v1::Sent,
    },
    /// Refused for certain, with this code.
    Refused(String),
    /// It may have happened.
    Unknown,
}

impl Send {
    /// The first answer: when, and what.
    pub fn answer(&self) -> Option<(Duration, &v1::Sent)> {
        self.attempts.iter().find_map(|attempt| match &attempt.outcome {
            Outcome::Answered { at, sent } => Some((*at, sent)),
            _ => None,
        })
    }

    /// Whether every attempt was refused for certain.
    pub fn is_refused(&self) -> bool {
        self.attempts.iter().all(|attempt| matches!(attempt.outcome, Outcome::Refused(_)))
    }

    /// When the first attempt began.
    pub fn invoked(&self) -> Duration {
        self.attempts.first().map(|attempt| attempt.invoked).unwrap_or_default()
    }
}

/// One client over all its sessions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Life {
    /// Who.
    pub user: String,
    /// What it was shown, in order.
    pub seen: Vec<(Duration, Seen)>,
}

/// Something that changes what a client has seen. The room "" is its own feed.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// A feed was joined or resumed.
    Joined {
        /// The cursor it was resumed from.
        since: Option<Cursor>,
        /// The answer.
        joined: v1::Joined,
    },
    /// A change came live.
    Delivered {
        /// In which room.
        room: String,
        /// Which one.
        change: v1::Change,
    },
    /// A room was left on this connection.
    Left(String),
    /// The connection ended.
    Disconnected,
}

/// A time of membership.
#[derive(Debug, Clone, PartialEq)]
pub struct Membership {
    /// Where.
    pub room: String,
    /// Who.
    pub user: String,
    /// When the invitation was sent, on the test's clock.
    pub invited: Duration,
    /// Seq of the change that removed the user.
    pub removed: Option<Seq>,
}

/// A room as the store has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RoomState {
    /// The newest change.
    pub head: Seq,
    /// All messages, by seq.
    pub messages: Vec<v1::Message>,
    /// Everybody who ever was a member; empty: not known.
    pub members: Vec<v1::Member>,
}

impl History {
    /// Adds one client: the transcripts of its connections, in order.
    pub fn add_life<'a>(&mut self, user: &str, sessions: impl IntoIterator<Item = &'a Transcript>) {
        let mut life = Life { user: user.to_owned(), seen: Vec::new() };
        for transcript in sessions {
            self.sessions += 1;
            self.add_session(&mut life, transcript);
        }
        self.lives.push(life);
    }

    fn add_session(&mut self, life: &mut Life, transcript: &Transcript) {
        let session = self.sessions;
        let mut pending: BTreeMap<u64, &Request> = BTreeMap::new();
        let mut sends: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
        let mut is_ready = false;
        for (at, entry) in transcript.entries() {
            let frame = match entry {
                Entry::Asked(frame) => {
                    let Some(request) = &frame.request else { continue };
                    if let Request::Send(send) = request {
                        let attempt = Attempt { session, invoked: *at, outcome: Outcome::Unknown };
                        sends.insert(frame.id, self.add_attempt(&life.user, send, attempt));
                    }
                    // Frames without an id are not answered, and deliveries have none.
                    if frame.id != 0 {
                        pending.insert(frame.id, request);
                    }
                    continue;
                }
                Entry::Closed(_) => {
                    life.seen.push((*at, Seen::Disconnected));
                    continue;
                }
                Entry::Received(frame) => frame,
            };
            let Some(body) = &frame.body else { continue };
            let asked = pending.remove(&frame.re);
            let seen = match (body, asked) {
                (Body::Sent(sent), Some(Request::Send(_))) => {
                    self.conclude(sends[&frame.re], Outcome::Answered { at: *at, sent: sent.clone() });
                    continue;
                }
                (Body::Error(error), Some(Request::Send(_))) if !error.retryable => {
                    self.conclude(sends[&frame.re], Outcome::Refused(error.code.clone()));
                    continue;
                }
                (Body::Changed(changed), _) => {
                    self.changed.push((changed.room.clone(), changed.seq, changed.message.clone()));
                    continue;
                }
                (Body::Joined(joined), Some(Request::Join(join))) => {
                    Seen::Joined { since: join.since.parse().ok(), joined: joined.clone() }
                }
                // Renewed: the feed goes on as it was.
                (Body::Ready(_), _) if is_ready => continue,
                (Body::Ready(ready), asked) => {
                    is_ready = true;
                    let since = match asked {
                        Some(Request::Auth(auth)) => auth.since.parse().ok(),
                        _ => None,
                    };
                    Seen::Joined { since, joined: own_feed(ready) }
                }
                (Body::Done(_), Some(Request::Leave(leave))) => Seen::Left(leave.room.clone()),
                (body, None) if frame.seq > 0 => {
                    let change = v1::Change { seq: frame.seq, check: 0, thing: super::thing_of(body) };
                    Seen::Delivered { room: frame.room.clone(), change }
                }
                _ => continue,
            };
            life.seen.push((*at, seen));
        }
    }

    /// Where the attempt is: which send, which attempt of it.
    fn add_attempt(&mut self, user: &str, send: &v1::Send, attempt: Attempt) -> (usize, usize) {
        let key = (user.to_owned(), send.room.clone(), send.key.clone());
        let of_key = self.by_key.entry(key).or_default();
        // The same key with other content is another send, and must be refused.
        let known = of_key.iter().copied().find(|index| self.sends[*index].send == *send);
        let of_send = known.unwrap_or_else(|| {
            self.sends.push(Send { user: user.to_owned(), send: send.clone(), attempts: Vec::new() });
            of_key.push(self.sends.len() - 1);
            self.sends.len() - 1
        });
        self.sends[of_send].attempts.push(attempt);
        (of_send, self.sends[of_send].attempts.len() - 1)
    }

    fn conclude(&mut self, (send, attempt): (usize, usize), outcome: Outcome) {
        self.sends[send].attempts[attempt].outcome = outcome;
    }
}

fn own_feed(ready: &v1::Ready) -> v1::Joined {
    v1::Joined {
        room: String::new(),
        from: ready.from,
        to: ready.to,
        cursor: ready.cursor.clone(),
        changes: ready.changes.clone(),
        more: ready.more,
        reset: ready.reset,
    }
}

/// Reads a room from its beginning as a member does: its feed by resuming from
/// before the first change, its messages page by page. Add the client's
/// transcript as a life of its own, and both are compared.
pub async fn read_room(client: &Client, room: &str) -> anyhow::Result<RoomState> {
    let refused = |error: v1::Error| anyhow::anyhow!("read room {room}: {}: {}", error.code, error.message);
    let mut fold = Fold::default();
    let mut since = Cursor::START.to_string();
    let head = loop {
        let joined = client.join_since(room, &since).await.map_err(refused)?;
        ensure!(!joined.reset, "read room {room}: the beginning is not known");
        fold.apply_all(&joined.changes);
        since = joined.cursor;
        if !joined.more {
            break joined.to;
        }
    };
    let mut messages: Vec<v1::Message> = Vec::new();
    loop {
        let before = messages.first().map_or(0, |message| message.seq);
        let page = client.history(room, before, 100).await.map_err(refused)?;
        messages.splice(0..0, page.messages);
        if !page.more {
            break;
        }
    }
    Ok(RoomState { head, messages, members: fold.members() })
}
