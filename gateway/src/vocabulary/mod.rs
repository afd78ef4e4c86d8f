//! Vocabularies: the words of other chat servers for what Carillon does.
//!
//! A vocabulary is a TOML file. It says which events a client emits and what
//! each asks for ([`Ask`]), which events the server emits for what happens in a
//! room, which REST routes there are, and how each payload looks. It has no
//! rules of its own: every ask becomes the same commands and questions that the
//! native protocol makes.
//!
//! `load` reads the file and tells every mistake with its line, `shape` compiles
//! the payloads in it; `input` makes an ask of a payload; `perform` asks the
//! dispatchers; `template` writes payloads; `project` turns what a feed delivers
//! into events.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use proto::v1::{self, MessageType, RoomKind};
use proto::{RoomId, UserId};

#[cfg(test)]
mod docs_tests;
pub mod input;
#[cfg(test)]
mod input_tests;
pub mod load;
mod pair;
pub mod perform;
mod project;
#[cfg(test)]
mod project_tests;
mod shape;
pub mod template;
#[cfg(test)]
mod template_tests;
mod time;

pub use input::Inputs;
pub use perform::Desk;
pub use project::{JOINED, LEFT};
pub use template::{RoomView, Scope, Template};

/// Names of events that Socket.IO's libraries keep for themselves, and `error`,
/// which tells of refusals.
const RESERVED: [&str; 7] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener", "error"];

/// The words of one front end.
#[derive(Debug)]
pub struct Vocabulary {
    /// How it is called.
    pub name: String,
    /// Who may come, and what they hear.
    pub rooms: Rooms,
    /// A connection may start without a token and send one with an event, or
    /// stay a guest where guests are allowed.
    pub late_token: bool,
    /// Whoever has no token may come under a name.
    pub guests: bool,
    /// A typing sign that is not renewed ends after this.
    pub typing_expiry: Duration,
    /// What clients emit, by event name.
    pub client: HashMap<String, ClientEvent>,
    /// What the server emits, by what has happened.
    pub server: ServerEvents,
    /// Payload of the event `error`, and body of a refused REST request.
    pub error: Template,
    /// REST routes.
    pub routes: Vec<Arc<Route>>,
}

/// Which rooms there are, and which of them a connection hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rooms {
    /// A connection hears all of its user's rooms at once, new ones too;
    /// otherwise it joins them.
    pub hear_all: bool,
    /// There is one public room, of this id.
    pub fixed: Option<RoomId>,
    /// Rooms are those of two users; the id is made of theirs, in order:
    /// `conv_{a}_{b}`. They exist from the first join or message on.
    pub pair: Option<PairPattern>,
}

/// How the id of a room of two users is made: `before` a `between` b `after`, a < b.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairPattern {
    /// Before the lower user id.
    pub before: String,
    /// Between the two.
    pub between: String,
    /// After the higher one.
    pub after: String,
}

/// An event that clients emit.
#[derive(Debug)]
pub struct ClientEvent {
    /// What it asks for.
    pub action: Action,
    /// Where in the payload the ask's parts are.
    pub inputs: Inputs,
    /// Emitted to this connection when it was done.
    pub answer: Option<Emit>,
    /// What the acknowledgement holds besides `ok: true`; an object. Without
    /// one, the payload of `answer`.
    pub ack: Option<Template>,
}

/// An event and its payload.
#[derive(Debug)]
pub struct Emit {
    /// Name of the event.
    pub event: String,
    /// Its one argument.
    pub payload: Template,
    /// Not to the connection whose own doing it is.
    pub to_others: bool,
}

/// What the server emits when something has happened; several events for one
/// thing are allowed, most things have none.
#[derive(Debug, Default)]
pub struct ServerEvents {
    /// A new message. Scope: `message`, `room`.
    pub message: Vec<Emit>,
    /// A message was edited. Scope: `message`, `room`.
    pub edited: Vec<Emit>,
    /// A message was deleted. Scope: `message` (a tombstone), `room`.
    pub deleted: Vec<Emit>,
    /// Somebody became a member, or has another role. Scope: `member`, `user`, `room`.
    pub member_added: Vec<Emit>,
    /// Somebody is a member no more. Scope: `member`, `user`, `room`.
    pub member_removed: Vec<Emit>,
    /// The user is in a room that they were not in. Only to them. Scope: `room`, `view`.
    pub room_added: Vec<Emit>,
    /// A room was renamed. Scope: `room`, `view` (without members).
    pub room_changed: Vec<Emit>,
    /// A room is gone. Scope: `room`.
    pub room_deleted: Vec<Emit>,
    /// Somebody types. Scope: `user`, `typing`, `room`.
    pub typing: Vec<Emit>,
    /// Somebody types no more. Scope: `user`, `typing`, `room`.
    pub typing_stopped: Vec<Emit>,
    /// A user's first connection. Scope: `user`, `presence`, `room`.
    pub online: Vec<Emit>,
    /// A user's last connection is gone. Scope: `user`, `presence`, `room`.
    pub offline: Vec<Emit>,
    /// Any change of presence, also the first and the last. Scope: `user`, `presence`, `room`.
    pub presence: Vec<Emit>,
    /// Somebody has read. Scope: `user`, `read`, `room`.
    pub read: Vec<Emit>,
    /// The user was notified. Scope: `notification`.
    pub notification: Vec<Emit>,
    /// A connection has joined the room. Scope: `user`, `online`, `room`.
    pub joined: Vec<Emit>,
    /// A connection has left the room, or is gone. Scope: `user`, `online`, `room`.
    pub left: Vec<Emit>,
}

/// A REST route.
#[derive(Debug)]
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path in axum's form: `/api/messages/{room}`.
    pub path: String,
    /// What it asks for.
    pub action: Action,
    /// Where in path, body and query the ask's parts are.
    pub inputs: Inputs,
    /// Status when it was done.
    pub status: http::StatusCode,
    /// Body when it was done; without one it is empty.
    pub answer: Option<Template>,
    /// May be asked without a token, where guests are allowed.
    pub guests: bool,
}

/// What an event or a route asks for, before its inputs are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Show a token. Events only.
    Authenticate,
    /// Hear a room. Events only.
    Join {
        /// So many of the newest messages come with the answer.
        history: u32,
        /// The others in the room are told (`ServerEvents::joined`, and `left` at the end).
        announce: bool,
    },
    /// Hear a room no more. Events only.
    Leave {
        /// The others in the room are told.
        announce: bool,
    },
    /// Send a message.
    Send,
    /// Edit a message.
    Edit,
    /// Delete a message.
    Delete,
    /// Page through messages.
    History,
    /// Search messages.
    Search,
    /// Move the read mark.
    Read,
    /// How many messages are unread.
    Unread,
    /// Show a typing sign, or end it. Events only.
    Typing,
    /// Show a status. Events only.
    Presence,
    /// Who of a room is online.
    Online,
    /// Create a room.
    CreateRoom,
    /// List one's rooms.
    Rooms,
    /// One room.
    Room,
    /// Rename a room.
    RenameRoom,
    /// Delete a room; whoever may not do so leaves it.
    RemoveRoom,
    /// List notifications.
    Notifications,
    /// Hear notifications, unread ones first. Events only.
    Subscribe,
}

/// What is asked for, in words of our own.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// See [`Action::Authenticate`].
    Authenticate { token: String },
    /// See [`Action::Join`]. `name`: what a guest wants to be called.
    Join { room: RoomRef, name: Option<String>, history: u32, announce: bool },
    /// See [`Action::Leave`].
    Leave { room: RoomRef, announce: bool },
    /// See [`Action::Send`]. `name`: a guest's, over REST.
    Send {
        room: RoomRef,
        r#type: MessageType,
        text: String,
        /// JSON object, or empty.
        data: String,
        /// The client's own key, or empty.
        key: String,
        name: Option<String>,
    },
    /// See [`Action::Edit`].
    Edit { message: String, text: String },
    /// See [`Action::Delete`].
    Delete { message: String },
    /// See [`Action::History`]. `before`: id of a message.
    History { room: RoomRef, limit: u32, skip: u32, before: String },
    /// See [`Action::Search`].
    Search { room: RoomRef, text: String, limit: u32 },
    /// See [`Action::Read`]. `message`: id of the last one read; empty: everything.
    Read { room: RoomRef, message: String },
    /// See [`Action::Unread`].
    Unread { room: RoomRef },
    /// See [`Action::Typing`].
    Typing { room: RoomRef, active: bool },
    /// See [`Action::Presence`].
    Presence { status: bus::Status },
    /// See [`Action::Online`].
    Online { room: RoomRef },
    /// See [`Action::CreateRoom`].
    CreateRoom { kind: RoomKind, users: Vec<UserId>, name: String },
    /// See [`Action::Rooms`].
    Rooms { limit: u32, skip: u32 },
    /// See [`Action::Room`].
    Room { room: RoomRef },
    /// See [`Action::RenameRoom`].
    RenameRoom { room: RoomRef, name: String },
    /// See [`Action::RemoveRoom`].
    RemoveRoom { room: RoomRef },
    /// See [`Action::Notifications`].
    Notifications { limit: u32 },
    /// See [`Action::Subscribe`].
    Subscribe,
}

/// Which room is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomRef {
    /// The room of this id. With [`Rooms::pair`], it may not exist yet.
    Id(RoomId),
    /// The room with this user; it may not exist yet.
    With(UserId),
}

/// What came of an ask: the owned side of a [`Scope`].
#[derive(Debug, Default)]
pub struct Answer {
    /// The room it is about.
    pub room: String,
    /// Who has asked: id and display name.
    pub user: (String, String),
    /// The message that was sent, edited or deleted.
    pub message: Option<v1::Message>,
    /// A page of messages.
    pub messages: Vec<v1::Message>,
    /// How far each member of the room has read.
    pub read_marks: Vec<v1::ReadMark>,
    /// There is more than this page.
    pub more: bool,
    /// The room that was created or asked for.
    pub view: Option<RoomView>,
    /// A page of rooms.
    pub rooms: Vec<RoomView>,
    /// Who is online.
    pub presences: Vec<v1::UserPresence>,
    /// A page of notifications.
    pub notifications: Vec<v1::Notification>,
    /// The read mark that was moved.
    pub read: Option<v1::ReadMark>,
    /// Users who are online.
    pub online: Option<u64>,
    /// Unread messages of the room.
    pub unread: Option<u64>,
    /// The status that was set.
    pub presence: Option<v1::UserPresence>,
    /// Whether the user types.
    pub typing: Option<bool>,
}

macro_rules! server_events {
    ($($name:ident: $($value:literal)*;)*) => {
        impl ServerEvents {
            /// What may happen, as vocabularies call it.
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// The events for a thing that happens, and what they may speak of.
            pub fn named(&mut self, name: &str) -> Option<(&mut Vec<Emit>, &'static [&'static str])> {
                match name {
                    $(stringify!($name) => Some((&mut self.$name, &[$($value),*])),)*
                    _ => None,
                }
            }

            /// All events, each with the thing that it is for.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, &Emit)> {
                let all = [$((stringify!($name), &self.$name)),*];
                all.into_iter().flat_map(|(name, emits)| emits.iter().map(move |emit| (name, emit)))
            }
        }
    };
}

// `$message.` stands for everything that begins with it.
server_events! {
    message: "$room" "$message.";
    edited: "$room" "$message.";
    deleted: "$room" "$message.";
    member_added: "$room" "$user." "$member.";
    member_removed: "$room" "$user." "$member.";
    room_added: "$room" "$room.";
    room_changed: "$room" "$room.kind" "$room.name" "$room.created_at" "$room.created_by" "$room.members";
    room_deleted: "$room";
    typing: "$room" "$user." "$typing";
    typing_stopped: "$room" "$user." "$typing";
    online: "$room" "$user.id" "$presence.";
    offline: "$room" "$user.id" "$presence.";
    presence: "$room" "$user.id" "$presence.";
    read: "$room" "$user.id" "$read.";
    notification: "$notification.";
    joined: "$room" "$user." "$online";
    left: "$room" "$user." "$online";
}

impl Action {
    /// All of them, as vocabularies call them.
    pub const NAMES: [&str; 20] = [
        "authenticate",
        "join",
        "leave",
        "send",
        "edit",
        "delete",
        "history",
        "search",
        "read",
        "unread",
        "typing",
        "presence",
        "online",
        "create_room",
        "rooms",
        "room",
        "rename_room",
        "remove_room",
        "notifications",
        "subscribe",
    ];

    /// The action of this name, with its options.
    pub fn named(name: &str, history: u32, announce: bool) -> Option<Self> {
        Some(match name {
            "authenticate" => Action::Authenticate,
            "join" => Action::Join { history, announce },
            "leave" => Action::Leave { announce },
            "send" => Action::Send,
            "edit" => Action::Edit,
            "delete" => Action::Delete,
            "history" => Action::History,
            "search" => Action::Search,
            "read" => Action::Read,
            "unread" => Action::Unread,
            "typing" => Action::Typing,
            "presence" => Action::Presence,
            "online" => Action::Online,
            "create_room" => Action::CreateRoom,
            "rooms" => Action::Rooms,
            "room" => Action::Room,
            "rename_room" => Action::RenameRoom,
            "remove_room" => Action::RemoveRoom,
            "notifications" => Action::Notifications,
            "subscribe" => Action::Subscribe,
            _ => return None,
        })
    }

    /// What its answer may speak of, as with [`ServerEvents::named`].
    pub const fn values(&self) -> &'static [&'static str] {
        match self {
            Action::Authenticate | Action::Subscribe => &["$user."],
            Action::Join { .. } => &["$room", "$user.", "$messages", "$more", "$online"],
            Action::Leave { .. } | Action::RemoveRoom => &["$room", "$user."],
            Action::Send | Action::Edit | Action::Delete => &["$room", "$user.", "$message."],
            Action::History | Action::Search => &["$room", "$user.", "$messages", "$more"],
            Action::Read => &["$room", "$user.", "$read.", "$unread"],
            Action::Unread => &["$room", "$user.", "$unread"],
            Action::Typing => &["$room", "$user.", "$typing"],
            Action::Presence => &["$user.", "$presence."],
            Action::Online => &["$room", "$user.", "$presences", "$online"],
            Action::CreateRoom | Action::Room | Action::RenameRoom => &["$room", "$user.", "$room."],
            Action::Rooms => &["$user.", "$rooms", "$more"],
            Action::Notifications => &["$user.", "$notifications", "$more"],
        }
    }

    /// Whether only a connection can ask for it.
    pub fn needs_connection(&self) -> bool {
        matches!(
            self,
            Action::Authenticate
                | Action::Join { .. }
                | Action::Leave { .. }
                | Action::Typing
                | Action::Presence
                | Action::Subscribe
        )
    }
}
