//! A light load that runs through a fault, and the account of it: what was
//! answered is in the store once, in order, and everyone has heard it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto::Encoding;
use proto::v1::server_frame::Body;
use testkit::client::{Client, Transcript};
use testkit::cluster::System;
use testkit::eventually;
use tokio::task::JoinSet;

const SENDERS: usize = 6;
/// Between two sends of one sender: about 120 messages a second in all.
const PACE: Duration = Duration::from_millis(50);
/// A fault of seconds, and the healing after it.
const PATIENCE: Duration = Duration::from_secs(60);

/// One room, some senders at different gateways, and one who only listens.
pub struct Load {
    room: String,
    users: Vec<String>,
    clients: Vec<Arc<Client>>,
    watcher: Client,
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    count: AtomicUsize,
    /// Text by seq, as answered.
    answered: Mutex<BTreeMap<u64, String>>,
    by_sender: [AtomicUsize; SENDERS],
    refusals: Mutex<Vec<String>>,
    refused: AtomicBool,
}

/// What a run came to.
pub struct Report {
    /// Refusals that senders saw, retryable or not.
    pub refusals: Vec<String>,
    answered: BTreeMap<u64, String>,
    stored: Vec<(u64, String)>,
    heard: Vec<Vec<(u64, String)>>,
}

impl Load {
    /// Connects everyone, and starts sending.
    pub async fn start(system: &System) -> Self {
        let users: Vec<_> = (0..SENDERS).map(|number| format!("sender-{number}")).collect();
        let members: Vec<_> = users.iter().map(String::as_str).collect();
        let room = system.rest(0, "watcher").create_group("Faults", &members).await.expect("a room");
        let watcher = join(system, 0, "watcher", &room, Encoding::Json).await;
        let mut clients = Vec::new();
        for (number, user) in users.iter().enumerate() {
            let encoding = Encoding::ALL[number % 2];
            clients
                .push(Arc::new(join(system, number % system.gateways().len(), user, &room, encoding).await));
        }
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        for (number, client) in clients.iter().enumerate() {
            tasks.spawn(send(number, client.clone(), room.clone(), shared.clone()));
        }
        Self { room, users, clients, watcher, shared, tasks: Mutex::new(tasks) }
    }

    /// The room's id.
    pub fn room(&self) -> &str {
        &self.room
    }

    /// The id of a sender.
    pub fn user(&self, number: usize) -> &str {
        &self.users[number]
    }

    /// The member who only listens.
    pub fn watcher(&self) -> &Client {
        &self.watcher
    }

    /// Waits until this many more are answered; their texts.
    pub async fn answered(&self, more: usize) -> Vec<String> {
        let before: BTreeSet<u64> = self.lock_answered().keys().copied().collect();
        eventually(format!("{more} more answers"), PATIENCE, async || {
            (self.lock_answered().len() >= before.len() + more).then_some(())
        })
        .await;
        let answered = self.lock_answered();
        answered.iter().filter(|(seq, _)| !before.contains(seq)).map(|(_, text)| text.clone()).collect()
    }

    /// Waits until every sender has had another answer.
    pub async fn every_sender_goes_on(&self, patience: Duration) {
        let counts =
            || self.shared.by_sender.iter().map(|count| count.load(Ordering::Relaxed)).collect::<Vec<_>>();
        let before = counts();
        eventually("every sender to go on", patience, async || {
            counts().iter().zip(&before).all(|(now, before)| now > before).then_some(())
        })
        .await;
    }

    /// Whether all members have heard these texts.
    pub fn everyone_heard(&self, texts: &[String]) -> bool {
        self.transcripts().iter().all(|transcript| {
            let heard: BTreeSet<_> =
                heard(transcript, &self.room).into_iter().map(|(_, text)| text).collect();
            texts.iter().all(|text| heard.contains(text))
        })
    }

    /// Whether a sender was told to try again.
    pub fn was_refused(&self) -> bool {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Waits until a sender hears somebody typing.
    pub async fn hears_typing(&self, patience: Duration) {
        eventually("a typing sign", patience, async || {
            let transcript = self.clients[0].transcript();
            transcript.events().any(|frame| matches!(frame.body, Some(Body::Typing(_)))).then_some(())
        })
        .await;
    }

    /// Stops sending, waits until everyone has heard what the store has, and accounts.
    pub async fn finish(self, system: &System) -> Report {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut tasks = std::mem::take(&mut *self.tasks.lock().expect("not poisoned"));
        while let Some(ended) = tasks.join_next().await {
            ended.expect("a sender ends well");
        }
        let stored =
            eventually("the store's history", PATIENCE, async || stored(system, &self.room).await).await;
        let last = stored.last().map_or(0, |(seq, _)| *seq);
        eventually("everyone to hear the last message", PATIENCE, async || {
            let reached =
                |transcript: &Transcript| heard(transcript, &self.room).last().map_or(0, |(seq, _)| *seq);
            self.transcripts().iter().all(|transcript| reached(transcript) >= last).then_some(())
        })
        .await;
        let report = Report {
            refusals: self.shared.refusals.lock().expect("not poisoned").clone(),
            answered: self.lock_answered().clone(),
            stored,
            heard: self.transcripts().iter().map(|transcript| heard(transcript, &self.room)).collect(),
        };
        assert!(self.watcher.end().is_none(), "the watcher's connection has ended");
        report
    }

    fn transcripts(&self) -> Vec<Transcript> {
        self.clients.iter().map(|client| client.transcript()).chain([self.watcher.transcript()]).collect()
    }

    fn lock_answered(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, String>> {
        self.shared.answered.lock().expect("not poisoned")
    }
}

impl Report {
    /// Answered is stored, stored is heard: once, in order (P1 to P4).
    pub fn assert_kept(&self) {
        let texts: BTreeSet<_> = self.stored.iter().map(|(_, text)| text).collect();
        assert_eq!(texts.len(), self.stored.len(), "P4: a message is stored twice");
        for (seq, text) in &self.answered {
            assert!(
                self.stored.contains(&(*seq, text.clone())),
                "P1: {text} was answered as {seq} and is not stored so"
            );
        }
        for heard in &self.heard {
            assert_eq!(heard, &self.stored, "P2, P3, P4: heard and stored differ");
        }
        for number in 0..SENDERS {
            let of_sender: Vec<u64> =
                self.stored.iter().filter_map(|(_, text)| numbered(text, number)).collect();
            assert!(of_sender.is_sorted(), "P2: sender {number} is out of order");
        }
    }
}

async fn join(system: &System, gateway: usize, user: &str, room: &str, encoding: Encoding) -> Client {
    let options = testkit::client::ConnectOptions::new(encoding);
    let client = system.client_with(gateway, user, options).await.expect("a client connects");
    client.join(room).await.expect("a member joins");
    client
}

/// Sends one message after the other; a retryable refusal is tried again with the same key.
async fn send(number: usize, client: Arc<Client>, room: String, shared: Arc<Shared>) {
    let mut pace = tokio::time::interval(PACE);
    while !shared.stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let text = format!("{number} {}", shared.count.fetch_add(1, Ordering::Relaxed));
        loop {
            match client.send_with_key(&room, &text, &text).await {
                Ok(sent) => {
                    shared.answered.lock().expect("not poisoned").insert(sent.seq, text);
                    shared.by_sender[number].fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Err(error) => {
                    assert!(
                        error.retryable,
                        "{text} was refused for good: {}: {}",
                        error.code, error.message
                    );
                    shared
                        .refusals
                        .lock()
                        .expect("not poisoned")
                        .push(format!("{}: {}", error.code, error.message));
                    shared.refused.store(true, Ordering::Relaxed);
                    pace.tick().await;
                }
            }
        }
    }
}

fn numbered(text: &str, sender: usize) -> Option<u64> {
    let (number, count) = text.split_once(' ')?;
    (number == sender.to_string()).then(|| count.parse().ok())?
}

fn heard(transcript: &Transcript, room: &str) -> Vec<(u64, String)> {
    transcript
        .events()
        .filter(|frame| frame.room == room)
        .filter_map(|frame| match &frame.body {
            Some(Body::Message(message)) => Some((frame.seq, message.text.clone())),
            _ => None,
        })
        .collect()
}

async fn stored(system: &System, room: &str) -> Option<Vec<(u64, String)>> {
    let rest = system.rest(0, "watcher");
    let mut messages = Vec::new();
    let mut before = 0;
    loop {
        let page = rest
            .get(&format!("/v1/rooms/{room}/messages?limit=100&before={before}"))
            .await
            .ok()?
            .ok()
            .ok()?;
        let page: proto::v1::History = serde_json::from_value(page).ok()?;
        before = page.messages.first().map_or(0, |message| message.seq);
        messages.extend(page.messages.into_iter().rev().map(|message| (message.seq, message.text)));
        if !page.more {
            messages.reverse();
            return Some(messages);
        }
    }
}
