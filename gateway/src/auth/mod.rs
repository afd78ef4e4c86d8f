//! Tokens: from a JWT to who it is.
//!
//! What a token says of itself is never believed before its signature is
//! checked, and its header decides nothing: the algorithms are those of the
//! configured key, `kid` only picks one out of a set that we fetched, and
//! `jku`, `jwk`, `x5u` and `x5c` are not looked at.

mod claims;
mod jwks;
mod keys;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation};
use proto::node::Actor;
use proto::{ErrorCode, UserId};
use thiserror::Error;

use claims::Claims;
use jwks::{Jwks, Times};
use keys::Key;

pub use keys::{InvalidKeys, Keys};

/// Longest token looked at.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// How far clocks may be apart, if nothing else is set.
const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);

/// Who a token says that its bearer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `sub`, else `userId`, else `id`.
    pub user: UserId,
    /// `name`, else `username`, else the user id.
    pub name: String,
    /// `"role": "service"`: a server of the application.
    pub service: bool,
    /// `iat`, seconds since the Unix epoch.
    pub issued_at: Option<i64>,
    /// `exp`, seconds since the Unix epoch.
    pub expires_at: Option<i64>,
}

impl Identity {
    /// As it goes to the dispatcher.
    pub fn actor(&self) -> Actor {
        Actor { user: (&self.user).into(), name: self.name.clone(), service: self.service }
    }
}

/// Why a token does not say who its bearer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AuthError {
    /// It is not valid; says what about it, never its content.
    #[error("the token is refused: {0}")]
    Refused(&'static str),
    /// It was valid.
    #[error("the token has expired")]
    Expired,
    /// The keys cannot be fetched now, so nobody knows.
    #[error("the keys to check tokens with cannot be fetched")]
    Unavailable,
}

impl AuthError {
    /// The error code to answer with.
    pub fn code(self) -> ErrorCode {
        match self {
            AuthError::Refused(_) => ErrorCode::TokenRefused,
            AuthError::Expired => ErrorCode::TokenExpired,
            AuthError::Unavailable => ErrorCode::Unavailable,
        }
    }
}

/// Checks tokens against the configured keys.
pub struct Authenticator {
    keys: Source,
    validation: Validation,
    leeway: Duration,
}

enum Source {
    Fixed(Key),
    Fetched(Jwks),
}

impl Authenticator {
    /// Checks tokens with these keys. With [`Keys::Jwks`] it must be called
    /// inside a Tokio runtime: it begins to fetch them.
    pub fn new(keys: Keys) -> Result<Self, InvalidKeys> {
        Self::with_times(keys, Times::default())
    }

    fn with_times(keys: Keys, times: Times) -> Result<Self, InvalidKeys> {
        // Fails if the process has one already, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let keys = match keys {
            Keys::Jwks { url } => Source::Fetched(Jwks::new(&url, times)?),
            Keys::Hs256(secret) => Source::Fixed(Key::from_secret(&secret)?),
            Keys::PublicKey(pem) => Source::Fixed(Key::from_pem(&pem)?),
        };
        // The algorithms are set for each key, the times are looked at here.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Ok(Self { keys, validation, leeway: DEFAULT_LEEWAY })
    }

    /// Accepts only tokens with this `iss`.
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.validation.set_issuer(&[issuer]);
        self.validation.required_spec_claims.insert("iss".to_owned());
        self
    }

    /// Accepts only tokens whose `aud` is or holds this.
    pub fn audience(mut self, audience: &str) -> Self {
        self.validation.validate_aud = true;
        self.validation.set_audience(&[audience]);
        self.validation.required_spec_claims.insert("aud".to_owned());
        self
    }

    /// Forgives clocks that are apart by this much; 30 seconds by default. A
    /// token's end is forgiven for 5 seconds at most.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Says who bears this token.
    pub async fn identify(&self, token: &str) -> Result<Identity, AuthError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::Refused("too long"));
        }
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| AuthError::Refused("not a JWT of a known algorithm"))?;
        // Names extensions that must be understood, and none is.
        if header.crit.is_some() {
            return Err(AuthError::Refused("crit"));
        }
        match &self.keys {
            Source::Fixed(key) => self.verify(token, key, header.alg),
            Source::Fetched(keys) => {
                let key = keys.find(header.kid.as_deref(), header.alg).await?;
                self.verify(token, &key, header.alg)
            }
        }
    }

    fn verify(&self, token: &str, key: &Key, algorithm: Algorithm) -> Result<Identity, AuthError> {
        if !key.algorithms.contains(&algorithm) {
            return Err(AuthError::Refused("algorithm"));
        }
        let mut validation = self.validation.clone();
        validation.algorithms = vec![algorithm];
        let claims = jsonwebtoken::decode::<Claims>(token, &key.key, &validation)
            .map_err(|error| {
                AuthError::Refused(match error.kind() {
                    ErrorKind::InvalidSignature => "signature",
                    ErrorKind::InvalidIssuer => "iss",
                    ErrorKind::InvalidAudience => "aud",
                    ErrorKind::MissingRequiredClaim(_) => "iss or aud is missing",
                    _ => "malformed",
                })
            })?
            .claims;
        // A clock before 1970 leaves tokens valid rather than the server mute.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        claims.check_times(now.as_secs(), self.leeway)?;
        claims.identity()
    }
}

#[cfg(test)]
mod tests;
