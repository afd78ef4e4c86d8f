//! The faults of the local broker are what they say (F6).

use std::sync::Arc;
use std::time::Duration;

use bus::Broker;
use bus::local::{Faults, LocalBroker};

use crate::broker::{Heard, say, until_heard};

async fn heard_of(faults: Faults, subjects: &[&str]) -> Vec<String> {
    let broker = LocalBroker::with_faults(faults);
    let heard = Arc::new(Heard::default());
    let _subscription = broker.subscribe("faulty.*".into(), heard.clone()).await.unwrap();
    for (n, subject) in subjects.iter().enumerate() {
        say(&broker, &format!("faulty.{subject}"), &(n + 1).to_string()).await;
    }
    heard.texts()
}

#[tokio::test]
async fn none_is_none() {
    assert_eq!(heard_of(Faults::default(), &["a"; 3]).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn every_third_is_lost() {
    let faults = Faults { drop_every: 3, ..Faults::default() };
    assert_eq!(heard_of(faults, &["a"; 7]).await, ["1", "2", "4", "5", "7"]);
}

#[tokio::test]
async fn every_second_comes_twice() {
    let faults = Faults { repeat_every: 2, ..Faults::default() };
    assert_eq!(heard_of(faults, &["a"; 4]).await, ["1", "2", "2", "3", "4", "4"]);
}

#[tokio::test]
async fn every_third_comes_after_the_next_on_its_subject() {
    let faults = Faults { reorder_every: 3, ..Faults::default() };
    assert_eq!(heard_of(faults, &["a"; 7]).await, ["1", "2", "4", "3", "5", "7", "6"]);
    assert_eq!(heard_of(faults, &["a", "a", "a", "b", "a"]).await, ["1", "2", "4", "5", "3"]);
    // The held one makes room for another.
    assert_eq!(
        heard_of(faults, &["a", "a", "a", "b", "b", "b", "b"]).await,
        ["1", "2", "4", "5", "3", "7", "6"]
    );
}

#[tokio::test]
async fn everything_comes_later_and_in_order() {
    for (delay, arrives) in [(Duration::from_millis(20), true), (Duration::from_secs(3600), false)] {
        let broker = LocalBroker::with_faults(Faults { delay, ..Faults::default() });
        let heard = Arc::new(Heard::default());
        let _subscription = broker.subscribe("faulty.a".into(), heard.clone()).await.unwrap();
        say(&broker, "faulty.a", "1").await;
        say(&broker, "faulty.a", "2").await;
        assert_eq!(heard.texts(), [""; 0], "not on the publisher's task");
        if arrives {
            until_heard(&heard, "2").await;
            assert_eq!(heard.texts(), ["1", "2"]);
        }
    }
}

#[tokio::test]
async fn what_is_held_is_lost_with_the_link() {
    let broker = LocalBroker::with_faults(Faults { reorder_every: 1, ..Faults::default() });
    let heard = Arc::new(Heard::default());
    let _subscription = broker.subscribe("faulty.a".into(), heard.clone()).await.unwrap();
    say(&broker, "faulty.a", "1").await;
    broker.set_up(false);
    broker.set_up(true);
    say(&broker, "faulty.a", "2").await;
    say(&broker, "faulty.a", "3").await;
    assert_eq!(heard.texts(), ["2"]);
    assert_eq!(broker.link().borrow().epoch, 2);
}

#[tokio::test]
async fn an_inbox_may_own_its_subscription_and_end_it_while_it_hears() {
    use std::sync::{Mutex, OnceLock};

    use bus::{Inbox, Subscription};
    use bytes::Bytes;

    #[derive(Default)]
    struct Once {
        subscription: Mutex<Option<Subscription>>,
        heard: OnceLock<Bytes>,
    }
    impl Inbox for Once {
        fn receive(&self, _: &str, payload: Bytes) {
            drop(self.subscription.lock().unwrap().take());
            self.heard.set(payload).expect("heard once");
        }
    }

    let broker = LocalBroker::new();
    let once = Arc::new(Once::default());
    let subscription = broker.subscribe("once.a".into(), once.clone()).await.unwrap();
    *once.subscription.lock().unwrap() = Some(subscription);
    say(&broker, "once.a", "1").await;
    say(&broker, "once.a", "2").await;
    assert_eq!(once.heard.get().unwrap(), "1");
    assert_eq!(broker.subscriptions(), 0);
    assert_eq!(Arc::strong_count(&once), 1);
}
