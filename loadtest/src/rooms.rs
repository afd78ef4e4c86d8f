//! Makes users and their rooms, and asks for what is stored, through the
//! public REST interface.

use std::hash::{BuildHasher as _, RandomState};

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
pub fn token(plan: &Plan, user: &str) -> anyhow::Result<String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let mut claims = json!({ "sub": user, "name": user, "iat": now, "exp": now + 24 * 3600 });
    for (name, value) in [("iss", &plan.issuer), ("aud", &plan.audience)] {
        if let Some(value) = value {
            claims[name] = json!(value);
        }
    }
    let key = EncodingKey::from_secret(plan.secret.as_bytes());
    Ok(jsonwebtoken::encode(&Header::default(), &claims, &key)?)
}

/// What this run's users' ids begin with: other than in any other run, of this
/// process or another.
pub fn prefix(plan: &Plan) -> String {
    let run = RandomState::new().hash_one(std::process::id()) & 0xff_ffff_ffff;
    format!("{}-{run:010x}", plan.user_prefix)
}

/// Creates rooms of so many new users.
pub async fn create(plan: &Plan, sizes: &[usize], direct: bool) -> anyhow::Result<Vec<Room>> {
    let http = reqwest::Client::new();
    let prefix = prefix(plan);
    let mut rooms = Vec::with_capacity(sizes.len());
    for (number, size) in sizes.iter().enumerate() {
        let members: Vec<_> = (0..*size).map(|member| format!("{prefix}-{number}-{member}")).collect();
        rooms.push(create_one(plan, &http, number, members, direct).await?);
    }
    Ok(rooms)
}

/// Creates the room of this number; its first member does it.
pub async fn create_one(
    plan: &Plan,
    http: &reqwest::Client,
    number: usize,
    members: Vec<String>,
    direct: bool,
) -> anyhow::Result<Room> {
    let body = if direct {
        json!({ "kind": "direct", "user": members[1] })
    } else {
        json!({ "kind": "group", "name": format!("Load {number}"), "members": members[1..] })
    };
    let target = &plan.targets[number % plan.targets.len()];
    let body = post(http, &format!("{target}/v1/rooms"), &token(plan, &members[0])?, &body)
        .await
        .with_context(|| format!("creating a room at {target}"))?;
    let room: proto::v1::Details = serde_json::from_str(&body).context("the created room")?;
    Ok(Room { id: room.id, members })
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
    let token = token(plan, &room.members[0])?;
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
