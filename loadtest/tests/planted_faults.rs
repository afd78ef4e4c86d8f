//! A checker that never finds anything proves nothing. So here the load
//! generator meets a gateway that loses, doubles, swaps or alters one delivery
//! in 10,000, on each wire: it has to fail, and to name the fault. And not to
//! fail without one.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use testkit::cluster::{SECRET, System, binary_beside};
use testkit::deliveries::DeliveryProxy;
use testkit::tamper::{Counts, Faults};
use tokio::process::Child;
use tokio::sync::Mutex;

const ONE_IN: u64 = 10_000;
const ROOMS: u64 = 2;
const MEMBERS: u64 = 60;
/// Of each room: some of a gateway's swaps are of messages of two senders.
const SENDERS: u64 = 3;
const PER_SECOND: u64 = 180;
const SECONDS: u64 = 1;
const MESSAGES: u64 = PER_SECOND * SECONDS;
/// How long what never comes is waited for, in seconds.
const DRAIN: u64 = 5;
/// Longer than everything is on its way on a busy machine.
const LONG: Duration = Duration::from_secs(120);

static ALONE: Mutex<()> = Mutex::const_new(());

/// How a run ended.
struct Run {
    good: bool,
    delivered: u64,
    violations: Vec<String>,
    /// What the gateway did.
    counts: Counts,
}

impl Run {
    /// Whether something was found of which all of this is said.
    fn names(&self, what: &[&str]) -> bool {
        self.violations.iter().any(|violation| what.iter().all(|part| violation.contains(part)))
    }
}

/// A run of the generator against a gateway with these faults.
struct Running {
    process: Child,
    proxy: DeliveryProxy,
    dir: TempDir,
}

impl Running {
    /// Starts one, and waits until the gateway has sent every delivery. What is
    /// left is the generator's waiting for those that never come, beside which
    /// the next run can begin.
    async fn start(system: &System, wire: &str, faults: Faults, deliveries: u64) -> Self {
        let proxy = DeliveryProxy::start(&system.gateway(0).url()).await.expect("a proxy");
        proxy.set(faults);
        let dir = tempfile::tempdir().expect("a folder");
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_carillon-loadtest"));
        command.args(["--scenario", "fanout", "--wire", wire, "--target", proxy.url(), "--secret", SECRET]);
        for (flag, value) in [
            ("--rooms", ROOMS),
            ("--members", MEMBERS),
            ("--senders", SENDERS),
            ("--rate", PER_SECOND),
            ("--warmup", 0),
            ("--duration", SECONDS),
            ("--drain", DRAIN),
        ] {
            command.args([flag, &value.to_string()]);
        }
        command.arg("--json").arg(report(&dir));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("it starts");
        let deadline = Instant::now() + LONG;
        while proxy.counts().messages < deliveries && process.try_wait().expect("a child").is_none() {
            assert!(Instant::now() < deadline, "{wire}, {faults:?}: {:?} of {deliveries}", proxy.counts());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Self { process, proxy, dir }
    }

    async fn end(self) -> Run {
        let output = self.process.wait_with_output().await.expect("it ends");
        let report = std::fs::read(report(&self.dir)).unwrap_or_else(|error| {
            panic!("no report ({error}): {}", String::from_utf8_lossy(&output.stderr));
        });
        let report: Value = serde_json::from_slice(&report).expect("a report");
        assert_eq!(report["answered"], MESSAGES, "{report:#}");
        let violations = report["violations"].as_array().expect("a list").iter();
        let run = Run {
            good: output.status.success(),
            delivered: report["delivered"].as_u64().expect("a number"),
            violations: violations.map(|said| said.as_str().expect("text").to_owned()).collect(),
            counts: self.proxy.counts(),
        };
        println!("{}, {:?}: {:#?}", report["wire"], run.counts, run.violations);
        run
    }
}

fn report(dir: &TempDir) -> PathBuf {
    dir.path().join("report.json")
}

/// No fault, then each.
async fn every_fault_is_named(wire: &str) {
    // One after the other: each is a load.
    let _alone = ALONE.lock().await;
    // A connection takes two descriptors of the proxy.
    rlimit::increase_nofile_limit(u64::MAX).expect("a limit of descriptors");
    let carillon = binary_beside(env!("CARGO_BIN_EXE_carillon-loadtest")).expect("a server's program");
    let system = carillon.standalone_in_memory().await.expect("a server starts");
    let deliveries = MESSAGES * MEMBERS;
    let bites = deliveries / ONE_IN;
    assert!(bites > 0, "enough for a fault to bite");
    let start = async |faults| Running::start(&system, wire, faults, deliveries).await;

    let none = start(Faults::default()).await;
    let dropped = start(Faults { drop_every: ONE_IN, ..Faults::default() }).await;
    let doubled = start(Faults { repeat_every: ONE_IN, ..Faults::default() }).await;
    let swapped = start(Faults { swap_every: ONE_IN, ..Faults::default() }).await;
    let altered = start(Faults { alter_every: ONE_IN, ..Faults::default() }).await;
    let last = start(Faults { drop_every: deliveries, ..Faults::default() }).await;
    let (room, member) = ("room ", ", member ");

    let none = none.end().await;
    assert!(none.good && none.violations.is_empty(), "without a fault nothing is wrong");
    assert_eq!(none.delivered, deliveries);
    assert_eq!(none.counts, Counts { messages: deliveries, ..Counts::default() });

    let dropped = dropped.end().await;
    assert_eq!(dropped.counts.dropped, bites);
    assert!(!dropped.good && dropped.names(&[room, member, ": heard ", " of "]));
    assert!(dropped.names(&[room, member, "a gap: of sender "]));

    let doubled = doubled.end().await;
    assert_eq!(doubled.counts.repeated, bites);
    assert!(!doubled.good && doubled.names(&[room, member, "came twice"]));

    let swapped = swapped.end().await;
    assert_eq!(swapped.counts.swapped, bites);
    assert!(!swapped.good && swapped.names(&[room, member, "order"]));
    assert_eq!(swapped.delivered, deliveries, "nothing else is wrong");

    let altered = altered.end().await;
    assert_eq!(altered.counts.altered, bites);
    assert!(!altered.good && altered.names(&[room, member, "a text that nobody sent"]));

    // The very last one, after which no gap shows.
    let last = last.end().await;
    assert_eq!(last.counts.dropped, 1);
    assert!(!last.good && last.names(&[room, member, ": heard ", " of "]));
    assert_eq!(last.violations.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_faults_are_named_in_json() {
    every_fault_is_named("json").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_faults_are_named_in_protobuf() {
    every_fault_is_named("protobuf").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_faults_are_named_in_socketio() {
    every_fault_is_named("socketio").await;
}
