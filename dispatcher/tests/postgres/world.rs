//! Databases and rooms for these tests.

use dispatcher::store::postgres::{self, PostgresStore};
use dispatcher::store::{Appended, MemberRow, NewMessage, RoomRow, Store};
use proto::v1::{MessageType, Role, RoomKind};
use proto::{MessageId, RoomId, Seq, UserId};
use testkit::servers::{PostgresServer, shared_postgres};

/// A migrated database on a server.
pub async fn database(server: &PostgresServer) -> String {
    let url = server.create_database().await.expect("a database");
    postgres::migrate(&url).await.expect("migrate");
    url
}

/// A migrated database on the server that the tests share.
pub async fn shared_database() -> String {
    database(shared_postgres().await.expect("a PostgreSQL server")).await
}

/// A store over a database.
pub async fn store(url: &str, pool_size: u32) -> PostgresStore {
    postgres::connect(url, pool_size).await.expect("connect")
}

/// The nth room.
pub fn room(n: usize) -> RoomId {
    RoomId::new(&format!("room-{n:031}")).expect("a valid id")
}

/// The nth user.
pub fn user(n: usize) -> UserId {
    UserId::new(&format!("user-{n}")).expect("a valid id")
}

/// A group with these users.
pub async fn group(store: &PostgresStore, id: &RoomId, users: impl Iterator<Item = UserId>) {
    let members: Vec<MemberRow> = users
        .zip(1u64..)
        .map(|(user, seq)| MemberRow {
            room: id.clone(),
            user,
            name: String::new(),
            role: Role::Member,
            active: true,
            sent: 0,
            read_seq: 0,
            read_ordinal: 0,
            read_sent: 0,
            changed: seq,
            check: 7,
            user_changed: 0,
            user_check: 0,
        })
        .collect();
    let mut row = RoomRow {
        id: id.clone(),
        kind: RoomKind::Group,
        name: "room".into(),
        created_at: 1,
        created_by: members[0].user.clone(),
        deleted_at: 0,
        members: members.len() as u32,
        head: 0,
        head_check: 0,
        messages: 0,
        changed: 0,
        check: 0,
    };
    let mut tx = store.begin().await.expect("begin");
    assert!(tx.insert_room(&row, None, "").await.expect("insert"));
    tx.put_members(&members).await.expect("put");
    (row.head, row.head_check) = (members.len() as Seq, 7);
    tx.update_room(&row, 1, &vec![7; members.len()]).await.expect("update");
    tx.commit().await.expect("commit");
}

/// A message with a key of its own.
pub fn message(room: &RoomId, sender: &UserId) -> NewMessage {
    let id = uuid::Uuid::now_v7().to_string();
    NewMessage {
        room: room.clone(),
        id: MessageId::new(&id).expect("a valid id"),
        sender: sender.clone(),
        name: "Somebody".into(),
        key: id,
        r#type: MessageType::Text,
        text: "The quick brown fox jumps over the lazy dog and says hello".into(),
        data: String::new(),
        digest: 1,
        time: 1_790_000_000_000,
    }
}

/// The seq of a message that was stored now.
pub fn seq(appended: &Appended) -> Option<Seq> {
    match appended {
        Appended::Stored { seq, .. } => Some(*seq),
        _ => None,
    }
}
