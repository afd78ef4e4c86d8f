//! Which command is with which dispatcher, so that order holds and nothing is
//! forgotten when one goes. Bookkeeping only: no I/O.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use proto::ErrorCode;
use proto::node::dispatcher_client::DispatcherClient;
use proto::node::{Command, Outcome, outcome};
use tokio::sync::mpsc;

use super::{Completion, NodeService, unavailable};
use crate::metrics::Metrics;

pub(super) struct Routing {
    state: Mutex<State>,
    metrics: Arc<Metrics>,
    max_in_flight: usize,
}

#[derive(Default)]
struct State {
    next_id: u64,
    next_asked: usize,
    dispatchers: Vec<Connected>,
    /// Where the commands of a route are now, and how many.
    routes: HashMap<u64, Route>,
    /// Waiting for any dispatcher, by id: in order.
    parked: BTreeMap<u64, Pending>,
    in_flight: usize,
}

/// A dispatcher with an open command stream.
struct Connected {
    name: String,
    stream: mpsc::Sender<Command>,
    client: DispatcherClient<NodeService>,
    /// Not answered yet, by id: in order.
    pending: BTreeMap<u64, Pending>,
}

struct Route {
    dispatcher: String,
    commands: usize,
}

struct Pending {
    command: Command,
    route: u64,
    submitted: Instant,
    deadline: Instant,
    done: Completion,
}

impl Routing {
    pub fn new(metrics: Arc<Metrics>, max_in_flight: usize) -> Self {
        Self { state: Mutex::default(), metrics, max_in_flight }
    }

    /// Puts a command on its way, or keeps it until a dispatcher is there.
    pub fn submit(&self, command: Command, route: u64, deadline: Instant, done: Completion) {
        let mut state = self.lock();
        if state.in_flight >= self.max_in_flight {
            drop(state);
            return done(Err(ErrorCode::Unavailable.with("too many commands are on their way")));
        }
        state.in_flight += 1;
        self.metrics.commands_in_flight.set(state.in_flight as f64);
        state.next_id += 1;
        let command = Command { id: state.next_id, ..command };
        state.place(Pending { command, route, submitted: Instant::now(), deadline, done });
    }

    /// A dispatcher's stream is open: it gets what waits, and what comes.
    pub fn connected(
        &self,
        name: &str,
        stream: mpsc::Sender<Command>,
        client: DispatcherClient<NodeService>,
    ) {
        let mut state = self.lock();
        state.dispatchers.push(Connected { name: name.to_owned(), stream, client, pending: BTreeMap::new() });
        self.metrics.dispatchers.set(state.dispatchers.len() as f64);
        for pending in std::mem::take(&mut state.parked).into_values() {
            state.place(pending);
        }
    }

    /// A dispatcher's stream has ended: others get what it had not answered, in
    /// order. `false`: it was not connected.
    pub fn disconnected(&self, name: &str) -> bool {
        let mut state = self.lock();
        let Some(at) = state.dispatchers.iter().position(|dispatcher| dispatcher.name == name) else {
            return false;
        };
        let gone = state.dispatchers.remove(at);
        self.metrics.dispatchers.set(state.dispatchers.len() as f64);
        self.metrics.commands_rerouted.increment(gone.pending.len() as u64);
        state.routes.retain(|_, route| route.dispatcher != name);
        for pending in gone.pending.into_values() {
            state.place(pending);
        }
        true
    }

    /// A dispatcher has answered.
    pub fn answered(&self, name: &str, outcome: Outcome) {
        let pending = {
            let mut state = self.lock();
            let dispatcher = state.dispatchers.iter_mut().find(|dispatcher| dispatcher.name == name);
            let Some(pending) = dispatcher.and_then(|dispatcher| dispatcher.pending.remove(&outcome.id))
            else {
                return; // Overdue, and answered as such.
            };
            state.unroute(pending.route);
            self.finished(&mut state);
            pending
        };
        self.metrics.command_seconds.record(pending.submitted.elapsed());
        (pending.done)(match outcome.result {
            Some(outcome::Result::Error(error)) => Err(error),
            Some(result) => Ok(result),
            None => Err(ErrorCode::Internal.with("a dispatcher does not know this command")),
        });
    }

    /// Answers those whose time is over.
    pub fn expire(&self, now: Instant) {
        let mut overdue = Vec::new();
        {
            let mut state = self.lock();
            let State { dispatchers, parked, .. } = &mut *state;
            for pending in dispatchers.iter_mut().map(|dispatcher| &mut dispatcher.pending).chain([parked]) {
                // Ids and deadlines rise together.
                while let Some(first) = pending.first_entry().filter(|entry| entry.get().deadline <= now) {
                    overdue.push(first.remove());
                }
            }
            for pending in &overdue {
                state.unroute(pending.route);
                self.finished(&mut state);
            }
        }
        self.metrics.commands_failed.increment(overdue.len() as u64);
        for pending in overdue {
            (pending.done)(Err(ErrorCode::Timeout.with("no answer in time; try again with the same key")));
        }
    }

    /// The gateway stops: answers everything that is left.
    pub fn abandon(&self) {
        let left: Vec<_> = {
            let mut state = self.lock();
            let State { dispatchers, parked, .. } = &mut *state;
            let with_dispatchers =
                dispatchers.iter_mut().map(|dispatcher| std::mem::take(&mut dispatcher.pending));
            with_dispatchers.chain([std::mem::take(parked)]).flat_map(BTreeMap::into_values).collect()
        };
        for pending in left {
            (pending.done)(Err(unavailable()));
        }
    }

    /// A dispatcher for a question: one after the other.
    pub fn any(&self) -> Option<DispatcherClient<NodeService>> {
        let mut state = self.lock();
        state.next_asked = state.next_asked.wrapping_add(1);
        let count = state.dispatchers.len();
        (count > 0).then(|| state.dispatchers[state.next_asked % count].client.clone())
    }

    fn finished(&self, state: &mut State) {
        state.in_flight -= 1;
        self.metrics.commands_in_flight.set(state.in_flight as f64);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panic while the routing is locked")
    }
}

impl State {
    fn place(&mut self, pending: Pending) {
        let at = match self.routes.get_mut(&pending.route) {
            // Others of this route are still there: behind them.
            Some(route) => {
                route.commands += 1;
                self.dispatchers.iter().position(|dispatcher| dispatcher.name == route.dispatcher)
            }
            None => {
                preferred(self.dispatchers.iter().map(|dispatcher| dispatcher.name.as_str()), pending.route)
                    .inspect(|&at| {
                        let dispatcher = self.dispatchers[at].name.clone();
                        self.routes.insert(pending.route, Route { dispatcher, commands: 1 });
                    })
            }
        };
        match at {
            Some(at) => {
                let dispatcher = &mut self.dispatchers[at];
                // A stream that has just ended is noticed by its reader, which then places this again.
                let _ = dispatcher.stream.try_send(pending.command.clone());
                dispatcher.pending.insert(pending.command.id, pending);
            }
            None => {
                self.parked.insert(pending.command.id, pending);
            }
        }
    }

    fn unroute(&mut self, route: u64) {
        if let Some(entry) = self.routes.get_mut(&route) {
            entry.commands -= 1;
            if entry.commands == 0 {
                self.routes.remove(&route);
            }
        }
    }
}

/// Rendezvous hashing: each route prefers one of the dispatchers, and only the
/// routes of one that goes or comes move.
fn preferred<'a>(names: impl Iterator<Item = &'a str>, route: u64) -> Option<usize> {
    names
        .enumerate()
        .max_by_key(|(_, name)| stable_hash(name.bytes().chain(route.to_le_bytes())))
        .map(|(at, _)| at)
}

/// FNV-1a: the same on every gateway, so that the sends of one room from all of
/// them meet in one dispatcher's batches.
pub(super) fn stable_hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_moves_only_when_its_dispatcher_does() {
        let all = ["a:1", "b:1", "c:1"];
        for route in 0..1000 {
            let chosen = all[preferred(all.into_iter(), route).unwrap()];
            let left: Vec<_> = all.into_iter().filter(|name| *name != "b:1").collect();
            let then = left[preferred(left.iter().copied(), route).unwrap()];
            assert!(chosen == "b:1" || chosen == then);
        }
        assert_eq!(preferred([].into_iter(), 1), None);
    }
}
