//! Tracing at a dispatcher: what a traced command waits for, is stored with and
//! is published by. Which commands are traced, their gateways have decided;
//! the others cost one branch at each of these places.

use std::sync::Arc;
use std::time::Duration;

use bus::trace::{Span, SpanId, Spans, Step, TraceContext};
use proto::node::{self, Event, outcome};
use proto::{FeedId, MessageId, Seq};
use tokio::time::Instant;
use uuid::Uuid;

use crate::store::StoreError;

/// A traced command, with whom to tell of it.
#[derive(Clone)]
pub(crate) struct Traced {
    context: TraceContext,
    spans: Arc<dyn Spans>,
}

impl Traced {
    /// Whether the gateway has this command traced.
    pub(crate) fn from_command(trace: Option<&node::Trace>, spans: Option<&Arc<dyn Spans>>) -> Option<Self> {
        Some(Self { context: TraceContext::arrived(trace?)?, spans: spans?.clone() })
    }

    /// It has waited since then, and is taken up now.
    pub(crate) fn taken_up(&self, command: &'static str, since: Instant) {
        self.spans.record(self.span(Step::Queue, since.elapsed()).with("command", command));
    }

    /// Its message was stored together with others, or could not be.
    pub(crate) fn appended(
        &self,
        message: &MessageId,
        batch: usize,
        took: Duration,
        error: Option<&StoreError>,
    ) {
        let code = |error: &StoreError| if error.is_transient() { "unavailable" } else { "internal" };
        let span = self.span(Step::Commit, took).with("batch", batch).with("message", message.as_str());
        self.spans.record(Span { error: error.map(|error| code(error).to_owned()), ..span });
    }

    /// It was run in a transaction of its own.
    pub(crate) fn executed(&self, took: Duration, result: &outcome::Result) {
        let error = match result {
            outcome::Result::Error(error) => Some(error.code.clone()),
            _ => None,
        };
        let span = self.span(Step::Commit, took).with("batch", 1_usize);
        self.spans.record(Span { error, ..span });
    }

    /// This change came of it, just now.
    pub(crate) fn change(&self, seq: Seq) -> TracedChange {
        TracedChange { traced: self.clone(), seq, committed: Instant::now() }
    }

    fn span(&self, step: Step, took: Duration) -> Span {
        Span::ended(step, span_id(), self.context, took)
    }
}

/// A committed change of a traced command, on its way to the broker.
pub(crate) struct TracedChange {
    traced: Traced,
    seq: Seq,
    committed: Instant,
}

impl TracedChange {
    /// It was not published.
    pub(crate) fn dropped(&self, feed: &FeedId) {
        self.published(span_id(), feed, false);
    }

    fn published(&self, id: SpanId, feed: &FeedId, taken: bool) {
        let Traced { context, spans } = &self.traced;
        let mut span = Span::ended(Step::Publish, id, *context, self.committed.elapsed());
        span.error = (!taken).then(|| "dropped".to_owned());
        if let Some(room) = feed.room() {
            span = span.with("room", room.as_str());
        }
        spans.record(span.with("seq", self.seq));
    }
}

/// The traced changes of one event that is being published.
pub(crate) struct Publishing<'a>(Vec<(SpanId, &'a TracedChange)>);

impl<'a> Publishing<'a> {
    /// Those of `traced` that are in the event, which takes their traces along.
    pub(crate) fn begin(traced: &'a [TracedChange], event: &mut Event) -> Self {
        let Some((first, last)) = event.changes.first().zip(event.changes.last()) else {
            return Self(Vec::new());
        };
        let here = first.seq..=last.seq;
        let of_event = traced.iter().filter(|change| here.contains(&change.seq));
        let publishing: Vec<_> = of_event.map(|change| (span_id(), change)).collect();
        let traces =
            publishing.iter().map(|(id, change)| change.traced.context.under(*id).on_the_way(change.seq));
        event.traces = traces.collect();
        Self(publishing)
    }

    /// The broker has taken the event, or has not.
    pub(crate) fn end(self, feed: &FeedId, taken: bool) {
        for (id, change) in self.0 {
            change.published(id, feed, taken);
        }
    }
}

/// A new id, never all zero: a UUID's first half holds its version.
fn span_id() -> SpanId {
    let [a, b, c, d, e, f, g, h, ..] = Uuid::new_v4().into_bytes();
    [a, b, c, d, e, f, g, h]
}
