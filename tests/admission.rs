//! Connections are let in at a rate: a storm is told to come back, each of it
//! at another time, and who comes back is let in.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use testkit::cluster::{System, binary};
use testkit::eventually;

const PROGRAM: &str = env!("CARGO_BIN_EXE_carillon");
const PATIENCE: Duration = Duration::from_secs(30);
/// One in a second, so that a slow machine too sees a storm refused.
const RATE: (&str, &str) = ("CARILLON_CONNECTION_RATE", "1");
const STORM: usize = 40;

fn websocket(http: &Client, url: &str) -> RequestBuilder {
    http.get(format!("{url}/v1/ws"))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

fn polling(http: &Client, url: &str) -> RequestBuilder {
    http.get(format!("{url}/socket.io/?EIO=4&transport=polling"))
}

/// Everybody at once. The answers of those who were let in, and of the others.
async fn storm(request: impl Fn() -> RequestBuilder) -> (Vec<Response>, Vec<Response>) {
    let answers = join_all((0..STORM).map(|_| request().send())).await;
    answers
        .into_iter()
        .map(|answer| answer.expect("an answer"))
        .partition(|answer| answer.status() != StatusCode::SERVICE_UNAVAILABLE)
}

/// A storm, refused; then one of it, who comes back.
async fn check(system: &System, request: impl Fn() -> RequestBuilder, let_in: StatusCode) {
    let began = Instant::now();
    let (inside, refused) = storm(&request).await;
    // One from the start, and one for each second that it took.
    let most = 1 + began.elapsed().as_secs() as usize + 1;
    assert!(!refused.is_empty() && inside.len() <= most, "{} were let in, {most} at most", inside.len());
    assert!(inside.iter().all(|answer| answer.status() == let_in));
    let count = refused.len();
    let mut waits = BTreeSet::new();
    for answer in refused {
        let seconds = answer.headers()[RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap();
        assert!((1..=3).contains(&seconds), "{seconds}");
        let problem: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!((&problem["code"], &problem["retryable"]), (&"unavailable".into(), &true.into()));
        waits.insert(problem["retryAfter"].as_u64().unwrap());
    }
    assert!(waits.len() > count / 2, "{count} were told to come back after {waits:?}");
    let metric = system.gateway(0).metric("carillon_gateway_handshakes_refused_total").await.unwrap();
    assert!(metric as usize >= count);

    eventually("one who comes back and is let in", PATIENCE, async || {
        let answer = request().send().await.ok()?;
        (answer.status() == let_in).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_websockets_is_told_to_come_back() {
    let system = binary(PROGRAM).standalone(&[RATE]).await.unwrap();
    let (http, url) = (Client::new(), system.gateway(0).url());
    check(&system, || websocket(&http, &url), StatusCode::SWITCHING_PROTOCOLS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_socket_io_handshakes_is_told_to_come_back() {
    let system = binary(PROGRAM).standalone(&[RATE]).await.unwrap();
    let (http, url) = (Client::new(), system.gateway(0).url());
    check(&system, || polling(&http, &url), StatusCode::OK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_rate_nobody_is_refused() {
    let system = binary(PROGRAM).standalone(&[("CARILLON_CONNECTION_RATE", "0")]).await.unwrap();
    let (http, url) = (Client::new(), system.gateway(0).url());
    let (inside, refused) = storm(|| websocket(&http, &url)).await;
    assert_eq!((inside.len(), refused.len()), (STORM, 0));
}
