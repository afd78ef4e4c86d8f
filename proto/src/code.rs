//! The one table of error and close codes. docs/protocol.md shows it to users;
//! a test compares the two.

use std::fmt;

use crate::v1;

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal, $status:literal, $retryable:literal;)*) => {
        /// Why a request was refused: stable names for programs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[doc = $doc])* $variant,)*
        }

        impl ErrorCode {
            /// Every code, for documentation and tests.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$variant),*];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(ErrorCode::$variant => $name,)* }
            }

            /// The HTTP status that goes with it.
            pub const fn status(self) -> u16 {
                match self { $(ErrorCode::$variant => $status,)* }
            }

            /// Whether the same request may work later.
            pub const fn retryable(self) -> bool {
                match self { $(ErrorCode::$variant => $retryable,)* }
            }

            /// What it means, for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(ErrorCode::$variant => concat!($($doc),*).trim_ascii(),)* }
            }
        }
    };
}

error_codes! {
    /// The frame or body is not what the schema says.
    Malformed = "malformed", 400, false;
    /// A field's value is not allowed: empty, too long, out of range.
    Invalid = "invalid", 422, false;
    /// The first frame must authenticate.
    Unauthenticated = "unauthenticated", 401, false;
    /// The token is not valid, or not any more.
    TokenRefused = "token_refused", 401, false;
    /// The token's time is over.
    TokenExpired = "token_expired", 401, false;
    /// Not for this kind of token or role.
    Forbidden = "forbidden", 403, false;
    /// No such room, or not a member of it: the same answer for both.
    NotMember = "not_member", 403, false;
    /// No such thing, or not for this user: the same answer for both.
    NotFound = "not_found", 404, false;
    /// The path does not take this method.
    MethodNotAllowed = "method_not_allowed", 405, false;
    /// The same key was used with other content.
    KeyConflict = "key_conflict", 409, false;
    /// The state of the thing does not allow it.
    Conflict = "conflict", 409, false;
    /// The time in which a message may be edited is over.
    EditExpired = "edit_expired", 409, false;
    /// Join the room first.
    NotJoined = "not_joined", 409, false;
    /// The frame, body, text or list is larger than allowed.
    TooLarge = "too_large", 413, false;
    /// More requests than the limit.
    RateLimited = "rate_limited", 429, true;
    /// Something that is needed does not answer. What was asked may still have
    /// happened: ask again with the same key.
    Unavailable = "unavailable", 503, true;
    /// The time for an answer ran out. What was asked may still happen: ask
    /// again with the same key.
    Timeout = "timeout", 504, true;
    /// A fault of the server's own; its log says more.
    Internal = "internal", 500, true;
}

impl ErrorCode {
    /// The code of this wire name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }

    /// An error of this code, as it goes to the client.
    pub fn with(self, message: impl Into<String>) -> v1::Error {
        v1::Error {
            code: self.name().to_owned(),
            message: message.into(),
            retryable: self.retryable(),
            retry_after: 0,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! close_codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $number:literal, $name:literal, $resume:literal;)*) => {
        /// Why the server closed a WebSocket (RFC 6455, section 7.4).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum CloseCode {
            $($(#[doc = $doc])* $variant,)*
        }

        impl CloseCode {
            /// Every code, for documentation and tests.
            pub const ALL: &[CloseCode] = &[$(CloseCode::$variant),*];

            /// The number on the wire.
            pub const fn number(self) -> u16 {
                match self { $(CloseCode::$variant => $number,)* }
            }

            /// The reason on the wire, also the label in metrics.
            pub const fn name(self) -> &'static str {
                match self { $(CloseCode::$variant => $name,)* }
            }

            /// Whether the client should come back and resume; else it stops
            /// until its user or its program does something about it.
            pub const fn resume(self) -> bool {
                match self { $(CloseCode::$variant => $resume,)* }
            }

            /// What it means, for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(CloseCode::$variant => concat!($($doc),*).trim_ascii(),)* }
            }
        }
    };
}

close_codes! {
    /// The client said goodbye.
    Normal = 1000, "normal", false;
    /// The bytes are not WebSocket.
    ProtocolError = 1002, "protocol_error", false;
    /// A text frame is not UTF-8.
    NotUtf8 = 1007, "not_utf8", false;
    /// A frame is larger than allowed.
    TooLarge = 1009, "too_large", false;
    /// A fault of the server's own.
    Internal = 1011, "internal", true;
    /// A frame is not what the schema says, again and again.
    Malformed = 4400, "malformed", false;
    /// No token came in time.
    AuthTimeout = 4401, "auth_timeout", false;
    /// The token was refused.
    TokenRefused = 4402, "token_refused", false;
    /// The token's time is over; come back with a new one.
    TokenExpired = 4403, "token_expired", false;
    /// The user's tokens were revoked.
    Revoked = 4404, "revoked", false;
    /// More frames than the limit.
    RateLimited = 4429, "rate_limited", false;
    /// The client reads slower than its rooms speak.
    SlowReader = 4501, "slow_reader", true;
    /// The client has gone silent.
    Silent = 4502, "silent", true;
    /// The server lost track of a feed, or the store was set back.
    Resync = 4503, "resync", true;
    /// The node goes away; the reason says after how many milliseconds to return.
    Drain = 4504, "drain", true;
    /// Authentication could not be finished because a part does not answer.
    Unavailable = 4505, "unavailable", true;
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_and_numbers_are_unique() {
        let names: HashSet<_> = ErrorCode::ALL.iter().map(|c| c.name()).collect();
        assert_eq!(names.len(), ErrorCode::ALL.len());
        let numbers: HashSet<_> = CloseCode::ALL.iter().map(|c| c.number()).collect();
        assert_eq!(numbers.len(), CloseCode::ALL.len());
    }

    #[test]
    fn every_code_says_what_it_means() {
        assert_eq!(ErrorCode::NotJoined.meaning(), "Join the room first.");
        let two_lines = "Something that is needed does not answer. What was asked may still have happened: ask again with the same key.";
        assert_eq!(ErrorCode::Unavailable.meaning(), two_lines);
        let meanings = ErrorCode::ALL.iter().map(|code| code.meaning());
        for meaning in meanings.chain(CloseCode::ALL.iter().map(|code| code.meaning())) {
            assert!(meaning.ends_with('.') && !meaning.contains("  "), "{meaning:?}");
        }
    }

    #[test]
    fn a_code_is_found_by_its_name() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_name(code.name()), Some(*code));
        }
        assert_eq!(ErrorCode::from_name("nonsense"), None);
    }
}
