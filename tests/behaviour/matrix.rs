//! P5, S9: what is somebody else's and what does not exist have one answer, for
//! every request and every route.

use proto::v1::{self, client_frame::Request};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::client::Client;
use testkit::rest::Rest;

use super::world::{Deployment, World};

/// The things that are asked for: somebody's, or nobody's.
#[derive(Clone)]
struct Things {
    room: String,
    message: String,
    notification: String,
    user: String,
}

impl Things {
    fn absent() -> Self {
        let id = || uuid::Uuid::now_v7().to_string();
        Self { room: id(), message: id(), notification: id(), user: id() }
    }

    /// Which of the things it was must not be told by what else it says.
    fn blind(&self, text: String) -> String {
        text.replace(&self.room, "ROOM")
            .replace(&self.message, "MESSAGE")
            .replace(&self.notification, "NOTIFICATION")
            .replace(&self.user, "USER")
    }

    /// Every request that names something, and what it is called.
    fn requests(&self, own_room: &str) -> Vec<(&'static str, Request)> {
        let Self { room, message, notification, user } = self.clone();
        let in_room = || room.clone();
        let edit = |room: &str| {
            Request::Edit(v1::Edit { room: room.into(), message: message.clone(), text: "mine".into() })
        };
        let delete = |room: &str| Request::Delete(v1::Delete { room: room.into(), message: message.clone() });
        let join = |since: &str| Request::Join(v1::Join { room: in_room(), since: since.into() });
        let presence = |room: &str, users: Vec<String>| {
            Request::Presence(v1::PresenceRequest { room: room.into(), users, status: String::new() })
        };
        let history = |before| Request::History(v1::HistoryRequest { room: in_room(), before, limit: 10 });
        let send = v1::Send { room: in_room(), key: "k".into(), text: "hi".into(), ..Default::default() };
        let signal = v1::Signal { room: in_room(), name: "wave".into(), data: "1".into() };
        vec![
            ("typing before a join", Request::Typing(v1::Typing { room: in_room(), stopped: false })),
            ("signal before a join", Request::Signal(signal)),
            ("join", join("")),
            ("join from the beginning", join("0-00000000")),
            ("join from a made-up cursor", join("3-deadbeef")),
            ("leave", Request::Leave(v1::Leave { room: in_room() })),
            ("send", Request::Send(send)),
            ("history", history(0)),
            ("older history", history(3)),
            ("read", Request::Read(v1::Read { room: in_room(), seq: 0 })),
            ("edit", edit(&room)),
            ("edit without a room", edit("")),
            ("edit in one's own room", edit(own_room)),
            ("delete", delete(&room)),
            ("delete without a room", delete("")),
            ("delete in one's own room", delete(own_room)),
            ("presence of a room", presence(&room, vec![])),
            ("presence of a user", presence("", vec![user])),
            ("readNotification", Request::ReadNotification(v1::ReadNotification { notification })),
        ]
    }

    /// Every route that names something.
    fn calls(&self, myself: &str) -> Vec<(Method, String, Option<Value>)> {
        let Self { room, message, notification, user } = self;
        let room_path = format!("/v1/rooms/{room}");
        let message_path = format!("/v1/messages/{message}");
        let text = || Some(json!({ "text": "mine" }));
        vec![
            (Method::GET, room_path.clone(), None),
            (Method::PATCH, room_path.clone(), Some(json!({ "name": "Mine" }))),
            (Method::DELETE, room_path.clone(), None),
            (Method::GET, format!("{room_path}/members"), None),
            (Method::GET, format!("{room_path}/members?after=a&limit=1"), None),
            (Method::POST, format!("{room_path}/members"), Some(json!({ "users": [myself] }))),
            (Method::POST, format!("{room_path}/members"), Some(json!({ "users": [user] }))),
            (Method::PATCH, format!("{room_path}/members/{user}"), Some(json!({ "role": "MEMBER" }))),
            (Method::PATCH, format!("{room_path}/members/{myself}"), Some(json!({ "role": "OWNER" }))),
            (Method::DELETE, format!("{room_path}/members/{user}"), None),
            (Method::GET, format!("{room_path}/messages"), None),
            (Method::GET, format!("{room_path}/messages?before=3&limit=1"), None),
            (Method::POST, format!("{room_path}/messages"), Some(json!({ "key": "k", "text": "hi" }))),
            (Method::POST, format!("{room_path}/read"), Some(json!({ "seq": 1 }))),
            (Method::GET, format!("{room_path}/search?q=secret"), None),
            (Method::GET, message_path.clone(), None),
            (Method::PATCH, message_path.clone(), text()),
            (Method::PUT, message_path.clone(), text()),
            (Method::DELETE, message_path, None),
            (Method::GET, format!("/v1/presence?room={room}"), None),
            (Method::GET, format!("/v1/presence?users={user}"), None),
            (Method::GET, format!("/v1/notifications?before={notification}"), None),
            (Method::POST, "/v1/notifications/read".into(), Some(json!({ "id": notification }))),
            (Method::POST, "/v1/notifications".into(), Some(json!({ "user": user, "type": "LIKE" }))),
            (Method::POST, format!("/v1/users/{user}/disconnect"), Some(json!({}))),
            (Method::POST, "/v1/rooms".into(), Some(json!({ "id": room, "name": "Mine" }))),
        ]
    }
}

/// Answers by request, without the ids that were asked for.
type Answers = Vec<(String, String)>;

async fn ask_all(client: &Client, things: &Things, own_room: &str) -> Answers {
    let mut answers = Vec::new();
    for (name, request) in things.requests(own_room) {
        let answer = match client.request(request).await {
            Ok(body) => format!("{body:?}"),
            Err(error) => format!("{}: {}, {}", error.code, error.message, error.retryable),
        };
        answers.push((name.to_owned(), things.blind(answer)));
    }
    answers
}

async fn call_all(rest: &Rest, things: &Things, myself: &str) -> Answers {
    let mut answers = Vec::new();
    for (method, path, body) in things.calls(myself) {
        let answer = rest.call(method.clone(), &path, body.as_ref()).await.expect("an answer");
        let call = things.blind(format!("{method} {path} {}", body.unwrap_or_default()));
        answers.push((call, things.blind(format!("{} {}", answer.status, answer.body))));
    }
    answers
}

struct Cast {
    things: Things,
    owner: String,
    stranger: String,
    former: String,
    member: String,
}

async fn cast(world: &World) -> Cast {
    let [owner, stranger, former, member] = world.names(["owner", "stranger", "former", "member"]);
    let room = world.group(&owner, &[&former, &member]).await;
    let message = world.client(0, &owner).await.send(&room, "a secret").await.expect("a send").message;
    let leave = format!("/v1/rooms/{room}/members/{former}");
    world.rest(0, &owner).delete(&leave).await.expect("an answer").ok().expect("removed");
    let notify = json!({ "user": owner, "type": "LIKE", "data": { "post": 7 } });
    let notification = world.service().post("/v1/notifications", notify).await.expect("an answer");
    let notification = notification.ok().expect("a notification")["id"].as_str().expect("an id").to_owned();
    let things = Things { room, message, notification, user: owner.clone() };
    Cast { things, owner, stranger, former, member }
}

pub async fn p5_absent_and_forbidden_have_one_answer(deployment: Deployment) {
    let world = deployment.shared().await;
    let Cast { things, owner, stranger, former, member } = cast(&world).await;
    for user in [&stranger, &former] {
        let own_room = world.group(user, &[]).await;
        let client = world.client(1, user).await;
        let theirs = ask_all(&client, &things, &own_room).await;
        let nobodys = ask_all(&client, &Things::absent(), &own_room).await;
        for (theirs, nobodys) in theirs.iter().zip(&nobodys) {
            assert_eq!(theirs, nobodys, "{user}");
        }
        let rest = world.rest(2, user);
        let theirs = call_all(&rest, &things, user).await;
        let nobodys = call_all(&rest, &Things::absent(), user).await;
        for (theirs, nobodys) in theirs.iter().zip(&nobodys) {
            assert_eq!(theirs, nobodys, "{user}");
        }
    }

    // Nothing has come of all that.
    let client = world.client(0, &owner).await;
    let history = client.history(&things.room, 0, 100).await.expect("history").messages;
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].text.as_str(), history[0].edited_at, history[0].deleted_at), ("a secret", 0, 0));
    let snapshot = client.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.notifications.len(), 1, "nobody else has read it");
    let details = snapshot.rooms[0].details.as_ref().expect("details");
    assert_eq!((details.members, details.name.as_str()), (2, "Ringers"));

    // For a member the same requests are good ones: they would not prove
    // anything above if they were refused for another reason.
    let own_room = world.group(&member, &[]).await;
    let client = world.client(1, &member).await;
    let answers = ask_all(&client, &things, &own_room).await;
    let about_room: Vec<_> = answers.iter().filter(|(name, _)| !name.contains("one's own")).collect();
    for (name, answer) in about_room {
        let other_things = ["readNotification"].contains(&name.as_str());
        let refused = answer.starts_with("not_member") || answer.starts_with("not_found");
        assert_eq!(refused, other_things, "{name}: {answer}");
    }
    for (call, answer) in call_all(&world.rest(2, &member), &things, &member).await {
        let about_room = call.contains("ROOM") && !call.starts_with("POST /v1/rooms ");
        let refused = answer.contains("\"not_member\"") || answer.contains("\"not_found\"");
        assert!(!about_room || !refused, "{call}: {answer}");
    }
}
