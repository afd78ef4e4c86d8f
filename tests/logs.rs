//! What is logged says what happened, in a form that programs read, and never
//! what people wrote, who they are, or what they prove it with.

use std::collections::BTreeSet;
use std::time::Duration;

use proto::Encoding;
use serde_json::{Value, json};
use testkit::client::Client;
use testkit::cluster::{ClusterOptions, System, binary};
use testkit::eventually;
use testkit::rest::Rest;

const PROGRAM: &str = env!("CARGO_BIN_EXE_carillon");
const PATIENCE: Duration = Duration::from_secs(30);
/// Everything that our own crates have to say.
const LEVEL: &str = "info,carillon=trace,gateway=trace,dispatcher=trace,bus=trace,proto=trace";
/// The user, who is also called so.
const USER: &str = "ana-whose-name-is-hers";
/// In every text: of messages, names of rooms, what cannot be read, what is refused.
const TEXT: &str = "between-the-two-of-us";
/// No token, and shown as one.
const NO_TOKEN: &str = "not-a-token-but-a-password-by-mistake";

/// Everything that may go right and wrong, with words that nobody else has.
async fn talk(system: &System) {
    let rest = system.rest(0, USER);
    let room = rest.create_group(&format!("{TEXT} room"), &["ben"]).await.unwrap();
    let ana = system.client(0, USER).await.unwrap();
    ana.join(&room).await.unwrap();
    let sent = ana.send(&room, &format!("{TEXT} message")).await.unwrap();
    ana.edit(&room, &sent.message, &format!("{TEXT} edit")).await.unwrap();
    ana.typing(&room, false).await.unwrap();
    ana.signal(&room, "wave", &json!({ "to": TEXT }).to_string()).await.unwrap();
    ana.send_with_key(&room, TEXT, "the same key").await.unwrap();
    ana.send_with_key(&room, TEXT, "with other content").await.unwrap_err();
    ana.send(TEXT, "to no room").await.unwrap_err();
    assert!(ana.send_raw(format!("{{\"id\":1,\"{TEXT}\":").into()).await);
    let found = rest.get(&format!("/v1/rooms/{room}/search?q={TEXT}")).await.unwrap();
    assert_eq!(found.status, 200, "{found:?}");
    let answer = rest.post("/v1/rooms", json!({ "kind": TEXT })).await.unwrap();
    assert!(answer.status >= 400, "{answer:?}");

    let url = system.gateway(0).url();
    let refused = Client::connect(&url, NO_TOKEN, Encoding::Json).await;
    assert!(refused.is_err(), "no token is one");
    let refused = Rest::new(url, NO_TOKEN).get("/v1/snapshot").await.unwrap();
    assert_eq!(refused.status, 401);
    ana.close().await;
}

/// Nothing in these logs is anybody's affair but an operator's.
fn check(system: &System) {
    let token = system.token(USER);
    let (_, signed) = token.split_once('.').expect("a token has parts");
    for node in system.gateways().iter().chain(system.dispatchers()) {
        let log = node.log();
        for secret in [USER, TEXT, NO_TOKEN, signed] {
            let line = log.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{} logs {secret}: {line:?}", node.name());
        }
        let lines: Vec<Value> = log
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
            .collect();
        assert!(!lines.is_empty(), "{} logs nothing", node.name());
        for line in &lines {
            for field in ["timestamp", "level", "target", "message"] {
                assert!(line[field].is_string(), "without {field}: {line}");
            }
        }
        let levels: BTreeSet<_> = lines.iter().filter_map(|line| line["level"].as_str()).collect();
        assert!(levels.contains("INFO"), "{levels:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_logs_hold_neither_texts_nor_names_nor_tokens() {
    let settings = [("CARILLON_LOG_LEVEL", LEVEL), ("CARILLON_LOG_FORMAT", "json")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let options = ClusterOptions { settings, gateways: 1, dispatchers: 1, ..ClusterOptions::default() };
    let system = binary(PROGRAM).cluster(options).await.unwrap();
    talk(&system).await;
    // What is said when something that is needed goes away, and comes back.
    system.nats().kill().await.unwrap();
    system.redis().kill().await.unwrap();
    system.postgres().kill().await.unwrap();
    let ana = system.client(0, USER).await;
    assert!(ana.is_err(), "signed in without a database");
    eventually("a log of what is away", PATIENCE, async || {
        system.dispatcher(0).log().contains("WARN").then_some(())
    })
    .await;
    let stopped = system.gateway(0).stop().await.unwrap();
    assert!(stopped.success(), "{stopped}");
    check(&system);
}
