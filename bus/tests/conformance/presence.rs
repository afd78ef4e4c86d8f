//! Cases of [`Presence`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bus::{Entry, Presence, PresenceTimes, Seen, Status};
use proto::UserId;
use testkit::eventually;

use crate::rig::{PresenceRig, SOON};

/// Nothing runs out while a test looks.
pub const SLOW: PresenceTimes =
    PresenceTimes { lease: Duration::from_secs(300), grace: Duration::from_secs(300) };
/// The grace is over at once; leases stay.
pub const EAGER: PresenceTimes = PresenceTimes { lease: Duration::from_secs(300), grace: Duration::ZERO };
/// Leases run out while a test waits.
pub const MORTAL: PresenceTimes =
    PresenceTimes { lease: Duration::from_secs(2), grace: Duration::from_millis(50) };

pub fn user(id: &str) -> UserId {
    UserId::new(id).expect("an id")
}

pub fn entry(id: &str, connection: &str, status: Status) -> Entry {
    Entry { user: user(id), connection: connection.into(), status }
}

pub fn statuses(seen: &[Seen]) -> Vec<(&str, Status)> {
    seen.iter().map(|seen| (seen.user.as_str(), seen.status)).collect()
}

pub const NONE: [(&str, Status); 0] = [];

/// A node as a gateway is one: knows its connections, renews, and enters them
/// again when it is asked to.
pub struct Node {
    pub presence: Arc<dyn Presence>,
    connections: HashMap<String, Entry>,
}

impl Node {
    pub async fn start(rig: &impl PresenceRig, name: &str, times: PresenceTimes) -> Self {
        let presence = rig.presence(name, times).await;
        assert!(!presence.renew().await.unwrap(), "the first lease is a new one");
        assert!(presence.renew().await.unwrap());
        Self { presence, connections: HashMap::new() }
    }

    pub async fn enter(&mut self, entries: &[Entry]) -> Vec<Seen> {
        self.connections.extend(entries.iter().map(|entry| (entry.connection.clone(), entry.clone())));
        self.presence.enter(entries).await.unwrap()
    }

    pub async fn leave(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.connections.remove(&entry.connection);
        }
        self.presence.leave(entries).await.unwrap();
    }

    /// A connection that ended without a word to presence.
    pub fn forget(&mut self, entry: &Entry) {
        self.connections.remove(&entry.connection);
    }

    /// What a gateway does every few seconds. Errors are for the next time.
    pub async fn tick(&self) -> Vec<Seen> {
        let mut seen = Vec::new();
        if let Ok(false) = self.presence.renew().await {
            let all: Vec<_> = self.connections.values().cloned().collect();
            seen.extend(self.presence.enter(&all).await.unwrap_or_default());
        }
        seen.extend(self.presence.sweep().await.unwrap_or_default());
        seen
    }

    pub async fn look(&self, users: &[&str]) -> Vec<Status> {
        let users: Vec<_> = users.iter().map(|id| user(id)).collect();
        self.presence.look(&users).await.unwrap().iter().map(|seen| seen.status).collect()
    }
}

/// Ticks nodes until all of `users` were found offline, and says who was found
/// how often, whatever the status.
pub async fn until_offline(nodes: &[&Node], users: &[&str]) -> HashMap<(String, Status), usize> {
    let mut found = HashMap::new();
    eventually(format!("{users:.5?} to go offline"), SOON, async || {
        for node in nodes {
            for seen in node.tick().await {
                *found.entry((seen.user.to_string(), seen.status)).or_default() += 1;
            }
        }
        users.iter().all(|user| found.contains_key(&(user.to_string(), Status::Offline))).then_some(())
    })
    .await;
    found
}

pub async fn only_the_first_connection_is_a_change(rig: &impl PresenceRig) {
    let mut a = Node::start(rig, "a", SLOW).await;
    let mut b = Node::start(rig, "b", SLOW).await;
    let seen = a.enter(&[entry("u", "c1", Status::Online)]).await;
    assert_eq!(statuses(&seen), [("u", Status::Online)]);
    assert!(seen[0].last_seen.is_some());
    assert_eq!(statuses(&a.enter(&[entry("u", "c1", Status::Online)]).await), NONE);
    assert_eq!(statuses(&a.enter(&[entry("u", "c2", Status::Online)]).await), NONE);
    assert_eq!(statuses(&b.enter(&[entry("u", "c3", Status::Online)]).await), NONE);
    assert_eq!(b.look(&["u"]).await, [Status::Online]);

    a.leave(&[entry("u", "c1", Status::Online), entry("u", "c2", Status::Online)]).await;
    for node in [&a, &b] {
        assert_eq!(statuses(&node.tick().await), NONE);
        assert_eq!(node.look(&["u"]).await, [Status::Online]);
    }
}

pub async fn the_last_one_to_leave_is_offline_after_the_grace(rig: &impl PresenceRig) {
    let mut patient = Node::start(rig, "patient", SLOW).await;
    let mut eager = Node::start(rig, "eager", EAGER).await;
    let (waits, goes) = (entry("waits", "c1", Status::Online), entry("goes", "c2", Status::Busy));
    patient.enter(std::slice::from_ref(&waits)).await;
    let online = eager.enter(std::slice::from_ref(&goes)).await[0].last_seen.unwrap();
    patient.leave(&[waits]).await;
    eager.leave(&[goes]).await;
    let found = until_offline(&[&patient, &eager], &["goes"]).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(patient.look(&["waits", "goes"]).await, [Status::Online, Status::Offline]);
    let seen = eager.presence.look(&[user("goes")]).await.unwrap();
    assert!(seen[0].last_seen.unwrap() >= online);
}

/// C8: each change is told once, whoever sweeps.
pub async fn one_sweeper_finds_each_user(rig: &impl PresenceRig) {
    const USERS: usize = 600;
    let entries: Vec<_> =
        (0..USERS).map(|n| entry(&format!("u{n}"), &format!("c{n}"), Status::Online)).collect();
    let mut nodes = Vec::new();
    for name in ["a", "b", "c"] {
        nodes.push(Node::start(rig, name, EAGER).await);
    }
    assert_eq!(nodes[0].enter(&entries).await.len(), USERS);
    nodes[0].leave(&entries).await;

    let mut sweepers = tokio::task::JoinSet::new();
    for node in nodes {
        sweepers.spawn(async move {
            let mut seen = Vec::new();
            for _ in 0..5 {
                seen.extend(node.presence.sweep().await.unwrap());
            }
            seen
        });
    }
    let seen: Vec<_> = sweepers.join_all().await.into_iter().flatten().collect();
    let users: HashSet<_> = seen.iter().map(|seen| seen.user.clone()).collect();
    assert_eq!((seen.len(), users.len()), (USERS, USERS));
    assert!(seen.iter().all(|seen| seen.status == Status::Offline && seen.last_seen.is_some()));
}

pub async fn a_reconnect_within_the_grace_is_no_change(rig: &impl PresenceRig) {
    let mut a = Node::start(rig, "a", EAGER).await;
    let mut b = Node::start(rig, "b", EAGER).await;
    let returns = entry("returns", "c1", Status::Online);
    let goes = entry("goes", "c2", Status::Online);
    a.enter(&[returns.clone(), goes.clone()]).await;
    a.leave(&[returns, goes]).await;
    // The grace is over when somebody sweeps after it.
    assert_eq!(statuses(&b.enter(&[entry("returns", "c3", Status::Online)]).await), NONE);
    let found = until_offline(&[&a, &b], &["goes"]).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(a.look(&["returns", "goes"]).await, [Status::Online, Status::Offline]);
}

/// F1: a killed gateway's users go offline together, except those who are
/// connected elsewhere.
pub async fn a_dead_nodes_users_go_offline_once(rig: &impl PresenceRig) {
    const USERS: usize = 700;
    let mut dead = Node::start(rig, "dead", MORTAL).await;
    let mut b = Node::start(rig, "b", MORTAL).await;
    let c = Node::start(rig, "c", MORTAL).await;
    let names: Vec<_> = (0..USERS).map(|n| format!("u{n}")).collect();
    let entries: Vec<_> =
        names.iter().map(|name| entry(name, &format!("dead-{name}"), Status::Online)).collect();
    dead.enter(&entries).await;
    b.enter(&[entry("u0", "b-0", Status::Online), entry("u1", "b-1", Status::Away)]).await;
    dead.enter(&[entry("hidden", "dead-hidden", Status::Offline)]).await;

    let gone: Vec<_> = names[2..].iter().map(String::as_str).collect();
    let mut found = until_offline(&[&b, &c], &gone).await;
    assert_eq!(found.remove(&("u1".into(), Status::Away)), Some(1), "what is left of the user counts");
    assert_eq!(found.len(), USERS - 2, "nobody else");
    assert!(found.values().all(|times| *times == 1));
    assert_eq!(
        b.look(&["u0", "u1", "u2", "hidden"]).await,
        [Status::Online, Status::Away, Status::Offline, Status::Offline]
    );
}

/// F2: a gateway that hung past its lease writes nothing stale.
pub async fn what_a_returned_node_does_not_enter_again_ends(rig: &impl PresenceRig) {
    let mut paused = Node::start(rig, "paused", MORTAL).await;
    let other = Node::start(rig, "other", MORTAL).await;
    let (stays, closed) = (entry("stays", "c1", Status::Online), entry("closed", "c2", Status::Online));
    paused.enter(&[stays, closed.clone()]).await;
    // Closed while it hung: it never says so.
    paused.forget(&closed);
    let found = eventually("the lease to run out", SOON, async || {
        let mut seen = other.tick().await;
        if paused.presence.renew().await.unwrap() {
            // Still in time: it has to hang longer.
            tokio::time::sleep(MORTAL.lease).await;
            return None;
        }
        seen.extend(
            paused.presence.enter(&paused.connections.values().cloned().collect::<Vec<_>>()).await.unwrap(),
        );
        Some(seen)
    })
    .await;
    // It hung for long enough to be found dead, if somebody had looked.
    assert!(
        found.iter().all(|seen| seen.user != user("stays") || seen.status == Status::Online),
        "{found:?}"
    );
    if !found.iter().any(|seen| seen.user == user("closed")) {
        until_offline(&[&other, &paused], &["closed"]).await;
    }
    assert_eq!(other.look(&["stays", "closed"]).await, [Status::Online, Status::Offline]);
}

pub async fn the_most_present_status_counts(rig: &impl PresenceRig) {
    let mut a = Node::start(rig, "a", EAGER).await;
    let mut b = Node::start(rig, "b", EAGER).await;
    for (connection, status, told) in [
        ("c1", Status::Offline, None),
        ("c2", Status::Away, Some(Status::Away)),
        ("c3", Status::Busy, Some(Status::Busy)),
        ("c4", Status::Online, Some(Status::Online)),
        ("c5", Status::Busy, None),
    ] {
        let seen = a.enter(&[entry("u", connection, status)]).await;
        assert_eq!(seen.first().map(|seen| seen.status), told, "{connection}");
        assert_eq!(b.look(&["u"]).await[0], told.unwrap_or(b.look(&["u"]).await[0]));
    }
    // Said, not left: told at once.
    let seen = a.enter(&[entry("u", "c4", Status::Away)]).await;
    assert_eq!(statuses(&seen), [("u", Status::Busy)]);
    // Left: found after the grace.
    a.leave(&[entry("u", "c3", Status::Busy), entry("u", "c5", Status::Busy)]).await;
    let mut fallen = a.tick().await;
    fallen.extend(b.tick().await);
    assert_eq!(statuses(&fallen), [("u", Status::Away)]);
    // Several in one call count together.
    let seen = b.enter(&[entry("v", "d1", Status::Away), entry("v", "d2", Status::Online)]).await;
    assert_eq!(statuses(&seen).last(), Some(&("v", Status::Online)));
}

pub async fn an_invisible_user_seems_offline(rig: &impl PresenceRig) {
    let mut node = Node::start(rig, "a", EAGER).await;
    assert_eq!(statuses(&node.enter(&[entry("u", "c1", Status::Offline)]).await), NONE);
    let look = async |node: &Node| node.presence.look(&[user("u")]).await.unwrap().remove(0);
    assert_eq!(look(&node).await, Seen { user: user("u"), status: Status::Offline, last_seen: None });
    let shown = node.enter(&[entry("u", "c1", Status::Online)]).await;
    assert_eq!(statuses(&shown), [("u", Status::Online)]);
    let hidden = node.enter(&[entry("u", "c1", Status::Offline)]).await;
    assert_eq!(statuses(&hidden), [("u", Status::Offline)]);
    assert!(hidden[0].last_seen >= shown[0].last_seen);
    // From then on it stays: how long the user is really there is not shown.
    assert_eq!(look(&node).await.last_seen, hidden[0].last_seen);
    node.leave(&[entry("u", "c1", Status::Offline)]).await;
    assert_eq!(statuses(&node.tick().await), NONE);
    assert_eq!(look(&node).await.last_seen, hidden[0].last_seen);
}

pub async fn a_look_answers_in_order(rig: &impl PresenceRig) {
    let mut node = Node::start(rig, "a", SLOW).await;
    let names: Vec<_> = (0..100).map(|n| format!("u{n}")).collect();
    let even = |n: usize| if n.is_multiple_of(2) { Status::Busy } else { Status::Offline };
    for (n, name) in names.iter().enumerate().filter(|(n, _)| even(*n) == Status::Busy) {
        node.enter(&[entry(name, &format!("c{n}"), Status::Busy)]).await;
    }
    let mut asked: Vec<_> = names.iter().map(String::as_str).collect();
    asked.extend(["u0", "nobody", "u0"]);
    let mut expected: Vec<_> = (0..100).map(even).collect();
    expected.extend([Status::Busy, Status::Offline, Status::Busy]);
    assert_eq!(node.look(&asked).await, expected);
    let users: Vec<_> = asked.iter().map(|id| user(id)).collect();
    let seen = node.presence.look(&users).await.unwrap();
    assert!(seen.iter().zip(&users).all(|(seen, user)| seen.user == *user));
    assert!(seen.iter().all(|seen| seen.last_seen.is_some() == (seen.status == Status::Busy)));
    assert_eq!(node.presence.look(&[]).await.unwrap(), []);
}

/// F15: no wave of false offlines.
pub async fn after_presence_was_emptied_nobody_goes_offline(rig: &impl PresenceRig) {
    let mut a = Node::start(rig, "a", MORTAL).await;
    let mut b = Node::start(rig, "b", MORTAL).await;
    a.enter(&[entry("u", "c1", Status::Online), entry("v", "c2", Status::Online)]).await;
    b.enter(&[entry("w", "c3", Status::Away)]).await;
    rig.empty().await;
    let unknown = a.presence.look(&[user("u")]).await.unwrap();
    assert_eq!(unknown, [Seen { user: user("u"), status: Status::Offline, last_seen: None }]);
    assert_eq!(statuses(&b.presence.sweep().await.unwrap()), NONE);
    // One node comes back before the other.
    let mut seen = a.tick().await;
    seen.extend(a.tick().await);
    seen.extend(b.tick().await);
    // A node that dies later than all this is found: sweeping goes on.
    let mut dies = Node::start(rig, "dies", MORTAL).await;
    dies.enter(&[entry("last", "c4", Status::Online)]).await;
    let found = until_offline(&[&a, &b], &["last"]).await;
    assert_eq!(found.len(), 1, "{found:?}");
    let mut told = statuses(&seen);
    told.sort_by_key(|(user, _)| user.to_owned());
    assert_eq!(told, [("u", Status::Online), ("v", Status::Online), ("w", Status::Away)]);
    assert_eq!(b.look(&["u", "v", "w"]).await, [Status::Online, Status::Online, Status::Away]);
}

pub async fn an_enter_without_a_lease_makes_the_next_renewal_ask_for_all(rig: &impl PresenceRig) {
    let mut node = Node::start(rig, "a", SLOW).await;
    node.enter(&[entry("u", "c1", Status::Online)]).await;
    rig.empty().await;
    // It counts at once, and hides nothing of what else was lost.
    let seen = node.enter(&[entry("v", "c2", Status::Online)]).await;
    assert_eq!(statuses(&seen), [("v", Status::Online)]);
    assert_eq!(statuses(&node.tick().await), [("u", Status::Online)]);
    assert!(node.presence.renew().await.unwrap());
    assert_eq!(node.look(&["u", "v"]).await, [Status::Online, Status::Online]);
}

/// P8: after a drain nobody waits for a lease to run out.
pub async fn a_clean_stop_leaves_the_users_to_the_others(rig: &impl PresenceRig) {
    let mut stops = Node::start(rig, "stops", EAGER).await;
    let mut stays = Node::start(rig, "stays", EAGER).await;
    stops.enter(&[entry("moves", "c1", Status::Online), entry("goes", "c2", Status::Online)]).await;
    stays.enter(&[entry("moves", "c3", Status::Online)]).await;
    stops.presence.close().await.unwrap();
    let found = until_offline(&[&stays], &["goes"]).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(stays.look(&["moves"]).await, [Status::Online]);
}

pub async fn leaving_what_is_not_there_does_nothing(rig: &impl PresenceRig) {
    let mut a = Node::start(rig, "a", EAGER).await;
    let b = Node::start(rig, "b", EAGER).await;
    a.enter(&[entry("u", "c1", Status::Online)]).await;
    let strange = [entry("u", "c9", Status::Online), entry("nobody", "c1", Status::Online)];
    a.presence.leave(&strange).await.unwrap();
    // Not a connection of that node.
    b.presence.leave(&[entry("u", "c1", Status::Online)]).await.unwrap();
    assert_eq!(statuses(&a.tick().await), NONE);
    assert_eq!(statuses(&b.tick().await), NONE);
    assert_eq!(a.look(&["u", "nobody"]).await, [Status::Online, Status::Offline]);
    assert_eq!(a.presence.enter(&[]).await.unwrap(), []);
    a.presence.leave(&[]).await.unwrap();
}

/// S8: nothing in an id is taken for a part of a key or a record.
pub async fn ids_may_have_every_allowed_character(rig: &impl PresenceRig) {
    const ALL: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:@-";
    let (first, rest) = ALL.split_at(proto::ids::MAX_ID_BYTES);
    let mut ids: Vec<String> =
        vec![first.into(), rest.into(), "-".into(), ":".into(), "1".into(), "0.0".into()];
    ids.extend(ALL.chars().map(|character| format!("x{character}")));
    let mut node = Node::start(rig, rest, EAGER).await;
    let entries: Vec<_> = ids.iter().map(|id| entry(id, id, Status::Online)).collect();
    assert_eq!(node.enter(&entries).await.len(), ids.len());
    let names: Vec<_> = ids.iter().map(String::as_str).collect();
    assert!(node.look(&names).await.iter().all(|status| *status == Status::Online));
    node.leave(&entries[..4]).await;
    let found = until_offline(&[&node], &names[..4]).await;
    assert_eq!(found.len(), 4);
    assert!(node.look(&names[4..]).await.iter().all(|status| *status == Status::Online));
}

pub async fn thousands_at_once(rig: &impl PresenceRig) {
    const USERS: usize = 6000;
    let mut a = Node::start(rig, "a", EAGER).await;
    let names: Vec<_> = (0..USERS).map(|n| format!("user-{n}")).collect();
    let entries: Vec<_> =
        names.iter().map(|name| entry(name, &format!("c-{name}"), Status::Online)).collect();
    assert_eq!(a.enter(&entries).await.len(), USERS);
    assert_eq!(a.enter(&entries).await.len(), 0);
    let asked: Vec<_> = names.iter().map(String::as_str).collect();
    assert!(a.look(&asked).await.iter().all(|status| *status == Status::Online));
    a.leave(&entries).await;
    let found = until_offline(&[&a], &asked).await;
    assert_eq!(found.len(), USERS);
    assert!(found.values().all(|times| *times == 1));
}
