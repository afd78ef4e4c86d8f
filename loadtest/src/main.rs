//! Puts a measured load on a running Carillon, and checks every delivery: a
//! fast wrong answer is not a result.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Parser;

mod args;
mod check;
mod clock;
mod file;
mod interrupt;
mod network;
mod plan;
mod process;
mod report;
mod rooms;
mod scenario;
mod stage;
mod wire;

use args::Settings;
use report::Report;
use stage::Stage;

/// Sends messages between simulated users, measures how fast they are answered
/// and delivered, and checks that every member hears every message once, in
/// order, and that the store agrees. Or connects many, and measures what they
/// cost when they are idle, and how they come back when all are lost at once.
/// Or does all that people do, for an hour if need be, while connections are
/// lost, and servers too.
///
/// Every scenario is a meaningful run with no other flag than the secret. A
/// scenario file says the same in TOML: its keys are the flags' names, and
/// flags that are given as well count more.
///
/// Ctrl-C ends the phase that runs, and then checks and reports what there was;
/// a second one ends at once.
///
/// Examples:
///
///   carillon-loadtest --secret-file carillon-data/jwt-secret
///   carillon-loadtest --secret "$SECRET" --target http://10.0.0.1:8080,http://10.0.0.2:8080 \
///       --scenario fanout --rooms 10 --members 100 --rate 100 --ramp 30s --duration 5m
///   carillon-loadtest --wire socketio --scenario connect --connections 5000 \
///       --metrics http://127.0.0.1:9090/metrics
///   carillon-loadtest --scenario storm --connections 60000 --source 127.0.0.1,127.0.0.2,127.0.0.3
///   carillon-loadtest --scenario chat --users 500 --duration 1h --pid 4711 --json chat.json
///   carillon-loadtest --scenario mixed-faults --fault "10s:kill -9 4711" --fault "15s:./start.sh"
///   carillon-loadtest --file scenario.toml --duration 1m --print-plan
#[derive(Parser)]
#[command(version, verbatim_doc_comment)]
struct Cli {
    #[command(flatten)]
    run: Run,
}

/// A run, by flags and a file.
#[derive(clap::Args)]
struct Run {
    /// A scenario file in TOML.
    #[arg(long, value_name = "FILE", help_heading = "Scenario")]
    file: Option<PathBuf>,
    /// Show what would be run as a scenario file, and end.
    #[arg(long, help_heading = "Scenario")]
    print_plan: bool,
    #[command(flatten)]
    settings: Settings,
}

impl Run {
    /// Everything said in one place or the other, and the presets for the rest.
    fn settings(self) -> anyhow::Result<Settings> {
        let below = self.file.as_deref().map(file::read).transpose()?.unwrap_or_default();
        Ok(self.settings.over(below)?.fill())
    }
}

// One thread, so that on a small machine the servers keep the other cores.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // An error: somebody else has installed one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse();
    let print_plan = cli.run.print_plan;
    let settings = cli.run.settings()?;
    if print_plan {
        print!("{}", file::write(&settings)?);
        return Ok(());
    }
    let report = alone(&settings).await?;
    conclude(&settings, &report)
}

/// Runs everything in this process.
async fn alone(settings: &Settings) -> anyhow::Result<Report> {
    let stage = Stage::new(interrupt::watch()?, None);
    let plan = settings.plan(settings.secret()?, stage)?;
    network::prepare(plan.scenario.connections(), settings.sources())?;
    scenario::run(plan).await
}

/// Shows the result, writes it where it is wanted, and says whether it is good.
fn conclude(settings: &Settings, report: &Report) -> anyhow::Result<()> {
    println!("{report}");
    if let Some(file) = settings.json() {
        std::fs::write(file, serde_json::to_vec_pretty(report)?)
            .with_context(|| format!("writing {}", file.display()))?;
    }
    if !report.violations.is_empty() {
        bail!("the deliveries were not what they should be");
    }
    Ok(())
}
