//! Reads the REST routes of a vocabulary.

use std::sync::Arc;

use http::{Method, StatusCode};
use toml_edit::Item;

use super::REST_KEYS;
use super::toml::{Loader, Table, start};
use crate::vocabulary::input::{Input, Inputs, Source};
use crate::vocabulary::shape::{Known, Shapes};
use crate::vocabulary::{Action, Rooms, Route};

/// Paths that are Carillon's own, with everything below them.
pub(super) const OWN_PATHS: [&str; 10] = [
    "/",
    "/style.css",
    "/app.js",
    "/carillon.js",
    "/v1",
    "/health",
    "/socket.io",
    "/docs",
    "/openapi.json",
    "/asyncapi",
];

impl Loader<'_> {
    /// All of `[[rest]]`.
    pub(super) fn routes(&mut self, root: Table<'_>, rooms: &Rooms, shapes: &Shapes) -> Vec<Arc<Route>> {
        let mut routes: Vec<Arc<Route>> = Vec::new();
        let Some(item) = root.get("rest") else { return routes };
        let Some(tables) = item.as_array_of_tables() else {
            self.mistake(start(Some(item)), "routes are written as [[rest]]");
            return routes;
        };
        for table in tables.iter() {
            let at = table.span().map_or(0, |span| span.start);
            self.known(table, &REST_KEYS);
            let named = self.route(table, at);
            let action = self.action(table, at, false);
            let (Some((method, path)), Some(action)) = (named, action) else { continue };
            let at_route = start(table.get("route"));
            if let Some(known) = routes.iter().find(|known| same_paths(&known.path, &path)) {
                if known.method == method {
                    self.mistake(at_route, "this route is there twice");
                    continue;
                } else if known.path != path {
                    let what = format!("`{}` names the parts of this path otherwise", known.path);
                    self.mistake(at_route, what);
                    continue;
                }
            }
            let inputs = self.inputs(table, &action, rooms, at);
            self.all_parts_are_used(&path, &inputs, at_route);
            let guests = self.boolean(table, "guests");
            let nameless = !inputs.0.iter().any(|(input, _)| *input == Input::Name);
            if guests && action == Action::Send && nameless {
                self.mistake(at, "`with` does not say where `name` is: what a guest is called");
            }
            let known = Known { place: format!("the answer of `{method} {path}`"), values: action.values() };
            routes.push(Arc::new(Route {
                method,
                path,
                inputs,
                action,
                status: self.status(table.get("status")),
                answer: table.get("answer").map(|answer| shapes.template(self, answer, &known)),
                guests,
            }));
        }
        routes
    }

    fn status(&mut self, item: Option<&Item>) -> StatusCode {
        let Some(item) = item else { return StatusCode::OK };
        let status = item.as_integer().filter(|number| (200..=299).contains(number));
        status.and_then(|number| StatusCode::from_u16(number as u16).ok()).unwrap_or_else(|| {
            self.mistake(start(Some(item)), "`status` is a number from 200 to 299");
            StatusCode::OK
        })
    }

    fn route(&mut self, table: Table<'_>, at: usize) -> Option<(Method, String)> {
        let Some(text) = self.text_of(table, "route") else {
            if table.get("route").is_none() {
                self.mistake(at, "`route` is missing: \"GET /api/rooms\"");
            }
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
                let what = "`route` is like \"GET /api/rooms\": GET, POST, PUT, PATCH or DELETE, and a path";
                self.mistake(at, what);
                return None;
            }
        };
        let good = |part: &str| {
            let name = part_name(part).unwrap_or(part);
            let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_-.~".contains(letter);
            !name.is_empty() && !matches!(name, "." | "..") && name.chars().all(allowed)
        };
        let own = |own: &&&str| path == **own || (own.len() > 1 && path.starts_with(&format!("{own}/")));
        // Documents of the reference have names of their own below it.
        let reference = path.starts_with("/asyncapi");
        if let Some(own) = OWN_PATHS.iter().find(own).or(reference.then_some(&"/asyncapi")) {
            self.mistake(at, format!("{own} is Carillon's own"));
            return None;
        }
        let parts: Option<Vec<&str>> = path.strip_prefix('/').map(|path| path.split('/').collect());
        let Some(parts) = parts.filter(|parts| parts.iter().all(|part| good(part))) else {
            self.mistake(at, "a path is of letters, digits, - . _ ~ and whole parts like {room}");
            return None;
        };
        let names: Vec<_> = parts.iter().filter_map(|part| part_name(part)).collect();
        if let Some(twice) = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name)) {
            self.mistake(at, format!("two parts of the path are called {{{}}}", twice.1));
            return None;
        }
        Some((method, path.to_owned()))
    }

    /// A part of a path that nothing looks at would be taken from everybody alike.
    fn all_parts_are_used(&mut self, path: &str, inputs: &Inputs, at: usize) {
        for name in path.split('/').filter_map(part_name) {
            let used = inputs.0.iter().any(|(_, source)| match source {
                Source::Paths(paths) => paths.iter().any(|path| matches!(&path[..], [key] if key == name)),
                Source::Constant(_) => false,
            });
            if !used {
                self.mistake(at, format!("`with` does not say what {{{name}}} is"));
            }
        }
    }
}

/// The name of a part like `{room}`.
fn part_name(part: &str) -> Option<&str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

/// Whether they are the same but for names of parts.
fn same_paths(one: &str, other: &str) -> bool {
    let shape = |path: &str| {
        path.split('/').map(|part| part_name(part).map_or(part, |_| "{}").to_owned()).collect::<Vec<_>>()
    };
    shape(one) == shape(other)
}
