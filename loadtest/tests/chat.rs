//! Chat against a real server, on each wire; and while that server is killed
//! and started again.

use std::time::Duration;

use serde_json::Value;
use testkit::cluster::{SECRET, System, binary_beside};
use testkit::eventually;
use tokio::sync::Mutex;

/// Longer than any of these runs takes on a busy machine.
const LONG: Duration = Duration::from_secs(180);

/// Each is a load: one after the other.
static ALONE: Mutex<()> = Mutex::const_new(());

async fn server() -> System {
    let carillon = binary_beside(env!("CARGO_BIN_EXE_carillon-loadtest")).expect("a server's program");
    carillon.standalone_in_memory().await.expect("a running server")
}

/// Runs the load generator for some seconds; its report, and whether it was content.
async fn run(system: &System, args: &[&str]) -> (Value, bool) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_carillon-loadtest"));
    command
        .args(["--target", &system.gateway(0).url(), "--secret", SECRET])
        .args(["--users", "30", "--devices", "2", "--rooms", "6", "--rooms-per-user", "3"])
        .args(["--rate", "30", "--edits", "0.3", "--history", "0.2", "--life", "2s", "--away", "300ms"])
        .args(["--warmup", "500ms", "--duration", "4s", "--drain", "60s", "--seed", "7"])
        .args(args)
        .arg("--json")
        .arg(file.path())
        .kill_on_drop(true);
    let output = tokio::time::timeout(LONG, command.output()).await.expect("an end").expect("it runs");
    let said = [output.stderr, output.stdout].concat();
    let said = String::from_utf8_lossy(&said);
    let report = std::fs::read(file.path()).expect("a report");
    (serde_json::from_slice(&report).unwrap_or_else(|_| panic!("no report: {said}")), output.status.success())
}

fn number(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {path} in {report}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_hears_everything_on_each_wire() {
    let _alone = ALONE.lock().await;
    let system = server().await;
    for wire in ["json", "protobuf", "socketio"] {
        let (report, is_content) = run(&system, &["--scenario", "chat", "--wire", wire]).await;
        assert!(is_content, "{wire}: {}", report["violations"]);
        // Everything happens; how often it does is for a quiet machine to say.
        let all = [
            ("/answered", 90),
            ("/delivered", 1000),
            ("/actions/edited", 1),
            ("/actions/typed", 1),
            ("/actions/typing_heard", 1),
            ("/actions/read", 1),
            ("/actions/asked_online", 1),
            ("/actions/changed_status", 1),
            ("/actions/pages", 1),
            ("/connections/cut", 10),
            ("/connections/resumed", 10),
            ("/connections/resumed_changes", 10),
        ];
        for (path, least) in all {
            let found = number(&report, path);
            assert!(found >= least, "{wire}: only {found} at {path}: {report}");
        }
        assert_eq!(number(&report, "/connections/lost"), 0, "{wire}: {report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_started_again_loses_nothing() {
    let _alone = ALONE.lock().await;
    let system = server().await;
    let gateway = system.gateway(0);
    let kill = format!("2s:kill -9 {}", gateway.pid().expect("a process"));
    let args = ["--scenario", "mixed-faults", "--fault", &kill, "--fault", "1s:exit 3"];
    let failing = run(&system, &args);
    let again = async {
        eventually("the server to be killed", LONG, async || gateway.ended().await.ok()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        gateway.start().await.expect("it starts again");
    };
    let ((report, is_content), ()) = tokio::join!(failing, again);
    let faults = report["faults"].as_array().expect("faults");
    let statuses: Vec<_> = faults.iter().map(|fault| fault["status"].as_i64()).collect();
    assert_eq!(statuses, [Some(3), Some(0)], "{report}");
    // The one that was told to fail did not do what it was to do; all else is well.
    let violations = report["violations"].as_array().expect("violations");
    assert!(!is_content && violations.len() == 1, "{violations:?}");
    assert!(violations[0].as_str().is_some_and(|what| what.contains("exit 3")), "{violations:?}");
    for (path, least) in [
        ("/answered", 90),
        ("/connections/lost", 1),
        ("/connections/failed_attempts", 1),
        ("/connections/resumed", 10),
        ("/actions/said_again", 1),
    ] {
        let found = number(&report, path);
        assert!(found >= least, "only {found} at {path}: {report}");
    }
}
