//! Makes users and their rooms, and asks for what is stored, through the
//! public REST interface.

use anyhow::{Context as _, ensure};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use crate::plan::Plan;

/// A room to talk in, and who is in it.
pub struct Room {
    /// Its id.
    pub id: String,
    /// User ids; the first ones send.
    pub members: Vec<String>,
}

/// A token for a user.
pub fn token(secret: &str, user: &str) -> anyhow::Result<String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let claims = json!({ "sub": user, "name": user, "iat": now, "exp": now + 24 * 3600 });
    Ok(jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes()))?)
}

/// Creates rooms of so many new users.
pub async fn create(plan: &Plan, sizes: &[usize], direct: bool) -> anyhow::Result<Vec<Room>> {
    let http = reqwest::Client::new();
    let run = std::process::id();
    let mut rooms = Vec::with_capacity(sizes.len());
    for (number, size) in sizes.iter().enumerate() {
        let members: Vec<_> = (0..*size).map(|member| format!("load-{run}-{number}-{member}")).collect();
        let body = if direct {
            json!({ "kind": "direct", "user": members[1] })
        } else {
            json!({ "kind": "group", "name": format!("Load {number}"), "members": members[1..] })
        };
        let target = &plan.targets[number % plan.targets.len()];
        let body = post(&http, &format!("{target}/v1/rooms"), &token(&plan.secret, &members[0])?, &body)
            .await
            .with_context(|| format!("creating a room at {target}"))?;
        let room: proto::v1::Details = serde_json::from_str(&body).context("the created room")?;
        rooms.push(Room { id: room.id, members });
    }
    Ok(rooms)
}

/// Posts a JSON body in a user's name; the answer's body.
pub async fn post(
    http: &reqwest::Client,
    url: &str,
    token: &str,
    body: &serde_json::Value,
) -> anyhow::Result<String> {
    let request = http.post(url).bearer_auth(token).header("content-type", "application/json");
    let answer = request.body(body.to_string()).send().await?;
    let (status, body) = (answer.status(), answer.text().await?);
    ensure!(status.is_success(), "{status}: {body}");
    Ok(body)
}

/// The texts of a room's messages in the store, in order.
pub async fn stored(plan: &Plan, room: &Room) -> anyhow::Result<Vec<String>> {
    let http = reqwest::Client::new();
    let token = token(&plan.secret, &room.members[0])?;
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
