//! Runs what a session has let through: commands and questions to a dispatcher,
//! joins and leaves at the hub, words to presence.

use std::sync::Arc;

use proto::node::{Ephemeral, Follow, ListMembers, answer, ephemeral, outcome, query};
use proto::v1::{
    self, Joined, Presence, Ready, ServerFrame, SignalNow, TypingNow, UserPresence, server_frame::Body,
};
use proto::{Cursor, ErrorCode, FeedId, RoomId, UserId};

use crate::app::App;
use crate::auth::Identity;
use crate::client::Client;
use crate::feed::{Attach, Input};
use crate::link::route_of;
use crate::session::{Action, PresenceAsk, Told};

/// Members of a room that presence looks at.
const MAX_PRESENCE_MEMBERS: u32 = 1000;
const MEMBERS_PAGE: u32 = 100;

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
struct Answering {
    client: Arc<Client>,
}

fn answering(client: &Arc<Client>) -> Answering {
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
    attach(app, client, re, None, since, identity.issued_at.unwrap_or(0), |changes, at| {
        Body::Ready(Ready {
            user: (&client.user).into(),
            name: client.name.clone(),
            connection: client.connection.clone(),
            expires_at: identity.expires_at.map_or(0, |at| at.saturating_mul(1000)),
            from: changes.from,
            to: changes.to,
            cursor: at.to_string(),
            more: changes.more,
            reset: changes.reset,
            changes: shown(changes.changes),
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
    let named = room.as_ref().map(String::from).unwrap_or_default();
    attach(app, client, re, room, since, client.issued_at(), |changes, at| {
        Body::Joined(Joined {
            room: named,
            from: changes.from,
            to: changes.to,
            cursor: at.to_string(),
            more: changes.more,
            reset: changes.reset,
            changes: shown(changes.changes),
        })
    })
    .await
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
    answer: impl FnOnce(proto::node::FeedChanges, Cursor) -> Body,
) -> Result<(), v1::Error> {
    let id = room.clone().map_or_else(|| FeedId::User(client.user.clone()), FeedId::Room);
    let feed =
        app.hub.begin_join(&id).await.map_err(|error| ErrorCode::Unavailable.with(error.to_string()))?;
    let follow = Follow {
        actor: Some(client.actor()),
        room: room.as_ref().map(String::from).unwrap_or_default(),
        since,
        issued_at,
    };
    match app.hub.link().follow(follow).await {
        Ok(changes) => {
            let metrics = app.hub.metrics();
            metrics.joins.increment(1);
            metrics.resets.increment(changes.reset.into());
            let (at, more) = (Cursor { seq: changes.to, check: changes.check }, changes.more);
            let answer = answer(changes, at);
            feed.post(Input::Attach(Attach { client: client.clone(), re, answer, at, more }));
            Ok(())
        }
        Err(error) => {
            feed.post(Input::JoinFailed);
            Err(error)
        }
    }
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

/// The ids of a room's members, as many as presence looks at.
pub(crate) async fn member_ids(
    link: &crate::link::Link,
    actor: proto::node::Actor,
    room: &RoomId,
) -> Result<Vec<UserId>, v1::Error> {
    let mut users = Vec::new();
    let mut after = String::new();
    loop {
        let page = ListMembers { room: room.into(), after, limit: MEMBERS_PAGE };
        let answer::Result::ListMembers(page) =
            link.ask(actor.clone(), query::Question::ListMembers(page)).await?
        else {
            return Err(unexpected());
        };
        users.extend(page.members.iter().filter_map(|member| UserId::new(&member.user).ok()));
        match page.members.last() {
            Some(last) if page.more && users.len() < MAX_PRESENCE_MEMBERS as usize => {
                after = last.user.clone()
            }
            _ => return Ok(users),
        }
    }
}
