//! C4 to C7 and C10: what each client was shown, against what the others were
//! shown and what is stored.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use proto::v1::{self, Change, change::Thing};
use proto::{Cursor, Seq};

use super::fold::{Fold, id_of, is_same};
use super::history::{History, Life, Membership, Seen};
use super::{Check, Report};

pub(super) fn check(history: &History, report: &mut Report) {
    let lives: Vec<_> =
        history.lives.iter().enumerate().map(|(number, life)| Viewer::of(number, life)).collect();
    let mut views = Vec::new();
    for mut viewer in lives {
        viewer.watch(history, report);
        views.extend(
            viewer.feeds.into_iter().map(|(feed, view)| (viewer.name.clone(), viewer.user, feed, view)),
        );
    }
    let known = known_changes(history, &views, report);
    let nothing = BTreeMap::new();
    for (name, user, feed, view) in &views {
        no_holes(name, feed, view, known.get(feed).unwrap_or(&nothing), report);
        if let Some(state) = history.rooms.get(feed) {
            let removed = memberships(history, feed, user).filter_map(|membership| membership.removed).max();
            let is_member = memberships(history, feed, user).any(|membership| membership.removed.is_none());
            let end = removed.filter(|_| !is_member).map_or(state.head, |removed| removed - 1);
            if view.live && view.to() < end {
                let to = view.to();
                report.add(Check::C6, format!("{name} is connected, room {feed}: shown up to {to} of {end}"));
            } else if view.live && view.to() >= state.head {
                folds_to(name, feed, view, state, report);
            }
        }
    }
}

fn memberships<'a>(history: &'a History, room: &str, user: &str) -> impl Iterator<Item = &'a Membership> {
    let (room, user) = (room.to_owned(), user.to_owned());
    history.memberships.iter().filter(move |membership| membership.room == room && membership.user == user)
}

/// A feed as one client was shown it.
#[derive(Default)]
struct View {
    /// Pieces without a gap between them, perhaps over several sessions. A join
    /// without a cursor begins a new one, and so does a reset.
    pieces: Vec<Piece>,
    /// Joined, and not left or disconnected since.
    live: bool,
    /// All seqs seen since the last reset.
    seen: BTreeSet<Seq>,
    /// Deliveries after each removal.
    late: HashMap<Seq, usize>,
}

#[derive(Default)]
struct Piece {
    from: Seq,
    to: Seq,
    changes: Vec<(Seq, Thing)>,
    fold: Fold,
}

impl View {
    fn to(&self) -> Seq {
        self.pieces.last().map_or(0, |piece| piece.to)
    }
}

struct Viewer<'a> {
    name: String,
    user: &'a str,
    life: &'a Life,
    feeds: BTreeMap<String, View>,
}

impl<'a> Viewer<'a> {
    fn of(number: usize, life: &'a Life) -> Self {
        Self {
            name: format!("client {number} of {}", life.user),
            user: &life.user,
            life,
            feeds: BTreeMap::new(),
        }
    }

    /// Own feeds of different users are different feeds.
    fn feed(&self, room: &str) -> String {
        if room.is_empty() { format!("(own feed of {})", self.user) } else { room.to_owned() }
    }

    /// Goes through the life: C4, C5, C7, and the part of C6 that shows at once.
    fn watch(&mut self, history: &History, report: &mut Report) {
        for (at, seen) in &self.life.seen {
            match seen {
                Seen::Joined { since, joined } => {
                    let feed = self.feed(&joined.room);
                    for change in &joined.changes {
                        self.may_see(history, &feed, change.seq, *at, false, report);
                    }
                    self.join(&feed, *since, joined, report);
                }
                Seen::Delivered { room, change } => {
                    let feed = self.feed(room);
                    self.may_see(history, &feed, change.seq, *at, true, report);
                    self.deliver(&feed, change, report);
                }
                Seen::Left(room) => {
                    let feed = self.feed(room);
                    self.feeds.entry(feed).or_default().live = false;
                }
                Seen::Disconnected => self.feeds.values_mut().for_each(|view| view.live = false),
            }
        }
    }

    fn join(&mut self, feed: &str, since: Option<Cursor>, joined: &v1::Joined, report: &mut Report) {
        let name = &self.name;
        let view = self.feeds.entry(feed.to_owned()).or_default();
        view.live = !joined.more;
        if joined.reset {
            view.seen.clear();
            view.pieces.push(Piece { from: joined.to, to: joined.to, ..Piece::default() });
            return;
        }
        if let Some(since) = since
            && since.seq != joined.from
        {
            let (asked, from) = (since.seq, joined.from);
            report
                .add(Check::C6, format!("{name} resumed {feed} from {asked}, and was answered from {from}"));
        }
        let goes_on =
            since.is_some_and(|since| view.pieces.last().is_some_and(|piece| piece.to == since.seq));
        if !goes_on {
            // A client that asks for older changes again wants to see them again.
            if let Some(since) = since {
                view.seen.split_off(&(since.seq + 1));
            }
            view.pieces.push(Piece { from: joined.from, to: joined.from, ..Piece::default() });
        }
        for change in &joined.changes {
            show(name, feed, view, change, report);
            if change.seq > joined.to {
                let (seq, to) = (change.seq, joined.to);
                report.add(Check::C5, format!("{name}, {feed}: change {seq} in an answer up to {to}"));
            }
        }
        if let Some(piece) = view.pieces.last_mut() {
            piece.to = piece.to.max(joined.to);
        }
    }

    fn deliver(&mut self, feed: &str, change: &Change, report: &mut Report) {
        let view = self.feeds.entry(feed.to_owned()).or_default();
        if !view.live {
            let (name, seq) = (&self.name, change.seq);
            report.add(Check::C7, format!("{name} was shown {seq} of {feed} without having joined"));
            return;
        }
        show(&self.name, feed, view, change, report);
    }

    /// C7. One delivery may already be on its way when the user is removed.
    fn may_see(
        &mut self,
        history: &History,
        feed: &str,
        seq: Seq,
        at: Duration,
        live: bool,
        report: &mut Report,
    ) {
        if !history.memberships.iter().any(|membership| membership.room == feed) {
            return;
        }
        let name = &self.name;
        let mut latest = None;
        for membership in memberships(history, feed, self.user).filter(|membership| membership.invited <= at)
        {
            match membership.removed {
                Some(removed) if seq > removed => latest = latest.max(Some(removed)),
                _ => return,
            }
        }
        match latest {
            Some(removed) => {
                let late = self.feeds.entry(feed.to_owned()).or_default().late.entry(removed).or_default();
                *late += 1;
                if *late > 1 || !live {
                    report.add(
                        Check::C7,
                        format!("{name} was removed from {feed} by {removed} and was shown {seq}"),
                    );
                }
            }
            None => report.add(Check::C7, format!("{name} was shown {seq} of {feed}, not being a member")),
        }
    }
}

/// One change reaches the client: C4 and C5.
fn show(name: &str, feed: &str, view: &mut View, change: &Change, report: &mut Report) {
    let seq = change.seq;
    report.shown += 1;
    if !view.seen.insert(seq) {
        report.add(Check::C4, format!("{name} was shown {seq} of {feed} twice"));
        return;
    }
    let Some(piece) = view.pieces.last_mut() else { return };
    if seq <= piece.to {
        let to = piece.to;
        report.add(Check::C5, format!("{name} was shown {seq} of {feed} after {to}"));
    }
    piece.to = piece.to.max(seq);
    if let Some(thing) = &change.thing {
        piece.changes.push((seq, thing.clone()));
        piece.fold.apply(seq, thing);
    }
}

/// Which thing each change of each feed is about, from all who know one. Two
/// clients who were shown different things under one seq are a violation.
fn known_changes(
    history: &History,
    views: &[(String, &str, String, View)],
    report: &mut Report,
) -> BTreeMap<String, BTreeMap<Seq, String>> {
    let mut known: BTreeMap<String, BTreeMap<Seq, String>> = BTreeMap::new();
    for (room, state) in &history.rooms {
        let known = known.entry(room.clone()).or_default();
        known.extend(state.messages.iter().map(|message| (message.seq, format!("message {}", message.id))));
    }
    for (room, seq, message) in &history.changed {
        known.entry(room.clone()).or_default().insert(*seq, format!("message {message}"));
    }
    let mut first: HashMap<(&str, Seq), (&str, &Thing)> = HashMap::new();
    for (name, _, feed, view) in views {
        for (seq, thing) in view.pieces.iter().flat_map(|piece| &piece.changes) {
            known.entry(feed.clone()).or_default().entry(*seq).or_insert_with(|| id_of(thing));
            let (other, shown) = first.entry((feed, *seq)).or_insert((name, thing));
            // After the store was set back, a seq is given out again.
            if !is_same(shown, thing) && view.pieces.len() == 1 {
                let differ = format!("{thing:?} and {shown:?}");
                report.add(
                    Check::C10,
                    format!("{name} and {other} were shown different {seq} of {feed}: {differ}"),
                );
            }
        }
    }
    known
}

/// C6. A change that was overtaken by a newer one of the same thing may be left out.
fn no_holes(name: &str, feed: &str, view: &View, known: &BTreeMap<Seq, String>, report: &mut Report) {
    for piece in view.pieces.iter().filter(|piece| piece.from < piece.to) {
        let mut newest: HashMap<String, Seq> = HashMap::new();
        for (seq, thing) in &piece.changes {
            let newest = newest.entry(id_of(thing)).or_default();
            *newest = (*newest).max(*seq);
        }
        for (seq, thing) in known.range(piece.from + 1..=piece.to) {
            if newest.get(thing).is_none_or(|newest| newest < seq) {
                let (from, to) = (piece.from, piece.to);
                report.add(
                    Check::C6,
                    format!("{name} followed {feed} from {from} to {to} and missed {seq} ({thing})"),
                );
            }
        }
    }
}

/// C10, for a client that has got everything.
fn folds_to(name: &str, feed: &str, view: &View, state: &super::RoomState, report: &mut Report) {
    let Some(piece) = view.pieces.last() else { return };
    let stored: HashMap<&str, &v1::Message> =
        state.messages.iter().map(|message| (message.id.as_str(), message)).collect();
    for (_, thing) in piece.fold.things() {
        let fresh = match thing {
            Thing::Message(message) => {
                stored.get(message.id.as_str()).map(|message| Thing::Message((*message).clone()))
            }
            Thing::Member(member) if !state.members.is_empty() => {
                let same = state.members.iter().find(|fresh| fresh.user == member.user);
                same.map(|member| Thing::Member(member.clone()))
            }
            _ => continue,
        };
        if !fresh.as_ref().is_some_and(|fresh| is_same(fresh, thing)) {
            report.add(Check::C10, format!("{name}, {feed}: folded {thing:?}, read afresh {fresh:?}"));
        }
    }
    for message in state.messages.iter().filter(|message| message.seq > piece.from) {
        if piece.fold.message(&message.id).is_none() {
            report.add(Check::C10, format!("{name}, {feed}: the fold lacks {message:?}"));
        }
    }
}
