//! What a run has shown, and how it is told: as text, as JSON, as a page of
//! HTML, and beside another run.
//!
//! A new outcome is a variant of [`Outcome`] and its [`Rows`]; everything else
//! is made from these.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::process::Cost;
use crate::timeline::Timeline;

mod chat;
mod compare;
mod date;
mod html;
mod latency;
mod outcome;
mod rows;
mod text;
mod violations;

pub use chat::{Actions, Chat, Connections, Injected, Memory};
pub use compare::Comparison;
pub use html::{compared, page};
pub use latency::Latency;
pub use outcome::{Connect, Outcome, Storm, Talk};
pub use rows::{Better, Figure, Rows, Unit};
pub use violations::Violations;

/// Raised when the shape of the JSON changes for its readers.
const FORMAT: u32 = 1;

/// A run, as it is written down and read again.
#[derive(Serialize, Deserialize)]
pub struct Record {
    /// Of its shape; 0 before there was one.
    #[serde(default)]
    pub format: u32,
    /// The generator's version.
    #[serde(default)]
    pub version: String,
    /// When it began, in Unix time.
    #[serde(default)]
    pub started: f64,
    /// The same as people and other programs write it, in UTC.
    #[serde(default)]
    pub started_at: String,
    /// What was asked for, by the flags' names, without the secret.
    #[serde(default)]
    pub settings: serde_json::Value,
    /// What was measured.
    #[serde(flatten)]
    pub report: Report,
    /// What happened in each second.
    #[serde(default)]
    pub timeline: Timeline,
}

impl Record {
    /// Of a run that has just ended.
    pub fn new(settings: serde_json::Value, report: Report, timeline: Timeline) -> Self {
        let started = timeline.begin();
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started,
            started_at: date::utc(started as u64),
            settings,
            report,
            timeline,
        }
    }

    /// Reads what [`Self::write`] wrote.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        let record: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not a result of carillon-loadtest", file.display()))?;
        anyhow::ensure!(
            record.format <= FORMAT,
            "{} was written by a newer carillon-loadtest ({})",
            file.display(),
            record.version
        );
        Ok(record)
    }

    /// Writes it as JSON.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        write(file, &serde_json::to_vec_pretty(self)?)
    }

    /// What was done: the setting, or what the result tells.
    pub fn scenario(&self) -> &str {
        self.settings["scenario"].as_str().unwrap_or(self.report.result.name())
    }
}

/// Writes a file.
pub fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(file, bytes).with_context(|| format!("writing {}", file.display()))
}

/// Result of a run.
#[derive(Serialize, Deserialize)]
pub struct Report {
    /// How clients spoke.
    pub wire: String,
    /// What was done and measured.
    #[serde(flatten)]
    pub result: Outcome,
    /// Processor time while it was measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub costs: Vec<Cost>,
    /// What was wrong.
    #[serde(flatten)]
    pub violations: Violations,
}

impl Report {
    /// The outcome's figures, and what it cost all servers together.
    pub fn figures(&self) -> Vec<Figure> {
        let mut figures = self.result.rows().figures();
        // Of several, the last one is of all.
        if let Some(cost) = self.costs.last() {
            let each = [("message", cost.micros_per_message), ("delivery", cost.micros_per_delivery)];
            figures.push(Figure::new("processor time", cost.cpu_seconds, Unit::Seconds, Better::Lower));
            figures.extend(each.into_iter().filter_map(|(name, micros)| {
                let name = format!("processor time per {name}");
                Some(Figure::new(name, micros?, Unit::Micros, Better::Lower))
            }));
        }
        figures
    }
}

#[cfg(test)]
mod tests;
