//! What the servers' processes use: processor time and memory, as Linux counts
//! them, or memory as their metrics say.

use std::fs;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// Linux counts processor time for others in hundredths of a second, whatever its own clock.
const TICK_MICROS: u64 = 10_000;
/// The gauge that every process of ours exports.
const RESIDENT: &str = "process_resident_memory_bytes";

/// Processor time at one moment, by process.
#[derive(Clone)]
pub struct Used(Vec<(u32, String, u64)>);

impl Used {
    /// Reads it. A process that is gone is left out.
    pub fn now(pids: &[u32]) -> Self {
        let read = |pid: &u32| processor(*pid).map(|(name, micros)| (*pid, name, micros));
        Self(pids.iter().filter_map(read).collect())
    }

    /// What was used since `before`, divided by what was done with it.
    pub fn since(&self, before: &Self, messages: u64, deliveries: u64) -> Vec<Cost> {
        let per = |micros: u64, count: u64| (count > 0).then(|| micros as f64 / count as f64);
        let cost = |process: String, micros| Cost {
            process,
            cpu_seconds: micros as f64 / 1e6,
            micros_per_message: per(micros, messages),
            micros_per_delivery: per(micros, deliveries),
        };
        let mut all = 0;
        let mut costs: Vec<_> = self
            .0
            .iter()
            .filter_map(|(pid, name, micros)| {
                let start = before.0.iter().find(|(other, ..)| other == pid)?.2;
                let micros = micros.saturating_sub(start);
                all += micros;
                Some(cost(format!("{name} ({pid})"), micros))
            })
            .collect();
        if costs.len() > 1 {
            costs.push(cost("all".to_owned(), all));
        }
        costs
    }
}

/// Processor time of one process while it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Which one.
    pub process: String,
    /// User and system.
    pub cpu_seconds: f64,
    /// Of that, for each message answered meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micros_per_message: Option<f64>,
    /// Of that, for each message heard by a member meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micros_per_delivery: Option<f64>,
}

/// Name, and user and system time in microseconds, of a process that is there.
pub fn processor(pid: u32) -> Option<(String, u64)> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Resident memory in bytes of a process that is there.
pub fn resident(pid: u32) -> Option<u64> {
    parse_resident(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// Name, and user and system time in microseconds, from `/proc/PID/stat`.
fn parse_stat(stat: &str) -> Option<(String, u64)> {
    // The name may hold blanks and brackets of its own.
    let (start, end) = (stat.find('(')?, stat.rfind(')')?);
    let mut fields = stat.get(end + 1..)?.split_ascii_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((stat.get(start + 1..end)?.to_owned(), (user + system) * TICK_MICROS))
}

/// Resident memory in bytes of all these processes together, by their metrics
/// where there are any; `None`: nothing to look at.
pub async fn memory(metrics: &[String], pids: &[u32]) -> anyhow::Result<Option<u64>> {
    let mut all = 0;
    for url in metrics {
        let text = reqwest::get(url).await?.error_for_status()?.text().await?;
        all += parse_metric(&text, RESIDENT).with_context(|| format!("{url} shows no {RESIDENT}"))? as u64;
    }
    if metrics.is_empty() {
        for pid in pids {
            let path = format!("/proc/{pid}/status");
            let status = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
            all += parse_resident(&status).with_context(|| format!("{path} shows no memory"))?;
        }
    }
    Ok((!metrics.is_empty() || !pids.is_empty()).then_some(all))
}

fn parse_metric(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Bytes, from `/proc/PID/status`.
fn parse_resident(status: &str) -> Option<u64> {
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(kilobytes.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_whatever_the_process_is_called() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 900 0 1 0 250 50 0 0 20 0 5 0 100 1 2";
        assert_eq!(parse_stat(stat), Some(("a (b) c".to_owned(), 3_000_000)));
        assert_eq!(parse_stat("42 (a"), None);
    }

    #[test]
    fn memory_is_read_from_both_places() {
        assert_eq!(parse_resident("Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t1\n"), Some(2 << 20));
        let text = format!("# TYPE {RESIDENT} gauge\n{RESIDENT} 1234567\n{RESIDENT}_max 9\n");
        assert_eq!(parse_metric(&text, RESIDENT), Some(1_234_567.0));
        assert_eq!(parse_metric("", RESIDENT), None);
    }

    #[test]
    fn costs_are_divided_and_a_process_that_is_new_or_gone_is_left_out() {
        let used = |of: &[(u32, u64)]| {
            Used(of.iter().map(|(pid, micros)| (*pid, "x".to_owned(), *micros)).collect())
        };
        let costs = used(&[(1, 500), (2, 900), (4, 9)]).since(&used(&[(1, 300), (2, 500), (3, 1)]), 10, 100);
        let shown: Vec<_> = costs
            .iter()
            .map(|cost| (&*cost.process, cost.micros_per_message, cost.micros_per_delivery))
            .collect();
        assert_eq!(
            shown,
            [
                ("x (1)", Some(20.0), Some(2.0)),
                ("x (2)", Some(40.0), Some(4.0)),
                ("all", Some(60.0), Some(6.0))
            ]
        );
        assert_eq!(used(&[(1, 5)]).since(&used(&[(1, 0)]), 0, 0)[0].micros_per_message, None);
    }
}
