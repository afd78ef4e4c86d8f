//! Cases of [`Broker`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bus::{Broker, BusError, Inbox};
use bytes::Bytes;
use testkit::eventually;

use crate::rig::{BrokerRig, SOON};

/// Keeps what it hears.
#[derive(Default)]
pub struct Heard(Mutex<Vec<(String, String)>>);

impl Inbox for Heard {
    fn receive(&self, subject: &str, payload: Bytes) {
        let text = String::from_utf8(payload.to_vec()).expect("tests send text");
        self.0.lock().expect("nothing panics with it").push((subject.to_owned(), text));
    }
}

impl Heard {
    /// Subject and text, without the probes of [`open`].
    pub fn all(&self) -> Vec<(String, String)> {
        let heard = self.0.lock().expect("nothing panics with it");
        heard.iter().filter(|(_, text)| text != PROBE).cloned().collect()
    }

    pub fn texts(&self) -> Vec<String> {
        self.all().into_iter().map(|(_, text)| text).collect()
    }

    pub fn heard(&self, text: &str) -> bool {
        self.0.lock().expect("nothing panics with it").iter().any(|(_, heard)| heard == text)
    }
}

const PROBE: &str = "probe";

/// Waits until what `broker` publishes on `subject` reaches `heard`: a
/// subscription begins on its way to the server, not at once.
pub async fn open(broker: &dyn Broker, subject: &str, heard: &Heard) {
    eventually(format!("a probe on {subject}"), SOON, async || {
        // Lost probes are the point.
        let _ = broker.publish(subject.into(), Bytes::from_static(PROBE.as_bytes())).await;
        tokio::task::yield_now().await;
        heard.heard(PROBE).then_some(())
    })
    .await;
}

pub async fn say(broker: &dyn Broker, subject: &str, text: &str) {
    broker.publish(subject.into(), text.to_owned().into()).await.expect("the broker is there");
}

pub async fn until_heard(heard: &Heard, text: &str) {
    eventually(format!("{text:?}"), SOON, async || heard.heard(text).then_some(())).await;
}

pub async fn until_link(broker: &dyn Broker, what: &str, state: impl Fn(bus::Link) -> bool) -> bus::Link {
    let mut link = broker.link();
    let seen = tokio::time::timeout(SOON, link.wait_for(|link| state(*link))).await;
    *seen.unwrap_or_else(|_| panic!("waited in vain for the link to be {what}")).expect("the broker lives")
}

/// P2 needs it in health: each publisher's messages, once and in order.
pub async fn messages_of_a_publisher_arrive_once_and_in_order(rig: &impl BrokerRig) {
    const MESSAGES: usize = 500;
    let subscriber = rig.broker().await;
    let heard = Arc::new(Heard::default());
    let _subscription = subscriber.subscribe("order.room.*".into(), heard.clone()).await.unwrap();

    let mut publishers = tokio::task::JoinSet::new();
    for publisher in ["a", "b"] {
        let broker = rig.broker().await;
        open(&*broker, "order.room.open", &heard).await;
        publishers.spawn(async move {
            for n in 0..MESSAGES {
                say(&*broker, &format!("order.room.{}", n % 2), &format!("{publisher} {n}")).await;
            }
            broker
        });
    }
    let _publishers = publishers.join_all().await;
    eventually("all messages", SOON, async || (heard.all().len() >= 2 * MESSAGES).then_some(())).await;

    let mut rows: HashMap<(String, String), Vec<usize>> = HashMap::new();
    for (subject, text) in heard.all() {
        let (publisher, n) = text.split_once(' ').expect("as sent");
        rows.entry((subject, publisher.to_owned())).or_default().push(n.parse().expect("as sent"));
    }
    assert_eq!(rows.len(), 4);
    for ((subject, publisher), row) in rows {
        let first = usize::from(subject.ends_with('1'));
        let sent: Vec<_> = (first..MESSAGES).step_by(2).collect();
        assert_eq!(row, sent, "{publisher} on {subject}");
    }
}

pub async fn a_wildcard_is_one_token(rig: &impl BrokerRig) {
    let (subscriber, publisher) = (rig.broker().await, rig.broker().await);
    let heard = Arc::new(Heard::default());
    let _subscription = subscriber.subscribe("wild.room.*".into(), heard.clone()).await.unwrap();
    open(&*publisher, "wild.room.open", &heard).await;
    for subject in [
        "wild.room.feed",
        "wild.room.now",
        "wild.room.a.b",
        "wild.room",
        "wild.rooms.feed",
        "wild.other.feed",
        "room.feed",
    ] {
        say(&*publisher, subject, subject).await;
    }
    say(&*publisher, "wild.room.feed", "end").await;
    until_heard(&heard, "end").await;
    assert_eq!(heard.texts(), ["wild.room.feed", "wild.room.now", "end"]);
}

pub async fn a_dropped_subscription_is_over(rig: &impl BrokerRig) {
    let (subscriber, publisher) = (rig.broker().await, rig.broker().await);
    let (stays, goes) = (Arc::new(Heard::default()), Arc::new(Heard::default()));
    let _stays = subscriber.subscribe("drop.room.feed".into(), stays.clone()).await.unwrap();
    let subscription = subscriber.subscribe("drop.room.*".into(), goes.clone()).await.unwrap();
    open(&*publisher, "drop.room.feed", &stays).await;
    open(&*publisher, "drop.room.feed", &goes).await;
    drop(subscription);
    say(&*publisher, "drop.room.feed", "after").await;
    until_heard(&stays, "after").await;
    assert_eq!(goes.texts(), [""; 0]);
    eventually("the inbox to be let go", SOON, async || (Arc::strong_count(&goes) == 1).then_some(())).await;
}

pub async fn every_subscription_of_a_subject_hears(rig: &impl BrokerRig) {
    let (subscriber, publisher) = (rig.broker().await, rig.broker().await);
    let mut listening = Vec::new();
    for pattern in ["all.room.feed", "all.room.feed", "all.room.*"] {
        let heard = Arc::new(Heard::default());
        let subscription = subscriber.subscribe(pattern.into(), heard.clone()).await.unwrap();
        open(&*publisher, "all.room.feed", &heard).await;
        listening.push((heard, subscription));
    }
    say(&*publisher, "all.room.feed", "hello").await;
    for (heard, _) in &listening {
        until_heard(heard, "hello").await;
        assert_eq!(heard.texts(), ["hello"]);
    }
}

/// P7: a broker that is away delays no send.
pub async fn publishing_while_away_fails_at_once(rig: &impl BrokerRig) {
    let broker = rig.broker().await;
    until_link(&*broker, "up", |link| link.up).await;
    rig.down().await;
    until_link(&*broker, "down", |link| !link.up).await;
    // More than any queue holds: not one of them may wait for the server.
    for _ in 0..20_000 {
        let error = broker.publish("away.room.feed".into(), Bytes::new()).await.unwrap_err();
        assert!(matches!(error, BusError::Away { what: "broker", .. }), "{error:?}");
    }
}

pub async fn a_subscription_made_while_away_works_afterwards(rig: &impl BrokerRig) {
    let broker = rig.broker().await;
    rig.down().await;
    until_link(&*broker, "down", |link| !link.up).await;
    let (heard, dropped) = (Arc::new(Heard::default()), Arc::new(Heard::default()));
    let _subscription = broker.subscribe("later.room.feed".into(), heard.clone()).await.unwrap();
    drop(broker.subscribe("later.room.feed".into(), dropped.clone()).await.unwrap());
    rig.up().await;
    open(&*broker, "later.room.feed", &heard).await;
    say(&*broker, "later.room.feed", "hello").await;
    until_heard(&heard, "hello").await;
    assert_eq!(dropped.texts(), [""; 0]);
}

/// P3: what was lost while the broker was away shows as a risen epoch.
pub async fn the_epoch_rises_when_the_link_is_back(rig: &impl BrokerRig) {
    let (subscriber, publisher) = (rig.broker().await, rig.broker().await);
    let heard = Arc::new(Heard::default());
    let _subscription = subscriber.subscribe("epoch.room.*".into(), heard.clone()).await.unwrap();
    let before = until_link(&*subscriber, "up", |link| link.up).await;
    rig.down().await;
    until_link(&*subscriber, "down", |link| !link.up).await;
    rig.up().await;
    let after = until_link(&*subscriber, "up again", |link| link.up).await;
    assert!(after.epoch > before.epoch, "{before:?} {after:?}");
    until_link(&*publisher, "up again", |link| link.up).await;
    // Up again means that the subscription is with the server: nothing that is
    // published from now on is lost.
    say(&*publisher, "epoch.room.feed", "hello").await;
    until_heard(&heard, "hello").await;
}

/// S8: what looks like a wildcard or a new protocol line reaches no server.
pub async fn what_is_no_subject_is_refused(rig: &impl BrokerRig) {
    let broker = rig.broker().await;
    until_link(&*broker, "up", |link| link.up).await;
    for subject in ["", ".", "a.", ".a", "a..b", "a b", "a\r\nPUB b 0", "a.>", ">", "*", "a.*.b", "ä"] {
        let published = broker.publish(subject.into(), Bytes::new()).await;
        assert!(matches!(published, Err(BusError::Refused { .. })), "{subject:?}");
        let subscribed = broker.subscribe(subject.into(), Arc::new(Heard::default())).await;
        assert!(matches!(subscribed, Err(BusError::Refused { .. })), "{subject:?}");
    }
    assert!(broker.publish("a.*".into(), Bytes::new()).await.is_err());
}

pub async fn many_subscriptions_come_and_go(rig: &impl BrokerRig) {
    const ROOMS: usize = 5000;
    let (subscriber, publisher) = (rig.broker().await, rig.broker().await);
    let heard = Arc::new(Heard::default());
    let mut subscriptions = Vec::new();
    for room in 0..ROOMS {
        subscriptions.push(subscriber.subscribe(format!("many.{room}.*"), heard.clone()).await.unwrap());
    }
    open(&*publisher, &format!("many.{}.feed", ROOMS - 1), &heard).await;
    for room in 0..ROOMS {
        say(&*publisher, &format!("many.{room}.feed"), &room.to_string()).await;
    }
    eventually("every room", SOON, async || (heard.texts().len() == ROOMS).then_some(())).await;
    drop(subscriptions);
    eventually("the inbox to be let go", SOON, async || (Arc::strong_count(&heard) == 1).then_some(())).await;
    let quiet = Arc::new(Heard::default());
    let _subscription = subscriber.subscribe("many.0.*".into(), quiet.clone()).await.unwrap();
    open(&*publisher, "many.0.feed", &quiet).await;
    assert_eq!(heard.texts().len(), ROOMS);
}
