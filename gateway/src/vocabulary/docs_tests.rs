//! Holds docs/vocabularies.md and docs/migrating.md to the code: every table
//! has what the code has and nothing else, and every file in them is one.

use std::collections::HashSet;

use super::input::Input;
use super::load::{CLIENT_KEYS, EMIT_KEYS, REST_KEYS, ROOMS_KEYS, ROOT_KEYS, SHIPPED};
use super::template::{Field, Nested};
use super::{Action, ServerEvents, Vocabulary};

const PAGE: &str = include_str!("../../../docs/vocabularies.md");
const MIGRATING: &str = include_str!("../../../docs/migrating.md");

/// The rows of the first table behind this text, each as its cells.
fn table(behind: &str) -> Vec<Vec<String>> {
    let (_, rest) = PAGE.split_once(behind).unwrap_or_else(|| panic!("{behind:?} is not on the page"));
    let rows =
        rest.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| {
        let row = row.trim().trim_start_matches('|').trim_end_matches('|');
        row.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    rows.skip(2).map(cells).collect()
}

/// What stands in code style in a cell.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn first(row: &[String]) -> String {
    names(&row[0]).remove(0)
}

#[track_caller]
fn check(behind: &str, expected: impl IntoIterator<Item = &'static str>) {
    let rows: Vec<_> = table(behind).iter().map(|row| first(row)).collect();
    assert_eq!(rows, expected.into_iter().collect::<Vec<_>>(), "the table behind {behind:?}");
}

/// `$message.` of the code is `$message.*` on the page.
fn shown(values: &[&str]) -> Vec<String> {
    values
        .iter()
        .map(|value| if value.ends_with('.') { format!("{value}*") } else { value.to_string() })
        .collect()
}

#[test]
fn the_keys_of_a_file_are_on_the_page() {
    check("\nAt the top:\n", ROOT_KEYS);
    check("\n`[rooms]`:\n", ROOMS_KEYS);
    check("\n`[client.<event>]`, once", CLIENT_KEYS);
    check("\n`[[rest]]`, once", REST_KEYS);
    check("\nEvents of the server and answers:\n", EMIT_KEYS);
    check("\nFive ship,", SHIPPED.map(|(name, _)| name));
}

#[test]
fn the_actions_are_on_the_page_with_what_they_need_and_know() {
    let rows = table("\n## Actions\n");
    assert_eq!(rows.iter().map(|row| first(row)).collect::<Vec<_>>(), Action::NAMES);
    for row in rows {
        let action = Action::named(&first(&row), 0, false).unwrap();
        let (required, optional) = action.parts();
        let sorted = |inputs: &[Input]| {
            let mut names: Vec<_> = inputs.iter().map(|input| input.name().to_owned()).collect();
            names.sort();
            names
        };
        let listed = |cell: &str| {
            let mut names = names(cell);
            names.sort();
            names
        };
        assert_eq!(listed(&row[2]), sorted(required), "{action:?} needs");
        assert_eq!(listed(&row[3]), sorted(optional), "{action:?} may have");
        assert_eq!(names(&row[4]), shown(action.values()), "{action:?} knows");
        assert_eq!(row[1].ends_with("events only"), action.needs_connection(), "{action:?}: events only");
    }
}

#[test]
fn inputs_values_and_lists_are_on_the_page() {
    check("\n## Inputs\n", Input::ALL.iter().map(|(name, _)| *name));
    check("\n## Values\n", Field::ALL.iter().map(|(name, _)| *name));
    check("\n## Lists\n", Nested::ALL.iter().map(|(name, _)| *name));
    for (row, (_, nested)) in table("\n## Lists\n").iter().zip(Nested::ALL) {
        assert_eq!(names(&row[1]), [nested.shape()]);
        assert_eq!(names(&row[2]), shown(nested.values()));
    }
}

#[test]
fn what_happens_is_on_the_page() {
    check("\n## What happens\n", ServerEvents::NAMES.iter().copied());
    for row in table("\n## What happens\n") {
        let mut events = ServerEvents::default();
        let (_, values) = events.named(&first(&row)).unwrap();
        assert_eq!(names(&row[2]), shown(values), "{}", first(&row));
    }
}

/// The blocks of a page that are in this language.
fn blocks(page: &'static str, language: &str) -> Vec<&'static str> {
    let begins = format!("```{language}\n");
    let blocks = page.split(&*begins).skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap_or_default()).collect()
}

#[test]
fn every_file_on_the_pages_is_a_vocabulary() {
    let mut files = 0;
    for block in [PAGE, MIGRATING].into_iter().flat_map(|page| blocks(page, "toml")) {
        if block.contains("name = ") {
            files += 1;
            let vocabulary =
                Vocabulary::parse(block).unwrap_or_else(|mistakes| panic!("{mistakes:#?} in\n{block}"));
            assert!(vocabulary.server.all().next().is_some(), "{}", vocabulary.name);
        }
    }
    assert!(files >= 2, "each page has one");
}

/// Nobody is left alone with a route or an event that is not described.
#[test]
fn all_that_ships_is_told_to_whoever_moves_over() {
    let told: HashSet<_> = MIGRATING.split('`').skip(1).step_by(2).collect();
    for (name, text) in SHIPPED {
        let vocabulary = Vocabulary::parse(text).unwrap();
        assert!(MIGRATING.contains(&format!("\n## `{name}`\n")), "{name} has no section");
        for route in &vocabulary.routes {
            let route = format!("{} {}", route.method, route.path);
            assert!(told.contains(&*route), "{name}: {route}");
        }
        let answers = vocabulary.client.values().filter_map(|event| event.answer.as_ref());
        let heard = vocabulary.server.all().map(|(_, emit)| emit).chain(answers).map(|emit| &*emit.event);
        for event in vocabulary.client.keys().map(|event| &**event).chain(heard) {
            assert!(told.contains(event), "{name}: {event}");
        }
    }
}
