//! Puts a measured load on a running Carillon, and checks every delivery: a
//! fast wrong answer is not a result.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Parser, ValueEnum};
use proto::Encoding;

mod check;
mod clock;
mod plan;
mod report;
mod rooms;
mod run;
mod wire;

/// Sends messages between simulated users, measures how fast they are answered
/// and delivered, and checks that every member hears every message once, in
/// order, and that the store agrees.
///
/// Examples:
///
///   carillon-loadtest --secret-file carillon-data/jwt-secret
///   carillon-loadtest --secret "$SECRET" --target http://10.0.0.1:8080,http://10.0.0.2:8080 \
///       --scenario rooms --rooms 10 --members 100 --rate 100
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Gateways, separated by commas; clients are spread over them.
    #[arg(long, default_value = "http://127.0.0.1:8080", value_delimiter = ',')]
    target: Vec<String>,
    /// The HS256 secret that the gateways check tokens with.
    #[arg(long, env = "CARILLON_JWT_SECRET", required_unless_present = "secret_file")]
    secret: Option<String>,
    /// A file that holds the secret, such as `carillon-data/jwt-secret`.
    #[arg(long)]
    secret_file: Option<PathBuf>,
    /// Who talks to whom.
    #[arg(long, value_enum, default_value = "pairs")]
    scenario: Scenario,
    /// Pairs of users, each with a direct room (`pairs`).
    #[arg(long, default_value_t = 500)]
    pairs: usize,
    /// Rooms (`rooms`).
    #[arg(long, default_value_t = 10)]
    rooms: usize,
    /// Members of each room, all of them connected (`rooms`).
    #[arg(long, default_value_t = 100)]
    members: usize,
    /// Senders in each room (`rooms`).
    #[arg(long, default_value_t = 1)]
    senders: usize,
    /// Messages per second in all, sent on time whether answered or not; 0: as
    /// fast as they are answered.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Messages that each sender has on the way at once, without `--rate`.
    #[arg(long, default_value_t = 4)]
    window: usize,
    /// Seconds before measuring begins.
    #[arg(long, default_value_t = 2)]
    warmup: u64,
    /// Seconds of measuring.
    #[arg(long, default_value_t = 10)]
    duration: u64,
    /// How frames are written.
    #[arg(long, value_enum, default_value = "json")]
    encoding: Wire,
    /// Write the result as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scenario {
    /// One-to-one: both of a pair send.
    Pairs,
    /// Groups: a few send, all hear.
    Rooms,
}

#[derive(Clone, Copy, ValueEnum)]
enum Wire {
    Json,
    Protobuf,
}

// One thread, so that on a small machine the servers keep the other cores.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // An error: somebody else has installed one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let args = Args::parse();
    let secret = match (&args.secret, &args.secret_file) {
        (Some(secret), _) => secret.clone(),
        (None, Some(file)) => std::fs::read_to_string(file)
            .with_context(|| format!("reading the secret from {}", file.display()))?
            .trim()
            .to_owned(),
        (None, None) => bail!("a secret is needed: --secret or --secret-file"),
    };
    let (rooms, members, senders) = match args.scenario {
        Scenario::Pairs => (args.pairs, 2, 2),
        Scenario::Rooms => (args.rooms, args.members, args.senders.min(args.members)),
    };
    let plan = plan::Plan {
        targets: args.target,
        secret,
        direct: matches!(args.scenario, Scenario::Pairs),
        rooms,
        members,
        senders,
        rate: args.rate,
        window: args.window.max(1),
        warmup: Duration::from_secs(args.warmup),
        duration: Duration::from_secs(args.duration),
        encoding: match args.encoding {
            Wire::Json => Encoding::Json,
            Wire::Protobuf => Encoding::Protobuf,
        },
    };
    let report = run::run(plan).await?;
    println!("{report}");
    if let Some(file) = args.json {
        std::fs::write(&file, serde_json::to_vec_pretty(&report)?)
            .with_context(|| format!("writing {}", file.display()))?;
    }
    if !report.violations.is_empty() {
        bail!("the deliveries were not what they should be");
    }
    Ok(())
}
