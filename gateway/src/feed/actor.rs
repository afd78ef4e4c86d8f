//! What a feed does with its inputs: follows, holds for those who join, decides
//! who hears what. Effects that need the outside are handed back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use proto::node::{Ephemeral, ephemeral};
use proto::v1::{Change, Joined, Ready, ServerFrame, change, server_frame::Body};
use proto::{CloseCode, Cursor, FeedId, RoomId, Seq, UserId};

use super::follower::{Follower, Late, Todo};
use super::typing::Typing;
use super::{Attach, Feed, Input, JoinAnswer};
use crate::client::Client;
use crate::outbound::Closing;
use crate::trace::{Coming, Comings};
use crate::wire::Shared;

/// Deliveries held for joins that the dispatcher has not answered yet. More, and
/// those joins are answered as a page to go on from.
const MAX_HELD: usize = 512;

/// Something to be handed to listeners.
pub(crate) struct Fanout {
    shared: Arc<Shared>,
    /// Whose own clients do not hear it.
    except: Option<UserId>,
    /// Who hears nothing more after it.
    pub evict: Evict,
    /// When the oldest change in it arrived; `None`: there is none.
    pub since: Option<Instant>,
}

impl Fanout {
    /// How many frames each listener gets at most.
    pub fn frames(&self) -> u64 {
        self.shared.len() as u64
    }
}

/// Whose listening ends.
#[derive(Clone, Default)]
pub(crate) enum Evict {
    /// Nobody's.
    #[default]
    Nobody,
    /// Of users who are no members any more.
    Users(Vec<UserId>),
    /// Everybody's: the room is gone.
    All,
}

impl Evict {
    fn is_for(&self, user: &UserId) -> bool {
        match self {
            Evict::Nobody => false,
            Evict::Users(users) => users.contains(user),
            Evict::All => true,
        }
    }
}

/// What is to be done outside.
pub(crate) enum Effect {
    /// Ask the store for what is missing since here.
    Fill(Cursor),
    /// Count these.
    Late(Late),
    /// Post [`Input::Look`] when a hole's patience is over.
    LookLater,
    /// Post [`Input::TypingLook`] after this.
    TypingLookAfter(Duration),
    /// So many joins or listeners are over.
    Release(usize),
    /// Close these: the feed's past has changed under them.
    Resync(Vec<Arc<Client>>),
}

struct Listener {
    client: Arc<Client>,
    /// Hears only what is newer: the rest was in the answer to its join.
    after: Seq,
}

/// The inside of a [`Feed`].
pub(crate) struct Actor {
    room: Option<RoomId>,
    follower: Follower,
    listeners: IndexMap<u64, Listener>,
    /// Joins that are not answered yet.
    joining: usize,
    /// What was delivered since the oldest of them began, and who was to hear
    /// no more after it.
    held: Vec<(Arc<Shared>, Evict)>,
    /// Up to this seq, deliveries are not at hand: there was no space to hold
    /// them, or they were before the first join that was answered.
    held_from: Seq,
    /// Of a user's own feed: tokens issued before this second are refused.
    revoked_before: i64,
    traced: Comings,
    typing: Option<Box<Typing>>,
    /// After this a typing sign stops by itself.
    typing_expiry: Duration,
}

impl Actor {
    pub fn new(id: &FeedId, typing_expiry: Duration) -> Self {
        Self {
            room: id.room().cloned(),
            follower: Follower::default(),
            listeners: IndexMap::new(),
            joining: 0,
            held: Vec::new(),
            held_from: 0,
            revoked_before: 0,
            traced: Comings::default(),
            typing: None,
            typing_expiry,
        }
    }

    pub fn listeners(&self) -> usize {
        self.listeners.len()
    }

    /// Takes one input: what to hand out, and what else to do.
    pub fn handle(&mut self, feed: &Arc<Feed>, input: Input, now: Instant) -> (Vec<Fanout>, Vec<Effect>) {
        let mut effects = Vec::new();
        let todo = match input {
            Input::BeginJoin => {
                self.joining += 1;
                Todo::default()
            }
            Input::Attach(attach) => self.attach(feed, *attach, now, &mut effects),
            Input::JoinFailed => {
                self.join_ended(&mut effects);
                Todo::default()
            }
            Input::Detach { client, done } => {
                if self.listeners.swap_remove(&client.id).is_some() {
                    effects.push(Effect::Release(1));
                }
                if let Some(re) = done {
                    client.answer(re, Body::Done(Default::default()));
                }
                Todo::default()
            }
            Input::Traced(coming) => {
                let handed_out = self.follower.position().map_or(0, |position| position.seq);
                // Some may have been let through without anything to hand out.
                self.traced.take(handed_out);
                self.traced.add(coming, handed_out);
                Todo::default()
            }
            Input::Heard(changes, arrived) => self.follower.heard(changes, arrived),
            Input::Head(head) => self.follower.announced(head, now),
            Input::Filled(Some(changes)) => self.follower.filled(changes, now),
            Input::Filled(None) => self.follower.fill_failed(now),
            Input::Look => self.follower.look(now),
            Input::Now(ephemeral) => return (self.ephemeral(ephemeral, now, &mut effects), effects),
            Input::TypingLook => return (self.typing_look(now, &mut effects), effects),
        };
        (self.act(todo, &mut effects), effects)
    }

    /// Hands a fan-out to listeners `start..start + count`; returns how many frames that were.
    pub fn deliver(&self, fanout: &Fanout, start: usize, count: usize) -> u64 {
        let mut delivered = 0;
        let end = start.saturating_add(count).min(self.listeners.len());
        let Some(listeners) = self.listeners.get_range(start..end) else { return 0 };
        for listener in listeners.values() {
            if fanout.except.as_ref() == Some(&listener.client.user) {
                continue;
            }
            if fanout.shared.hand_to(&listener.client, listener.after) {
                delivered += fanout.frames();
            }
        }
        delivered
    }

    /// The traced changes that a fan-out has handed out.
    pub fn traced(&mut self, fanout: &Fanout) -> Vec<Coming> {
        self.traced.take(fanout.shared.last_seq())
    }

    /// Ends the listening of those who may not hear more; returns how many ended.
    pub fn evict(&mut self, evict: Evict) -> usize {
        let before = self.listeners.len();
        let Some(room) = &self.room else { return 0 };
        if !matches!(evict, Evict::Nobody) {
            self.listeners.retain(|_, listener| {
                let gone = evict.is_for(&listener.client.user);
                if gone {
                    listener.client.note_left(room);
                }
                !gone
            });
        }
        before - self.listeners.len()
    }

    fn attach(&mut self, feed: &Arc<Feed>, attach: Attach, now: Instant, effects: &mut Vec<Effect>) -> Todo {
        let Attach { client, mut answer, at, mut more } = attach;
        let renewed = self.listeners.contains_key(&client.id);
        // What was delivered after `at` before this moment must still be at hand.
        let reached = self.follower.position().map_or(0, |position| position.seq);
        if !renewed && !more && reached > at.seq && self.held_from > at.seq {
            more = true;
            if let JoinAnswer::Frame(_, Body::Joined(Joined { more, .. }) | Body::Ready(Ready { more, .. })) =
                &mut answer
            {
                *more = true;
            }
        }
        if !more && self.follower.position().is_none() {
            // Answers overtake each other: one that knows less comes too late for
            // what lies before this one.
            self.held_from = at.seq;
        }
        // Before it is told so: its next request may be here before this is done.
        let joined = !more && !renewed && self.listen(feed, &client);
        match answer {
            JoinAnswer::Frame(re, body) => client.send(&ServerFrame::answer(re, body)),
            JoinAnswer::Written(bytes, told) => {
                client.outbound.push(bytes);
                // Whoever asked may be gone by now.
                let _ = told.send(more);
            }
        }
        if joined && self.catch_up(&client, at.seq) {
            self.listeners.insert(client.id, Listener { client, after: at.seq });
            // The join's interest becomes the listener's.
            self.joining -= 1;
            self.forget_held();
        } else {
            if let Some(room) = self.room.as_ref().filter(|_| joined) {
                client.note_left(room);
            }
            self.join_ended(effects);
        }
        if more { Todo::default() } else { self.follower.joined(at, now) }
    }

    /// Gives a client what was delivered since the store answered its join.
    /// `false`: something of it says that the client may not hear more.
    fn catch_up(&self, client: &Client, after: Seq) -> bool {
        if client.issued_at() < self.revoked_before {
            client.outbound.close(Closing::with(CloseCode::Revoked));
            return false;
        }
        for (shared, evict) in &self.held {
            if shared.hand_to(client, after) && evict.is_for(&client.user) {
                return false;
            }
        }
        true
    }

    /// Whether the client is still there to listen.
    fn listen(&self, feed: &Arc<Feed>, client: &Arc<Client>) -> bool {
        match &self.room {
            Some(room) => client.note_joined(room, feed),
            None => client.note_own(feed),
        }
    }

    fn join_ended(&mut self, effects: &mut Vec<Effect>) {
        self.joining -= 1;
        self.forget_held();
        effects.push(Effect::Release(1));
    }

    fn forget_held(&mut self) {
        if self.joining == 0 {
            self.held = Vec::new();
            self.held_from = 0;
        }
    }

    fn act(&mut self, todo: Todo, effects: &mut Vec<Effect>) -> Vec<Fanout> {
        if todo.reset {
            let clients: Vec<_> = self.listeners.drain(..).map(|(_, listener)| listener.client).collect();
            for client in &clients {
                if let Some(room) = &self.room {
                    client.note_left(room);
                }
            }
            effects.push(Effect::Release(clients.len()));
            effects.push(Effect::Resync(clients));
            self.follower = Follower::default();
            self.held_from = Seq::MAX;
            return Vec::new();
        }
        if todo.late != Late::default() {
            effects.push(Effect::Late(todo.late));
        }
        if let Some(since) = todo.fill {
            effects.push(Effect::Fill(since));
        }
        if todo.look_later {
            effects.push(Effect::LookLater);
        }
        self.changes(todo.deliver, todo.since)
    }

    /// Cuts changes into fan-outs: one for all, but an eviction takes place right after its change.
    fn changes(&mut self, changes: Vec<Change>, since: Option<Instant>) -> Vec<Fanout> {
        let room = self.room.as_ref().map_or("", |room| room.as_str()).to_owned();
        let mut fanouts = Vec::new();
        let mut frames = Vec::new();
        for change in changes {
            let evict = self.consequence(&change);
            frames.extend(ServerFrame::delivery(&room, change));
            if !matches!(evict, Evict::Nobody) {
                fanouts.push(self.fanout(std::mem::take(&mut frames), evict, since));
            }
        }
        if !frames.is_empty() {
            fanouts.push(self.fanout(frames, Evict::Nobody, since));
        }
        fanouts
    }

    fn fanout(&mut self, frames: Vec<ServerFrame>, evict: Evict, since: Option<Instant>) -> Fanout {
        let shared = Arc::new(Shared::new(frames));
        if self.joining > 0 && shared.len() > 0 {
            if self.held.len() >= MAX_HELD {
                self.held_from = self.held.iter().map(|(shared, _)| shared.last_seq()).max().unwrap_or(0);
                self.held.clear();
            }
            self.held.push((shared.clone(), evict.clone()));
        }
        Fanout { shared, except: None, evict, since }
    }

    /// What a change means for those who listen.
    fn consequence(&mut self, change: &Change) -> Evict {
        match &change.thing {
            Some(change::Thing::Message(message)) => {
                if let Some(typing) = &mut self.typing {
                    typing.sent(&message.sender);
                }
                Evict::Nobody
            }
            Some(change::Thing::Member(member)) if !member.active => match UserId::new(&member.user) {
                Ok(user) => Evict::Users(vec![user]),
                Err(_) => Evict::Nobody,
            },
            Some(change::Thing::Details(details)) if details.deleted_at != 0 => Evict::All,
            Some(change::Thing::Revocation(revocation)) => {
                // Own feed: every listener is a client of this user.
                self.revoked_before = self.revoked_before.max(revocation.issued_before);
                for listener in self.listeners.values() {
                    if listener.client.issued_at() < revocation.issued_before {
                        listener.client.outbound.close(Closing::with(CloseCode::Revoked));
                    }
                }
                Evict::Nobody
            }
            _ => Evict::Nobody,
        }
    }

    fn ephemeral(&mut self, ephemeral: Ephemeral, now: Instant, effects: &mut Vec<Effect>) -> Vec<Fanout> {
        let (body, except) = match ephemeral.kind {
            Some(ephemeral::Kind::Typing(sign)) => {
                let typing = self.typing.get_or_insert_with(|| Box::new(Typing::new(self.typing_expiry)));
                let quiet = typing.next_expiry(now).is_none();
                let Some(sign) = typing.heard(sign, now) else { return Vec::new() };
                if quiet {
                    effects.extend(typing.next_expiry(now).map(Effect::TypingLookAfter));
                }
                let user = sign.user.clone();
                (Body::Typing(sign), Some(user))
            }
            Some(ephemeral::Kind::Signal(signal)) => {
                let user = signal.user.clone();
                (Body::Signal(signal), Some(user))
            }
            Some(ephemeral::Kind::Presence(presence)) => (Body::Presence(presence), None),
            Some(ephemeral::Kind::ReadMark(mark)) => {
                let user = mark.user.clone();
                (Body::ReadMark(mark), Some(user))
            }
            None => return Vec::new(),
        };
        let except = except.and_then(|user| UserId::new(&user).ok());
        self.now(body, except)
    }

    fn typing_look(&mut self, now: Instant, effects: &mut Vec<Effect>) -> Vec<Fanout> {
        let Some(typing) = &mut self.typing else { return Vec::new() };
        let stops = typing.expired(now);
        match typing.next_expiry(now) {
            Some(delay) => effects.push(Effect::TypingLookAfter(delay.max(Duration::from_millis(50)))),
            None => self.typing = None,
        }
        let stopped = stops.into_iter().flat_map(|stop| {
            let user = UserId::new(&stop.user).ok();
            self.now(Body::Typing(stop), user)
        });
        stopped.collect()
    }

    fn now(&self, body: Body, except: Option<UserId>) -> Vec<Fanout> {
        let Some(room) = &self.room else { return Vec::new() };
        let shared = Arc::new(Shared::new(vec![ServerFrame::ephemeral(room, body)]));
        vec![Fanout { shared, except, evict: Evict::Nobody, since: None }]
    }
}
