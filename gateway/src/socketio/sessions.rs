//! The sessions that poll: by id, as HTTP requests find them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use http::HeaderValue;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

/// Requests of one session that wait for its task.
const MAX_REQUESTS: usize = 4;

/// What a request asks of a session.
pub enum Request {
    /// The next packets, when there are some.
    Poll(oneshot::Sender<Polled>),
    /// Packets of the client.
    Packets { body: String, done: oneshot::Sender<Taken> },
    /// A WebSocket that the session may move to; `unread` came behind the handshake.
    Upgrade { stream: TcpStream, unread: Vec<u8> },
}

/// The answer to a poll.
pub enum Polled {
    /// Packets.
    Payload(String),
    /// The session cannot be polled (any more).
    Refused,
}

/// What became of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// They were looked at.
    Ok,
    /// They were no packets, or could not come this way.
    Refused,
}

/// How requests reach a session.
#[derive(Clone)]
pub struct Handle {
    /// To its task.
    pub requests: mpsc::Sender<Request>,
    /// The Authorization that it began with: nobody else's may go on with it.
    authorization: Option<HeaderValue>,
}

/// All sessions of one gateway that poll, or did at first.
#[derive(Default)]
pub struct Sessions {
    handles: Mutex<HashMap<Arc<str>, Handle>>,
}

/// A session's place in the list; given back on drop.
pub struct Listed {
    sessions: Arc<Sessions>,
    id: Arc<str>,
}

impl Sessions {
    /// Lists a new session.
    pub fn add(self: &Arc<Self>, authorization: Option<HeaderValue>) -> (Listed, mpsc::Receiver<Request>) {
        let (requests, waiting) = mpsc::channel(MAX_REQUESTS);
        let id: Arc<str> = new_id().into();
        self.handles().insert(id.clone(), Handle { requests, authorization });
        (Listed { sessions: self.clone(), id }, waiting)
    }

    /// The session of this id, for whoever shows the same token as at its start.
    pub fn find(&self, id: &str, authorization: Option<&HeaderValue>) -> Found {
        match self.handles().get(id) {
            None => Found::Unknown,
            Some(handle) if handle.authorization.as_ref() != authorization => Found::Another,
            Some(handle) => Found::Session(handle.clone()),
        }
    }

    fn handles(&self) -> MutexGuard<'_, HashMap<Arc<str>, Handle>> {
        self.handles.lock().expect("no panic while the sessions are locked")
    }
}

/// What there is under an id.
pub enum Found {
    /// A session.
    Session(Handle),
    /// One of somebody else.
    Another,
    /// None here.
    Unknown,
}

impl Listed {
    /// Under which the session is found.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.sessions.handles().remove(&self.id);
    }
}

/// An id that nobody guesses.
pub fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
