//! Reads a vocabulary file, and tells every mistake in it with its place.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use proto::RoomId;
use serde_json::Value as Json;
use toml_edit::{ImDocument, Item, TableLike, Value};

use super::input::{Input, Inputs, Source};
use super::shape::Shapes;
use super::template::{Field, Template, Words};
use super::{Action, ClientEvent, Emit, PairPattern, Rooms, Route, ServerEvents, Vocabulary};

/// What ships with Carillon, by name.
pub const SHIPPED: [(&str, &str); 5] = [
    ("sessions", include_str!("../../vocabularies/sessions.toml")),
    ("rooms", include_str!("../../vocabularies/rooms.toml")),
    ("chats", include_str!("../../vocabularies/chats.toml")),
    ("lobby", include_str!("../../vocabularies/lobby.toml")),
    ("conversations", include_str!("../../vocabularies/conversations.toml")),
];

/// Paths that are Carillon's own.
const OWN_PATHS: [&str; 7] = ["/", "/v1", "/health", "/socket.io", "/docs", "/openapi.json", "/asyncapi"];

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
        let document = ImDocument::parse(text).map_err(|error| {
            let (line, column) = place(text, error.span().map_or(0, |span| span.start));
            vec![Mistake { line, column, what: error.message().trim().to_owned() }]
        })?;
        let mut loader = Loader { text, mistakes: Vec::new() };
        let vocabulary = loader.vocabulary(document.as_table());
        loader.mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        if loader.mistakes.is_empty() { Ok(vocabulary) } else { Err(loader.mistakes) }
    }
}

fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

pub(super) struct Loader<'a> {
    text: &'a str,
    mistakes: Vec<Mistake>,
}

/// A table, and where it stands.
type Table<'a> = &'a dyn TableLike;

impl Loader<'static> {
    /// For what was read before: its mistakes were told then.
    pub(super) fn silent() -> Self {
        Self { text: "", mistakes: Vec::new() }
    }
}

impl Loader<'_> {
    /// Notes a mistake at the byte `at`.
    pub(super) fn mistake(&mut self, at: usize, what: impl Into<String>) {
        let (line, column) = place(self.text, at);
        self.mistakes.push(Mistake { line, column, what: what.into() });
    }

    fn vocabulary(&mut self, root: Table<'_>) -> Vocabulary {
        self.known(
            root,
            &[
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
            ],
        );
        let name = self.text_of(root, "name").unwrap_or_default();
        if root.get("name").is_none() {
            self.mistake(0, "`name` is missing");
        }
        let words = Arc::new(self.words(root));
        let rooms = self.rooms(root);
        let shapes = Shapes::read(self, root.get("shape"), words);
        let error = match shapes.named("error") {
            Some(template) => template,
            None => {
                self.mistake(
                    0,
                    "`[shape] error` is missing: what a client is told when something is refused",
                );
                shapes.empty()
            }
        };
        let guests = self.boolean(root, "guests");
        Vocabulary {
            name,
            late_token: self.boolean(root, "late_token"),
            guests,
            typing_expiry: self.typing_expiry(root),
            client: self.client(root, &rooms, &shapes),
            server: self.server(root, &shapes),
            error,
            routes: self.routes(root, &rooms, &shapes),
            rooms,
        }
    }

    fn words(&mut self, root: Table<'_>) -> Words {
        let iso_times = match (self.text_of(root, "times").as_deref(), root.get("times")) {
            (None | Some("iso"), _) => true,
            (Some("ms"), _) => false,
            (_, item) => {
                self.mistake(start(item), "`times` is \"iso\" or \"ms\"");
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
        self.known(table, &["hear", "fixed", "pair"]);
        match self.text_of(table, "hear").as_deref() {
            None | Some("joined") => {}
            Some("all") => rooms.hear_all = true,
            Some(_) => self.mistake(start(table.get("hear")), "`hear` is \"all\" or \"joined\""),
        }
        if let Some(id) = self.text_of(table, "fixed") {
            match RoomId::new(&id) {
                Ok(id) => rooms.fixed = Some(id),
                Err(why) => self.mistake(start(table.get("fixed")), format!("`fixed`: {why}")),
            }
        }
        if let Some(pattern) = self.text_of(table, "pair") {
            let parts = pattern.split_once("{a}").and_then(|(before, rest)| {
                let (between, after) = rest.split_once("{b}")?;
                Some(PairPattern { before: before.into(), between: between.into(), after: after.into() })
            });
            match parts {
                Some(parts) if !parts.between.is_empty() => rooms.pair = Some(parts),
                _ => {
                    let what = "`pair` is like \"conv_{a}_{b}\": both users, something between them";
                    self.mistake(start(table.get("pair")), what);
                }
            }
        }
        if rooms.fixed.is_some() && rooms.pair.is_some() {
            self.mistake(
                start(table.get("pair")),
                "there is one room (`fixed`) or one of each pair (`pair`)",
            );
        }
        rooms
    }

    fn typing_expiry(&mut self, root: Table<'_>) -> Duration {
        let usual = Duration::from_secs(3);
        let Some(text) = self.text_of(root, "typing_expiry") else { return usual };
        let time = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
            (Some(number), _) => number.parse().ok().map(Duration::from_millis),
            (None, Some(number)) => number.parse().ok().map(Duration::from_secs),
            _ => None,
        };
        time.filter(|time| (Duration::from_millis(100)..=Duration::from_secs(60)).contains(time))
            .unwrap_or_else(|| {
                self.mistake(
                    start(root.get("typing_expiry")),
                    "`typing_expiry` is like \"3s\" or \"1500ms\", 100ms to 60s",
                );
                usual
            })
    }

    fn client(&mut self, root: Table<'_>, rooms: &Rooms, shapes: &Shapes) -> HashMap<String, ClientEvent> {
        let mut events = HashMap::new();
        let Some(table) = self.table(root, "client") else { return events };
        for (name, item) in table.iter() {
            let Some(event) = self.as_table(item, name) else { continue };
            self.known(event, &["do", "with", "set", "answer", "ack", "history", "announce"]);
            let Some(action) = self.action(event, start(Some(item)), true) else { continue };
            let inputs = self.inputs(event, &action, rooms, start(Some(item)));
            let answer = event.get("answer").and_then(|answer| self.emit(answer, shapes));
            let ack = event.get("ack").map(|ack| shapes.template(self, ack));
            events.insert(name.to_owned(), ClientEvent { action, inputs, answer, ack });
        }
        events
    }

    fn server(&mut self, root: Table<'_>, shapes: &Shapes) -> ServerEvents {
        let mut events = ServerEvents::default();
        let Some(table) = self.table(root, "server") else { return events };
        for (name, item) in table.iter() {
            let Some((place, scope)) = events.named(name) else {
                self.mistake(start(Some(item)), unknown("thing that happens", name, ServerEvents::NAMES));
                continue;
            };
            let entries: Vec<Item> = match item {
                Item::ArrayOfTables(tables) => {
                    tables.iter().map(|table| Item::Table(table.clone())).collect()
                }
                other => vec![other.clone()],
            };
            for entry in &entries {
                if let Some(emit) = self.emit(entry, shapes) {
                    self.only(&emit.payload, scope, start(Some(entry)).max(start(Some(item))), name);
                    place.push(emit);
                }
            }
        }
        events
    }

    /// What a thing that happens says nothing of is a mistake and not a `null`.
    fn only(&mut self, payload: &Template, scope: &[&str], at: usize, name: &str) {
        for (text, field) in Field::ALL {
            let group = text.split('.').next().unwrap_or_default();
            if payload.says_itself(*field) && group != "$room" && !scope.contains(&group) {
                self.mistake(
                    at,
                    format!("`{name}` says nothing of `{text}`; it knows of {}", scope.join(", ")),
                );
            }
        }
    }

    fn routes(&mut self, root: Table<'_>, rooms: &Rooms, shapes: &Shapes) -> Vec<Arc<Route>> {
        let mut routes: Vec<Arc<Route>> = Vec::new();
        let Some(item) = root.get("rest") else { return routes };
        let Some(tables) = item.as_array_of_tables() else {
            self.mistake(start(Some(item)), "routes are written as [[rest]]");
            return routes;
        };
        for table in tables.iter() {
            let at = table.span().map_or(0, |span| span.start);
            self.known(table, &["route", "do", "with", "set", "status", "answer", "guests"]);
            let Some((method, path)) = self.route(table, at) else { continue };
            let Some(action) = self.action(table, at, false) else { continue };
            if routes.iter().any(|known| known.method == method && known.path == path) {
                self.mistake(start(table.get("route")), "this route is there twice");
                continue;
            }
            let status = match table.get("status").map(|status| (status.as_integer(), status)) {
                None => StatusCode::OK,
                Some((Some(number @ 200..=299), _)) => {
                    StatusCode::from_u16(number as u16).unwrap_or(StatusCode::OK)
                }
                Some((_, item)) => {
                    self.mistake(start(Some(item)), "`status` is a number from 200 to 299");
                    StatusCode::OK
                }
            };
            routes.push(Arc::new(Route {
                method,
                path,
                inputs: self.inputs(table, &action, rooms, at),
                action,
                status,
                answer: table.get("answer").map(|answer| shapes.template(self, answer)),
                guests: self.boolean(table, "guests"),
            }));
        }
        routes
    }

    fn route(&mut self, table: Table<'_>, at: usize) -> Option<(Method, String)> {
        let Some(text) = self.text_of(table, "route") else {
            self.mistake(at, "`route` is missing: \"GET /api/rooms\"");
            return None;
        };
        let at = start(table.get("route"));
        let (method, path) = text.split_once(' ').unwrap_or(("", ""));
        let method = match method {
            "GET" => Method::GET,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            "DELETE" => Method::DELETE,
            _ => {
                self.mistake(
                    at,
                    "`route` is like \"GET /api/rooms\": GET, POST, PUT, PATCH or DELETE, and a path",
                );
                return None;
            }
        };
        let good = |part: &str| {
            let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')).unwrap_or(part);
            !name.is_empty()
                && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter))
        };
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        if !path.starts_with('/') || !parts.iter().all(|part| good(part)) {
            self.mistake(at, "the path is of letters, digits, _, -, . and parts like {room}");
            return None;
        }
        let own = |own: &&str| path == *own || (own.len() > 1 && path.starts_with(&format!("{own}/")));
        if let Some(own) = OWN_PATHS.iter().find(|path| own(path)) {
            self.mistake(at, format!("{own} is Carillon's own"));
            return None;
        }
        Some((method, path.to_owned()))
    }

    fn action(&mut self, table: Table<'_>, at: usize, event: bool) -> Option<Action> {
        let Some(name) = self.text_of(table, "do") else {
            self.mistake(at, "`do` is missing: what is asked for");
            return None;
        };
        let history = match table.get("history").map(|item| (item.as_integer(), item)) {
            None => 0,
            Some((Some(number @ 0..=100), _)) => number as u32,
            Some((_, item)) => {
                self.mistake(start(Some(item)), "`history` is a number from 0 to 100");
                0
            }
        };
        let announce = self.boolean(table, "announce");
        let Some(action) = Action::named(&name, history, announce) else {
            self.mistake(start(table.get("do")), unknown("action", &name, &Action::NAMES));
            return None;
        };
        if !event && action.needs_connection() {
            self.mistake(start(table.get("do")), format!("`{name}` needs a connection"));
            return None;
        }
        Some(action)
    }

    fn inputs(&mut self, table: Table<'_>, action: &Action, rooms: &Rooms, at: usize) -> Inputs {
        let (required, optional) = action.parts();
        let mut inputs = Inputs::default();
        let input = |loader: &mut Self, name: &str, item: &Item| {
            let found = Input::ALL.iter().find(|(known, _)| *known == name).map(|(_, input)| *input);
            let fits = found.filter(|input| required.contains(input) || optional.contains(input));
            if fits.is_none() {
                let known: Vec<_> = required.iter().chain(optional).map(|input| input.name()).collect();
                loader.mistake(start(Some(item)), unknown("input of this action", name, &known));
            }
            fits
        };
        for (name, item) in self.table(table, "with").into_iter().flat_map(|with| with.iter()) {
            let Some(input) = input(self, name, item) else { continue };
            let texts = match item.as_value() {
                Some(Value::String(text)) => vec![text.value().clone()],
                Some(Value::Array(texts)) => {
                    texts.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
                }
                _ => Vec::new(),
            };
            if texts.is_empty() {
                self.mistake(
                    start(Some(item)),
                    "a place in the payload: \"chatId\", or several: [\"chatId\", \".\"]",
                );
                continue;
            }
            let path = |text: String| -> Vec<String> {
                text.split('.').filter(|key| !key.is_empty()).map(str::to_owned).collect()
            };
            inputs.0.push((input, Source::Paths(texts.into_iter().map(path).collect())));
        }
        for (name, item) in self.table(table, "set").into_iter().flat_map(|set| set.iter()) {
            let Some(input) = input(self, name, item) else { continue };
            match item.as_value().and_then(json) {
                Some(value) => inputs.0.push((input, Source::Constant(value))),
                None => self.mistake(start(Some(item)), "a text, a number, true or false"),
            }
        }
        if let Some(fixed) = &rooms.fixed
            && required.contains(&Input::Room)
        {
            inputs.0.retain(|(input, _)| *input != Input::Room);
            inputs.0.push((Input::Room, Source::Constant(fixed.as_str().into())));
        }
        let has = |wanted: Input| inputs.0.iter().any(|(input, _)| *input == wanted);
        for input in required {
            let elsewhere = *input == Input::Room && has(Input::To);
            if !has(*input) && !elsewhere {
                self.mistake(at, format!("`with` does not say where `{}` is", input.name()));
            }
        }
        inputs
    }

    fn emit(&mut self, item: &Item, shapes: &Shapes) -> Option<Emit> {
        let table = self.as_table(item, "an event")?;
        self.known(table, &["event", "payload", "to"]);
        let Some(event) = self.text_of(table, "event") else {
            self.mistake(start(Some(item)), "`event` is missing: its name");
            return None;
        };
        let to_others = match self.text_of(table, "to").as_deref() {
            None | Some("all") => false,
            Some("others") => true,
            Some(_) => {
                self.mistake(start(table.get("to")), "`to` is \"all\" or \"others\"");
                false
            }
        };
        let payload = match table.get("payload") {
            Some(payload) => shapes.template(self, payload),
            None => {
                self.mistake(start(Some(item)), "`payload` is missing");
                shapes.empty()
            }
        };
        Some(Emit { event, payload, to_others })
    }

    // ---- parts of TOML ----

    /// Whatever else a table has is a mistake.
    fn known(&mut self, table: Table<'_>, known: &[&str]) {
        for (name, item) in table.iter() {
            if !known.contains(&name) {
                let at =
                    table.key(name).and_then(|key| key.span()).map_or(start(Some(item)), |span| span.start);
                self.mistake(at, unknown("key", name, known));
            }
        }
    }

    fn table<'t>(&mut self, table: Table<'t>, name: &str) -> Option<Table<'t>> {
        let item = table.get(name)?;
        self.as_table(item, name)
    }

    fn as_table<'t>(&mut self, item: &'t Item, name: &str) -> Option<Table<'t>> {
        let table = item.as_table_like();
        if table.is_none() {
            self.mistake(start(Some(item)), format!("`{name}` is a table"));
        }
        table
    }

    fn text_of(&mut self, table: Table<'_>, name: &str) -> Option<String> {
        let item = table.get(name)?;
        let text = item.as_str().filter(|text| !text.is_empty());
        if text.is_none() {
            self.mistake(start(Some(item)), format!("`{name}` is a text"));
        }
        text.map(str::to_owned)
    }

    fn boolean(&mut self, table: Table<'_>, name: &str) -> bool {
        let Some(item) = table.get(name) else { return false };
        item.as_bool().unwrap_or_else(|| {
            self.mistake(start(Some(item)), format!("`{name}` is true or false"));
            false
        })
    }
}

/// Where an item begins.
pub(super) fn start(item: Option<&Item>) -> usize {
    item.and_then(Item::span).map_or(0, |span| span.start)
}

/// A simple value as JSON.
pub(super) fn json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::String(text) => text.value().clone().into(),
        Value::Integer(number) => (*number.value()).into(),
        Value::Float(number) => (*number.value()).into(),
        Value::Boolean(boolean) => (*boolean.value()).into(),
        _ => return None,
    })
}

/// Says what is not known, and what is.
pub(super) fn unknown(what: &str, name: &str, known: &[&str]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_ships_is_right() {
        for (name, text) in SHIPPED {
            let vocabulary =
                Vocabulary::parse(text).unwrap_or_else(|mistakes| panic!("{name}: {mistakes:#?}"));
            assert_eq!(vocabulary.name, name);
        }
    }
}
