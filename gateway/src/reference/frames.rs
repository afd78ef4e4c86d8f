//! The native protocol's frames, each with what it is for and with examples.
//! Both matches name every kind: a new one does not compile until it is said
//! here what it is.

use proto::v1::client_frame::Request;
use proto::v1::server_frame::Body;
use proto::v1::{
    Auth, ClientFrame, Delete, Done, Edit, History, HistoryRequest, Join, Leave, Member, MessageType, Ping,
    Pong, Presence, PresenceRequest, Read, ReadNotification, Send, ServerFrame, Signal, SignalNow,
    SnapshotRequest, Typing, TypingNow, UserPresence,
};
use proto::{ErrorCode, RoomId};

use super::examples as example;

/// What a request asks for.
pub struct Asks {
    /// In a few words.
    pub summary: &'static str,
    /// In some more.
    pub about: &'static str,
    /// The kinds of its answers, besides `error`.
    pub answers: &'static [&'static str],
}

/// What a request of this kind asks for.
pub fn request(kind: &Request) -> Asks {
    let (summary, answers, about): (_, &[&str], _) = match kind {
        Request::Auth(_) => (
            "Shows a token, or a newer one",
            &["ready"],
            "The first frame of a connection whose handshake carried no bearer token, within 10 seconds; again at \
             any time before the token expires. `since` is the cursor of the user's own feed.",
        ),
        Request::Snapshot(_) => (
            "Asks for everything for a first screen",
            &["snapshot"],
            "Rooms with their last messages, what is unread, read marks, unread notifications, and the cursors to \
             go on from, taken at one point in time.",
        ),
        Request::Join(_) => (
            "Starts hearing a room, or resumes it",
            &["joined"],
            "With `since`, the answer holds what changed since that cursor; without, the room starts now. What comes \
             after `to` of the answer follows as deliveries, without a gap and without a repeat. A public room makes \
             the user a member. An empty `room` is the user's own feed.",
        ),
        Request::Leave(_) => {
            ("Stops hearing a room on this connection", &["done"], "The user stays a member.")
        }
        Request::Send(_) => (
            "Sends a message",
            &["sent"],
            "The answer means: stored, durably. The same `key` of the same sender in the same room is stored once, \
             for ever, so that a send without an answer can be repeated. Sends of one connection to one room get \
             their seqs in the order in which they were sent.",
        ),
        Request::Edit(_) => (
            "Replaces the text of one's own message",
            &["changed"],
            "For 15 minutes after it was sent, unless the server is set otherwise. `room` may be left out.",
        ),
        Request::Delete(_) => (
            "Deletes a message",
            &["changed"],
            "One's own; those of others for moderators and above. A tombstone stays. `room` may be left out.",
        ),
        Request::History(_) => (
            "Asks for a page of older messages",
            &["history"],
            "Those with a `seq` below `before`, the newest of them, oldest first.",
        ),
        Request::Read(_) => (
            "Moves one's own read mark forward",
            &["readMark"],
            "Up to the message of this `seq`, or everything. The mark never moves back.",
        ),
        Request::Typing(_) => (
            "Shows that the user types",
            &["done"],
            "To the others in a joined room. The sign ends by itself after 3 seconds: repeat it every two while the \
             user types.",
        ),
        Request::Signal(_) => (
            "Sends an ephemeral event of the application's own",
            &["done"],
            "To the others in a joined room. The answer means: handed on. It may still be lost.",
        ),
        Request::Presence(_) => (
            "Asks who is online, sets one's own status",
            &["presence", "done"],
            "Named users, or the members of a room who are online; `done` where only a status was set.",
        ),
        Request::ReadNotification(_) => {
            ("Marks notifications as read", &["done"], "One, or all of them, on every device.")
        }
        Request::Ping(_) => (
            "Asks whether the connection lives",
            &["pong"],
            "For browsers, which do not show the pings of WebSocket to their pages.",
        ),
    };
    Asks { summary, about, answers }
}

/// What a frame of the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// An answer to a request, and nothing else.
    Answer,
    /// A change of a feed.
    Delivery,
    /// Published, never stored. Some are answers, too.
    Ephemeral,
}

/// What a frame of the server is for.
pub fn body(kind: &Body) -> (&'static str, Part) {
    match kind {
        Body::Ready(_) => ("The connection is authenticated", Part::Answer),
        Body::Snapshot(_) => ("Everything for a first screen", Part::Answer),
        Body::Joined(_) => ("The room is joined: what changed since the cursor", Part::Answer),
        Body::Sent(_) => ("The message is stored, durably", Part::Answer),
        Body::Changed(_) => ("The edit or deletion is stored", Part::Answer),
        Body::History(_) => ("A page of messages, oldest first", Part::Answer),
        Body::Done(_) => ("It was done", Part::Answer),
        Body::Pong(_) => ("The connection lives", Part::Answer),
        Body::Error(_) => ("A request was refused", Part::Answer),
        Body::Message(_) => ("A message in its newest state", Part::Delivery),
        Body::Member(_) => ("Somebody's membership of the room", Part::Delivery),
        Body::Details(_) => ("The room itself", Part::Delivery),
        Body::Notification(_) => ("A notification", Part::Delivery),
        Body::Membership(_) => ("What the user is to a room", Part::Delivery),
        Body::Typing(_) => ("Somebody types, or no more", Part::Ephemeral),
        Body::Signal(_) => ("An application's own event", Part::Ephemeral),
        Body::Presence(_) => ("Who is online", Part::Ephemeral),
        Body::ReadMark(_) => ("How far somebody has read", Part::Ephemeral),
    }
}

/// A frame, and what it shows.
pub type Example<F> = (&'static str, F);

/// Requests; of each kind the first is what is usual.
pub fn requests() -> Vec<Example<ClientFrame>> {
    let room = || example::ROOM.to_owned();
    let message = || example::MESSAGE.to_owned();
    let picture = example::picture();
    let requests = vec![
        (
            "The first frame of a connection",
            Request::Auth(Auth { token: "eyJhbGciOi...".into(), since: String::new() }),
        ),
        (
            "The same, going on where the user's own feed was left",
            Request::Auth(Auth { token: "eyJhbGciOi...".into(), since: "8-5be1c9d0".into() }),
        ),
        ("Up to a hundred rooms", Request::Snapshot(SnapshotRequest { rooms: 100 })),
        ("From a cursor on", Request::Join(Join { room: room(), since: "17-8d2f00c1".into() })),
        ("From now on", Request::Join(Join { room: room(), since: String::new() })),
        (
            "The next page of the user's own feed",
            Request::Join(Join { room: String::new(), since: "9-77aa0410".into() }),
        ),
        ("One room", Request::Leave(Leave { room: room() })),
        (
            "A text",
            Request::Send(Send {
                room: room(),
                key: example::KEY.into(),
                text: "Chapter three tonight?".into(),
                ..Send::default()
            }),
        ),
        (
            "A picture with a caption",
            Request::Send(Send {
                room: room(),
                key: picture.key,
                r#type: MessageType::Image.into(),
                text: picture.text,
                data: picture.data,
            }),
        ),
        (
            "Another text",
            Request::Edit(Edit { room: room(), message: message(), text: "Chapter four tonight?".into() }),
        ),
        ("One message", Request::Delete(Delete { room: room(), message: message() })),
        ("The newest", Request::History(HistoryRequest { room: room(), before: 0, limit: 50 })),
        ("Before a message", Request::History(HistoryRequest { room: room(), before: 16, limit: 50 })),
        ("Up to a message", Request::Read(Read { room: room(), seq: 18 })),
        ("Everything", Request::Read(Read { room: room(), seq: 0 })),
        ("Begins, or goes on", Request::Typing(Typing { room: room(), stopped: false })),
        ("Has stopped", Request::Typing(Typing { room: room(), stopped: true })),
        (
            "With data of its own",
            Request::Signal(Signal { room: room(), name: "wave".into(), data: r#"{"hand":"left"}"#.into() }),
        ),
        (
            "Named users",
            Request::Presence(PresenceRequest {
                users: vec![example::BEN.into(), example::EVA.into()],
                ..PresenceRequest::default()
            }),
        ),
        (
            "Those of a room who are online",
            Request::Presence(PresenceRequest { room: room(), ..PresenceRequest::default() }),
        ),
        (
            "One's own status",
            Request::Presence(PresenceRequest { status: "busy".into(), ..PresenceRequest::default() }),
        ),
        ("One", Request::ReadNotification(ReadNotification { notification: example::NOTIFICATION.into() })),
        ("All of them", Request::ReadNotification(ReadNotification::default())),
        ("A ping", Request::Ping(Ping {})),
    ];
    let frames = requests.into_iter().enumerate().map(|(number, (shows, request))| {
        // Signs of typing are not worth an answer.
        let id = if matches!(request, Request::Typing(_)) { 0 } else { number as u64 + 1 };
        (shows, ClientFrame { id, request: Some(request) })
    });
    frames.collect()
}

/// What the server sends; of each kind the first is what is usual.
pub fn bodies() -> Vec<Example<ServerFrame>> {
    let error = |code: ErrorCode, message: &str| Body::Error(code.with(message));
    let mut slowly = ErrorCode::RateLimited.with("too many frames; slow down");
    slowly.retry_after = 500;
    let answers = vec![
        ("With what changed since the cursor", Body::Ready(example::ready())),
        ("One room", Body::Snapshot(example::snapshot())),
        ("A message that came, a member who left", Body::Joined(example::joined())),
        ("The first answer, and every repeat's", Body::Sent(example::sent())),
        ("An edit", Body::Changed(example::changed())),
        (
            "Two messages",
            Body::History(History {
                room: example::ROOM.into(),
                messages: vec![example::picture(), example::message()],
                more: true,
            }),
        ),
        ("Nothing more to say", Body::Done(Done {})),
        ("With the server's time", Body::Pong(Pong { time: example::TIME })),
        ("For good", error(ErrorCode::NotMember, "no such room, or not a member of it")),
        ("With a pause to keep", Body::Error(slowly)),
        ("One's own read mark", Body::ReadMark(example::own_read_mark())),
        ("An answer", Body::Presence(example::presence())),
    ];
    let answers = answers
        .into_iter()
        .enumerate()
        .map(|(number, (shows, body))| (shows, ServerFrame::answer(number as u64 + 1, body)));
    let gone = Member { active: false, ..example::member() };
    let deliveries = [
        ("A new one", example::ROOM, 18, "18-d2e3f405", Body::Message(example::message())),
        ("It was edited", example::ROOM, 20, "20-19f0aa3c", Body::Message(example::edited())),
        ("It was deleted", example::ROOM, 21, "21-0c5d11ee", Body::Message(example::deleted())),
        ("Somebody new", example::ROOM, 24, "24-a1b2c3d4", Body::Member(example::member())),
        ("Somebody who left", example::ROOM, 25, "25-40b7e2d9", Body::Member(gone)),
        (
            "A new name, another number of members",
            example::ROOM,
            26,
            "26-0badf00d",
            Body::Details(example::details()),
        ),
        ("A new one", "", 10, "10-4c11db70", Body::Notification(example::notification())),
        ("Read on another device", "", 11, "11-99e01f2b", Body::Membership(example::membership())),
    ];
    let deliveries = deliveries.into_iter().map(|(shows, room, seq, cursor, body)| {
        (shows, ServerFrame { re: 0, room: room.into(), seq, cursor: cursor.into(), body: Some(body) })
    });
    let room = RoomId::new(example::ROOM).expect("the example's room has an id");
    let ben = |stopped| TypingNow { user: example::BEN.into(), name: "Ben".into(), stopped };
    let wave =
        SignalNow { user: example::BEN.into(), name: "wave".into(), data: r#"{"hand":"left"}"#.into() };
    let away = UserPresence { user: example::BEN.into(), status: "away".into(), last_seen: example::TIME };
    let ephemeral = vec![
        ("Begins", Body::Typing(ben(false))),
        ("Has stopped", Body::Typing(ben(true))),
        ("With data of its own", Body::Signal(wave)),
        ("A change in a joined room", Body::Presence(Presence { users: vec![away] })),
        ("Another member's", Body::ReadMark(example::read_mark())),
    ];
    let ephemeral = ephemeral.into_iter().map(|(shows, body)| (shows, ServerFrame::ephemeral(&room, body)));
    answers.chain(deliveries).chain(ephemeral).collect()
}
