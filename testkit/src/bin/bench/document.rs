//! Puts tables into a page, between the comments that name them. Text in, tables
//! in, text out: everything else stays as it is, byte for byte.
//!
//! ```text
//! <!-- bench:pairs -->
//! | whatever stood here | is replaced |
//! <!-- /bench -->
//! ```

use std::collections::BTreeMap;

use thiserror::Error;

const OPEN: &str = "<!-- bench:";
const CLOSE: &str = "<!-- /bench -->";

/// What is wrong with the page.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Mistake {
    /// A marker names a table that there never is.
    #[error("line {0}: there is no table {1:?}")]
    Unknown(usize, String),
    /// A table was measured, and the page has no place for it.
    #[error("there is no place for the table {0:?}: {OPEN}{0} -->")]
    Missing(String),
    /// Two places for one table.
    #[error("line {0}: the table {1:?} has a place already")]
    Twice(usize, String),
    /// A place without an end.
    #[error("line {0}: the place of {1:?} has no end: {CLOSE}")]
    Open(usize, String),
    /// An end without a place.
    #[error("line {0}: this ends no place of a table")]
    Stray(usize),
    /// It begins like a marker and is none.
    #[error("line {0}: a marker is {OPEN}NAME --> and nothing else in its line")]
    Malformed(usize),
}

/// Rewrites the places of these tables. `known` are all names that there may be;
/// places whose table is not given keep what they have.
pub fn rewrite(text: &str, tables: &BTreeMap<String, String>, known: &[&str]) -> Result<String, Mistake> {
    let mut out = String::with_capacity(text.len());
    let mut seen: Vec<String> = Vec::new();
    // The place that is open: since which line, and whether it is replaced.
    let mut open: Option<(usize, String, bool)> = None;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let number = number + 1;
        let words = line.trim();
        if words == CLOSE {
            let (_, _, _) = open.take().ok_or(Mistake::Stray(number))?;
            out.push_str(line);
        } else if words.starts_with(OPEN) {
            if let Some((since, name, _)) = open {
                return Err(Mistake::Open(since, name));
            }
            let name = name_in(words).ok_or(Mistake::Malformed(number))?.to_owned();
            if !known.contains(&&*name) {
                return Err(Mistake::Unknown(number, name));
            }
            if seen.contains(&name) {
                return Err(Mistake::Twice(number, name));
            }
            out.push_str(line);
            let table = tables.get(&name);
            if let Some(table) = table {
                out.push('\n');
                out.push_str(table.trim_end());
                out.push_str("\n\n");
            }
            seen.push(name.clone());
            open = Some((number, name, table.is_some()));
        } else if !matches!(open, Some((.., true))) {
            out.push_str(line);
        }
    }
    if let Some((since, name, _)) = open {
        return Err(Mistake::Open(since, name));
    }
    match tables.keys().find(|name| !seen.contains(name)) {
        Some(name) => Err(Mistake::Missing(name.clone())),
        None => Ok(out),
    }
}

fn name_in(marker: &str) -> Option<&str> {
    let name = marker.strip_prefix(OPEN)?.strip_suffix("-->")?.trim();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (!name.is_empty() && name.chars().all(plain)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Page\n\n<!-- bench:a -->\nold\n<!-- /bench -->\n\nwords\n\n<!-- bench:b -->\nkept\n<!-- /bench -->\n";

    fn tables(names: &[&str]) -> BTreeMap<String, String> {
        names.iter().map(|name| ((*name).to_owned(), format!("| {name} |\n"))).collect()
    }

    #[test]
    fn a_table_replaces_what_stood_in_its_place_and_nothing_else() {
        let once = rewrite(PAGE, &tables(&["a"]), &["a", "b"]).unwrap();
        assert_eq!(once, PAGE.replace("old\n", "\n| a |\n\n"));
        assert_eq!(rewrite(&once, &tables(&["a"]), &["a", "b"]).unwrap(), once, "again is the same");
        assert_eq!(rewrite(PAGE, &tables(&[]), &["a", "b"]).unwrap(), PAGE);
    }

    #[test]
    fn markers_that_cannot_be_meant_are_mistakes() {
        let known = ["a", "b"];
        let mistake = |text: &str, given: &[&str]| rewrite(text, &tables(given), &known).unwrap_err();
        assert_eq!(
            mistake(PAGE.replace("bench:b", "bench:c").as_str(), &[]),
            Mistake::Unknown(9, "c".to_owned())
        );
        assert_eq!(mistake("nothing\n", &["a"]), Mistake::Missing("a".to_owned()));
        assert_eq!(mistake(&PAGE.replace("bench:b", "bench:a"), &[]), Mistake::Twice(9, "a".to_owned()));
        assert_eq!(mistake("<!-- bench:a -->\n", &["a"]), Mistake::Open(1, "a".to_owned()));
        assert_eq!(mistake("<!-- bench:a -->\n<!-- bench:b -->\n", &[]), Mistake::Open(1, "a".to_owned()));
        assert_eq!(mistake("x\n<!-- /bench -->\n", &[]), Mistake::Stray(2));
        for malformed in ["<!-- bench: -->", "<!-- bench:a", "<!-- bench:a --> words", "<!-- bench:A b -->"] {
            assert_eq!(mistake(malformed, &[]), Mistake::Malformed(1), "{malformed}");
        }
    }
}
