//! What waits to be written to one client: a queue bounded in bytes.
//!
//! Anyone may push; one connection task takes and writes. The bytes are whole
//! WebSocket frames, encoded once and shared by everyone who gets them. A push
//! wakes the connection at most once until it has taken what is there, so that
//! a burst becomes one write. At the bound the queue is dropped and replaced by
//! a close that makes the client come back and resume: a slow reader costs its
//! own connection and nobody else's (P6), and never silently skips an event (P3).

use std::collections::VecDeque;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use proto::CloseCode;

/// How a connection is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// The code that the client sees.
    pub code: CloseCode,
    /// The reason that the client sees.
    pub reason: String,
}

impl Closing {
    /// A close whose reason is the code's name.
    pub fn with(code: CloseCode) -> Self {
        Self { code, reason: code.name().to_owned() }
    }
}

/// The queue of one connection.
#[derive(Debug)]
pub struct Outbound {
    max_bytes: usize,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    closing: Option<Closing>,
    /// Something happened that the connection has not looked at yet.
    signalled: bool,
    waker: Option<Waker>,
}

/// What a connection finds when it looks.
#[derive(Debug, Default)]
pub struct Taken {
    /// Frames to write, in order.
    pub frames: VecDeque<Bytes>,
    /// Close after them.
    pub closing: Option<Closing>,
}

impl Outbound {
    /// An empty queue that holds at most `max_bytes`.
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, queue: Mutex::default() }
    }

    /// Queues whole WebSocket frames. Dropped where the connection is closing.
    pub fn push(&self, frames: Bytes) {
        // A join may have nothing to tell, and a poll is not answered with nothing.
        if frames.is_empty() {
            return;
        }
        let mut queue = self.lock();
        if queue.closing.is_some() {
            return;
        }
        queue.bytes += frames.len();
        if queue.bytes > self.max_bytes {
            queue.frames = VecDeque::new();
            queue.bytes = 0;
            queue.closing = Some(Closing::with(CloseCode::SlowReader));
        } else {
            queue.frames.push_back(frames);
        }
        Self::signal(queue);
    }

    /// Closes after what is queued. The first reason stays: `false`, if there
    /// was one.
    pub fn close(&self, closing: Closing) -> bool {
        let mut queue = self.lock();
        let first = queue.closing.is_none();
        queue.closing.get_or_insert(closing);
        Self::signal(queue);
        first
    }

    /// Whether it is to end.
    pub fn is_closing(&self) -> bool {
        self.lock().closing.is_some()
    }

    /// Bytes that the client has not taken: queued, or on their way to its socket.
    pub fn waiting(&self) -> usize {
        self.lock().bytes
    }

    /// Makes the connection look, with nothing to write.
    pub fn wake(&self) {
        Self::signal(self.lock());
    }

    /// Ready when something was pushed, closed or woken since the last
    /// [`take`](Self::take). For the one connection task.
    pub fn poll_signalled(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.lock();
        if queue.signalled {
            return Poll::Ready(());
        }
        match &mut queue.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Takes everything that waits. The byte count is kept until
    /// [`written`](Self::written), so that frames on their way to a stalled
    /// socket still count against the bound.
    pub fn take(&self) -> Taken {
        let mut queue = self.lock();
        queue.signalled = false;
        Taken { frames: std::mem::take(&mut queue.frames), closing: queue.closing.clone() }
    }

    /// Tells how many bytes went to the socket.
    pub fn written(&self, bytes: usize) {
        let mut queue = self.lock();
        queue.bytes = queue.bytes.saturating_sub(bytes);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().expect("no panic while the queue is locked")
    }

    fn signal(mut queue: std::sync::MutexGuard<'_, Queue>) {
        if !std::mem::replace(&mut queue.signalled, true) {
            let waker = queue.waker.take();
            drop(queue);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p6_at_the_bound_the_queue_becomes_a_close_that_resumes() {
        let outbound = Outbound::new(10);
        outbound.push(Bytes::from_static(b"12345"));
        outbound.push(Bytes::from_static(b"67890"));
        outbound.push(Bytes::from_static(b"x"));
        let taken = outbound.take();
        assert!(taken.frames.is_empty());
        assert_eq!(taken.closing, Some(Closing::with(CloseCode::SlowReader)));
        assert!(CloseCode::SlowReader.resume());
    }

    #[test]
    fn p6_bytes_on_their_way_count_until_they_are_written() {
        let outbound = Outbound::new(10);
        outbound.push(Bytes::from_static(b"12345678"));
        assert_eq!(outbound.take().frames.len(), 1);
        assert_eq!(outbound.waiting(), 8);
        outbound.written(5);
        assert_eq!(outbound.waiting(), 3);
        outbound.push(Bytes::from_static(b"1234567"));
        assert_eq!(outbound.take().closing, None);
        outbound.push(Bytes::from_static(b"1"));
        assert!(outbound.take().closing.is_some());
    }

    #[test]
    fn nothing_is_not_queued() {
        let outbound = Outbound::new(10);
        outbound.push(Bytes::new());
        assert!(outbound.take().frames.is_empty());
    }

    #[test]
    fn what_was_queued_before_a_close_is_still_written() {
        let outbound = Outbound::new(100);
        outbound.push(Bytes::from_static(b"last"));
        assert!(outbound.close(Closing::with(CloseCode::Drain)));
        assert!(!outbound.close(Closing::with(CloseCode::Revoked)));
        outbound.push(Bytes::from_static(b"late"));
        let taken = outbound.take();
        assert_eq!(taken.frames, [Bytes::from_static(b"last")]);
        assert_eq!(taken.closing.unwrap().code, CloseCode::Drain);
    }
}
