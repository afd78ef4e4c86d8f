//! What a subject is, alike for both brokers.

use thiserror::Error;

use crate::BusError;

/// Why something is no subject.
#[derive(Debug, Error)]
#[error("`{0}` is not a subject")]
struct NotASubject(String);

/// Checks a subject to publish on: tokens of visible characters, no wildcard.
pub(crate) fn check_subject(subject: &str) -> Result<(), BusError> {
    // One pass: every publish comes through here.
    let mut before = b'.';
    let fits = subject.bytes().all(|byte| {
        let fits =
            byte.is_ascii_graphic() && byte != b'*' && byte != b'>' && (byte != b'.' || before != b'.');
        before = byte;
        fits
    });
    if fits && before != b'.' {
        return Ok(());
    }
    Err(BusError::Refused { what: "broker", source: NotASubject(subject.to_owned()).into() })
}

/// Checks a subject to subscribe to, and says what stands before a last `.*`.
pub(crate) fn check_pattern(pattern: &str) -> Result<Option<&str>, BusError> {
    let stem = pattern.strip_suffix(".*");
    check_subject(stem.unwrap_or(pattern))?;
    Ok(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_token_may_be_a_wildcard() {
        for (pattern, stem) in
            [("a", None), ("a.b", None), ("a.b.*", Some("a.b")), ("a_-=:@1.*", Some("a_-=:@1"))]
        {
            assert_eq!(check_pattern(pattern).unwrap(), stem, "{pattern}");
        }
        for bad in [
            "", "*", ".*", ".", "a.", ".a", "a..b", "a.*.b", "a.*.*", "a*", "a.>", ">", "a b", "a\r\nb", "ä",
            "a\0",
        ] {
            assert!(check_pattern(bad).is_err(), "{bad}");
            assert!(check_subject(bad).is_err(), "{bad}");
        }
    }
}
