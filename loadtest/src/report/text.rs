//! What a run has shown, for a terminal.

use std::fmt;

use super::rows::Rows;
use super::{Latency, Report};
use crate::process::Cost;

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, millis)) in self.columns().into_iter().enumerate() {
            write!(f, "{}{name} {millis:.2}", if place > 0 { "  " } else { "" })?;
        }
        f.write_str(" ms")
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "processor  {:<24} {:>8.2} s", self.process, self.cpu_seconds)?;
        if let (Some(message), Some(delivery)) = (self.micros_per_message, self.micros_per_delivery) {
            write!(f, "   {message:.1} us per message, {delivery:.2} us per delivery")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: &dyn Rows = self.result.rows();
        writeln!(f, "{}: {}", self.wire, rows.title())?;
        for figure in rows.figures() {
            let (value, unit) = figure.unit.show(figure.value);
            writeln!(f, "{:<30} {value:>12} {unit}", figure.name)?;
        }
        for (name, latency) in rows.latencies() {
            writeln!(f, "{name:<16} {latency}")?;
        }
        rows.notes().iter().try_for_each(|note| writeln!(f, "{note}"))?;
        self.costs.iter().try_for_each(|cost| writeln!(f, "{cost}"))?;
        if self.violations.is_empty() {
            return f.write_str(rows.verdict());
        }
        writeln!(f, "WRONG: {}", self.violations.wrong)?;
        self.violations.iter().try_for_each(|violation| writeln!(f, "  {violation}"))
    }
}
