//! What was wrong with a run.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::check::Fault;

/// Violations kept.
const MAX_VIOLATIONS: usize = 20;

/// What was wrong: the first ones in words, and how many there were.
#[derive(Debug, Serialize, Deserialize, Default)]
pub struct Violations {
    #[serde(rename = "violations", default)]
    first: Vec<String>,
    /// All of them; none were counted in what was written earlier.
    #[serde(default)]
    pub wrong: Counts,
}

/// How much was wrong, by its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Deliveries that never came.
    pub lost: u64,
    /// Deliveries that came before.
    pub doubled: u64,
    /// Deliveries that came after a later one.
    pub out_of_order: u64,
    /// Members who heard another order, or another number, than the store has.
    pub not_as_stored: u64,
    /// Messages that the store has otherwise than they were sent and answered:
    /// in another order, twice, or not at all.
    pub not_as_sent: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, doubled, out_of_order, not_as_stored, not_as_sent } = self;
        write!(f, "{lost} deliveries lost, {doubled} doubled, {out_of_order} out of order; ")?;
        write!(f, "{not_as_stored} members heard what is not stored, {not_as_sent} messages stored wrongly")
    }
}

impl Violations {
    /// Notes one more.
    pub fn push(&mut self, what: String) {
        if self.first.len() < MAX_VIOLATIONS {
            self.first.push(what);
        }
    }

    /// Counts a delivery that was not the one that was due. What a gap leaves
    /// out may still come: whether it is lost shows in the end.
    pub fn count(&mut self, fault: &Fault) {
        match fault {
            Fault::Order(..) | Fault::Late(..) => self.wrong.out_of_order += 1,
            Fault::Twice(..) => self.wrong.doubled += 1,
            Fault::Gap(..) => {}
        }
    }

    /// What was wrong with the workers of a run. In turn one of each: the first
    /// worker's do not hide those of the others.
    pub fn of_workers(workers: Vec<Self>) -> Self {
        let mut all = Self::default();
        let mut first = Vec::with_capacity(workers.len());
        for worker in workers {
            all.wrong = all.wrong + worker.wrong;
            first.push(worker.first.into_iter());
        }
        for _ in 0..MAX_VIOLATIONS {
            for (worker, first) in first.iter_mut().enumerate() {
                first.next().into_iter().for_each(|what| all.push(format!("worker {worker}: {what}")));
            }
        }
        all
    }

    /// What was wrong; the first ones.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.first.iter().map(String::as_str)
    }

    /// Nothing was wrong.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            lost: self.lost + other.lost,
            doubled: self.doubled + other.doubled,
            out_of_order: self.out_of_order + other.out_of_order,
            not_as_stored: self.not_as_stored + other.not_as_stored,
            not_as_sent: self.not_as_sent + other.not_as_sent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_counted_beyond_what_is_shown() {
        let mut violations = Violations::default();
        for number in 0..MAX_VIOLATIONS as u64 + 5 {
            let fault = Fault::Late(1, number);
            violations.count(&fault);
            violations.push(fault.to_string());
        }
        violations.count(&Fault::Order(3, 4));
        violations.count(&Fault::Twice(1, 2));
        // It may still come.
        violations.count(&Fault::Gap(1, 4, 2));
        let shown = serde_json::to_value(&violations).unwrap();
        assert_eq!(shown["violations"].as_array().map(Vec::len), Some(MAX_VIOLATIONS));
        let wrong = Counts { out_of_order: MAX_VIOLATIONS as u64 + 6, doubled: 1, ..Counts::default() };
        assert_eq!(shown["wrong"], serde_json::to_value(wrong).unwrap());
    }

    #[test]
    fn no_worker_hides_what_was_wrong_with_another() {
        let of = |count: usize| {
            let mut violations = Violations::default();
            (0..count).for_each(|number| violations.push(number.to_string()));
            violations.wrong.lost = count as u64;
            violations
        };
        let all = Violations::of_workers(vec![of(MAX_VIOLATIONS), of(0), of(2)]);
        assert_eq!(
            all.first[..5],
            ["worker 0: 0", "worker 2: 0", "worker 0: 1", "worker 2: 1", "worker 0: 2"]
        );
        assert_eq!((all.first.len(), all.wrong.lost), (MAX_VIOLATIONS, MAX_VIOLATIONS as u64 + 2));
        assert!(Violations::of_workers(vec![of(0), of(0)]).is_empty());
    }
}
