//! Puts a measured load on a running Carillon, and checks every delivery: a
//! fast wrong answer is not a result.

use std::path::{Path, PathBuf};

use anyhow::bail;
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
mod scrape;
mod stage;
mod timeline;
mod wire;

use args::Settings;
use coordinator::{Coordinate, Peer, Role, Worker};
use part::Part;
use report::{Comparison, Record};
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
///   carillon-loadtest --metrics http://127.0.0.1:9090/metrics --json new.json --html new.html
///   carillon-loadtest compare old.json new.json --html compared.html
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
    /// Show the result of a run again.
    Report {
        /// What `--json` wrote.
        #[arg(value_name = "JSON")]
        record: PathBuf,
        /// Write it as a page that needs nothing else to this file.
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Show the results of two runs of one scenario beside each other.
    Compare {
        /// What `--json` wrote of the first run.
        #[arg(value_name = "JSON")]
        before: PathBuf,
        /// What `--json` wrote of the second run.
        #[arg(value_name = "JSON")]
        after: PathBuf,
        /// Write them, with the curves of both over each other, as a page that
        /// needs nothing else to this file.
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// Compare even different scenarios.
        #[arg(long)]
        force: bool,
    },
}

impl Command {
    async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Coordinate(coordinate) => lead(*coordinate).await,
            Self::Worker(worker) => worker.run().await,
            Self::Peer(peer) => match peer.role()? {
                Role::Coordinator(coordinate) => lead(*coordinate).await,
                Role::Worker(worker) => worker.run().await,
            },
            Self::Report { record, html } => show(&record, html.as_deref()),
            Self::Compare { before, after, html, force } => {
                let (before, after) = (Record::read(&before)?, Record::read(&after)?);
                let comparison = Comparison::new(&before, &after, force)?;
                print!("{comparison}");
                html.map_or(Ok(()), |file| report::write(&file, report::compared(&comparison).as_bytes()))
            }
        }
    }
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
        Some(command) => command.run().await,
    }
}

/// Runs a load from this machine.
async fn load(run: Run) -> anyhow::Result<()> {
    let Some(settings) = run.settings_to_run()? else { return Ok(()) };
    let part = match settings.workers() {
        0 | 1 => alone(&settings).await?,
        _ => coordinator::with_children(&settings).await?,
    };
    conclude(&settings, part)
}

/// Leads a run of workers that somebody else starts.
async fn lead(coordinate: Coordinate) -> anyhow::Result<()> {
    let (lead, run) = coordinate.into_run();
    let Some(settings) = run.settings_to_run()? else { return Ok(()) };
    let part = lead.run(&settings).await?;
    conclude(&settings, part)
}

/// Runs everything in this process.
async fn alone(settings: &Settings) -> anyhow::Result<Part> {
    let stage = Stage::new(interrupt::watch()?, None);
    let plan = settings.plan(settings.secret()?, stage.clone())?;
    network::prepare(plan.scenario.connections(), settings.sources())?;
    let part = scenario::run(plan).await;
    stage.live().console().clear();
    part
}

/// Shows the result, writes it where it is wanted, and says whether it is good.
fn conclude(settings: &Settings, mut part: Part) -> anyhow::Result<()> {
    let timeline = std::mem::take(&mut part.timeline);
    let record = Record::new(serde_json::to_value(settings)?, part.into(), timeline);
    println!("{}", record.report);
    if let Some(file) = settings.json() {
        record.write(file)?;
    }
    if let Some(file) = settings.html() {
        report::write(file, report::page(&record).as_bytes())?;
    }
    if !record.report.violations.is_empty() {
        bail!("the deliveries were not what they should be");
    }
    Ok(())
}

/// Shows a result that was written down.
fn show(file: &Path, html: Option<&Path>) -> anyhow::Result<()> {
    let record = Record::read(file)?;
    println!("{}", record.report);
    html.map_or(Ok(()), |file| report::write(file, report::page(&record).as_bytes()))
}
