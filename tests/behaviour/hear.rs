//! Short words for what clients hear and are answered.

use futures_util::StreamExt;
use futures_util::stream;
use proto::v1::{self, ServerFrame, server_frame::Body};
use testkit::client::Client;
use testkit::eventually;

use super::world::LONG;

/// Waits for the delivery of a message with this text.
pub async fn message(client: &Client, text: &str) -> v1::Message {
    client
        .expect_event(text, |frame| match &frame.body {
            Some(Body::Message(message)) if message.text == text => Some(message.clone()),
            _ => None,
        })
        .await
        .expect("a message is delivered")
}

/// Waits for a change of a member in this room; its seq with it.
pub async fn member(client: &Client, room: &str, user: &str) -> (u64, v1::Member) {
    client
        .expect_event(&format!("member {user}"), |frame| match &frame.body {
            Some(Body::Member(member)) if frame.room == room && member.user == user => {
                Some((frame.seq, member.clone()))
            }
            _ => None,
        })
        .await
        .expect("a change of a member is delivered")
}

/// Waits for news about the user's own place in a room, on their own feed.
pub async fn membership(client: &Client, room: &str) -> v1::Membership {
    client
        .expect_event(&format!("membership in {room}"), |frame| match &frame.body {
            Some(Body::Membership(membership)) if membership.room == room => Some(membership.clone()),
            _ => None,
        })
        .await
        .expect("the own feed tells of the room")
}

/// Waits until the user's own feed has told them that they are out of a room,
/// whatever they heard before or after: feeds do not wait for each other.
pub async fn out(client: &Client, room: &str) {
    eventually(format!("to be out of {room}"), LONG, async || {
        let own = deliveries(client, "").into_iter().any(
            |frame| matches!(frame.body, Some(Body::Membership(own)) if own.room == room && !own.active),
        );
        own.then_some(())
    })
    .await;
}

/// Waits until everything that was on its way to the client has come.
pub async fn settled(client: &Client) {
    client.ping().await.expect("the connection lives");
}

/// Waits until the client has heard of this change of the room.
pub async fn up_to(client: &Client, room: &str, seq: u64) {
    eventually(format!("change {seq} of {room}"), LONG, async || {
        (reached(client, room) >= seq).then_some(())
    })
    .await;
}

/// Up to where the client has heard the room.
pub fn reached(client: &Client, room: &str) -> u64 {
    client.cursor(room).parse::<proto::Cursor>().map_or(0, |cursor| cursor.seq)
}

/// What came unasked so far and belongs to this room; "" is the own feed.
pub fn deliveries(client: &Client, room: &str) -> Vec<ServerFrame> {
    let transcript = client.transcript();
    transcript.events().filter(|frame| frame.room == room && frame.seq > 0).cloned().collect()
}

/// The code of a refusal; "ok" if there is none.
pub fn code<T>(answer: &Result<T, v1::Error>) -> &str {
    answer.as_ref().err().map_or("ok", |error| &error.code)
}

/// Sends numbered texts, eight on the way at a time.
pub async fn send_many(
    client: &Client,
    room: &str,
    texts: impl IntoIterator<Item = String>,
) -> Vec<v1::Sent> {
    let sends = stream::iter(texts).map(|text| async move { client.send(room, &text).await });
    sends.buffered(8).map(|sent| sent.expect("a send is answered")).collect().await
}

/// All messages of a room, oldest first.
pub async fn history(client: &Client, room: &str) -> Vec<v1::Message> {
    let mut messages: Vec<v1::Message> = Vec::new();
    loop {
        let before = messages.first().map_or(0, |message| message.seq);
        let page = client.history(room, before, 100).await.expect("a page of history");
        messages.splice(0..0, page.messages);
        if !page.more {
            return messages;
        }
    }
}
