//! Names of things. An id from outside becomes one of these types or an error,
//! so that nothing behind the edge has to check it again.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::node::{self, feed};

/// Position of a change in its feed: 1, 2, 3 ... without gaps; 0 is before the first.
pub type Seq = u64;

/// Longest id in bytes.
pub const MAX_ID_BYTES: usize = 64;

/// An id was empty, too long, or had a character outside `[A-Za-z0-9_.:@-]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an id is 1 to 64 characters out of A-Z, a-z, 0-9 and _ . : @ -")]
pub struct InvalidId;

fn check_id(id: &str) -> Result<(), InvalidId> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'@' | b'-');
    match id.len() {
        1..=MAX_ID_BYTES if id.bytes().all(allowed) => Ok(()),
        _ => Err(InvalidId),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `id` and takes it.
            pub fn new(id: &str) -> Result<Self, InvalidId> {
                check_id(id)?;
                Ok(Self(id.into()))
            }

            /// The id as it came.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(id: &str) -> Result<Self, InvalidId> {
                Self::new(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<&$name> for String {
            fn from(id: &$name) -> Self {
                id.0.as_ref().to_owned()
            }
        }
    };
}

id!(
    /// A room.
    RoomId
);
id!(
    /// A user, as the token names them.
    UserId
);
id!(
    /// A message.
    MessageId
);

/// A feed: the ordered changes of one room, or of one user.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum FeedId {
    /// Of a room.
    Room(RoomId),
    /// Of a user: their notifications and memberships.
    User(UserId),
}

impl FeedId {
    /// The room's id, if it is a room's feed.
    pub fn room(&self) -> Option<&RoomId> {
        match self {
            FeedId::Room(room) => Some(room),
            FeedId::User(_) => None,
        }
    }
}

impl From<&FeedId> for node::Feed {
    fn from(feed: &FeedId) -> Self {
        let of = match feed {
            FeedId::Room(room) => feed::Of::Room(room.into()),
            FeedId::User(user) => feed::Of::User(user.into()),
        };
        node::Feed { of: Some(of) }
    }
}

impl TryFrom<&node::Feed> for FeedId {
    type Error = InvalidId;

    fn try_from(feed: &node::Feed) -> Result<Self, InvalidId> {
        match &feed.of {
            Some(feed::Of::Room(room)) => RoomId::new(room).map(FeedId::Room),
            Some(feed::Of::User(user)) => UserId::new(user).map(FeedId::User),
            None => Err(InvalidId),
        }
    }
}

/// A place in a feed: the seq of a change, and the check value that tells this
/// change from another one with the same seq in a store that was set back to an
/// older state. Opaque to clients. Written as `<seq>-<check in hex>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Cursor {
    /// The last change seen.
    pub seq: Seq,
    /// Its check value.
    pub check: u32,
}

impl Cursor {
    /// Before the first change of any feed.
    pub const START: Cursor = Cursor { seq: 0, check: 0 };
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}", self.seq, self.check)
    }
}

/// A cursor that no server of ours has given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a cursor of this server")]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (seq, check) = text.split_once('-').ok_or(InvalidCursor)?;
        if check.len() != 8 || seq.starts_with('+') || check.starts_with('+') {
            return Err(InvalidCursor);
        }
        let seq: Seq = seq.parse().map_err(|_| InvalidCursor)?;
        // Stores count in signed 64 bits; nothing above can have been given out.
        if seq > i64::MAX as u64 {
            return Err(InvalidCursor);
        }
        let check = u32::from_str_radix(check, 16).map_err(|_| InvalidCursor)?;
        Ok(Cursor { seq, check })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_outside_the_alphabet_are_refused() {
        for bad in ["", " ", "a b", "a*", "a>", "a\r\n", "ä", "а", "a/b", "a\0"] {
            assert_eq!(RoomId::new(bad), Err(InvalidId), "{bad:?}");
        }
        assert!(UserId::new(&"a".repeat(64)).is_ok());
        assert!(UserId::new(&"a".repeat(65)).is_err());
        assert!(MessageId::new("conv_a.b:c@d-e").is_ok());
    }

    #[test]
    fn cursors_from_elsewhere_are_refused() {
        for bad in [
            "",
            "-",
            "1",
            "1-",
            "1-xyz",
            "1-123",
            "-1-00000000",
            "18446744073709551615-00000000",
            "1-000000000",
        ] {
            assert_eq!(bad.parse::<Cursor>(), Err(InvalidCursor), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn cursors_survive_their_text(seq in 0..=i64::MAX as u64, check: u32) {
            let cursor = Cursor { seq, check };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }
}
