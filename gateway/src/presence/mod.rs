//! Tells presence who is connected here, and rooms who came and went.
//!
//! Presence is soft: whatever fails is tried again or rebuilt, and nothing of
//! chat waits for it (P7).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::{Entry, PresenceTimes, Seen, Status};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::Client;
use crate::hub::Hub;

mod announce;
mod ask;

pub use ask::{of_room, of_users};

/// Events waiting; beyond it everything is entered anew instead.
const MAX_EVENTS: usize = 65_536;
/// Events handled together.
const TOGETHER: usize = 1000;
const SWEEP: Duration = Duration::from_secs(1);

enum Event {
    Entered(Entry),
    Left(Entry),
}

/// Keeps this node's connections entered.
pub struct PresenceKeeper {
    port: Arc<dyn bus::Presence>,
    events: mpsc::Sender<Event>,
    /// What each connection here contributes, to enter all of them again.
    entries: Arc<Mutex<HashMap<String, Entry>>>,
}

impl PresenceKeeper {
    /// Starts keeping, on the hub's tasks until `stop`.
    pub fn start(
        port: Arc<dyn bus::Presence>,
        hub: Arc<Hub>,
        room_limit: u32,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (events, waiting) = mpsc::channel(MAX_EVENTS);
        let (changes, changed) = mpsc::channel(MAX_EVENTS);
        let entries = Arc::new(Mutex::default());
        let keeping = Keeping { port: port.clone(), entries: Arc::clone(&entries), changes, stale: false };
        tasks.spawn(keeping.run(waiting, stop.clone()));
        tasks.spawn(announce::announce(hub, changed, room_limit, stop));
        Self { port, events, entries }
    }

    /// The port itself, for questions.
    pub fn port(&self) -> Arc<dyn bus::Presence> {
        self.port.clone()
    }

    /// A client has connected.
    pub fn entered(&self, client: &Client) {
        self.status(client, Status::Online);
    }

    /// A client shows another status.
    pub fn status(&self, client: &Client, status: Status) {
        let entry = Entry { user: client.user.clone(), connection: client.connection.clone(), status };
        self.entries().insert(client.connection.clone(), entry.clone());
        self.tell(Event::Entered(entry));
    }

    /// A client's connection is gone.
    pub fn left(&self, client: &Client) {
        if let Some(entry) = self.entries().remove(&client.connection) {
            self.tell(Event::Left(entry));
        }
    }

    fn tell(&self, event: Event) {
        // Full: presence has been away for long. An entry is entered again when it
        // is back, one that left is forgotten with the lease.
        if self.events.try_send(event).is_err() {
            tracing::debug!("presence does not keep up");
        }
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entry>> {
        lock(&self.entries)
    }
}

fn lock(entries: &Mutex<HashMap<String, Entry>>) -> std::sync::MutexGuard<'_, HashMap<String, Entry>> {
    entries.lock().expect("no panic while the entries are locked")
}

struct Keeping {
    port: Arc<dyn bus::Presence>,
    entries: Arc<Mutex<HashMap<String, Entry>>>,
    changes: mpsc::Sender<Seen>,
    /// Something did not reach presence: enter everything again.
    stale: bool,
}

impl Keeping {
    async fn run(mut self, mut waiting: mpsc::Receiver<Event>, stop: CancellationToken) {
        let mut renew = tokio::time::interval(PresenceTimes::default().lease / 3);
        let mut sweep = tokio::time::interval(SWEEP);
        renew.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut events = Vec::new();
        // The lease comes before anything is entered under it.
        self.renew().await;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = renew.tick() => self.renew().await,
                _ = sweep.tick() => {
                    let swept = self.port.sweep().await;
                    self.changed(swept);
                    if self.stale {
                        self.enter_all().await;
                    }
                }
                count = waiting.recv_many(&mut events, TOGETHER) => {
                    if count == 0 {
                        break;
                    }
                    self.apply(std::mem::take(&mut events)).await;
                }
            }
        }
        if let Err(error) = self.port.close().await {
            tracing::debug!(%error, "presence was not told of the end; the lease will run out");
        }
    }

    async fn renew(&mut self) {
        match self.port.renew().await {
            Ok(true) => {}
            Ok(false) => self.enter_all().await,
            Err(error) => {
                tracing::debug!(%error, "the presence lease was not renewed");
                self.stale = true;
            }
        }
    }

    async fn enter_all(&mut self) {
        let entries: Vec<_> = lock(&self.entries).values().cloned().collect();
        let result = self.port.enter(&entries).await;
        self.stale = result.is_err();
        self.changed(result);
    }

    /// Applies events in order, neighbours of a kind together.
    async fn apply(&mut self, events: Vec<Event>) {
        let mut events = events.into_iter().peekable();
        while let Some(event) = events.next() {
            match event {
                Event::Entered(entry) => {
                    let mut entries = vec![entry];
                    while let Some(Event::Entered(entry)) =
                        events.next_if(|event| matches!(event, Event::Entered(_)))
                    {
                        entries.push(entry);
                    }
                    let result = self.port.enter(&entries).await;
                    self.changed(result);
                }
                Event::Left(entry) => {
                    let mut entries = vec![entry];
                    while let Some(Event::Left(entry)) =
                        events.next_if(|event| matches!(event, Event::Left(_)))
                    {
                        entries.push(entry);
                    }
                    if self.port.leave(&entries).await.is_err() {
                        self.stale = true;
                    }
                }
            }
        }
    }

    fn changed(&mut self, result: Result<Vec<Seen>, bus::BusError>) {
        match result {
            Ok(seen) => {
                for seen in seen {
                    // Full: rooms will be told by the next change, or ask.
                    let _ = self.changes.try_send(seen);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "presence does not answer");
                self.stale = true;
            }
        }
    }
}
