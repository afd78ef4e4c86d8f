//! What only the NATS adapter has to get right.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use bus::nats::NatsBroker;
use bus::{Broker, BusError, Inbox};
use bytes::Bytes;
use testkit::eventually;

use crate::broker::{Heard, open, say, until_heard, until_link};
use crate::rig::{NatsRig, SOON};

/// Blocks, which no inbox may, until it is let go.
#[derive(Default)]
struct Stuck {
    entered: AtomicUsize,
    free: Mutex<bool>,
    freed: Condvar,
}

impl Inbox for Stuck {
    fn receive(&self, _: &str, _: Bytes) {
        self.entered.fetch_add(1, Ordering::Release);
        // In place: only the broker's task is to be held up, not what waits for
        // the same thread.
        tokio::task::block_in_place(|| {
            let free = self.free.lock().unwrap();
            drop(self.freed.wait_timeout_while(free, SOON, |free| !*free).unwrap());
        });
    }
}

/// P3: a reader that is held up loses nothing: what it does not take waits at
/// the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_waits_for_a_slow_reader_is_not_lost() {
    const MESSAGES: usize = 50_000;

    let rig = NatsRig::start().await;
    let (subscriber, publisher) = (rig.connect().await, rig.connect().await);
    let (stuck, heard) = (Arc::new(Stuck::default()), Arc::new(Heard::default()));
    let _stuck = subscriber.subscribe("slow.a".into(), stuck.clone()).await.unwrap();
    let _heard = subscriber.subscribe("slow.b".into(), heard.clone()).await.unwrap();
    let before = until_link(&subscriber, "up", |link| link.up).await;
    open(&publisher, "slow.b", &heard).await;
    say(&publisher, "slow.a", "stop").await;
    eventually("the inbox to be stuck", SOON, async || {
        (stuck.entered.load(Ordering::Acquire) > 0).then_some(())
    })
    .await;
    let opened = heard.texts().len();
    for n in 0..MESSAGES {
        say(&publisher, "slow.b", &n.to_string()).await;
    }
    *stuck.free.lock().unwrap() = true;
    stuck.freed.notify_all();
    until_heard(&heard, &(MESSAGES - 1).to_string()).await;
    let texts = heard.texts();
    let expected: Vec<String> = (0..MESSAGES).map(|n| n.to_string()).collect();
    assert!(texts[opened..] == expected[..], "in order, each once");
    assert_eq!(subscriber.link().borrow().epoch, before.epoch);
}

/// P7: a server that hangs delays nobody for long, and is found out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_taken_for_away() {
    let rig = NatsRig::start().await;
    let broker = rig.connect().await;
    let heard = Arc::new(Heard::default());
    let _subscription = broker.subscribe("hang.a".into(), heard.clone()).await.unwrap();
    open(&broker, "hang.a", &heard).await;
    rig.0.pause().unwrap();
    // Full queues end in an error, not in a wait for ever.
    let payload = Bytes::from(vec![b'x'; 64 * 1024]);
    let failed = async { while broker.publish("hang.b".into(), payload.clone()).await.is_ok() {} };
    tokio::time::timeout(SOON, failed).await.expect("publishing fails sooner or later");
    until_link(&broker, "down", |link| !link.up).await;
    rig.0.resume().unwrap();
    until_link(&broker, "up again", |link| link.up).await;
    say(&broker, "hang.a", "back").await;
    until_heard(&heard, "back").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_later_is_found() {
    let rig = NatsRig::start().await;
    rig.0.kill().await.unwrap();
    let broker = rig.connect().await;
    assert!(!broker.link().borrow().up);
    let heard = Arc::new(Heard::default());
    let _subscription = broker.subscribe("first.a".into(), heard.clone()).await.unwrap();
    rig.0.start().await.unwrap();
    until_link(&broker, "up", |link| link.up && link.epoch == 1).await;
    say(&broker, "first.a", "hello").await;
    until_heard(&heard, "hello").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_hands_over_the_rest_and_ends_everything() {
    let rig = NatsRig::start().await;
    let (subscriber, publisher) = (rig.connect().await, rig.connect().await);
    let heard = Arc::new(Heard::default());
    let subscription = subscriber.subscribe("close.a".into(), heard.clone()).await.unwrap();
    open(&publisher, "close.a", &heard).await;
    for n in 0..1000 {
        say(&publisher, "close.a", &n.to_string()).await;
    }
    publisher.close().await;
    until_heard(&heard, "999").await;
    subscriber.close().await;
    assert!(!subscriber.link().borrow().up);
    assert!(matches!(publisher.publish("close.a".into(), Bytes::new()).await, Err(BusError::Away { .. })));
    assert!(subscriber.subscribe("close.a".into(), heard.clone()).await.is_err());
    drop(subscription);
    assert_eq!(Arc::strong_count(&heard), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_does_not_take_is_refused() {
    let rig = NatsRig::start().await;
    let broker = rig.connect().await;
    until_link(&broker, "up", |link| link.up).await;
    let huge = Bytes::from(vec![0; 2 * 1024 * 1024]);
    assert!(matches!(broker.publish("big.a".into(), huge).await, Err(BusError::Refused { .. })));
    assert!(matches!(NatsBroker::connect("not a url", "x").await, Err(BusError::Refused { .. })));
}
