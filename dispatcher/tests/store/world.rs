//! A small world for the cases, made through the port alone, the way commands
//! make it: each change takes the next seq of its feed, with a check value.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use dispatcher::store::{
    Appended, MemberRow, MessageRow, NewMessage, NotificationRow, RoomRow, Store, Transaction, UserRow,
};
use proto::node::FeedChanges;
use proto::v1::{self, Change, MessageType, Notification, Role, RoomKind, change::Thing};
use proto::{Cursor, FeedId, MessageId, RoomId, Seq, UserId};

/// A time in milliseconds: now, and later than any other answer.
pub fn now() -> i64 {
    static LAST: AtomicI64 = AtomicI64::new(0);
    let clock = std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_millis() as i64;
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(clock.max(last + 1)));
    clock.max(last.expect("always updated") + 1)
}

/// A check value that no other change has.
pub fn check() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    // Also above what fits 31 bits.
    LAST.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b1) | 0x8000_0000
}

/// A user's id.
pub fn user(id: &str) -> UserId {
    UserId::new(id).expect("a valid user id")
}

/// Users' ids.
pub fn users(ids: &[&str]) -> Vec<UserId> {
    ids.iter().map(|id| user(id)).collect()
}

/// A room's id.
pub fn room(id: &str) -> RoomId {
    RoomId::new(id).expect("a valid room id")
}

/// The feed of a room.
pub fn room_feed(id: &RoomId) -> FeedId {
    FeedId::Room(id.clone())
}

/// The feed of a user.
pub fn user_feed(id: &str) -> FeedId {
    FeedId::User(user(id))
}

/// Text to send, with a key of its own.
pub fn message(room: &RoomId, sender: &str, text: &str) -> NewMessage {
    let id = uuid::Uuid::now_v7().to_string();
    keyed(room, sender, &id, text)
}

/// Text to send with this key.
pub fn keyed(room: &RoomId, sender: &str, key: &str, text: &str) -> NewMessage {
    let mut digest = DefaultHasher::new();
    text.hash(&mut digest);
    NewMessage {
        room: room.clone(),
        id: MessageId::new(&uuid::Uuid::now_v7().to_string()).expect("a UUID is a valid id"),
        sender: user(sender),
        name: sender.to_uppercase(),
        key: key.to_owned(),
        r#type: MessageType::Text,
        text: text.to_owned(),
        data: String::new(),
        digest: digest.finish() as i64,
        time: now(),
    }
}

/// A message as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its id.
    pub id: MessageId,
    /// Its seq.
    pub seq: Seq,
    /// Its ordinal.
    pub ordinal: u64,
}

/// A store, and what commands would do with it.
#[derive(Clone)]
pub struct World(pub Arc<dyn Store>);

impl Deref for World {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl World {
    /// Begins a transaction.
    pub async fn transaction(&self) -> Box<dyn Transaction> {
        self.begin().await.expect("begin")
    }

    /// Makes a room of these members, the first its owner.
    pub async fn room(&self, id: &str, kind: RoomKind, members: &[&str]) -> RoomId {
        let id = room(id);
        let row = new_room(&id, kind, members.first().copied().unwrap_or("nobody"));
        let pair = match members {
            [a, b] if kind == RoomKind::Direct => Some((user(a), user(b))),
            _ => None,
        };
        let mut tx = self.transaction().await;
        let inserted = tx.insert_room(&row, pair.as_ref().map(|(a, b)| (a, b)), "").await.expect("insert");
        assert!(inserted, "{id} is taken");
        let mut row = tx.lock_room(&id).await.expect("lock").expect("just inserted");
        let first = row.head + 1;
        let mut checks = Vec::new();
        (row.changed, row.check) = raise_room(&mut row, &mut checks);
        put(&mut *tx, row, first, checks, members, |row, place| {
            if place == 0 {
                row.role = Role::Owner;
            }
        })
        .await;
        tx.commit().await.expect("commit");
        id
    }

    /// A group of these members.
    pub async fn group(&self, id: &str, members: &[&str]) -> RoomId {
        self.room(id, RoomKind::Group, members).await
    }

    /// Adds members, or takes them back. They have read what was said before.
    pub async fn add(&self, room: &RoomId, ids: &[&str]) {
        let mut tx = self.transaction().await;
        let row = tx.lock_room(room).await.expect("lock").expect("a room");
        let newest = tx.message_at(room, 0, &user(ids[0])).await.expect("read");
        let (seq, ordinal) = newest.map_or((0, 0), |(seq, ordinal, _)| (seq, ordinal));
        let first = row.head + 1;
        put(&mut *tx, row, first, Vec::new(), ids, |row, _| {
            row.active = true;
            (row.read_seq, row.read_ordinal, row.read_sent) = (seq, ordinal, row.sent);
        })
        .await;
        tx.commit().await.expect("commit");
    }

    /// Removes members. Answers with the room's head that the removal reaches.
    pub async fn remove(&self, room: &RoomId, ids: &[&str]) -> Seq {
        let mut tx = self.transaction().await;
        let row = tx.lock_room(room).await.expect("lock").expect("a room");
        let first = row.head + 1;
        let head = put(&mut *tx, row, first, Vec::new(), ids, |row, _| row.active = false).await;
        tx.commit().await.expect("commit");
        head
    }

    /// Changes the room itself.
    pub async fn change_room(&self, room: &RoomId, change: impl FnOnce(&mut RoomRow)) -> RoomRow {
        let mut tx = self.transaction().await;
        let mut row = tx.lock_room(room).await.expect("lock").expect("a room");
        let first = row.head + 1;
        let mut checks = Vec::new();
        change(&mut row);
        (row.changed, row.check) = raise_room(&mut row, &mut checks);
        tx.update_room(&row, first, &checks).await.expect("update");
        tx.commit().await.expect("commit");
        row
    }

    /// Sends a message, which is stored.
    pub async fn send(&self, room: &RoomId, sender: &str, text: &str) -> Stored {
        let new = message(room, sender, text);
        let answers = self.append(std::slice::from_ref(&new)).await.expect("append");
        match answers.as_slice() {
            [Appended::Stored { seq, ordinal }] => Stored { id: new.id, seq: *seq, ordinal: *ordinal },
            other => panic!("{sender} sends to {room}: {other:?}"),
        }
    }

    /// Sends messages one by one.
    pub async fn send_all(&self, room: &RoomId, sender: &str, texts: &[&str]) -> Vec<Stored> {
        let mut stored = Vec::new();
        for text in texts {
            stored.push(self.send(room, sender, text).await);
        }
        stored
    }

    /// Changes a message.
    pub async fn change_message(&self, id: &MessageId, change: impl FnOnce(&mut v1::Message)) -> MessageRow {
        let room = Store::message(&*self.0, id).await.expect("read").expect("a message").room;
        let mut tx = self.transaction().await;
        let mut row = tx.lock_room(&room).await.expect("lock").expect("a room");
        let mut message = tx.message(id).await.expect("read").expect("a message");
        let first = row.head + 1;
        let mut checks = Vec::new();
        (message.changed, message.check) = raise_room(&mut row, &mut checks);
        change(&mut message.message);
        tx.update_message(&message).await.expect("update");
        tx.update_room(&row, first, &checks).await.expect("update");
        tx.commit().await.expect("commit");
        message
    }

    /// Gives a message another text.
    pub async fn edit(&self, id: &MessageId, text: &str) -> MessageRow {
        self.change_message(id, |message| {
            message.text = text.to_owned();
            message.edited_at = now();
        })
        .await
    }

    /// Takes a message back.
    pub async fn delete(&self, id: &MessageId) -> MessageRow {
        self.change_message(id, |message| {
            message.text.clear();
            message.data.clear();
            message.deleted_at = now();
        })
        .await
    }

    /// Moves a read mark to the newest message at or before `seq`, 0: the newest.
    pub async fn read(&self, room: &RoomId, id: &str, seq: Seq) -> MemberRow {
        let id = [user(id)];
        let mut tx = self.transaction().await;
        let mut owner = tx.lock_users(&id).await.expect("lock").remove(0);
        let mut row = tx.members(room, &id).await.expect("read").remove(0);
        let mark = tx.message_at(room, seq, &id[0]).await.expect("read").expect("a message");
        (row.read_seq, row.read_ordinal, row.read_sent) = mark;
        let first = owner.head + 1;
        let mut checks = Vec::new();
        (row.user_changed, row.user_check) = raise_user(&mut owner, &mut checks);
        tx.put_members(std::slice::from_ref(&row)).await.expect("write");
        tx.update_user(&owner, first, &checks).await.expect("update");
        tx.commit().await.expect("commit");
        row
    }

    /// Puts a notification into a user's feed.
    pub async fn notify(&self, id: &str, notification: &str, key: &str) -> NotificationRow {
        let mut tx = self.transaction().await;
        let mut owner = tx.lock_users(&[user(id)]).await.expect("lock").remove(0);
        let first = owner.head + 1;
        let mut checks = Vec::new();
        let (changed, check) = raise_user(&mut owner, &mut checks);
        let row = NotificationRow {
            user: user(id),
            key: key.to_owned(),
            notification: Notification {
                id: notification.to_owned(),
                r#type: "LIKE".to_owned(),
                data: r#"{"post":"🔔 7"}"#.to_owned(),
                time: now(),
                read_at: 0,
            },
            changed,
            check,
        };
        tx.put_notifications(std::slice::from_ref(&row)).await.expect("write");
        tx.update_user(&owner, first, &checks).await.expect("update");
        tx.commit().await.expect("commit");
        row
    }

    /// Marks a notification as read.
    pub async fn read_notification(&self, id: &str, notification: &str) -> NotificationRow {
        let mut tx = self.transaction().await;
        let mut owner = tx.lock_users(&[user(id)]).await.expect("lock").remove(0);
        let mut row = tx.notification(&owner.id, notification).await.expect("read").expect("a notification");
        let first = owner.head + 1;
        let mut checks = Vec::new();
        row.notification.read_at = now();
        (row.changed, row.check) = raise_user(&mut owner, &mut checks);
        tx.put_notifications(std::slice::from_ref(&row)).await.expect("write");
        tx.update_user(&owner, first, &checks).await.expect("update");
        tx.commit().await.expect("commit");
        row
    }

    /// Refuses a user's tokens issued before this second.
    pub async fn revoke(&self, id: &str, before: i64) -> UserRow {
        let mut tx = self.transaction().await;
        let mut row = tx.lock_users(&[user(id)]).await.expect("lock").remove(0);
        let first = row.head + 1;
        let mut checks = Vec::new();
        let (seq, _) = raise_user(&mut row, &mut checks);
        (row.revoked_before, row.revocation_changed) = (before, seq);
        tx.update_user(&row, first, &checks).await.expect("update");
        tx.commit().await.expect("commit");
        row
    }

    /// Where a feed is now.
    pub async fn cursor(&self, feed: &FeedId) -> Cursor {
        let changes = self.since(feed, Cursor::START).await;
        Cursor { seq: changes.to, check: changes.check }
    }

    /// Everything that changed in a feed since `since`, in one answer.
    pub async fn since(&self, feed: &FeedId, since: Cursor) -> FeedChanges {
        let changes = self.changes(feed, since, 10_000).await.expect("changes");
        assert!(!changes.more);
        assert_eq!(changes.from, since.seq);
        changes
    }

    /// The messages of a room, oldest first.
    pub async fn messages(&self, room: &RoomId) -> Vec<v1::Message> {
        let (messages, more) = self.history(room, 0, 10_000).await.expect("history");
        assert!(!more);
        messages
    }
}

/// A room's row before its first change.
pub fn new_room(id: &RoomId, kind: RoomKind, creator: &str) -> RoomRow {
    RoomRow {
        id: id.clone(),
        kind,
        name: if kind == RoomKind::Direct { String::new() } else { format!("{id}'s name") },
        created_at: now(),
        created_by: user(creator),
        deleted_at: 0,
        members: 0,
        head: 0,
        head_check: 0,
        messages: 0,
        changed: 0,
        check: 0,
    }
}

/// Takes the next place of a room's feed.
pub fn raise_room(row: &mut RoomRow, checks: &mut Vec<u32>) -> (Seq, u32) {
    checks.push(check());
    row.head += 1;
    row.head_check = checks[checks.len() - 1];
    (row.head, row.head_check)
}

/// Takes the next place of a user's feed.
pub fn raise_user(row: &mut UserRow, checks: &mut Vec<u32>) -> (Seq, u32) {
    checks.push(check());
    row.head += 1;
    row.head_check = checks[checks.len() - 1];
    (row.head, row.head_check)
}

/// Changes members of a locked room, each a change of the room and of the
/// user, after the room's `checks` from `first` on. Answers with the new head.
async fn put(
    tx: &mut dyn Transaction,
    mut row: RoomRow,
    first: Seq,
    mut checks: Vec<u32>,
    ids: &[&str],
    change: impl Fn(&mut MemberRow, usize),
) -> Seq {
    let mut ids = users(ids);
    let creator = ids.first().cloned();
    ids.sort();
    let owners = tx.lock_users(&ids).await.expect("lock");
    let known = tx.members(&row.id, &ids).await.expect("read");
    let mut changed = Vec::new();
    let mut raised = Vec::new();
    for mut owner in owners {
        let before = known.iter().find(|member| member.user == owner.id);
        let mut member = before.cloned().unwrap_or_else(|| new_member(&row.id, &owner.id));
        let was_active = before.is_some_and(|member| member.active);
        change(&mut member, usize::from(creator.as_ref() != Some(&owner.id)));
        row.members = row.members + u32::from(member.active) - u32::from(was_active);
        (member.changed, member.check) = raise_room(&mut row, &mut checks);
        let first = owner.head + 1;
        let mut own = Vec::new();
        (member.user_changed, member.user_check) = raise_user(&mut owner, &mut own);
        raised.push((owner, first, own));
        changed.push(member);
    }
    tx.put_members(&changed).await.expect("write");
    tx.update_room(&row, first, &checks).await.expect("update");
    for (owner, first, own) in raised {
        tx.update_user(&owner, first, &own).await.expect("update");
    }
    row.head
}

/// A member's row on joining an empty room.
pub fn new_member(room: &RoomId, id: &UserId) -> MemberRow {
    MemberRow {
        room: room.clone(),
        user: id.clone(),
        name: String::new(),
        role: Role::Member,
        active: true,
        sent: 0,
        read_seq: 0,
        read_ordinal: 0,
        read_sent: 0,
        changed: 0,
        check: 0,
        user_changed: 0,
        user_check: 0,
    }
}

/// The seqs of changes.
pub fn seqs(changes: &[Change]) -> Vec<Seq> {
    changes.iter().map(|change| change.seq).collect()
}

/// The texts of messages.
pub fn texts(messages: &[v1::Message]) -> Vec<&str> {
    messages.iter().map(|message| message.text.as_str()).collect()
}

/// The message of a change.
pub fn changed_message(change: &Change) -> &v1::Message {
    match &change.thing {
        Some(Thing::Message(message)) => message,
        other => panic!("not a message: {other:?}"),
    }
}
