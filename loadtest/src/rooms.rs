//! Makes users and their rooms, and asks for what is stored, through the
//! public REST interface.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jsonwebtoken::{EncodingKey, Header};
use reqwest::StatusCode;
use serde_json::json;

use crate::plan::Plan;

/// Rooms created at once: each waits for a flush, and one flush serves many.
pub const CREATE_AT_ONCE: usize = 16;

/// How often a server may say that it is busy before there is a room, and how
/// long it is left alone.
const ATTEMPTS: usize = 10;
const PAUSE: Duration = Duration::from_secs(1);

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
    format!("{}-{}", plan.user_prefix, run())
}

/// A name for a run that no other has.
pub fn run() -> String {
    format!("{:010x}", RandomState::new().hash_one(std::process::id()) & 0xff_ffff_ffff)
}

/// The users of a room; the first ones send.
pub fn members(prefix: &str, room: usize, size: usize) -> Vec<String> {
    (0..size).map(|member| format!("{prefix}-{room}-{member}")).collect()
}

/// Creates rooms of so many new users, in this order.
pub async fn create(plan: &Plan, sizes: &[usize], direct: bool) -> anyhow::Result<Vec<Room>> {
    create_as(plan, &prefix(plan), sizes, direct).await
}

/// Creates rooms of so many users whose ids begin like this, in this order.
pub async fn create_as(
    plan: &Plan,
    prefix: &str,
    sizes: &[usize],
    direct: bool,
) -> anyhow::Result<Vec<Room>> {
    let http = &reqwest::Client::new();
    stream::iter(sizes.iter().enumerate())
        .map(|(number, size)| async move {
            create_one(plan, http, number, members(prefix, number, *size), direct).await
        })
        .buffered(CREATE_AT_ONCE)
        .try_collect()
        .await
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
    let mut attempt = 0;
    loop {
        let request = http.post(url).bearer_auth(token).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await?;
        let (status, body) = (answer.status(), answer.text().await?);
        if status.is_success() {
            return Ok(body);
        }
        // It says itself that it is busy.
        ensure!(status == StatusCode::SERVICE_UNAVAILABLE && attempt < ATTEMPTS, "{status}: {body}");
        tokio::time::sleep(PAUSE).await;
        attempt += 1;
    }
}

/// The texts of a room's messages in the store, in order.
pub async fn stored(http: &reqwest::Client, plan: &Plan, room: &Room) -> anyhow::Result<Vec<String>> {
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
