//! What is run, in which order, and how long that takes.

use std::time::Duration;

use anyhow::{bail, ensure};

use crate::contestants::{ALL, Contestant};
use crate::curves::CURVES;
use crate::load::{Load, Scale};
use crate::rows::ROWS;

/// One run of the generator against one system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Of which row or curve.
    pub row: &'static str,
    /// Where on the curve.
    pub point: Option<String>,
    /// Whom.
    pub contestant: Contestant,
    /// Under which load.
    pub load: Load,
    /// Rooms that are open beside it.
    pub quiet_rooms: usize,
    /// From 1.
    pub round: usize,
}

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Rows and curves; none: all.
    pub only: Vec<String>,
    /// Contestants of the rows; none: all.
    pub contestants: Vec<String>,
    /// Rounds of the rows.
    pub rounds: usize,
    /// Rounds of the curves.
    pub curve_rounds: usize,
}

/// What can be opened in a second, one room after the other in each of many hands.
const QUIET_ROOMS_PER_SECOND: usize = 2500;

impl Step {
    /// A name for its files.
    pub fn name(&self) -> String {
        let point =
            self.point.as_ref().map(|point| format!("-{}", point.replace(',', ""))).unwrap_or_default();
        format!("{}{point}-{}-{}", self.row, self.contestant.name(), self.round)
    }

    /// About how long it takes.
    pub fn estimate(&self, scale: Scale) -> Duration {
        let quiet = Duration::from_millis((self.quiet_rooms * 1000 / QUIET_ROOMS_PER_SECOND) as u64);
        self.load.estimate(scale) + quiet
    }
}

/// All steps. In every round each row is run with all its contestants in turn,
/// so that whatever the machine does in those minutes, it does to all of them.
pub fn steps(wanted: &Wanted, scale: Scale) -> anyhow::Result<Vec<Step>> {
    let rows = ROWS.iter().map(|row| row.name);
    let names: Vec<_> = rows.chain(CURVES.iter().map(|curve| curve.name)).collect();
    for name in &wanted.only {
        ensure!(names.contains(&&**name), "there is no row {name:?}; there are {}", names.join(", "));
    }
    let known = ALL.map(Contestant::name);
    for name in &wanted.contestants {
        ensure!(known.contains(name), "there is no contestant {name:?}; there are {}", known.join(", "));
    }
    let is_wanted = |name: &str| wanted.only.is_empty() || wanted.only.iter().any(|only| only == name);
    let competes = |contestant: &Contestant| {
        wanted.contestants.is_empty() || wanted.contestants.contains(&contestant.name())
    };
    let mut steps = Vec::new();
    for round in 1..=wanted.rounds.max(wanted.curve_rounds) {
        let rows = ROWS.iter().filter(|row| round <= wanted.rounds && is_wanted(row.name));
        steps.extend(rows.flat_map(|row| {
            let contestants = row.contestants.iter().copied().filter(competes);
            contestants.map(move |contestant| Step {
                row: row.name,
                point: None,
                contestant,
                load: row.load,
                quiet_rooms: 0,
                round,
            })
        }));
        let curves = CURVES.iter().filter(|curve| round <= wanted.curve_rounds && is_wanted(curve.name));
        steps.extend(curves.flat_map(|curve| {
            (curve.points)(scale).into_iter().map(move |point| Step {
                row: curve.name,
                point: Some(point.label),
                contestant: point.contestant,
                load: point.load,
                quiet_rooms: point.quiet_rooms,
                round,
            })
        }));
    }
    if steps.is_empty() {
        bail!("nothing is left to be measured");
    }
    Ok(steps)
}

/// How long the rest takes, if it goes on as it went: `done` were estimated and
/// took so long.
pub fn time_left(left: Duration, done: Duration, took: Duration) -> Duration {
    if done.is_zero() { left } else { left.mul_f64(took.as_secs_f64() / done.as_secs_f64()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::contestants::{FLOOR, SIO, SIO_PG};

    fn wanted(rounds: usize) -> Wanted {
        Wanted { rounds, curve_rounds: 1, ..Wanted::default() }
    }

    #[test]
    fn contestants_take_turns_in_every_round() {
        let wanted = Wanted {
            only: vec!["pairs".to_owned()],
            contestants: ["floor", "sio"].map(str::to_owned).to_vec(),
            ..wanted(2)
        };
        let steps = steps(&wanted, Scale::FULL).unwrap();
        let order: Vec<_> = steps.iter().map(|step| (step.round, step.contestant)).collect();
        assert_eq!(order, [(1, SIO), (1, FLOOR), (2, SIO), (2, FLOOR)]);
        assert_eq!(steps[0].name(), "pairs-sio-1");
    }

    #[test]
    fn what_is_not_there_is_refused_with_what_is() {
        let wrong = Wanted { only: vec!["pears".to_owned()], ..wanted(1) };
        assert!(steps(&wrong, Scale::FULL).unwrap_err().to_string().contains("pairs, senders"));
        let wrong = Wanted { contestants: vec!["nobody".to_owned()], ..wanted(1) };
        assert!(steps(&wrong, Scale::FULL).unwrap_err().to_string().contains("standalone"));
        let none =
            Wanted { only: vec!["senders".to_owned()], contestants: vec!["floor".to_owned()], ..wanted(1) };
        assert!(steps(&none, Scale::FULL).is_err());
    }

    #[test]
    fn three_rounds_take_less_than_fifty_minutes_and_a_quick_one_less_than_eight() {
        let time = |rounds, scale| {
            let steps = steps(&wanted(rounds), scale).unwrap();
            let names: BTreeSet<_> = steps.iter().map(Step::name).collect();
            assert_eq!(names.len(), steps.len(), "each has files of its own");
            steps.iter().map(|step| step.estimate(scale)).sum::<Duration>()
        };
        let (full, quick) = (time(3, Scale::FULL), time(1, Scale::QUICK));
        assert!(full < Duration::from_secs(50 * 60), "{full:?}");
        assert!(quick < Duration::from_secs(8 * 60), "{quick:?}");
        assert_eq!(SIO_PG.name(), "sio-pg");
    }

    #[test]
    fn what_is_left_takes_as_long_as_what_is_done() {
        let seconds = Duration::from_secs;
        assert_eq!(time_left(seconds(100), seconds(0), seconds(0)), seconds(100));
        assert_eq!(time_left(seconds(100), seconds(10), seconds(20)), seconds(200));
    }
}
