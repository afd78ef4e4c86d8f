//! Runs what a session has let through: commands and questions to a dispatcher,
//! joins and leaves at the hub, words to presence.

use std::sync::Arc;

use proto::node::{Ephemeral, FeedChanges, Follow, answer, ephemeral, outcome};
use proto::v1::{
    self, Joined, Presence, Ready, ServerFrame, SignalNow, TypingNow, UserPresence, server_frame::Body,
};
use proto::{Cursor, ErrorCode, FeedId, RoomId};

use crate::app::App;
use crate::auth::Identity;
use crate::client::Client;
use crate::feed::{Attach, Feed, Input, JoinAnswer};
use crate::link::route_of;
use crate::session::{Action, PresenceAsk, Told};

/// Runs an action of an authenticated client. Never waits: what takes time
/// answers later.
pub fn run(app: &Arc<App>, client: &Arc<Client>, action: Action) {
    match action {
        Action::Command { re, action } => {
            let actor = client.actor();
            let route = route_of(&actor, &action).to_owned();
            let answering = answering(client);
            let done =
                Box::new(move |result: crate::link::CommandResult| answering.with(re, result.map(answer_of)));
            app.hub.link().submit(actor, action, &route, done);
        }
        Action::Ask { re, question } => {
            let app = app.clone();
            let answering = answering(client);
            app.hub.tasks().clone().spawn(async move {
                let result = app.hub.link().ask(answering.client.actor(), question).await;
                answering.with(re, result.and_then(question_answer));
            });
        }
        Action::Join { re, room, since } => {
            if client.joined_count() >= app.settings.max_joined_rooms {
                return client
                    .refuse(re, ErrorCode::TooLarge.with("too many rooms joined on this connection"));
            }
            let app = app.clone();
            let answering = answering(client);
            app.hub.tasks().clone().spawn(async move {
                if let Err(error) = join(&app, &answering.client, re, room, since).await {
                    answering.client.refuse(re, error);
                }
                drop(answering);
            });
        }
        Action::Leave { re, room } => match client.joined(&room) {
            Some(feed) => {
                client.note_left(&room);
                feed.post(Input::Detach { client: client.clone(), done: Some(re) });
            }
            None => client.answer(re, Body::Done(Default::default())),
        },
        Action::Tell { re, room, what } => tell(app, client, re, room, what),
        Action::Presence { re, status, ask } => presence(app, client, re, status, ask),
        // The connection has dealt with these.
        Action::Authenticate { .. } | Action::Pong { .. } | Action::Refuse { .. } | Action::Close { .. } => {}
    }
}

/// A request on its way: its place is free again when this is dropped.
pub struct Answering {
    pub client: Arc<Client>,
}

pub fn answering(client: &Arc<Client>) -> Answering {
    client.started();
    Answering { client: client.clone() }
}

impl Answering {
    fn with(self, re: u64, result: Result<Body, v1::Error>) {
        match result {
            Ok(body) => self.client.answer(re, body),
            Err(error) => self.client.refuse(re, error),
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.client.finished();
    }
}

fn answer_of(outcome: outcome::Result) -> Body {
    match outcome {
        outcome::Result::Sent(sent) => Body::Sent(sent),
        outcome::Result::Changed(changed) => Body::Changed(changed),
        outcome::Result::ReadMark(mark) => Body::ReadMark(mark),
        outcome::Result::Room(details) => Body::Details(details),
        outcome::Result::Notification(notification) => Body::Notification(notification),
        outcome::Result::Done(done) => Body::Done(done),
        outcome::Result::Error(error) => Body::Error(error),
    }
}

fn question_answer(answer: answer::Result) -> Result<Body, v1::Error> {
    match answer {
        answer::Result::Snapshot(snapshot) => Ok(Body::Snapshot(snapshot)),
        answer::Result::History(history) => Ok(Body::History(history)),
        _ => Err(unexpected()),
    }
}

fn unexpected() -> v1::Error {
    ErrorCode::Internal.with("a dispatcher answered something else")
}

/// Starts a client: checks with the dispatcher that its token is not revoked,
/// attaches it to the user's own feed, and says `ready`.
pub async fn ready(
    app: &Arc<App>,
    client: &Arc<Client>,
    re: u64,
    identity: &Identity,
    since: String,
) -> Result<(), v1::Error> {
    attach(app, client, re, None, since, identity.issued_at.unwrap_or(0), |reached| {
        let Joined { from, to, cursor, changes, more, reset, .. } = reached;
        Body::Ready(Ready {
            user: (&client.user).into(),
            name: client.name.clone(),
            connection: client.connection.clone(),
            expires_at: identity.expires_at.map_or(0, |at| at.saturating_mul(1000)),
            from,
            to,
            cursor,
            changes,
            more,
            reset,
        })
    })
    .await
}

async fn join(
    app: &Arc<App>,
    client: &Arc<Client>,
    re: u64,
    room: Option<RoomId>,
    since: String,
) -> Result<(), v1::Error> {
    attach(app, client, re, room, since, client.issued_at(), Body::Joined).await
}

/// Joining is resuming: the feed holds what comes from now on, the dispatcher
/// says what came before, and the feed puts the two together.
async fn attach(
    app: &Arc<App>,
    client: &Arc<Client>,
    re: u64,
    room: Option<RoomId>,
    since: String,
    issued_at: i64,
    answer: impl FnOnce(Joined) -> Body,
) -> Result<(), v1::Error> {
    let mut following = follow(app, client, room, since, issued_at).await?;
    let joined = std::mem::take(&mut following.joined);
    following.attach(client, joined.more, JoinAnswer::Frame(re, answer(joined)));
    Ok(())
}

/// The first half of a join: what came before, of a feed that holds what comes
/// from then on until this is attached, or dropped.
pub struct Following {
    /// What came before.
    pub joined: Joined,
    /// What that reaches.
    pub at: Cursor,
    feed: Option<Arc<Feed>>,
}

impl Following {
    /// The second half: the client hears `answer`, then what the feed has held,
    /// then what comes; with `more`, only the answer.
    pub fn attach(mut self, client: &Arc<Client>, more: bool, answer: JoinAnswer) {
        if let Some(feed) = self.feed.take() {
            let attach = Attach { client: client.clone(), answer, at: self.at, more };
            feed.post(Input::Attach(Box::new(attach)));
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if let Some(feed) = &self.feed {
            feed.post(Input::JoinFailed);
        }
    }
}

/// The first half of a join: the dispatcher has allowed it.
pub async fn follow(
    app: &Arc<App>,
    client: &Client,
    room: Option<RoomId>,
    since: String,
    issued_at: i64,
) -> Result<Following, v1::Error> {
    let id = room.clone().map_or_else(|| FeedId::User(client.user.clone()), FeedId::Room);
    let feed =
        app.hub.begin_join(&id).await.map_err(|error| ErrorCode::Unavailable.with(error.to_string()))?;
    // From here on the feed holds for it, until this is attached or dropped.
    let mut following = Following { joined: Joined::default(), at: Cursor::START, feed: Some(feed) };
    let room = room.as_ref().map(String::from).unwrap_or_default();
    let follow = Follow { actor: Some(client.actor()), room: room.clone(), since, issued_at };
    let changes = app.hub.link().follow(follow).await?;
    let metrics = app.hub.metrics();
    metrics.joins.increment(1);
    metrics.resets.increment(changes.reset.into());
    let FeedChanges { from, to, check, changes, more, reset } = changes;
    following.at = Cursor { seq: to, check };
    let (cursor, changes) = (following.at.to_string(), shown(changes));
    following.joined = Joined { room, from, to, cursor, changes, more, reset };
    Ok(following)
}

/// Without what is between the gateways and the dispatchers only.
fn shown(mut changes: Vec<v1::Change>) -> Vec<v1::Change> {
    changes.retain(|change| !matches!(change.thing, Some(v1::change::Thing::Revocation(_))));
    changes
}

fn tell(app: &Arc<App>, client: &Arc<Client>, re: u64, room: RoomId, what: Told) {
    if client.joined(&room).is_none() {
        return client.refuse(re, ErrorCode::NotJoined.with("join the room first"));
    }
    let (user, name) = ((&client.user).into(), client.name.clone());
    let kind = match what {
        Told::Typing { stopped } => ephemeral::Kind::Typing(TypingNow { user, name, stopped }),
        Told::Signal { name, data } => ephemeral::Kind::Signal(SignalNow { user, name, data }),
    };
    app.hub.publish(Ephemeral { room: (&room).into(), kind: Some(kind) });
    client.answer(re, Body::Done(Default::default()));
}

fn presence(
    app: &Arc<App>,
    client: &Arc<Client>,
    re: u64,
    status: Option<bus::Status>,
    ask: Option<PresenceAsk>,
) {
    if let Some(status) = status {
        app.presence.status(client, status);
    }
    let Some(ask) = ask else { return client.answer(re, Body::Done(Default::default())) };
    let app = app.clone();
    let answering = answering(client);
    app.hub.tasks().clone().spawn(async move {
        let room = match &ask {
            PresenceAsk::Room(room) => room.into(),
            PresenceAsk::Users(_) => String::new(),
        };
        let client = &answering.client;
        match look(&app, client, ask).await {
            Ok(users) if re != 0 => client
                .send(&ServerFrame { room, ..ServerFrame::answer(re, Body::Presence(Presence { users })) }),
            Ok(_) => {}
            Err(error) => client.refuse(re, error),
        }
        drop(answering);
    });
}

async fn look(
    app: &Arc<App>,
    client: &Arc<Client>,
    ask: PresenceAsk,
) -> Result<Vec<UserPresence>, v1::Error> {
    match ask {
        PresenceAsk::Users(users) => {
            crate::presence::of_users(app.hub.link(), app.presence.port().as_ref(), client.actor(), &users)
                .await
        }
        PresenceAsk::Room(room) => {
            crate::presence::of_room(app.hub.link(), app.presence.port().as_ref(), client.actor(), &room)
                .await
        }
    }
}
