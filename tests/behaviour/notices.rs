//! Notifications: shown at once on all devices, kept, resumed, read everywhere.

use proto::Encoding;
use proto::v1::{self, change::Thing, server_frame::Body};
use serde_json::{Value, json};
use testkit::client::{Client, ConnectOptions};

use super::hear::code;
use super::world::{Deployment, World};

async fn notify(world: &World, user: &str, r#type: &str, data: Value) -> v1::Notification {
    let body = json!({ "user": user, "type": r#type, "data": data });
    let answer = world.service().post("/v1/notifications", body).await.expect("an answer");
    serde_json::from_value(answer.ok().expect("a notification")).expect("its shape")
}

/// The next notification on the own feed.
async fn heard(client: &Client) -> v1::Notification {
    client
        .expect_event("a notification", |frame| match &frame.body {
            Some(Body::Notification(notification)) => {
                assert!(frame.room.is_empty() && frame.seq > 0, "{frame:?}");
                Some(notification.clone())
            }
            _ => None,
        })
        .await
        .expect("a notification is delivered")
}

pub async fn notifications_come_at_once_wait_for_the_absent_and_are_read_everywhere(deployment: Deployment) {
    let world = deployment.shared().await;
    let [ana, ben] = world.names(["ana", "ben"]);
    let (phone, laptop) = (world.client(0, &ana).await, world.client_of(1, &ana, Encoding::Protobuf).await);
    let other = world.client(2, &ben).await;
    let like = notify(&world, &ana, "LIKE", json!({ "post": 7, "by": ["ben"] })).await;
    for device in [&phone, &laptop] {
        let shown = heard(device).await;
        assert_eq!(shown, like);
        assert_eq!((shown.r#type.as_str(), shown.read_at), ("LIKE", 0));
        assert_eq!(
            serde_json::from_str::<Value>(&shown.data).expect("JSON"),
            json!({ "post": 7, "by": ["ben"] })
        );
    }

    // The laptop is away for the next two.
    let since = laptop.cursor("");
    laptop.close().await;
    let comment = notify(&world, &ana, "COMMENT", json!("nice")).await;
    let rsvp = notify(&world, &ana, "EVENT_RSVP", json!({})).await;
    assert_eq!([heard(&phone).await, heard(&phone).await], [comment.clone(), rsvp.clone()]);
    let options = ConnectOptions { since, ..ConnectOptions::new(Encoding::Protobuf) };
    let laptop = world.connect(2, &ana, options).await.expect("it is back");
    let missed: Vec<_> = laptop
        .ready()
        .changes
        .iter()
        .filter_map(|change| match &change.thing {
            Some(Thing::Notification(notification)) => Some(notification.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(missed, [comment.clone(), rsvp.clone()]);
    let snapshot = phone.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.notifications, [rsvp.clone(), comment.clone(), like.clone()], "newest first");

    // Read on one device, so on all.
    phone.read_notification(&comment.id).await.expect("read");
    for device in [&phone, &laptop] {
        let shown = heard(device).await;
        assert_eq!(shown.id, comment.id);
        assert!(shown.read_at > 0);
    }
    phone.read_notification(&comment.id).await.expect("read again");
    let rest = world.rest(2, &ana);
    let list = async |query: &str| {
        let answer = rest.get(&format!("/v1/notifications{query}")).await.expect("an answer");
        answer.ok().expect("a list")
    };
    let unread = list("?unread=true").await;
    assert_eq!(ids(&unread), [&*rsvp.id, &*like.id]);
    assert_eq!(unread["unread"], json!(2));
    assert_eq!(ids(&list("").await), [&*rsvp.id, &*comment.id, &*like.id]);
    let page = list("?limit=1").await;
    assert_eq!((ids(&page), &page["more"]), (vec![&*rsvp.id], &json!(true)));
    assert_eq!(ids(&list(&format!("?before={}", rsvp.id)).await), [&*comment.id, &*like.id]);

    // The rest at once. Nobody else has heard a word.
    rest.post("/v1/notifications/read", json!({})).await.expect("an answer").ok().expect("read");
    let mut read = vec![heard(&laptop).await.id, heard(&laptop).await.id];
    read.sort();
    let mut expected = vec![like.id, rsvp.id];
    expected.sort();
    assert_eq!(read, expected);
    assert_eq!(list("?unread=true").await["notifications"], json!([]));
    assert_eq!(laptop.snapshot().await.expect("a snapshot").notifications, []);
    other.ping().await.expect("a pong");
    let heard_by_other = other.transcript();
    assert!(heard_by_other.events().all(|frame| !matches!(frame.body, Some(Body::Notification(_)))));
    assert_eq!(code(&other.read_notification("").await), "ok");
}

fn ids(list: &Value) -> Vec<&str> {
    let notifications = list["notifications"].as_array().expect("a list");
    notifications.iter().map(|notification| notification["id"].as_str().expect("an id")).collect()
}

pub async fn p4_p5_notifications_are_of_servers_with_keys(deployment: Deployment) {
    let world = deployment.shared().await;
    let [ana, ben] = world.names(["ana", "ben"]);
    let client = world.client(0, &ana).await;
    let service = world.service();
    let body = json!({ "user": ana, "type": "LIKE", "data": { "post": 1 }, "key": "once" });
    let post = async |body: &Value| service.post("/v1/notifications", body.clone()).await.expect("an answer");
    let first = post(&body).await.ok().expect("a notification");
    let again = post(&body).await.ok().expect("the same");
    assert_eq!(first["id"], again["id"]);
    let other = post(&json!({ "user": ana, "type": "LIKE", "data": { "post": 2 }, "key": "once" })).await;
    assert_eq!((other.status, other.code()), (409, "key_conflict"));
    let theirs = post(&json!({ "user": ben, "type": "LIKE", "data": { "post": 1 }, "key": "once" })).await;
    assert_ne!(theirs.ok().expect("another user's")["id"], first["id"]);
    assert_eq!(heard(&client).await.id, first["id"]);

    for user in [&ana, &ben] {
        let refused = world.rest(1, user).post("/v1/notifications", body.clone()).await.expect("an answer");
        assert_eq!((refused.status, refused.code()), (403, "forbidden"));
    }
    for (bad, code) in [
        (json!({ "user": "a*", "type": "LIKE" }), "invalid"),
        (json!({ "user": ana, "type": "" }), "invalid"),
        (json!({ "user": ana, "type": "LIKE", "data": "x".repeat(9000) }), "too_large"),
        (json!({ "user": ana, "type": "LIKE", "data": "a\0b" }), "invalid"),
        (json!({ "type": "LIKE" }), "malformed"),
    ] {
        assert_eq!(post(&bad).await.code(), code, "{bad:.60}");
    }
    let snapshot = client.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.notifications.len(), 1);
}
