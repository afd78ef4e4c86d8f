//! Two gateways over a broker that loses, repeats and goes away.

use bus::local::{Faults, LocalBroker};
use tokio::sync::mpsc;

use super::*;
use crate::socketio::sessions::{Listed, Polled, Request, Taken};

/// A session of the first gateway, and the relays of both.
struct Rig {
    broker: Arc<LocalBroker>,
    here: Arc<Relay>,
    there: Arc<Relay>,
    session: String,
    requests: mpsc::Receiver<Request>,
    leaving: CancellationToken,
    _kept: (Listed, [Subscription; 2]),
}

async fn rig(broker: LocalBroker, shown: Option<Shown>) -> Rig {
    let broker = Arc::new(broker);
    let start = async || {
        let sessions = Arc::<Sessions>::default();
        Relay::start(sessions, broker.clone(), TaskTracker::new(), 10).await.unwrap()
    };
    let ((here, heard_here), (there, heard_there)) = (start().await, start().await);
    let (listed, requests) = here.sessions.add(shown);
    let session = listed.id().to_owned();
    let _kept = (listed, [heard_here, heard_there]);
    Rig { broker, here, there, session, requests, leaving: CancellationToken::new(), _kept }
}

impl Rig {
    /// A request that reaches the other gateway.
    fn ask(&self, packets: Option<&'static str>) -> tokio::task::JoinHandle<Relayed> {
        self.ask_as(None, packets)
    }

    fn ask_as(
        &self,
        shown: Option<Shown>,
        packets: Option<&'static str>,
    ) -> tokio::task::JoinHandle<Relayed> {
        let (there, session, leaving) = (self.there.clone(), self.session.clone(), self.leaving.clone());
        let gateway = self.here.sessions.gateway().to_owned();
        let packets = packets.map(Bytes::from);
        tokio::spawn(async move { there.ask(&gateway, &session, shown, packets, &leaving).await })
    }

    async fn next(&mut self) -> Request {
        self.requests.recv().await.expect("a request")
    }

    async fn next_poll(&mut self) -> tokio::sync::oneshot::Sender<Polled> {
        match self.next().await {
            Request::Poll(poll) => poll,
            _ => panic!("not a poll"),
        }
    }
}

fn payload(text: &str) -> Relayed {
    Relayed::Payload(text.to_owned())
}

#[tokio::test]
async fn polls_and_packets_reach_a_session_of_another_gateway() {
    let mut rig = rig(LocalBroker::new(), None).await;
    let posted = rig.ask(Some("4hi"));
    match rig.next().await {
        Request::Packets { body, done } => {
            assert_eq!(body, "4hi");
            done.send(Taken::Ok).unwrap();
        }
        _ => panic!("not packets"),
    }
    assert_eq!(posted.await.unwrap(), payload("ok"));
    let polled = rig.ask(None);
    let poll = rig.next_poll().await;
    assert!(poll.send(Polled::Payload("4there".to_owned())).is_ok());
    assert_eq!(polled.await.unwrap(), payload("4there"));
}

#[tokio::test]
async fn p4_what_the_broker_repeats_is_done_once() {
    let broker = LocalBroker::with_faults(Faults { repeat_every: 1, ..Faults::default() });
    let mut rig = rig(broker, None).await;
    let posted = rig.ask(Some("4once"));
    match rig.next().await {
        Request::Packets { done, .. } => done.send(Taken::Ok).unwrap(),
        _ => panic!("not packets"),
    }
    assert_eq!(posted.await.unwrap(), payload("ok"));
    let long = "é".repeat(PART_BYTES);
    let polled = rig.ask(None);
    let poll = rig.next_poll().await;
    assert!(poll.send(Polled::Payload(long.clone())).is_ok());
    assert!(polled.await.unwrap() == payload(&long), "all parts, each once");
    assert!(rig.requests.try_recv().is_err(), "nothing came twice");
}

#[tokio::test]
async fn p3_an_answer_of_which_a_part_is_lost_is_none() {
    let part = |part, last| RelayedAnswer {
        outcome: RelayOutcome::Payload.into(),
        part,
        last,
        payload: b"x".to_vec(),
    };
    let rig = rig(LocalBroker::new(), None).await;
    let asking = || Asking::begin(&rig.there, rig.here.sessions.gateway());
    let mut whole = asking();
    assert_eq!(whole.take(part(0, false)), None);
    assert_eq!(whole.take(part(0, false)), None);
    assert_eq!(whole.take(part(1, true)), Some(payload("xx")));
    let mut holed = asking();
    assert_eq!(holed.take(part(0, false)), None);
    assert_eq!(holed.take(part(2, true)), Some(Relayed::Unanswered));
    assert_eq!(asking().take(part(1, true)), Some(Relayed::Unanswered));
}

#[tokio::test]
async fn a_gateway_that_does_not_answer_is_not_waited_for() {
    let rig = rig(LocalBroker::with_faults(Faults { drop_every: 1, ..Faults::default() }), None).await;
    assert_eq!(rig.ask(None).await.unwrap(), Relayed::Unanswered);
    rig.broker.set_up(false);
    assert_eq!(rig.ask(None).await.unwrap(), Relayed::Unanswered);
    assert!(lock(&rig.there.asked).is_empty());
}

#[tokio::test]
async fn s18_a_session_is_not_for_who_shows_another_token_elsewhere_either() {
    let shown = Shown::from_bytes(&[7; 20]);
    let rig = rig(LocalBroker::new(), shown).await;
    let asked = rig.ask_as(Shown::from_bytes(&[8; 20]), None);
    assert_eq!(asked.await.unwrap(), Relayed::Forbidden);
    drop(rig._kept.0);
    let again = rig.there.ask(rig.here.sessions.gateway(), &rig.session, shown, None, &rig.leaving).await;
    assert_eq!(again, Relayed::Unknown);
}

#[tokio::test]
async fn a_poll_whose_client_has_gone_is_given_up_at_the_session() {
    let mut rig = rig(LocalBroker::new(), None).await;
    let polled = rig.ask(None);
    let mut poll = rig.next_poll().await;
    polled.abort();
    poll.closed().await;
    assert!(rig.here.served().is_empty());
    assert!(lock(&rig.there.asked).is_empty());
}

#[tokio::test]
async fn p8_a_gateway_that_leaves_lets_its_polls_be_answered() {
    let mut rig = rig(LocalBroker::new(), None).await;
    let polled = rig.ask(None);
    let poll = rig.next_poll().await;
    rig.leaving.cancel();
    assert!(matches!(rig.next().await, Request::Release));
    assert!(poll.send(Polled::Payload("6".to_owned())).is_ok());
    assert_eq!(polled.await.unwrap(), payload("6"));
}

#[tokio::test]
async fn p6_requests_on_their_way_are_bounded() {
    let mut rig = rig(LocalBroker::new(), None).await;
    let first = rig.ask(None);
    let poll = rig.next_poll().await;
    let full: Vec<_> = std::iter::from_fn(|| rig.there.places.clone().try_acquire_owned().ok()).collect();
    assert_eq!(rig.ask(None).await.unwrap(), Relayed::Unanswered);
    drop(full);
    assert!(poll.send(Polled::Refused).is_ok());
    assert_eq!(first.await.unwrap(), Relayed::Refused);
}
