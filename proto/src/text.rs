//! What text and JSON data from outside must be before anything stores them.

use thiserror::Error;

/// Longest message text in bytes of UTF-8.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;
/// Longest `data` of a message, signal or notification in bytes of JSON.
pub const MAX_DATA_BYTES: usize = 8 * 1024;
/// Deepest nesting of `data`.
pub const MAX_DATA_DEPTH: usize = 32;
/// Longest room or display name in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 256;
/// Longest idempotency key in bytes.
pub const MAX_KEY_BYTES: usize = 128;

/// Why a value was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidText {
    /// It may not be empty or only white space.
    #[error("may not be empty")]
    Empty,
    /// It is longer than allowed.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// It holds a character that cannot be stored or shown.
    #[error("holds a control character")]
    Control,
    /// It is not JSON, or not of the expected kind.
    #[error("is not valid JSON of the expected kind")]
    NotJson,
    /// It is nested deeper than allowed.
    #[error("is nested deeper than {MAX_DATA_DEPTH} levels")]
    TooDeep,
}

/// A message's text: anything but NUL, which PostgreSQL cannot store.
pub fn check_text(text: &str) -> Result<(), InvalidText> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(InvalidText::TooLong(MAX_TEXT_BYTES));
    }
    if text.contains('\0') {
        return Err(InvalidText::Control);
    }
    Ok(())
}

/// A room or display name: one line, not empty.
pub fn check_name(name: &str) -> Result<(), InvalidText> {
    if name.trim().is_empty() {
        return Err(InvalidText::Empty);
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(InvalidText::TooLong(MAX_NAME_BYTES));
    }
    if name.chars().any(char::is_control) {
        return Err(InvalidText::Control);
    }
    Ok(())
}

/// An idempotency key: 1 to 128 bytes without control characters.
pub fn check_key(key: &str) -> Result<(), InvalidText> {
    if key.is_empty() {
        return Err(InvalidText::Empty);
    }
    if key.len() > MAX_KEY_BYTES {
        return Err(InvalidText::TooLong(MAX_KEY_BYTES));
    }
    if key.chars().any(char::is_control) {
        return Err(InvalidText::Control);
    }
    Ok(())
}

/// JSON text of any kind: within size and depth, and without NUL.
pub fn check_data(json: &str) -> Result<(), InvalidText> {
    if json.len() > MAX_DATA_BYTES {
        return Err(InvalidText::TooLong(MAX_DATA_BYTES));
    }
    let mut depth = 0usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > MAX_DATA_DEPTH {
                    return Err(InvalidText::TooDeep);
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    // Numbers such as 1e999 and lone surrogates are found here.
    let value: serde_json::Value = serde_json::from_str(json).map_err(|_| InvalidText::NotJson)?;
    if holds_nul(&value) {
        return Err(InvalidText::Control);
    }
    Ok(())
}

fn holds_nul(value: &serde_json::Value) -> bool {
    use serde_json::Value;

    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(fields) => fields.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_checked() {
        let cases: [(&str, Result<(), InvalidText>); 7] = [
            (r#"{"url":"https://x/[[[[","n":[1,{"a":null}]}"#, Ok(())),
            ("", Err(InvalidText::NotJson)),
            ("{", Err(InvalidText::NotJson)),
            ("1e999", Err(InvalidText::NotJson)),
            (r#""\ud800""#, Err(InvalidText::NotJson)),
            (r#"{"a":"\u0000"}"#, Err(InvalidText::Control)),
            (&"[".repeat(33), Err(InvalidText::TooDeep)),
        ];
        for (json, expected) in cases {
            assert_eq!(check_data(json), expected, "{json}");
        }
    }

    #[test]
    fn names_are_one_visible_line() {
        assert_eq!(check_name("Book club 📚"), Ok(()));
        assert_eq!(check_name(" \t"), Err(InvalidText::Empty));
        assert_eq!(check_name("a\nb"), Err(InvalidText::Control));
    }
}
