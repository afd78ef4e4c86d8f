//! P1 to P4 under load: everybody hears everything in order, once, and so it is
//! stored; whatever the broker does, and whichever process dies.

use futures_util::future::join_all;
use proto::Encoding;
use testkit::checker::{self, History, read_room};
use testkit::eventually;

use super::faulty::Faulty;
use super::hear::reached;
use super::life::Life;
use super::world::{Deployment, LONG, World};

pub async fn p1_p2_p3_everybody_hears_everything_in_order_once(deployment: Deployment) {
    let world = deployment.shared().await;
    chat(&world, 20, 500, 8).await;
}

pub async fn p3_lost_doubled_and_swapped_hints_show_nowhere(deployment: Deployment) {
    let faulty = Faulty::start(deployment).await;
    faulty.begin();
    // Few at once: small batches, so many hints.
    chat(faulty.world(), 20, 500, 2).await;
    faulty.assert_bitten();
}

/// So many senders and two who only listen, in one room, all over the gateways.
async fn chat(world: &World, senders: usize, each: usize, at_once: usize) {
    let users: Vec<String> = (0..senders).map(|number| world.name(&format!("sender{number}"))).collect();
    let [ana, ben] = world.names(["ana", "ben"]);
    let mut members: Vec<&str> = users.iter().map(String::as_str).collect();
    members.push(&ben);
    let room = world.group(&ana, &members).await;
    members.push(&ana);
    let everyone = members.iter().enumerate();
    let mut lives: Vec<Life<'_>> = join_all(everyone.map(|(number, user)| {
        let encoding = Encoding::ALL[number % 2];
        Life::start(world, number, user, &room, encoding)
    }))
    .await;

    join_all(lives[..senders].iter_mut().map(|life| life.send(each, at_once))).await;
    let report = account(world, &ana, &room, lives).await;
    assert_eq!((report.answered, report.stored), (senders * each, senders * each), "{report}");
    assert!(report.shown >= (senders + 2) * senders * each, "{report}");
}

/// Waits until everybody has heard everything, and checks what everybody heard
/// against the store.
async fn account(world: &World, reader: &str, room: &str, mut lives: Vec<Life<'_>>) -> checker::Report {
    let client = world.client(0, reader).await;
    let state = read_room(&client, room).await.expect("the room can be read");
    join_all(lives.iter_mut().map(|life| life.hear_up_to(state.head))).await;
    let mut history = History::default();
    history.rooms.insert(room.to_owned(), state);
    history.add_life(reader, [&client.transcript()]);
    for life in lives {
        life.tell(&mut history);
    }
    let report = checker::check(&history);
    report.assert_kept();
    report
}

/// In a cluster, a gateway's clients go on at another one; standalone, the
/// process comes back.
pub async fn p1_p3_p4_clients_of_a_killed_gateway_resume_elsewhere(deployment: Deployment) {
    const SENDERS: usize = 6;
    const EACH: usize = 150;

    let world = deployment.own(&[]).await;
    let users: Vec<String> = (0..SENDERS).map(|number| world.name(&format!("sender{number}"))).collect();
    let [ana, ben] = world.names(["ana", "ben"]);
    let mut members: Vec<&str> = users.iter().map(String::as_str).collect();
    members.push(&ben);
    let room = world.group(&ana, &members).await;
    let mut senders: Vec<Life<'_>> = join_all(
        users
            .iter()
            .enumerate()
            .map(|(number, user)| Life::start(&world, number, user, &room, Encoding::ALL[number % 2])),
    )
    .await;
    // Both listen where the blow falls.
    let mut listeners = vec![
        Life::start(&world, 0, &ana, &room, Encoding::Json).await,
        Life::start(&world, 0, &ben, &room, Encoding::Protobuf).await,
    ];

    let sending = join_all(senders.iter_mut().map(|life| life.send(EACH, 4)));
    let killing = async {
        let (total, client) = ((SENDERS * EACH) as u64, listeners[0].client());
        let heard = async |share: u64| {
            eventually("some of the load", LONG, async || {
                (reached(client, &room) > total / share).then_some(())
            })
            .await
        };
        heard(4).await;
        let gateway = world.system().gateway(0);
        gateway.kill().expect("the gateway dies");
        if deployment == Deployment::Standalone {
            gateway.start().await.expect("it starts again");
        }
    };
    tokio::join!(sending, killing);
    if deployment == Deployment::Cluster {
        assert!(!world.system().gateway(0).is_ready().await, "it is dead");
    }
    let head_reader = match deployment {
        Deployment::Standalone => 0,
        Deployment::Cluster => 1,
    };
    let client = world.client(head_reader, &ana).await;
    let state = read_room(&client, &room).await.expect("the room can be read");
    senders.append(&mut listeners);
    join_all(senders.iter_mut().map(|life| life.hear_up_to(state.head))).await;
    assert!(senders.iter().filter(|life| life.returns() > 0).count() >= 3, "the blow was felt");

    let mut history = History::default();
    history.rooms.insert(room.clone(), state);
    history.add_life(&ana, [&client.transcript()]);
    for life in senders {
        life.tell(&mut history);
    }
    let report = checker::check(&history);
    report.assert_kept();
    assert_eq!((report.answered, report.stored), (SENDERS * EACH, SENDERS * EACH), "{report}");
}
