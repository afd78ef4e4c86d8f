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
mod process;
mod report;
mod rooms;
mod scenario;
mod wire;

use wire::Wire;

/// Sends messages between simulated users, measures how fast they are answered
/// and delivered, and checks that every member hears every message once, in
/// order, and that the store agrees. Or connects many, and measures what they
/// cost when they are idle, and how they come back when all are lost at once.
///
/// Examples:
///
///   carillon-loadtest --secret-file carillon-data/jwt-secret
///   carillon-loadtest --secret "$SECRET" --target http://10.0.0.1:8080,http://10.0.0.2:8080 \
///       --scenario rooms --rooms 10 --members 100 --rate 100
///   carillon-loadtest --wire socketio --scenario connect --connections 5000 \
///       --metrics http://127.0.0.1:9090/metrics
///   carillon-loadtest --wire socketio --scenario storm --connections 5000
#[derive(Parser)]
#[command(version, verbatim_doc_comment)]
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
    /// Who is there and what they do.
    #[arg(long, value_enum, default_value = "pairs")]
    scenario: Scenario,
    /// Pairs of users, each with a direct room (`pairs`).
    #[arg(long, default_value_t = 500)]
    pairs: usize,
    /// Rooms (`rooms`).
    #[arg(long, default_value_t = 10)]
    rooms: usize,
    /// Members of each room, all of them connected (all but `pairs`).
    #[arg(long, default_value_t = 100)]
    members: usize,
    /// Senders in each room (`rooms`).
    #[arg(long, default_value_t = 1)]
    senders: usize,
    /// Messages per second in all, sent on time whether answered or not; 0: as
    /// fast as they are answered (`pairs`, `rooms`).
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Messages that each sender has on the way at once, without `--rate`.
    #[arg(long, default_value_t = 4)]
    window: usize,
    /// Connections (`connect`, `storm`).
    #[arg(long, default_value_t = 1000)]
    connections: usize,
    /// Connections opened at once (`connect`, and before a `storm`).
    #[arg(long, default_value_t = 64)]
    at_once: usize,
    /// Who ends the connections (`storm`).
    #[arg(long, value_enum, default_value = "reset")]
    cut: Cut,
    /// Messages sent to each room while its members are away (`storm`).
    #[arg(long, default_value_t = 3)]
    away_messages: u64,
    /// Milliseconds over which clients come back; 0: all at the same time (`storm`).
    #[arg(long, default_value_t = 0)]
    spread: u64,
    /// Seconds before measuring begins.
    #[arg(long, default_value_t = 2)]
    warmup: u64,
    /// Seconds of measuring (`storm --cut server`: of waiting for a server to end).
    #[arg(long, default_value_t = 10)]
    duration: u64,
    /// What clients speak: the native protocol in one of its encodings, or
    /// Socket.IO in the words of the vocabulary `sessions`.
    #[arg(long, alias = "encoding", value_enum, default_value = "json")]
    wire: Speech,
    /// A process whose processor time is measured (and its memory, without
    /// `--metrics`); may be repeated.
    #[arg(long = "pid", value_delimiter = ',')]
    pids: Vec<u32>,
    /// URLs of servers' metrics, which show their memory, separated by commas (`connect`).
    #[arg(long, value_delimiter = ',')]
    metrics: Vec<String>,
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
    /// All connect and are idle.
    Connect,
    /// All lose their connections at once, and come back.
    Storm,
}

#[derive(Clone, Copy, ValueEnum)]
enum Speech {
    Json,
    Protobuf,
    Socketio,
}

#[derive(Clone, Copy, ValueEnum)]
enum Cut {
    /// This tool resets all of them.
    Reset,
    /// Somebody ends a server while this tool waits.
    Server,
}

impl Args {
    fn scenario(&self) -> plan::Scenario {
        let talk = |direct, rooms, members, senders| {
            let (rate, window) = (self.rate, self.window.max(1));
            plan::Scenario::Talk(plan::Talk { direct, rooms, members, senders, rate, window })
        };
        let crowd = || plan::Crowd {
            connections: self.connections,
            members: self.members.max(1),
            at_once: self.at_once.max(1),
        };
        match self.scenario {
            Scenario::Pairs => talk(true, self.pairs, 2, 2),
            Scenario::Rooms => talk(false, self.rooms, self.members, self.senders.min(self.members)),
            Scenario::Connect => plan::Scenario::Connect(crowd()),
            Scenario::Storm => plan::Scenario::Storm(
                crowd(),
                plan::Storm {
                    by_server: matches!(self.cut, Cut::Server),
                    messages: self.away_messages,
                    spread: Duration::from_millis(self.spread),
                },
            ),
        }
    }
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
    let plan = plan::Plan {
        scenario: args.scenario(),
        targets: args.target,
        secret,
        wire: match args.wire {
            Speech::Json => Wire::Native(Encoding::Json),
            Speech::Protobuf => Wire::Native(Encoding::Protobuf),
            Speech::Socketio => Wire::SocketIo,
        },
        warmup: Duration::from_secs(args.warmup),
        duration: Duration::from_secs(args.duration),
        pids: args.pids,
        metrics: args.metrics,
    };
    let report = scenario::run(plan).await?;
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
