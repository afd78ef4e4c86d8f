//! What the servers' processes use and hold, once per second: by their metrics,
//! in Prometheus' text format, or as Linux counts it.

use std::time::Duration;

use crate::process;
use crate::timeline::{Live, Sample, unix_now};

/// A server that takes longer is not looked at in this second.
const PATIENCE: Duration = Duration::from_millis(900);
/// What every process of ours exports.
const MEMORY: &str = "process_resident_memory_bytes";
const CPU: &str = "process_cpu_seconds_total";
const CONNECTIONS: &str = "carillon_gateway_connections";
const BUILD: &str = "carillon_build_info";

/// Looks at processes.
pub struct Scraper {
    http: reqwest::Client,
    metrics: Vec<String>,
    pids: Vec<u32>,
}

impl Scraper {
    /// At these URLs of metrics, at these processes, and at this one itself: a
    /// generator without a processor of its own measures itself.
    pub fn new(metrics: Vec<String>, pids: Vec<u32>) -> Self {
        Self { http: reqwest::Client::new(), metrics, pids }
    }

    /// Looks once. What does not answer, or is gone, is left out.
    pub async fn look(&self, live: &Live) {
        let of_system = |pid| Some((process::resident(pid)?, process::processor(pid)?));
        let own = std::process::id();
        for pid in self.pids.iter().copied().chain([own]) {
            let Some((memory, (name, micros))) = of_system(pid) else { continue };
            let name = if pid == own { format!("load generator ({pid})") } else { format!("{name} ({pid})") };
            let (memory, cpu) = (Some(memory as f64), Some(micros as f64 / 1e6));
            live.sample(&name, None, Sample { at: unix_now(), memory, cpu, connections: None });
        }
        futures_util::future::join_all(self.metrics.iter().map(async |url| {
            if let Ok(text) = self.fetch(url).await {
                let seen = read(&text);
                let role = seen.role.as_deref().unwrap_or("server");
                live.sample(
                    &format!("{role} {}", place(url)),
                    seen.version,
                    Sample { at: unix_now(), ..seen.sample },
                );
            }
        }))
        .await;
    }

    async fn fetch(&self, url: &str) -> reqwest::Result<String> {
        self.http.get(url).timeout(PATIENCE).send().await?.error_for_status()?.text().await
    }
}

/// Host and port of a URL.
fn place(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// What metrics say.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    role: Option<String>,
    version: Option<String>,
    sample: Sample,
}

/// Finds in metrics what is of interest here.
fn read(text: &str) -> Seen {
    let mut seen = Seen::default();
    for Series { name, labels, value } in text.lines().filter_map(parse) {
        let to = match name {
            MEMORY => &mut seen.sample.memory,
            CPU => &mut seen.sample.cpu,
            CONNECTIONS => &mut seen.sample.connections,
            BUILD => {
                seen.role = label(labels, "role");
                seen.version = label(labels, "version");
                continue;
            }
            _ => continue,
        };
        *to = Some(to.unwrap_or_default() + value);
    }
    seen
}

/// One line of metrics.
#[derive(Debug, PartialEq)]
struct Series<'a> {
    name: &'a str,
    /// Without the braces.
    labels: &'a str,
    value: f64,
}

/// Reads a line; `None`: it is a comment, or is not understood.
fn parse(line: &str) -> Option<Series<'_>> {
    let line = line.trim();
    let end = line.find(['{', ' ', '\t'])?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() || name.starts_with('#') {
        return None;
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => {
            let end = end_of_labels(rest)?;
            (&rest[..end], &rest[end + 1..])
        }
        None => ("", rest),
    };
    // A time may follow.
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Series { name, labels, value })
}

/// Where the closing brace is: not within a label's value.
fn end_of_labels(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().position(|byte| {
        let here = byte == b'}' && !quoted;
        if byte == b'"' && !escaped {
            quoted = !quoted;
        }
        escaped = byte == b'\\' && !escaped;
        here
    })
}

/// The value of a label, as it is written.
fn label(labels: &str, name: &str) -> Option<String> {
    let mut rest = labels;
    while let Some((key, after)) = rest.split_once("=\"") {
        let mut escaped = false;
        let end = after.bytes().position(|byte| {
            let here = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            here
        })?;
        if key.trim_matches([',', ' ']) == name {
            return Some(after[..end].to_owned());
        }
        rest = &after[end + 1..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_metrics_are_read() {
        let series = |name, labels, value| Some(Series { name, labels, value });
        for (line, read) in [
            ("up 1", series("up", "", 1.0)),
            ("  up\t1.5e3 1700000000000 ", series("up", "", 1500.0)),
            ("up{} 2", series("up", "", 2.0)),
            (r#"up{a="x",b="}\"}"} -3"#, series("up", r#"a="x",b="}\"}""#, -3.0)),
            ("up +Inf", series("up", "", f64::INFINITY)),
            ("# TYPE up gauge", None),
            ("", None),
            ("up", None),
            ("up{a=\"x\" 1", None),
            ("up one", None),
        ] {
            assert_eq!(parse(line), read, "{line}");
        }
    }

    #[test]
    fn labels_are_found_by_their_whole_name() {
        let labels = r#"version="1,2=\"3\"",my_role="x", role="gateway""#;
        assert_eq!(label(labels, "role").as_deref(), Some("gateway"));
        assert_eq!(label(labels, "version").as_deref(), Some(r#"1,2=\"3\""#));
        assert_eq!(label(labels, "other"), None);
        assert_eq!(label("role=\"open", "role"), None);
    }

    #[test]
    fn metrics_say_what_a_process_is_and_uses() {
        let text = format!(
            "# HELP {MEMORY} x\n# TYPE {MEMORY} gauge\n{MEMORY} 1234567\n{MEMORY}_max 9\n{CPU} 1.25\n\
             {CONNECTIONS}{{kind=\"a\"}} 3\n{CONNECTIONS}{{kind=\"b\"}} 4\n\
             {BUILD}{{version=\"1.2.3\",role=\"gateway\"}} 1\n"
        );
        let sample = Sample {
            memory: Some(1_234_567.0),
            cpu: Some(1.25),
            connections: Some(7.0),
            ..Sample::default()
        };
        let (role, version) = (Some("gateway".to_owned()), Some("1.2.3".to_owned()));
        assert_eq!(read(&text), Seen { role, version, sample });
        assert_eq!(read("<html>"), Seen::default());
    }

    #[test]
    fn a_node_is_called_by_its_place() {
        for (url, name) in [
            ("http://10.0.0.1:9090/metrics", "10.0.0.1:9090"),
            ("localhost:1/metrics", "localhost:1"),
            ("", ""),
        ] {
            assert_eq!(place(url), name);
        }
    }
}
