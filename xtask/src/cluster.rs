//! A cluster of local processes to try things on: `cluster` runs one until
//! Ctrl-C or checks dashboards and rules with it, `rolling` restarts one under
//! load. The work is done by programs of `testkit`, which these tasks build and
//! become: so that no other task has to build what they stand on.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use crate::{announce, cargo, needs, root};

/// What every cluster is made of.
#[derive(clap::Args)]
pub struct Topology {
    /// How many gateways.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    gateways: u16,
    /// How many dispatchers.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    dispatchers: u16,
    /// Run this program in place of building one.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["release", "debug"])]
    program: Option<PathBuf>,
    /// Build the program optimized: the default of `rolling`.
    #[arg(long, conflicts_with = "debug")]
    release: bool,
    /// Build the program as tests do: the default of `cluster`.
    #[arg(long)]
    debug: bool,
}

/// The options of `cargo xtask cluster`.
#[derive(clap::Args)]
pub struct Cluster {
    #[command(flatten)]
    topology: Topology,
    /// The load balancer's port. All others are free ones.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Start no Prometheus.
    #[arg(long, conflicts_with = "check")]
    no_prometheus: bool,
    /// Put load and faults on it, evaluate all dashboards and rules against its
    /// Prometheus, and end.
    #[arg(long)]
    check: bool,
}

/// The options of `cargo xtask rolling`.
#[derive(clap::Args)]
pub struct Rolling {
    #[command(flatten)]
    topology: Topology,
    /// How many clients, each with one connection.
    #[arg(long, default_value_t = 2000)]
    clients: u32,
    /// Seconds over which a gateway spreads its closes (`drain_spread`).
    #[arg(long, default_value_t = 5)]
    spread: u32,
}

/// Runs `cargo xtask cluster`. Returns only if that cannot be started.
pub fn run(options: &Cluster) -> anyhow::Result<bool> {
    needs::ensure_installed(needs::Task::Cluster { prometheus: !options.no_prometheus })?;
    // Debug builds start sooner; what is only looked at need not be fast.
    let mut command = program("cluster", &options.topology, options.topology.release)?;
    command.args(["--port", &options.port.to_string(), "--deploy", "deploy"]);
    if options.no_prometheus {
        command.arg("--no-prometheus");
    }
    if options.check {
        command.args(["--check", "target/cluster-check"]);
    }
    become_it(command)
}

/// Runs `cargo xtask rolling`. Returns only if that cannot be started.
pub fn run_rolling(options: &Rolling) -> anyhow::Result<bool> {
    needs::ensure_installed(needs::Task::Cluster { prometheus: false })?;
    // What is measured is measured of what is shipped.
    let mut command = program("rolling", &options.topology, !options.topology.debug)?;
    command.args(["--clients", &options.clients.to_string(), "--spread", &options.spread.to_string()]);
    become_it(command)
}

/// Builds Carillon and a program of testkit; the command that runs the latter on the former.
fn program(name: &str, topology: &Topology, release: bool) -> anyhow::Result<Command> {
    let (folder, profile) = if release { ("release", &["--release"][..]) } else { ("debug", &[][..]) };
    let carillon = match &topology.program {
        Some(path) => {
            ensure!(path.is_file(), "there is no program {}", path.display());
            std::path::absolute(path)?
        }
        None => {
            build(&[&["build", "--package", "carillon", "--bin", "carillon"][..], profile].concat())?;
            target().join(folder).join("carillon")
        }
    };
    let mut command = testkit_program(name)?;
    command.arg("--program").arg(carillon);
    command.args(["--gateways", &topology.gateways.to_string()]);
    command.args(["--dispatchers", &topology.dispatchers.to_string()]);
    Ok(command)
}

/// Builds a program of testkit; the command that runs it in the repository.
pub fn testkit_program(name: &str) -> anyhow::Result<Command> {
    build(&["build", "--package", "testkit", "--bin", name])?;
    // The shell allows what may be allowed at most: clients need descriptors.
    // Only root may allow more than that.
    let mut command = Command::new("sh");
    command.args([
        "-c",
        r#"ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -H -n)" 2>/dev/null; exec "$@""#,
        name,
    ]);
    command.arg(target().join("debug").join(name)).current_dir(root());
    Ok(command)
}

/// Builds something.
pub fn build(args: &[&str]) -> anyhow::Result<()> {
    announce(&format!("cargo {}", args.join(" ")));
    let status = cargo(args).stdin(Stdio::null()).status().context("run cargo build")?;
    ensure!(status.success(), "cargo build ended with {status}");
    Ok(())
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Replaces this process, so that Ctrl-C and signals reach the program itself.
pub fn become_it(mut command: Command) -> anyhow::Result<bool> {
    let error = command.exec();
    bail!("cannot run {command:?}: {error}")
}
