//! Two runs beside each other.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::ensure;
use serde_json::Value;

use super::rows::{Better, Figure, Unit};
use super::{Latency, Record};

/// Settings that say nothing about the load.
const ELSEWHERE: [&str; 2] = ["json", "html"];
/// A ratio that differs less from 1 is no difference.
const SAME: f64 = 0.02;

/// A figure of both.
#[derive(Debug, PartialEq)]
pub struct Row {
    /// Of what.
    pub name: String,
    /// In what.
    pub unit: Unit,
    /// Of the first run, if it has it.
    pub before: Option<f64>,
    /// Of the second run, if it has it.
    pub after: Option<f64>,
    /// Which of two is better.
    pub better: Better,
}

/// What a difference means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The second is better.
    Better,
    /// The second is worse.
    Worse,
    /// Nothing, or nothing that could be said.
    None,
}

impl Row {
    fn of(figure: &Figure) -> Self {
        let Figure { name, value, unit, better, .. } = figure;
        Self { name: name.to_string(), unit: *unit, before: Some(*value), after: None, better: *better }
    }

    /// How many times the first the second is; `None`: of nothing, or unknown.
    pub fn ratio(&self) -> Option<f64> {
        let (before, after) = (self.before?, self.after?);
        match (before == 0.0, after == 0.0) {
            (true, true) => Some(1.0),
            (true, false) => None,
            (false, _) => Some(after / before),
        }
    }

    /// What the difference means.
    pub fn change(&self) -> Change {
        let (Some(before), Some(after)) = (self.before, self.after) else { return Change::None };
        if self.ratio().is_some_and(|ratio| (ratio - 1.0).abs() < SAME) {
            return Change::None;
        }
        match (self.better, after > before) {
            (Better::Neither, _) => Change::None,
            (Better::Higher, true) | (Better::Lower, false) => Change::Better,
            (Better::Higher, false) | (Better::Lower, true) => Change::Worse,
        }
    }
}

/// Two runs beside each other.
pub struct Comparison<'a> {
    /// The first.
    pub before: &'a Record,
    /// The second.
    pub after: &'a Record,
    /// Figures of either.
    pub rows: Vec<Row>,
    /// Settings that differ: the key, and what each has.
    pub settings: Vec<(String, String, String)>,
}

impl<'a> Comparison<'a> {
    /// Compares; two different scenarios only if forced to.
    pub fn new(before: &'a Record, after: &'a Record, force: bool) -> anyhow::Result<Self> {
        let (one, other) = (before.scenario(), after.scenario());
        let alike = one == other && before.report.result.name() == after.report.result.name();
        ensure!(
            alike || force,
            "{one} and {other} are different scenarios, and their figures mean different things (--force \
             compares what has the same name)"
        );
        let settings = differences(&before.settings, &after.settings);
        Ok(Self { before, after, rows: rows(before, after), settings })
    }
}

/// All figures of a run, the percentiles of its latencies among them.
fn figures(record: &Record) -> Vec<Figure> {
    let mut all = record.report.figures();
    for (name, latency) in record.report.result.rows().latencies() {
        let of =
            |(column, millis)| Figure::new(format!("{name} {column}"), millis, Unit::Millis, Better::Lower);
        all.extend(Latency::columns(latency).map(of));
    }
    all
}

fn rows(before: &Record, after: &Record) -> Vec<Row> {
    let mut rows: Vec<_> = figures(before).iter().map(Row::of).collect();
    for figure in figures(after) {
        match rows.iter_mut().find(|row| row.name == figure.name) {
            Some(row) => row.after = Some(figure.value),
            None => rows.push(Row { before: None, after: Some(figure.value), ..Row::of(&figure) }),
        }
    }
    rows
}

/// A setting as it is shown.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(shown).collect::<Vec<_>>().join(", "),
        value => value.to_string(),
    }
}

fn differences(before: &Value, after: &Value) -> Vec<(String, String, String)> {
    let keys = |of: &Value| of.as_object().into_iter().flat_map(|map| map.keys().cloned()).collect();
    let (one, other): (BTreeSet<String>, BTreeSet<String>) = (keys(before), keys(after));
    one.union(&other)
        .filter(|key| !ELSEWHERE.contains(&key.as_str()) && before[key.as_str()] != after[key.as_str()])
        .map(|key| (key.clone(), shown(&before[key.as_str()]), shown(&after[key.as_str()])))
        .collect()
}

impl fmt::Display for Comparison<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = (self.before, self.after);
        for (letter, record) in [("A", before), ("B", after)] {
            let rows = record.report.result.rows();
            let wrong = if record.report.violations.is_empty() { "" } else { "  WRONG" };
            writeln!(f, "{letter}: {} {}: {}{wrong}", record.started_at, record.report.wire, rows.title())?;
        }
        for (key, before, after) in &self.settings {
            writeln!(f, "   {key}: {before} -> {after}")?;
        }
        writeln!(f, "\n{:<32} {:>14} {:>14} {:>8}", "", "A", "B", "B/A")?;
        for row in &self.rows {
            let show = |value: Option<f64>| match value.map(|value| row.unit.show(value)) {
                Some((value, "")) => value,
                Some((value, unit)) => format!("{value} {unit}"),
                None => "-".to_owned(),
            };
            let ratio = row.ratio().map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            let change = match row.change() {
                Change::Better => "  better",
                Change::Worse => "  worse",
                Change::None => "",
            };
            writeln!(
                f,
                "{:<32} {:>14} {:>14} {ratio:>8}{change}",
                row.name,
                show(row.before),
                show(row.after)
            )?;
        }
        Ok(())
    }
}
