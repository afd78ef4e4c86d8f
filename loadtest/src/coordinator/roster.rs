//! How far each worker of a run is, and what follows from it for all.

use anyhow::Context as _;

use crate::part::Part;
use crate::stage::{Point, Progress};

/// All workers of a run.
pub struct Roster {
    workers: Vec<Standing>,
    released: Option<Point>,
}

#[derive(Default)]
struct Standing {
    reached: Option<Point>,
    progress: Progress,
    part: Option<Part>,
}

impl Roster {
    /// Of so many, of whom nothing is known yet.
    pub fn new(workers: usize) -> Self {
        let mut all = Vec::new();
        all.resize_with(workers, Standing::default);
        Self { workers: all, released: None }
    }

    /// A worker has come this far; the point that all have reached now, if that is news.
    pub fn reach(&mut self, worker: usize, point: Point) -> Option<Point> {
        self.workers[worker].reached = Some(point);
        let all = self.workers.iter().map(|worker| worker.reached).min().flatten();
        (all > self.released).then(|| {
            self.released = all;
            all
        })?
    }

    /// A worker has done this much; what all have done.
    pub fn progress(&mut self, worker: usize, progress: Progress) -> Progress {
        self.workers[worker].progress = progress;
        self.workers.iter().map(|worker| worker.progress).fold(Progress::default(), std::ops::Add::add)
    }

    /// A worker is done; whether all are.
    pub fn finish(&mut self, worker: usize, part: Part) -> bool {
        self.workers[worker].part = Some(part);
        (0..self.workers.len()).all(|worker| self.is_done(worker))
    }

    /// Whether a worker is done.
    pub fn is_done(&self, worker: usize) -> bool {
        self.workers[worker].part.is_some()
    }

    /// Whether some wait for others, and what these others do.
    pub fn late(&self) -> Option<(Vec<usize>, &'static str)> {
        let first = self.workers.iter().filter_map(|worker| worker.reached).max()?;
        if Some(first) == self.released {
            return None;
        }
        let behind = self.workers.iter().enumerate().filter(|(_, worker)| worker.reached < Some(first));
        Some((behind.map(|(number, _)| number).collect(), first.before()))
    }

    /// What all have counted and measured together.
    pub fn sum(self) -> anyhow::Result<Part> {
        let parts = self
            .workers
            .into_iter()
            .enumerate()
            .map(|(number, worker)| worker.part.with_context(|| format!("worker {number} is not done")));
        Part::sum(parts.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_goes_on_before_the_last() {
        let mut roster = Roster::new(3);
        assert_eq!(roster.reach(0, Point::Gathered), None);
        assert_eq!(roster.reach(2, Point::Gathered), None);
        assert_eq!(roster.late(), Some((vec![1], "making users and rooms")));
        assert_eq!(roster.reach(1, Point::Gathered), Some(Point::Gathered));
        assert_eq!(roster.late(), None);
        assert_eq!(roster.reach(1, Point::Ready), None);
        assert_eq!(roster.reach(0, Point::Ready), None);
        assert_eq!(roster.late(), Some((vec![2], "connecting")));
        assert_eq!(roster.reach(2, Point::Ready), Some(Point::Ready));
    }

    #[test]
    fn progress_is_that_of_all() {
        let mut roster = Roster::new(2);
        let one = Progress { connected: 1, answered: 20, delivered: 300 };
        roster.progress(0, one);
        roster.progress(1, one);
        let all = roster.progress(0, Progress { answered: 30, ..one });
        assert_eq!(all, Progress { connected: 2, answered: 50, delivered: 600 });
    }

    #[test]
    fn a_part_that_is_missing_is_no_sum() {
        assert!(Roster::new(2).sum().unwrap_err().to_string().contains("worker 0"));
        assert!(Roster::new(0).sum().is_err());
    }
}
