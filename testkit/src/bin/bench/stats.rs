//! What several rounds say together: the middle one, and from where to where.

/// The same thing, measured in several rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// In the middle.
    pub median: f64,
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

impl Spread {
    /// Of these; `None`: there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Some(Self { median, low, high })
    }

    /// Of the ratios of what was measured in the same round: what slows a round
    /// down slows both. Rounds that one of them lacks do not count.
    pub fn of_ratios(of: &[(usize, f64)], against: &[(usize, f64)]) -> Option<Self> {
        let ratio = |(round, value): &(usize, f64)| {
            let (_, other) = against.iter().find(|(other, _)| other == round)?;
            (*other != 0.0).then(|| value / other)
        };
        Self::of(of.iter().filter_map(ratio))
    }

    /// As it stands in a table: `24,200 (21,000 to 34,100)`.
    pub fn text(self) -> String {
        let (median, low, high) = (figure(self.median), figure(self.low), figure(self.high));
        if low == high { median } else { format!("{median} ({low} to {high})") }
    }
}

/// Three digits that count, with commas: `24,200`, `1.53`, `0.087`.
pub fn figure(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { "-".to_owned() };
    }
    let decimals = 2 - value.abs().log10().floor() as i32;
    let unit = 10f64.powi(-decimals);
    let rounded = (value / unit).round() * unit;
    // Rounding may have brought one more digit before the point, as of 99.97.
    let decimals = (2 - rounded.abs().log10().floor() as i32).max(0) as usize;
    let text = format!("{rounded:.decimals$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    let whole = with_commas(whole);
    if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") }
}

/// `100000` as `100,000`.
pub fn with_commas(whole: &str) -> String {
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_one_counts_and_the_ends_are_named() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([f64::NAN]), None);
        let spread = Spread::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!(spread, Spread { median: 2.0, low: 1.0, high: 3.0 });
        assert_eq!(Spread::of([4.0, 2.0]).unwrap().median, 3.0);
        assert_eq!(spread.text(), "2 (1 to 3)");
        assert_eq!(Spread::of([1.5]).unwrap().text(), "1.5");
    }

    #[test]
    fn ratios_are_of_one_round() {
        let (of, against) = ([(1, 10.0), (2, 30.0), (3, 8.0)], [(2, 10.0), (1, 5.0), (4, 1.0)]);
        let ratio = Spread::of_ratios(&of, &against).unwrap();
        assert_eq!(ratio, Spread { median: 2.5, low: 2.0, high: 3.0 });
        assert_eq!(Spread::of_ratios(&of, &[(1, 0.0)]), None);
    }

    #[test]
    fn figures_have_three_digits_that_count() {
        for (value, text) in [
            (24_212.0, "24,200"),
            (1_234_567.0, "1,230,000"),
            (999.6, "1,000"),
            (415.2, "415"),
            (16.24, "16.2"),
            (1.5, "1.5"),
            (99.97, "100"),
            (0.0871, "0.0871"),
            (0.00012, "0.00012"),
            (0.0, "0"),
            (-1234.0, "-1,230"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(figure(value), text, "{value}");
        }
    }
}
