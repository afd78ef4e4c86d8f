//! Reads a vocabulary file, and tells every mistake in it with its place.
//!
//! [`toml`] takes parts out of the file, [`inputs`] reads what is asked for,
//! [`routes`] the REST routes; payloads are compiled by
//! [`shape`](super::shape).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use proto::RoomId;
use toml_edit::{ImDocument, Item};

use super::input::Input;
use super::shape::{Known, Shapes};
use super::template::Words;
use super::{Action, ClientEvent, Emit, PairPattern, RESERVED, Rooms, ServerEvents, Vocabulary};
use toml::{Loader, Table, start, start_of_key, unknown};

mod inputs;
mod routes;
#[cfg(test)]
mod tests;
pub(super) mod toml;

/// What ships with Carillon, by name.
pub const SHIPPED: [(&str, &str); 5] = [
    ("sessions", include_str!("../../../vocabularies/sessions.toml")),
    ("rooms", include_str!("../../../vocabularies/rooms.toml")),
    ("chats", include_str!("../../../vocabularies/chats.toml")),
    ("lobby", include_str!("../../../vocabularies/lobby.toml")),
    ("conversations", include_str!("../../../vocabularies/conversations.toml")),
];

/// What may stand in each table of a file.
pub(super) const ROOT_KEYS: [&str; 11] = [
    "name",
    "guests",
    "late_token",
    "typing_expiry",
    "times",
    "roles",
    "rooms",
    "shape",
    "client",
    "server",
    "rest",
];
pub(super) const ROOMS_KEYS: [&str; 3] = ["hear", "fixed", "pair"];
pub(super) const CLIENT_KEYS: [&str; 7] = ["do", "with", "set", "answer", "ack", "history", "announce"];
pub(super) const REST_KEYS: [&str; 7] = ["route", "do", "with", "set", "status", "answer", "guests"];
pub(super) const EMIT_KEYS: [&str; 3] = ["event", "payload", "to"];

/// A mistake in a vocabulary file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.what)
    }
}

impl Vocabulary {
    /// The text of a vocabulary that ships with Carillon.
    pub fn shipped(name: &str) -> Option<&'static str> {
        SHIPPED.iter().find_map(|(shipped, text)| (*shipped == name).then_some(*text))
    }

    /// Reads a vocabulary, or tells all that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Vec<Mistake>> {
        let mut loader = Loader::new(text);
        let vocabulary = match ImDocument::parse(text) {
            Ok(document) => Some(loader.vocabulary(document.as_table())),
            Err(error) => {
                loader.mistake(error.span().map_or(0, |span| span.start), error.message());
                None
            }
        };
        let mistakes = loader.into_mistakes();
        vocabulary.filter(|_| mistakes.is_empty()).ok_or(mistakes)
    }
}

impl Loader<'_> {
    fn vocabulary(&mut self, root: Table<'_>) -> Vocabulary {
        self.known(root, &ROOT_KEYS);
        if root.get("name").is_none() {
            self.mistake(0, "`name` is missing");
        }
        let words = Arc::new(self.words(root));
        let rooms = self.rooms(root);
        let shapes = Shapes::read(self, root.get("shape"), words);
        let error = Known { place: "the shape `error`".to_owned(), values: &["$error."] };
        let error = shapes.named(self, "error", &error).unwrap_or_else(|| {
            let what = "`[shape] error` is missing: what a client is told when something is refused";
            self.mistake(0, what);
            shapes.empty()
        });
        let vocabulary = Vocabulary {
            name: self.text_of(root, "name").unwrap_or_default(),
            late_token: self.boolean(root, "late_token"),
            guests: self.boolean(root, "guests"),
            typing_expiry: self.typing_expiry(root),
            client: self.client(root, &rooms, &shapes),
            server: self.server(root, &shapes),
            error,
            routes: self.routes(root, &rooms, &shapes),
            rooms,
        };
        if vocabulary.guests && !vocabulary.takes_names() {
            let what =
                "guests come by an event with `do = \"join\"` that says where `name` is; there is none";
            self.mistake(start(root.get("guests")), what);
        }
        if vocabulary.late_token
            && !vocabulary.client.values().any(|event| event.action == Action::Authenticate)
        {
            let what = "late tokens come by an event with `do = \"authenticate\"`; there is none";
            self.mistake(start(root.get("late_token")), what);
        }
        vocabulary
    }

    fn words(&mut self, root: Table<'_>) -> Words {
        let iso_times = match root.get("times").map(|item| (item.as_str(), item)) {
            None | Some((Some("iso"), _)) => true,
            Some((Some("ms"), _)) => false,
            Some((_, item)) => {
                self.mistake(start(Some(item)), "`times` is \"iso\" or \"ms\"");
                true
            }
        };
        let mut roles = ["MEMBER", "MODERATOR", "ADMIN", "OWNER"].map(str::to_owned);
        if let Some(table) = self.table(root, "roles") {
            self.known(table, &["MEMBER", "MODERATOR", "ADMIN", "OWNER"]);
            for role in &mut roles {
                if let Some(name) = self.text_of(table, &role.clone()) {
                    *role = name;
                }
            }
        }
        Words { iso_times, roles }
    }

    fn rooms(&mut self, root: Table<'_>) -> Rooms {
        let mut rooms = Rooms { hear_all: false, fixed: None, pair: None };
        let Some(table) = self.table(root, "rooms") else { return rooms };
        self.known(table, &ROOMS_KEYS);
        match table.get("hear").map(|item| (item.as_str(), item)) {
            None | Some((Some("joined"), _)) => {}
            Some((Some("all"), _)) => rooms.hear_all = true,
            Some((_, item)) => self.mistake(start(Some(item)), "`hear` is \"all\" or \"joined\""),
        }
        if let Some(id) = self.text_of(table, "fixed") {
            match RoomId::new(&id) {
                Ok(id) => rooms.fixed = Some(id),
                Err(why) => self.mistake(start(table.get("fixed")), format!("`fixed`: {why}")),
            }
        }
        if let Some(pattern) = self.text_of(table, "pair") {
            rooms.pair = pair(&pattern);
            if rooms.pair.is_none() {
                let what = "`pair` is like \"conv_{a}_{b}\": both users, something between them, and \
                            nothing that ids may not have";
                self.mistake(start(table.get("pair")), what);
            }
        }
        if table.get("fixed").is_some() && table.get("pair").is_some() {
            let at = start(table.get("fixed")).max(start(table.get("pair")));
            self.mistake(at, "there is one room (`fixed`) or one of each pair (`pair`)");
        }
        rooms
    }

    fn typing_expiry(&mut self, root: Table<'_>) -> Duration {
        let usual = Duration::from_secs(3);
        let Some(item) = root.get("typing_expiry") else { return usual };
        let time = item.as_str().and_then(|text| {
            let (number, unit) = match text.strip_suffix("ms") {
                Some(number) => (number, 1),
                None => (text.strip_suffix('s')?, 1000),
            };
            number.parse::<u64>().ok()?.checked_mul(unit).map(Duration::from_millis)
        });
        let range = Duration::from_millis(100)..=Duration::from_secs(60);
        time.filter(|time| range.contains(time)).unwrap_or_else(|| {
            self.mistake(start(Some(item)), "`typing_expiry` is like \"3s\" or \"1500ms\", 100ms to 60s");
            usual
        })
    }

    fn client(&mut self, root: Table<'_>, rooms: &Rooms, shapes: &Shapes) -> HashMap<String, ClientEvent> {
        let mut events = HashMap::new();
        let Some(table) = self.table(root, "client") else { return events };
        for (name, item) in table.iter() {
            let at = start_of_key(table, name, item);
            let Some(event) = self.as_table(item, name) else { continue };
            self.known(event, &CLIENT_KEYS);
            self.not_reserved(name, at);
            let Some(action) = self.action(event, at, true) else { continue };
            let inputs = self.inputs(event, &action, rooms, at);
            let known =
                |part: &str| Known { place: format!("the {part} of `{name}`"), values: action.values() };
            let answer = event.get("answer").and_then(|answer| {
                let emit = self.emit(answer, shapes, &known("answer"))?;
                if emit.to_others {
                    let to = answer.as_table_like().and_then(|answer| answer.get("to"));
                    self.mistake(start(to), "an answer goes to the one who asked");
                }
                Some(emit)
            });
            let ack = event.get("ack").map(|ack| shapes.template(self, ack, &known("acknowledgement")));
            events.insert(name.to_owned(), ClientEvent { action, inputs, answer, ack });
        }
        events
    }

    fn server(&mut self, root: Table<'_>, shapes: &Shapes) -> ServerEvents {
        let mut events = ServerEvents::default();
        let Some(table) = self.table(root, "server") else { return events };
        for (name, item) in table.iter() {
            let Some((place, values)) = events.named(name) else {
                let at = start_of_key(table, name, item);
                self.mistake(at, unknown("thing that happens", name, ServerEvents::NAMES));
                continue;
            };
            let known = Known { place: format!("`server.{name}`"), values };
            let entries: Vec<Item> = match item {
                Item::ArrayOfTables(tables) => {
                    tables.iter().map(|table| Item::Table(table.clone())).collect()
                }
                other => vec![other.clone()],
            };
            for entry in &entries {
                let Some(emit) = self.emit(entry, shapes, &known) else { continue };
                if emit.to_others && name != "message" {
                    let to = entry.as_table_like().and_then(|entry| entry.get("to"));
                    let what = "`to` counts for `message` alone: changes are heard by everybody, and what \
                                passes is never heard by the one who does it";
                    self.mistake(start(to), what);
                }
                place.push(emit);
            }
        }
        events
    }

    fn emit(&mut self, item: &Item, shapes: &Shapes, known: &Known) -> Option<Emit> {
        let table = self.as_table(item, "an event")?;
        self.known(table, &EMIT_KEYS);
        let event = self.text_of(table, "event");
        match &event {
            Some(event) => self.not_reserved(event, start(table.get("event"))),
            None if table.get("event").is_none() => {
                self.mistake(start(Some(item)), "`event` is missing: its name");
            }
            None => {}
        }
        let to_others = match table.get("to").map(|item| (item.as_str(), item)) {
            None | Some((Some("all"), _)) => false,
            Some((Some("others"), _)) => true,
            Some((_, item)) => {
                self.mistake(start(Some(item)), "`to` is \"all\" or \"others\"");
                false
            }
        };
        let payload = match table.get("payload") {
            Some(payload) => shapes.template(self, payload, known),
            None => {
                self.mistake(start(Some(item)), "`payload` is missing");
                shapes.empty()
            }
        };
        Some(Emit { event: event?, payload, to_others })
    }

    fn not_reserved(&mut self, event: &str, at: usize) {
        if RESERVED.contains(&event) {
            self.mistake(at, format!("`{event}` is a name that Socket.IO keeps for itself"));
        }
    }
}

impl Vocabulary {
    /// Whether guests can say how they are called.
    pub fn takes_names(&self) -> bool {
        self.client.values().any(|event| {
            matches!(event.action, Action::Join { .. })
                && event.inputs.0.iter().any(|(input, _)| *input == Input::Name)
        })
    }
}

fn pair(pattern: &str) -> Option<PairPattern> {
    let (before, rest) = pattern.split_once("{a}")?;
    let (between, after) = rest.split_once("{b}")?;
    let is_of_ids = RoomId::new(&format!("{before}a{between}b{after}")).is_ok();
    (is_of_ids && !between.is_empty()).then(|| PairPattern {
        before: before.to_owned(),
        between: between.to_owned(),
        after: after.to_owned(),
    })
}
