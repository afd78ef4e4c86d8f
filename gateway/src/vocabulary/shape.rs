//! Compiles payloads: TOML with `$names` in it becomes pieces to be written one
//! after the other.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use toml_edit::{InlineTable, Item, Value};

use super::load::{Loader, start, unknown};
use super::template::{Field, Nested, Piece, Template, Words};

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
        for item in shapes.items.values() {
            shapes.template(loader, item);
        }
        shapes
    }

    /// A shape by its name, where it is right; its mistakes were told.
    pub fn named(&self, name: &str) -> Option<Template> {
        let item = self.items.get(name)?;
        let mut unheard = Loader::silent();
        Some(self.template(&mut unheard, item))
    }

    /// An empty object.
    pub fn empty(&self) -> Template {
        Template::new(vec![Piece::Literal(b"{}".as_slice().into())], self.words.clone())
    }

    /// Compiles a payload.
    pub fn template(&self, loader: &mut Loader<'_>, item: &Item) -> Template {
        let mut compiled = Compiled::default();
        self.item(loader, item, &mut compiled);
        Template::new(compiled.finish(), self.words.clone())
    }

    fn item(&self, loader: &mut Loader<'_>, item: &Item, to: &mut Compiled) {
        match item {
            Item::Value(value) => self.value(loader, value, to),
            Item::Table(table) => {
                to.literal(b"{");
                for (place, (name, item)) in table.iter().enumerate() {
                    to.key(place, name);
                    self.item(loader, item, to);
                }
                to.literal(b"}");
            }
            other => loader.mistake(start(Some(other)), "a payload is a text, a table or a list"),
        }
    }

    fn value(&self, loader: &mut Loader<'_>, value: &Value, to: &mut Compiled) {
        let at = value.span().map_or(0, |span| span.start);
        match value {
            Value::String(text) if text.value().starts_with("$$") => to.json(&text.value()[1..].into()),
            Value::String(text) if text.value().starts_with('$') => {
                self.placeholder(loader, text.value(), at, to)
            }
            Value::InlineTable(table) => self.object(loader, table, to),
            Value::Array(values) => {
                to.literal(b"[");
                for (place, value) in values.iter().enumerate() {
                    if place > 0 {
                        to.literal(b",");
                    }
                    self.value(loader, value, to);
                }
                to.literal(b"]");
            }
            Value::Datetime(_) => loader.mistake(at, "a time in a payload would always be the same"),
            simple => to.json(&super::load::json(simple).unwrap_or_default()),
        }
    }

    fn object(&self, loader: &mut Loader<'_>, table: &InlineTable, to: &mut Compiled) {
        to.literal(b"{");
        for (place, (name, value)) in table.iter().enumerate() {
            to.key(place, name);
            self.value(loader, value, to);
        }
        to.literal(b"}");
    }

    fn placeholder(&self, loader: &mut Loader<'_>, name: &str, at: usize, to: &mut Compiled) {
        if let Some((_, field)) = Field::ALL.iter().find(|(known, _)| *known == name) {
            return to.pieces(Piece::Value(*field));
        }
        if let Some((_, nested)) = Nested::ALL.iter().find(|(known, _)| *known == name) {
            let mut compiled = Compiled::default();
            self.shape(loader, nested.shape(), name, at, &mut compiled);
            return to.pieces(Piece::Nested(*nested, compiled.finish().into()));
        }
        if let Some(shape) = name.strip_prefix("$shape.") {
            return self.shape(loader, shape, name, at, to);
        }
        let known: Vec<&str> = Field::ALL
            .iter()
            .map(|(name, _)| *name)
            .chain(Nested::ALL.iter().map(|(name, _)| *name))
            .collect();
        loader.mistake(at, unknown("value", name, &known));
        to.literal(b"null");
    }

    fn shape(&self, loader: &mut Loader<'_>, shape: &str, named: &str, at: usize, to: &mut Compiled) {
        let Some(item) = self.items.get(shape) else {
            loader.mistake(at, format!("`{named}` needs `[shape] {shape}`, which is not there"));
            return to.literal(b"null");
        };
        if self.open.borrow().iter().any(|open| open == shape) {
            loader.mistake(at, format!("the shape `{shape}` holds itself"));
            return to.literal(b"null");
        }
        self.open.borrow_mut().push(shape.to_owned());
        self.item(loader, item, to);
        self.open.borrow_mut().pop();
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

    fn key(&mut self, place: usize, name: &str) {
        if place > 0 {
            self.literal(b",");
        }
        self.json(&name.into());
        self.literal(b":");
    }

    fn pieces(&mut self, piece: Piece) {
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
