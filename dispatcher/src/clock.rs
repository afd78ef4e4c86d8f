//! The two sources of what cannot be computed: time and chance.

use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

/// A random number: the check value of a change, the jitter of a wait.
pub(crate) fn random() -> u32 {
    // The low bits of a version 4 UUID are all random.
    Uuid::new_v4().as_u128() as u32
}

/// A new id, rising with time; its last eight digits are random.
pub(crate) fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// FNV-1a: the same on every machine and in every release, as places in a queue
/// and digests in the store need it. Not against an adversary.
pub(crate) fn stable_hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for part in parts {
        // The length first, so that moving a byte to the next part changes the hash.
        (part.len() as u64).to_le_bytes().into_iter().for_each(&mut add);
        part.iter().copied().for_each(&mut add);
    }
    hash
}

/// Which of `places` queues serves this key.
pub(crate) fn place(key: &str, places: usize) -> usize {
    (stable_hash([key.as_bytes()]) % places.max(1) as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_stay_what_they_were() {
        // Stored digests depend on it: this value may never change.
        assert_eq!(stable_hash([b"TEXT".as_slice(), b"hi", b""]), 0x2dd1_e929_bc01_9613);
        assert_ne!(stable_hash([b"ab".as_slice(), b"c"]), stable_hash([b"a".as_slice(), b"bc"]));
    }

    #[test]
    fn ids_rise_and_end_in_random_digits() {
        let (a, b) = (new_id(), new_id());
        assert!(a < b);
        assert_ne!(a[28..], b[28..]);
        assert_eq!(a.len(), 36);
    }
}
