//! Each request as a method. An answer of another kind than the protocol says
//! fails the test at once.

use proto::v1::{self, client_frame::Request, server_frame::Body};

use super::Client;

/// Asks, and takes the one kind of answer that the protocol allows.
macro_rules! ask {
    ($client:expr, $request:expr => $answer:ident) => {
        match $client.request($request).await? {
            Body::$answer(answer) => Ok(answer),
            other => panic!(concat!("expected ", stringify!($answer), ", got {:?}"), other),
        }
    };
}

type Answer<T> = Result<T, v1::Error>;

impl Client {
    /// Shows a newer token of the same user.
    pub async fn renew(&self, token: &str) -> Answer<v1::Ready> {
        ask!(self, Request::Auth(v1::Auth { token: token.into(), since: String::new() }) => Ready)
    }

    /// Everything for a first screen.
    pub async fn snapshot(&self) -> Answer<v1::Snapshot> {
        ask!(self, Request::Snapshot(v1::SnapshotRequest { rooms: 0 }) => Snapshot)
    }

    /// Hears a room from now on.
    pub async fn join(&self, room: &str) -> Answer<v1::Joined> {
        self.join_since(room, "").await
    }

    /// Hears a room from a cursor on.
    pub async fn join_since(&self, room: &str, since: &str) -> Answer<v1::Joined> {
        ask!(self, Request::Join(v1::Join { room: room.into(), since: since.into() }) => Joined)
    }

    /// Stops hearing a room on this connection.
    pub async fn leave(&self, room: &str) -> Answer<v1::Done> {
        ask!(self, Request::Leave(v1::Leave { room: room.into() }) => Done)
    }

    /// Sends a text with a new key.
    pub async fn send(&self, room: &str, text: &str) -> Answer<v1::Sent> {
        self.send_with_key(room, &uuid::Uuid::new_v4().to_string(), text).await
    }

    /// Sends a text with this key.
    pub async fn send_with_key(&self, room: &str, key: &str, text: &str) -> Answer<v1::Sent> {
        let send = v1::Send { room: room.into(), key: key.into(), text: text.into(), ..Default::default() };
        self.send_message(send).await
    }

    /// Sends a message of any kind.
    pub async fn send_message(&self, send: v1::Send) -> Answer<v1::Sent> {
        ask!(self, Request::Send(send) => Sent)
    }

    /// Replaces a message's text.
    pub async fn edit(&self, room: &str, message: &str, text: &str) -> Answer<v1::Changed> {
        let edit = v1::Edit { room: room.into(), message: message.into(), text: text.into() };
        ask!(self, Request::Edit(edit) => Changed)
    }

    /// Replaces a message by a tombstone.
    pub async fn delete(&self, room: &str, message: &str) -> Answer<v1::Changed> {
        ask!(self, Request::Delete(v1::Delete { room: room.into(), message: message.into() }) => Changed)
    }

    /// A page of messages with a seq below `before`; 0: the newest.
    pub async fn history(&self, room: &str, before: u64, limit: u32) -> Answer<v1::History> {
        ask!(self, Request::History(v1::HistoryRequest { room: room.into(), before, limit }) => History)
    }

    /// Moves the own read mark; 0: everything is read.
    pub async fn read(&self, room: &str, seq: u64) -> Answer<v1::ReadMark> {
        ask!(self, Request::Read(v1::Read { room: room.into(), seq }) => ReadMark)
    }

    /// Shows that the user types, or has stopped.
    pub async fn typing(&self, room: &str, stopped: bool) -> Answer<v1::Done> {
        ask!(self, Request::Typing(v1::Typing { room: room.into(), stopped }) => Done)
    }

    /// Sends an application's own ephemeral event; `data` is JSON text.
    pub async fn signal(&self, room: &str, name: &str, data: &str) -> Answer<v1::Done> {
        let signal = v1::Signal { room: room.into(), name: name.into(), data: data.into() };
        ask!(self, Request::Signal(signal) => Done)
    }

    /// Who of a room is online, or what these users are.
    pub async fn presence(&self, room: &str, users: &[&str]) -> Answer<v1::Presence> {
        let users = users.iter().map(|user| (*user).to_owned()).collect();
        let presence = v1::PresenceRequest { room: room.into(), users, status: String::new() };
        ask!(self, Request::Presence(presence) => Presence)
    }

    /// Sets the own status.
    pub async fn set_status(&self, status: &str) -> Answer<v1::Presence> {
        let presence = v1::PresenceRequest { status: status.into(), ..Default::default() };
        ask!(self, Request::Presence(presence) => Presence)
    }

    /// Marks a notification as read; "": all.
    pub async fn read_notification(&self, notification: &str) -> Answer<v1::Done> {
        let read = v1::ReadNotification { notification: notification.into() };
        ask!(self, Request::ReadNotification(read) => Done)
    }

    /// Asks whether the connection lives.
    pub async fn ping(&self) -> Answer<v1::Pong> {
        ask!(self, Request::Ping(v1::Ping {}) => Pong)
    }
}
