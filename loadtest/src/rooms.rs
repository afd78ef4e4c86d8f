//! Makes users and their rooms, through the public interface.

use anyhow::{Context as _, ensure};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

/// A room to talk in, and who is in it.
pub struct Room {
    /// Its id.
    pub id: String,
    /// User ids; the first ones send.
    pub members: Vec<String>,
}

/// A token for a user.
pub fn token(secret: &str, user: &str, service: bool) -> anyhow::Result<String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let mut claims = json!({ "sub": user, "name": user, "iat": now, "exp": now + 24 * 3600 });
    if service {
        claims["role"] = json!("service");
    }
    Ok(jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes()))?)
}

/// Creates this many rooms of new users.
pub async fn create(plan: &crate::plan::Plan) -> anyhow::Result<Vec<Room>> {
    let http = reqwest::Client::new();
    let run = std::process::id();
    let mut rooms = Vec::with_capacity(plan.rooms);
    for number in 0..plan.rooms {
        let members: Vec<_> =
            (0..plan.members).map(|member| format!("load-{run}-{number}-{member}")).collect();
        let body = if plan.direct {
            json!({ "kind": "direct", "user": members[1] })
        } else {
            json!({ "kind": "group", "name": format!("Load {number}"), "members": members[1..] })
        };
        let target = &plan.targets[number % plan.targets.len()];
        let answer = http
            .post(format!("{target}/v1/rooms"))
            .bearer_auth(token(&plan.secret, &members[0], false)?)
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .with_context(|| format!("creating a room at {target}"))?;
        let (status, body) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "creating a room: {status}: {body}");
        let room: proto::v1::Details = serde_json::from_str(&body).context("the created room")?;
        rooms.push(Room { id: room.id, members });
    }
    Ok(rooms)
}

/// The texts of a room's messages in the store, in order.
pub async fn stored(plan: &crate::plan::Plan, room: &Room) -> anyhow::Result<Vec<String>> {
    let http = reqwest::Client::new();
    let token = token(&plan.secret, &room.members[0], false)?;
    let mut texts = Vec::new();
    let mut before = 0;
    loop {
        let url = format!("{}/v1/rooms/{}/messages?limit=100&before={before}", plan.targets[0], room.id);
        let body = http.get(url).bearer_auth(&token).send().await?.error_for_status()?.text().await?;
        let page: proto::v1::History = serde_json::from_str(&body).context("a page of history")?;
        before = page.messages.first().map_or(0, |message| message.seq);
        texts.extend(page.messages.into_iter().rev().map(|message| message.text));
        if !page.more {
            texts.reverse();
            return Ok(texts);
        }
    }
}
