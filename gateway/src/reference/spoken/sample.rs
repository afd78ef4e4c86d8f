//! What examples in a vocabulary speak of.

use proto::v1::{self, Member, Message, Notification, Presence, ReadMark, RoomSummary, UserPresence};

use super::super::examples;
use crate::vocabulary::{RoomView, Scope, Template, Vocabulary};

/// Everything that a template may say, of one small world.
pub struct Sample {
    /// The room of the examples, as this vocabulary calls it.
    pub room: String,
    message: Message,
    messages: Vec<Message>,
    view: RoomView,
    member: Member,
    read: ReadMark,
    presence: UserPresence,
    presences: Vec<UserPresence>,
    notification: Notification,
    typing: bool,
    user: (&'static str, &'static str),
}

impl Sample {
    /// Of what others do.
    pub fn new(vocabulary: &Vocabulary) -> Self {
        let rooms = &vocabulary.rooms;
        let pair = rooms.pair.as_ref().and_then(|pair| pair.id(examples::ANA, examples::BEN).ok());
        let room = rooms.fixed.clone().or(pair).map_or(examples::ROOM.to_owned(), |room| room.to_string());
        let summary = examples::summary();
        let details = summary.details.map(|details| v1::Details { id: room.clone(), ..details });
        let Presence { users: presences } = examples::presence();
        Self {
            room,
            message: examples::message(),
            messages: vec![examples::picture(), examples::message()],
            view: RoomView {
                summary: RoomSummary { details, ..summary },
                members: vec![examples::owner(), examples::member()],
            },
            member: examples::member(),
            read: examples::read_mark(),
            presence: presences[0].clone(),
            presences,
            notification: examples::notification(),
            typing: true,
            user: (examples::BEN, "Ben"),
        }
    }

    /// Of what one has done oneself.
    pub fn own(vocabulary: &Vocabulary) -> Self {
        Self { user: (examples::ANA, "Ana"), read: examples::own_read_mark(), ..Self::new(vocabulary) }
    }

    /// Of a thing that happens, as vocabularies call it.
    pub fn of(vocabulary: &Vocabulary, happening: &str) -> Self {
        let mut sample = Self::new(vocabulary);
        match happening {
            "edited" => sample.message = examples::edited(),
            "deleted" => sample.message = examples::deleted(),
            "typing_stopped" => sample.typing = false,
            "offline" => sample.presence = sample.presences[1].clone(),
            "member_added" | "member_removed" => sample.user = (examples::EVA, "Eva"),
            _ => {}
        }
        if happening == "member_removed" {
            sample.member.active = false;
        }
        sample
    }

    /// What a template says of it.
    pub fn written(&self, template: &Template) -> serde_json::Value {
        self.with_error(template, None)
    }

    /// What a template says of it and of an error.
    pub fn with_error(&self, template: &Template, error: Option<&v1::Error>) -> serde_json::Value {
        let scope = Scope {
            room: &self.room,
            user: Some(self.user),
            message: Some(&self.message),
            messages: &self.messages,
            read_marks: &self.view.summary.read_marks,
            more: Some(false),
            view: Some(&self.view),
            rooms: std::slice::from_ref(&self.view),
            member: Some(&self.member),
            read: Some(&self.read),
            typing: Some(self.typing),
            presence: Some(&self.presence),
            presences: &self.presences,
            notification: Some(&self.notification),
            notifications: std::slice::from_ref(&self.notification),
            online: Some(2),
            unread: Some(0),
            error,
            shown_to: Some(examples::ANA),
        };
        let mut json = Vec::new();
        template.write(&mut json, &scope);
        serde_json::from_slice(&json).expect("templates write JSON")
    }
}
