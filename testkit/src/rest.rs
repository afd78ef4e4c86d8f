//! A small client of the REST interface.

use std::sync::Once;

use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};

/// Speaks as one user, or as the service, to one gateway.
#[derive(Clone)]
pub struct Rest {
    base: String,
    token: String,
    http: reqwest::Client,
}

/// An answer with any status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body: JSON, or a string where it is none; null where it is empty.
    pub body: Value,
}

impl Answer {
    /// The body of a success; an error shows the problem.
    pub fn ok(self) -> anyhow::Result<Value> {
        ensure!((200..300).contains(&self.status), "status {}: {}", self.status, self.body);
        Ok(self.body)
    }

    /// The `code` of a problem document.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

impl Rest {
    /// Calls `base` (`http://host:port`) with this token; without one if it is empty.
    pub fn new(base: impl Into<String>, token: impl Into<String>) -> Self {
        static PROVIDER: Once = Once::new();
        // Fails only if the test has installed one itself.
        PROVIDER.call_once(|| drop(rustls::crypto::aws_lc_rs::default_provider().install_default()));
        Self { base: base.into(), token: token.into(), http: reqwest::Client::new() }
    }

    /// Whom it calls.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Any call.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.with_context(|| format!("{method} {path}"))?;
        let status = response.status().as_u16();
        let text = response.text().await.with_context(|| format!("{method} {path}"))?;
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        };
        Ok(Answer { status, body })
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.call(Method::GET, path, None).await
    }

    /// `POST`.
    pub async fn post(&self, path: &str, body: Value) -> anyhow::Result<Answer> {
        self.call(Method::POST, path, Some(&body)).await
    }

    /// `PATCH`.
    pub async fn patch(&self, path: &str, body: Value) -> anyhow::Result<Answer> {
        self.call(Method::PATCH, path, Some(&body)).await
    }

    /// `PUT`.
    pub async fn put(&self, path: &str, body: Value) -> anyhow::Result<Answer> {
        self.call(Method::PUT, path, Some(&body)).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        self.call(Method::DELETE, path, None).await
    }

    /// Creates a group with these members besides the caller, and answers with its id.
    pub async fn create_group(&self, name: &str, members: &[&str]) -> anyhow::Result<String> {
        self.create_room(json!({ "kind": "group", "name": name, "members": members })).await
    }

    /// Opens the direct room with another user, and answers with its id.
    pub async fn create_direct(&self, user: &str) -> anyhow::Result<String> {
        self.create_room(json!({ "kind": "direct", "user": user })).await
    }

    /// Creates any room, and answers with its id.
    pub async fn create_room(&self, room: Value) -> anyhow::Result<String> {
        let room = self.post("/v1/rooms", room).await?.ok().context("create a room")?;
        Ok(room["id"].as_str().context("the room has no id")?.to_owned())
    }
}
