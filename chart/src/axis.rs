//! Where values stand on an axis, and what is written beside it.

use crate::{Axis, Chart};

/// The next larger of 1, 2, 5, 10, 20 ... and their fractions.
pub fn nice(step: f64) -> f64 {
    if step <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= step * 0.999);
    factor.unwrap_or(10.0) * power
}

/// A number as people write it: "1.5k", "20m".
pub fn short(value: f64) -> String {
    let units = [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ")];
    let (unit, letter) =
        units.into_iter().find(|(unit, _)| value.abs() >= *unit * 0.999).unwrap_or((1.0, ""));
    let scaled = (value / unit * 100.0).round() / 100.0;
    format!("{scaled}{letter}")
}

/// Percentiles that are written below their axis.
const PERCENTILES: [f64; 7] = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999];
/// Longer times are written in minutes.
const MINUTES_FROM: f64 = 300.0;

/// From where to where an axis runs, in its own measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    axis: Axis,
    from: f64,
    to: f64,
}

impl Range {
    /// That has room for everything in these charts.
    pub fn of(charts: &[Chart]) -> Self {
        let axis = charts.first().map(|chart| chart.axis).unwrap_or_default();
        let points = charts.iter().flat_map(|chart| &chart.series).flat_map(|series| &series.points);
        let ends = charts.iter().flat_map(|chart| &chart.spans).flat_map(|span| [span.from, span.to]);
        let all = points.map(|(at, _)| *at).chain(ends).map(|at| measure(axis, at));
        let least = if axis == Axis::Percentile { 0.3 } else { 1.0 };
        let to = all.filter(|at| at.is_finite()).fold(least, f64::max);
        Self { axis, from: 0.0, to }
    }

    /// How far along it is, from 0 to 1.
    pub fn place(self, at: f64) -> f64 {
        ((measure(self.axis, at) - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }

    /// What the axis ends with, in its own measure.
    pub fn end(self) -> f64 {
        self.to
    }

    /// What is written below it, and how far along.
    pub fn ticks(self, about: f64) -> Vec<(f64, String)> {
        match self.axis {
            Axis::Percentile => {
                let ticks = PERCENTILES.into_iter().filter(|at| measure(self.axis, *at) <= self.to + 1e-9);
                ticks.map(|at| (self.place(at), format!("{at}%"))).collect()
            }
            Axis::Time if self.to >= MINUTES_FROM => {
                let step = nice(self.to / 60.0 / about).max(1.0);
                let ticks = (0..=(self.to / 60.0 / step) as u32).map(|tick| f64::from(tick) * step);
                ticks.map(|minutes| (self.place(minutes * 60.0), format!("{minutes} min"))).collect()
            }
            Axis::Time => {
                let step = nice(self.to / about).max(1.0);
                let ticks = (0..=(self.to / step) as u32).map(|tick| f64::from(tick) * step);
                ticks.map(|at| (self.place(at), format!("{at} s"))).collect()
            }
        }
    }
}

fn measure(axis: Axis, at: f64) -> f64 {
    match axis {
        Axis::Time => at,
        // 0 at the 0th, 1 at the 90th, 2 at the 99th.
        Axis::Percentile => (100.0 / (100.0 - at.min(99.999_99))).log10(),
    }
}

/// The top of a value axis, and the step between its lines.
pub fn heights(highest: f64) -> (f64, f64) {
    let step = nice(highest / 4.0);
    (step * (highest / step - 1e-9).ceil().max(1.0), step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Series;

    #[test]
    fn steps_and_numbers_are_as_people_write_them() {
        for (step, rounded) in [(0.0, 1.0), (0.7, 1.0), (1.2, 2.0), (3.0, 5.0), (7.0, 10.0), (0.003, 0.005)] {
            assert!((nice(step) - rounded).abs() < 1e-9, "{step}: {}", nice(step));
        }
        for (value, text) in
            [(0.0, "0"), (1500.0, "1.5k"), (0.02, "20m"), (5e-5, "50µ"), (12.0, "12"), (2e6, "2M")]
        {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn values_have_room_below_the_top() {
        for (highest, top, step) in
            [(0.0, 1.0, 1.0), (10.0, 10.0, 5.0), (8.0, 8.0, 2.0), (901.0, 1000.0, 500.0)]
        {
            assert_eq!(heights(highest), (top, step), "{highest}");
        }
    }

    #[test]
    fn each_nine_is_as_wide_as_the_one_before() {
        let series = vec![Series::new("", vec![(0.0, 1.0), (99.9, 2.0)])];
        let range = Range::of(&[Chart { axis: Axis::Percentile, series, ..Chart::default() }]);
        let ticks: Vec<_> =
            range.ticks(5.0).into_iter().map(|(at, text)| (format!("{at:.2}"), text)).collect();
        let ticks: Vec<_> = ticks.iter().map(|(at, text)| (&**at, &**text)).collect();
        assert_eq!(
            ticks,
            [("0.00", "0%"), ("0.10", "50%"), ("0.33", "90%"), ("0.67", "99%"), ("1.00", "99.9%")]
        );
    }

    #[test]
    fn long_times_are_minutes() {
        let until = |to| {
            let spans = vec![crate::Span { to, ..Default::default() }];
            let ticks = Range::of(&[Chart { spans, ..Chart::default() }]).ticks(5.0);
            ticks.into_iter().map(|(_, text)| text).next_back()
        };
        assert_eq!(until(20.0).as_deref(), Some("20 s"));
        assert_eq!(until(600.0).as_deref(), Some("10 min"));
    }
}
