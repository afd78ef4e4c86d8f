//! Figures and latencies under their names, which is all that text, pages and
//! comparisons need to know of an outcome.

use std::borrow::Cow;

use super::Latency;
use crate::timeline::grouped;

/// An outcome as rows.
pub trait Rows {
    /// What was done, in a few words.
    fn title(&self) -> String;
    /// Its figures, the most important first.
    fn figures(&self) -> Vec<Figure>;
    /// Its latencies.
    fn latencies(&self) -> Vec<(&'static str, &Latency)>;
    /// What else is worth a line.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
    /// What was checked, when nothing was wrong.
    fn verdict(&self) -> &'static str {
        "every member heard every message once, in order"
    }
}

/// A number that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Of what.
    pub name: Cow<'static, str>,
    /// How much.
    pub value: f64,
    /// In what.
    pub unit: Unit,
    /// Which of two is better.
    pub better: Better,
    /// Shown before all others.
    pub headline: bool,
}

impl Figure {
    /// One of several.
    pub fn new(name: impl Into<Cow<'static, str>>, value: f64, unit: Unit, better: Better) -> Self {
        Self { name: name.into(), value, unit, better, headline: false }
    }

    /// One that is shown before all others.
    pub fn headline(name: &'static str, value: f64, unit: Unit, better: Better) -> Self {
        Self { headline: true, ..Self::new(name, value, unit, better) }
    }
}

/// What a figure is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// So many.
    Count,
    /// So many in a second.
    PerSecond,
    /// Seconds.
    Seconds,
    /// Thousandths of them.
    Millis,
    /// Millionths of them.
    Micros,
    /// Bytes.
    Bytes,
}

/// Which of two figures is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The higher one.
    Higher,
    /// The lower one.
    Lower,
    /// They are asked for, or say nothing of good and bad.
    Neither,
}

impl Unit {
    /// The value as it is read best, and what stands behind it.
    pub fn show(self, value: f64) -> (String, &'static str) {
        match self {
            Self::Count => (grouped(value.round() as u64), ""),
            Self::PerSecond if value < 100.0 => (format!("{value:.1}"), "/s"),
            Self::PerSecond => (grouped(value.round() as u64), "/s"),
            Self::Seconds => (format!("{value:.2}"), "s"),
            Self::Millis => (format!("{value:.2}"), "ms"),
            Self::Micros => (format!("{value:.2}"), "µs"),
            Self::Bytes => {
                let (unit, name) = [(30, "GiB"), (20, "MiB"), (10, "KiB"), (0, "B")]
                    .into_iter()
                    .map(|(power, name)| (f64::from(1 << power), name))
                    .find(|(unit, _)| value.abs() >= *unit)
                    .unwrap_or((1.0, "B"));
                (format!("{:.2}", value / unit), name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_they_are_read_best() {
        for (unit, value, shown) in [
            (Unit::Count, 1234.0, ("1,234", "")),
            (Unit::PerSecond, 12.34, ("12.3", "/s")),
            (Unit::PerSecond, 24_613.4, ("24,613", "/s")),
            (Unit::Millis, 1.2345, ("1.23", "ms")),
            (Unit::Bytes, 512.0, ("512.00", "B")),
            (Unit::Bytes, -2048.0, ("-2.00", "KiB")),
            (Unit::Bytes, 3_221_225_472.0, ("3.00", "GiB")),
        ] {
            assert_eq!(unit.show(value), (shown.0.to_owned(), shown.1));
        }
    }
}
