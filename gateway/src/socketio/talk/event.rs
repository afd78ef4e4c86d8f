//! From a packet to what it asks for, and to its answer.

use std::sync::Arc;

use proto::node::{Ephemeral, ListNotifications, command, ephemeral, outcome};
use proto::v1::{self, TypingNow, UserPresence};
use proto::{CloseCode, ErrorCode, RoomId};

use super::reply::{Reply, emit_error};
use super::{MAX_REFUSED, State, Step, Talk};
use crate::client::Client;
use crate::outbound::Closing;
use crate::requests;
use crate::socketio::packet::{self, Kind, Packet};
use crate::vocabulary::{Answer, Ask, RoomRef, perform};
use crate::wire::Wire;

/// Unread notifications shown to one who begins to hear them.
const MAX_UNREAD: usize = 1000;

impl Talk {
    /// One Socket.IO packet. `Some(step)` must be waited for before the next is
    /// handed in.
    pub fn text(&mut self, packet: &str) -> Option<Step> {
        match packet::decode(packet) {
            Ok(packet) if self.partial.is_none() => self.packet(packet),
            Ok(_) => self.malformed("an attachment was to come"),
            Err(error) => self.malformed(&error.to_string()),
        }
    }

    /// An attachment.
    pub fn binary(&mut self, attachment: &[u8]) -> Option<Step> {
        let Some(partial) = &mut self.partial else {
            return self.malformed("an attachment of no event");
        };
        match partial.add(attachment, self.app.settings.max_frame_bytes) {
            Ok(false) => None,
            Ok(true) => {
                let whole = self.partial.take()?.finish();
                match whole {
                    Ok((ack, data)) => self.event(ack, &data),
                    Err(error) => self.malformed(&error.to_string()),
                }
            }
            Err(error) => self.malformed(&error.to_string()),
        }
    }

    /// Not the protocol: such a client cannot be talked to.
    fn malformed(&mut self, why: &str) -> Option<Step> {
        self.outbound.close(Closing { code: CloseCode::Malformed, reason: why.to_owned() });
        if self.client().is_none() {
            self.state = State::Over;
        }
        None
    }

    fn packet(&mut self, packet: Packet<'_>) -> Option<Step> {
        self.app.hub.metrics().frames.increment(1);
        if !self.within_rate(packet.ack) {
            return None;
        }
        if packet.namespace != "/" && packet.kind != Kind::Connect {
            return self.malformed("a packet of a namespace that is not connected");
        }
        match packet.kind {
            Kind::Connect => self.connect_asked(packet.namespace, packet.data),
            Kind::Disconnect => {
                self.ended();
                // It has no other namespace to go on with.
                self.outbound.close(Closing::with(CloseCode::Normal));
                None
            }
            Kind::Event => self.event(packet.ack, packet.data),
            Kind::BinaryEvent => {
                match packet::Partial::begin(&packet) {
                    Ok(partial) => self.partial = Some(partial),
                    Err(error) => return self.malformed(&error.to_string()),
                }
                None
            }
            // Nothing that the server emits asks for an acknowledgement.
            Kind::Ack | Kind::BinaryAck => None,
            Kind::ConnectError => self.malformed("a packet that only servers send"),
        }
    }

    fn within_rate(&mut self, ack: Option<u64>) -> bool {
        if self.session.control(std::time::Instant::now()) {
            self.refused = 0;
            return true;
        }
        self.refused += 1;
        let error = ErrorCode::RateLimited.with("too many events; slow down");
        if self.refused > MAX_REFUSED {
            self.close(CloseCode::RateLimited, error);
        } else {
            self.reply("", ack).refused(&error);
        }
        false
    }

    fn reply(&self, event: &str, ack: Option<u64>) -> Reply {
        Reply {
            outbound: self.outbound.clone(),
            vocabulary: self.vocabulary().clone(),
            event: event.into(),
            ack,
        }
    }

    fn event(&mut self, ack: Option<u64>, data: &str) -> Option<Step> {
        if matches!(self.state, State::Opened | State::Over) {
            return self.malformed("an event before the connection");
        }
        let (name, payload) = match packet::event_parts(data) {
            Ok(parts) => parts,
            Err(error) => return self.malformed(&error.to_string()),
        };
        let reply = self.reply(&name, ack);
        match self.ask(&name, payload) {
            Ok(ask) => self.asked(reply, ask),
            Err(error) => {
                reply.refused(&error);
                None
            }
        }
    }

    fn ask(&self, name: &str, payload: Option<&str>) -> Result<Ask, v1::Error> {
        let spoken = self.vocabulary().client.get(name);
        let spoken = spoken.ok_or_else(|| ErrorCode::Invalid.with("no such event"))?;
        spoken.inputs.ask_of_event(&spoken.action, payload)
    }

    fn asked(&mut self, reply: Reply, ask: Ask) -> Option<Step> {
        let client = match &self.state {
            State::Client(client) => client.clone(),
            _ => match ask {
                Ask::Authenticate { .. } => return Some(Step::Event { reply, ask }),
                Ask::Join { name: Some(_), .. } if self.vocabulary().guests => {
                    return Some(Step::Event { reply, ask });
                }
                _ => {
                    let why = "authenticate first";
                    reply.refused(&ErrorCode::Unauthenticated.with(why));
                    return None;
                }
            },
        };
        match ask {
            Ask::Authenticate { .. } | Ask::Join { .. } => return Some(Step::Event { reply, ask }),
            Ask::Send { room: RoomRef::Id(room), r#type, text, data, key, .. }
                if !self.app.desk.promises_rooms() || client.joined(&room).is_some() =>
            {
                let send = v1::Send { room: (&room).into(), key, r#type: r#type.into(), text, data };
                self.send(&client, reply, send);
            }
            // The room may have to be made first.
            Ask::Send { .. } => return Some(Step::Event { reply, ask }),
            Ask::Leave { room, announce } => self.leave(&client, &reply, &room, announce),
            Ask::Typing { room, active } => self.typing(&client, &reply, &room, active),
            Ask::Presence { status } => {
                self.app.presence.status(&client, status);
                let presence = UserPresence {
                    user: (&client.user).into(),
                    status: status.name().to_owned(),
                    last_seen: crate::now_ms(),
                };
                reply.done(&Answer { presence: Some(presence), ..answer_of(&client) });
            }
            Ask::Subscribe => self.subscribe(&client, reply),
            ask => self.perform(&client, reply, ask),
        }
        None
    }

    pub(super) async fn event_step(&mut self, reply: Reply, ask: Ask) {
        if let Ask::Authenticate { token } = ask {
            return Box::pin(self.authenticate(reply, token)).await;
        }
        if let Err(error) = Box::pin(self.awaited(&reply, ask)).await {
            reply.refused(&error);
        }
    }

    async fn awaited(&mut self, reply: &Reply, ask: Ask) -> Result<(), v1::Error> {
        if let (Ask::Join { name: Some(name), .. }, None) = (&ask, self.client()) {
            self.enter_guest(name).await?;
        }
        let client = self.client().cloned();
        let client = client.ok_or_else(|| ErrorCode::Unauthenticated.with("authenticate first"))?;
        match ask {
            Ask::Join { room, history, announce, .. } => {
                self.join(reply, &client, &room, history, announce).await
            }
            Ask::Send { room, r#type, text, data, key, .. } => {
                let actor = client.actor();
                let room = self.app.desk.room_id(&actor, &room).await?;
                self.app.desk.ensure(&actor, &room).await?;
                let send = v1::Send { room: (&room).into(), key, r#type: r#type.into(), text, data };
                self.send(&client, reply.clone(), send);
                Ok(())
            }
            _ => Err(ErrorCode::Internal.with("a fault of the server's own")),
        }
    }

    /// On its way in the order of these calls; the answer comes when it is stored.
    fn send(&self, client: &Arc<Client>, reply: Reply, mut send: v1::Send) {
        if send.key.is_empty() {
            send.key = client.new_key();
        } else if let Wire::SocketIo(wire) = &client.wire {
            wire.sent(&send.key);
        }
        let actor = client.actor();
        let route = send.room.clone();
        let (shown, by) = (send.clone(), actor.clone());
        let answering = requests::answering(client);
        let done = Box::new(move |result: crate::link::CommandResult| {
            match result {
                Ok(outcome::Result::Sent(sent)) => reply.done(&perform::sent(&by, shown, sent)),
                Ok(_) => reply.refused(&ErrorCode::Internal.with("a dispatcher answered something else")),
                Err(error) => reply.refused(&error),
            }
            drop(answering);
        });
        self.app.hub.link().submit(actor, command::Action::Send(send), &route, done);
    }

    fn leave(&mut self, client: &Arc<Client>, reply: &Reply, room: &RoomRef, announce: bool) {
        let Some(room) = self.known(client, room) else {
            return reply.done(&answer_of(client));
        };
        let rooms = &self.vocabulary().rooms;
        // Rooms of two that are heard wherever one is are not left with a page.
        let stays = rooms.hear_all && rooms.pair.is_some();
        if let Some(feed) = client.joined(&room)
            && !stays
        {
            client.note_left(&room);
            feed.post(crate::feed::Input::Detach { client: client.clone(), done: None });
        }
        reply.done(&Answer { room: room.to_string(), ..answer_of(client) });
        if announce {
            self.announced.retain(|announced| *announced != room);
            self.announce_left(client, room);
        }
    }

    fn typing(&self, client: &Arc<Client>, reply: &Reply, room: &RoomRef, active: bool) {
        let room = self.known(client, room).filter(|room| client.joined(room).is_some());
        let Some(room) = room else {
            return reply.refused(&ErrorCode::NotJoined.with("join the room first"));
        };
        let sign = TypingNow { user: (&client.user).into(), name: client.name.clone(), stopped: !active };
        self.app.hub.publish(Ephemeral { room: (&room).into(), kind: Some(ephemeral::Kind::Typing(sign)) });
        reply.done(&Answer { room: room.to_string(), typing: Some(active), ..answer_of(client) });
    }

    /// The id of a room that may be heard already.
    fn known(&self, client: &Client, room: &RoomRef) -> Option<RoomId> {
        match (room, &self.vocabulary().rooms.pair) {
            (RoomRef::Id(id), _) => Some(id.clone()),
            (RoomRef::With(other), Some(pair)) => pair.id(client.user.as_str(), other.as_str()).ok(),
            (RoomRef::With(_), None) => None,
        }
    }

    fn perform(&self, client: &Arc<Client>, reply: Reply, ask: Ask) {
        let app = self.app.clone();
        let answering = requests::answering(client);
        self.app.hub.tasks().spawn(async move {
            let wants = reply.wants();
            match app.desk.perform(&answering.client.actor(), ask, wants).await {
                Ok(answer) => reply.done(&answer),
                Err(error) => reply.refused(&error),
            }
            drop(answering);
        });
    }

    /// Notifications are heard from here on, and those that came before and are unread.
    fn subscribe(&self, client: &Arc<Client>, reply: Reply) {
        let app = self.app.clone();
        let answering = requests::answering(client);
        self.app.hub.tasks().spawn(async move {
            let client = &answering.client;
            let Wire::SocketIo(wire) = &client.wire else { return };
            reply.done(&answer_of(client));
            if !wire.begin_notices(&client.outbound) {
                return;
            }
            match unread(&app, client).await {
                Ok(unread) => wire.show_unread(unread, &client.outbound),
                Err(error) => {
                    wire.stop_notices();
                    emit_error(&client.outbound, wire.vocabulary(), &error);
                }
            }
            drop(answering);
        });
    }
}

/// All unread notifications, as many as are shown, oldest first.
async fn unread(app: &crate::app::App, client: &Client) -> Result<Vec<v1::Notification>, v1::Error> {
    let mut unread: Vec<v1::Notification> = Vec::new();
    loop {
        let before = unread.last().map(|oldest| oldest.id.clone()).unwrap_or_default();
        let list = ListNotifications { unread_only: true, before, limit: 100 };
        let (page, more) = app.desk.notifications(&client.actor(), list).await?;
        unread.extend(page);
        if !more || unread.len() >= MAX_UNREAD {
            unread.reverse();
            return Ok(unread);
        }
    }
}

fn answer_of(client: &Client) -> Answer {
    Answer { user: ((&client.user).into(), client.name.clone()), ..Answer::default() }
}
