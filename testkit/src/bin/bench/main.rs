//! Measures Carillon beside the servers it is compared with, on this machine,
//! round by round, and says what came out: results.json, a report, and with
//! `--write` the tables and curves of docs/performance.md. `cargo xtask bench`
//! builds and runs it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};

mod contestants;
mod curves;
mod document;
mod load;
mod measure;
mod output;
mod plan;
mod plot;
mod quiet;
mod results;
mod rows;
mod setting;
mod start;
mod stats;
mod tables;

use load::Scale;
use measure::{Generator, Sample};
use plan::{Step, Wanted};
use quiet::Quiet;
use results::{Results, Run};
use start::{Programs, Starter};

/// Measures Carillon beside the servers it is compared with.
#[derive(Parser)]
#[command(max_term_width = 100)]
struct Cli {
    /// Carillon's program.
    #[arg(long)]
    carillon: PathBuf,
    /// The generator's program.
    #[arg(long)]
    loadtest: PathBuf,
    /// The floor's program.
    #[arg(long)]
    floor: Option<PathBuf>,
    /// server.mjs of the Node.js servers, its packages beside it.
    #[arg(long)]
    node_server: Option<PathBuf>,
    /// Rounds of the rows.
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// Rounds of the curves.
    #[arg(long, default_value_t = 1)]
    curve_repeat: usize,
    /// These rows and curves, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// These contestants, separated by commas.
    #[arg(long, value_delimiter = ',')]
    contestants: Vec<String>,
    /// Small and short, in one round: to see that everything works.
    #[arg(long)]
    quick: bool,
    /// Show what would be run, and end.
    #[arg(long)]
    list: bool,
    /// Measure nothing: take these results.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Where results and reports go.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// Rewrite the page's tables and its pictures.
    #[arg(long)]
    write: bool,
    /// The page.
    #[arg(long, default_value = "docs/performance.md")]
    page: PathBuf,
    /// Where its pictures lie.
    #[arg(long, default_value = "docs/performance")]
    pictures: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> anyhow::Result<()> {
    let scale = if cli.quick { Scale::QUICK } else { Scale::FULL };
    let rounds = |asked| if cli.quick { 1 } else { asked };
    let wanted = Wanted {
        only: cli.only.clone(),
        contestants: cli.contestants.clone(),
        rounds: rounds(cli.repeat),
        curve_rounds: rounds(cli.curve_repeat),
    };
    let steps = plan::steps(&wanted, scale)?;
    if cli.list {
        list(&steps, scale);
        return Ok(());
    }
    let results = match &cli.from {
        Some(file) => output::read(file)?,
        None => {
            std::fs::create_dir_all(&cli.out).with_context(|| format!("make {}", cli.out.display()))?;
            let mut results =
                Results { setting: setting::describe(wanted.rounds, scale), ..Results::default() };
            measure_all(cli, &steps, scale, &mut results).await?;
            output::write(&results, scale, &cli.out)?;
            eprintln!("results.json and report.html are in {}", cli.out.display());
            results
        }
    };
    for table in tables::tables(&results, scale) {
        println!("{}\n\n{}", table.title, table.markdown());
    }
    if cli.write {
        output::write_page(&results, scale, &cli.page, &cli.pictures)?;
        eprintln!("{} is rewritten", cli.page.display());
    }
    let failures = tables::failures(&results);
    if !failures.is_empty() {
        bail!("{} runs are no result:\n{}", failures.len(), failures.join("\n"));
    }
    Ok(())
}

fn list(steps: &[Step], scale: Scale) {
    for step in steps {
        println!("{:<40} {}", step.name(), step.load.arguments(scale).join(" "));
    }
    let all = steps.iter().map(|step| step.estimate(scale)).sum();
    println!("{} runs, about {}", steps.len(), minutes(all));
}

/// Runs every step, until it is ended: then there is what there is.
async fn measure_all(cli: &Cli, steps: &[Step], scale: Scale, results: &mut Results) -> anyhow::Result<()> {
    let absolute = |path: &Option<PathBuf>| path.as_ref().map(std::path::absolute).transpose();
    // Processes run in folders of their own.
    let mut starter = Starter::new(Programs {
        carillon: std::path::absolute(&cli.carillon)?,
        floor: absolute(&cli.floor)?,
        node_server: absolute(&cli.node_server)?,
    });
    let generator =
        Generator { program: std::path::absolute(&cli.loadtest)?, folder: std::path::absolute(&cli.out)? };
    let mut signals = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    let begin = Instant::now();
    let mut done = Duration::ZERO;
    for (number, step) in steps.iter().enumerate() {
        let left = steps[number..].iter().map(|step| step.estimate(scale)).sum();
        let left = plan::time_left(left, done, begin.elapsed());
        eprintln!("[{}/{}, {} left] {}", number + 1, steps.len(), minutes(left), step.name());
        let outcome = tokio::select! {
            outcome = measure(&mut starter, &generator, step, scale) => outcome,
            () = any(&mut signals) => {
                eprintln!("ended: what was measured so far is the result");
                break;
            }
        };
        let mut run = Run {
            row: step.row.to_owned(),
            point: step.point.clone(),
            contestant: step.contestant.name(),
            round: step.round,
            ..Run::default()
        };
        run.fill(outcome);
        if let Some(error) = &run.error {
            eprintln!("    failed: {error}");
        } else if run.wrong() > 0 {
            let first = run.violations.first().map_or("", String::as_str);
            eprintln!("    deliveries were wrong: {first}");
        }
        results.runs.push(run);
        done += step.estimate(scale);
    }
    Ok(())
}

/// One run, and everything it needs.
async fn measure(
    starter: &mut Starter,
    generator: &Generator,
    step: &Step,
    scale: Scale,
) -> anyhow::Result<Sample> {
    let system = starter.start(step.contestant, step.load).await?;
    let quiet = match &system.carillon {
        Some(carillon) if step.quiet_rooms > 0 => Some(Quiet::open(carillon, step.quiet_rooms).await?),
        _ => None,
    };
    let sample = generator.run(&step.name(), &system, step.contestant.wire, step.load, scale).await;
    let all_there = quiet.as_ref().is_none_or(Quiet::all_there);
    drop(quiet);
    system.stop().await?;
    if sample.is_ok() && !all_there {
        bail!("those in the quiet rooms were cut off");
    }
    sample
}

async fn any(signals: &mut [Signal; 2]) {
    let [interrupt, terminate] = signals;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02} min", seconds / 60, seconds % 60)
}
