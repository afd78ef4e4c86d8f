//! Everything that was measured, as it lies in results.json.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::measure::Sample;
use crate::stats::Spread;

/// All runs, and where and how they were made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The machine and the way: what, and its words.
    pub setting: Vec<(String, String)>,
    /// In the order in which they ran.
    pub runs: Vec<Run>,
}

/// One run of the generator against one system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Of which row or curve.
    pub row: String,
    /// Where on the curve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<String>,
    /// Whom.
    pub contestant: String,
    /// In which round, from 1.
    pub round: usize,
    /// What it has shown, by name.
    pub figures: BTreeMap<String, f64>,
    /// How often what was wrong.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<String, u64>,
    /// The first of it in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<String>,
    /// Why it has shown nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Run {
    /// What it has shown, or why nothing.
    pub fn fill(&mut self, outcome: anyhow::Result<Sample>) {
        match outcome {
            Ok(Sample { figures, faults, violations }) => {
                (self.figures, self.faults, self.violations) = (figures, faults, violations);
            }
            Err(error) => self.error = Some(format!("{error:#}")),
        }
    }

    /// How often anything was wrong.
    pub fn wrong(&self) -> u64 {
        self.faults.values().sum()
    }
}

impl Results {
    /// A figure of every round, with the rounds.
    pub fn values(&self, row: &str, contestant: &str, figure: &str) -> Vec<(usize, f64)> {
        self.of(row, contestant).filter_map(|run| Some((run.round, *run.figures.get(figure)?))).collect()
    }

    /// The same at a place of a curve.
    pub fn at(&self, row: &str, point: &str, contestant: &str, figure: &str) -> Option<Spread> {
        let runs = self.of(row, contestant).filter(|run| run.point.as_deref() == Some(point));
        Spread::of(runs.filter_map(|run| run.figures.get(figure).copied()))
    }

    /// What was wrong with a contestant in a row: `None` if it was not measured.
    pub fn state(&self, row: &str, contestant: &str) -> Option<State> {
        let mut state = None;
        for run in self.of(row, contestant) {
            let of_run = match (&run.error, run.wrong()) {
                (Some(_), _) => State::Failed,
                (None, 0) => State::Sound,
                (None, _) => State::Wrong,
            };
            state = state.max(Some(of_run));
        }
        state
    }

    /// Whether there is anything of this row or curve.
    pub fn has(&self, row: &str) -> bool {
        self.runs.iter().any(|run| run.row == row)
    }

    fn of<'a>(&'a self, row: &'a str, contestant: &'a str) -> impl Iterator<Item = &'a Run> {
        self.runs.iter().filter(move |run| run.row == row && run.contestant == contestant)
    }
}

/// Whether figures stand for anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Every delivery came once and in order.
    Sound,
    /// Not all of them.
    Wrong,
    /// There was no report in one of the rounds.
    Failed,
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A run with one figure.
    pub fn run(row: &str, contestant: &str, round: usize, figure: (&str, f64)) -> Run {
        Run {
            row: row.to_owned(),
            contestant: contestant.to_owned(),
            round,
            figures: BTreeMap::from([(figure.0.to_owned(), figure.1)]),
            ..Run::default()
        }
    }

    #[test]
    fn the_worst_round_says_what_a_contestant_is_worth() {
        let mut results = Results::default();
        assert_eq!(results.state("pairs", "floor"), None);
        results.runs.push(run("pairs", "floor", 1, ("x", 1.0)));
        assert_eq!(results.state("pairs", "floor"), Some(State::Sound));
        let faults = BTreeMap::from([("lost".to_owned(), 1)]);
        results.runs.push(Run { faults, ..run("pairs", "floor", 2, ("x", 1.0)) });
        assert_eq!(results.state("pairs", "floor"), Some(State::Wrong));
        results.runs.push(Run { error: Some("gone".to_owned()), ..run("pairs", "floor", 3, ("x", 1.0)) });
        assert_eq!(results.state("pairs", "floor"), Some(State::Failed));
    }

    #[test]
    fn results_are_read_as_they_were_written() {
        let results = Results {
            setting: vec![("Machine".to_owned(), "small".to_owned())],
            runs: vec![Run {
                point: Some("10".to_owned()),
                ..run("curve-rooms", "cluster-1", 1, ("x", 1.5))
            }],
        };
        let text = serde_json::to_string(&results).unwrap();
        assert_eq!(serde_json::from_str::<Results>(&text).unwrap(), results);
        assert_eq!(results.at("curve-rooms", "10", "cluster-1", "x").unwrap().median, 1.5);
        assert_eq!(results.at("curve-rooms", "100", "cluster-1", "x"), None);
    }
}
