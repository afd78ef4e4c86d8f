//! P4: one send, however often it is repeated, is stored and shown once.

use futures_util::future::join_all;
use proto::v1::{self, MessageType, Sent};
use serde_json::json;
use testkit::client::Client;

use super::hear::{code, deliveries, history, message, settled, up_to};
use super::world::{Deployment, World};

/// What a repeat must be answered with, too.
fn identity(sent: &Sent) -> (&str, u64, u64, i64) {
    (&sent.message, sent.seq, sent.ordinal, sent.time)
}

async fn assert_repeats(client: &Client, room: &str, key: &str, text: &str, first: &Sent) {
    let again = client.send_with_key(room, key, text).await.expect("a repeat is answered");
    assert_eq!(identity(&again), identity(first), "key {key}");
}

pub async fn p4_a_repeated_send_is_one_message_with_one_answer(deployment: Deployment) {
    let world = deployment.shared().await;
    let [ana, ben] = world.names(["ana", "ben"]);
    let room = world.group(&ana, &[&ben]).await;
    let (here, there) = (world.member(0, &ana, &room).await, world.client(1, &ana).await);
    let listener = world.member(2, &ben, &room).await;

    // Again on the same connection, on another gateway, by REST with the key in
    // the body and in the header's place.
    let first = here.send_with_key(&room, "again", "one").await.expect("a send");
    assert_repeats(&here, &room, "again", "one", &first).await;
    assert_repeats(&there, &room, "again", "one", &first).await;
    let path = format!("/v1/rooms/{room}/messages");
    let body = json!({ "key": "again", "text": "one" });
    let answer = world.rest(1, &ana).post(&path, body).await.expect("an answer").ok().expect("a success");
    assert_eq!((&answer["message"], &answer["seq"]), (&json!(first.message), &json!(first.seq)));

    // While the first is on its way, on two gateways at once.
    let pairs = join_all((0..50).map(|number| {
        let (here, there, room) = (&here, &there, &room);
        async move {
            let (key, text) = (format!("twice {number}"), format!("two {number}"));
            let (one, other) =
                tokio::join!(here.send_with_key(room, &key, &text), there.send_with_key(room, &key, &text));
            (one.expect("a send"), other.expect("a send"))
        }
    }))
    .await;
    for (one, other) in &pairs {
        assert_eq!(identity(one), identity(other));
    }

    // Long after, when the message is not what was sent any more.
    here.edit(&room, &first.message, "one, edited").await.expect("an edit");
    assert_repeats(&there, &room, "again", "one", &first).await;
    let edited = here.send_with_key(&room, "again", "one, edited").await;
    assert_eq!(code(&edited), "key_conflict", "the edited text was never sent");
    let deleted = here.delete(&room, &first.message).await.expect("a deletion");
    assert_repeats(&here, &room, "again", "one", &first).await;

    let stored = history(&there, &room).await;
    assert_eq!(stored.len(), 51);
    assert_eq!(stored.iter().filter(|message| message.key == "again").count(), 1);
    up_to(&listener, &room, deleted.seq).await;
    settled(&listener).await;
    // The 51 messages, one edit, one deletion.
    assert_eq!(deliveries(&listener, &room).len(), 53);
}

pub async fn p4_a_key_is_of_one_sender_in_one_room_and_of_one_content(deployment: Deployment) {
    let world = deployment.shared().await;
    let [ana, ben] = world.names(["ana", "ben"]);
    let (room, other) = (world.group(&ana, &[&ben]).await, world.group(&ana, &[&ben]).await);
    let client = world.member(0, &ana, &room).await;
    let theirs = world.member(1, &ben, &room).await;
    let first = client.send_with_key(&room, "key", "mine").await.expect("a send");

    let data = r#"{"url":"https://files.example.org/a"}"#.to_owned();
    let send = |r#type: MessageType, text: &str, data: &str| v1::Send {
        room: room.clone(),
        key: "key".into(),
        r#type: r#type.into(),
        text: text.into(),
        data: data.into(),
    };
    for conflicting in [
        send(MessageType::Text, "other", ""),
        send(MessageType::Text, "mine", &data),
        send(MessageType::Image, "mine", &data),
    ] {
        let refused = client.send_message(conflicting.clone()).await;
        assert_eq!(code(&refused), "key_conflict", "{conflicting:?}");
    }
    let path = format!("/v1/rooms/{room}/messages");
    let answer = world.rest(1, &ana).post(&path, json!({ "key": "key", "text": "other" })).await;
    let answer = answer.expect("an answer");
    assert_eq!((answer.status, answer.code()), (409, "key_conflict"));

    let second = theirs.send_with_key(&room, "key", "theirs").await.expect("another user's key");
    let third = client.send_with_key(&other, "key", "mine").await.expect("another room's key");
    assert_ne!(second.message, first.message);
    assert_ne!(third.message, first.message);
    message(&client, "theirs").await;
    let stored: Vec<_> = history(&client, &room).await.into_iter().map(|message| message.text).collect();
    assert_eq!(stored, ["mine", "theirs"]);
}

/// A restart forgets nothing: of a dispatcher, or of the one process.
pub async fn p1_p4_a_key_outlives_restarts(deployment: Deployment) {
    let world = deployment.own(&[]).await;
    let [ana, ben] = world.names(["ana", "ben"]);
    let room = world.group(&ana, &[&ben]).await;
    let texts: Vec<String> = (0..20).map(|number| format!("text {number}")).collect();
    let client = world.client(0, &ana).await;
    let send = async |client: &Client, text: &String| client.send_with_key(&room, text, text).await;
    let first = join_all(texts.iter().map(|text| send(&client, text))).await;
    let first: Vec<Sent> = first.into_iter().map(|sent| sent.expect("a send")).collect();

    restart_authority(&world).await;
    let client = world.client(1, &ana).await;
    let again = join_all(texts.iter().map(|text| send(&client, text))).await;
    for (first, again) in first.iter().zip(&again) {
        assert_eq!(identity(again.as_ref().expect("a repeat is answered")), identity(first));
    }
    assert_eq!(code(&client.send_with_key(&room, "text 0", "other").await), "key_conflict");
    assert_eq!(history(&client, &room).await.len(), texts.len());
}

/// Kills and restarts every process that decides.
async fn restart_authority(world: &World) {
    let system = world.system();
    let deciding = if system.is_cluster() { system.dispatchers() } else { system.gateways() };
    for node in deciding {
        node.kill().expect("it dies");
        node.start().await.expect("it starts again");
    }
}
