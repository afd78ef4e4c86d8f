//! The sessions that poll: by id, as HTTP requests find them.
//!
//! An id names the gateway that has the session, so that a request which
//! reaches another one can be [relayed](super::relay).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::{HeaderMap, header};
use sha1::{Digest as _, Sha1};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

/// Requests of one session that wait for its task.
const MAX_REQUESTS: usize = 4;
/// Relayed requests of a session that are known again: it has two at once at most.
const REMEMBERED: usize = 4;
/// Length of a gateway's id, and of the part behind it that nobody guesses.
const GATEWAY_LENGTH: usize = 16;
const SECRET_LENGTH: usize = 32;

/// What a request asks of a session.
pub enum Request {
    /// The next packets, when there are some.
    Poll(oneshot::Sender<Polled>),
    /// Packets of the client.
    Packets { body: Bytes, done: oneshot::Sender<Taken> },
    /// Packets have come while others had not been taken.
    Overlap,
    /// The poll is to be answered, even with nothing.
    Release,
    /// A WebSocket that the session may move to; `unread` came behind the handshake.
    Upgrade { stream: TcpStream, unread: Vec<u8> },
}

/// The answer to a poll.
pub enum Polled {
    /// Packets.
    Payload(String),
    /// The session is polled already.
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

/// What came of a request to a session.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The body of the answer.
    Payload(String),
    /// It is against the rules.
    Refused,
    /// The session is over.
    Over,
}

/// How requests reach a session.
#[derive(Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    /// A request with packets is on its way.
    posting: Arc<AtomicBool>,
}

impl Handle {
    /// Waits for packets. When this is dropped before, the client has hung up.
    pub async fn poll(&self) -> Outcome {
        let (answer, polled) = oneshot::channel();
        if self.requests.send(Request::Poll(answer)).await.is_err() {
            return Outcome::Over;
        }
        match polled.await {
            Ok(Polled::Payload(payload)) => Outcome::Payload(payload),
            Ok(Polled::Refused) => Outcome::Refused,
            Err(_) => Outcome::Over,
        }
    }

    /// To be held from the beginning of a request with packets to its end.
    /// `None`: there is one already, which is against the rules and ends the session.
    pub async fn begin_post(&self) -> Option<Posting> {
        if !self.posting.swap(true, Ordering::Relaxed) {
            return Some(Posting(self.posting.clone()));
        }
        // An end is what it is to come to.
        let _ = self.requests.send(Request::Overlap).await;
        None
    }

    /// Hands over packets.
    pub async fn packets(&self, _posting: &Posting, body: Bytes) -> Outcome {
        let (done, taken) = oneshot::channel();
        if self.requests.send(Request::Packets { body, done }).await.is_err() {
            return Outcome::Over;
        }
        match taken.await {
            Ok(Taken::Ok) => Outcome::Payload("ok".to_owned()),
            Ok(Taken::Refused) => Outcome::Refused,
            Err(_) => Outcome::Over,
        }
    }

    /// Offers a WebSocket to move to. A session that has ended takes none.
    pub async fn upgrade(&self, stream: TcpStream, unread: Vec<u8>) {
        let _ = self.requests.send(Request::Upgrade { stream, unread }).await;
    }

    /// Lets a poll be answered now. One that cannot be told so soon is answered anyway.
    pub fn release(&self) {
        let _ = self.requests.try_send(Request::Release);
    }
}

/// A request with packets that is on its way; over on drop.
pub struct Posting(Arc<AtomicBool>);

impl Drop for Posting {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A digest of an Authorization header: enough to know the same one again, here
/// and on other nodes, and nothing that could be shown to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown([u8; 20]);

impl Shown {
    /// Of the header, if there is one.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::AUTHORIZATION)?;
        Some(Self(Sha1::digest(value.as_bytes()).into()))
    }

    /// As another node has written it.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// To be sent to another node.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

struct Entry {
    handle: Handle,
    /// The Authorization that it began with: nobody else's may go on with it.
    shown: Option<Shown>,
    /// Relayed requests, newest last.
    relayed: [u64; REMEMBERED],
}

/// All sessions of one gateway that poll.
pub struct Sessions {
    gateway: String,
    entries: Mutex<HashMap<Arc<str>, Entry>>,
}

/// A session's place in the list; given back on drop.
pub struct Listed {
    sessions: Arc<Sessions>,
    id: Arc<str>,
}

/// Where a session is, by its id.
#[derive(Debug, PartialEq, Eq)]
pub enum Whose<'a> {
    /// Here, if it is still there.
    Ours,
    /// At this gateway.
    Of(&'a str),
    /// This is no id.
    Nobodys,
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

impl Default for Sessions {
    fn default() -> Self {
        let mut gateway = random();
        gateway.truncate(GATEWAY_LENGTH);
        Self { gateway, entries: Mutex::default() }
    }
}

impl Sessions {
    /// The id of this gateway, new with each start.
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    /// An id for a new session.
    pub fn new_id(&self) -> String {
        format!("{}.{}", self.gateway, random())
    }

    /// Lists a new session.
    pub fn add(self: &Arc<Self>, shown: Option<Shown>) -> (Listed, mpsc::Receiver<Request>) {
        let (requests, waiting) = mpsc::channel(MAX_REQUESTS);
        let id: Arc<str> = self.new_id().into();
        let handle = Handle { requests, posting: Arc::default() };
        self.entries().insert(id.clone(), Entry { handle, shown, relayed: [0; REMEMBERED] });
        (Listed { sessions: self.clone(), id }, waiting)
    }

    /// Who has the session of this id.
    pub fn whose<'a>(&self, id: &'a str) -> Whose<'a> {
        let is_random = |text: &str, length| {
            text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        match id.split_once('.') {
            Some((gateway, secret))
                if is_random(gateway, GATEWAY_LENGTH) && is_random(secret, SECRET_LENGTH) =>
            {
                if gateway == self.gateway { Whose::Ours } else { Whose::Of(gateway) }
            }
            _ => Whose::Nobodys,
        }
    }

    /// The session of this id, but not for whoever shows another token than at
    /// its start. Showing none is no other: browsers cannot with a WebSocket.
    pub fn find(&self, id: &str, shown: Option<Shown>) -> Found {
        match self.entries().get(id) {
            None => Found::Unknown,
            Some(entry) if shown.is_some() && entry.shown != shown => Found::Another,
            Some(entry) => Found::Session(entry.handle.clone()),
        }
    }

    /// Whether a relayed request of this session comes for the first time: the
    /// broker may repeat.
    pub fn is_new(&self, id: &str, request: u64) -> bool {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(id) else { return true };
        if entry.relayed.contains(&request) {
            return false;
        }
        entry.relayed.rotate_left(1);
        entry.relayed[REMEMBERED - 1] = request;
        true
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Arc<str>, Entry>> {
        self.entries.lock().expect("no panic while the sessions are locked")
    }
}

impl Listed {
    /// Under which the session is found.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.sessions.entries().remove(&self.id);
    }
}

/// What nobody guesses.
fn random() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(token: &str) -> Option<Shown> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, token.parse().unwrap());
        Shown::of(&headers)
    }

    #[test]
    fn an_id_says_who_has_the_session() {
        let (here, there) = (Sessions::default(), Sessions::default());
        let id = here.new_id();
        assert_eq!(here.whose(&id), Whose::Ours);
        assert_eq!(there.whose(&id), Whose::Of(here.gateway()));
        let (gateway, secret) = id.split_once('.').unwrap();
        let longer = format!("{id}0");
        let subject = format!("*.{secret}");
        let upper = format!("{}.{secret}", gateway.to_uppercase().replace(char::is_numeric, "A"));
        for nonsense in ["", ".", "a.b", secret, &longer, &subject, &upper] {
            assert_eq!(here.whose(nonsense), Whose::Nobodys, "{nonsense}");
        }
    }

    #[test]
    fn s18_a_session_is_not_for_who_shows_another_token() {
        let sessions = Arc::new(Sessions::default());
        let (ana, _requests) = sessions.add(shown("Bearer ana"));
        let (nobody, _more_requests) = sessions.add(None);
        assert!(matches!(sessions.find(ana.id(), shown("Bearer ana")), Found::Session(_)));
        assert!(matches!(sessions.find(ana.id(), None), Found::Session(_)));
        assert!(matches!(sessions.find(ana.id(), shown("Bearer ben")), Found::Another));
        assert!(matches!(sessions.find(nobody.id(), shown("Bearer ben")), Found::Another));
        assert!(matches!(sessions.find(&sessions.new_id(), None), Found::Unknown));
        let id = ana.id().to_owned();
        drop(ana);
        assert!(matches!(sessions.find(&id, None), Found::Unknown));
    }

    #[test]
    fn p4_a_relayed_request_that_the_broker_repeats_is_known_again() {
        let sessions = Arc::new(Sessions::default());
        let (listed, _requests) = sessions.add(None);
        assert!(sessions.is_new(listed.id(), 7));
        assert!(sessions.is_new(listed.id(), 8));
        assert!(!sessions.is_new(listed.id(), 7));
        assert!(!sessions.is_new(listed.id(), 8));
    }

    #[tokio::test]
    async fn packets_come_in_one_request_at_once() {
        let sessions = Arc::new(Sessions::default());
        let (listed, mut requests) = sessions.add(None);
        let Found::Session(handle) = sessions.find(listed.id(), None) else { panic!("it is listed") };
        let first = handle.begin_post().await.expect("the first");
        assert!(handle.begin_post().await.is_none());
        assert!(matches!(requests.recv().await, Some(Request::Overlap)));
        drop(first);
        assert!(handle.begin_post().await.is_some());
    }
}
