//! Restarts every process of a cluster, one after the other, under a crowd of
//! clients, and says what that did to them: a chart of the reconnects over time
//! and a summary as JSON. `cargo xtask rolling` builds and runs it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use chart::{Chart, Series, Span, page};
use clap::Parser;
use serde_json::{Value, json};
use testkit::client::now;
use testkit::cluster::{ClusterOptions, binary};
use testkit::crowd::{Account, Crowd, CrowdOptions, Return};
use testkit::rolling::{Restart, peak, restart_all, sent_away};
use testkit::servers::PostgresOptions;

const SECOND: Duration = Duration::from_secs(1);

/// Restarts every process of a cluster under load, and measures what clients notice.
#[derive(Parser)]
#[command(max_term_width = 100)]
struct Cli {
    /// The program under test.
    #[arg(long)]
    program: PathBuf,
    /// How many gateways.
    #[arg(long, default_value_t = 3)]
    gateways: usize,
    /// How many dispatchers.
    #[arg(long, default_value_t = 2)]
    dispatchers: usize,
    /// How many clients, each with one connection.
    #[arg(long, default_value_t = 2000)]
    clients: usize,
    /// Clients in each room; one of them sends.
    #[arg(long, default_value_t = 20)]
    room_size: usize,
    /// Milliseconds between two messages of a room.
    #[arg(long, default_value_t = 500)]
    pace: u64,
    /// Seconds over which a gateway spreads its closes (`drain_spread`).
    #[arg(long, default_value_t = 5)]
    spread: u64,
    /// Where rolling.svg and rolling.json go.
    #[arg(long, default_value = "target")]
    out: PathBuf,
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
    // The processes run in folders of their own.
    let program = std::path::absolute(&cli.program)?;
    let options = ClusterOptions {
        gateways: cli.gateways,
        dispatchers: cli.dispatchers,
        postgres: PostgresOptions { fsync: true, ..PostgresOptions::default() },
        settings: vec![("CARILLON_DRAIN_SPREAD".to_owned(), format!("{}s", cli.spread))],
        ..ClusterOptions::default()
    };
    let system = binary(program).cluster(options).await?;
    eprintln!("{} clients connect to {} gateways", cli.clients, cli.gateways);
    let crowd =
        CrowdOptions { users: cli.clients, room_size: cli.room_size, pace: Duration::from_millis(cli.pace) };
    let crowd = Crowd::start(&system, crowd).await?;
    // Before and after, so that the restarts fall amid load.
    let some = 4 * cli.clients.div_ceil(cli.room_size);
    crowd.answered(some).await?;
    eprintln!("every process is restarted");
    let begin = now();
    let restarts = restart_all(&system).await?;
    crowd.answered(some).await?;
    let end = now();
    eprintln!("everybody hears the last message, and the checker reads it all");
    let account = crowd.finish(&system).await?;
    drop(system);

    let summary = summary(cli, &restarts, &account);
    let window = (begin - SECOND.min(begin), end);
    std::fs::create_dir_all(&cli.out)?;
    let write = |name: &str, text: String| {
        let path = cli.out.join(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    };
    write("rolling.svg", chart(cli, &restarts, &account.returns, window))?;
    write("rolling.json", format!("{summary:#}\n"))?;
    println!("{summary:#}");
    ensure!(account.report.violations.is_empty(), "{}", account.report);
    for restart in &restarts {
        ensure!(restart.status.success(), "{} ended with {}", restart.node, restart.status);
    }
    Ok(())
}

/// Of one gateway's clients: those that it sends away in a second, as it is set.
fn allowed(clients: usize, spread: u64) -> f64 {
    clients as f64 / spread.max(1) as f64
}

fn summary(cli: &Cli, restarts: &[Restart], account: &Account) -> Value {
    let seconds = |time: Duration| (time.as_secs_f64() * 1000.0).round() / 1000.0;
    let restarts: Vec<_> = restarts
        .iter()
        .map(|restart| {
            let away = sent_away(&account.returns, restart);
            json!({
                "node": restart.node,
                "exit": restart.status.code(),
                "seconds_to_exit": seconds(restart.ended - restart.asked),
                "seconds_to_ready": seconds(restart.ready - restart.ended),
                "clients_sent_away": away.len(),
                "most_sent_away_in_one_second": peak(away.iter().map(|back| back.left), SECOND),
                "most_back_in_one_second": peak(away.iter().map(|back| back.back), SECOND),
                "set_per_second": allowed(away.len(), cli.spread).ceil(),
            })
        })
        .collect();
    let mut away: Vec<_> = account.returns.iter().map(|back| back.back - back.left).collect();
    away.sort();
    let quantile = |share: f64| {
        let place = ((away.len() as f64 * share) as usize).min(away.len().saturating_sub(1));
        away.get(place).map(|time| seconds(*time))
    };
    let drain = proto::CloseCode::Drain.number();
    let report = &account.report;
    json!({
        "clients": cli.clients,
        "rooms": cli.clients.div_ceil(cli.room_size),
        "drain_spread_seconds": cli.spread,
        "restarts": restarts,
        "returns": account.returns.len(),
        "returns_without_a_drain": account.returns.iter().filter(|back| back.code != Some(drain)).count(),
        "seconds_away": { "median": quantile(0.5), "p99": quantile(0.99), "longest": quantile(1.0) },
        "messages_sent": report.sends,
        "messages_answered": report.answered,
        "messages_stored": report.stored,
        "changes_shown": report.shown,
        "violations": report.violations.len(),
        "shown_as_offline": account.shown_offline.len(),
    })
}

fn chart(cli: &Cli, restarts: &[Restart], returns: &[Return], (begin, end): (Duration, Duration)) -> String {
    let at = |time: Duration| time.as_secs_f64() - begin.as_secs_f64();
    let seconds = at(end).ceil() as usize;
    let rate = |of: &dyn Fn(&Return) -> bool, time: &dyn Fn(&Return) -> Duration| {
        let mut counts = vec![0.0; seconds + 1];
        for back in returns.iter().filter(|back| of(back)) {
            let second = at(time(back)).max(0.0) as usize;
            counts[second.min(seconds)] += 1.0;
        }
        counts.into_iter().enumerate().map(|(second, count)| (second as f64 + 0.5, count)).collect()
    };
    let series = |of: fn(&Return) -> usize, time: fn(&Return) -> Duration| {
        let of_gateway =
            |gateway| Series::new(format!("gateway {gateway}"), rate(&|back| of(back) == gateway, &time));
        (0..cli.gateways).map(of_gateway).collect::<Vec<_>>()
    };
    let spans: Vec<_> = restarts
        .iter()
        .map(|restart| Span { name: restart.node.clone(), from: at(restart.asked), to: at(restart.ready) })
        .collect();
    let most = restarts.iter().map(|restart| sent_away(returns, restart).len()).max().unwrap_or(0);
    let limit = allowed(most, cli.spread);
    let limits = vec![(format!("{limit:.0}: as set for {most} clients over {} s", cli.spread), limit)];
    let charts = [
        Chart {
            title: "Clients sent away, by the gateway that stops".to_owned(),
            unit: "per second".to_owned(),
            series: series(|back| back.from, |back| back.left),
            spans: spans.clone(),
            limits: limits.clone(),
            ..Chart::default()
        },
        Chart {
            title: "Clients back, by the gateway that takes them".to_owned(),
            unit: "per second".to_owned(),
            series: series(|back| back.to, |back| back.back),
            spans,
            limits,
            ..Chart::default()
        },
    ];
    page(&format!("Rolling restart under {} clients", cli.clients), &charts)
}
