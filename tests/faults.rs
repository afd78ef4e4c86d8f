//! P7 and P1 with real processes: what happens to a cluster under load when a
//! server under it restarts, and when one of its own dispatchers dies.

mod faults {
    pub mod load;
}

use std::time::Duration;

use faults::load::Load;
use proto::v1::server_frame::Body;
use testkit::cluster::{System, binary};
use testkit::eventually;

/// Healing takes a second or two; a slow machine gets more.
const HEALED: Duration = Duration::from_secs(30);
/// Messages answered before and after a fault, so that it falls amid load.
const SOME: usize = 60;

async fn cluster() -> System {
    binary(env!("CARGO_BIN_EXE_carillon")).cluster(Default::default()).await.expect("a cluster starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_sends_are_stored_answered_and_delivered_while_nats_is_away() {
    let system = cluster().await;
    let load = Load::start(&system).await;
    load.answered(SOME).await;
    system.nats().kill().await.expect("NATS dies");
    // Not one of these can have gone over the broker.
    let sent_without = load.answered(SOME).await;
    eventually("delivery without a broker", HEALED, async || {
        load.everyone_heard(&sent_without).then_some(())
    })
    .await;
    system.nats().start().await.expect("NATS starts again");
    load.answered(SOME).await;
    let report = load.finish(&system).await;
    report.assert_kept();
    assert_eq!(report.refusals, Vec::<String>::new(), "sending never depends on the broker");
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_chat_goes_on_without_redis_and_presence_says_so_then_comes_back() {
    let system = cluster().await;
    let load = Load::start(&system).await;
    let status_of_ben = async || {
        let answer = load.watcher().presence("", &[load.user(1)]).await.ok()?;
        let Body::Presence(presence) = Body::Presence(answer) else { return None };
        Some(presence.users.first()?.status.clone())
    };
    eventually("ben to be online", HEALED, async || (status_of_ben().await? == "online").then_some(())).await;
    load.answered(SOME).await;
    system.redis().kill().await.expect("Redis dies");
    let sent_without = load.answered(SOME).await;
    eventually("delivery without presence", HEALED, async || {
        load.everyone_heard(&sent_without).then_some(())
    })
    .await;
    eventually("presence to be unknown", HEALED, async || {
        (status_of_ben().await? == "unknown").then_some(())
    })
    .await;
    // It comes back empty: the gateways enter their clients again.
    system.redis().start().await.expect("Redis starts again");
    eventually("presence to be rebuilt", HEALED, async || (status_of_ben().await? == "online").then_some(()))
        .await;
    load.answered(SOME).await;
    let report = load.finish(&system).await;
    report.assert_kept();
    assert_eq!(report.refusals, Vec::<String>::new(), "sending never depends on presence");
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_short_restart_of_postgresql_is_a_pause() {
    let system = cluster().await;
    let load = Load::start(&system).await;
    load.answered(SOME).await;
    system.postgres().kill().await.expect("PostgreSQL dies");
    system.postgres().start().await.expect("PostgreSQL starts again");
    load.answered(SOME).await;
    let report = load.finish(&system).await;
    report.assert_kept();
    assert_eq!(report.refusals, Vec::<String>::new(), "a short restart is a pause, not an error");
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_long_absence_of_postgresql_is_a_retryable_error_and_connections_stay() {
    let system = cluster().await;
    let load = Load::start(&system).await;
    load.answered(SOME).await;
    system.postgres().stop().await.expect("PostgreSQL stops");
    eventually("a retryable refusal", HEALED, async || load.was_refused().then_some(())).await;
    // What needs no store goes on meanwhile.
    load.watcher().typing(load.room(), false).await.expect("typing is taken");
    load.hears_typing(HEALED).await;
    system.postgres().start().await.expect("PostgreSQL starts again");
    load.answered(SOME).await;
    load.finish(&system).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p7_a_dispatcher_killed_amid_load_loses_and_doubles_nothing() {
    let system = cluster().await;
    let load = Load::start(&system).await;
    for number in [0, 1, 0] {
        load.answered(SOME).await;
        system.dispatcher(number).kill().expect("a dispatcher dies");
        load.answered(SOME).await;
        system.dispatcher(number).start().await.expect("a dispatcher starts again");
    }
    load.answered(SOME).await;
    load.finish(&system).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_dispatcher_that_hangs_is_noticed_and_its_late_answers_double_nothing() {
    let system = cluster().await;
    let load = Load::start(&system).await;
    load.answered(SOME).await;
    system.dispatcher(0).pause().expect("a dispatcher hangs");
    load.answered(SOME).await;
    load.every_sender_goes_on(HEALED).await;
    system.dispatcher(0).resume().expect("it goes on");
    load.answered(SOME).await;
    load.finish(&system).await.assert_kept();
}
