//! The way back of a command's outcome.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use proto::node::{Outcome, outcome};
use proto::v1;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tonic::Status;

use crate::metrics;

/// Takes one outcome. Never waits: every command of a stream holds a place in
/// the stream's queue of outcomes from before it is read until the gateway has
/// taken its outcome, so that a slow gateway stalls its own stream only.
pub(crate) struct Reply {
    command: &'static str,
    to: To,
}

enum To {
    Stream { id: u64, outcomes: mpsc::Sender<Waiting>, place: OwnedSemaphorePermit },
    Call(oneshot::Sender<outcome::Result>),
}

/// An outcome on its way, with its place in the queue; or why the stream ends.
pub(crate) type Waiting = Result<(Outcome, OwnedSemaphorePermit), Status>;

impl Reply {
    /// To a stream, as the outcome of its command `id`.
    pub(crate) fn to_stream(id: u64, outcomes: mpsc::Sender<Waiting>, place: OwnedSemaphorePermit) -> Self {
        Self { command: metrics::UNKNOWN, to: To::Stream { id, outcomes, place } }
    }

    /// To whoever waits for it here.
    pub(crate) fn to_call() -> (Self, oneshot::Receiver<outcome::Result>) {
        let (sender, receiver) = oneshot::channel();
        (Self { command: metrics::UNKNOWN, to: To::Call(sender) }, receiver)
    }

    /// Names the command, for the metrics.
    pub(crate) fn named(self, command: &'static str) -> Self {
        Self { command, ..self }
    }

    /// Sends the outcome. Whoever asked may be gone: then nobody wants it.
    pub(crate) fn send(self, result: outcome::Result) {
        let refused = match &result {
            outcome::Result::Error(error) => Some(error),
            _ => None,
        };
        metrics::command(self.command, refused);
        match self.to {
            To::Stream { id, outcomes, place } => {
                let _ = outcomes.try_send(Ok((Outcome { id, result: Some(result) }, place)));
            }
            To::Call(waiting) => {
                let _ = waiting.send(result);
            }
        }
    }

    /// Sends a refusal.
    pub(crate) fn refuse(self, error: v1::Error) {
        self.send(outcome::Result::Error(error));
    }
}

/// The outcomes of one stream, as the gateway takes them.
pub struct Outcomes {
    waiting: mpsc::Receiver<Waiting>,
}

impl Outcomes {
    /// A queue of outcomes with this many places, and one for the end.
    pub(crate) fn new(places: usize) -> (mpsc::Sender<Waiting>, Self) {
        let (sender, waiting) = mpsc::channel(places + 1);
        (sender, Self { waiting })
    }
}

impl Stream for Outcomes {
    type Item = Result<Outcome, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Dropping the place here lets the stream's reader go on.
        self.waiting.poll_recv(cx).map(|next| next.map(|waiting| waiting.map(|(outcome, _place)| outcome)))
    }
}
