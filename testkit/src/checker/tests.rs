//! The checker itself is tested: a good history passes, and one with a planted
//! fault is named.

use std::time::Duration;

use proto::v1::{
    self, Change, ClientFrame, ServerFrame, change::Thing, client_frame::Request, server_frame::Body,
};

use super::*;
use crate::client::{Closed, Transcript};

const ROOM: &str = "room";

/// A server of one room, as simple as can be, and the clients' transcripts.
#[derive(Clone)]
struct Sim {
    feed: Vec<Change>,
    messages: Vec<v1::Message>,
    ids: u64,
}

impl Sim {
    fn new() -> Self {
        Self { feed: Vec::new(), messages: Vec::new(), ids: 0 }
    }

    fn change(&mut self, thing: Thing) -> u64 {
        let seq = self.feed.len() as u64 + 1;
        self.feed.push(Change { seq, check: 0, thing: Some(thing) });
        seq
    }

    /// Stores a message and answers its sender.
    fn send(&mut self, by: &mut Transcript, user: &str, key: &str) {
        let id = self.ask(by, send(key));
        let seq = self.feed.len() as u64 + 1;
        let message = v1::Message {
            id: format!("m-{key}"),
            seq,
            ordinal: self.messages.len() as u64 + 1,
            sender: user.to_owned(),
            text: format!("text of {key}"),
            key: key.to_owned(),
            ..Default::default()
        };
        self.messages.push(message.clone());
        self.change(Thing::Message(message.clone()));
        let sent = v1::Sent { message: message.id, seq, ordinal: message.ordinal, ..Default::default() };
        answer(by, id, Body::Sent(sent));
    }

    fn edit(&mut self, index: usize) {
        self.messages[index].text = "edited".to_owned();
        self.messages[index].edited_at = 1;
        self.change(Thing::Message(self.messages[index].clone()));
    }

    fn ask(&mut self, by: &mut Transcript, request: Request) -> u64 {
        self.ids += 1;
        by.note(crate::client::Entry::Asked(ClientFrame { id: self.ids, request: Some(request) }));
        self.ids
    }

    /// Joins from a seq on, or from now.
    fn join(&mut self, by: &mut Transcript, since: Option<u64>) {
        let cursor = since.map(|seq| format!("{seq}-00000000")).unwrap_or_default();
        let id = self.ask(by, Request::Join(v1::Join { room: ROOM.to_owned(), since: cursor }));
        let to = self.feed.len() as u64;
        let mut fold = Fold::default();
        fold.apply_all(self.feed.iter().filter(|change| change.seq > since.unwrap_or(to)));
        let mut changes: Vec<_> =
            fold.things().map(|(seq, thing)| Change { seq, check: 0, thing: Some(thing.clone()) }).collect();
        changes.sort_by_key(|change| change.seq);
        let (room, from) = (ROOM.to_owned(), since.unwrap_or(to));
        answer(by, id, Body::Joined(v1::Joined { room, from, to, changes, ..Default::default() }));
    }

    fn state(&self) -> RoomState {
        RoomState { head: self.feed.len() as u64, messages: self.messages.clone(), members: Vec::new() }
    }
}

fn send(key: &str) -> Request {
    let text = format!("text of {key}");
    Request::Send(v1::Send { room: ROOM.to_owned(), key: key.to_owned(), text, ..Default::default() })
}

fn answer(by: &mut Transcript, re: u64, body: Body) {
    by.note(crate::client::Entry::Received(ServerFrame::answer(re, body)));
}

fn deliver(to: &mut Transcript, changes: &[Change]) {
    for change in changes {
        let frame = ServerFrame::delivery(ROOM, change.clone()).expect("a change that is shown");
        to.note(crate::client::Entry::Received(frame));
    }
}

fn close(transcript: &mut Transcript) {
    transcript.note(crate::client::Entry::Closed(Closed { code: None, reason: String::new() }));
}

/// Ana sends, edits; Ben hears it live with a break in the middle.
struct Story {
    sim: Sim,
    ana: Transcript,
    ben: [Transcript; 2],
    removed: Option<u64>,
}

impl Story {
    fn good() -> Self {
        let mut sim = Sim::new();
        let (mut ana, mut ben) = (Transcript::default(), [Transcript::default(), Transcript::default()]);
        sim.join(&mut ana, None);
        sim.join(&mut ben[0], None);
        for key in ["a", "b", "c", "d"] {
            sim.send(&mut ana, "ana", key);
        }
        deliver(&mut ben[0], &sim.feed);
        close(&mut ben[0]);
        // While Ben is away: overtaken changes are folded in his answer.
        sim.edit(0);
        sim.edit(0);
        sim.send(&mut ana, "ana", "e");
        sim.join(&mut ben[1], Some(4));
        sim.send(&mut ana, "ana", "f");
        deliver(&mut ben[1], &sim.feed[7..]);
        deliver(&mut ana, &sim.feed);
        Self { sim, ana, ben, removed: None }
    }

    fn check(&self) -> Report {
        let mut history = History::default();
        history.add_life("ana", [&self.ana]);
        history.add_life("ben", &self.ben);
        history.rooms.insert(ROOM.to_owned(), self.sim.state());
        for user in ["ana", "ben"] {
            let removed = self.removed.filter(|_| user == "ben");
            let membership =
                Membership { room: ROOM.to_owned(), user: user.to_owned(), invited: Duration::ZERO, removed };
            history.memberships.push(membership);
        }
        check(&history)
    }

    /// The checks that fail after a change to the frames that Ben received live at first.
    fn with_deliveries(change: impl Fn(&mut Vec<Change>)) -> Vec<Check> {
        let mut story = Self::good();
        let mut feed = story.sim.feed[..4].to_vec();
        change(&mut feed);
        story.ben[0] = Transcript::default();
        Sim::new().join(&mut story.ben[0], None);
        deliver(&mut story.ben[0], &feed);
        close(&mut story.ben[0]);
        story.failed()
    }

    fn failed(&self) -> Vec<Check> {
        self.check().failed().into_keys().collect()
    }
}

#[test]
fn a_good_history_passes() {
    let report = Story::good().check();
    report.assert_kept();
    assert_eq!((report.sends, report.answered, report.stored, report.lives), (6, 6, 6, 2));
    assert_eq!(report.shown, 8 + 4 + 2 + 1);
}

#[test]
fn a_dropped_delivery_is_named() {
    assert_eq!(Story::with_deliveries(|feed| drop(feed.remove(1))), [Check::C6, Check::C10]);
    let mut story = Story::good();
    // The last one: nothing comes after it.
    story.ben[1] = Transcript::default();
    let mut before = Sim { feed: story.sim.feed[..7].to_vec(), ..Sim::new() };
    before.join(&mut story.ben[1], Some(4));
    assert_eq!(story.failed(), [Check::C6]);
}

#[test]
fn a_change_left_out_of_a_resume_is_named() {
    let mut story = Story::good();
    story.ben[1] = Transcript::default();
    let mut lossy = story.sim.clone();
    lossy.feed.remove(4);
    lossy.feed.remove(4);
    let id = lossy
        .ask(&mut story.ben[1], Request::Join(v1::Join { room: ROOM.into(), since: "4-00000000".into() }));
    let changes = lossy.feed[4..].to_vec();
    answer(
        &mut story.ben[1],
        id,
        Body::Joined(v1::Joined { room: ROOM.into(), from: 4, to: 8, changes, ..Default::default() }),
    );
    assert!(story.failed().contains(&Check::C6));
}

#[test]
fn a_doubled_delivery_is_named() {
    assert_eq!(Story::with_deliveries(|feed| feed.push(feed[3].clone())), [Check::C4]);
    // Also when it comes again in another session.
    let mut story = Story::good();
    let again = story.sim.feed[2].clone();
    deliver(&mut story.ben[1], &[again]);
    assert_eq!(story.failed(), [Check::C4]);
}

#[test]
fn swapped_deliveries_are_named() {
    assert_eq!(Story::with_deliveries(|feed| feed.swap(1, 2)), [Check::C5]);
}

#[test]
fn an_altered_delivery_is_named() {
    let altered = Story::with_deliveries(|feed| {
        if let Some(Thing::Message(message)) = &mut feed[2].thing {
            message.text = "something else".to_owned();
        }
    });
    assert_eq!(altered, [Check::C10]);
}

#[test]
fn a_leak_is_named() {
    let mut story = Story::good();
    // Ben was removed by change 5, and one delivery may still have come.
    story.removed = Some(7);
    story.check().assert_kept();
    story.removed = Some(5);
    assert_eq!(story.failed(), [Check::C7]);
    // Eva was never a member.
    let story = Story::good();
    let mut eva = Transcript::default();
    Sim::new().join(&mut eva, None);
    deliver(&mut eva, &story.sim.feed[..1]);
    close(&mut eva);
    let mut history = History::default();
    history.add_life("eva", [&eva]);
    let ana = Membership { room: ROOM.into(), user: "ana".into(), invited: Duration::ZERO, removed: None };
    history.memberships.push(ana);
    assert_eq!(check(&history).failed().into_keys().collect::<Vec<_>>(), [Check::C7]);
    // Ben hears a room that he has left.
    let mut story = Story::good();
    let id = story.sim.ask(&mut story.ben[1], Request::Leave(v1::Leave { room: ROOM.into() }));
    answer(&mut story.ben[1], id, Body::Done(v1::Done {}));
    let mut transcript = story.ana.clone();
    story.sim.send(&mut transcript, "ana", "g");
    deliver(&mut transcript, &story.sim.feed[8..]);
    deliver(&mut story.ben[1], &story.sim.feed[8..]);
    story.ana = transcript;
    assert_eq!(story.failed(), [Check::C7]);
}

#[test]
fn an_answered_send_that_is_not_stored_is_named() {
    let mut story = Story::good();
    let lost = story.sim.messages.pop().expect("messages");
    assert!(story.failed().contains(&Check::C1), "{lost:?}");
    let mut story = Story::good();
    story.sim.messages[3].text = "something else".to_owned();
    assert!(story.failed().contains(&Check::C1));
}

#[test]
fn a_row_that_nobody_sent_or_that_was_refused_is_named() {
    let mut story = Story::good();
    let mut twice = story.sim.messages[5].clone();
    (twice.id, twice.seq, twice.ordinal) = ("m-again".to_owned(), 9, 7);
    story.sim.messages.push(twice);
    assert!(story.failed().contains(&Check::C2), "one key, two rows");

    let mut story = Story::good();
    let id = story.sim.ask(&mut story.ana, send("g"));
    answer(&mut story.ana, id, Body::Error(proto::ErrorCode::NotMember.with("no")));
    story.check().assert_kept();
    let mut elsewhere = Transcript::default();
    story.sim.send(&mut elsewhere, "ana", "g");
    assert!(story.failed().contains(&Check::C2), "refused and stored");
}

#[test]
fn an_unknown_send_may_be_stored_or_not_and_a_repeat_gets_the_first_answer() {
    let mut story = Story::good();
    story.sim.ask(&mut story.ana, send("lost"));
    story.check().assert_kept();
    let mut elsewhere = Transcript::default();
    story.sim.send(&mut elsewhere, "ana", "lost");
    deliver(&mut story.ana, &story.sim.feed[8..]);
    deliver(&mut story.ben[1], &story.sim.feed[8..]);
    story.check().assert_kept();
    let id = story.sim.ask(&mut story.ana, send("lost"));
    let repeated = |seq| Body::Sent(v1::Sent { message: "m-lost".to_owned(), seq, ..Default::default() });
    answer(&mut story.ana, id, repeated(9));
    story.check().assert_kept();
    let id = story.sim.ask(&mut story.ana, send("lost"));
    answer(&mut story.ana, id, repeated(10));
    assert_eq!(story.failed(), [Check::C1]);
}

#[test]
fn sends_out_of_order_are_named() {
    let mut story = Story::good();
    // Their answers, rows and deliveries agree; but "a" was answered before "b" began.
    let swap = |seq: u64| if seq <= 2 { 3 - seq } else { seq };
    let mut ana = Transcript::default();
    for key in ["a", "b"] {
        let id = story.sim.ask(&mut ana, send(key));
        let seq = if key == "a" { 2 } else { 1 };
        let sent = v1::Sent { message: format!("m-{key}"), seq, ..Default::default() };
        // Two instants, even on a coarse clock.
        let before = crate::client::now();
        while crate::client::now() == before {}
        answer(&mut ana, id, Body::Sent(sent));
        let before = crate::client::now();
        while crate::client::now() == before {}
    }
    story.sim.messages.truncate(2);
    for message in &mut story.sim.messages {
        (message.seq, message.ordinal) = (swap(message.seq), swap(message.ordinal));
        message.edited_at = 0;
        message.text = format!("text of {}", message.key);
    }
    story.sim.messages.reverse();
    story.sim.feed.truncate(2);
    let mut history = History::default();
    history.add_life("ana", [&ana]);
    history.rooms.insert(ROOM.to_owned(), story.sim.state());
    let report = check(&history);
    assert_eq!(
        report.failed().into_iter().collect::<Vec<_>>(),
        [(Check::C3, 2)],
        "in time and within the connection"
    );
}

#[test]
fn a_reset_begins_anew() {
    let mut story = Story::good();
    close(&mut story.ben[1]);
    let mut third = Transcript::default();
    let join = v1::Join { room: ROOM.into(), since: "8-00000000".into() };
    let id = story.sim.ask(&mut third, Request::Join(join));
    answer(
        &mut third,
        id,
        Body::Joined(v1::Joined { room: ROOM.into(), reset: true, to: 4, ..Default::default() }),
    );
    story.sim.join(&mut third, None);
    let mut history = History::default();
    history.add_life("ana", [&story.ana]);
    let [first, second] = &story.ben;
    history.add_life("ben", [first, second, &third]);
    history.rooms.insert(ROOM.to_owned(), story.sim.state());
    check(&history).assert_kept();
}

#[test]
fn folding_is_an_upsert_guarded_by_seq() {
    let message = |text: &str| {
        Thing::Message(v1::Message { id: "m".to_owned(), text: text.to_owned(), ..Default::default() })
    };
    let mut fold = Fold::default();
    assert!(fold.apply(2, &message("new")));
    assert!(!fold.apply(1, &message("old")));
    assert!(!fold.apply(2, &message("again")));
    assert_eq!(fold.messages()[0].text, "new");
}
