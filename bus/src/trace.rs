//! The port to whoever collects traces: what a traced command goes through,
//! each step told once, when it is over.
//!
//! Few commands are traced, and of the others nothing is kept: a gateway draws
//! lots, and whether a command drew one travels with it as a [`TraceContext`],
//! or does not. A span names ids, numbers and times, never what was written and
//! never a token.

use std::time::{Duration, SystemTime};

use proto::node;

/// The id of a trace: the same in every process.
pub type TraceId = [u8; 16];
/// The id of a span.
pub type SpanId = [u8; 8];

/// Where in which trace something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span under which that is which follows.
    pub span: SpanId,
}

impl TraceContext {
    /// As it travels with the change of this seq; 0: with a command.
    pub fn on_the_way(&self, seq: u64) -> node::Trace {
        node::Trace { trace: self.trace.to_vec(), span: self.span.to_vec(), seq }
    }

    /// What has travelled; `None` if its form is not that of a trace.
    pub fn arrived(trace: &node::Trace) -> Option<Self> {
        let (trace, span) = (trace.trace.as_slice().try_into().ok()?, trace.span.as_slice().try_into().ok()?);
        // Zeros mean none, wherever traces are spoken of.
        (trace != [0; 16] && span != [0; 8]).then_some(Self { trace, span })
    }

    /// The same trace, under a span of this id.
    pub fn under(self, span: SpanId) -> Self {
        Self { span, ..self }
    }
}

/// What a span is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A command at its gateway, from its frame to its answer.
    Command,
    /// Waiting at a dispatcher, for its batch or its turn.
    Queue,
    /// Being stored, together with its batch.
    Commit,
    /// From the commit until the broker has taken the change.
    Publish,
    /// At a gateway with listeners, from hearing of the change until each of
    /// them has it in its queue.
    FanOut,
}

impl Step {
    /// The name of its spans.
    pub const fn name(self) -> &'static str {
        match self {
            Step::Command => "command",
            Step::Queue => "queue",
            Step::Commit => "commit",
            Step::Publish => "publish",
            Step::FanOut => "fan_out",
        }
    }
}

/// What is told of a step besides its time. Ids and numbers only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// An id, or a code.
    Text(String),
    /// A number of something.
    Number(u64),
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Attribute {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Attribute {
    fn from(number: usize) -> Self {
        Self::Number(number as u64)
    }
}

/// A step that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What it was.
    pub step: Step,
    /// Its trace.
    pub trace: TraceId,
    /// Its own id.
    pub id: SpanId,
    /// The span that it belongs under; `None`: it is where the trace begins.
    pub parent: Option<SpanId>,
    /// When it began.
    pub start: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// The code of what went wrong.
    pub error: Option<String>,
    /// What else is told.
    pub attributes: Vec<(&'static str, Attribute)>,
}

impl Span {
    /// A step under another one, that took so long and is over now.
    pub fn ended(step: Step, id: SpanId, under: TraceContext, took: Duration) -> Self {
        Self {
            step,
            trace: under.trace,
            id,
            parent: Some(under.span),
            start: SystemTime::now().checked_sub(took).unwrap_or(SystemTime::UNIX_EPOCH),
            took,
            error: None,
            attributes: Vec::new(),
        }
    }

    /// Tells one thing more.
    pub fn with(mut self, name: &'static str, attribute: impl Into<Attribute>) -> Self {
        self.attributes.push((name, attribute.into()));
        self
    }
}

/// Takes spans. Called on the way of messages: it never blocks, and drops what
/// it cannot take.
pub trait Spans: Send + Sync {
    /// A step of a traced command is over.
    fn record(&self, span: Span);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_travels_arrives_and_other_things_do_not() {
        let context = TraceContext { trace: [7; 16], span: [9; 8] };
        assert_eq!(TraceContext::arrived(&context.on_the_way(18)), Some(context));
        for (trace, span) in [(16, 7), (0, 8), (17, 8), (0, 0)] {
            let other = node::Trace { trace: vec![1; trace], span: vec![1; span], seq: 0 };
            assert_eq!(TraceContext::arrived(&other), None, "{trace} and {span} bytes");
        }
        let zeros = TraceContext { trace: [0; 16], span: [9; 8] };
        assert_eq!(TraceContext::arrived(&zeros.on_the_way(0)), None);
    }
}
