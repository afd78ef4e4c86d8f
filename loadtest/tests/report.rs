//! What the generator leaves behind of a run against a real server: JSON that
//! adds up, a page with every plot, and both again from the JSON.

use std::process::Output;

use serde_json::Value;
use testkit::cluster::{SECRET, System, binary_beside};

const GENERATOR: &str = env!("CARGO_BIN_EXE_carillon-loadtest");

async fn generate(args: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(GENERATOR);
    command.args(args).env_remove("CARILLON_JWT_SECRET").kill_on_drop(true);
    command.output().await.expect("the generator runs")
}

fn text(output: &[u8]) -> &str {
    std::str::from_utf8(output).expect("UTF-8")
}

/// A short run of pairs, which writes to these files.
async fn pairs(system: &System, json: &str, html: &str) -> Output {
    let node = system.gateway(0);
    let (target, metrics) = (node.url(), format!("{}/metrics", node.admin().base()));
    let pid = node.pid().expect("it runs").to_string();
    let to = ["--target", &target, "--secret", SECRET, "--metrics", &metrics, "--pid", &pid];
    let what = ["--pairs", "3", "--rate", "60", "--ramp", "1s", "--warmup", "1s", "--duration", "4s"];
    generate(&[&to[..], &what, &["--json", json, "--html", html]].concat()).await
}

fn number(of: &Value, key: &str) -> u64 {
    of[key].as_u64().unwrap_or_else(|| panic!("{key} is a number: {of:.500}"))
}

fn check_json(record: &Value) {
    assert_eq!((number(record, "format"), &record["settings"]["scenario"]), (1, &"pairs".into()));
    assert!(record["settings"].get("secret").is_none() && !record.to_string().contains(SECRET));
    assert_eq!((&record["wire"], &record["violations"]), (&"json".into(), &Value::Array(Vec::new())));
    let timeline = &record["timeline"];
    let seconds = timeline["seconds"].as_array().expect("seconds");
    assert!(seconds.len() >= 6, "each second is there: {}", seconds.len());
    assert!(seconds.is_sorted_by_key(|second| number(second, "at")));
    for (key, all) in [("answered", "answered"), ("delivered", "delivered")] {
        let sum: u64 = seconds.iter().map(|second| number(second, key)).sum();
        assert!(sum > 0 && sum == number(record, all), "{key}: {sum} in all seconds");
    }
    assert!(seconds.iter().any(|second| number(second, "connections") == 6));
    assert!(seconds.iter().any(|second| second["delivery_us"].as_str().is_some_and(|us| us.contains(':'))));
    let phases: Vec<_> =
        timeline["phases"].as_array().expect("phases").iter().map(|begin| begin["phase"].as_str()).collect();
    let expected = ["preparing", "connecting", "ramp", "warm-up", "measuring", "drain", "checking"].map(Some);
    assert_eq!(phases, expected);
    let nodes = timeline["nodes"].as_array().expect("nodes");
    let named = |name: &str| {
        let found =
            nodes.iter().find(|node| node["name"].as_str().is_some_and(|known| known.starts_with(name)));
        found.unwrap_or_else(|| panic!("{name} was looked at"))
    };
    for name in ["standalone 127.0.0.1:", "carillon (", "load generator ("] {
        let samples = named(name)["samples"].as_array().expect("samples");
        let last = samples.last().expect("a sample");
        assert!(samples.len() >= 4, "{name}: {} samples", samples.len());
        assert!(last["memory"].as_f64() > Some(1e6) && last["cpu"].as_f64() > Some(0.0), "{name}: {last}");
    }
    let seen = named("standalone")["samples"].as_array().expect("samples").iter();
    assert!(seen.filter_map(|sample| sample["connections"].as_f64()).any(|count| count == 6.0));
    assert!(named("standalone")["version"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_written_down_and_shown_again() {
    let system = binary_beside(GENERATOR)
        .expect("a server's program")
        .standalone_in_memory()
        .await
        .expect("a running system");
    let dir = tempfile::tempdir().expect("a folder");
    let file = |name: &str| dir.path().join(name).to_str().expect("a path in UTF-8").to_owned();
    let (json, html, again) = (file("run.json"), file("run.html"), file("again.html"));

    let ran = pairs(&system, &json, &html).await;
    let (said, told) = (text(&ran.stdout), text(&ran.stderr));
    assert!(ran.status.success(), "{said}\n{told}");
    assert!(said.contains("the store agrees"), "{said}");
    assert!(told.contains("6 connected"), "progress is shown: {told}");
    check_json(&serde_json::from_slice(&std::fs::read(&json).expect("JSON is written")).expect("JSON"));
    let page = std::fs::read_to_string(&html).expect("a page is written");
    for plot in [
        "percentiles",
        "answered",
        "delivered",
        "answer-latency",
        "delivery-latency",
        "connections",
        "reconnects",
        "join-latency",
        "memory",
        "processor",
        "node-connections",
    ] {
        let figure = page.split(&format!("<figure class=\"chart\" id=\"{plot}\"")).nth(1);
        let figure = figure.unwrap_or_else(|| panic!("{plot} is drawn")).split("</figure>").next();
        assert!(figure.is_some_and(|figure| figure.contains(" d=\"M")), "{plot} has a line");
    }
    assert!(!page.contains(SECRET));

    let shown = generate(&["report", &json, "--html", &again]).await;
    assert_eq!((shown.status.success(), text(&shown.stdout)), (true, said));
    assert_eq!(std::fs::read_to_string(&again).expect("a page is written"), page);

    let compared = generate(&["compare", &json, &json, "--html", &again]).await;
    assert!(compared.status.success(), "{}", text(&compared.stderr));
    assert!(
        text(&compared.stdout).lines().any(|line| line.starts_with("delivered ") && line.ends_with(" 1.00"))
    );
    assert!(std::fs::read_to_string(&again).expect("a page is written").contains("id=\"percentiles\""));
}
