//! What is shown of a node: one list, for the screen, the table and JSON.

use super::figures::Figures;

/// One figure and how it is written.
pub struct Column {
    /// Over its cells.
    pub title: &'static str,
    /// In JSON, with the unit in its name.
    pub key: &'static str,
    /// Those with the lowest are shown where there is no room for all.
    pub rank: u8,
    unit: Unit,
    /// The figure.
    pub value: fn(&Figures) -> Option<f64>,
}

#[derive(Clone, Copy)]
enum Unit {
    Number,
    PerSecond,
    Seconds,
    Bytes,
    Processors,
    /// 1 or 0.
    Link,
}

/// From left to right.
pub const COLUMNS: [Column; 16] = [
    column("conns", "connections", 0, Unit::Number, |figures| figures.connections),
    column("frames/s", "framesPerSecond", 6, Unit::PerSecond, |figures| figures.frames),
    column("deliv/s", "deliveriesPerSecond", 2, Unit::PerSecond, |figures| figures.deliveries),
    column("sends/s", "sendsPerSecond", 1, Unit::PerSecond, |figures| figures.sends),
    column("ans p50", "answerP50Seconds", 9, Unit::Seconds, |figures| figures.answers.quantile(0.5)),
    column("ans p99", "answerP99Seconds", 3, Unit::Seconds, |figures| figures.answers.quantile(0.99)),
    column("com p50", "commitP50Seconds", 10, Unit::Seconds, |figures| figures.commits.quantile(0.5)),
    column("com p99", "commitP99Seconds", 4, Unit::Seconds, |figures| figures.commits.quantile(0.99)),
    column("holes/s", "holesFilledPerSecond", 8, Unit::PerSecond, |figures| figures.holes),
    column("open/s", "holesUnansweredPerSecond", 12, Unit::PerSecond, |figures| figures.holes_open),
    column("waiting", "commandsWaiting", 7, Unit::Number, |figures| figures.waiting),
    column("evict/s", "slowReadersPerSecond", 11, Unit::PerSecond, |figures| figures.evictions),
    column("memory", "memoryBytes", 5, Unit::Bytes, |figures| figures.memory),
    column("cpu", "processors", 5, Unit::Processors, |figures| figures.processors),
    column("broker", "brokerUp", 13, Unit::Link, |figures| figures.broker),
    column("redis", "presenceUp", 14, Unit::Link, |figures| figures.presence),
];

const fn column(
    title: &'static str,
    key: &'static str,
    rank: u8,
    unit: Unit,
    value: fn(&Figures) -> Option<f64>,
) -> Column {
    Column { title, key, rank, unit, value }
}

impl Column {
    /// The figure of a node, as short as it can be read.
    pub fn cell(&self, figures: &Figures) -> String {
        let Some(value) = (self.value)(figures).filter(|value| value.is_finite()) else {
            return "-".to_owned();
        };
        match self.unit {
            Unit::Number => number(value),
            Unit::PerSecond if value > 0.0 && value < 99.95 => format!("{value:.1}"),
            Unit::PerSecond => number(value),
            Unit::Seconds if value < 0.000_999_5 => format!("{:.0}us", value * 1e6),
            Unit::Seconds if value < 0.099_95 => format!("{:.1}ms", value * 1e3),
            Unit::Seconds if value < 0.999_5 => format!("{:.0}ms", value * 1e3),
            Unit::Seconds => format!("{value:.1}s"),
            Unit::Bytes if value < 1024.0 * 1024.0 => format!("{:.0}K", value / 1024.0),
            Unit::Bytes if value < 1000.0 * 1024.0 * 1024.0 => format!("{:.0}M", value / 1024.0 / 1024.0),
            Unit::Bytes => format!("{:.1}G", value / 1024.0 / 1024.0 / 1024.0),
            Unit::Processors => format!("{:.0}%", value * 100.0),
            Unit::Link => if value > 0.0 { "up" } else { "AWAY" }.to_owned(),
        }
    }

    /// Whether this figure is bad news by itself.
    pub fn alarms(&self, figures: &Figures) -> bool {
        let value = (self.value)(figures);
        match self.unit {
            Unit::Link => value == Some(0.0),
            _ => self.key == "holesUnansweredPerSecond" && value > Some(0.0),
        }
    }

    /// The widest that a cell gets.
    pub fn width(&self) -> u16 {
        const WIDEST: usize = 6;
        u16::try_from(self.title.len().max(WIDEST)).unwrap_or(u16::MAX)
    }

    /// True or false in JSON.
    pub fn is_link(&self) -> bool {
        matches!(self.unit, Unit::Link)
    }
}

fn number(value: f64) -> String {
    match value {
        ..9_999.5 => format!("{value:.0}"),
        ..99_950.0 => format!("{:.1}k", value / 1e3),
        ..999_500.0 => format!("{:.0}k", value / 1e3),
        _ => format!("{:.2}M", value / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_short() {
        let check = |unit, cases: &[(f64, &str)]| {
            for (value, expected) in cases {
                let column = column("", "", 0, unit, |figures| figures.connections);
                let figures = Figures { connections: Some(*value), ..Figures::default() };
                let cell = column.cell(&figures);
                assert_eq!(&cell, expected, "{value}");
                assert!(cell.len() <= usize::from(column.width()));
            }
        };
        check(
            Unit::Number,
            &[(0.0, "0"), (9999.0, "9999"), (12_345.0, "12.3k"), (123_456.0, "123k"), (1e6, "1.00M")],
        );
        check(
            Unit::PerSecond,
            &[(0.0, "0"), (0.5, "0.5"), (99.94, "99.9"), (99.96, "100"), (25_000.0, "25.0k")],
        );
        check(
            Unit::Seconds,
            &[(0.00025, "250us"), (0.0012, "1.2ms"), (0.25, "250ms"), (0.9996, "1.0s"), (10.0, "10.0s")],
        );
        check(Unit::Bytes, &[(4096.0, "4K"), (30e6, "29M"), (1.05e9, "1.0G"), (34e9, "31.7G")]);
        check(Unit::Processors, &[(0.0, "0%"), (0.126, "13%"), (31.9, "3190%")]);
        check(Unit::Link, &[(1.0, "up"), (0.0, "AWAY")]);
        check(Unit::Number, &[(f64::NAN, "-")]);
    }

    #[test]
    fn what_a_node_does_not_have_is_a_dash() {
        assert!(COLUMNS.iter().all(|column| column.cell(&Figures::default()) == "-"));
    }
}
