//! Reads what an event or a route asks for, and where the parts of it are.

use toml_edit::{Item, Value};

use super::toml::{Loader, Table, json, start, unknown};
use crate::vocabulary::input::{Input, Inputs, Source};
use crate::vocabulary::{Action, Rooms};

impl Loader<'_> {
    /// `do`, with its options.
    pub(super) fn action(&mut self, table: Table<'_>, at: usize, event: bool) -> Option<Action> {
        let Some(name) = self.text_of(table, "do") else {
            if table.get("do").is_none() {
                self.mistake(at, "`do` is missing: what is asked for");
            }
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
        let options: &[&str] = match action {
            Action::Join { .. } => &["history", "announce"],
            Action::Leave { .. } => &["announce"],
            _ => &[],
        };
        for option in ["history", "announce"] {
            if table.get(option).is_some() && !options.contains(&option) {
                self.mistake(start(table.get(option)), format!("`{name}` has no `{option}`"));
            }
        }
        Some(action)
    }

    /// `with` and `set`.
    pub(super) fn inputs(&mut self, table: Table<'_>, action: &Action, rooms: &Rooms, at: usize) -> Inputs {
        let (required, _) = action.parts();
        let mut inputs = Inputs::default();
        for (name, item) in self.table(table, "with").into_iter().flat_map(|with| with.iter()) {
            let Some(input) = self.input(action, rooms, name, item) else { continue };
            if let Some(paths) = self.paths(item) {
                inputs.0.push((input, Source::Paths(paths)));
            }
        }
        for (name, item) in self.table(table, "set").into_iter().flat_map(|set| set.iter()) {
            let Some(input) = self.input(action, rooms, name, item) else { continue };
            if inputs.0.iter().any(|(known, _)| *known == input) {
                self.mistake(start(Some(item)), format!("`{name}` is in `with` already"));
                continue;
            }
            match item.as_value().and_then(json) {
                Some(value) => match input.check(&value) {
                    Ok(()) => inputs.0.push((input, Source::Constant(value))),
                    Err(why) => self.mistake(start(Some(item)), format!("`{name}` {why}")),
                },
                None => {
                    self.mistake(start(Some(item)), format!("`{name}` is a text, a number, true or false"))
                }
            }
        }
        if let Some(fixed) = &rooms.fixed
            && required.contains(&Input::Room)
        {
            inputs.0.push((Input::Room, Source::Constant(fixed.as_str().into())));
        }
        let said = |wanted: Input| {
            let is_in =
                |part: &str| self.peek(table, part).is_some_and(|table| table.get(wanted.name()).is_some());
            inputs.0.iter().any(|(input, _)| *input == wanted) || is_in("with") || is_in("set")
        };
        let elsewhere = |input: Input| input == Input::Room && said(Input::To);
        let missing: Vec<_> =
            required.iter().filter(|input| !(said(**input) || elsewhere(**input))).collect();
        for input in missing {
            self.mistake(at, format!("`with` does not say where `{}` is", input.name()));
        }
        inputs
    }

    fn peek<'t>(&self, table: Table<'t>, name: &str) -> Option<Table<'t>> {
        table.get(name).and_then(Item::as_table_like)
    }

    fn input(&mut self, action: &Action, rooms: &Rooms, name: &str, item: &Item) -> Option<Input> {
        let (required, optional) = action.parts();
        let known: Vec<_> = required.iter().chain(optional).collect();
        let Some(input) = known.iter().find(|input| input.name() == name) else {
            let names: Vec<_> = known.iter().map(|input| input.name()).collect();
            self.mistake(start(Some(item)), unknown("input of this action", name, &names));
            return None;
        };
        if rooms.fixed.is_some() && matches!(input, Input::Room | Input::To) {
            self.mistake(start(Some(item)), format!("`{name}` says nothing: there is one room (`fixed`)"));
            return None;
        }
        Some(**input)
    }

    /// Places in a payload: keys, one in the other, with dots between.
    fn paths(&mut self, item: &Item) -> Option<Vec<Vec<String>>> {
        let texts: Option<Vec<&str>> = match item.as_value() {
            Some(Value::String(text)) => Some(vec![text.value()]),
            Some(Value::Array(texts)) if !texts.is_empty() => texts.iter().map(Value::as_str).collect(),
            _ => None,
        };
        let path = |text: &str| -> Option<Vec<String>> {
            let keys = text.split('.').map(str::to_owned).collect::<Vec<_>>();
            match text {
                "." => Some(Vec::new()),
                _ => keys.iter().all(|key| !key.is_empty()).then_some(keys),
            }
        };
        let paths = texts.and_then(|texts| texts.into_iter().map(path).collect());
        if paths.is_none() {
            let what = "a place in the payload: \"chatId\", \"chat.id\", \".\" for the payload itself, \
                        or several of them: [\"chatId\", \".\"]";
            self.mistake(start(Some(item)), what);
        }
        paths
    }
}
