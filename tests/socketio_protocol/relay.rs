//! Long-polling over two gateways, with no balancer that keeps a client at one.

use reqwest::Method;
use testkit::cluster::{ClusterOptions, System, binary};

use super::wire::{Line, Polling, Server, argument, begin, connect, in_time, message, opened, send};

async fn cluster() -> System {
    let options = ClusterOptions {
        gateways: 2,
        dispatchers: 1,
        settings: vec![("CARILLON_DRAIN_SPREAD".to_owned(), "0s".to_owned())],
        ..ClusterOptions::default()
    };
    binary(env!("CARGO_BIN_EXE_carillon")).cluster(options).await.expect("it starts")
}

fn both(system: &System) -> Vec<Server> {
    vec![Server::of(system, 0), Server::of(system, 1)]
}

#[tokio::test]
async fn p2_p3_p4_polls_that_go_round_lose_and_double_nothing() {
    let system = cluster().await;
    let room = system.rest(0, "ana").create_group("Ringers", &["ben"]).await.expect("a room");
    let mut ana = Polling::open(both(&system)).await;
    let mut ben = Polling::open(both(&system)).await;
    ana.say(&connect(&system, "ana")).await;
    ana.next("40{").await;
    ben.say(&connect(&system, "ben")).await;
    ben.next("40{").await;
    let sending = async {
        for number in 0..60 {
            ana.say(&message(number, &room, &format!("n{number}"))).await;
            if number % 7 == 0 {
                ana.next(&format!("43{number}[")).await;
            }
        }
    };
    let hearing = async {
        for number in 0..60 {
            let heard = argument(&ben.next(r#"42["message_received""#).await);
            assert_eq!(heard["content"], format!("n{number}"));
        }
    };
    tokio::join!(sending, hearing);
    let relayed =
        system.gateway(1).metric("carillon_gateway_relayed_requests_total").await.expect("a metric");
    assert!(relayed > 10.0, "{relayed}");
}

#[tokio::test]
async fn the_rules_hold_at_every_gateway() {
    let system = cluster().await;
    let [here, there] = both(&system).try_into().ok().expect("two");
    // Two polls at once, at two gateways.
    let sid = here.open().await;
    let (one, other) = tokio::join!(here.poll(&sid), there.poll(&sid));
    let (parked, second) = if one.status == 200 { (one, other) } else { (other, one) };
    assert_eq!(parked.body, "1");
    assert!(second.is(400, 3), "{second:?}");
    assert!(there.poll(&sid).await.is(400, 1));
    // No packet.
    let sid = here.open().await;
    assert!(there.post(&sid, "abc").await.is(400, 3));
    assert!(there.poll(&sid).await.is(400, 1));
    // Somebody else's.
    let token = system.token("ana");
    let open = send(here.request(Method::GET, "").bearer_auth(&token)).await;
    let sid = opened(&open.body)["sid"].as_str().expect("an id").to_owned();
    let stolen = there.request(Method::GET, &format!("&sid={sid}")).bearer_auth(system.token("eve"));
    assert!(send(stolen).await.is(403, 4));
    // An upgrade cannot be carried; the polls go on.
    let (status, why) = Line::connect(&there, &format!("&sid={sid}")).await.err().expect("no upgrade");
    assert!(status == 400 && why.contains("another node"), "{status} {why}");
    let bearer = there.request(Method::POST, &format!("&sid={sid}")).bearer_auth(&token);
    assert_eq!(send(bearer.body("40")).await.body, "ok");
    assert!(there.poll(&sid).await.body.starts_with("40{"));
    // A poll that is given up.
    let head = format!("GET /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: HOST\r\n\r\n");
    in_time("the end of the session", async {
        // One that goes so soon need not have been seen at all.
        while here.post(&sid, "6").await.status == 200 {
            drop(begin(&there, &head).await);
        }
    })
    .await;
}

#[tokio::test]
async fn p8_a_gateway_that_stops_takes_no_other_ones_session_along() {
    let system = cluster().await;
    let [here, there] = both(&system).try_into().ok().expect("two");
    let sid = here.open().await;
    assert_eq!(there.post(&sid, connect(&system, "ana")).await.body, "ok");
    assert!(there.poll(&sid).await.body.starts_with("40{"));
    let parked = tokio::spawn(there.request(Method::GET, &format!("&sid={sid}")).send());
    let (stopped, ended) = tokio::join!(system.gateway(1).stop(), parked);
    stopped.expect("it stops");
    // If the gateway did not stop before it was there, the poll ends as any other.
    if let Ok(response) = ended.expect("a poll") {
        let ended = response.text().await.expect("a body");
        assert!(ended == "6" || ended == "2", "{ended}");
    }
    assert_eq!(here.post(&sid, "2still").await.body, "ok");
    assert_eq!(here.poll(&sid).await.body, "3still");
}

#[tokio::test]
async fn f1_polls_at_a_gateway_whose_peer_has_died_end_soon() {
    let system = cluster().await;
    let [here, there] = both(&system).try_into().ok().expect("two");
    let sid = here.open().await;
    assert_eq!(there.post(&sid, connect(&system, "ana")).await.body, "ok");
    assert!(there.poll(&sid).await.body.starts_with("40{"));
    let parked = tokio::spawn({
        let (there, sid) = (there.clone(), sid.clone());
        async move { there.poll(&sid).await }
    });
    system.gateway(0).kill().expect("killed");
    let ended = parked.await.expect("the poll");
    assert!(ended.is(400, 1) && ended.body.contains("does not answer"), "{ended:?}");
    let again = there.post(&sid, "3").await;
    assert!(again.is(400, 1) && again.body.contains("does not answer"), "{again:?}");
}
