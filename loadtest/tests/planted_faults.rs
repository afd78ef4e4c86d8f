//! A checker that never finds anything proves nothing. So here the load
//! generator meets a gateway that loses, doubles, swaps or alters one delivery
//! in 10,000, on each wire: it has to fail, and to name the fault. And not to
//! fail without one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;
use testkit::cluster::{SECRET, System, binary};
use testkit::deliveries::DeliveryProxy;
use testkit::tamper::{Counts, Faults};

const ONE_IN: u64 = 10_000;
const ROOMS: u64 = 2;
const MEMBERS: u64 = 60;
/// Of each room: some of a gateway's swaps are of messages of two senders.
const SENDERS: u64 = 3;
const PER_SECOND: u64 = 300;
const SECONDS: u64 = 2;
const MESSAGES: u64 = PER_SECOND * SECONDS;

/// The server: built beside the generator whenever the whole workspace is.
static CARILLON: LazyLock<PathBuf> = LazyLock::new(|| {
    let carillon = Path::new(env!("CARGO_BIN_EXE_carillon-loadtest")).with_file_name("carillon");
    if !carillon.exists() {
        let folder = carillon.parent().and_then(Path::file_name).expect("it lies in a profile's folder");
        let profile = if folder == "debug" { "dev".as_ref() } else { folder };
        let built = Command::new(env!("CARGO"))
            .args(["build", "--package", "carillon", "--bin", "carillon", "--profile"])
            .arg(profile)
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the server was not built: {built}");
    }
    carillon
});

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

/// A run of the generator against a gateway with these faults. What never comes
/// is waited for so many seconds.
async fn run(system: &System, wire: &str, faults: Faults, drain: u64) -> Run {
    let proxy = DeliveryProxy::start(&system.gateway(0).url()).await.expect("a proxy");
    proxy.set(faults);
    let dir = tempfile::tempdir().expect("a folder");
    let json = dir.path().join("report.json");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_carillon-loadtest"));
    command.args(["--scenario", "fanout", "--wire", wire, "--target", proxy.url(), "--secret", SECRET]);
    for (flag, value) in [
        ("--rooms", ROOMS),
        ("--members", MEMBERS),
        ("--senders", SENDERS),
        ("--rate", PER_SECOND),
        ("--warmup", 0),
        ("--duration", SECONDS),
        ("--drain", drain),
    ] {
        command.args([flag, &value.to_string()]);
    }
    let output = command.arg("--json").arg(&json).kill_on_drop(true).output().await.expect("it runs");
    let report = std::fs::read(&json).unwrap_or_else(|error| {
        panic!("no report ({error}): {}", String::from_utf8_lossy(&output.stderr));
    });
    let report: Value = serde_json::from_slice(&report).expect("a report");
    assert_eq!(report["answered"], MESSAGES, "{report:#}");
    let violations = report["violations"].as_array().expect("a list").iter();
    let run = Run {
        good: output.status.success(),
        delivered: report["delivered"].as_u64().expect("a number"),
        violations: violations.map(|said| said.as_str().expect("text").to_owned()).collect(),
        counts: proxy.counts(),
    };
    println!("{wire}, {faults:?}: {:?}: {:#?}", run.counts, run.violations);
    run
}

/// No fault, then each. `hearers`: who hears each message.
async fn every_fault_is_named(wire: &str, hearers: u64) {
    let system = binary(&*CARILLON).standalone(&[]).await.expect("a server starts");
    let deliveries = MESSAGES * hearers;
    let bites = deliveries / ONE_IN;
    assert!(bites >= 3, "enough for a fault to bite");
    let (room, member) = ("room ", ", member ");

    let none = run(&system, wire, Faults::default(), 60).await;
    assert!(none.good && none.violations.is_empty(), "without a fault nothing is wrong");
    assert_eq!(none.delivered, deliveries);
    assert_eq!(none.counts, Counts { messages: deliveries, ..Counts::default() });

    let faults = Faults { drop_every: ONE_IN, ..Faults::default() };
    let dropped = run(&system, wire, faults, 3).await;
    assert_eq!(dropped.counts.dropped, bites);
    assert!(!dropped.good && dropped.names(&[room, member, ": heard ", " of "]));
    assert!(dropped.names(&[room, member, "a gap: of sender "]));

    let faults = Faults { repeat_every: ONE_IN, ..Faults::default() };
    let doubled = run(&system, wire, faults, 3).await;
    assert_eq!(doubled.counts.repeated, bites);
    assert!(!doubled.good && doubled.names(&[room, member, "came twice"]));

    let faults = Faults { swap_every: ONE_IN, ..Faults::default() };
    let swapped = run(&system, wire, faults, 3).await;
    assert_eq!(swapped.counts.swapped, bites);
    assert!(!swapped.good && swapped.names(&[room, member, "order"]));
    assert_eq!(swapped.delivered, deliveries, "nothing else is wrong");

    let faults = Faults { alter_every: ONE_IN, ..Faults::default() };
    let altered = run(&system, wire, faults, 3).await;
    assert_eq!(altered.counts.altered, bites);
    assert!(!altered.good && altered.names(&[room, member, "a text that nobody sent"]));

    // The very last one shows by no gap.
    let faults = Faults { drop_every: deliveries, ..Faults::default() };
    let last = run(&system, wire, faults, 3).await;
    assert_eq!(last.counts.dropped, 1);
    assert!(!last.good && last.names(&[room, member, ": heard ", " of "]));
    assert_eq!(last.violations.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_faults_are_named_in_json() {
    every_fault_is_named("json", MEMBERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_faults_are_named_in_protobuf() {
    every_fault_is_named("protobuf", MEMBERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_faults_are_named_in_socketio() {
    // A sender has the answer in place of the event.
    every_fault_is_named("socketio", MEMBERS - 1).await;
}
