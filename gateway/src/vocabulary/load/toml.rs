//! Parts of TOML, each with its place; and mistakes in them.

use serde_json::Value as Json;
use toml_edit::{Item, TableLike, Value};

use super::Mistake;

/// A table.
pub type Table<'a> = &'a dyn TableLike;

/// Reads parts of a file, and notes what is wrong with them.
pub struct Loader<'a> {
    text: &'a str,
    mistakes: Vec<Mistake>,
}

impl<'a> Loader<'a> {
    /// Reads this text.
    pub fn new(text: &'a str) -> Self {
        Self { text, mistakes: Vec::new() }
    }

    /// Everything that is wrong, from top to bottom.
    pub fn into_mistakes(mut self) -> Vec<Mistake> {
        self.mistakes.sort_by(|a, b| (a.line, a.column, &a.what).cmp(&(b.line, b.column, &b.what)));
        // What is wrong in a shape is found wherever the shape is used.
        self.mistakes.dedup();
        self.mistakes
    }

    /// Notes a mistake at the byte `at`.
    pub fn mistake(&mut self, at: usize, what: impl Into<String>) {
        let before = &self.text[..self.text.floor_char_boundary(at)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        // Some of the parser's own words take several lines.
        let what = what.into().trim().replace('\n', "; ");
        self.mistakes.push(Mistake { line, column, what });
    }

    /// Whatever else a table has is a mistake.
    pub fn known(&mut self, table: Table<'_>, known: &[&str]) {
        for (name, item) in table.iter() {
            if !known.contains(&name) {
                self.mistake(start_of_key(table, name, item), unknown("key", name, known));
            }
        }
    }

    /// The table of this name in a table.
    pub fn table<'t>(&mut self, table: Table<'t>, name: &str) -> Option<Table<'t>> {
        let item = table.get(name)?;
        self.as_table(item, name)
    }

    /// What has to be a table.
    pub fn as_table<'t>(&mut self, item: &'t Item, name: &str) -> Option<Table<'t>> {
        let table = item.as_table_like();
        if table.is_none() {
            self.mistake(start(Some(item)), format!("`{name}` is a table"));
        }
        table
    }

    /// A text that is not empty.
    pub fn text_of(&mut self, table: Table<'_>, name: &str) -> Option<String> {
        let item = table.get(name)?;
        let text = item.as_str().filter(|text| !text.is_empty());
        if text.is_none() {
            self.mistake(start(Some(item)), format!("`{name}` is a text that is not empty"));
        }
        text.map(str::to_owned)
    }

    /// True or false; nothing is false.
    pub fn boolean(&mut self, table: Table<'_>, name: &str) -> bool {
        let Some(item) = table.get(name) else { return false };
        item.as_bool().unwrap_or_else(|| {
            self.mistake(start(Some(item)), format!("`{name}` is true or false"));
            false
        })
    }
}

/// Where an item begins.
pub fn start(item: Option<&Item>) -> usize {
    item.and_then(Item::span).map_or(0, |span| span.start)
}

/// Where the key of an item begins.
pub fn start_of_key(table: Table<'_>, name: &str, item: &Item) -> usize {
    let key = table.key(name).and_then(|key| key.span());
    key.map_or_else(|| start(Some(item)), |span| span.start)
}

/// A simple value as JSON.
pub fn json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::String(text) => text.value().clone().into(),
        Value::Integer(number) => (*number.value()).into(),
        Value::Float(number) => (*number.value()).into(),
        Value::Boolean(boolean) => (*boolean.value()).into(),
        _ => return None,
    })
}

/// Says what is not known, and what is.
pub fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let near = known.iter().map(|known| (distance(name, known), *known)).min();
    match near {
        Some((far, near)) if far <= 1 + name.len() / 3 => {
            format!("no such {what}: `{name}`; do you mean `{near}`?")
        }
        _ if known.is_empty() => format!("no such {what}: `{name}`; there is none"),
        _ => format!("no such {what}: `{name}`; there are {}", known.join(", ")),
    }
}

/// How many letters are to be changed, added or left out.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(x != *y)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}
