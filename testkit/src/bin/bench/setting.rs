//! Where and how it was measured, in words.

use std::fs;
use std::process::{Command, Stdio};

use crate::load::Scale;

/// All of it: what, and its words. What cannot be found out is left out.
pub fn describe(rounds: usize, scale: Scale) -> Vec<(String, String)> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_default();
    let memory = field("/proc/meminfo", "MemTotal").as_deref().and_then(gibibytes).unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let machine = format!("{cores} cores ({processor}), {memory}, Linux {}", kernel.trim());
    let servers = [("postgres", "--version"), ("nats-server", "--version"), ("redis-server", "--version")];
    let node = version("node", "--version").map(|version| format!("Node.js {version}"));
    let servers: Vec<_> =
        servers.into_iter().filter_map(|(program, flag)| version(program, flag)).chain(node).collect();
    let way = format!(
        "{rounds} {}: in each all contestants in turn; {:.1} s before and {:.0} s of measuring{}",
        if rounds == 1 { "round" } else { "rounds" },
        scale.warmup.as_secs_f64(),
        scale.measure.as_secs_f64(),
        if scale == Scale::FULL { "" } else { "; a quick run, whose figures mean nothing" }
    );
    [("Machine", machine), ("Servers", servers.join("; ")), ("Rounds", way)]
        .map(|(what, words)| (what.to_owned(), words))
        .to_vec()
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn gibibytes(kilobytes: &str) -> Option<String> {
    let kilobytes: f64 = kilobytes.strip_suffix(" kB")?.parse().ok()?;
    Some(format!("{:.0} GiB", kilobytes / f64::from(1 << 20)))
}

/// What a program says of itself, on one line. Servers are not all on the path.
fn version(program: &str, flag: &str) -> Option<String> {
    let places =
        "/usr/sbin:/usr/local/sbin:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)";
    let command = format!("PATH=\"$PATH:{places}\" exec {program} {flag}");
    let output = Command::new("sh").args(["-c", &command]).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    // Redis goes on about how it was built.
    let words = text.lines().next()?.split(" sha=").next()?.trim().to_owned();
    (output.status.success() && !words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_says_what_it_was_and_whether_it_counts() {
        let quick = describe(1, Scale::QUICK);
        assert!(quick[2].1.contains("mean nothing"), "{quick:?}");
        assert!(!describe(3, Scale::FULL)[2].1.contains("mean nothing"));
        assert_eq!(gibibytes("25165824 kB").as_deref(), Some("24 GiB"));
        assert_eq!(gibibytes("many"), None);
    }
}
