//! Results as tables: for the page in Markdown, for the report in HTML.

use std::collections::BTreeMap;
use std::fmt::Write;

use chart::escaped;

use crate::contestants::{ALL, Contestant, STANDALONE};
use crate::curves::{CURVES, Curve};
use crate::load::Scale;
use crate::measure::key;
use crate::results::{Results, State};
use crate::rows::{RATIOS, ROWS, Row};
use crate::stats::{Spread, figure, with_commas};

/// Where and how it was measured.
pub const SETTING: &str = "setting";
/// One thing against the other.
pub const SUMMARY: &str = "ratios";
/// What was lost, doubled or out of order, of everybody.
pub const ORDER: &str = "order";

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its marker's name.
    pub name: &'static str,
    /// What stands above it in the report.
    pub title: String,
    /// The first row.
    pub head: Vec<String>,
    /// The others, as Markdown.
    pub rows: Vec<Vec<String>>,
}

/// Every name that a marker may have.
pub fn names() -> Vec<&'static str> {
    let rows = ROWS.iter().map(|row| row.name).chain(CURVES.iter().map(|curve| curve.name));
    [SETTING, SUMMARY, ORDER].into_iter().chain(rows).collect()
}

/// The tables of what was measured. What is summed up over everything is there
/// only if everything is.
pub fn tables(results: &Results, scale: Scale) -> Vec<Table> {
    let mut tables = Vec::new();
    if ROWS.iter().all(|row| results.has(row.name)) {
        tables.extend([setting(results), ratios(results), order(results)]);
    }
    tables.extend(ROWS.iter().filter(|row| results.has(row.name)).map(|row| of_row(row, results)));
    let curves = CURVES.iter().filter(|curve| results.has(curve.name));
    tables.extend(curves.map(|curve| of_curve(curve, results, scale)));
    tables
}

fn setting(results: &Results) -> Table {
    Table {
        name: SETTING,
        title: "Where and how".to_owned(),
        head: vec![String::new(), String::new()],
        rows: results.setting.iter().map(|(what, words)| vec![what.clone(), words.clone()]).collect(),
    }
}

fn of_row(row: &Row, results: &Results) -> Table {
    let mut head = vec![String::new()];
    head.extend(row.columns.iter().map(|(title, _)| (*title).to_owned()));
    let rows = row.contestants.iter().filter_map(|contestant| {
        let name = contestant.name();
        let state = results.state(row.name, &name)?;
        let mut cells = vec![marked(*contestant, state)];
        cells.extend(row.columns.iter().map(|(_, figure)| {
            let values = results.values(row.name, &name, figure).into_iter().map(|(_, value)| value);
            Spread::of(values).map(Spread::text).unwrap_or_default()
        }));
        Some(cells)
    });
    Table { name: row.name, title: row.title.to_owned(), head, rows: rows.collect() }
}

/// The title, and what to think of the figures.
fn marked(contestant: Contestant, state: State) -> String {
    let title = contestant.title();
    match state {
        State::Failed => format!("{title} (FAILED)"),
        State::Wrong if contestant.must_keep_order() => format!("{title} (WRONG)"),
        State::Wrong | State::Sound => title,
    }
}

fn ratios(results: &Results) -> Table {
    let rows = RATIOS.iter().filter_map(|ratio| {
        let values = |of: Contestant| results.values(ratio.row, &of.name(), ratio.figure);
        let spread = Spread::of_ratios(&values(ratio.of), &values(ratio.against))?;
        let plain = |of: Contestant| of.title().replace("**", "");
        Some(vec![
            ratio.title.to_owned(),
            plain(ratio.of),
            plain(ratio.against),
            format!("**{}**", spread.text()),
        ])
    });
    Table {
        name: SUMMARY,
        title: "Against each other, round by round".to_owned(),
        head: ["", "of", "divided by", "ratio"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }
}

fn order(results: &Results) -> Table {
    let kinds: Vec<String> = {
        let all = results.runs.iter().flat_map(|run| run.faults.keys().cloned());
        let mut kinds: Vec<_> = all.collect();
        kinds.sort();
        kinds.dedup();
        kinds
    };
    let rows = ALL.iter().filter_map(|contestant| {
        let name = contestant.name();
        let rows = || results.runs.iter().filter(|run| run.contestant == name && run.point.is_none());
        let (runs, delivered) = rows().fold((0, 0.0), |(runs, delivered), run| {
            (runs + 1, delivered + run.figures.get(key::DELIVERED).copied().unwrap_or(0.0))
        });
        if runs == 0 {
            return None;
        }
        let wrong = rows().filter(|run| run.wrong() > 0).count();
        let mut cells = vec![contestant.title(), runs.to_string(), with_commas(&format!("{delivered:.0}"))];
        cells.push(wrong.to_string());
        cells.extend(kinds.iter().map(|kind| {
            let count: u64 = rows().filter_map(|run| run.faults.get(kind)).sum();
            share(count, delivered)
        }));
        Some(cells)
    });
    let mut head = ["", "runs", "deliveries", "runs with faults"].map(str::to_owned).to_vec();
    head.extend(kinds.iter().map(|kind| kind.replace(['_', '-'], " ")));
    Table { name: ORDER, title: "Lost, doubled, out of order".to_owned(), rows: rows.collect(), head }
}

/// How often, and of how many.
fn share(count: u64, of: f64) -> String {
    let counted = with_commas(&count.to_string());
    if count == 0 || of == 0.0 {
        counted
    } else {
        format!("{counted} ({} %)", figure(100.0 * count as f64 / of))
    }
}

fn of_curve(curve: &Curve, results: &Results, scale: Scale) -> Table {
    let mut head = vec![curve.grows.to_owned()];
    head.extend(curve.lines.iter().map(|(line, _)| format!("{line}, {}", curve.unit)));
    let rows = labels(curve, scale).into_iter().map(|label| {
        let mut cells = vec![label.clone()];
        let of_line = |line| of_line(curve, results, scale, &label, line);
        cells.extend((0..curve.lines.len()).map(|line| of_line(line).map(Spread::text).unwrap_or_default()));
        cells
    });
    Table { name: curve.name, title: curve.title.to_owned(), rows: rows.collect(), head }
}

/// What stands below the axis.
pub fn labels(curve: &Curve, scale: Scale) -> Vec<String> {
    let mut labels: Vec<_> = (curve.points)(scale).into_iter().map(|point| point.label).collect();
    labels.dedup();
    labels
}

/// What a line of a curve has at a place.
pub fn of_line(curve: &Curve, results: &Results, scale: Scale, label: &str, line: usize) -> Option<Spread> {
    let points = (curve.points)(scale).into_iter().filter(|point| point.label == label);
    let mut names = points.map(|point| point.contestant.name());
    let name = names.find(|name| curve.line_is_of(line, name))?;
    results.at(curve.name, label, &name, curve.lines.get(line)?.1)
}

impl Table {
    /// For a page.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cell = |cell: &String| match &**cell {
                "" => " |".to_owned(),
                cell => format!(" {} |", cell.replace('|', "\\|")),
            };
            format!("|{}\n", cells.iter().map(cell).collect::<String>())
        };
        let mut text = line(&self.head);
        text.push_str(&format!("|{}\n", "---|".repeat(self.head.len())));
        text.extend(self.rows.iter().map(|row| line(row)));
        text
    }

    /// For the report.
    pub fn html(&self) -> String {
        let mut html = format!("<h2>{}</h2>\n<table>\n", escaped(&self.title));
        for (tag, row) in std::iter::once(("th", &self.head)).chain(self.rows.iter().map(|row| ("td", row))) {
            html.push_str("<tr>");
            for cell in row {
                // Writing to a string cannot fail.
                let _ = write!(html, "<{tag}>{}</{tag}>", bold(&escaped(cell)));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</table>\n");
        html
    }
}

/// The one thing of Markdown that cells have.
fn bold(text: &str) -> String {
    let parts = text.split("**").enumerate();
    parts.map(|(part, text)| if part % 2 == 1 { format!("<b>{text}</b>") } else { text.to_owned() }).collect()
}

/// In Markdown, by name; curves below their picture, which lies in a folder of
/// this name beside the page.
pub fn markdown(tables: &[Table], pictures: &str) -> BTreeMap<String, String> {
    let text = |table: &Table| {
        let Table { name, title, .. } = table;
        let is_curve = CURVES.iter().any(|curve| curve.name == *name);
        let picture = if is_curve { format!("![{title}]({pictures}/{name}.svg)\n\n") } else { String::new() };
        (table.name.to_owned(), picture + &table.markdown())
    };
    tables.iter().map(text).collect()
}

/// What makes the benchmark fail: runs without a report, and wrong deliveries of
/// those who must keep all of them.
pub fn failures(results: &Results) -> Vec<String> {
    let must_keep = |name: &str| {
        let known = ALL.iter().find(|contestant| contestant.name() == name);
        // Curves have contestants of their own, all of them Carillon's.
        known.unwrap_or(&STANDALONE).must_keep_order()
    };
    let failure = |run: &crate::results::Run| {
        let place = run.point.as_ref().map(|point| format!(" at {point}")).unwrap_or_default();
        let run_name = format!("{}{place}, {}, round {}", run.row, run.contestant, run.round);
        match &run.error {
            Some(error) => Some(format!("{run_name}: {error}")),
            None if run.wrong() > 0 && must_keep(&run.contestant) => {
                Some(format!("{run_name}: WRONG DELIVERIES: {}", run.violations.join("; ")))
            }
            None => None,
        }
    };
    results.runs.iter().filter_map(failure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Run;
    use crate::results::tests::run;

    fn results() -> Results {
        let figure = |value| (key::ANSWERED_PER_SECOND, value);
        let faults = || BTreeMap::from([("out_of_order".to_owned(), 5)]);
        let mut runs = vec![
            Run { faults: faults(), ..run("senders", "sio-pg", 1, figure(3000.0)) },
            run("senders", "standalone", 1, figure(24_000.0)),
            run("senders", "sio-pg", 2, figure(4000.0)),
            run("senders", "standalone", 2, figure(36_000.0)),
        ];
        runs[0].figures.insert(key::DELIVERED.to_owned(), 100.0);
        Results { setting: Vec::new(), runs }
    }

    #[test]
    fn a_row_has_a_line_for_each_that_was_measured() {
        let tables = tables(&results(), Scale::FULL);
        assert_eq!(tables.len(), 1, "nothing that sums up everything");
        assert_eq!(
            tables[0].markdown(),
            "| | answered/s | answer p50, ms | p99, ms |\n|---|---|---|---|\n\
             | Socket.IO + PostgreSQL | 3,500 (3,000 to 4,000) | | |\n\
             | **Carillon standalone** | 30,000 (24,000 to 36,000) | | |\n"
        );
        assert!(tables[0].html().contains("<td><b>Carillon standalone</b></td>"));
    }

    #[test]
    fn ratios_and_shares_are_of_what_they_should_be() {
        let table = ratios(&results());
        assert_eq!(
            table.rows,
            [[
                "stored sends answered/s",
                "Carillon standalone",
                "Socket.IO + PostgreSQL",
                "**8.5 (8 to 9)**"
            ]]
        );
        let table = order(&results());
        assert_eq!(table.head[4], "out of order");
        assert_eq!(table.rows[0][1..], ["2", "100", "1", "5 (5 %)"]);
    }

    #[test]
    fn wrong_deliveries_fail_those_who_must_keep_them() {
        let mut results = results();
        assert!(failures(&results).is_empty(), "a contestant's faults are figures");
        results.runs[3].faults.insert("lost".to_owned(), 1);
        results.runs.push(Run { error: Some("gone".to_owned()), ..run("pairs", "sio", 1, ("x", 1.0)) });
        let failures = failures(&results);
        assert!(failures[0].starts_with("senders, standalone, round 2: WRONG DELIVERIES"), "{failures:?}");
        assert_eq!(failures[1], "pairs, sio, round 1: gone");
        assert!(
            tables(&results, Scale::FULL)
                .iter()
                .any(|table| table.markdown().contains("standalone** (WRONG)"))
        );
    }

    #[test]
    fn curves_have_a_column_for_each_line() {
        let mut results = Results::default();
        let at = |wire: &str, value| Run {
            point: Some("5,000".to_owned()),
            ..run("curve-connections", wire, 1, (key::MEMORY, value))
        };
        results.runs.extend([at("cluster-1", 5.0), at("cluster-1-socketio", 6.0)]);
        let table = &tables(&results, Scale::FULL)[0];
        assert_eq!(table.rows[0], ["5,000", "5", "", "6"]);
        assert_eq!(table.rows.len(), 3);
    }
}
