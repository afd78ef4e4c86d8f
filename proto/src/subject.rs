//! Where the broker carries things. Ids are encoded before they become part of
//! a subject, so that none can add a token or a wildcard to it.

use crate::ids::{FeedId, RoomId, UserId};

/// The heads of feeds that changed lately, announced to every gateway.
pub const HEADS: &str = "carillon.heads";

/// Encodes an id as one subject token: letters, digits, `_` and `-` stay,
/// every other byte becomes `=` and two hexadecimal digits.
pub fn token(id: &str) -> String {
    use std::fmt::Write;

    let mut token = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => token.push(byte as char),
            _ => write!(token, "={byte:02x}").expect("writing to a String"),
        }
    }
    token
}

/// Changes of a room or of a user.
pub fn feed(feed: &FeedId) -> String {
    match feed {
        FeedId::Room(room) => format!("carillon.room.{}.feed", token(room.as_str())),
        FeedId::User(user) => format!("carillon.user.{}.feed", token(user.as_str())),
    }
}

/// Ephemeral events of a room.
pub fn now(room: &RoomId) -> String {
    format!("carillon.room.{}.now", token(room.as_str()))
}

/// Everything of a room or user: its feed and what is ephemeral.
pub fn all(feed: &FeedId) -> String {
    match feed {
        FeedId::Room(room) => format!("carillon.room.{}.*", token(room.as_str())),
        FeedId::User(user) => user_all(user),
    }
}

/// What other gateways have for this one.
pub fn gateway(id: &str) -> String {
    format!("carillon.gateway.{}", token(id))
}

fn user_all(user: &UserId) -> String {
    format!("carillon.user.{}.*", token(user.as_str()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// S8: whatever the id, a subject has exactly the expected tokens.
        #[test]
        fn a_subject_has_exactly_the_expected_tokens(id in ".*") {
            let token = token(&id);
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-=".contains(&b)));
        }

        #[test]
        fn a_subject_of_a_room_has_four_tokens(id in "[A-Za-z0-9_.:@-]{1,64}") {
            let room = RoomId::new(&id).unwrap();
            for subject in [feed(&FeedId::Room(room.clone())), now(&room)] {
                let tokens: Vec<_> = subject.split('.').collect();
                prop_assert_eq!(tokens.len(), 4);
                prop_assert!(tokens.iter().all(|t| !t.is_empty() && !t.contains(['*', '>', ' '])));
            }
        }

        #[test]
        fn a_subject_of_a_gateway_has_three_tokens(id in ".+") {
            let subject = gateway(&id);
            let tokens: Vec<_> = subject.split('.').collect();
            prop_assert_eq!(tokens.len(), 3);
            prop_assert!(tokens.iter().all(|t| !t.is_empty() && !t.contains(['*', '>', ' '])));
        }

        #[test]
        fn different_ids_have_different_tokens(a in "[A-Za-z0-9_.:@-]{1,64}", b in "[A-Za-z0-9_.:@-]{1,64}") {
            prop_assert_eq!(a == b, token(&a) == token(&b));
        }
    }
}
