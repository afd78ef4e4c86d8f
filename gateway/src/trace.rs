//! Tracing at a gateway: draws which commands are traced, and tells of their
//! way in and out. Of a command that is not traced nothing is kept, and it
//! costs one branch and a number.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bus::trace::{Span, SpanId, Spans, Step, TraceContext};
use proto::node::{Event, command, outcome};
use proto::v1::change::Thing;
use proto::{FeedId, Seq};
use uuid::Uuid;

use crate::link::{CommandResult, Completion, room_of};

/// Traced changes that one feed may be about to hand out; of more nothing is told.
const MAX_COMING: usize = 64;

/// Draws lots and tells of spans.
#[derive(Default)]
pub struct Tracer {
    /// `None`: nobody wants to hear of any.
    spans: Option<Arc<dyn Spans>>,
    /// Of 2^64 lots, those up to this one win; 0: none does.
    winning: u64,
    drawn: AtomicU64,
}

impl Tracer {
    /// Traces this share of commands, 0 to 1; `seed` says where the lots begin.
    pub fn new(spans: Option<Arc<dyn Spans>>, share: f64, seed: u64) -> Self {
        // Saturates: 1 is every lot.
        let winning = (share * 2f64.powi(64)) as u64;
        Self { spans, winning, drawn: AtomicU64::new(seed) }
    }

    /// Whom to tell of the next command; `None`: it is not traced.
    fn draw(&self) -> Option<&Arc<dyn Spans>> {
        let spans = self.spans.as_ref().filter(|_| self.winning > 0)?;
        let lot = scattered(self.drawn.fetch_add(1, Ordering::Relaxed));
        (lot <= self.winning).then_some(spans)
    }

    /// A command is about to be sent on. If it is traced: what it takes along,
    /// and a completion that tells of it first.
    pub fn command(
        &self,
        action: &command::Action,
        done: Completion,
    ) -> (Option<proto::node::Trace>, Completion) {
        // Presence's own bookkeeping is nobody's command.
        let by_client = |_: &&_| !matches!(action, command::Action::RecordLastSeen(_));
        let Some(spans) = self.draw().filter(by_client).cloned() else { return (None, done) };
        let context = TraceContext { trace: Uuid::new_v4().into_bytes(), span: span_id() };
        let room = room_of(action).unwrap_or_default().to_owned();
        let since = Instant::now();
        let completion: Completion = Box::new(move |result: CommandResult| {
            let ids = ids_of(&result);
            let error = result.as_ref().err().map(|error| error.code.clone());
            done(result);
            let span = Span::ended(Step::Command, context.span, context, since.elapsed());
            let span = Span { parent: None, error, ..span };
            spans.record(with_change(span, &room, ids));
        });
        (Some(context.on_the_way(0)), completion)
    }

    /// A change of traced commands was handed to so many listeners of a feed.
    pub fn fanned_out(&self, feed: &FeedId, coming: Vec<Coming>, listeners: u64) {
        // Other gateways may trace where this one does not.
        let Some(spans) = &self.spans else { return };
        let room = feed.room().map(|room| room.as_str()).unwrap_or_default();
        for Coming { context, seq, message, since } in coming {
            let span = Span::ended(Step::FanOut, span_id(), context, since.elapsed());
            let span = with_change(span, room, Some((message, seq)));
            spans.record(span.with("listeners", listeners));
        }
    }
}

/// A change of a traced command, on its way through a feed.
#[derive(Debug, PartialEq)]
pub struct Coming {
    context: TraceContext,
    seq: Seq,
    /// The message that it is about; may be empty.
    message: String,
    since: Instant,
}

impl Coming {
    /// Those of an event that was heard just now.
    pub fn of(event: &Event) -> Vec<Self> {
        let since = Instant::now();
        let coming = event.traces.iter().filter_map(|trace| {
            let change = event.changes.iter().find(|change| change.seq == trace.seq);
            let message = match change.and_then(|change| change.thing.as_ref()) {
                Some(Thing::Message(message)) => message.id.clone(),
                _ => String::new(),
            };
            Some(Self { context: TraceContext::arrived(trace)?, seq: trace.seq, message, since })
        });
        coming.take(MAX_COMING).collect()
    }
}

/// The traced changes of one feed that are not handed out yet: mostly none,
/// and then it is no more than a null pointer.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "every feed has one: it has to be small")]
pub struct Comings(Option<Box<Vec<Coming>>>);

impl Comings {
    /// These were heard of, at a feed that has handed out everything up to here.
    pub fn add(&mut self, coming: Vec<Coming>, handed_out: Seq) {
        let list = self.0.get_or_insert_default();
        list.extend(coming.into_iter().filter(|coming| coming.seq > handed_out));
        list.truncate(MAX_COMING);
        self.tidy();
    }

    /// Takes those that a fan-out up to this seq has handed out.
    pub fn take(&mut self, up_to: Seq) -> Vec<Coming> {
        let Some(list) = &mut self.0 else { return Vec::new() };
        let taken = list.extract_if(.., |coming| coming.seq <= up_to).collect();
        self.tidy();
        taken
    }

    fn tidy(&mut self) {
        if self.0.as_ref().is_some_and(|list| list.is_empty()) {
            self.0 = None;
        }
    }
}

/// The message and the seq that a command came to.
fn ids_of(result: &CommandResult) -> Option<(String, Seq)> {
    match result {
        Ok(outcome::Result::Sent(sent)) => Some((sent.message.clone(), sent.seq)),
        Ok(outcome::Result::Changed(changed)) => Some((changed.message.clone(), changed.seq)),
        _ => None,
    }
}

fn with_change(mut span: Span, room: &str, ids: Option<(String, Seq)>) -> Span {
    if !room.is_empty() {
        span = span.with("room", room);
    }
    let Some((message, seq)) = ids else { return span };
    if !message.is_empty() {
        span = span.with("message", message.as_str());
    }
    span.with("seq", seq)
}

/// A new id, never all zero: a UUID's first half holds its version.
fn span_id() -> SpanId {
    let [a, b, c, d, e, f, g, h, ..] = Uuid::new_v4().into_bytes();
    [a, b, c, d, e, f, g, h]
}

/// Numbers that follow each other, far apart (the finalizer of MurmurHash3 after
/// a step by the golden ratio).
fn scattered(number: u64) -> u64 {
    let mut bits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        bits = (bits ^ (bits >> 33)).wrapping_mul(factor);
    }
    bits ^ (bits >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nowhere;

    impl Spans for Nowhere {
        fn record(&self, _: Span) {}
    }

    #[test]
    fn the_share_that_was_asked_for_is_traced() {
        let count = |share| {
            let tracer = Tracer::new(Some(Arc::new(Nowhere)), share, 42);
            (0..10_000).filter(|_| tracer.draw().is_some()).count()
        };
        assert_eq!((count(0.0), count(1.0)), (0, 10_000));
        assert!((80..120).contains(&count(0.01)), "{}", count(0.01));
        assert!((4_800..5_200).contains(&count(0.5)), "{}", count(0.5));
    }

    #[test]
    fn p6_changes_that_are_traced_are_taken_once_and_few_are_kept() {
        let coming = |seq| Coming {
            context: TraceContext { trace: [1; 16], span: [2; 8] },
            seq,
            message: String::new(),
            since: Instant::now(),
        };
        let seqs = |taken: Vec<Coming>| taken.iter().map(|coming| coming.seq).collect::<Vec<_>>();
        let mut comings = Comings::default();
        comings.add(vec![coming(3), coming(5), coming(6)], 3);
        assert!(comings.take(4).is_empty());
        assert_eq!(seqs(comings.take(5)), [5]);
        assert_eq!(seqs(comings.take(9)), [6]);
        assert!(comings.0.is_none());
        comings.add((1..=1000).map(coming).collect(), 0);
        assert_eq!(comings.take(Seq::MAX).len(), MAX_COMING);
    }
}
