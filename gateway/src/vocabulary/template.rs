//! Payloads with places for values, compiled once and written often.

use proto::v1;

/// A JSON value with places for values of a [`Scope`], compiled when the
/// vocabulary is read. Writing it allocates nothing.
#[derive(Debug, Clone)]
pub struct Template {}

/// What a template may speak of. What an event or answer has no value for is
/// written as `null`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope<'a> {
    /// `$room`: id of the room.
    pub room: &'a str,
    /// `$user.id`, `$user.name`: who it is about: types, reads, joins, asks.
    pub user: Option<(&'a str, &'a str)>,
    /// `$message.*`: id, text, type, data, time, edited_at, deleted_at, seq, sender, sender_name, key,
    /// read_by (users whose mark is at or above it, without the sender), status ("sent" or "read").
    pub message: Option<&'a v1::Message>,
    /// `$messages`: a list, each as `[shape.message]`.
    pub messages: &'a [v1::Message],
    /// For `$message.read_by` and `$message.status`.
    pub read_marks: &'a [v1::ReadMark],
    /// `$more`
    pub more: bool,
    /// `$room.*`: kind, name, created_at, created_by, members (count), participants (each as
    /// `[shape.participant]`), last_message (as `[shape.message]`), unread, role.
    pub view: Option<&'a RoomView>,
    /// `$rooms`: a list, each as `[shape.room]`.
    pub rooms: &'a [RoomView],
    /// `$member.role`
    pub member: Option<&'a v1::Member>,
    /// `$read.seq`, `$read.time`
    pub read: Option<&'a v1::ReadMark>,
    /// `$typing`: boolean
    pub typing: Option<bool>,
    /// `$presence.status`, `$presence.last_seen`
    pub presence: Option<&'a v1::UserPresence>,
    /// `$presences`: a list, each as `[shape.presence]` with `$user.id` and `$presence.*`.
    pub presences: &'a [v1::UserPresence],
    /// `$notification.*`: id, type, data, time, read (boolean), read_at.
    pub notification: Option<&'a v1::Notification>,
    /// `$notifications`: a list, each as `[shape.notification]`.
    pub notifications: &'a [v1::Notification],
    /// `$online`: number of users who are online.
    pub online: Option<u64>,
    /// `$unread`: number of unread messages.
    pub unread: Option<u64>,
    /// `$error.code`, `$error.message`, `$error.retryable`
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
