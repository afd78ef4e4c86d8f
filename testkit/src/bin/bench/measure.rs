//! One run of the generator against one system, and the figures in its report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use testkit::cluster::SECRET;
use tokio::process::Command;

use crate::contestants::Wire;
use crate::load::{Load, Scale};
use crate::start::{Part, Running};

/// Names of the figures, as results have them.
pub mod key {
    pub const ANSWERED_PER_SECOND: &str = "answered_per_second";
    pub const DELIVERED_PER_SECOND: &str = "delivered_per_second";
    pub const ANSWER_P50: &str = "answer_ms_p50";
    pub const ANSWER_P99: &str = "answer_ms_p99";
    pub const DELIVERY_P50: &str = "delivery_ms_p50";
    pub const DELIVERY_P99: &str = "delivery_ms_p99";
    pub const DELIVERY_P999: &str = "delivery_ms_p999";
    /// What serves clients and decides: gateways and dispatchers, or the one process.
    pub const MESSAGE_SERVERS: &str = "message_us_servers";
    pub const MESSAGE_DISPATCHERS: &str = "message_us_dispatchers";
    pub const MESSAGE_POSTGRES: &str = "message_us_postgres";
    pub const MESSAGE_BROKERS: &str = "message_us_brokers";
    pub const MESSAGE_ALL: &str = "message_us_all";
    pub const DELIVERY_SERVERS: &str = "delivery_us_servers";
    pub const DELIVERY_GATEWAYS: &str = "delivery_us_gateways";
    pub const DELIVERY_ALL: &str = "delivery_us_all";
    pub const CONNECTED_PER_SECOND: &str = "connected_per_second";
    pub const CONNECT_SERVERS: &str = "connect_us_servers";
    pub const MEMORY: &str = "memory_kib";
    pub const BACK: &str = "back_s";
    pub const CAUGHT_UP: &str = "caught_up_s";
    pub const MISSED: &str = "missed_percent";
    /// Deliveries of the whole run.
    pub const DELIVERED: &str = "delivered";
}

/// The whole run takes this much longer than measuring, at the very most.
const PATIENCE: Duration = Duration::from_secs(300);
/// How much of the generator's words is shown when it fails.
const TAIL: usize = 1500;

/// What a run has shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// By name.
    pub figures: BTreeMap<String, f64>,
    /// What was wrong: how often. Empty: every delivery came once and in order.
    pub faults: BTreeMap<String, u64>,
    /// The first of it in words.
    pub violations: Vec<String>,
}

/// The generator, and where its reports go.
pub struct Generator {
    /// The program.
    pub program: PathBuf,
    /// A folder for reports and logs.
    pub folder: PathBuf,
}

impl Generator {
    /// Puts the load on a system.
    pub async fn run(
        &self,
        name: &str,
        system: &Running,
        wire: Wire,
        load: Load,
        scale: Scale,
    ) -> anyhow::Result<Sample> {
        let (json, log) = (self.folder.join(format!("{name}.json")), self.folder.join(format!("{name}.log")));
        if json.exists() {
            std::fs::remove_file(&json).context("remove an old report")?;
        }
        let output = std::fs::File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let mut command = Command::new(&self.program);
        command.args(load.arguments(scale)).args(["--wire", wire.name()]).arg("--json").arg(&json);
        command.args(["--target", &system.targets.join(",")]);
        let pids: Vec<_> = system.pids.iter().map(|(_, pid)| pid.to_string()).collect();
        command.args(["--pid", &pids.join(",")]);
        if !system.metrics.is_empty() {
            command.args(["--metrics", &system.metrics.join(",")]);
        }
        command
            .env("CARILLON_JWT_SECRET", SECRET)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Ctrl-C is for the benchmark, which then ends this.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("start {}", self.program.display()))?;
        let limit = load.estimate(scale) + PATIENCE;
        let Ok(status) = tokio::time::timeout(limit, child.wait()).await else {
            bail!("the generator takes longer than {limit:?}: {}", tail(&log));
        };
        let status = status.context("wait for the generator")?;
        // It also fails when deliveries were wrong; then there is a report.
        let Ok(report) = std::fs::read_to_string(&json) else {
            bail!("the generator ended with {status}: {}", tail(&log));
        };
        let report = serde_json::from_str(&report).context("the generator's report")?;
        Ok(Sample::of(&report, &system.pids))
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let start = text.char_indices().rev().nth(TAIL).map_or(0, |(at, _)| at);
    text[start..].trim().to_owned()
}

impl Sample {
    /// Reads a report. `pids` say whose the processes in it are.
    pub fn of(report: &Value, pids: &[(Part, u32)]) -> Self {
        let mut sample = Self::default();
        for (figure, place, factor) in [
            (key::ANSWERED_PER_SECOND, "/answered_per_second", 1.0),
            (key::DELIVERED_PER_SECOND, "/delivered_per_second", 1.0),
            (key::ANSWER_P50, "/answer_ms/p50", 1.0),
            (key::ANSWER_P99, "/answer_ms/p99", 1.0),
            (key::DELIVERY_P50, "/delivery_ms/p50", 1.0),
            (key::DELIVERY_P99, "/delivery_ms/p99", 1.0),
            (key::DELIVERY_P999, "/delivery_ms/p999", 1.0),
            (key::CONNECTED_PER_SECOND, "/per_second", 1.0),
            (key::MEMORY, "/memory_per_connection", 1.0 / 1024.0),
            (key::BACK, "/back_seconds", 1.0),
            (key::DELIVERED, "/delivered", 1.0),
        ] {
            if let Some(value) = report.pointer(place).and_then(Value::as_f64) {
                sample.figures.insert(figure.to_owned(), value * factor);
            }
        }
        let number = |name: &str| report[name].as_f64();
        if let (Some(missed), Some(due)) = (number("missed"), number("due")) {
            sample.figures.insert(key::MISSED.to_owned(), 100.0 * missed / due.max(1.0));
            // Who has not caught up has no time at which it had.
            if let (Some(seconds), Some(true)) =
                (number("caught_up_seconds"), number("caught_up").zip(number("lost")).map(|(a, b)| a >= b))
            {
                sample.figures.insert(key::CAUGHT_UP.to_owned(), seconds);
            }
        }
        let costs = |place: &str| report[place].as_array().map_or(&[][..], Vec::as_slice);
        sample.costs("message_us", costs("costs"), "micros_per_message", pids, 1.0);
        sample.costs("delivery_us", costs("costs"), "micros_per_delivery", pids, 1.0);
        let each = 1e6 / number("connections").unwrap_or(1.0).max(1.0);
        sample.costs("connect_us", costs("connect_costs"), "cpu_seconds", pids, each);
        sample.faults = faults(report);
        let violations = report["violations"].as_array().map_or(&[][..], Vec::as_slice);
        sample.violations = violations.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect();
        sample
    }

    /// Adds up what processes of the same part took.
    fn costs(&mut self, figure: &str, costs: &[Value], field: &str, pids: &[(Part, u32)], factor: f64) {
        for cost in costs {
            let Some(value) = cost[field].as_f64() else { continue };
            let part = pids.iter().find(|(_, pid)| {
                cost["process"].as_str().is_some_and(|name| name.ends_with(&format!("({pid})")))
            });
            let Some((part, _)) = part else { continue };
            for name in part.counted_as().iter().chain(["all"].iter()) {
                *self.figures.entry(format!("{figure}_{name}")).or_default() += value * factor;
            }
        }
    }
}

/// How often what was wrong, by kind where the report says so.
fn faults(report: &Value) -> BTreeMap<String, u64> {
    let counted = report["wrong"].as_object().into_iter().flatten();
    let mut faults: BTreeMap<_, _> =
        counted.filter_map(|(kind, count)| Some((kind.clone(), count.as_u64()?))).collect();
    let named = report["violations"].as_array().map_or(0, Vec::len) as u64;
    if faults.values().sum::<u64>() == 0 && named > 0 {
        faults.insert("other".to_owned(), named);
    }
    faults
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Whether nothing came twice, late, or not at all.
    fn is_sound(sample: &Sample) -> bool {
        sample.faults.values().all(|count| *count == 0)
    }

    #[test]
    fn figures_are_found_and_costs_added_up_by_part() {
        let report = json!({
            "answered_per_second": 100.0,
            "delivery_ms": { "p50": 1.5, "p99": 9.0, "p999": 12.0 },
            "costs": [
                { "process": "carillon (7)", "micros_per_message": 10.0, "micros_per_delivery": 1.0 },
                { "process": "carillon (8)", "micros_per_message": 5.0, "micros_per_delivery": 0.5 },
                { "process": "carillon (9)", "micros_per_message": 3.0, "micros_per_delivery": 0.25 },
                { "process": "postgres (10)", "micros_per_message": 40.0, "micros_per_delivery": 4.0 },
                { "process": "all", "micros_per_message": 99.0, "micros_per_delivery": 99.0 },
            ],
            "violations": [],
        });
        let pids = [(Part::Gateway, 7), (Part::Gateway, 8), (Part::Dispatcher, 9), (Part::Postgres, 10)];
        let sample = Sample::of(&report, &pids);
        let figure = |name: &str| sample.figures.get(name).copied();
        assert_eq!(figure(key::ANSWERED_PER_SECOND), Some(100.0));
        assert_eq!(figure(key::DELIVERY_P999), Some(12.0));
        assert_eq!(figure(key::MESSAGE_SERVERS), Some(18.0));
        assert_eq!(figure(key::MESSAGE_DISPATCHERS), Some(3.0));
        assert_eq!(figure(key::MESSAGE_POSTGRES), Some(40.0));
        assert_eq!(figure(key::MESSAGE_ALL), Some(58.0));
        assert_eq!(figure(key::DELIVERY_GATEWAYS), Some(1.5));
        assert_eq!(figure(key::MEMORY), None);
        assert!(is_sound(&sample));
    }

    #[test]
    fn connecting_and_coming_back_have_figures_of_their_own() {
        let report = json!({
            "connections": 1000, "per_second": 500.0, "memory_per_connection": 2048.0,
            "connect_costs": [{ "process": "node (3)", "cpu_seconds": 1.5 }],
            "violations": [],
        });
        let sample = Sample::of(&report, &[(Part::Server, 3)]);
        assert_eq!(sample.figures[key::MEMORY], 2.0);
        assert_eq!(sample.figures[key::CONNECT_SERVERS], 1500.0);
        let storm = |caught_up| {
            json!({
                "connections": 10, "lost": 10, "caught_up": caught_up, "caught_up_seconds": 2.0,
                "back_seconds": 1.0, "due": 40, "missed": 10, "violations": ["10 of 40 did not come"],
            })
        };
        let sample = Sample::of(&storm(4), &[]);
        assert_eq!((sample.figures[key::BACK], sample.figures[key::MISSED]), (1.0, 25.0));
        assert!(!sample.figures.contains_key(key::CAUGHT_UP), "some have not");
        assert!(!is_sound(&sample));
        assert_eq!(Sample::of(&storm(10), &[]).figures[key::CAUGHT_UP], 2.0);
    }

    #[test]
    fn what_was_wrong_is_counted_by_kind_or_at_least_named() {
        let report = json!({ "violations": ["a", "b"] });
        assert_eq!(faults(&report), BTreeMap::from([("other".to_owned(), 2)]));
        let report = json!({ "violations": ["a"], "wrong": { "lost": 7, "doubled": 0 } });
        assert_eq!(faults(&report), BTreeMap::from([("doubled".to_owned(), 0), ("lost".to_owned(), 7)]));
        assert!(faults(&json!({ "violations": [] })).is_empty());
    }
}
