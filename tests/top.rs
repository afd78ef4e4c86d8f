//! `carillon top --once`: what it prints of real processes is what they do.

use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use testkit::client::Client;
use testkit::cluster::{ClusterOptions, System, binary};
use testkit::ports::free_port;
use tokio::process::Command;
use tokio_util::task::AbortOnDropHandle;

const PROGRAM: &str = env!("CARGO_BIN_EXE_carillon");
const PATIENCE: Duration = Duration::from_secs(60);

async fn top(arguments: &[String]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(["top", "--interval", "500ms"]).args(arguments);
    command.stdin(Stdio::null()).kill_on_drop(true);
    tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends by itself").expect("it runs")
}

/// As programs read it, of these nodes.
async fn json(nodes: &[String]) -> Value {
    let output = top(&[&["--once".to_owned(), "--json".to_owned()], nodes].concat()).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn admins(system: &System) -> Vec<String> {
    let nodes = system.gateways().iter().chain(system.dispatchers());
    nodes.map(|node| node.admin().base().to_owned()).collect()
}

/// Two who talk until this is dropped.
async fn talk(system: &System) -> (AbortOnDropHandle<()>, Client) {
    let room = system.rest(0, "ana").create_group("Ringers", &["ben"]).await.expect("a room");
    let ana = system.client(0, "ana").await.expect("a connection");
    let ben = system.client(1, "ben").await.expect("a connection");
    ben.join(&room).await.expect("a join");
    ana.send(&room, "hi").await.expect("a send");
    let talk = tokio::spawn(async move {
        loop {
            ana.send(&room, "hi").await.expect("a send");
        }
    });
    (AbortOnDropHandle::new(talk), ben)
}

#[track_caller]
fn figure(figures: &Value, name: &str) -> f64 {
    figures[name].as_f64().unwrap_or_else(|| panic!("{name} is no number in {figures:#}"))
}

/// What every system that two talk in shows.
#[track_caller]
fn assert_lively(total: &Value) {
    assert_eq!(figure(total, "connections"), 2.0);
    for rate in ["framesPerSecond", "deliveriesPerSecond", "sendsPerSecond"] {
        assert!(figure(total, rate) > 0.0, "{rate} in {total:#}");
    }
    for (half, nearly_all) in
        [("answerP50Seconds", "answerP99Seconds"), ("commitP50Seconds", "commitP99Seconds")]
    {
        assert!(figure(total, half) > 0.0 && figure(total, half) <= figure(total, nearly_all), "{total:#}");
    }
    assert!(figure(total, "memoryBytes") > 1e6 && figure(total, "processors") > 0.0);
    assert_eq!(figure(total, "slowReadersPerSecond"), 0.0);
    assert_eq!(total["brokerUp"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standalone_process_is_seen() {
    let system = binary(PROGRAM).standalone(&[]).await.expect("a running system");
    let _talk = talk(&system).await;
    let seen = json(&admins(&system)).await;
    assert_eq!((&seen["nodes"][0]["role"], &seen["nodes"][0]["up"]), (&"standalone".into(), &true.into()));
    assert_lively(&seen["total"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_seen_with_who_is_down() {
    let options = ClusterOptions { gateways: 2, dispatchers: 2, ..ClusterOptions::default() };
    let system = binary(PROGRAM).cluster(options).await.expect("a running system");
    let _talk = talk(&system).await;
    let nobody = format!("127.0.0.1:{}", free_port().expect("a port"));
    let nodes = [admins(&system), vec![nobody.clone()]].concat();
    let seen = json(&nodes).await;
    let nodes_seen = seen["nodes"].as_array().expect("nodes").iter();
    let roles: Vec<_> = nodes_seen.map(|node| node["role"].as_str()).collect();
    let (gateways, dispatchers) = ([Some("gateway"); 2], [Some("dispatcher"); 2]);
    assert_eq!(roles, [&gateways[..], &dispatchers, &[None]].concat());
    let (gateway, dispatcher, down) = (&seen["nodes"][0], &seen["nodes"][2], &seen["nodes"][4]);
    assert_eq!((&gateway["presenceUp"], &gateway["sendsPerSecond"]), (&true.into(), &Value::Null));
    assert_eq!((&dispatcher["presenceUp"], &dispatcher["connections"]), (&Value::Null, &Value::Null));
    assert_eq!((&down["up"], &down["node"]), (&false.into(), &nobody.clone().into()));
    assert!(down["reason"].as_str().is_some_and(|why| why.contains("refused")), "{down}");
    assert_eq!((&seen["total"]["nodes"], &seen["total"]["nodesUp"]), (&5.into(), &4.into()));
    assert_lively(&seen["total"]);

    let output = top(&[&["--once".to_owned()], &nodes[..]].concat()).await;
    let table = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<_> = table.lines().collect();
    assert!(output.status.success() && lines.len() == 7, "{table}");
    assert!(
        lines[5].starts_with(&nobody) && lines[5].contains("down") && lines[6].contains("4/5 up"),
        "{table}"
    );
    assert!(!table.contains('\u{1b}'), "a plain table");

    let output = top(&["--once".to_owned(), nobody]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("carillon: no node answers"));
}

#[tokio::test]
async fn without_a_terminal_it_says_what_to_do() {
    let output = top(&["127.0.0.1:9090".to_owned()]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--once"), "{output:?}");
    let wrong = top(&["ftp://host".to_owned(), "--nats-url".to_owned(), "x".to_owned()]).await;
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}
