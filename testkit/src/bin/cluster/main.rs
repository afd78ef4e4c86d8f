//! A whole cluster of local processes, as deploy/compose starts it in containers:
//! gateways behind a load balancer, dispatchers, their servers, and a Prometheus
//! that watches. `cargo xtask cluster` builds and runs it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use testkit::balancer::Balancer;
use testkit::cluster::{ClusterOptions, Node, SECRET, System, binary};
use testkit::servers::{self, PostgresOptions, PrometheusServer};
use testkit::token::{TokenOptions, mint};
use tokio::signal::unix::{Signal, SignalKind, signal};

mod check;
mod faults;
mod load;
mod queries;
mod sheet;

/// Who the demo links are for.
const DEMO_USERS: [(&str, &str); 3] = [("ana", "Ana"), ("ben", "Ben"), ("cleo", "Cleo")];
const DEMO_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// As in deploy/prometheus.
const SCRAPE: Duration = Duration::from_secs(15);
/// While it is being checked: rates need a few scrapes.
const SCRAPE_IN_CHECK: Duration = Duration::from_secs(1);

/// Starts a cluster of local processes, and stops it on Ctrl-C.
#[derive(Parser)]
#[command(max_term_width = 100)]
struct Cli {
    /// The program.
    #[arg(long)]
    program: PathBuf,
    /// The folder `deploy/` of the repository.
    #[arg(long, default_value = "deploy")]
    deploy: PathBuf,
    /// How many gateways.
    #[arg(long, default_value_t = 3)]
    gateways: usize,
    /// How many dispatchers.
    #[arg(long, default_value_t = 2)]
    dispatchers: usize,
    /// The load balancer's port.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Start no Prometheus.
    #[arg(long)]
    no_prometheus: bool,
    /// Put load and faults on it, evaluate all dashboards and rules, draw them
    /// into this folder, and end.
    #[arg(long, value_name = "FOLDER", conflicts_with = "no_prometheus")]
    check: Option<PathBuf>,
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
    let system = start(cli).await?;
    let backends = system.gateways().iter().map(|node| node.address().to_owned()).collect();
    let balancer = Balancer::start(("127.0.0.1", cli.port), backends).await.map_err(|error| {
        let taken = error.kind() == ErrorKind::AddrInUse;
        let hint = if taken { ": choose another one with --port" } else { "" };
        anyhow::anyhow!("the load balancer cannot listen on port {}: {error}{hint}", cli.port)
    })?;
    let prometheus = match cli.no_prometheus {
        true => None,
        false => {
            let interval = if cli.check.is_some() { SCRAPE_IN_CHECK } else { SCRAPE };
            Some(watch(&system, &cli.deploy.join("prometheus"), interval).await?)
        }
    };
    println!("{}", addresses(&system, &balancer, prometheus.as_ref()));
    let outcome = match (&cli.check, &prometheus) {
        (Some(folder), Some(prometheus)) => {
            check::run(&system, prometheus, &cli.deploy.join("grafana/dashboards"), folder).await
        }
        _ => Signals::new()?.next().await,
    };
    println!("stopping; Ctrl-C again ends everything at once");
    let mut again = Signals::new()?;
    tokio::select! {
        () = stop(&system) => {}
        _ = again.next() => {}
    }
    outcome
}

/// What asks a program to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> anyhow::Result<()> {
        tokio::select! {
            taken = self.interrupt.recv() => taken,
            taken = self.terminate.recv() => taken,
        }
        .context("no more signals")
    }
}

async fn start(cli: &Cli) -> anyhow::Result<System> {
    // The processes run in folders of their own.
    let program = std::path::absolute(&cli.program)?;
    let settings = match cli.check {
        Some(_) => faults::settings(),
        None => Vec::new(),
    };
    let options = ClusterOptions {
        gateways: cli.gateways,
        dispatchers: cli.dispatchers,
        postgres: PostgresOptions { fsync: true, ..PostgresOptions::default() },
        settings,
        ..ClusterOptions::default()
    };
    binary(program).cluster(options).await
}

async fn watch(system: &System, folder: &Path, interval: Duration) -> anyhow::Result<PrometheusServer> {
    let targets = |nodes: &[Node]| {
        let addresses = nodes.iter().map(|node| node.admin().base().trim_start_matches("http://").to_owned());
        addresses.collect::<Vec<_>>()
    };
    let jobs = [("gateway", targets(system.gateways())), ("dispatcher", targets(system.dispatchers()))];
    servers::prometheus(folder, &jobs, interval).await
}

fn addresses(system: &System, balancer: &Balancer, prometheus: Option<&PrometheusServer>) -> String {
    let mut lines =
        vec![format!("Clients connect to {}; open each of these in a window of its own:", balancer.url())];
    for (user, name) in DEMO_USERS {
        let options = TokenOptions { lifetime: Some(DEMO_LIFETIME), ..TokenOptions::default() };
        lines.push(format!("  {name}: {}/#token={}", balancer.url(), mint(SECRET, user, name, &options)));
    }
    lines.push(String::new());
    for node in system.gateways().iter().chain(system.dispatchers()) {
        let pid = node.pid().unwrap_or_default();
        lines.push(format!(
            "{:<14} {}   metrics {}/metrics   process {pid}",
            node.name(),
            node.url(),
            node.admin().base()
        ));
    }
    lines.push(format!("{:<14} {}", "NATS", system.nats().url()));
    lines.push(format!("{:<14} {}", "Redis", system.redis().url()));
    lines.push(format!("{:<14} {}", "PostgreSQL", system.database_url()));
    if let Some(prometheus) = prometheus {
        lines.push(format!("{:<14} {}/alerts", "Prometheus", prometheus.url()));
    }
    let targets = system.gateway_urls().join(",");
    let nodes = system.gateways().iter().chain(system.dispatchers());
    let admin: Vec<_> = nodes.map(|node| node.admin().base().trim_start_matches("http://")).collect();
    let admin = admin.join(" ");
    lines.push(format!(
        "\nLoad:  carillon-loadtest --secret \"{SECRET}\" --target {targets}\n\
         Watch: carillon top {admin}\n\
         The balancer spreads connections: a session of Socket.IO that begins with polling goes on polling, \
         unless its client is given a gateway's own address.\n\
         Ctrl-C stops everything: gateways drain, dispatchers finish, then the servers end."
    ));
    lines.join("\n")
}

/// Gateways first, while their dispatchers are there.
async fn stop(system: &System) {
    for nodes in [system.gateways(), system.dispatchers()] {
        let stopped = futures_util::future::join_all(nodes.iter().map(Node::stop)).await;
        for (node, stopped) in nodes.iter().zip(stopped) {
            match stopped {
                Ok(status) if status.success() => {}
                Ok(status) => eprintln!("{} ended with {status}", node.name()),
                Err(error) => eprintln!("{error:#}"),
            }
        }
    }
}
