//! What the servers' processes use: processor time and memory, as Linux counts
//! them, or memory as their metrics say. Processor time is a process's and its
//! children's: PostgreSQL works in one for each connection.

use std::collections::HashMap;
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
        if pids.is_empty() {
            return Self(Vec::new());
        }
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let all = entries.filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, stat(pid)?))
        });
        Self(with_children(pids, &all.collect()))
    }

    /// What was used since `before`.
    pub fn since(&self, before: &Self) -> Vec<Cost> {
        let mut all = 0;
        let mut costs: Vec<_> = self
            .0
            .iter()
            .filter_map(|(pid, name, micros)| {
                let start = before.0.iter().find(|(other, ..)| other == pid)?.2;
                let micros = micros.saturating_sub(start);
                all += micros;
                Some(Cost::of(format!("{name} ({pid})"), micros))
            })
            .collect();
        if costs.len() > 1 {
            costs.push(Cost::of("all".to_owned(), all));
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

impl Cost {
    /// So much, not yet divided.
    pub fn of(process: String, micros: u64) -> Self {
        let cpu_seconds = micros as f64 / 1e6;
        Self { process, cpu_seconds, micros_per_message: None, micros_per_delivery: None }
    }

    /// Divides it by what was done with it.
    pub fn divide(&mut self, messages: u64, deliveries: u64) {
        let per = |count: u64| (count > 0).then(|| self.cpu_seconds * 1e6 / count as f64);
        (self.micros_per_message, self.micros_per_delivery) = (per(messages), per(deliveries));
    }
}

/// One process at one moment.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    name: String,
    parent: u32,
    /// Its own, and that of children that have ended and that it has waited for.
    micros: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Name, and processor time in microseconds, of a process that is there.
pub fn processor(pid: u32) -> Option<(String, u64)> {
    stat(pid).map(|stat| (stat.name, stat.micros))
}

/// Resident memory in bytes of a process that is there.
pub fn resident(pid: u32) -> Option<u64> {
    parse_resident(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// Name, parent, and user and system time, from `/proc/PID/stat`.
fn parse_stat(stat: &str) -> Option<Stat> {
    // The name may hold blanks and brackets of its own.
    let (start, end) = (stat.find('(')?, stat.rfind(')')?);
    let fields: Vec<_> = stat.get(end + 1..)?.split_ascii_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok());
    Some(Stat {
        name: stat.get(start + 1..end)?.to_owned(),
        parent: fields.get(1)?.parse().ok()?,
        micros: ticks.sum::<Option<u64>>()? * TICK_MICROS,
    })
}

/// What each of these and all of its descendants have used, those included that
/// have ended: so a child that ends takes nothing away.
fn with_children(pids: &[u32], all: &HashMap<u32, Stat>) -> Vec<(u32, String, u64)> {
    let mut used: Vec<_> =
        pids.iter().filter_map(|pid| Some((*pid, all.get(pid)?.name.clone(), 0))).collect();
    for (pid, stat) in all {
        // Up to whoever was asked for. Parents are older, so there is an end.
        let mut above = Some(*pid);
        while let Some(pid) = above {
            if let Some((.., micros)) = used.iter_mut().find(|(asked, ..)| *asked == pid) {
                *micros += stat.micros;
                break;
            }
            above = all.get(&pid).map(|stat| stat.parent);
        }
    }
    used
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
        let read = Stat { name: "a (b) c".to_owned(), parent: 1, micros: 3_000_000 };
        assert_eq!(parse_stat(stat), Some(read));
        assert_eq!(parse_stat("42 (a"), None);
    }

    #[test]
    fn children_count_for_whoever_was_asked_for() {
        let stat = |parent, micros| Stat { name: "x".to_owned(), parent, micros };
        let all = HashMap::from([
            (1, stat(0, 1)),
            (2, stat(1, 10)),
            (3, stat(2, 100)),
            (4, stat(3, 1000)),
            (5, stat(1, 10_000)),
        ]);
        let used = |pids: &[u32]| with_children(pids, &all).into_iter().map(|(.., micros)| micros);
        assert!(used(&[2, 5]).eq([1110, 10_000]));
        // Nobody counts twice, and who is gone is left out.
        assert!(used(&[2, 3, 9]).eq([10, 1100]));
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
        let mut costs = used(&[(1, 500), (2, 900), (4, 9)]).since(&used(&[(1, 300), (2, 500), (3, 1)]));
        costs.iter_mut().for_each(|cost| cost.divide(10, 100));
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
        let mut idle = used(&[(1, 5)]).since(&used(&[(1, 0)]));
        idle[0].divide(0, 0);
        assert_eq!(idle[0].micros_per_message, None);
    }
}
