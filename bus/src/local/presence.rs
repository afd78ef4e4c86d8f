//! The presence of one process. It follows the same rules as the scripts of the
//! Redis adapter, so that what works on one node works in a cluster.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use proto::UserId;
use tokio::time::Instant;

use super::lock;
use crate::{BusError, Entry, Presence, PresenceTimes, Seen, Status};

/// For this long after a user went offline, presence still knows since when.
const REMEMBER: Duration = Duration::from_secs(60 * 60);

/// What several nodes share: in one process, for tests of many.
#[derive(Clone)]
pub struct LocalPresenceHub {
    state: Arc<Mutex<State>>,
}

struct State {
    /// The pair that turns instants into times of day: time that a test
    /// pauses or advances is the only one there is.
    began: (Instant, i64),
    users: HashMap<UserId, Record>,
    /// When to look at a user again: a connection has left and the grace will be
    /// over, or the user has gone and will be forgotten.
    due: BTreeSet<(Instant, UserId)>,
    leases: HashMap<LeaseId, Lease>,
    next_lease: LeaseId,
}

type LeaseId = u64;

struct Lease {
    deadline: Instant,
    begun: Instant,
    /// Users with a connection under this lease.
    users: HashSet<UserId>,
}

#[derive(Default)]
struct Record {
    /// What others were last told; `None` is offline.
    shown: Option<Status>,
    last_seen: Option<Instant>,
    due: Option<Instant>,
    connections: Vec<Connection>,
}

struct Connection {
    id: Box<str>,
    node: Arc<str>,
    lease: LeaseId,
    status: Status,
}

/// A node's [`Presence`] within this process.
pub struct LocalPresence {
    hub: LocalPresenceHub,
    node: Arc<str>,
    times: PresenceTimes,
    /// The lease that this node holds or held last.
    lease: Mutex<Holding>,
}

#[derive(Default)]
struct Holding {
    id: Option<LeaseId>,
    /// Begun by `enter`: the next `renew` still has to ask for everything.
    unannounced: bool,
}

impl Default for LocalPresenceHub {
    fn default() -> Self {
        Self::new()
    }
}

impl LocalPresenceHub {
    /// An empty one.
    pub fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let state = State {
            began: (Instant::now(), since_epoch.as_millis() as i64),
            users: HashMap::new(),
            due: BTreeSet::new(),
            leases: HashMap::new(),
            next_lease: 0,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Forgets everything, as a server that comes back empty has.
    pub fn clear(&self) {
        let mut state = lock(&self.state);
        state.users.clear();
        state.due.clear();
        state.leases.clear();
    }
}

impl LocalPresence {
    /// The presence of a single node.
    pub fn new(node: &str, times: PresenceTimes) -> Self {
        Self::with_hub(node, times, LocalPresenceHub::new())
    }

    /// One of several nodes that share `hub`.
    pub fn with_hub(node: &str, times: PresenceTimes, hub: LocalPresenceHub) -> Self {
        Self { hub, node: node.into(), times, lease: Mutex::default() }
    }
}

impl State {
    fn begin_lease(&mut self, now: Instant, times: PresenceTimes) -> LeaseId {
        self.next_lease += 1;
        let lease = Lease { deadline: now + times.lease, begun: now, users: HashSet::new() };
        self.leases.insert(self.next_lease, lease);
        self.next_lease
    }

    fn live(&mut self, lease: Option<LeaseId>, now: Instant) -> Option<&mut Lease> {
        self.leases.get_mut(&lease?).filter(|lease| lease.deadline > now)
    }

    fn seen(&self, user: &UserId, status: Option<Status>, last_seen: Option<Instant>) -> Seen {
        let (instant, millis) = self.began;
        let time = |at: Instant| millis + (at.saturating_duration_since(instant)).as_millis() as i64;
        Seen { user: user.clone(), status: status.unwrap_or(Status::Offline), last_seen: last_seen.map(time) }
    }

    fn set_due(&mut self, user: &UserId, at: Option<Instant>) {
        let Some(record) = self.users.get_mut(user) else { return };
        if record.due != at {
            if let Some(old) = std::mem::replace(&mut record.due, at) {
                self.due.remove(&(old, user.clone()));
            }
            if let Some(at) = at {
                self.due.insert((at, user.clone()));
            }
        }
    }

    fn enter(&mut self, entry: &Entry, node: &Arc<str>, lease: LeaseId, now: Instant) -> Option<Seen> {
        let Entry { user, connection: id, status } = entry;
        if let Some(lease) = self.leases.get_mut(&lease) {
            lease.users.insert(user.clone());
        }
        let record = self.users.entry(user.clone()).or_default();
        let before = record.visible();
        match record.connections.iter_mut().find(|connection| *connection.id == **id) {
            Some(connection) => {
                connection.node = node.clone();
                connection.lease = lease;
                connection.status = *status;
            }
            None => {
                let connection =
                    Connection { id: id.as_str().into(), node: node.clone(), lease, status: *status };
                record.connections.push(connection);
            }
        }
        let after = record.visible();
        if before.is_some() && after.is_none() {
            record.last_seen = Some(now);
        }
        let changed = after != record.shown;
        record.shown = after;
        let last_seen = record.last_seen_at(now);
        self.set_due(user, None);
        changed.then(|| self.seen(user, after, last_seen))
    }

    /// Takes connections from a user, and has the user looked at when it is due.
    fn take(&mut self, user: &UserId, gone_at: Instant, due: Instant, gone: impl Fn(&Connection) -> bool) {
        let Some(record) = self.users.get_mut(user) else { return };
        let (gone, stay): (Vec<_>, Vec<_>) =
            std::mem::take(&mut record.connections).into_iter().partition(|connection| gone(connection));
        record.connections = stay;
        if gone.is_empty() {
            return;
        }
        if gone.iter().any(|connection| visible(connection.status)) {
            record.last_seen = record.last_seen.max(Some(gone_at));
        }
        for connection in &gone {
            let others = record.connections.iter().any(|other| other.lease == connection.lease);
            if let Some(lease) = self.leases.get_mut(&connection.lease).filter(|_| !others) {
                lease.users.remove(user);
            }
        }
        if record.visible() != record.shown || record.connections.is_empty() {
            let due = record.due.map_or(due, |old| old.max(due));
            self.set_due(user, Some(due));
        }
    }

    fn end_lease(&mut self, id: LeaseId, gone_at: Instant, due: Instant) {
        let Some(lease) = self.leases.remove(&id) else { return };
        for user in &lease.users {
            self.take(user, gone_at, due, |connection| connection.lease == id);
        }
    }

    fn fallen(&mut self, now: Instant) -> Vec<Seen> {
        let mut seen = Vec::new();
        while let Some((at, user)) = self.due.first().filter(|(at, _)| *at <= now).cloned() {
            self.due.remove(&(at, user.clone()));
            let Some(record) = self.users.get_mut(&user) else { continue };
            record.due = None;
            let status = record.visible();
            let changed = std::mem::replace(&mut record.shown, status) != status;
            let last_seen = record.last_seen_at(now);
            if record.connections.is_empty() {
                match record.last_seen.map(|at| at + REMEMBER).filter(|until| *until > now) {
                    Some(until) => self.set_due(&user, Some(until)),
                    None => drop(self.users.remove(&user)),
                }
            }
            if changed {
                seen.push(self.seen(&user, status, last_seen));
            }
        }
        seen
    }
}

/// Whether others may see it.
fn visible(status: Status) -> bool {
    status != Status::Offline
}

impl Record {
    fn visible(&self) -> Option<Status> {
        let presence = |status: &Status| match status {
            Status::Online => 3,
            Status::Busy => 2,
            Status::Away => 1,
            Status::Offline => 0,
        };
        self.connections
            .iter()
            .map(|connection| connection.status)
            .filter(|s| visible(*s))
            .max_by_key(presence)
    }

    fn last_seen_at(&self, now: Instant) -> Option<Instant> {
        if self.visible().is_some() { Some(now) } else { self.last_seen }
    }
}

#[async_trait]
impl Presence for LocalPresence {
    async fn renew(&self) -> Result<bool, BusError> {
        let (mut holding, mut state) = (lock(&self.lease), lock(&self.hub.state));
        let now = Instant::now();
        if let Some(lease) = state.live(holding.id, now) {
            lease.deadline = now + self.times.lease;
            return Ok(!std::mem::take(&mut holding.unannounced));
        }
        *holding = Holding { id: Some(state.begin_lease(now, self.times)), unannounced: false };
        Ok(false)
    }

    async fn enter(&self, entries: &[Entry]) -> Result<Vec<Seen>, BusError> {
        let (mut holding, mut state) = (lock(&self.lease), lock(&self.hub.state));
        let now = Instant::now();
        let lease = match holding.id {
            Some(id) if state.live(Some(id), now).is_some() => id,
            _ => {
                let id = state.begin_lease(now, self.times);
                *holding = Holding { id: Some(id), unannounced: true };
                id
            }
        };
        Ok(entries.iter().filter_map(|entry| state.enter(entry, &self.node, lease, now)).collect())
    }

    async fn leave(&self, entries: &[Entry]) -> Result<(), BusError> {
        let mut state = lock(&self.hub.state);
        let now = Instant::now();
        for Entry { user, connection: id, .. } in entries {
            let gone = |connection: &Connection| *connection.id == **id && connection.node == self.node;
            state.take(user, now, now + self.times.grace, gone);
        }
        Ok(())
    }

    async fn sweep(&self) -> Result<Vec<Seen>, BusError> {
        let (holding, mut state) = (lock(&self.lease), lock(&self.hub.state));
        let now = Instant::now();
        let Some(own) = state.live(holding.id, now) else { return Ok(Vec::new()) };
        if now >= own.begun + self.times.lease {
            let dead: Vec<_> =
                state.leases.iter().filter(|(_, lease)| lease.deadline <= now).map(|(id, _)| *id).collect();
            for id in dead {
                let deadline = state.leases[&id].deadline;
                let renewed = deadline.checked_sub(self.times.lease).unwrap_or(deadline);
                state.end_lease(id, renewed, deadline + self.times.grace);
            }
        }
        Ok(state.fallen(now))
    }

    async fn look(&self, users: &[UserId]) -> Result<Vec<Seen>, BusError> {
        let state = lock(&self.hub.state);
        let now = Instant::now();
        let look = |user: &UserId| match state.users.get(user) {
            Some(record) => state.seen(user, record.shown, record.last_seen_at(now)),
            None => state.seen(user, None, None),
        };
        Ok(users.iter().map(look).collect())
    }

    async fn close(&self) -> Result<(), BusError> {
        let (mut holding, mut state) = (lock(&self.lease), lock(&self.hub.state));
        let now = Instant::now();
        if let Some(id) = std::mem::take(&mut *holding).id {
            state.end_lease(id, now, now + self.times.grace);
        }
        Ok(())
    }
}
