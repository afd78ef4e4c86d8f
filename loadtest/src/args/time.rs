//! Lengths of time as people write them: `30s`, `1m30s`, `500ms`, or a number.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// Longer than any run; what is added to it still fits.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A length of time. A number without a unit counts so many milliseconds each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time<const PLAIN_MILLIS: u64 = 1000>(pub Duration);

/// A length of time in which a number without a unit is milliseconds.
pub type MillisTime = Time<1>;

impl<const PLAIN_MILLIS: u64> Time<PLAIN_MILLIS> {
    fn of(number: f64, unit: &str) -> Result<Duration, String> {
        let millis = match unit {
            "" => PLAIN_MILLIS as f64,
            "ms" => 1.0,
            "s" => 1e3,
            "m" => 60e3,
            "h" => 3600e3,
            _ => return Err(format!("{unit:?} is no unit of time: ms, s, m, h")),
        };
        Duration::try_from_secs_f64(number * millis / 1e3)
            .ok()
            .filter(|time| *time <= LONGEST)
            .ok_or_else(|| format!("{number}{unit} is not a length of time"))
    }
}

impl<const PLAIN_MILLIS: u64> FromStr for Time<PLAIN_MILLIS> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut left, mut all) = (text.trim(), Duration::ZERO);
        if left.is_empty() {
            return Err("a length of time is needed, such as 30s or 5m".to_owned());
        }
        while !left.is_empty() {
            let digits = left.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(left.len());
            let (number, rest) = left.split_at(digits);
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let (unit, rest) = rest.split_at(letters);
            let number =
                number.parse().map_err(|_| format!("{text:?} is not a length of time like 1m30s"))?;
            if unit.is_empty() && !(rest.is_empty() && all.is_zero()) {
                return Err(format!("{text:?} is not a length of time like 1m30s"));
            }
            all += Self::of(number, unit)?;
            left = rest;
        }
        Ok(Self(all))
    }
}

impl<const PLAIN_MILLIS: u64> fmt::Display for Time<PLAIN_MILLIS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            0 => f.write_str("0s"),
            _ if millis.is_multiple_of(3_600_000) => write!(f, "{}h", millis / 3_600_000),
            _ if millis.is_multiple_of(60_000) => write!(f, "{}m", millis / 60_000),
            _ if millis.is_multiple_of(1000) => write!(f, "{}s", millis / 1000),
            _ => write!(f, "{millis}ms"),
        }
    }
}

impl<const PLAIN_MILLIS: u64> Serialize for Time<PLAIN_MILLIS> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de, const PLAIN_MILLIS: u64> Deserialize<'de> for Time<PLAIN_MILLIS> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reading<const PLAIN_MILLIS: u64>;
        impl<const PLAIN_MILLIS: u64> Visitor<'_> for Reading<PLAIN_MILLIS> {
            type Value = Time<PLAIN_MILLIS>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as \"30s\" or \"5m\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                self.visit_f64(number as f64)
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                self.visit_f64(number as f64)
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
                Time::<PLAIN_MILLIS>::of(number, "").map(Time).map_err(E::custom)
            }
        }
        from.deserialize_any(Reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, millis, shown) in [
            ("30", 30_000, "30s"),
            ("0", 0, "0s"),
            ("1.5s", 1500, "1500ms"),
            ("5m", 300_000, "5m"),
            ("1m30s", 90_000, "90s"),
            ("1h", 3_600_000, "1h"),
            ("250ms", 250, "250ms"),
        ] {
            let time: Time = text.parse().unwrap();
            assert_eq!((time.0.as_millis(), &*time.to_string()), (millis, shown), "{text}");
            assert_eq!(shown.parse::<Time>().unwrap(), time, "{text}");
        }
        assert_eq!("250".parse::<MillisTime>().unwrap().0, Duration::from_millis(250));
        for wrong in ["", "s", "-1", "5 parsecs", "5d", "1m30", "1..2s", "9999999h", "nan"] {
            assert!(wrong.parse::<Time>().is_err(), "{wrong}");
        }
    }
}
