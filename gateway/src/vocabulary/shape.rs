//! Compiles payloads: TOML with `$names` in it becomes pieces to be written one
//! after the other.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use toml_edit::{Item, Value};

use super::load::toml::{Loader, json, start, unknown};
use super::template::{Field, Nested, Piece, Template, Words};

/// What a payload may speak of where it stands.
pub(super) struct Known {
    /// Where it stands, for people.
    pub place: String,
    /// Values: `$room` itself, `$message.` with all that begins so.
    pub values: &'static [&'static str],
}

impl Known {
    /// Everything, for a payload of which it is not known where it will stand.
    pub fn everything(shape: &str) -> Self {
        Self { place: format!("the shape `{shape}`"), values: &["$"] }
    }

    fn has(&self, value: &str) -> bool {
        self.values
            .iter()
            .any(|known| *known == value || known.ends_with(['.', '$']) && value.starts_with(known))
    }
}

/// The named payloads of a vocabulary.
pub(super) struct Shapes {
    items: HashMap<String, Item>,
    words: Arc<Words>,
    /// Shapes that are being compiled: one that holds itself never ends.
    open: RefCell<Vec<String>>,
}

impl Shapes {
    /// Reads `[shape]`.
    pub fn read(loader: &mut Loader<'_>, item: Option<&Item>, words: Arc<Words>) -> Self {
        let mut items = HashMap::new();
        match item.map(|item| (item.as_table_like(), item)) {
            None => {}
            Some((Some(table), _)) => {
                items.extend(table.iter().map(|(name, item)| (name.to_owned(), item.clone())));
            }
            Some((None, item)) => loader.mistake(start(Some(item)), "`shape` is a table"),
        }
        let shapes = Self { items, words, open: RefCell::default() };
        // Also those that nothing uses are to be right.
        for name in shapes.items.keys() {
            shapes.named(loader, name, &Known::everything(name));
        }
        shapes
    }

    /// A shape by its name.
    pub fn named(&self, loader: &mut Loader<'_>, name: &str, known: &Known) -> Option<Template> {
        self.items.contains_key(name).then(|| {
            let mut compiled = Compiled::default();
            self.shape(loader, name, name, 0, known, &mut compiled);
            Template::new(compiled.finish(), self.words.clone())
        })
    }

    /// An empty object.
    pub fn empty(&self) -> Template {
        Template::new(vec![Piece::Literal(b"{}".as_slice().into())], self.words.clone())
    }

    /// Compiles a payload.
    pub fn template(&self, loader: &mut Loader<'_>, item: &Item, known: &Known) -> Template {
        let mut compiled = Compiled::default();
        self.item(loader, item, known, &mut compiled);
        Template::new(compiled.finish(), self.words.clone())
    }

    fn item(&self, loader: &mut Loader<'_>, item: &Item, known: &Known, to: &mut Compiled) {
        match item {
            Item::Value(value) => self.value(loader, value, known, to),
            Item::Table(table) => {
                to.literal(b"{");
                for (place, (name, item)) in table.iter().enumerate() {
                    to.key(place, name);
                    self.item(loader, item, known, to);
                }
                to.literal(b"}");
            }
            Item::ArrayOfTables(tables) => {
                to.literal(b"[");
                for (place, table) in tables.iter().enumerate() {
                    to.next(place);
                    self.item(loader, &Item::Table(table.clone()), known, to);
                }
                to.literal(b"]");
            }
            Item::None => to.literal(b"null"),
        }
    }

    fn value(&self, loader: &mut Loader<'_>, value: &Value, known: &Known, to: &mut Compiled) {
        let at = value.span().map_or(0, |span| span.start);
        match value {
            Value::String(text) if text.value().starts_with("$$") => to.json(&text.value()[1..].into()),
            Value::String(text) if text.value().starts_with('$') => {
                self.placeholder(loader, text.value(), at, known, to);
            }
            Value::InlineTable(table) => {
                to.literal(b"{");
                for (place, (name, value)) in table.iter().enumerate() {
                    to.key(place, name);
                    self.value(loader, value, known, to);
                }
                to.literal(b"}");
            }
            Value::Array(values) => {
                to.literal(b"[");
                for (place, value) in values.iter().enumerate() {
                    to.next(place);
                    self.value(loader, value, known, to);
                }
                to.literal(b"]");
            }
            Value::Datetime(_) => loader.mistake(at, "a time in a payload would always be the same"),
            Value::Float(number) if !number.value().is_finite() => {
                loader.mistake(at, "JSON has no such number");
            }
            simple => to.json(&json(simple).unwrap_or_default()),
        }
    }

    fn placeholder(&self, loader: &mut Loader<'_>, name: &str, at: usize, known: &Known, to: &mut Compiled) {
        if let Some(shape) = name.strip_prefix("$shape.") {
            return self.shape(loader, shape, name, at, known, to);
        }
        let field = Field::ALL.iter().find(|(field, _)| *field == name);
        let nested = Nested::ALL.iter().find(|(nested, _)| *nested == name);
        if (field.is_some() || nested.is_some()) && !known.has(name) {
            loader.mistake(at, format!("{} has no `{name}`; {}", known.place, there_are(known)));
            return to.literal(b"null");
        }
        match (field, nested) {
            (Some((_, field)), _) => to.piece(Piece::Value(*field)),
            (None, Some((_, nested))) => {
                let mut compiled = Compiled::default();
                let inner = Known { place: format!("each of `{name}`"), values: nested.values() };
                self.shape(loader, nested.shape(), name, at, &inner, &mut compiled);
                to.piece(Piece::Nested(*nested, compiled.finish().into()));
            }
            (None, None) => {
                loader.mistake(at, unknown("value", name, &values(known)));
                to.literal(b"null");
            }
        }
    }

    fn shape(
        &self,
        loader: &mut Loader<'_>,
        shape: &str,
        named: &str,
        at: usize,
        known: &Known,
        to: &mut Compiled,
    ) {
        let Some(item) = self.items.get(shape) else {
            loader.mistake(at, format!("`{named}` needs `[shape] {shape}`, which is not there"));
            return to.literal(b"null");
        };
        if self.open.borrow().iter().any(|open| open == shape) {
            loader.mistake(at, format!("the shape `{shape}` holds itself"));
            return to.literal(b"null");
        }
        self.open.borrow_mut().push(shape.to_owned());
        self.item(loader, item, known, to);
        self.open.borrow_mut().pop();
    }
}

/// All values that are known there.
fn values(known: &Known) -> Vec<&'static str> {
    let fields = Field::ALL.iter().map(|(name, _)| *name);
    let all = fields.chain(Nested::ALL.iter().map(|(name, _)| *name));
    all.filter(|name| known.has(name)).collect()
}

fn there_are(known: &Known) -> String {
    match values(known).as_slice() {
        [] => "it has no values at all".to_owned(),
        values => format!("it has {}", values.join(", ")),
    }
}

/// Pieces; literals that follow each other are one.
#[derive(Default)]
struct Compiled {
    done: Vec<Piece>,
    literal: Vec<u8>,
}

impl Compiled {
    fn literal(&mut self, bytes: &[u8]) {
        self.literal.extend_from_slice(bytes);
    }

    fn json(&mut self, value: &serde_json::Value) {
        self.literal.extend_from_slice(value.to_string().as_bytes());
    }

    /// The mark before all but the first of several.
    fn next(&mut self, place: usize) {
        if place > 0 {
            self.literal(b",");
        }
    }

    fn key(&mut self, place: usize, name: &str) {
        self.next(place);
        self.json(&name.into());
        self.literal(b":");
    }

    fn piece(&mut self, piece: Piece) {
        self.close();
        self.done.push(piece);
    }

    fn close(&mut self) {
        if !self.literal.is_empty() {
            self.done.push(Piece::Literal(std::mem::take(&mut self.literal).into()));
        }
    }

    fn finish(mut self) -> Vec<Piece> {
        self.close();
        self.done
    }
}
