//! Puts a measured load on a running Carillon, and checks every delivery: a
//! fast wrong answer is not a result.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};

mod args;
mod check;
mod clock;
mod coordinator;
mod file;
mod interrupt;
mod network;
mod part;
mod plan;
mod process;
mod report;
mod rooms;
mod scenario;
mod stage;
mod wire;

use args::Settings;
use coordinator::{Coordinate, Peer, Role, Worker};
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
///   carillon-loadtest --pairs 20000 --rate 8000 --workers 4
#[derive(Parser)]
#[command(version, verbatim_doc_comment, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

/// What else it does than running a load by itself.
#[derive(Subcommand)]
enum Command {
    Coordinate(Box<Coordinate>),
    Worker(Worker),
    Peer(Box<Peer>),
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

    /// The same; `None` if they were only to be shown, which is done.
    fn settings_to_run(self) -> anyhow::Result<Option<Settings>> {
        let print_plan = self.print_plan;
        let settings = self.settings()?;
        if print_plan {
            print!("{}", file::write(&settings)?);
        }
        Ok((!print_plan).then_some(settings))
    }
}

// One thread, so that on a small machine the servers keep the other cores.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // An error: somebody else has installed one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse();
    match cli.command {
        None => load(cli.run).await,
        Some(Command::Coordinate(coordinate)) => lead(*coordinate).await,
        Some(Command::Worker(worker)) => worker.run().await,
        Some(Command::Peer(peer)) => match peer.role()? {
            Role::Coordinator(coordinate) => lead(coordinate).await,
            Role::Worker(worker) => worker.run().await,
        },
    }
}

/// Runs a load from this machine.
async fn load(run: Run) -> anyhow::Result<()> {
    let Some(settings) = run.settings_to_run()? else { return Ok(()) };
    let report = match settings.workers() {
        0 | 1 => alone(&settings).await?,
        _ => coordinator::with_children(&settings).await?,
    };
    conclude(&settings, &report)
}

/// Leads a run of workers that somebody else starts.
async fn lead(coordinate: Coordinate) -> anyhow::Result<()> {
    let (lead, run) = coordinate.into_run();
    let Some(settings) = run.settings_to_run()? else { return Ok(()) };
    let report = lead.run(&settings).await?;
    conclude(&settings, &report)
}

/// Runs everything in this process.
async fn alone(settings: &Settings) -> anyhow::Result<Report> {
    let stage = Stage::new(interrupt::watch()?, None);
    let plan = settings.plan(settings.secret()?, stage)?;
    network::prepare(plan.scenario.connections(), settings.sources())?;
    Ok(scenario::run(plan).await?.into())
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
