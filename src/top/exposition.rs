//! Prometheus's text format: the part of it that our own nodes write.

use std::time::Instant;

use thiserror::Error;

/// One line of an answer.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Sample {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Everything that a node said at one time.
#[derive(Debug, Clone)]
pub struct Reading {
    /// When it arrived.
    pub at: Instant,
    samples: Vec<Sample>,
}

/// What answered is no node of ours, or not its admin address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("what it answers is no page of metrics (line {line})")]
pub struct Malformed {
    line: usize,
}

/// The buckets of a histogram: upper bounds, rising, and how many values are
/// below each, smaller buckets included.
pub type Buckets = Vec<(f64, f64)>;

impl Reading {
    /// Reads an answer that arrived at this time.
    pub fn parse(text: &str, at: Instant) -> Result<Self, Malformed> {
        let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
        let samples = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let samples = samples.map(|(line, text)| sample(text).ok_or(Malformed { line }));
        Ok(Self { at, samples: samples.collect::<Result<_, _>>()? })
    }

    fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| sample.name == name)
    }

    /// A metric, summed over its labels.
    pub fn sum(&self, name: &str) -> Option<f64> {
        total(self.named(name))
    }

    /// A metric, summed over the series with these labels.
    pub fn sum_with(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        total(self.named(name).filter(|sample| {
            labels.iter().all(|(label, value)| sample.label(label).is_some_and(|known| known == *value))
        }))
    }

    /// What a label of a metric says.
    pub fn label(&self, name: &str, label: &str) -> Option<&str> {
        self.named(name).next()?.label(label)
    }

    /// The buckets of a histogram without further labels.
    pub fn buckets(&self, family: &str) -> Option<Buckets> {
        let name = format!("{family}_bucket");
        let bound = |sample: &Sample| sample.label("le")?.parse::<f64>().ok().filter(|le| !le.is_nan());
        let mut buckets: Buckets =
            self.named(&name).filter_map(|sample| Some((bound(sample)?, sample.value))).collect();
        buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        Some(buckets).filter(|buckets| !buckets.is_empty())
    }
}

fn total<'a>(samples: impl Iterator<Item = &'a Sample>) -> Option<f64> {
    samples.map(|sample| sample.value).reduce(|one, other| one + other)
}

/// `name{label="value",...} value [time]`
fn sample(line: &str) -> Option<Sample> {
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let mut words = rest.split_ascii_whitespace();
    let value = words.next()?.parse().ok()?;
    let time = words.next().is_none_or(|time| time.parse::<i64>().is_ok());
    (time && words.next().is_none()).then(|| Sample { name: name.to_owned(), labels, value })
}

/// Labels and what follows them.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, after) = rest.split_once('=')?;
        let (value, after) = quoted(after.trim_start().strip_prefix('"')?)?;
        labels.push((name.trim().to_owned(), value));
        rest = after;
    }
}

/// A label's value up to its closing quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            character => value.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"
# HELP a_total A counter.
# TYPE a_total counter
a_total{code="normal"} 3
a_total{code="slow_reader",why="a \"b\" \\ \n}"} 4 1700000000000

b 1.5e3
nothing NaN
# TYPE c_seconds histogram
c_seconds_bucket{le="+Inf"} 9
c_seconds_bucket{le="0.1"} 2
c_seconds_bucket{le="0.5",} 7
c_seconds_sum 1.25
c_seconds_count 9
build_info{version="1.2.3",role="gateway"} 1
"#;

    fn read(text: &str) -> Result<Reading, Malformed> {
        Reading::parse(text, Instant::now())
    }

    #[test]
    fn a_page_is_read() {
        let page = read(PAGE).unwrap();
        assert_eq!((page.sum("a_total"), page.sum("b"), page.sum("a")), (Some(7.0), Some(1500.0), None));
        assert_eq!(page.sum_with("a_total", &[("code", "slow_reader")]), Some(4.0));
        assert_eq!(page.sum_with("a_total", &[("code", "drain")]), None);
        assert_eq!(page.label("a_total", "code"), Some("normal"));
        assert_eq!(page.sum_with("a_total", &[("why", "a \"b\" \\ \n}")]), Some(4.0));
        assert_eq!(page.label("build_info", "role"), Some("gateway"));
        assert!(page.sum("nothing").is_some_and(f64::is_nan));
        assert_eq!(page.buckets("c_seconds"), Some(vec![(0.1, 2.0), (0.5, 7.0), (f64::INFINITY, 9.0)]));
        assert_eq!((page.buckets("b"), page.buckets("none")), (None, None));
    }

    #[test]
    fn what_is_no_page_is_refused() {
        assert!(read("").is_ok());
        for (text, line) in [
            ("<!DOCTYPE html>", 1),
            ("a 1\nb", 2),
            ("a one", 1),
            ("a{b=\"c} 1", 1),
            ("a{b=c} 1", 1),
            ("a{b} 1", 1),
            ("a 1 2 3", 1),
            ("a 1 soon", 1),
            ("1a 1", 1),
            ("{} 1", 1),
            ("a", 1),
        ] {
            assert_eq!(read(text).err(), Some(Malformed { line }), "{text}");
        }
    }
}
