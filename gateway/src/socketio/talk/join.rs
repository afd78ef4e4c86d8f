//! Joining rooms: what came before and what comes, put together in the
//! vocabulary's words.

use std::sync::Arc;

use proto::node::{Ephemeral, ephemeral};
use proto::v1::{self, Change, Joined, Message, ServerFrame, SignalNow, change, server_frame::Body};
use proto::{Cursor, ErrorCode, RoomId, Seq};
use tokio::sync::oneshot;

use super::Talk;
use super::reply::Reply;
use crate::client::Client;
use crate::feed::JoinAnswer;
use crate::requests::Following;
use crate::socketio::packet;
use crate::vocabulary::{Answer, JOINED, LEFT, RoomRef, Scope};
use crate::wire::Wire;

/// Messages asked for at once.
const PAGE: u32 = 100;

impl Talk {
    /// `join`: hears a room, and answers with its newest messages where the
    /// vocabulary wants that.
    pub(super) async fn join(
        &mut self,
        reply: &Reply,
        client: &Arc<Client>,
        room: &RoomRef,
        history: u32,
        announce: bool,
    ) -> Result<(), v1::Error> {
        let actor = client.actor();
        let room = self.app.desk.room_id(&actor, room).await?;
        let known = client.joined(&room).is_some();
        if !known && client.joined_count() >= self.app.settings.max_joined_rooms {
            return Err(ErrorCode::TooLarge.with("too many rooms joined on this connection"));
        }
        let since = match self.positions.remove(room.as_str()) {
            Some(since) => since,
            None if known => String::new(),
            None => self.anchor(client, &room).await,
        };
        let mut following = match self.follow(client, Some(&room), &since).await {
            Err(error) if error.code == ErrorCode::NotMember.name() => {
                if !self.app.desk.ensure(&actor, &room).await? {
                    return Err(error);
                }
                self.follow(client, Some(&room), &since).await?
            }
            other => other?,
        };
        let mut answer = Answer {
            room: room.to_string(),
            user: (actor.user.clone(), actor.name.clone()),
            ..Answer::default()
        };
        if history > 0 {
            // What is newer than the join reaches comes as events.
            let before = following.at.seq + 1;
            (answer.messages, answer.more) =
                self.app.desk.history(&actor, &room, before, history.min(PAGE), 0).await?;
            leave_out_shown(&mut following.joined, &answer.messages);
        }
        if announce || reply.wants_online() {
            answer.online = Some(self.online(client, &room, true).await);
        }
        let mut bytes = Vec::from(reply.written(&answer));
        if known {
            // It is heard already: only the answer is new.
            self.outbound.push(bytes.into());
        } else {
            self.project(client, &room, &mut following.joined, &mut bytes);
            self.attach_with(client, Some(&room), following, bytes).await?;
        }
        if announce && !self.announced.contains(&room) {
            self.announce(client, &room, JOINED, answer.online.unwrap_or(0));
            self.announced.push(room);
        }
        Ok(())
    }

    /// Ends a join: the client hears what changed since it was here, then what comes.
    pub(super) async fn attach(
        &self,
        client: &Arc<Client>,
        room: Option<&RoomId>,
        mut following: Following,
    ) -> Result<(), v1::Error> {
        let mut bytes = Vec::new();
        self.project_feed(client, room, &mut following.joined, &mut bytes);
        self.attach_with(client, room, following, bytes).await
    }

    async fn attach_with(
        &self,
        client: &Arc<Client>,
        room: Option<&RoomId>,
        mut following: Following,
        mut bytes: Vec<u8>,
    ) -> Result<(), v1::Error> {
        loop {
            let at = following.at;
            let more = following.joined.more;
            let (tell, told) = oneshot::channel();
            following.attach(client, more, JoinAnswer::Written(std::mem::take(&mut bytes).into(), tell));
            if !told.await.unwrap_or(false) {
                return Ok(());
            }
            following = self.follow(client, room, &at.to_string()).await?;
            self.project_feed(client, room, &mut following.joined, &mut bytes);
        }
    }

    fn project_feed(&self, client: &Client, room: Option<&RoomId>, joined: &mut Joined, to: &mut Vec<u8>) {
        match room {
            Some(room) => self.project(client, room, joined, to),
            None => self.project_own(client, std::mem::take(&mut joined.changes), to),
        }
    }

    /// Hears a room that the user has just come into: its messages from the
    /// first unread one on, so that the message for which a room was made is
    /// not missed.
    pub(super) async fn hear_new(
        &mut self,
        client: &Arc<Client>,
        room: &RoomId,
        read_seq: u64,
    ) -> Result<(), v1::Error> {
        let vocabulary = self.vocabulary().clone();
        let mut bytes = Vec::new();
        if !vocabulary.server.room_added.is_empty() {
            let actor = client.actor();
            let summary = self.app.desk.summary(&actor, room).await?;
            let view = self.app.desk.view(&actor, summary, true).await?;
            for emit in &vocabulary.server.room_added {
                let scope = Scope { room: room.as_str(), view: Some(&view), ..Scope::default() };
                packet::event(&mut bytes, &emit.event, |out| emit.payload.write(out, &scope));
            }
        }
        if !vocabulary.rooms.hear_all {
            self.outbound.push(bytes.into());
            return Ok(());
        }
        let following = self.follow(client, Some(room), "").await?;
        let missed = self.messages_between(client, room, read_seq, following.at).await?;
        let cursor = following.at.to_string();
        for message in missed {
            let message_seq = message.seq;
            let frame = ServerFrame {
                room: room.into(),
                seq: message.seq,
                cursor: cursor.clone(),
                body: Some(Body::Message(message)),
                ..ServerFrame::default()
            };
            self.project_frame(client, &frame, message_seq - 1, &mut bytes);
        }
        self.attach_with(client, Some(room), following, bytes).await
    }

    /// Messages after `after` up to where a join reaches, oldest first; the
    /// newest page of them.
    async fn messages_between(
        &self,
        client: &Client,
        room: &RoomId,
        after: u64,
        to: Cursor,
    ) -> Result<Vec<Message>, v1::Error> {
        if to.seq <= after {
            return Ok(Vec::new());
        }
        let (mut messages, _) = self.app.desk.history(&client.actor(), room, to.seq + 1, PAGE, 0).await?;
        messages.retain(|message| message.seq > after && message.deleted_at == 0);
        Ok(messages)
    }

    fn project(&self, client: &Client, room: &RoomId, joined: &mut Joined, to: &mut Vec<u8>) {
        for change in std::mem::take(&mut joined.changes) {
            if let Some(frame) = ServerFrame::delivery(room.as_str(), change) {
                self.project_frame(client, &frame, joined.from, to);
            }
        }
    }

    /// One's own sends are not echoed later either.
    fn project_frame(&self, client: &Client, frame: &ServerFrame, since: Seq, to: &mut Vec<u8>) {
        let Wire::SocketIo(wire) = &client.wire else { return };
        wire.project(client, frame, since, to);
    }

    fn project_own(&self, client: &Client, changes: Vec<Change>, to: &mut Vec<u8>) {
        let Wire::SocketIo(wire) = &client.wire else { return };
        for change in changes {
            // Rooms are looked up by whoever joins.
            if matches!(change.thing, Some(change::Thing::Notification(_)))
                && let Some(frame) = ServerFrame::delivery("", change)
            {
                wire.notify(frame, to, |_| ());
            }
        }
    }

    /// How many users are online in the room, this client among them or not.
    pub(super) async fn online(&self, client: &Client, room: &RoomId, with_me: bool) -> u64 {
        count_online(&self.app, client, room, with_me).await
    }

    /// Tells the others in a room that this client came or went.
    fn announce(&self, client: &Client, room: &RoomId, name: &str, online: u64) {
        announce(&self.app, client, room, name, online);
    }

    /// Tells the others that this client is not there any more.
    pub(super) fn announce_left(&self, client: &Arc<Client>, room: RoomId) {
        let (app, client) = (self.app.clone(), client.clone());
        self.app.hub.tasks().spawn(async move {
            let online = count_online(&app, &client, &room, false).await;
            announce(&app, &client, &room, LEFT, online);
        });
    }
}

async fn count_online(app: &crate::app::App, client: &Client, room: &RoomId, with_me: bool) -> u64 {
    let others = app.desk.online(&client.actor(), room).await.unwrap_or_default();
    let others = others.iter().filter(|presence| presence.user != client.user.as_str()).count() as u64;
    others + u64::from(with_me)
}

fn announce(app: &crate::app::App, client: &Client, room: &RoomId, name: &str, online: u64) {
    let data = serde_json::json!({ "name": client.name, "online": online }).to_string();
    let signal = SignalNow { user: (&client.user).into(), name: name.to_owned(), data };
    app.hub.publish(Ephemeral { room: room.into(), kind: Some(ephemeral::Kind::Signal(signal)) });
}

/// What stands in the answer's history is not told once more as missed.
fn leave_out_shown(joined: &mut Joined, shown: &[Message]) {
    let Some(oldest) = shown.first().map(|message| message.seq) else { return };
    joined.changes.retain(|change| match &change.thing {
        Some(change::Thing::Message(message)) => message.seq < oldest,
        _ => true,
    });
}
