//! From the commit to the gateways, and through faults: what is answered is
//! stored once, what is stored is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dispatcher::store::Store;
use dispatcher::{Dispatcher, Settings};
use prost::Message as _;
use proto::node::{self, FeedHeads, command::Action, outcome};
use proto::v1::{Change, Details, Role, change::Thing};
use proto::{FeedId, UserId, subject};
use tokio::sync::Semaphore;

use crate::faulty::{Fault, FaultyStore};
use crate::rig::*;

/// A rig over a faulty store, and that store.
async fn faulty(settings: Settings, prepare: impl FnOnce(&mut FaultyStore)) -> (Rig, Arc<FaultyStore>) {
    let kept = Mutex::new(None);
    let rig = Rig::with(settings, |store| {
        let mut store = FaultyStore::new(store);
        prepare(&mut store);
        let store = Arc::new(store);
        *kept.lock().unwrap() = Some(store.clone());
        store
    })
    .await;
    let store = kept.lock().unwrap().take().unwrap();
    (rig, store)
}

#[tokio::test]
async fn p3_events_are_the_changes_of_the_store() {
    let rig = Rig::new().await;
    let room = rig.group("ann", &["bob"]).await;
    let heard = rig.hear(&room_feed(&room)).await;
    let ann = user("ann");
    let first = rig.send("ann", &room, "a", "one").await;
    rig.send("bob", &room, "b", "two").await;
    rig.run(&ann, edit(&first.message, "won")).await;
    rig.run(&ann, add(&room, &["cid"])).await;
    rig.run(&ann, role(&room, "cid", Role::Admin)).await;
    rig.run(&ann, rename(&room, "Renamed")).await;
    rig.run(&ann, delete(&first.message)).await;
    rig.run(&ann, remove(&room, "bob")).await;

    let head = rig.store.heads(&[room_feed(&room)]).await.unwrap()[0];
    let live = heard.up_to(head).await;
    assert_eq!(live.iter().map(|change| change.seq).collect::<Vec<_>>(), (4..=head).collect::<Vec<_>>());
    // Folded, they are what the store answers: the newest of each thing.
    // How many members a room has is no change of the room itself: the store
    // says how many there are now, the event how many there were then.
    let uncounted = |change: &Change| match change.thing.clone() {
        Some(Thing::Details(details)) => Some(Thing::Details(Details { members: 0, ..details })),
        thing => thing,
    };
    let stored = rig.changes(&room_feed(&room)).await;
    for change in stored.iter().filter(|change| change.seq > 3) {
        let event = live.iter().find(|event| event.seq == change.seq).unwrap();
        assert_eq!((event.check, uncounted(event)), (change.check, uncounted(change)));
    }
    // And a cursor from any of them is good.
    for change in &live {
        let since = change.cursor();
        let changes = rig.store.changes(&room_feed(&room), since, 100).await.unwrap();
        assert!(!changes.reset, "{since}");
    }
}

#[tokio::test]
async fn p3_a_lost_publish_is_announced() {
    let settings = Settings { announce_every: Duration::from_millis(20), ..Default::default() };
    let rig = Rig::with(settings, |store| store).await;
    let room = rig.group("ann", &["bob"]).await;
    let heads = hear(&*rig.broker, subject::HEADS.to_owned()).await;
    rig.broker.set_up(false);
    let sent = rig.send("ann", &room, "k", "hi").await;
    rig.broker.set_up(true);
    wait_for_head(&heads, &room_feed(&room), sent.seq).await;
}

#[tokio::test]
async fn p3_another_dispatcher_announces_what_a_dead_one_did_not_publish() {
    let rig = Rig::new().await;
    let room = rig.group("ann", &["bob"]).await;
    let other = Dispatcher::start(
        rig.store.clone(),
        Arc::new(bus::local::LocalBroker::new()),
        Settings { announce_every: Duration::from_secs(3600), ..Default::default() },
    );
    let heads = hear(&*rig.broker, subject::HEADS.to_owned()).await;
    let mut stream = Stream::open(&mut client(&other)).await;
    let outcome::Result::Sent(sent) = stream.run(&user("bob"), send(&room, "k", "hi")).await else {
        panic!("not sent")
    };
    wait_for_head(&heads, &room_feed(&room), sent.seq).await;
    other.stop().await;
}

async fn wait_for_head(heads: &Heard, feed: &FeedId, head: u64) {
    testkit::eventually("the announced head", LONG, async || {
        let heads = heads.of(subject::HEADS).into_iter().flat_map(|p| FeedHeads::decode(p).unwrap().heads);
        let mut heads = heads.filter(|h| FeedId::try_from(h.feed.as_ref().unwrap()).as_ref() == Ok(feed));
        heads.any(|h| h.head == head).then_some(())
    })
    .await;
}

#[tokio::test]
async fn p7_a_store_that_is_away_for_a_moment_is_a_pause() {
    let (rig, store) = faulty(Settings::default(), |_| {}).await;
    let room = rig.group("ann", &["bob"]).await;
    store.appends.lock().unwrap().extend([Fault::Away, Fault::Contention, Fault::Away]);
    store.begins.lock().unwrap().extend([Fault::Away, Fault::Contention]);
    let sent = rig.send("ann", &room, "k", "hi").await;
    assert_eq!(rig.refused(&user("ann"), edit(&sent.message, "ho")).await, "ok");
}

#[tokio::test]
async fn p7_a_store_that_stays_away_is_a_retryable_error() {
    let settings = Settings { store_deadline: Duration::from_millis(50), ..Default::default() };
    let (rig, store) = faulty(settings, |_| {}).await;
    let room = rig.group("ann", &["bob"]).await;
    store.appends.lock().unwrap().extend([Fault::Away; 1000]);
    store.begins.lock().unwrap().extend([Fault::Away; 1000]);
    for action in [send(&room, "k", "hi"), rename(&room, "x")] {
        let outcome::Result::Error(error) = rig.run(&user("ann"), action).await else { panic!("no error") };
        assert_eq!((error.code.as_str(), error.retryable), ("unavailable", true));
    }
    store.appends.lock().unwrap().clear();
    store.begins.lock().unwrap().clear();
    rig.send("ann", &room, "k", "hi").await;
}

#[tokio::test]
async fn p4_a_commit_of_unknown_outcome_is_answered_as_sent_and_published() {
    let (rig, store) = faulty(Settings::default(), |_| {}).await;
    let room = rig.group("ann", &["bob"]).await;
    let heard = rig.hear(&room_feed(&room)).await;
    store.appends.lock().unwrap().push_back(Fault::Lost);
    let sent = rig.send("ann", &room, "k", "hi").await;
    let live = heard.up_to(sent.seq).await;
    assert_eq!(message(&live[0]).unwrap().id, sent.message);
    assert_eq!(
        rig.changes(&room_feed(&room)).await,
        [rig.changes(&room_feed(&room)).await[..3].to_vec(), live].concat()
    );
}

#[tokio::test]
async fn p4_commands_whose_commit_was_of_unknown_outcome_happen_once() {
    let (rig, store) = faulty(Settings::default(), |_| {}).await;
    let (ann, bob) = (user("ann"), user("bob"));
    let lose = || store.begins.lock().unwrap().push_back(Fault::Lost);
    lose();
    let room = rig.group("ann", &["bob", "cid"]).await;
    assert_eq!(rig.store.rooms(&UserId::new("ann").unwrap(), 10, 0).await.unwrap().0.len(), 1);
    let sent = rig.send("bob", &room, "k", "hi").await;
    let notify = node::Notify { user: "bob".into(), r#type: "LIKE".into(), ..Default::default() };
    for (actor, action, feeds) in [
        (&ann, role(&room, "cid", Role::Admin), [1, 0, 1]),
        (&ann, add(&room, &["dan"]), [2, 0, 0]),
        (&ann, rename(&room, "R"), [1, 0, 0]),
        (&bob, edit(&sent.message, "ho"), [1, 0, 0]),
        (&bob, delete(&sent.message), [1, 0, 0]),
        (&bob, read(&room, 0), [0, 1, 0]),
        (&service(), Action::Notify(notify), [0, 1, 0]),
        (&bob, Action::ReadNotification(Default::default()), [0, 1, 0]),
        (&ann, remove(&room, "cid"), [2, 0, 1]),
        (&bob, remove(&room, "bob"), [2, 1, 0]),
        (&ann, Action::DeleteRoom(node::DeleteRoom { room: room.clone() }), [1, 0, 0]),
    ] {
        let feeds_of = [room_feed(&room), user_feed("bob"), user_feed("cid")];
        let before = rig.store.heads(&feeds_of).await.unwrap();
        lose();
        assert_eq!(rig.refused(actor, action.clone()).await, "ok", "{action:?}");
        let after = rig.store.heads(&feeds_of).await.unwrap();
        let raised: Vec<u64> = before.iter().zip(after).map(|(before, after)| after - before).collect();
        assert_eq!(raised, feeds, "{action:?}");
    }
}

#[tokio::test]
async fn p4_two_dispatchers_store_a_key_once() {
    let rig = Rig::new().await;
    let room = rig.group("ann", &["bob"]).await;
    let heard = rig.hear(&room_feed(&room)).await;
    let other = Dispatcher::start(rig.store.clone(), rig.broker.clone(), Settings::default());
    let mut streams = [Stream::open(&mut rig.client()).await, Stream::open(&mut client(&other)).await];
    let mut ids = Vec::new();
    for n in 0..50 {
        for stream in &mut streams {
            ids.push(stream.push(&user("ann"), send(&room, &format!("k{n}"), "hi")).await);
        }
    }
    let mut last = 0;
    for pair in ids.chunks(2) {
        let (one, two) = (streams[0].outcome(pair[0]).await, streams[1].outcome(pair[1]).await);
        assert_eq!(one, two);
        let outcome::Result::Sent(sent) = one else { panic!("{one:?}") };
        last = last.max(sent.seq);
    }
    assert_eq!(last, 3 + 50);
    testkit::eventually("every event once", LONG, async || {
        let mut seqs: Vec<u64> = heard.changes().iter().map(|change| change.seq).collect();
        seqs.sort_unstable();
        (seqs == (4..=last).collect::<Vec<_>>()).then_some(())
    })
    .await;
    other.stop().await;
}

#[tokio::test]
async fn f22_one_poisoned_message_does_not_fail_the_others() {
    let (rig, store) = faulty(Settings { lanes: 1, ..Default::default() }, |store| {
        store.poison = Some("poison");
        store.gate = Semaphore::new(0);
    })
    .await;
    let room = rig.group("ann", &["bob"]).await;
    let mut stream = Stream::open(&mut rig.client()).await;
    let mut ids = Vec::new();
    for n in 0..9 {
        let text = if n == 5 { "poison" } else { "fine" };
        ids.push(stream.push(&user("ann"), send(&room, &format!("k{n}"), text)).await);
    }
    // A command after them on the stream is answered: they are all in the queue.
    assert_eq!(code(stream.run(&user("ann"), send(&room, "", "")).await), "invalid");
    store.gate.add_permits(1000);
    for (n, id) in ids.into_iter().enumerate() {
        let expected = if n == 5 { "internal" } else { "ok" };
        assert_eq!(code(stream.outcome(id).await), expected, "{n}");
    }
    // They were a batch first (of all, or of all but the first that came).
    assert!(store.batches.lock().unwrap().iter().any(|size| *size >= 8));
}

#[tokio::test]
async fn while_one_batch_commits_the_next_one_fills() {
    let (rig, store) = faulty(Settings { lanes: 1, max_batch: 50, ..Default::default() }, |store| {
        store.gate = Semaphore::new(0);
    })
    .await;
    let rooms = [rig.group("ann", &[]).await, rig.group("ann", &[]).await];
    let mut stream = Stream::open(&mut rig.client()).await;
    let mut ids = vec![stream.push(&user("ann"), send(&rooms[0], "first", "hi")).await];
    for n in 0..120 {
        ids.push(stream.push(&user("ann"), send(&rooms[n % 2], &format!("k{n}"), "hi")).await);
    }
    assert_eq!(code(stream.run(&user("ann"), send(&rooms[0], "", "")).await), "invalid");
    store.gate.add_permits(1000);
    for id in ids {
        assert_eq!(code(stream.outcome(id).await), "ok");
    }
    let batches = store.batches.lock().unwrap().clone();
    assert_eq!(batches.iter().sum::<usize>(), 121);
    assert!(batches.len() <= 4 && batches.iter().all(|size| *size <= 50), "{batches:?}");
}

#[tokio::test]
async fn p6_a_gateway_that_takes_no_outcomes_stalls_itself_only() {
    let settings = Settings { max_in_flight: 4, ..Default::default() };
    let rig = Rig::with(settings, |store| store).await;
    let room = rig.group("ann", &["bob"]).await;
    let mut slow = Stream::open(&mut rig.client()).await;
    let mut ids = Vec::new();
    for n in 0..50 {
        ids.push(slow.push(&user("ann"), send(&room, &format!("k{n}"), "hi")).await);
    }
    // Another gateway is served, in the same room.
    rig.send("bob", &room, "k", "hi").await;
    // At most four of the slow one's were taken up.
    let head = rig.store.heads(&[room_feed(&room)]).await.unwrap()[0];
    assert!(head <= 3 + 4 + 1, "{head}");
    for id in ids {
        assert_eq!(code(slow.outcome(id).await), "ok");
    }
}

#[tokio::test]
async fn p6_a_gateway_that_takes_no_outcomes_for_long_is_dropped() {
    let settings =
        Settings { max_in_flight: 1, stream_stall: Duration::from_millis(10), ..Default::default() };
    let rig = Rig::with(settings, |store| store).await;
    let mut slow = Stream::open(&mut rig.client()).await;
    for _ in 0..3 {
        slow.push(&user("ann"), read("nowhere", 0)).await;
    }
    // The dispatcher lets go of its end: nobody receives commands any more.
    testkit::eventually("the stream to be dropped", LONG, async || slow.dropped().then_some(())).await;
    assert!(slow.ended().await);
}

#[tokio::test]
async fn p8_a_stop_finishes_what_was_accepted_and_refuses_the_rest() {
    let (rig, store) = faulty(Settings { lanes: 1, max_batch: 3, ..Default::default() }, |store| {
        store.gate = Semaphore::new(0);
    })
    .await;
    let room = rig.group("ann", &["bob"]).await;
    let heard = rig.hear(&room_feed(&room)).await;
    let mut stream = Stream::open(&mut rig.client()).await;
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(stream.push(&user("ann"), send(&room, &format!("k{n}"), "hi")).await);
    }
    assert_eq!(code(stream.run(&user("ann"), send(&room, "", "")).await), "invalid");

    let stopping = tokio::spawn({
        let dispatcher = rig.dispatcher.clone();
        async move { dispatcher.stop().await }
    });
    testkit::eventually("new commands to be refused", LONG, async || {
        let refused = stream.run(&user("ann"), rename(&room, "x")).await;
        (code(refused) == "unavailable").then_some(())
    })
    .await;
    store.gate.add_permits(1000);
    for id in ids {
        assert_eq!(code(stream.outcome(id).await), "ok");
    }
    assert!(stream.ended().await);
    stopping.await.unwrap();
    let messages = heard.changes().iter().filter(|change| message(change).is_some()).count();
    assert_eq!(messages, 10);
    assert!(rig.client().commands(tokio_stream::empty()).await.is_err());
    let store: &dyn Store = &*rig.store;
    store.ping().await.unwrap();
}
