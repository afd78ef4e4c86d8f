//! All tests of the workspace, and their sum.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use anyhow::Context;

use crate::check::{self, Missing};
use crate::{announce, cargo, needs};

/// Checks (if asked to) and tests, and answers whether everything passed.
pub fn run(checks: bool, args: &[String]) -> anyhow::Result<bool> {
    // First, because nothing else tells sooner that the tests cannot run.
    needs::ensure_installed(needs::Task::Tests)?;
    let checked = !checks || check::run(Missing::Skips)?;
    let (sum, tested) = test(args)?;
    if !checked {
        eprintln!("\nThe checks failed; see above, or run `cargo xtask check`.");
    }
    println!("{} passed, {} failed", sum.passed, sum.failed);
    Ok(checked && tested)
}

/// Runs `cargo test`, shows what it says as it says it, and adds up.
fn test(args: &[String]) -> anyhow::Result<(Sum, bool)> {
    let mut command = cargo(&["test", "--no-fail-fast"]);
    let selects = |arg: &String| ["-p", "--package", "--workspace"].contains(&arg.as_str());
    if !args.iter().take_while(|arg| *arg != "--").any(selects) {
        command.arg("--workspace");
    }
    command.args(args);
    announce(&format!(
        "cargo {}",
        command.get_args().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ")
    ));

    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("run cargo test")?;
    let mut output = BufReader::new(child.stdout.take().context("the output of cargo test")?);
    let mut sum = Sum::default();
    let mut line = Vec::new();
    // By bytes: what a test prints need not be UTF-8.
    while output.read_until(b'\n', &mut line)? > 0 {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&line)?;
        stdout.flush()?;
        sum.add(&String::from_utf8_lossy(&line));
        line.clear();
    }
    let status = child.wait().context("wait for cargo test")?;
    if !status.success() && sum.failed == 0 {
        eprintln!(
            "\ncargo test ended with {status}: something did not compile, or died. Counted as 1 failed."
        );
        sum.failed = 1;
    }
    Ok((sum, status.success()))
}

/// Over the lines in which each test program sums up.
#[derive(Default, Debug, PartialEq)]
struct Sum {
    passed: u64,
    failed: u64,
}

impl Sum {
    /// `test result: ok. 6 passed; 0 failed; 0 ignored; ...`
    fn add(&mut self, line: &str) {
        let Some(result) = line.trim_start().strip_prefix("test result: ") else { return };
        let Some((_, counts)) = result.split_once(". ") else { return };
        for count in counts.split(';') {
            match count.trim().split_once(' ') {
                Some((n, "passed")) => self.passed += n.parse().unwrap_or(0),
                Some((n, "failed")) => self.failed += n.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn results_are_added_up_and_nothing_else_is() {
        let mut sum = Sum::default();
        for line in [
            "running 6 tests\n",
            "test result: ok. 6 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.04s\n",
            "test a::test result: 100 passed ... ok\n",
            "test result: FAILED. 10 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 1.30s\n",
            "test result: nonsense\n",
        ] {
            sum.add(line);
        }
        assert_eq!(sum, Sum { passed: 16, failed: 2 });
    }
}
