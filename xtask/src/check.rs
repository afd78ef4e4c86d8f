//! What can be found without running anything.

use std::process::Stdio;

use anyhow::Context;

use crate::{announce, cargo};

/// What a tool that is not installed means.
#[derive(Clone, Copy, PartialEq)]
pub enum Missing {
    /// The check fails: whoever asks for the checks wants all of them.
    Fails,
    /// It is skipped, and said so: the tests need Rust only.
    Skips,
}

struct Check {
    args: &'static [&'static str],
    /// How to get it.
    install: &'static str,
    optional: bool,
}

const CHECKS: [Check; 4] = [
    Check { args: &["fmt", "--all", "--check"], install: "rustup component add rustfmt", optional: false },
    Check {
        args: &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        install: "rustup component add clippy",
        optional: false,
    },
    Check { args: &["doc", "--workspace", "--no-deps"], install: "", optional: false },
    Check {
        args: &["deny", "check", "bans", "licenses", "sources"],
        install: "cargo install cargo-deny",
        optional: true,
    },
];

/// Runs all of them, and answers whether all passed.
pub fn run(missing: Missing) -> anyhow::Result<bool> {
    let mut failed = Vec::new();
    for check in CHECKS {
        let name = check.args[0];
        announce(&format!("cargo {}", check.args.join(" ")));
        if !is_installed(name)? {
            eprintln!("cargo {name} is not installed: {}", check.install);
            if missing == Missing::Fails && !check.optional {
                failed.push(name);
            }
            continue;
        }
        let mut command = cargo(check.args);
        if name == "doc" {
            command.env("RUSTDOCFLAGS", "-D warnings");
        }
        let status = command.stdin(Stdio::null()).status().context("run cargo")?;
        if !status.success() {
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        eprintln!("\nfailed checks: {}", failed.join(", "));
    }
    Ok(failed.is_empty())
}

fn is_installed(name: &str) -> anyhow::Result<bool> {
    let output = cargo(&[name, "--version"]).output().context("run cargo")?;
    // `cargo doc` comes with cargo.
    Ok(name == "doc" || output.status.success())
}
