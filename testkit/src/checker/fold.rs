//! Folding: the one rule by which a client applies what it gets.

use std::collections::BTreeMap;

use proto::Seq;
use proto::v1::{self, Change, change::Thing, server_frame::Body};

/// The newest known state of each thing of a feed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fold {
    things: BTreeMap<String, (Seq, Thing)>,
}

impl Fold {
    /// Upserts by id, guarded by the seq of the last change. `false`: nothing
    /// changed, because the same or a newer change was applied before.
    pub fn apply(&mut self, seq: Seq, thing: &Thing) -> bool {
        let id = id_of(thing);
        let is_newer = self.things.get(&id).is_none_or(|(known, _)| *known < seq);
        if is_newer {
            self.things.insert(id, (seq, thing.clone()));
        }
        is_newer
    }

    /// Applies all, in any order: the result is the same.
    pub fn apply_all<'a>(&mut self, changes: impl IntoIterator<Item = &'a Change>) {
        for change in changes {
            if let Some(thing) = &change.thing {
                self.apply(change.seq, thing);
            }
        }
    }

    /// Each thing with the seq of its last change.
    pub fn things(&self) -> impl Iterator<Item = (Seq, &Thing)> {
        self.things.values().map(|(seq, thing)| (*seq, thing))
    }

    /// A message by its id.
    pub fn message(&self, id: &str) -> Option<&v1::Message> {
        match self.things.get(&format!("message {id}")) {
            Some((_, Thing::Message(message))) => Some(message),
            _ => None,
        }
    }

    /// All messages, by seq.
    pub fn messages(&self) -> Vec<v1::Message> {
        let mut messages: Vec<_> = self
            .things()
            .filter_map(|(_, thing)| match thing {
                Thing::Message(message) => Some(message.clone()),
                _ => None,
            })
            .collect();
        messages.sort_by_key(|message| message.seq);
        messages
    }

    /// All members, by user.
    pub fn members(&self) -> Vec<v1::Member> {
        let members = self.things().filter_map(|(_, thing)| match thing {
            Thing::Member(member) => Some(member.clone()),
            _ => None,
        });
        members.collect()
    }
}

/// The thing that a delivery carries; `None` for answers and ephemeral events.
pub fn thing_of(body: &Body) -> Option<Thing> {
    Some(match body {
        Body::Message(message) => Thing::Message(message.clone()),
        Body::Member(member) => Thing::Member(member.clone()),
        Body::Details(details) => Thing::Details(details.clone()),
        Body::Notification(notification) => Thing::Notification(notification.clone()),
        Body::Membership(membership) => Thing::Membership(membership.clone()),
        _ => return None,
    })
}

/// What a thing is called within its feed.
pub(super) fn id_of(thing: &Thing) -> String {
    match thing {
        Thing::Message(message) => format!("message {}", message.id),
        Thing::Member(member) => format!("member {}", member.user),
        Thing::Details(_) => "details".to_owned(),
        Thing::Notification(notification) => format!("notification {}", notification.id),
        Thing::Membership(membership) => format!("membership {}", membership.room),
        Thing::Revocation(_) => "revocation".to_owned(),
    }
}

/// Whether both are the same state of the same thing. What is looked up at the
/// time of reading and is no change by itself does not count: a member's
/// display name, the number of members, unread messages.
pub(super) fn is_same(a: &Thing, b: &Thing) -> bool {
    match (a, b) {
        (Thing::Member(a), Thing::Member(b)) => (&a.user, a.role, a.active) == (&b.user, b.role, b.active),
        (Thing::Details(a), Thing::Details(b)) => {
            v1::Details { members: 0, ..a.clone() } == v1::Details { members: 0, ..b.clone() }
        }
        (Thing::Membership(a), Thing::Membership(b)) => {
            (&a.room, a.role, a.active, a.read_seq) == (&b.room, b.role, b.active, b.read_seq)
        }
        _ => a == b,
    }
}
