//! Values for examples: typed, so that they are written by the code that writes
//! the real ones. Ana and Ben talk in the group `book-club`; Eva is new there.

use proto::v1::{
    Change, Changed, Details, Joined, Member, Membership, Message, MessageType, Notification, Presence,
    ReadMark, Ready, Role, RoomKind, RoomSummary, Sent, Snapshot, UserPresence, change::Thing,
};

/// A room.
pub const ROOM: &str = "book-club";
/// Who asks.
pub const ANA: &str = "ana";
/// Another member.
pub const BEN: &str = "ben";
/// Somebody new.
pub const EVA: &str = "eva";
/// A message.
pub const MESSAGE: &str = "0199f301-7e5c-7cc2-a3f4-b0c1d2e3f405";
/// The key with which it was sent.
pub const KEY: &str = "b1946ac9-2f6c-4c1d-9a55-2f3b6f0f8a11";
/// A notification.
pub const NOTIFICATION: &str = "0199f2aa-1c40-7b3e-9d21-5a6b7c8d9e0f";
/// When the message was sent.
pub const TIME: i64 = 1_763_990_100_123;

const HOUR: i64 = 3_600_000;

/// A message of Ana's.
pub fn message() -> Message {
    Message {
        id: MESSAGE.into(),
        seq: 18,
        ordinal: 12,
        sender: ANA.into(),
        name: "Ana".into(),
        text: "Chapter three tonight?".into(),
        time: TIME,
        key: KEY.into(),
        ..Message::default()
    }
}

/// An older one of Ben's, with a picture.
pub fn picture() -> Message {
    Message {
        id: "0199f2ff-03a1-7d10-8e5b-6c7d8e9f0a1b".into(),
        seq: 16,
        ordinal: 11,
        sender: BEN.into(),
        name: "Ben".into(),
        r#type: MessageType::Image.into(),
        text: "The new bell".into(),
        data: r#"{"url":"https://files.example.org/bell.jpg","mediaType":"image/jpeg","width":1200,"height":800}"#
            .into(),
        time: TIME - HOUR,
        key: "0f8c1d52".into(),
        ..Message::default()
    }
}

/// The message when it was edited.
pub fn edited() -> Message {
    Message { text: "Chapter four tonight?".into(), edited_at: TIME + 60_000, ..message() }
}

/// The message when it was deleted: a tombstone.
pub fn deleted() -> Message {
    Message { text: String::new(), deleted_at: TIME + 120_000, ..message() }
}

/// Somebody new in the room.
pub fn member() -> Member {
    Member { user: EVA.into(), name: "Eva".into(), role: Role::Member.into(), active: true }
}

/// The room's owner.
pub fn owner() -> Member {
    Member { user: ANA.into(), name: "Ana".into(), role: Role::Owner.into(), active: true }
}

/// The room itself.
pub fn details() -> Details {
    Details {
        id: ROOM.into(),
        kind: RoomKind::Group.into(),
        name: "Book club".into(),
        created_at: TIME - 24 * HOUR,
        created_by: ANA.into(),
        members: 2,
        deleted_at: 0,
    }
}

/// The room of two.
pub fn direct() -> Details {
    Details {
        id: "0199f300-5d2e-7f00-b1c2-d3e4f5a6b7c8".into(),
        kind: RoomKind::Direct.into(),
        name: String::new(),
        ..details()
    }
}

/// The room as Ana sees it.
pub fn summary() -> RoomSummary {
    RoomSummary {
        details: Some(details()),
        role: Role::Owner.into(),
        unread: 1,
        read_seq: 15,
        last_message: Some(message()),
        cursor: "18-d2e3f405".into(),
        read_marks: vec![ReadMark { user: BEN.into(), seq: 17, ..ReadMark::default() }],
    }
}

/// Something that another system tells the user.
pub fn notification() -> Notification {
    Notification {
        id: NOTIFICATION.into(),
        r#type: "LIKE".into(),
        data: r#"{"post":7,"by":"ben"}"#.into(),
        time: TIME - 2 * HOUR,
        read_at: 0,
    }
}

/// What Ana is to the room.
pub fn membership() -> Membership {
    Membership { room: ROOM.into(), role: Role::Owner.into(), active: true, read_seq: 18, unread: 0 }
}

/// Ana's first screen.
pub fn snapshot() -> Snapshot {
    Snapshot {
        cursor: "9-77aa0410".into(),
        rooms: vec![summary()],
        notifications: vec![notification()],
        more: false,
    }
}

/// How far Ana has read, as she is told.
pub fn own_read_mark() -> ReadMark {
    ReadMark { user: ANA.into(), seq: 18, time: TIME + 5_000, unread: Some(0) }
}

/// How far Ben has read, as Ana is told.
pub fn read_mark() -> ReadMark {
    ReadMark { user: BEN.into(), seq: 18, time: TIME + 9_000, unread: None }
}

/// The message is stored.
pub fn sent() -> Sent {
    Sent { message: MESSAGE.into(), seq: 18, ordinal: 12, time: TIME, room: ROOM.into() }
}

/// The message is changed.
pub fn changed() -> Changed {
    Changed { message: MESSAGE.into(), seq: 20, time: TIME + 60_000, room: ROOM.into() }
}

/// Who is online.
pub fn presence() -> Presence {
    let status = |user: &str, status: &str, last_seen| UserPresence {
        user: user.into(),
        status: status.into(),
        last_seen,
    };
    Presence { users: vec![status(BEN, "online", TIME), status(EVA, "offline", TIME - HOUR)] }
}

/// A message that came, and a member who left, as changes.
pub fn changes() -> Vec<Change> {
    let gone = Member { active: false, ..member() };
    vec![
        Change { seq: 18, check: 3_538_154_501, thing: Some(Thing::Message(message())) },
        Change { seq: 19, check: 1_085_793_497, thing: Some(Thing::Member(gone)) },
    ]
}

/// A room joined after some time away.
pub fn joined() -> Joined {
    Joined {
        room: ROOM.into(),
        from: 17,
        to: 19,
        cursor: "19-40b7e2d9".into(),
        changes: changes(),
        more: false,
        reset: false,
    }
}

/// Ana's connection is authenticated.
pub fn ready() -> Ready {
    Ready {
        user: ANA.into(),
        name: "Ana".into(),
        connection: "0199f300aa107c4e8f1b2c3d4e5f6071".into(),
        expires_at: TIME + 24 * HOUR,
        from: 8,
        to: 9,
        cursor: "9-77aa0410".into(),
        changes: vec![Change {
            seq: 9,
            check: 2_007_630_864,
            thing: Some(Thing::Notification(notification())),
        }],
        more: false,
        reset: false,
    }
}
