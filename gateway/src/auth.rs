//! Tokens: from a JWT to who it is.

use proto::UserId;
use proto::node::Actor;

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

/// Checks tokens against the configured keys.
pub struct Authenticator {}
