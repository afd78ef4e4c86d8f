//! Times as text.

use std::io::Write as _;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// Appends milliseconds since the Unix epoch as ISO 8601, in UTC:
/// `2026-11-21T05:00:00.000Z`. Years before 0 and after 9999 are cut to them.
pub fn write_iso(out: &mut Vec<u8>, at: i64) {
    let at = at.clamp(-62_167_219_200_000, 253_402_300_799_999);
    let (days, rest) = (at.div_euclid(DAY), at.rem_euclid(DAY));
    let (year, month, day) = date(days);
    let (hour, minute, second, milli) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60, rest % 1000);
    write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
        .expect("memory takes all");
}

/// The date so many days after 1970-01-01. Years are counted from March, so
/// that the leap day comes last, in eras of 400 years.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + carry, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_what_the_calendar_says() {
        for (at, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_795_237_200_123, "2026-11-21T05:00:00.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
        ] {
            let mut out = Vec::new();
            write_iso(&mut out, at);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
