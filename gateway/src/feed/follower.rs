//! Keeps one feed's changes complete and in order, whatever the broker does.
//!
//! The store is the truth, the broker a hint. A follower knows the last change
//! it has let through. The next one goes straight on; one that was seen is
//! dropped; one that is too new shows that something is missing: it is held,
//! for an instant only (two dispatchers may publish one room's changes the wrong
//! way round), and then the store is asked for what lies between. Announced
//! heads show a missing last one.
//!
//! A pure state machine: it is told what happens and when, and says what to do.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

use proto::node::FeedChanges;
use proto::v1::Change;
use proto::{Cursor, Seq};

/// How long a hole may last before the store is asked.
pub const HOLE_PATIENCE: Duration = Duration::from_millis(20);
/// Changes held beyond a hole; more are forgotten, the store has them.
const MAX_AHEAD: usize = 1024;
/// An announced head below our position is checked with the store, but no more often than this.
const SETBACK_CHECK: Duration = Duration::from_secs(5);

/// Changes that the broker brought when they had been let through.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Late {
    /// They were missing, and came from the store.
    pub filled: u64,
    /// They had been heard, or were before the first join.
    pub seen: u64,
}

/// What is to be done now.
#[derive(Debug, Default, PartialEq)]
pub struct Todo {
    /// To be delivered, in order.
    pub deliver: Vec<Change>,
    /// When the first of them that came arrived here.
    pub since: Option<Instant>,
    /// To be counted.
    pub late: Late,
    /// Ask the store for the changes since here, and report them with
    /// [`Follower::filled`] or [`Follower::fill_failed`].
    pub fill: Option<Cursor>,
    /// Call [`Follower::look`] after [`HOLE_PATIENCE`].
    pub look_later: bool,
    /// The store was set back: what was delivered is not its truth any more.
    pub reset: bool,
}

/// Follows one feed.
#[derive(Debug, Default)]
pub struct Follower {
    /// The last change let through; none until the feed's first join is answered.
    position: Option<Cursor>,
    /// Changes beyond a hole, and those heard before the start, with the time
    /// of their arrival.
    ahead: BTreeMap<Seq, (Change, Instant)>,
    /// What the last fill brought: after the first of these, up to the second.
    filled: (Seq, Seq),
    /// The newest head heard of.
    head: Seq,
    hole_since: Option<Instant>,
    filling: bool,
    setback_checked: Option<Instant>,
}

impl Follower {
    /// The last change let through.
    pub fn position(&self) -> Option<Cursor> {
        self.position
    }

    /// The store answered a join: everything up to `at` is known by the one who
    /// joined. The first such answer is where following starts.
    pub fn joined(&mut self, at: Cursor, now: Instant) -> Todo {
        if self.position.is_none() {
            self.position = Some(at);
        }
        self.head = self.head.max(at.seq);
        let mut todo = self.advance(now);
        // Before now nobody was there to hear them.
        todo.since = todo.since.map(|_| now);
        todo
    }

    /// The broker brought changes; `now` is when.
    pub fn heard(&mut self, changes: Vec<Change>, now: Instant) -> Todo {
        if let Some(Cursor { seq, check }) = self.position {
            // The usual case, without a look at the map: the next changes.
            if self.ahead.is_empty()
                && changes.first().is_some_and(|first| first.seq == seq + 1)
                && contiguous(&changes)
            {
                let last = changes.last().expect("there is a first").cursor();
                self.position = Some(last);
                self.head = self.head.max(last.seq);
                let mut todo = self.advance(now);
                debug_assert!(todo.deliver.is_empty());
                todo.deliver = changes;
                todo.since = Some(now);
                return todo;
            }
            if changes.iter().any(|change| change.seq == seq && change.check != check) {
                return Todo { reset: true, ..Todo::default() };
            }
        }
        let mut late = Late::default();
        for change in changes {
            self.head = self.head.max(change.seq);
            let full = self.ahead.len() >= MAX_AHEAD;
            if self.position.is_some_and(|position| change.seq <= position.seq) {
                let (after, to) = self.filled;
                if after < change.seq && change.seq <= to { late.filled += 1 } else { late.seen += 1 }
            } else {
                match self.ahead.entry(change.seq) {
                    Entry::Occupied(_) => late.seen += 1,
                    Entry::Vacant(place) if !full => _ = place.insert((change, now)),
                    Entry::Vacant(_) => {}
                }
            }
        }
        Todo { late, ..self.advance(now) }
    }

    /// A dispatcher announced the feed's head.
    pub fn announced(&mut self, head: Seq, now: Instant) -> Todo {
        self.head = self.head.max(head);
        match self.position {
            // Announcements may be old. Only the store can say whether it was set back.
            Some(position) if head < position.seq && !self.filling => {
                if self.setback_checked.is_some_and(|at| now.duration_since(at) < SETBACK_CHECK) {
                    return Todo::default();
                }
                self.setback_checked = Some(now);
                self.filling = true;
                Todo { fill: Some(position), ..Todo::default() }
            }
            _ => self.advance(now),
        }
    }

    /// Time has passed.
    pub fn look(&mut self, now: Instant) -> Todo {
        self.advance(now)
    }

    /// The store answered a fill.
    pub fn filled(&mut self, filled: FeedChanges, now: Instant) -> Todo {
        self.filling = false;
        if filled.reset {
            return Todo { reset: true, ..Todo::default() };
        }
        let Some(position) = self.position else { return Todo::default() };
        let mut deliver = Vec::new();
        if filled.to > position.seq {
            // The pages of one answer are one fill.
            let after = if self.filled.1 == position.seq { self.filled.0 } else { position.seq };
            self.filled = (after, filled.to);
            // Folded: a change that was overtaken by a newer one of the same
            // thing is not there, and its seq is passed over.
            deliver = filled.changes;
            deliver.retain(|change| change.seq > position.seq);
            self.position = Some(Cursor { seq: filled.to, check: filled.check });
            self.head = self.head.max(filled.to);
            self.ahead = self.ahead.split_off(&(filled.to + 1));
        }
        let since = (!deliver.is_empty()).then_some(now);
        if filled.more {
            self.filling = true;
            return Todo { deliver, since, fill: self.position, ..Todo::default() };
        }
        let mut todo = self.advance(now);
        deliver.append(&mut todo.deliver);
        todo.deliver = deliver;
        todo.since = todo.since.or(since);
        todo
    }

    /// The store could not be asked; the hole is still there.
    pub fn fill_failed(&mut self, now: Instant) -> Todo {
        self.filling = false;
        self.hole_since = None;
        self.advance(now)
    }

    /// Lets through what is next, and decides about a hole.
    fn advance(&mut self, now: Instant) -> Todo {
        let mut todo = Todo::default();
        let Some(mut position) = self.position else { return todo };
        while let Some(entry) = self.ahead.first_entry() {
            if *entry.key() <= position.seq {
                entry.remove();
            } else if *entry.key() == position.seq + 1 {
                let (change, arrived) = entry.remove();
                position = change.cursor();
                todo.deliver.push(change);
                todo.since = Some(todo.since.map_or(arrived, |since: Instant| since.min(arrived)));
            } else {
                break;
            }
        }
        self.position = Some(position);
        if self.head <= position.seq {
            self.hole_since = None;
            return todo;
        }
        if self.filling {
            return todo;
        }
        // A hole that moved on is a new one: something arrived, more may.
        let since = match self.hole_since {
            Some(since) if todo.deliver.is_empty() => since,
            _ => *self.hole_since.insert(now),
        };
        if now.duration_since(since) >= HOLE_PATIENCE {
            self.hole_since = None;
            self.filling = true;
            todo.fill = Some(position);
        } else {
            todo.look_later = true;
        }
        todo
    }
}

fn contiguous(changes: &[Change]) -> bool {
    changes.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(seq: Seq) -> Change {
        Change { seq, check: seq as u32 * 7, thing: None }
    }

    fn at(seq: Seq) -> Cursor {
        change(seq).cursor()
    }

    fn seqs(todo: &Todo) -> Vec<Seq> {
        todo.deliver.iter().map(|change| change.seq).collect()
    }

    fn started(seq: Seq, now: Instant) -> Follower {
        let mut follower = Follower::default();
        follower.joined(at(seq), now);
        follower
    }

    #[test]
    fn p2_the_next_goes_through_and_the_seen_does_not() {
        let now = Instant::now();
        let mut follower = started(4, now);
        assert_eq!(seqs(&follower.heard(vec![change(5), change(6)], now)), [5, 6]);
        let late = Late { filled: 0, seen: 1 };
        assert_eq!(follower.heard(vec![change(5)], now), Todo { late, ..Todo::default() });
        assert_eq!(follower.position(), Some(at(6)));
    }

    #[test]
    fn p3_a_hole_is_waited_for_and_then_filled() {
        let now = Instant::now();
        let mut follower = started(4, now);
        let todo = follower.heard(vec![change(7)], now);
        assert!(todo.look_later && todo.fill.is_none() && todo.deliver.is_empty());
        assert_eq!(follower.look(now + HOLE_PATIENCE).fill, Some(at(4)));
        // Asked once.
        assert_eq!(follower.look(now + 2 * HOLE_PATIENCE), Todo::default());
        // 5 was overtaken by 6 in the store; 7 is held here.
        let filled = FeedChanges {
            from: 4,
            to: 6,
            check: at(6).check,
            changes: vec![change(6)],
            ..Default::default()
        };
        assert_eq!(seqs(&follower.filled(filled, now)), [6, 7]);
        // The broker was late, and brings all of it once more.
        let late = follower.heard((4..=7).map(change).collect(), now).late;
        assert_eq!(late, Late { filled: 2, seen: 2 });
    }

    #[test]
    fn pages_of_one_fill_are_one() {
        let now = Instant::now();
        let mut follower = started(0, now);
        assert!(follower.announced(3, now).look_later);
        assert_eq!(follower.look(now + HOLE_PATIENCE).fill, Some(at(0)));
        let page = |from, to, more| FeedChanges { from, to, check: at(to).check, more, ..Default::default() };
        assert_eq!(follower.filled(page(0, 2, true), now).fill, Some(at(2)));
        assert_eq!(follower.filled(page(2, 3, false), now), Todo::default());
        assert_eq!(follower.heard((1..=3).map(change).collect(), now).late, Late { filled: 3, seen: 0 });
    }

    #[test]
    fn what_is_let_through_is_as_old_as_its_arrival() {
        let now = Instant::now();
        let at_ms = |millis| now + Duration::from_millis(millis);
        let mut follower = started(0, now);
        assert_eq!(follower.heard(vec![change(1)], at_ms(1)).since, Some(at_ms(1)));
        assert_eq!(follower.heard(vec![change(4)], at_ms(2)).since, None);
        assert_eq!(follower.heard(vec![change(3)], at_ms(3)).since, None);
        // What waited for it is older than what it waited for.
        assert_eq!(follower.heard(vec![change(2)], at_ms(4)).since, Some(at_ms(2)));
        // From the store: as old as its answer.
        follower.announced(6, at_ms(5));
        assert!(follower.look(at_ms(5) + HOLE_PATIENCE).fill.is_some());
        let filled =
            FeedChanges { to: 6, check: at(6).check, changes: vec![change(6)], ..Default::default() };
        assert_eq!(follower.filled(filled, at_ms(40)).since, Some(at_ms(40)));
    }

    #[test]
    fn changes_the_wrong_way_round_need_no_store() {
        let now = Instant::now();
        let mut follower = started(0, now);
        assert!(follower.heard(vec![change(2)], now).look_later);
        assert_eq!(seqs(&follower.heard(vec![change(1)], now)), [1, 2]);
        assert_eq!(follower.look(now + HOLE_PATIENCE), Todo::default());
    }

    #[test]
    fn p3_an_announced_head_shows_a_missing_last_one() {
        let now = Instant::now();
        let mut follower = started(4, now);
        assert!(follower.announced(5, now).look_later);
        assert_eq!(follower.look(now + HOLE_PATIENCE).fill, Some(at(4)));
        // The store could not be asked: again.
        assert!(follower.fill_failed(now + HOLE_PATIENCE).look_later);
        assert_eq!(follower.look(now + 2 * HOLE_PATIENCE).fill, Some(at(4)));
    }

    #[test]
    fn heard_before_the_start_is_not_lost() {
        let now = Instant::now();
        let mut follower = Follower::default();
        assert_eq!(follower.heard(vec![change(4), change(5)], now), Todo::default());
        assert_eq!(seqs(&follower.joined(at(4), now)), [5]);
    }

    #[test]
    fn a_store_that_was_set_back_is_noticed() {
        let now = Instant::now();
        let mut follower = started(9, now);
        assert!(follower.heard(vec![Change { seq: 9, check: 1, thing: None }], now).reset);
        // A lower head may be an old announcement: the store decides.
        assert_eq!(follower.announced(3, now).fill, Some(at(9)));
        assert!(follower.filled(FeedChanges { reset: true, ..Default::default() }, now).reset);
    }

    proptest! {
        /// P3, P4: whatever is lost, doubled or reordered, every change comes out once, in order.
        #[test]
        fn every_change_comes_out_once_in_order(hints in prop::collection::vec(1..60u64, 0..200)) {
            let start = Instant::now();
            let mut now = start;
            let mut follower = started(0, now);
            let mut out = Vec::new();
            let newest = hints.iter().copied().max().unwrap_or(0);
            let mut run = |todo: Todo, follower: &mut Follower, now: Instant| {
                let mut todo = todo;
                loop {
                    out.extend(seqs(&todo));
                    let Some(since) = todo.fill else { break };
                    let changes: Vec<_> = (since.seq + 1..=newest).map(change).collect();
                    let filled = FeedChanges { from: since.seq, to: newest, check: at(newest).check, changes, ..Default::default() };
                    todo = follower.filled(filled, now);
                }
            };
            for seq in hints {
                now += Duration::from_millis(3);
                let todo = follower.heard(vec![change(seq)], now);
                run(todo, &mut follower, now);
            }
            now += HOLE_PATIENCE;
            let todo = follower.look(now);
            run(todo, &mut follower, now);
            now += HOLE_PATIENCE;
            let todo = follower.look(now);
            run(todo, &mut follower, now);
            prop_assert_eq!(out, (1..=newest).collect::<Vec<_>>());
        }
    }
}
