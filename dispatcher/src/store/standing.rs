//! Where a feed stands, seen from a cursor: what can be answered without looking
//! what changed.

use std::cmp::Ordering;

use proto::Cursor;
use proto::node::FeedChanges;

/// A feed's head, and what the store knows of one cursor below it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// The newest change.
    pub head: Cursor,
    /// The check value of the change that the cursor names, if there is one
    /// below the head.
    pub at_cursor: Option<u32>,
}

impl Standing {
    /// Of a feed that does not exist.
    pub const NONE: Standing = Standing { head: Cursor::START, at_cursor: None };

    /// Whether the store has given out this cursor.
    fn knows(&self, since: Cursor) -> bool {
        if since == Cursor::START {
            return true;
        }
        match since.seq.cmp(&self.head.seq) {
            Ordering::Greater => false,
            Ordering::Equal => since.check == self.head.check,
            Ordering::Less => self.at_cursor == Some(since.check),
        }
    }

    /// No changes, at the head.
    pub fn nothing(&self, from: u64, reset: bool) -> FeedChanges {
        FeedChanges { from, to: self.head.seq, check: self.head.check, reset, ..Default::default() }
    }

    /// The answer, if it needs no changes; without `since` it never does.
    pub fn settle(&self, since: Option<Cursor>) -> Option<FeedChanges> {
        let Some(since) = since else { return Some(self.nothing(self.head.seq, false)) };
        if !self.knows(since) {
            return Some(self.nothing(since.seq, true));
        }
        (since.seq == self.head.seq).then(|| self.nothing(since.seq, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p2_a_cursor_that_was_never_given_out_is_a_reset() {
        let at = |seq, check| Some(Cursor { seq, check });
        let standing = Standing { head: Cursor { seq: 9, check: 90 }, at_cursor: Some(70) };
        let settled = |since| standing.settle(since).map(|answer| (answer.from, answer.to, answer.reset));

        assert_eq!(settled(None), Some((9, 9, false)));
        assert_eq!(settled(at(9, 90)), Some((9, 9, false)));
        assert_eq!(settled(at(9, 91)), Some((9, 9, true)));
        assert_eq!(settled(at(10, 90)), Some((10, 9, true)));
        assert_eq!(settled(at(7, 71)), Some((7, 9, true)));
        assert_eq!(settled(at(0, 1)), Some((0, 9, true)));
        // Changes are needed.
        assert_eq!(settled(at(7, 70)), None);
        assert_eq!(settled(Some(Cursor::START)), None);
        assert_eq!(Standing::NONE.settle(Some(Cursor::START)).map(|answer| answer.reset), Some(false));
    }
}
