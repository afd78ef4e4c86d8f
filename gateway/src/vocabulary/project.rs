//! From what a feed delivers to the events of the vocabulary.

use proto::Seq;
use proto::v1::{Message, ServerFrame, SignalNow, UserPresence, server_frame::Body};
use serde::Deserialize;

use super::{Emit, RESERVED, RoomView, Scope, Vocabulary};
use crate::socketio::packet;
use crate::wire::Own;

/// Name of the signal with which a connection tells that it has joined a room.
pub const JOINED: &str = "carillon.joined";
/// And that it has left it.
pub const LEFT: &str = "carillon.left";

/// What comes with such a signal.
#[derive(Deserialize, Default)]
struct Announced {
    #[serde(default)]
    name: String,
    online: Option<u64>,
}

impl Vocabulary {
    /// Appends the events of a live frame, each as one WebSocket frame; most
    /// frames have one event, some none. Answers with what is not for the
    /// connection whose own doing it is.
    pub fn project(&self, frame: &ServerFrame, out: &mut Vec<u8>) -> Vec<Own> {
        self.project_since(frame, frame.seq.saturating_sub(1), out)
    }

    /// The same for a client that knows its room up to `since`: a message that
    /// is newer, and was changed meanwhile, is a new one to it.
    pub fn project_since(&self, frame: &ServerFrame, since: Seq, out: &mut Vec<u8>) -> Vec<Own> {
        let Some(body) = &frame.body else { return Vec::new() };
        let server = &self.server;
        let room = Scope { room: &frame.room, ..Scope::default() };
        let mut events = Events { frame, out, own: Vec::new(), by: None };
        match body {
            Body::Message(message) => {
                let scope = Scope { message: Some(message), ..room };
                let (emits, is_new) = self.events_of(message, since);
                // Who changed a message later need not be its sender.
                events.by = is_new.then_some(message);
                events.emit(emits, &scope);
            }
            Body::Member(member) => {
                let user = Some((member.user.as_str(), member.name.as_str()));
                let scope = Scope { member: Some(member), user, ..room };
                events
                    .emit(if member.active { &server.member_added } else { &server.member_removed }, &scope);
            }
            Body::Details(details) if details.deleted_at != 0 => events.emit(&server.room_deleted, &room),
            Body::Details(details) if !server.room_changed.is_empty() => {
                let view = RoomView::of(details.clone());
                events.emit(&server.room_changed, &Scope { view: Some(&view), ..room });
            }
            Body::Notification(notification) if notification.read_at == 0 => {
                events.emit(&server.notification, &Scope { notification: Some(notification), ..room });
            }
            Body::Typing(sign) => {
                let user = Some((sign.user.as_str(), sign.name.as_str()));
                let scope = Scope { user, typing: Some(!sign.stopped), ..room };
                events.emit(if sign.stopped { &server.typing_stopped } else { &server.typing }, &scope);
            }
            Body::Signal(signal) => self.signal(signal, &room, &mut events),
            Body::Presence(presence) => {
                for presence in &presence.users {
                    self.presence(presence, &room, &mut events);
                }
            }
            Body::ReadMark(mark) => {
                let scope = Scope { user: Some((&mark.user, "")), read: Some(mark), ..room };
                events.emit(&server.read, &scope);
            }
            // Memberships are acted on by the connection; the rest are answers.
            _ => {}
        }
        events.own
    }

    /// The events for a message, and whether it is a new one.
    fn events_of(&self, message: &Message, since: Seq) -> (&[Emit], bool) {
        match message {
            message if message.deleted_at != 0 => (&self.server.deleted, false),
            message if message.seq > since => (&self.server.message, true),
            _ => (&self.server.edited, false),
        }
    }

    /// Whether events of this name say something else than a signal would.
    fn means_something_else(&self, name: &str) -> bool {
        let answers = self.client.values().filter_map(|event| event.answer.as_ref());
        RESERVED.contains(&name)
            || self.server.all().map(|(_, emit)| emit).chain(answers).any(|emit| emit.event == name)
    }

    fn presence(&self, presence: &UserPresence, room: &Scope<'_>, events: &mut Events<'_>) {
        let user = Some((presence.user.as_str(), ""));
        let scope = Scope { user, presence: Some(presence), ..*room };
        match presence.status.as_str() {
            "online" => events.emit(&self.server.online, &scope),
            "offline" => events.emit(&self.server.offline, &scope),
            _ => {}
        }
        events.emit(&self.server.presence, &scope);
    }

    fn signal(&self, signal: &SignalNow, room: &Scope<'_>, events: &mut Events<'_>) {
        let emits = match signal.name.as_str() {
            JOINED => &self.server.joined,
            LEFT => &self.server.left,
            name if self.means_something_else(name) => return,
            name => {
                let SignalNow { user, data, .. } = signal;
                packet::event(events.out, name, |out| {
                    // Neither id has anything that JSON would escape.
                    let data = if data.is_empty() { "null" } else { data };
                    for part in [r#"{"room":""#, room.room, r#"","user":""#, user, r#"","data":"#, data, "}"]
                    {
                        out.extend_from_slice(part.as_bytes());
                    }
                });
                return;
            }
        };
        let announced: Announced = serde_json::from_str(&signal.data).unwrap_or_default();
        let user = Some((signal.user.as_str(), announced.name.as_str()));
        events.emit(emits, &Scope { user, online: announced.online, ..*room });
    }
}

/// Where a frame's events are written.
struct Events<'a> {
    frame: &'a ServerFrame,
    out: &'a mut Vec<u8>,
    own: Vec<Own>,
    /// The message whose sender's connection is spared.
    by: Option<&'a Message>,
}

impl Events<'_> {
    fn emit(&mut self, emits: &[Emit], scope: &Scope<'_>) {
        let position =
            (self.frame.seq != 0).then_some((self.frame.room.as_str(), self.frame.cursor.as_str()));
        for emit in emits {
            let start = self.out.len();
            packet::event_at(self.out, &emit.event, position, |out| emit.payload.write(out, scope));
            if let (true, Some(message)) = (emit.to_others, self.by) {
                let (user, key) = (message.sender.clone(), message.key.clone());
                self.own.push(Own { bytes: start..self.out.len(), user, key });
            }
        }
    }
}

impl RoomView {
    /// Nothing is known of the room but what it is.
    pub fn of(details: proto::v1::Details) -> Self {
        let summary = proto::v1::RoomSummary { details: Some(details), ..Default::default() };
        Self { summary, members: Vec::new() }
    }
}
