//! Payloads with places for values, compiled once and written often.

use std::sync::Arc;

use proto::ErrorCode;
use proto::v1::{self, MessageType, Role, RoomKind};

use super::perform::Wants;
use super::{Answer, time};

/// A JSON value with places for values of a [`Scope`], compiled when the
/// vocabulary is read. Writing it allocates nothing of its own.
#[derive(Debug, Clone)]
pub struct Template {
    pieces: Arc<[Piece]>,
    words: Arc<Words>,
}

/// How values are written all over a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// Times as text (ISO 8601, UTC), else as milliseconds since the Unix epoch.
    pub iso_times: bool,
    /// Names of MEMBER, MODERATOR, ADMIN, OWNER.
    pub roles: [String; 4],
}

/// A part of a template.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Written as it is.
    Literal(Box<[u8]>),
    /// A value of the scope.
    Value(Field),
    /// Values of the scope, each in this shape.
    Nested(Nested, Arc<[Piece]>),
}

macro_rules! fields {
    ($(#[$meta:meta])* $name:ident { $($field:ident = $text:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum $name { $($field),* }

        impl $name {
            /// All of them, with the names that templates use.
            pub const ALL: &[(&str, Self)] = &[$(($text, Self::$field)),*];
        }
    };
}

fields! {
    /// A single value.
    Field {
        Room = "$room",
        UserId = "$user.id",
        UserName = "$user.name",
        MessageId = "$message.id",
        MessageText = "$message.text",
        MessageType = "$message.type",
        MessageData = "$message.data",
        MessageTime = "$message.time",
        MessageEditedAt = "$message.edited_at",
        MessageDeletedAt = "$message.deleted_at",
        MessageSeq = "$message.seq",
        MessageSender = "$message.sender",
        MessageSenderName = "$message.sender_name",
        MessageKey = "$message.key",
        MessageReadBy = "$message.read_by",
        MessageStatus = "$message.status",
        RoomKind = "$room.kind",
        RoomName = "$room.name",
        RoomCreatedAt = "$room.created_at",
        RoomCreatedBy = "$room.created_by",
        RoomMembers = "$room.members",
        RoomUnread = "$room.unread",
        RoomRole = "$room.role",
        MemberRole = "$member.role",
        ReadSeq = "$read.seq",
        ReadTime = "$read.time",
        Typing = "$typing",
        PresenceStatus = "$presence.status",
        PresenceLastSeen = "$presence.last_seen",
        NotificationId = "$notification.id",
        NotificationType = "$notification.type",
        NotificationData = "$notification.data",
        NotificationTime = "$notification.time",
        NotificationRead = "$notification.read",
        NotificationReadAt = "$notification.read_at",
        More = "$more",
        Online = "$online",
        Unread = "$unread",
        ErrorCode = "$error.code",
        ErrorMessage = "$error.message",
        ErrorRetryable = "$error.retryable",
    }
}

impl Field {
    /// Whether it is of a message and not known to whoever has just changed that.
    const fn is_of_whole_message(self) -> bool {
        matches!(
            self,
            Field::MessageType
                | Field::MessageData
                | Field::MessageTime
                | Field::MessageDeletedAt
                | Field::MessageSeq
                | Field::MessageSender
                | Field::MessageSenderName
                | Field::MessageKey
                | Field::MessageReadBy
                | Field::MessageStatus
        )
    }
}

fields! {
    /// One or several things, each in a shape of the vocabulary.
    Nested {
        Messages = "$messages",
        Rooms = "$rooms",
        Notifications = "$notifications",
        Presences = "$presences",
        Participants = "$room.participants",
        LastMessage = "$room.last_message",
    }
}

impl Nested {
    /// The shape that each has.
    pub const fn shape(self) -> &'static str {
        match self {
            Nested::Messages | Nested::LastMessage => "message",
            Nested::Rooms => "room",
            Nested::Notifications => "notification",
            Nested::Presences => "presence",
            Nested::Participants => "participant",
        }
    }

    /// What that shape may speak of; `$message.` stands for all that begins with it.
    pub const fn values(self) -> &'static [&'static str] {
        match self {
            Nested::Messages | Nested::LastMessage => &["$room", "$message."],
            Nested::Rooms => &["$room", "$room."],
            Nested::Notifications => &["$notification."],
            Nested::Presences => &["$room", "$user.id", "$presence."],
            Nested::Participants => &["$room", "$user.", "$member."],
        }
    }
}

/// What a template may speak of. What an event or answer has no value for is
/// written as `null`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope<'a> {
    /// Id of the room.
    pub room: &'a str,
    /// Who it is about: types, reads, joins, asks. Id and display name.
    pub user: Option<(&'a str, &'a str)>,
    /// A message.
    pub message: Option<&'a v1::Message>,
    /// A page of messages.
    pub messages: &'a [v1::Message],
    /// How far members have read, for what a message says of it.
    pub read_marks: &'a [v1::ReadMark],
    /// Who gets to see it, where that is one user: what others have sent is
    /// delivered with it.
    pub shown_to: Option<&'a str>,
    /// There is more than the page.
    pub more: Option<bool>,
    /// A room.
    pub view: Option<&'a RoomView>,
    /// A page of rooms.
    pub rooms: &'a [RoomView],
    /// What somebody is to the room.
    pub member: Option<&'a v1::Member>,
    /// How far somebody has read.
    pub read: Option<&'a v1::ReadMark>,
    /// Whether somebody types.
    pub typing: Option<bool>,
    /// Somebody's presence.
    pub presence: Option<&'a v1::UserPresence>,
    /// Several users' presence.
    pub presences: &'a [v1::UserPresence],
    /// A notification.
    pub notification: Option<&'a v1::Notification>,
    /// A page of notifications.
    pub notifications: &'a [v1::Notification],
    /// How many users are online.
    pub online: Option<u64>,
    /// How many messages are unread.
    pub unread: Option<u64>,
    /// Why something was refused.
    pub error: Option<&'a v1::Error>,
}

/// A room as its member sees it.
#[derive(Debug, Clone, Default)]
pub struct RoomView {
    /// The room itself, its last message, what is unread.
    pub summary: v1::RoomSummary,
    /// Its members, where they were asked for.
    pub members: Vec<v1::Member>,
}

impl Answer {
    /// What a template may say of it.
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            room: &self.room,
            user: Some((&self.user.0, &self.user.1)),
            message: self.message.as_ref(),
            messages: &self.messages,
            read_marks: &self.read_marks,
            shown_to: Some(&self.user.0),
            more: Some(self.more),
            view: self.view.as_ref(),
            rooms: &self.rooms,
            read: self.read.as_ref(),
            typing: self.typing,
            presence: self.presence.as_ref(),
            presences: &self.presences,
            notifications: &self.notifications,
            online: self.online,
            unread: self.unread,
            ..Scope::default()
        }
    }
}

impl Template {
    /// A template of these pieces.
    pub fn new(pieces: Vec<Piece>, words: Arc<Words>) -> Self {
        Self { pieces: pieces.into(), words }
    }

    /// Its parts.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// How it writes values.
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// Whether it says this anywhere, in nested shapes too.
    pub fn says(&self, field: Field) -> bool {
        says(&self.pieces, &|piece| matches!(piece, Piece::Value(said) if *said == field))
    }

    /// What it needs beyond what an answer holds by itself.
    pub fn wants(&self) -> Wants {
        let nested =
            |wanted| says(&self.pieces, &|piece| matches!(piece, Piece::Nested(said, _) if *said == wanted));
        Wants {
            members: nested(Nested::Participants),
            read_marks: self.says(Field::MessageReadBy) || self.says(Field::MessageStatus),
            whole_message: Field::ALL
                .iter()
                .any(|(_, field)| field.is_of_whole_message() && self.says(*field)),
        }
    }

    /// Appends the payload, as JSON.
    pub fn write(&self, out: &mut Vec<u8>, scope: &Scope<'_>) {
        write(&self.pieces, &self.words, out, scope);
    }
}

fn says(pieces: &[Piece], found: &dyn Fn(&Piece) -> bool) -> bool {
    pieces.iter().any(|piece| match piece {
        Piece::Nested(_, shape) => found(piece) || says(shape, found),
        piece => found(piece),
    })
}

fn write(pieces: &[Piece], words: &Words, out: &mut Vec<u8>, scope: &Scope<'_>) {
    for piece in pieces {
        match piece {
            Piece::Literal(bytes) => out.extend_from_slice(bytes),
            Piece::Value(field) => Writer { out, words }.value(*field, scope),
            Piece::Nested(nested, shape) => write_nested(*nested, shape, words, out, scope),
        }
    }
}

fn write_nested(nested: Nested, shape: &[Piece], words: &Words, out: &mut Vec<u8>, scope: &Scope<'_>) {
    let base = Scope {
        room: scope.room,
        read_marks: scope.read_marks,
        shown_to: scope.shown_to,
        ..Scope::default()
    };
    match nested {
        Nested::Messages => list(out, scope.messages, |out, message| {
            write(shape, words, out, &Scope { message: Some(message), ..base });
        }),
        Nested::Rooms => list(out, scope.rooms, |out, view| {
            let room = view.summary.details.as_ref().map_or("", |details| &details.id);
            write(shape, words, out, &Scope { room, view: Some(view), ..base });
        }),
        Nested::Notifications => list(out, scope.notifications, |out, notification| {
            write(shape, words, out, &Scope { notification: Some(notification), ..base });
        }),
        Nested::Presences => list(out, scope.presences, |out, presence| {
            let user = Some((presence.user.as_str(), ""));
            write(shape, words, out, &Scope { user, presence: Some(presence), ..base });
        }),
        Nested::Participants => {
            let members = scope.view.map_or(&[][..], |view| &view.members);
            list(out, members, |out, member| {
                let user = Some((member.user.as_str(), member.name.as_str()));
                write(shape, words, out, &Scope { user, member: Some(member), ..base });
            });
        }
        Nested::LastMessage => match scope.view.and_then(|view| view.summary.last_message.as_ref()) {
            Some(message) => {
                let read_marks = scope.view.map_or(&[][..], |view| &view.summary.read_marks);
                write(shape, words, out, &Scope { message: Some(message), read_marks, ..base });
            }
            None => out.extend_from_slice(b"null"),
        },
    }
}

fn list<T>(out: &mut Vec<u8>, things: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (place, thing) in things.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write(out, thing);
    }
    out.push(b']');
}

/// Writes values as JSON.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    words: &'a Words,
}

impl Writer<'_> {
    fn value(&mut self, field: Field, scope: &Scope<'_>) {
        let message = scope.message;
        let details = scope.view.and_then(|view| view.summary.details.as_ref());
        let summary = scope.view.map(|view| &view.summary);
        let notification = scope.notification;
        match field {
            Field::Room => self.text(Some(scope.room)),
            Field::UserId => self.text(scope.user.map(|user| user.0)),
            Field::UserName => self.text(scope.user.map(|user| user.1)),
            Field::MessageId => self.text(message.map(|message| &*message.id)),
            Field::MessageText => self.text(message.map(|message| &*message.text)),
            Field::MessageType => self.text(
                message
                    .map(|message| MessageType::try_from(message.r#type).unwrap_or_default().as_str_name()),
            ),
            Field::MessageData => self.json(message.map(|message| &*message.data)),
            Field::MessageTime => self.time(message.map(|message| message.time)),
            Field::MessageEditedAt => self.time(message.map(|message| message.edited_at)),
            Field::MessageDeletedAt => self.time(message.map(|message| message.deleted_at)),
            Field::MessageSeq => self.number(message.map(|message| message.seq)),
            Field::MessageSender => self.text(message.map(|message| &*message.sender)),
            Field::MessageSenderName => self.text(message.map(|message| &*message.name)),
            Field::MessageKey => self.text(message.map(|message| &*message.key)),
            Field::MessageReadBy => match message {
                Some(message) => list(self.out, readers(message, scope.read_marks), text),
                None => self.null(),
            },
            Field::MessageStatus => self.text(message.map(|message| status(message, scope))),
            Field::RoomKind => self.text(
                details.map(|details| RoomKind::try_from(details.kind).unwrap_or_default().as_str_name()),
            ),
            Field::RoomName => self.text(details.map(|details| &*details.name)),
            Field::RoomCreatedAt => self.time(details.map(|details| details.created_at)),
            Field::RoomCreatedBy => self.text(details.map(|details| &*details.created_by)),
            Field::RoomMembers => self.number(details.map(|details| details.members.into())),
            Field::RoomUnread => self.number(summary.map(|summary| summary.unread)),
            Field::RoomRole => self.role(summary.map(|summary| summary.role())),
            Field::MemberRole => self.role(scope.member.map(|member| member.role())),
            Field::ReadSeq => self.number(scope.read.map(|read| read.seq)),
            Field::ReadTime => self.time(scope.read.map(|read| read.time)),
            Field::Typing => self.boolean(scope.typing),
            Field::PresenceStatus => self.text(scope.presence.map(|presence| &*presence.status)),
            Field::PresenceLastSeen => self.time(scope.presence.map(|presence| presence.last_seen)),
            Field::NotificationId => self.text(notification.map(|notification| &*notification.id)),
            Field::NotificationType => self.text(notification.map(|notification| &*notification.r#type)),
            Field::NotificationData => self.json(notification.map(|notification| &*notification.data)),
            Field::NotificationTime => self.time(notification.map(|notification| notification.time)),
            Field::NotificationRead => {
                self.boolean(notification.map(|notification| notification.read_at != 0))
            }
            Field::NotificationReadAt => self.time(notification.map(|notification| notification.read_at)),
            Field::More => self.boolean(scope.more),
            Field::Online => self.number(scope.online),
            Field::Unread => self.number(scope.unread),
            Field::ErrorCode => {
                self.text(scope.error.map_or(Some(ErrorCode::Internal.name()), |error| Some(&*error.code)))
            }
            Field::ErrorMessage => self.text(scope.error.map(|error| &*error.message)),
            Field::ErrorRetryable => self.boolean(scope.error.map(|error| error.retryable)),
        }
    }

    fn null(&mut self) {
        self.out.extend_from_slice(b"null");
    }

    fn text(&mut self, value: Option<&str>) {
        match value {
            Some(value) => text(self.out, value),
            None => self.null(),
        }
    }

    /// What is JSON already.
    fn json(&mut self, value: Option<&str>) {
        match value {
            Some(value) if !value.is_empty() => self.out.extend_from_slice(value.as_bytes()),
            _ => self.null(),
        }
    }

    fn number(&mut self, value: Option<u64>) {
        match value {
            Some(value) => serde_json::to_writer(&mut *self.out, &value).expect("memory takes all"),
            None => self.null(),
        }
    }

    fn boolean(&mut self, value: Option<bool>) {
        match value {
            Some(true) => self.out.extend_from_slice(b"true"),
            Some(false) => self.out.extend_from_slice(b"false"),
            None => self.null(),
        }
    }

    /// 0 is never.
    fn time(&mut self, value: Option<i64>) {
        match value {
            None | Some(0) => self.null(),
            Some(at) if self.words.iso_times => {
                self.out.push(b'"');
                time::write_iso(self.out, at);
                self.out.push(b'"');
            }
            Some(at) => serde_json::to_writer(&mut *self.out, &at).expect("memory takes all"),
        }
    }

    fn role(&mut self, value: Option<Role>) {
        let words = self.words;
        self.text(value.map(|role| &*words.roles[role as usize]));
    }
}

/// Who else has read a message.
fn readers<'a>(message: &'a v1::Message, marks: &'a [v1::ReadMark]) -> impl Iterator<Item = &'a str> {
    let others = marks.iter().filter(|mark| mark.user != message.sender);
    others.filter(|mark| mark.seq >= message.seq).map(|mark| mark.user.as_str())
}

/// How far a message has come, as far as this is known.
fn status(message: &v1::Message, scope: &Scope<'_>) -> &'static str {
    if readers(message, scope.read_marks).next().is_some() {
        "read"
    } else if scope.shown_to.is_some_and(|user| user != message.sender) {
        "delivered"
    } else {
        "sent"
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("memory takes all");
}
