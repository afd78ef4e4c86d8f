//! Raising a feed: each thing changed takes the next seq and a check value.

use proto::v1::{Change, change::Thing};
use proto::{FeedId, Seq};

use crate::clock::random;

/// The changes that one transaction makes to one feed.
pub(crate) struct Raise {
    feed: FeedId,
    before: Seq,
    checks: Vec<u32>,
    changes: Vec<Change>,
}

impl Raise {
    /// Of a feed whose head is `head`, held by the transaction.
    pub(crate) fn new(feed: FeedId, head: Seq) -> Self {
        Self { feed, before: head, checks: Vec::new(), changes: Vec::new() }
    }

    /// Takes the next seq, for a change that [`note`](Self::note) completes.
    pub(crate) fn next(&mut self) -> (Seq, u32) {
        let check = random();
        self.checks.push(check);
        (self.head(), check)
    }

    /// The new state of the thing that took this seq.
    pub(crate) fn note(&mut self, (seq, check): (Seq, u32), thing: Thing) {
        self.changes.push(Change { seq, check, thing: Some(thing) });
    }

    /// The head after all changes so far.
    pub(crate) fn head(&self) -> Seq {
        self.before + self.checks.len() as Seq
    }

    /// The check value of the newest change.
    pub(crate) fn head_check(&self) -> u32 {
        self.checks.last().copied().unwrap_or_default()
    }

    /// The seq of the first change.
    pub(crate) fn first(&self) -> Seq {
        self.before + 1
    }

    /// The check values from the first change on.
    pub(crate) fn checks(&self) -> &[u32] {
        &self.checks
    }

    /// What to publish after the commit.
    pub(crate) fn into_event(self) -> (FeedId, Vec<Change>) {
        (self.feed, self.changes)
    }
}
