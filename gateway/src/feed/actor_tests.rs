//! Joins among deliveries: who hears what, and from when.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use proto::node::Event;
use proto::v1::{
    Change, Joined, Member, Message, Revocation, ServerFrame, change::Thing, server_frame::Body,
};
use proto::{CloseCode, Cursor, Encoding, FeedId, RoomId, Seq, UserId};

use super::actor::Actor;
use super::{Attach, Feed, Input, JoinAnswer};
use crate::Identity;
use crate::client::Client;
use crate::outbound::Outbound;
use crate::trace::Coming;
use crate::websocket::Opcode;
use crate::wire::Wire;

const EXPIRY: Duration = Duration::from_secs(3);

struct Rig {
    feed: Arc<Feed>,
    actor: Actor,
}

impl Rig {
    fn room() -> Self {
        Self::of(FeedId::Room(RoomId::new("r").unwrap()))
    }

    fn of(id: FeedId) -> Self {
        Self { actor: Actor::new(&id, EXPIRY), feed: Feed::new(id, Weak::new(), EXPIRY) }
    }

    fn input(&mut self, input: Input) {
        let (fanouts, _) = self.actor.handle(&self.feed, input, Instant::now());
        for fanout in fanouts {
            self.actor.deliver(&fanout, 0, usize::MAX);
            self.actor.evict(fanout.evict);
        }
    }

    fn hear(&mut self, changes: Vec<Change>) {
        self.input(Input::Heard(changes, Instant::now()));
    }

    fn attach(&mut self, client: &Arc<Client>, at: Seq) {
        let at = Cursor { seq: at, check: at as u32 };
        let answer = Body::Joined(Joined { to: at.seq, ..Joined::default() });
        self.input(Input::Attach(Box::new(Attach {
            client: client.clone(),
            answer: JoinAnswer::Frame(1, answer),
            at,
            more: false,
        })));
    }

    /// A member who has joined at the start.
    fn joined(&mut self, user: &str) -> Arc<Client> {
        let client = client(user, 0);
        self.input(Input::BeginJoin);
        self.attach(&client, 0);
        client
    }
}

fn client(user: &str, issued_at: i64) -> Arc<Client> {
    let user = UserId::new(user).unwrap();
    let identity = Identity {
        name: user.to_string(),
        user,
        service: false,
        issued_at: Some(issued_at),
        expires_at: None,
    };
    Client::new(&identity, Wire::Native(Encoding::Protobuf), Arc::new(Outbound::new(1 << 20)))
}

/// The seqs of what a client is sent; 0 is the answer to its join.
fn heard(client: &Client) -> Vec<Seq> {
    let frames = client.outbound.take().frames;
    let bytes: Vec<u8> = frames.iter().flatten().copied().collect();
    let mut rest = &bytes[..];
    let mut seqs = Vec::new();
    while let [first, len, ..] = rest {
        assert_eq!(first & 0x0f, Opcode::Binary as u8);
        let len = usize::from(*len);
        assert!(len < 126, "these frames are short");
        let frame: ServerFrame = Encoding::Protobuf.decode_server(&rest[2..2 + len]).unwrap();
        seqs.push(frame.seq);
        rest = &rest[2 + len..];
    }
    seqs
}

fn change(seq: Seq, thing: Thing) -> Change {
    Change { seq, check: seq as u32, thing: Some(thing) }
}

fn message(seq: Seq) -> Change {
    change(seq, Thing::Message(Message { seq, ..Message::default() }))
}

fn removal(seq: Seq, user: &str) -> Change {
    change(seq, Thing::Member(Member { user: user.to_owned(), active: false, ..Member::default() }))
}

#[test]
fn p3_p4_a_join_amid_deliveries_has_no_gap_and_no_overlap() {
    let mut rig = Rig::room();
    let ana = rig.joined("ana");
    let ben = client("ben", 0);
    rig.hear(vec![message(1)]);
    rig.input(Input::BeginJoin);
    rig.hear(vec![message(2), message(3)]);
    // The store answered between the two.
    rig.attach(&ben, 2);
    rig.hear(vec![message(4)]);
    assert_eq!(heard(&ana), [0, 1, 2, 3, 4]);
    assert_eq!(heard(&ben), [0, 3, 4]);
}

#[test]
fn p3_a_join_whose_answer_is_ahead_of_the_broker_hears_nothing_twice() {
    let mut rig = Rig::room();
    let ana = rig.joined("ana");
    let ben = client("ben", 0);
    rig.input(Input::BeginJoin);
    rig.attach(&ben, 2);
    rig.hear(vec![message(1), message(2), message(3)]);
    assert_eq!(heard(&ana), [0, 1, 2, 3]);
    assert_eq!(heard(&ben), [0, 3]);
}

#[test]
fn p3_a_join_that_was_overtaken_by_a_later_answer_has_to_ask_again() {
    let mut rig = Rig::room();
    let (ana, ben) = (client("ana", 0), client("ben", 0));
    rig.input(Input::BeginJoin);
    rig.input(Input::BeginJoin);
    rig.hear(vec![message(1), message(2)]);
    // The store answered ben last, and his answer is here first.
    rig.attach(&ben, 2);
    rig.attach(&ana, 1);
    // Without 2 she must not go on as if she had it.
    assert!(ana.joined(&RoomId::new("r").unwrap()).is_none());
    rig.input(Input::BeginJoin);
    rig.attach(&ana, 2);
    rig.hear(vec![message(3)]);
    assert_eq!(heard(&ana), [0, 0, 3]);
    assert_eq!(heard(&ben), [0, 3]);
}

#[test]
fn p5_who_is_removed_hears_of_it_and_no_more() {
    let mut rig = Rig::room();
    let (ana, ben) = (rig.joined("ana"), rig.joined("ben"));
    rig.hear(vec![message(1), removal(2, "ben"), message(3)]);
    assert_eq!(heard(&ana), [0, 1, 2, 3]);
    assert_eq!(heard(&ben), [0, 1, 2]);
    assert!(ben.joined(&RoomId::new("r").unwrap()).is_none());
}

#[test]
fn p5_who_is_removed_while_joining_does_not_stay() {
    let mut rig = Rig::room();
    let ana = rig.joined("ana");
    let ben = client("ben", 0);
    rig.input(Input::BeginJoin);
    // Allowed at 0, removed at 2, attached only now.
    rig.hear(vec![message(1), removal(2, "ben"), message(3)]);
    rig.attach(&ben, 0);
    rig.hear(vec![message(4)]);
    assert_eq!(heard(&ana), [0, 1, 2, 3, 4]);
    assert_eq!(heard(&ben), [0, 1, 2]);
    assert_eq!(rig.actor.listeners(), 1);
}

#[test]
fn p5_a_token_revoked_while_connecting_is_closed() {
    let mut rig = Rig::of(FeedId::User(UserId::new("ana").unwrap()));
    let (older, newer) = (client("ana", 10), client("ana", 20));
    rig.input(Input::BeginJoin);
    rig.attach(&newer, 0);
    rig.input(Input::BeginJoin);
    rig.hear(vec![change(1, Thing::Revocation(Revocation { issued_before: 20 }))]);
    rig.attach(&older, 0);
    assert_eq!(older.outbound.take().closing.map(|closing| closing.code), Some(CloseCode::Revoked));
    assert_eq!(newer.outbound.take().closing, None);
}

#[test]
fn a_traced_change_is_told_of_when_it_is_handed_out() {
    let mut rig = Rig::room();
    rig.joined("ana");
    let trace = bus::trace::TraceContext { trace: [1; 16], span: [2; 8] };
    let event = |seq| Event { changes: vec![message(seq)], traces: vec![trace.on_the_way(seq)], feed: None };
    let told = |rig: &mut Rig, changes| {
        let (fanouts, _) = rig.actor.handle(&rig.feed, Input::Heard(changes, Instant::now()), Instant::now());
        fanouts.iter().map(|fanout| rig.actor.traced(fanout).len()).collect::<Vec<_>>()
    };
    // It waits for the one before it, and what was handed out already is nobody's.
    rig.input(Input::Traced(Coming::of(&event(2))));
    assert!(told(&mut rig, vec![message(2)]).is_empty());
    assert_eq!(told(&mut rig, vec![message(1)]), [1]);
    rig.input(Input::Traced(Coming::of(&event(2))));
    assert_eq!(told(&mut rig, vec![message(3)]), [0]);
}
