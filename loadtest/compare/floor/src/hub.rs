//! Rooms: who is in them, and what was said.
//!
//! What was said is kept, as bare text, because the load generator compares it
//! with what was heard, and because clients that come back want what they missed.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::value::RawValue;

/// The sending end of a connection.
pub trait Listener: Clone + Send + Sync + Sized + 'static {
    /// Text, ready to be sent to any socket.
    type Frame: Clone + Send;

    /// Makes a frame of text; once for all its receivers.
    fn frame(text: String) -> Self::Frame;

    /// Sends it, soon.
    fn push(&self, frame: Self::Frame);

    /// Serves the socket of a client whose handshake is done, until it ends;
    /// `read` was sent right behind the handshake.
    fn serve(
        hub: Arc<Hub<Self>>,
        stream: tokio::net::TcpStream,
        read: Vec<u8>,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// All rooms.
pub struct Hub<L> {
    rooms: RwLock<Vec<Arc<Room<L>>>>,
}

impl<L> Default for Hub<L> {
    fn default() -> Self {
        Self { rooms: RwLock::default() }
    }
}

/// A room.
pub struct Room<L> {
    /// Its id.
    pub id: String,
    state: Mutex<State<L>>,
}

struct State<L> {
    listeners: HashMap<u64, L>,
    said: Log,
}

/// Everything said in a room: JSON strings, one after the other.
#[derive(Default)]
struct Log {
    texts: String,
    ends: Vec<usize>,
}

impl Log {
    fn push(&mut self, text: &str) -> usize {
        self.texts.push_str(text);
        self.ends.push(self.texts.len());
        self.ends.len()
    }

    /// The text of this seq.
    fn get(&self, seq: usize) -> &str {
        let start = if seq > 1 { self.ends[seq - 2] } else { 0 };
        &self.texts[start..self.ends[seq - 1]]
    }
}

impl<L: Listener> Hub<L> {
    /// Opens a room.
    pub fn open(&self) -> Arc<Room<L>> {
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        let id = format!("room-{}", rooms.len());
        let state = State { listeners: HashMap::new(), said: Log::default() };
        let room = Arc::new(Room { id, state: Mutex::new(state) });
        rooms.push(room.clone());
        room
    }

    /// Finds a room by its id.
    pub fn find(&self, id: &str) -> Option<Arc<Room<L>>> {
        let number: usize = id.strip_prefix("room-")?.parse().ok()?;
        let rooms = self.rooms.read().unwrap_or_else(PoisonError::into_inner);
        rooms.get(number).filter(|room| room.id == id).cloned()
    }
}

/// A message was taken.
pub struct Sent {
    /// Its place.
    pub seq: usize,
    /// When, in milliseconds.
    pub time: u128,
}

impl<L: Listener> Room<L> {
    fn state(&self) -> MutexGuard<'_, State<L>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something to all who listen; `text` and `key` are JSON.
    pub fn say(&self, sender: u64, key: &RawValue, text: &RawValue) -> Sent {
        let time = now();
        let (id, text) = (&self.id, text.get());
        let mut state = self.state();
        let seq = state.said.push(text);
        // As long as Carillon's: the generator reads every byte of it.
        let frame = L::frame(format!(
            r#"{{"room":"{id}","seq":{seq},"cursor":"{seq}","message":{{"id":"{id}-{seq}","seq":{seq},"ordinal":{seq},"sender":"connection-{sender}","name":"connection-{sender}","type":"TEXT","text":{text},"time":{time},"key":{key}}}}}"#
        ));
        // Under the lock: so all hear everything in one order.
        for listener in state.listeners.values() {
            listener.push(frame.clone());
        }
        Sent { seq, time }
    }

    /// Starts listening; what was said after `since`, if that is asked for, is
    /// part of the answer, and everything else comes.
    pub fn join(&self, connection: u64, listener: L, since: Option<usize>, answer: impl FnOnce(String)) {
        let mut state = self.state();
        let head = state.said.ends.len();
        let from = since.unwrap_or(head).min(head);
        let changes = state.said.list(from + 1..head + 1, |json, seq, message| {
            let _ = write!(json, r#"{{"seq":{seq},"message":{message}}}"#);
        });
        // Before it listens, and under the lock: so nothing comes before it.
        answer(format!(
            r#"{{"room":"{}","from":{from},"to":{head},"cursor":"{head}","changes":{changes},"more":false,"reset":false}}"#,
            self.id
        ));
        state.listeners.insert(connection, listener);
    }

    /// Stops listening.
    pub fn leave(&self, connection: u64) {
        self.state().listeners.remove(&connection);
    }

    /// A page of what was said before this seq (0: all), as JSON.
    pub fn page(&self, before: usize, limit: usize) -> String {
        let state = self.state();
        let head = state.said.ends.len();
        let end = if before > 0 { (before - 1).min(head) } else { head };
        let start = end.saturating_sub(limit);
        let messages = state.said.list(start + 1..end + 1, |json, _, message| json.push_str(message));
        format!(r#"{{"room":"{}","messages":{messages},"more":{}}}"#, self.id, start > 0)
    }
}

impl Log {
    /// A JSON list of the messages of these seqs.
    fn list(&self, seqs: Range<usize>, mut each: impl FnMut(&mut String, usize, &str)) -> String {
        let mut json = String::from("[");
        for seq in seqs {
            if json.len() > 1 {
                json.push(',');
            }
            let message = format!(r#"{{"id":"{seq}","seq":{seq},"ordinal":{seq},"text":{}}}"#, self.get(seq));
            each(&mut json, seq, &message);
        }
        json.push(']');
        json
    }
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}
