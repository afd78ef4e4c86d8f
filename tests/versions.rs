//! F23: two versions side by side, as while an upgrade is under way. The previous
//! version's program is named by `CARILLON_PREVIOUS`; `cargo xtask versions`
//! builds it from an earlier revision. Without it, this version stands beside itself.

use std::time::Duration;

use proto::Encoding;
use proto::v1::{ServerFrame, server_frame::Body};
use serde_json::json;
use testkit::checker::{History, check, read_room};
use testkit::client::{Client, ConnectOptions};
use testkit::cluster::{Binary, ClusterOptions, System, binary};
use testkit::crowd::{Crowd, CrowdOptions};
use testkit::eventually;
use testkit::rolling::restart;

const SOON: Duration = Duration::from_secs(30);
/// Enough that both dispatchers have rooms from both gateways.
const ROOMS: usize = 12;
/// Messages answered between two steps of an upgrade.
const SOME: usize = 30;
/// Node 0 of each kind stays old, node 1 is new.
const OLD: usize = 0;
const NEW: usize = 1;

fn new() -> Binary {
    binary(env!("CARGO_BIN_EXE_carillon"))
}

fn old() -> Binary {
    match std::env::var_os("CARILLON_PREVIOUS").filter(|path| !path.is_empty()) {
        Some(path) => {
            println!("the previous version is {}", path.display());
            binary(std::path::absolute(path).expect("a path"))
        }
        None => {
            println!("CARILLON_PREVIOUS is not set: this version stands beside itself");
            new()
        }
    }
}

/// A cluster of the old version, on a database that the new one has migrated.
async fn old_cluster(options: ClusterOptions) -> System {
    let system = old().cluster(options).await.expect("a cluster of the old version starts");
    new().migrate(system.database_url()).await.expect("the new version migrates");
    system
}

fn two_of_each() -> ClusterOptions {
    ClusterOptions { gateways: 2, dispatchers: 2, ..ClusterOptions::default() }
}

/// Old and new gateway, old and new dispatcher.
async fn mixed_cluster() -> System {
    let system = old_cluster(two_of_each()).await;
    for node in [system.dispatcher(NEW), system.gateway(NEW)] {
        upgrade(node).await;
    }
    for gateway in system.gateways() {
        let both = async || (gateway.metric("carillon_gateway_dispatchers").await.ok()? == 2.0).then_some(());
        eventually(format!("{} to reach both dispatchers", gateway.name()), SOON, both).await;
    }
    system
}

async fn upgrade(node: &testkit::cluster::Node) {
    let restarted = restart(node, |node| node.set_program(&new())).await.expect("a node is upgraded");
    assert!(restarted.status.success(), "{} ended with {}", restarted.node, restarted.status);
}

async fn member(system: &System, gateway: usize, user: &str, encoding: Encoding, room: &str) -> Client {
    let options = ConnectOptions::new(encoding);
    let client = system.client_with(gateway, user, options).await.expect("a client connects");
    client.join(room).await.expect("a member joins");
    client
}

/// What somebody does in a room is seen by somebody else at another gateway.
async fn is_seen(by: &Client, what: &str, is_it: impl Fn(&ServerFrame) -> bool) {
    let seen = by.expect_event(what, |frame| is_it(frame).then_some(())).await;
    seen.unwrap_or_else(|error| panic!("{what}: {error:#}"));
}

/// One room, one member at each gateway: everything that one does, the other sees.
async fn talk_both_ways(system: &System, number: usize) -> History {
    let names = ["ana", "ben"].map(|name| format!("{name}-{number}"));
    let opened_at = system.rest(number % 2, &names[0]);
    let room = opened_at.create_group("Both", &[&names[1]]).await.expect("a room");
    let encodings = [Encoding::ALL[number % 2], Encoding::ALL[(number / 2) % 2]];
    let ana = member(system, OLD, &names[0], encodings[0], &room).await;
    let ben = member(system, NEW, &names[1], encodings[1], &room).await;
    for (from, to, name) in [(&ana, &ben, &names[0]), (&ben, &ana, &names[1])] {
        let sent = from.send(&room, "hi").await.expect("a send");
        let id = &sent.message;
        is_seen(to, "a message", |frame| {
            matches!(&frame.body, Some(Body::Message(message)) if message.id == *id && message.text == "hi")
        })
        .await;
        from.edit(&room, id, "hello").await.expect("an edit");
        is_seen(to, "an edit", |frame| {
            matches!(&frame.body, Some(Body::Message(message)) if message.id == *id && message.text == "hello")
        })
        .await;
        to.read(&room, sent.seq).await.expect("a read mark");
        is_seen(
            from,
            "a read mark",
            |frame| matches!(&frame.body, Some(Body::ReadMark(mark)) if mark.seq >= sent.seq),
        )
        .await;
        from.typing(&room, false).await.expect("typing");
        is_seen(
            to,
            "typing",
            |frame| matches!(&frame.body, Some(Body::Typing(typing)) if typing.user == *name),
        )
        .await;
        from.signal(&room, "wave", "1").await.expect("a signal");
        is_seen(
            to,
            "a signal",
            |frame| matches!(&frame.body, Some(Body::Signal(signal)) if signal.name == "wave"),
        )
        .await;
        eventually("presence of the other", SOON, async || {
            let presence = to.presence(&room, &[name]).await.expect("presence is answered");
            presence.users.iter().any(|user| user.user == *name && user.status == "online").then_some(())
        })
        .await;
        from.delete(&room, id).await.expect("a deletion");
        is_seen(to, "a deletion", |frame| {
            matches!(&frame.body, Some(Body::Message(message)) if message.id == *id && message.deleted_at > 0)
        })
        .await;
        let notice = json!({ "user": name, "type": "LIKE", "data": { "post": 1 } });
        // By way of the gateway where the user is not.
        let gateway = if std::ptr::eq(from, &ana) { NEW } else { OLD };
        system
            .service(gateway)
            .post("/v1/notifications", notice)
            .await
            .expect("REST")
            .ok()
            .expect("a notification");
        is_seen(
            from,
            "a notification",
            |frame| matches!(&frame.body, Some(Body::Notification(notification)) if notification.r#type == "LIKE"),
        )
        .await;
        let snapshot = from.snapshot().await.expect("a snapshot");
        assert!(snapshot.rooms.iter().any(|summary| summary.cursor == from.cursor(&room)), "{snapshot:?}");
    }
    // Each resumes at the other's gateway, from a cursor that the other version gave out.
    let mut history = History::default();
    for (client, name, gateway) in [(ana, &names[0], NEW), (ben, &names[1], OLD)] {
        let since = client.cursor(&room);
        let first = client.abort().await;
        let again = system.client(gateway, name).await.expect("a client connects");
        let joined = again.join_since(&room, &since).await.expect("a resume");
        assert!(!joined.reset, "the cursor of the other version is unknown");
        let state = read_room(&again, &room).await.expect("the room is read");
        history.rooms.insert(room.clone(), state);
        history.add_life(name, [&first, &again.transcript()]);
    }
    history
}

#[tokio::test(flavor = "multi_thread")]
async fn f23_old_and_new_gateways_and_dispatchers_work_together() {
    let system = mixed_cluster().await;
    for number in 0..ROOMS {
        check(&talk_both_ways(&system, number).await).assert_kept();
    }
    // Otherwise it proves nothing.
    for dispatcher in system.dispatchers() {
        let commands = dispatcher.metric("carillon_dispatcher_commands_total").await.expect("metrics");
        assert!(commands > 0.0, "{} was asked nothing", dispatcher.name());
    }
}

/// All nodes of a cluster become new ones, in this order, under a crowd.
async fn upgraded_in_order(dispatchers_first: bool) {
    let settings = vec![("CARILLON_DRAIN_SPREAD".to_owned(), "1s".to_owned())];
    let system = old_cluster(ClusterOptions { settings, ..two_of_each() }).await;
    let crowd = CrowdOptions { users: 60, room_size: 6, pace: Duration::from_millis(100) };
    let crowd = Crowd::start(&system, crowd).await.expect("a crowd connects");
    let (dispatchers, gateways) = (system.dispatchers().iter(), system.gateways().iter());
    let order: Vec<_> = match dispatchers_first {
        true => dispatchers.chain(gateways).collect(),
        false => gateways.chain(dispatchers).collect(),
    };
    for node in order {
        crowd.answered(SOME).await.expect("answers");
        upgrade(node).await;
    }
    crowd.answered(SOME).await.expect("answers");
    let account = crowd.finish(&system).await.expect("everybody hears everything");
    account.report.assert_kept();
    assert!(account.returns.len() >= 60, "everybody was sent away at least once: {}", account.returns.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn f23_an_upgrade_with_dispatchers_first_loses_nothing() {
    upgraded_in_order(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f23_an_upgrade_with_gateways_first_loses_nothing() {
    upgraded_in_order(false).await;
}
