//! The servers that the benchmark holds Carillon against do what the load
//! generator asks of them: what they do wrong is theirs and counted, and nothing
//! of it is because they or the generator misunderstand each other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use floor::Sockets;
use serde_json::Value;
use testkit::process::{Process, temp_dir};
use testkit::servers::{shared_postgres, shared_redis};

const SECRET: &str = "a secret of at least thirty-two bytes";
const SOON: Duration = Duration::from_secs(60);
const READY: &str = "listening on ";

const PAIRS: &[&str] = &["--scenario", "pairs", "--pairs", "5"];
const FANOUT: &[&str] = &["--scenario", "fanout", "--rooms", "2", "--members", "5", "--senders", "2"];
const STORM: &[&str] = &["--scenario", "storm", "--connections", "20", "--members", "10"];

/// The result of a run, which is written whatever was wrong.
async fn run(targets: &str, wire: &str, scenario: &[&str]) -> anyhow::Result<Value> {
    let folder = temp_dir()?;
    let json = folder.path().join("result.json");
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_carillon-loadtest"))
        .env("CARILLON_JWT_SECRET", SECRET)
        .args(["--target", targets, "--wire", wire, "--warmup", "0", "--duration", "2", "--json"])
        .arg(&json)
        .args(scenario)
        .kill_on_drop(true)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stderr);
    let result = fs::read(&json).with_context(|| format!("no result of {scenario:?}: {said}"))?;
    let result: Value = serde_json::from_slice(&result)?;
    let clean = result["violations"].as_array().is_some_and(Vec::is_empty);
    ensure!(output.status.success() == clean, "{scenario:?} ended with {}: {said}", output.status);
    Ok(result)
}

fn assert_clean(result: &Value) {
    assert_eq!(result["violations"], Value::Array(Vec::new()), "{result:#}");
    assert_done(result);
}

/// Something was done and nothing lost, in whatever order it came.
fn assert_done(result: &Value) {
    let done = if result["answered"].is_null() { &result["caught_up"] } else { &result["answered"] };
    assert!(done.as_u64() > Some(0), "{result:#}");
    assert_eq!((&result["wrong"]["lost"], &result["wrong"]["doubled"]), (&0.into(), &0.into()), "{result:#}");
}

async fn check_floor(sockets: Sockets) {
    let listener = floor::listen(([127, 0, 0, 1], 0).into()).expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let serving = tokio::spawn(floor::run(listener, sockets));
    for scenario in [PAIRS, FANOUT, STORM] {
        assert_clean(&run(&url, "json", scenario).await.expect("a result"));
    }
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_floor_hands_on_everything_in_order() {
    check_floor(Sockets::Tungstenite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_corked_floor_hands_on_everything_in_order() {
    check_floor(Sockets::Corked).await;
}

/// A Node.js server that runs; killed on drop, and then its folder goes.
struct Node {
    process: Process,
    url: String,
    _folder: tempfile::TempDir,
}

impl Node {
    async fn start(flags: &[&str]) -> anyhow::Result<Self> {
        let server = installed()?.join("server.mjs");
        let folder = temp_dir()?;
        let flags: Vec<_> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let process = Process::new("the Node.js server", folder.path().join("log"), "TERM", move || {
            let mut command = Command::new("node");
            command.arg(&server).args(["--port", "0"]).args(&flags).env("CARILLON_JWT_SECRET", SECRET);
            command
        });
        let said = || fs::read_to_string(process.log()).unwrap_or_default();
        process.start(SOON, async || said().lines().any(|line| line.starts_with(READY))).await?;
        let said = said();
        let url = said.lines().find_map(|line| line.strip_prefix(READY)).context("no address")?.to_owned();
        Ok(Self { process, url, _folder: folder })
    }

    /// Ends in order, and has complained about nothing.
    async fn stop(self) {
        let status = self.process.stop(SOON).await.expect("an end");
        assert!(status.success(), "{status}: {}", self.process.log_tail());
        assert_eq!(self.process.log_tail(), format!("{READY}{}", self.url));
    }
}

/// The servers' scripts and what they import, below target/.
fn installed() -> anyhow::Result<&'static Path> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();

    let folder = FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compare-node");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("compare/node");
        testkit::npm::install(&source, &folder).map_err(|error| format!("{error:#}"))?;
        Ok(folder)
    });
    folder.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

async fn database() -> String {
    let postgres = shared_postgres().await.expect("PostgreSQL");
    postgres.create_database().await.expect("a database")
}

#[tokio::test(flavor = "multi_thread")]
async fn sio_keeps_order_in_memory_and_catches_up() {
    let node = Node::start(&["--mode", "sio"]).await.expect("a server");
    for scenario in [PAIRS, FANOUT, STORM] {
        assert_clean(&run(&node.url, "socketio", scenario).await.expect("a result"));
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sio_pg_and_tuned_lose_nothing_and_catch_up() {
    for mode in ["sio-pg", "tuned"] {
        let node = Node::start(&["--mode", mode, "--database", &database().await]).await.expect("a server");
        for scenario in [PAIRS, FANOUT] {
            assert_done(&run(&node.url, "socketio", scenario).await.expect("a result"));
        }
        // One after the other, and nothing else meanwhile: nothing to put out of order.
        assert_clean(&run(&node.url, "socketio", STORM).await.expect("a result"));
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_by_one_a_room_keeps_its_order() {
    let database = database().await;
    let node = Node::start(&["--mode", "tuned", "--one-by-one", "--database", &database]).await;
    let node = node.expect("a server");
    assert_clean(&run(&node.url, "socketio", PAIRS).await.expect("a result"));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_hear_each_other() {
    let (database, redis) = (database().await, shared_redis().await.expect("Redis").url());
    let flags = ["--mode", "sio-pg", "--database", &database, "--redis", redis];
    let one = Node::start(&flags).await.expect("a server");
    let other = Node::start(&flags).await.expect("a server");
    let targets = format!("{},{}", one.url, other.url);
    assert_done(&run(&targets, "socketio", PAIRS).await.expect("a result"));
    one.stop().await;
    other.stop().await;
}
