//! For the benchmarks in `benches/`, and nothing else: they are crates of their
//! own, and what they measure is private. No part of the dispatcher's interface.
//!
//! Hidden rather than behind a feature: a feature that only benchmarks switch on
//! would have the dispatcher built twice, and checked in a shape that never ships.

use proto::v1;
use tokio::time::Instant;

use crate::command::check::{Actor, Send, user};
use crate::lane::{Item, new_messages, split_repeats};
use crate::reply::Reply;
use crate::store::NewMessage;

/// Sends that wait in a lane.
pub struct Waiting(Vec<Item>);

impl Waiting {
    /// These sends, each of the user of this id.
    pub fn new(sends: Vec<(String, v1::Send)>) -> Self {
        let item = |(sender, send): (String, v1::Send)| Item {
            actor: Actor { user: user(&sender).expect("an id"), name: sender, service: false },
            send: Send::check(send).expect("a send of good form"),
            reply: Reply::to_call().0,
            trace: None,
            since: Instant::now(),
        };
        Self(sends.into_iter().map(item).collect())
    }

    /// What the store is asked to append, and what is held back as a repeat.
    pub fn batch(self) -> (Vec<NewMessage>, Waiting) {
        let (batch, held) = split_repeats(self.0);
        (new_messages(&batch), Waiting(held))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// None waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
