//! Puts a measured load on a running Carillon, and checks every delivery: a
//! fast wrong answer is not a result.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Parser, Subcommand};

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
mod scrape;
mod stage;
mod timeline;
mod wire;

use args::Settings;
use report::{Comparison, Record};
use stage::Stage;

/// Sends messages between simulated users, measures how fast they are answered
/// and delivered, and checks that every member hears every message once, in
/// order, and that the store agrees. Or connects many, and measures what they
/// cost when they are idle, and how they come back when all are lost at once.
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
///   carillon-loadtest --file scenario.toml --duration 1m --print-plan
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

/// What is done instead of a run.
#[derive(Subcommand)]
enum Command {
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
}

// One thread, so that on a small machine the servers keep the other cores.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // An error: somebody else has installed one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse();
    if let Some(command) = cli.command {
        return command.run().await;
    }
    let print_plan = cli.run.print_plan;
    let settings = cli.run.settings()?;
    if print_plan {
        print!("{}", file::write(&settings)?);
        return Ok(());
    }
    let record = alone(&settings).await?;
    conclude(&settings, &record)
}

/// Runs everything in this process.
async fn alone(settings: &Settings) -> anyhow::Result<Record> {
    let stage = Stage::new(interrupt::watch()?, None);
    let plan = settings.plan(settings.secret()?, stage.clone())?;
    network::prepare(plan.scenario.connections(), settings.sources())?;
    let asked = plan.settings.clone();
    let report = scenario::run(plan).await;
    stage.live().console().clear();
    Ok(Record::new(asked, report?, stage.live().timeline()))
}

/// Shows the result, writes it where it is wanted, and says whether it is good.
fn conclude(settings: &Settings, record: &Record) -> anyhow::Result<()> {
    println!("{}", record.report);
    if let Some(file) = settings.json() {
        record.write(file)?;
    }
    if let Some(file) = settings.html() {
        report::write(file, report::page(record).as_bytes())?;
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
