//! Who is typing in a room. A sign that is not renewed stops by itself at every
//! gateway that showed it, so that it ends even where its sender's node has died.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use proto::v1::TypingNow;

/// Most signs kept at once in one room; more are not shown.
const MAX_SIGNS: usize = 100;

/// The signs shown now.
#[derive(Debug)]
pub struct Typing {
    signs: HashMap<String, (String, Instant)>,
    /// A sign that is not renewed stops by itself after this.
    expiry: Duration,
}

impl Typing {
    /// Nobody types.
    pub fn new(expiry: Duration) -> Self {
        Self { signs: HashMap::new(), expiry }
    }

    /// Takes a sign from the broker; gives back what is to be shown. A renewed
    /// sign shows nothing new.
    pub fn heard(&mut self, sign: TypingNow, now: Instant) -> Option<TypingNow> {
        if sign.stopped {
            self.signs.remove(&sign.user)?;
            return Some(sign);
        }
        if self.signs.len() >= MAX_SIGNS && !self.signs.contains_key(&sign.user) {
            return None;
        }
        let renewed = self.signs.insert(sign.user.clone(), (sign.name.clone(), now + self.expiry));
        renewed.is_none().then_some(sign)
    }

    /// A message of this user ends the sign without a word: the message says it.
    pub fn sent(&mut self, user: &str) {
        self.signs.remove(user);
    }

    /// The signs that have run out, as stops to be shown.
    pub fn expired(&mut self, now: Instant) -> Vec<TypingNow> {
        let mut stops = Vec::new();
        self.signs.retain(|user, (name, until)| {
            let keep = *until > now;
            if !keep {
                stops.push(TypingNow { user: user.clone(), name: name.clone(), stopped: true });
            }
            keep
        });
        stops
    }

    /// How long until the next one runs out.
    pub fn next_expiry(&self, now: Instant) -> Option<Duration> {
        self.signs.values().map(|(_, until)| until.saturating_duration_since(now)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(3);

    fn sign(stopped: bool) -> TypingNow {
        TypingNow { user: "ana".into(), name: "Ana".into(), stopped }
    }

    #[test]
    fn p6_renewals_are_merged_and_a_sign_stops_by_itself() {
        let mut typing = Typing::new(TIMEOUT);
        let start = Instant::now();
        assert!(typing.heard(sign(false), start).is_some());
        assert!(typing.heard(sign(false), start + TIMEOUT / 2).is_none());
        assert!(typing.expired(start + TIMEOUT).is_empty());
        assert_eq!(typing.next_expiry(start + TIMEOUT), Some(TIMEOUT / 2));
        assert_eq!(typing.expired(start + 2 * TIMEOUT), [sign(true)]);
        assert!(typing.heard(sign(true), start).is_none(), "stopped already");
        assert_eq!(typing.next_expiry(start), None);
    }
}
