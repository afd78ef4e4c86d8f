//! Tokens as an application would issue them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Map, Value, json};

/// What a token says besides who its user is.
#[derive(Debug, Clone)]
pub struct TokenOptions {
    /// Issued when, in seconds since the Unix epoch; `None`: now.
    pub issued_at: Option<i64>,
    /// Valid for this long from now; `None`: for ever.
    pub lifetime: Option<Duration>,
    /// Ends exactly then, in place of `lifetime`; in seconds since the Unix epoch.
    pub expires_at: Option<i64>,
    /// For example "service".
    pub role: Option<String>,
    /// Further claims; they replace those of the same name.
    pub claims: Map<String, Value>,
}

impl Default for TokenOptions {
    fn default() -> Self {
        Self {
            issued_at: None,
            lifetime: Some(Duration::from_secs(3600)),
            expires_at: None,
            role: None,
            claims: Map::new(),
        }
    }
}

impl TokenOptions {
    /// A server-to-server token.
    pub fn service() -> Self {
        Self { role: Some("service".to_owned()), ..Self::default() }
    }
}

/// Seconds since the Unix epoch.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock stands after 1970");
    since.as_secs() as i64
}

/// A token of `user`, signed with HS256.
pub fn mint(secret: &str, user: &str, name: &str, options: &TokenOptions) -> String {
    let issued_at = options.issued_at.unwrap_or_else(now);
    let lifetime = options.lifetime.map(|lifetime| now() + lifetime.as_secs() as i64);
    let mut claims = Map::from_iter([("sub".to_owned(), json!(user)), ("iat".to_owned(), json!(issued_at))]);
    if !name.is_empty() {
        claims.insert("name".to_owned(), json!(name));
    }
    if let Some(expires_at) = options.expires_at.or(lifetime) {
        claims.insert("exp".to_owned(), json!(expires_at));
    }
    if let Some(role) = &options.role {
        claims.insert("role".to_owned(), json!(role));
    }
    claims.extend(options.claims.clone());
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key).expect("JSON values can be signed")
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode};

    use super::*;

    #[test]
    fn a_token_can_be_checked_with_its_secret_only() {
        let token = mint("secret", "ana", "Ana", &TokenOptions::service());
        let check = |secret: &str| {
            decode::<Value>(
                &token,
                &DecodingKey::from_secret(secret.as_bytes()),
                &Validation::new(Algorithm::HS256),
            )
        };
        let claims = check("secret").unwrap().claims;
        assert_eq!(
            (&claims["sub"], &claims["name"], &claims["role"]),
            (&json!("ana"), &json!("Ana"), &json!("service"))
        );
        assert!(check("guess").is_err());
        let expired = TokenOptions { expires_at: Some(now() - 3600), ..TokenOptions::default() };
        let token = mint("secret", "ana", "", &expired);
        let key = DecodingKey::from_secret(b"secret");
        assert!(decode::<Value>(&token, &key, &Validation::new(Algorithm::HS256)).is_err());
    }
}
