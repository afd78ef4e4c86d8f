//! A user as a good client lets them live: comes back with its cursor whenever
//! it is told to or the connection breaks, and repeats what was not answered.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use proto::Encoding;
use testkit::checker::History;
use testkit::client::{Client, ConnectOptions, Transcript};
use testkit::eventually;

use super::hear::reached;
use super::world::{LONG, World};

/// Before what was refused for the moment is asked again.
const PAUSE: Duration = Duration::from_millis(20);

/// One user in one room, over all connections.
pub struct Life<'w> {
    world: &'w World,
    user: String,
    room: String,
    encoding: Encoding,
    gateway: usize,
    client: Client,
    past: Vec<Transcript>,
}

impl<'w> Life<'w> {
    /// Connects and joins.
    pub async fn start(
        world: &'w World,
        gateway: usize,
        user: &str,
        room: &str,
        encoding: Encoding,
    ) -> Life<'w> {
        let client = world.client_of(gateway, user, encoding).await;
        client.join(room).await.expect("a join");
        let (user, room) = (user.to_owned(), room.to_owned());
        Self { world, user, room, encoding, gateway, client, past: Vec::new() }
    }

    /// The connection of the moment.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How often it had to come back.
    pub fn returns(&self) -> usize {
        self.past.len()
    }

    /// Waits until the room is heard up to `seq`.
    pub async fn hear_up_to(&mut self, seq: u64) {
        while reached(&self.client, &self.room) < seq {
            let (client, room) = (&self.client, &self.room);
            eventually(format!("{} to hear {seq}", self.user), LONG, async || {
                (reached(client, room) >= seq || client.end().is_some()).then_some(())
            })
            .await;
            if reached(&self.client, &self.room) < seq {
                self.come_back().await;
            }
        }
    }

    /// Sends so many messages, some on the way at once, until all are answered.
    pub async fn send(&mut self, count: usize, at_once: usize) {
        let mut unanswered: VecDeque<usize> = (0..count).collect();
        while !unanswered.is_empty() {
            let all = self.send_some(&mut unanswered, at_once).await;
            if !all && self.client.end().is_some() {
                self.come_back().await;
            } else if !all {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Until all are answered, or one is to be repeated.
    async fn send_some(&self, unanswered: &mut VecDeque<usize>, at_once: usize) -> bool {
        let (client, user, room) = (&self.client, &self.user, &self.room);
        let sends = stream::iter(unanswered.clone()).map(|number| async move {
            let text = format!("{user} says {number}");
            client.send_with_key(room, &format!("key {number}"), &text).await
        });
        let mut answers = pin!(sends.buffered(at_once));
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(_) => drop(unanswered.pop_front()),
                Err(error) if error.retryable => return false,
                Err(error) => panic!("{user}: {}: {}", error.code, error.message),
            }
        }
        true
    }

    /// Connects to the next gateway that takes it, and resumes.
    async fn come_back(&mut self) {
        let end = self.client.closed().await;
        assert!(end.resumes(), "{} was sent away for good: {end:?}", self.user);
        let (own, since) = (self.client.cursor(""), self.client.cursor(&self.room));
        self.past.push(self.client.transcript());
        let (world, user, room, encoding) = (self.world, &self.user, &self.room, self.encoding);
        let gateway = &mut self.gateway;
        self.client = eventually(format!("{user} to be back"), LONG, async || {
            *gateway += 1;
            let options = ConnectOptions { since: own.clone(), ..ConnectOptions::new(encoding) };
            let client = world.connect(*gateway, user, options).await.ok()?;
            let mut since = since.clone();
            loop {
                let joined = client.join_since(room, &since).await.ok()?;
                assert!(!joined.reset, "the store was not set back");
                if !joined.more {
                    return Some(client);
                }
                since = joined.cursor;
            }
        })
        .await;
    }

    /// Adds all connections to a history.
    pub fn tell(self, history: &mut History) {
        let mut sessions = self.past;
        sessions.push(self.client.transcript());
        history.add_life(&self.user, &sessions);
    }
}
