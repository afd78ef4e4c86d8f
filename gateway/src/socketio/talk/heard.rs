//! What one Socket.IO client hears that not everybody hears: nothing of its own
//! doing, notifications once it wants them, new rooms.

use std::sync::{Arc, Mutex, MutexGuard};

use proto::Seq;
use proto::v1::{Membership, Notification, ServerFrame, server_frame::Body};

use crate::client::Client;
use crate::outbound::Outbound;
use crate::vocabulary::{Action, Vocabulary};
use crate::wire::{Own, cut};

/// Keys of sends whose echo has not come yet; older ones are forgotten.
const MAX_SENT_KEYS: usize = 256;
/// Memberships that wait for the connection to look at them.
const MAX_MEMBERSHIPS: usize = 1024;
/// Notifications held until they are asked for; the newest.
const MAX_HELD: usize = 1000;
/// Of those listed when they were asked for, the newest: they may still be on their way.
const MAX_LISTED: usize = 100;

/// What is particular to one Socket.IO client.
pub struct SocketIoWire {
    vocabulary: Arc<Vocabulary>,
    /// The connection that it had before: what that one did is its own doing too.
    former: Option<String>,
    notes: Mutex<Notes>,
}

struct Notes {
    /// Keys of the client's own that its sends had. Those made here tell it by
    /// their beginning.
    sent_keys: Vec<String>,
    /// Changes of its user's memberships that the connection has to act on.
    memberships: Vec<Membership>,
    notices: Notices,
}

/// How far the client wants notifications.
enum Notices {
    /// It hears them. Those of these ids it was shown out of the list of unread
    /// ones, before they came.
    Heard(Vec<String>),
    /// It has not asked for them. `resumed`: where it left off is known, so that
    /// what is held here is all that it missed.
    Held { resumed: bool, held: Vec<ServerFrame> },
    /// It has asked; the unread ones are being looked up.
    LookedUp(Vec<ServerFrame>),
}

impl SocketIoWire {
    /// For a client that speaks this vocabulary. `resumed`: it said where it left off.
    pub fn new(vocabulary: Arc<Vocabulary>, resumed: bool, former: Option<String>) -> Self {
        let asks = vocabulary.client.values().any(|event| event.action == Action::Subscribe);
        let notices =
            if asks { Notices::Held { resumed, held: Vec::new() } } else { Notices::Heard(Vec::new()) };
        let notes = Notes { sent_keys: Vec::new(), memberships: Vec::new(), notices };
        Self { vocabulary, former, notes: Mutex::new(notes) }
    }

    /// The client's words.
    pub fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    /// A send with a key of the client's own is on its way.
    pub fn sent(&self, key: &str) {
        let keys = &mut self.notes().sent_keys;
        if keys.len() == MAX_SENT_KEYS {
            keys.remove(0);
        }
        keys.push(key.to_owned());
    }

    /// Whether something is this client's own doing.
    pub fn is_own(&self, client: &Client, own: &Own) -> bool {
        if own.user != client.user.as_str() {
            return false;
        }
        let formerly = self.former.as_ref().is_some_and(|former| own.key.starts_with(former.as_str()));
        formerly || client.made_key(&own.key) || {
            let keys = &mut self.notes().sent_keys;
            let found = keys.iter().position(|sent| *sent == own.key);
            found.map(|place| keys.remove(place)).is_some()
        }
    }

    /// Appends a frame's events for a client that knows its room up to `since`,
    /// without the client's own doing.
    pub fn project(&self, client: &Client, frame: &ServerFrame, since: Seq, to: &mut Vec<u8>) {
        let mut bytes = Vec::new();
        let mut own = self.vocabulary.project_since(frame, since, &mut bytes);
        own.retain(|own| self.is_own(client, own));
        to.extend_from_slice(&cut(&bytes, 0, &own));
    }

    /// Takes the changed memberships; `None`: there were too many to keep.
    pub fn take_memberships(&self) -> Option<Vec<Membership>> {
        let memberships = std::mem::take(&mut self.notes().memberships);
        (memberships.len() < MAX_MEMBERSHIPS).then_some(memberships)
    }

    /// Takes live frames of the user's own feed that want more than writing.
    /// `false`: they are as any others.
    pub fn takes(&self, frames: &[ServerFrame], client: &Client) -> bool {
        let own =
            |frame: &ServerFrame| matches!(frame.body, Some(Body::Membership(_) | Body::Notification(_)));
        if !frames.iter().any(own) {
            return false;
        }
        for frame in frames {
            if let Some(Body::Membership(membership)) = &frame.body {
                let memberships = &mut self.notes().memberships;
                if memberships.len() < MAX_MEMBERSHIPS {
                    memberships.push(membership.clone());
                }
                client.outbound.wake();
            } else {
                let mut bytes = Vec::new();
                self.notify(frame.clone(), &mut bytes, |bytes| {
                    client.outbound.push(std::mem::take(bytes).into());
                });
            }
        }
        true
    }

    /// Appends a notification, or holds it until it is asked for. `written` is
    /// called after it, before anything else can come.
    pub fn notify(&self, frame: ServerFrame, to: &mut Vec<u8>, written: impl FnOnce(&mut Vec<u8>)) {
        let mut notes = self.notes();
        match &mut notes.notices {
            Notices::Heard(listed) => {
                if is_of(&frame, listed) {
                    return;
                }
                // They come in order: what is newer than the list is behind all that is in it.
                *listed = Vec::new();
                self.vocabulary.project(&frame, to);
                if !to.is_empty() {
                    written(to);
                }
            }
            Notices::Held { held, .. } | Notices::LookedUp(held) => {
                if held.len() == MAX_HELD {
                    held.remove(0);
                }
                held.push(frame);
            }
        }
    }

    /// The client asks for notifications. `true`: the unread ones are to be
    /// looked up and [shown](Self::show_unread).
    pub fn begin_notices(&self, outbound: &Outbound) -> bool {
        let mut notes = self.notes();
        match &mut notes.notices {
            Notices::Heard(_) | Notices::LookedUp(_) => false,
            Notices::Held { resumed: true, held } => {
                let held = std::mem::take(held);
                self.show(&held, outbound);
                notes.notices = Notices::Heard(Vec::new());
                false
            }
            Notices::Held { resumed: false, .. } => {
                notes.notices = Notices::LookedUp(Vec::new());
                true
            }
        }
    }

    /// Shows the unread ones, oldest first, then what came meanwhile.
    pub fn show_unread(&self, unread: Vec<Notification>, outbound: &Outbound) {
        let mut notes = self.notes();
        let ids: Vec<_> = unread.iter().map(|listed| listed.id.clone()).collect();
        let Notices::LookedUp(mut came) = std::mem::replace(&mut notes.notices, Notices::Heard(Vec::new()))
        else {
            return;
        };
        came.retain(|frame| !is_of(frame, &ids));
        if came.is_empty() {
            notes.notices = Notices::Heard(ids[ids.len().saturating_sub(MAX_LISTED)..].to_vec());
        }
        let unread = unread.into_iter().map(|notification| ServerFrame {
            body: Some(Body::Notification(notification)),
            ..ServerFrame::default()
        });
        self.show(&unread.chain(came).collect::<Vec<_>>(), outbound);
    }

    /// They could not be looked up: the client may ask again.
    pub fn stop_notices(&self) {
        self.notes().notices = Notices::Held { resumed: false, held: Vec::new() };
    }

    fn show(&self, frames: &[ServerFrame], outbound: &Outbound) {
        let mut bytes = Vec::new();
        for frame in frames {
            self.vocabulary.project(frame, &mut bytes);
        }
        if !bytes.is_empty() {
            outbound.push(bytes.into());
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("no panic while a client's notes are locked")
    }
}

/// Whether a frame is about a notification of one of these ids.
fn is_of(frame: &ServerFrame, ids: &[String]) -> bool {
    match &frame.body {
        Some(Body::Notification(notification)) => ids.contains(&notification.id),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification(id: &str) -> Notification {
        Notification { id: id.to_owned(), r#type: "LIKE".to_owned(), ..Notification::default() }
    }

    /// One comes live: is it shown?
    fn live(wire: &SocketIoWire, id: &str) -> bool {
        let frame =
            ServerFrame { body: Some(Body::Notification(notification(id))), ..ServerFrame::default() };
        let mut shown = Vec::new();
        wire.notify(frame, &mut shown, |_| ());
        !shown.is_empty()
    }

    #[test]
    fn p4_an_unread_notification_that_comes_after_it_was_listed_is_not_shown_again() {
        let rooms = Vocabulary::parse(Vocabulary::shipped("rooms").unwrap()).unwrap();
        let wire = SocketIoWire::new(Arc::new(rooms), false, None);
        let outbound = Outbound::new(10_000);
        assert!(!live(&wire, "before it was asked for"));
        assert!(wire.begin_notices(&outbound));
        assert!(!live(&wire, "while it is looked up"));
        let unread = ["before it was asked for", "while it is looked up", "late 1", "late 2"];
        wire.show_unread(unread.map(notification).to_vec(), &outbound);
        assert_eq!(outbound.take().frames.len(), 1);
        assert!(!live(&wire, "late 1"));
        assert!(!live(&wire, "late 2"));
        assert!(live(&wire, "new"));
    }
}
