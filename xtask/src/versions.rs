//! Two versions side by side: an earlier revision is built, and tests/versions.rs
//! runs it together with this one.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::cluster::target;
use crate::{announce, cargo, needs, root};

/// A change in one of these is what versions can disagree about.
const SHARED: [&str; 2] = ["proto", "migrations"];

/// Builds `revision` and runs the tests with it; answers whether they passed.
pub fn run(revision: Option<&str>) -> anyhow::Result<bool> {
    needs::ensure_installed(needs::Task::Cluster { prometheus: false })?;
    let revision = match revision {
        Some(revision) => resolve(revision)?,
        None => before_last_change()?,
    };
    let folder = target().join("previous");
    let (tree, built) = (folder.join("tree"), folder.join("target"));
    announce(&format!("build {} in {}", git(&["log", "-1", "--format=%h %s", &revision])?, tree.display()));
    check_out(&revision, &tree)?;
    // A target folder of its own: the two share no artifact, and neither is built anew for the other.
    let mut build = cargo(&["build", "--package", "carillon", "--bin", "carillon"]);
    let status = build.current_dir(&tree).env("CARGO_TARGET_DIR", &built).stdin(Stdio::null()).status();
    ensure!(status.context("run cargo build")?.success(), "{revision} does not build");

    announce("cargo test --test versions");
    let mut test = cargo(&["test", "--package", "carillon", "--test", "versions", "--", "--nocapture"]);
    test.env("CARILLON_PREVIOUS", built.join("debug/carillon")).stdin(Stdio::null());
    Ok(test.status().context("run cargo test")?.success())
}

/// The state before the last change of what versions share.
fn before_last_change() -> anyhow::Result<String> {
    let changed = git(&[&["log", "-1", "--format=%H", "--"][..], &SHARED].concat())?;
    match changed.is_empty() {
        true => resolve("HEAD~1"),
        false => resolve(&format!("{changed}~1")),
    }
}

fn resolve(revision: &str) -> anyhow::Result<String> {
    git(&["rev-parse", "--verify", "--end-of-options", &format!("{revision}^{{commit}}")])
}

/// A working tree of that revision, kept from one run to the next.
fn check_out(revision: &str, tree: &Path) -> anyhow::Result<()> {
    let path = tree.to_str().context("a path in UTF-8")?;
    if tree.join(".git").exists() {
        git(&["-C", path, "checkout", "--quiet", "--force", "--detach", revision])?;
    } else {
        git(&["worktree", "add", "--quiet", "--force", "--detach", path, revision])?;
    }
    Ok(())
}

fn git(args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git").args(args).current_dir(root()).stdin(Stdio::null()).output();
    let output = output.context("run git")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {}: {}", args.join(" "), said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
