//! Runs of several processes against a real server: what they find together,
//! and what becomes of a run that loses one of them.

use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use testkit::cluster::{SECRET, System, binary_beside};
use testkit::ports::free_port;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

/// Longer than any of these runs takes.
const LONG: Duration = Duration::from_secs(120);
/// Only a run whose outcome nobody waits for takes longer.
const PROMPT: Duration = Duration::from_secs(30);

async fn server() -> System {
    let carillon = binary_beside(env!("CARGO_BIN_EXE_carillon-loadtest")).expect("a server's program");
    carillon.standalone_in_memory().await.expect("a running server")
}

/// The load generator; it dies with the test.
fn loadtest(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carillon-loadtest"));
    command.args(args).env("CARILLON_JWT_SECRET", SECRET).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn end(command: &mut Command) -> Output {
    tokio::time::timeout(LONG, command.output()).await.expect("an end").expect("the load generator runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The report of a run that has to succeed.
async fn report(system: &System, args: &[&str]) -> Value {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().to_str().expect("a path in UTF-8");
    let url = system.gateway(0).url();
    let common = ["--target", &url, "--warmup", "200ms", "--duration", "2s", "--json", path];
    let output = end(&mut loadtest(&[args, &common].concat())).await;
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), said(&output));
    let report = std::fs::read(file.path()).expect("a report");
    serde_json::from_slice(&report).expect("a report in JSON")
}

fn number(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("no {name}: {report}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_together_are_one_run() {
    let system = server().await;

    let pairs = report(&system, &["--workers", "2", "--pairs", "5", "--rate", "60"]).await;
    assert_eq!((number(&pairs, "rooms"), number(&pairs, "senders"), number(&pairs, "rate")), (5, 10, 60));
    let answered = number(&pairs, "answered");
    // 60 a second for 2.2 s, unless the machine is busy.
    assert!((60..=140).contains(&answered), "{pairs}");
    assert_eq!(number(&pairs, "delivered"), answered * 2);
    assert!(pairs["delivery_ms"]["p50"].as_f64().is_some_and(|p50| p50 > 0.0), "{pairs}");
    assert_eq!(pairs["violations"], serde_json::json!([]));

    // One room whose members are spread over both, and so are its senders.
    let room = ["--workers", "2", "--scenario", "fanout", "--rooms", "1", "--members", "9", "--senders", "3"];
    let fanout = report(&system, &[&room[..], &["--rate", "30"]].concat()).await;
    assert_eq!((number(&fanout, "rooms"), number(&fanout, "members"), number(&fanout, "senders")), (1, 9, 3));
    assert!(number(&fanout, "answered") > 20, "{fanout}");
    assert_eq!(number(&fanout, "delivered"), number(&fanout, "answered") * 9);
    assert_eq!(fanout["violations"], serde_json::json!([]));

    let pid = system.gateway(0).pid().expect("a process").to_string();
    let storm = ["--workers", "2", "--scenario", "storm", "--connections", "9", "--members", "3"];
    let storm = report(&system, &[&storm[..], &["--pid", &pid]].concat()).await;
    assert_eq!((number(&storm, "connections"), number(&storm, "lost")), (9, 9));
    assert_eq!((number(&storm, "caught_up"), number(&storm, "missed")), (9, 0));
    assert_eq!(storm["costs"].as_array().map(Vec::len), Some(1), "looked at once: {storm}");
}

fn worker(address: &str, secret: &str) -> Child {
    let mut worker = loadtest(&["worker", "--coordinator", address]);
    worker.env("CARILLON_JWT_SECRET", secret).spawn().expect("the load generator runs")
}

async fn ended(child: Child) -> Output {
    tokio::time::timeout(PROMPT, child.wait_with_output()).await.expect("an end").expect("its output")
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_come_from_elsewhere_if_they_have_the_secret() {
    let system = server().await;
    let address = format!("127.0.0.1:{}", free_port().expect("a port"));
    let stranger = worker(&address, "a secret that the servers do not know");
    let lead = async {
        let room = ["--scenario", "fanout", "--rooms", "4", "--members", "3"];
        report(&system, &[&["coordinate", "--listen", &address, "--expect", "2"], &room[..]].concat()).await
    };
    let work = async {
        let refused = ended(stranger).await;
        assert!(said(&refused).contains("another secret"), "{}", said(&refused));
        let (one, two) = tokio::join!(ended(worker(&address, SECRET)), ended(worker(&address, SECRET)));
        for output in [one, two] {
            assert!(output.status.success(), "{}", said(&output));
        }
    };
    let (report, ()) = tokio::join!(lead, work);
    assert_eq!((number(&report, "rooms"), number(&report, "senders")), (4, 4));
    assert_eq!(number(&report, "delivered"), number(&report, "answered") * 3);
}

/// A coordinator of which it is read meanwhile what it says.
struct Lead {
    process: Child,
    lines: Lines<BufReader<ChildStderr>>,
    said: String,
}

impl Lead {
    fn start(args: &[&str]) -> Self {
        let mut process = loadtest(args).spawn().expect("the load generator runs");
        let lines = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        Self { process, lines, said: String::new() }
    }

    async fn line(&mut self) -> Option<String> {
        let line = tokio::time::timeout(LONG, self.lines.next_line()).await.expect("a line");
        let line = line.expect("text")?;
        self.said.push_str(&line);
        self.said.push('\n');
        Some(line)
    }

    /// Waits until messages are answered.
    async fn talks(&mut self) {
        while let Some(line) = self.line().await {
            if line.contains(" answered, ") && !line.contains(" 0 answered, ") {
                return;
            }
        }
        panic!("it ended before: {}", self.said);
    }

    /// Its end, and what it has said on standard error.
    async fn end(mut self) -> (Output, String) {
        while self.line().await.is_some() {}
        (ended(self.process).await, self.said)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_loses_a_worker_fails_and_names_it() {
    let system = server().await;
    let address = format!("127.0.0.1:{}", free_port().expect("a port"));
    let run = ["--target", &system.gateway(0).url(), "--pairs", "4", "--rate", "20", "--duration", "10m"];
    let coordinate = ["coordinate", "--listen", &address, "--expect", "2"];
    let mut lead = Lead::start(&[&coordinate[..], &run].concat());
    let (mut lost, other) = (worker(&address, SECRET), worker(&address, SECRET));
    lead.talks().await;
    let pid = lost.id().expect("it runs").to_string();
    lost.kill().await.expect("killed");

    let (lead, error) = lead.end().await;
    assert!(!lead.status.success());
    let error = error.lines().find(|line| line.starts_with("Error")).unwrap_or_else(|| panic!("{error}"));
    assert!(error.contains("worker ") && error.contains(&format!("process {pid}")), "{error}");
    let other = ended(other).await;
    assert!(!other.status.success(), "it goes on alone: {}", said(&other));
    assert!(said(&other).contains("the coordinator is gone"), "{}", said(&other));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_interrupted_still_reports() {
    let system = server().await;
    let url = system.gateway(0).url();
    let args = ["--workers", "2", "--pairs", "4", "--rate", "20", "--duration", "10m", "--target", &url];
    let mut lead = Lead::start(&args);
    lead.talks().await;
    let pid = lead.process.id().expect("it runs").to_string();
    let signalled = Command::new("kill").args(["-INT", &pid]).status().await.expect("kill runs");
    assert!(signalled.success());
    let (output, said) = lead.end().await;
    assert!(output.status.success(), "{said}");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("every member heard every message once"), "{shown}{said}");
}
