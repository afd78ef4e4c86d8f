//! Bounded queues that a stream puts its commands into: one for each lane and
//! each worker.
//!
//! A full queue makes the stream wait a little, and with it the gateway: that
//! evens out bursts. If the queue is still full then, what goes there is refused
//! as `unavailable` without further waiting until there is room again, so that
//! one stuck lane costs the stream's other rooms one short wait and no more.

use std::time::Duration;

use tokio::sync::mpsc::error::{SendTimeoutError, TrySendError};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio_util::sync::CancellationToken;

use crate::clock;

/// Senders to queues that are chosen by a key.
pub(crate) struct Queues<T> {
    senders: Box<[Sender<T>]>,
}

impl<T> Queues<T> {
    pub(crate) fn new(senders: impl IntoIterator<Item = Sender<T>>) -> Self {
        Self { senders: senders.into_iter().collect() }
    }

    /// The queue of a key: always the same one.
    pub(crate) fn of(&self, key: &str) -> usize {
        clock::place(key, self.senders.len())
    }

    /// What one stream knows of these queues.
    pub(crate) fn patience(&self, wait: Duration) -> Patience {
        Patience { wait, stuck: vec![false; self.senders.len()] }
    }

    /// Puts an item into a queue, or gives it back.
    pub(crate) async fn push(&self, queue: usize, item: T, patience: &mut Patience) -> Result<(), T> {
        let sender = &self.senders[queue];
        let stuck = &mut patience.stuck[queue];
        match sender.try_send(item) {
            Ok(()) => {
                *stuck = false;
                Ok(())
            }
            Err(TrySendError::Closed(item)) => Err(item),
            Err(TrySendError::Full(item)) if *stuck => Err(item),
            Err(TrySendError::Full(item)) => match sender.send_timeout(item, patience.wait).await {
                Ok(()) => Ok(()),
                Err(SendTimeoutError::Timeout(item)) => {
                    *stuck = true;
                    Err(item)
                }
                Err(SendTimeoutError::Closed(item)) => Err(item),
            },
        }
    }
}

/// Which queues a stream has found stuck.
pub(crate) struct Patience {
    wait: Duration,
    stuck: Vec<bool>,
}

/// Waits for at least one item, takes up to `limit`. After `stop` nothing new
/// gets in; `false` when all that was in is out.
pub(crate) async fn take<T>(
    queue: &mut Receiver<T>,
    into: &mut Vec<T>,
    limit: usize,
    stop: &CancellationToken,
) -> bool {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled(), if !queue.is_closed() => queue.close(),
            taken = queue.recv_many(into, limit) => return taken > 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn p6_a_stuck_queue_is_waited_for_once() {
        let (sender, mut receiver) = mpsc::channel(1);
        let queues = Queues::new([sender]);
        let mut patience = queues.patience(Duration::from_millis(1));
        assert_eq!(queues.push(0, 1, &mut patience).await, Ok(()));
        assert_eq!(queues.push(0, 2, &mut patience).await, Err(2));
        patience.wait = Duration::from_secs(3600);
        assert_eq!(queues.push(0, 3, &mut patience).await, Err(3));
        receiver.recv().await;
        assert_eq!(queues.push(0, 4, &mut patience).await, Ok(()));
        assert!(!patience.stuck[0]);
    }

    #[tokio::test]
    async fn p8_a_stopped_queue_is_emptied() {
        let (sender, mut receiver) = mpsc::channel(4);
        let stop = CancellationToken::new();
        sender.send(1).await.unwrap();
        stop.cancel();
        let mut taken = Vec::new();
        assert!(take(&mut receiver, &mut taken, 9, &stop).await);
        assert!(sender.send(2).await.is_err());
        assert!(!take(&mut receiver, &mut taken, 9, &stop).await);
        assert_eq!(taken, [1]);
    }
}
