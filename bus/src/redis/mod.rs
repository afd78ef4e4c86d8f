//! The presence of a cluster: Redis, or Redis Cluster, version 6.2 or newer.
//!
//! Everything is decided by scripts, on the server's clock, so that each change
//! is found by exactly one node. Each shard of users is complete in itself
//! (leases included) and lives in one hash slot. There is no key that expires:
//! a dead node's entries end together, when its lease has run out and somebody
//! sweeps. A lease that has run out is never revived; its node begins a new one
//! and enters its connections under that, and what it does not enter again ends
//! with the old one.
//!
//! The server must not evict (`maxmemory-policy noeviction`). It may come back
//! empty, or with old data, at any time.

mod connection;
mod script;

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fred::clients::{Client, WithOptions};
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::Value;
use fred::types::config::Options;
use futures_util::StreamExt;
use proto::UserId;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::connection::{Watch, keep_connected};
use self::script::{SHARDS, Script, Scripts, index, key, lease_name, lease_prefix, millis, shard_of};
use crate::meter::PresenceMeter;
use crate::{BusError, Entry, Presence, PresenceTimes, Seen, Status};

/// Longest wait for one answer. Nothing of a message's path waits for it.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);
/// Commands of one call on the way at once.
const PARALLEL: usize = 16;
/// Entries or users of one script call: a few milliseconds of the server.
const CHUNK: usize = 250;
/// Script calls of one sweep on one shard; the next sweep finds the rest.
const SWEEP_ROUNDS: usize = 64;
/// For this long after a user went offline, presence still knows since when.
const REMEMBER: Duration = Duration::from_secs(60 * 60);

/// A node's [`Presence`] on a Redis server or cluster.
pub struct RedisPresence {
    client: WithOptions<Client>,
    scripts: Scripts,
    node: String,
    times: PresenceTimes,
    lease: Mutex<Lease>,
    /// What this node entered may not be what the server holds.
    doubt: Arc<AtomicBool>,
    meter: Arc<PresenceMeter>,
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    _stop_on_drop: DropGuard,
}

/// Keys and arguments of a script.
type Call = (Vec<String>, Vec<Value>);

#[derive(Clone)]
struct Lease {
    name: Arc<str>,
    begun: Instant,
}

impl RedisPresence {
    /// Connects to the server at `url` (`redis://`, `rediss://`,
    /// `redis-cluster://`, `redis-sentinel://`) for the node of this name, which
    /// has the form of an id. A server that is away is no error: connecting goes
    /// on until [`close`](Presence::close).
    pub async fn connect(url: &str, node: &str, times: PresenceTimes) -> Result<Self, BusError> {
        UserId::new(node).map_err(refused)?;
        let client = connection::client(url).map_err(refused)?;
        let doubt = Arc::new(AtomicBool::new(false));
        let meter = Arc::new(PresenceMeter::new());
        meter.link_up.set(0.0);
        let stop = CancellationToken::new();
        let watch = Watch::new(&client, doubt.clone(), meter.clone());
        let tasks = vec![
            tokio::spawn(watch.run(stop.clone())),
            tokio::spawn(keep_connected(client.clone(), stop.clone())),
        ];
        // Whoever starts beside a running server can use it at once.
        let _ = tokio::time::timeout(COMMAND_TIMEOUT, client.wait_for_connect()).await;

        let options = Options {
            timeout: Some(COMMAND_TIMEOUT),
            max_attempts: Some(1),
            fail_fast: true,
            ..Options::default()
        };
        Ok(Self {
            client: client.with_options(&options),
            scripts: Scripts::new(),
            node: node.to_owned(),
            times,
            lease: Mutex::new(Lease { name: lease_name(node).into(), begun: Instant::now() }),
            doubt,
            meter,
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
            tasks: Mutex::new(tasks),
        })
    }

    fn lease(&self) -> MutexGuard<'_, Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lease after `old`, unless another call has been first.
    fn next_lease(&self, old: &str) -> Arc<str> {
        let mut lease = self.lease();
        if *lease.name == *old {
            *lease = Lease { name: lease_name(&self.node).into(), begun: Instant::now() };
            self.meter.leases.increment(1);
        }
        lease.name.clone()
    }

    async fn run(&self, script: &Script, keys: Vec<String>, args: Vec<Value>) -> Result<Value, Error> {
        let began = Instant::now();
        let result = script.run(&self.client, keys, args).await;
        self.meter.call_seconds.record(began.elapsed());
        if result.is_err() {
            self.meter.errors.increment(1);
        }
        result
    }

    /// The answers in the order of the calls.
    async fn run_all(&self, script: &Script, calls: Vec<Call>) -> Vec<Result<Value, Error>> {
        parallel(calls.into_iter().map(|(keys, args)| self.run(script, keys, args))).await
    }

    /// Keeps a lease in every shard, or begins it; whether it was alive in all.
    async fn hold(&self, lease: &str, begin: bool) -> Result<bool, Error> {
        let answers = each_shard(|shard| {
            let args = vec![lease.into(), millis(self.times.lease), if begin { "1" } else { "0" }.into()];
            self.run(&self.scripts.renew, vec![key(shard, "leases")], args)
        });
        let mut alive = true;
        for answer in answers.await {
            alive &= answer? == Value::Integer(1);
        }
        Ok(alive)
    }

    /// Enters everything under one lease. Says whether that lease was alive.
    async fn enter_under(
        &self,
        lease: &Arc<str>,
        entries: &[Entry],
        seen: &mut Vec<Seen>,
    ) -> Result<bool, Error> {
        let calls = by_shard(entries, |entry| &entry.user).into_iter().map(|(shard, entries)| {
            let keys = vec![
                key(shard, "leases"),
                key(shard, "users"),
                key(shard, "due"),
                key(shard, "seen"),
                index(shard, lease),
            ];
            let mut args: Vec<Value> = vec![(&**lease).into()];
            for entry in entries {
                args.extend([
                    entry.user.as_str().into(),
                    entry.connection.as_str().into(),
                    number(entry.status),
                ]);
            }
            (keys, args)
        });
        let mut alive = true;
        let mut result = Ok(());
        for answer in self.run_all(&self.scripts.enter, calls.collect()).await {
            match answer.map(Value::into_array) {
                Ok(answer) if answer.first() == Some(&Value::Integer(1)) => read_seen(&answer[1..], seen),
                Ok(_) => alive = false,
                Err(error) => result = Err(error),
            }
        }
        result.map(|()| alive)
    }

    async fn sweep_shard(&self, shard: usize, lease: &Lease) -> (Vec<Seen>, Result<(), Error>) {
        let mut seen = Vec::new();
        let result = self.sweep_shard_into(shard, lease, &mut seen).await;
        (seen, result)
    }

    async fn sweep_shard_into(&self, shard: usize, lease: &Lease, seen: &mut Vec<Seen>) -> Result<(), Error> {
        // After presence was away all leases look dead, until their nodes have
        // come back with new ones: give them the time.
        let may_bury = lease.begun.elapsed() >= self.times.lease;
        for _ in 0..SWEEP_ROUNDS {
            let keys = vec![key(shard, "leases"), key(shard, "users"), key(shard, "due"), key(shard, "seen")];
            let args = vec![(&*lease.name).into(), (CHUNK as i64).into(), millis(REMEMBER)];
            let answer = self.run(&self.scripts.sweep, keys, args).await?.into_array();
            let [dead, due, changes @ ..] = &answer[..] else {
                return Err(Error::new(ErrorKind::Protocol, "a sweep answers with leases and users"));
            };
            read_seen(changes, seen);
            let dead: Vec<String> = dead.clone().convert()?;
            let mut again = due.as_usize() == Some(CHUNK);
            for dead in dead.iter().filter(|_| may_bury) {
                tracing::info!(lease = %dead, shard, "a node's presence has run out");
                self.bury(shard, dead, self.times.lease).await?;
                again = true;
            }
            if !again {
                break;
            }
        }
        Ok(())
    }

    /// Takes all users from a lease that has run out and was last renewed `before` that.
    async fn bury(&self, shard: usize, lease: &str, before: Duration) -> Result<(), Error> {
        loop {
            let keys = vec![
                key(shard, "leases"),
                key(shard, "users"),
                key(shard, "due"),
                key(shard, "seen"),
                index(shard, lease),
            ];
            let args = vec![lease.into(), millis(self.times.grace), millis(before), (CHUNK as i64).into()];
            if self.run(&self.scripts.bury, keys, args).await? != Value::Integer(1) {
                return Ok(());
            }
        }
    }

    async fn end(&self, lease: &str) -> Result<(), Error> {
        let ended = each_shard(|shard| async move {
            self.run(&self.scripts.end, vec![key(shard, "leases")], vec![lease.into()]).await?;
            self.bury(shard, lease, Duration::ZERO).await
        });
        ended.await.into_iter().collect()
    }
}

fn refused(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BusError {
    BusError::Refused { what: "presence", source: source.into() }
}

fn away(source: Error) -> BusError {
    BusError::Away { what: "presence", source: source.into() }
}

/// What was found is told even if a part failed: nobody else will find it.
fn found(seen: Vec<Seen>, result: Result<(), Error>) -> Result<Vec<Seen>, BusError> {
    match result {
        Err(error) if seen.is_empty() => Err(away(error)),
        _ => Ok(seen),
    }
}

/// A status as the scripts know it: larger is more present.
fn number(status: Status) -> Value {
    Value::Integer(match status {
        Status::Offline => 0,
        Status::Away => 1,
        Status::Busy => 2,
        Status::Online => 3,
    })
}

fn status(number: Option<i64>) -> Status {
    match number {
        Some(1) => Status::Away,
        Some(2) => Status::Busy,
        Some(3) => Status::Online,
        _ => Status::Offline,
    }
}

fn last_seen(millis: Option<i64>) -> Option<i64> {
    millis.filter(|millis| *millis > 0)
}

/// Reads user, status, last seen, and so on.
fn read_seen(answer: &[Value], seen: &mut Vec<Seen>) {
    for row in answer.chunks_exact(3) {
        if let Some(user) = row[0].as_str().and_then(|user| UserId::new(&user).ok()) {
            seen.push(Seen { user, status: status(row[1].as_i64()), last_seen: last_seen(row[2].as_i64()) });
        }
    }
}

/// Groups by shard, in pieces that one call takes, keeping the order.
fn by_shard<T>(all: &[T], user: impl Fn(&T) -> &UserId) -> Vec<(usize, Vec<&T>)> {
    let mut shards: [Vec<&T>; SHARDS] = std::array::from_fn(|_| Vec::new());
    for one in all {
        shards[shard_of(user(one))].push(one);
    }
    let mut pieces = Vec::new();
    for (shard, all) in shards.iter().enumerate() {
        pieces.extend(all.chunks(CHUNK).map(|piece| (shard, piece.to_vec())));
    }
    pieces
}

/// Runs calls side by side, a bounded number at once; the answers in order.
async fn parallel<F: Future>(calls: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    futures_util::stream::iter(calls).buffered(PARALLEL).collect().await
}

async fn each_shard<F: Future>(call: impl Fn(usize) -> F) -> Vec<F::Output> {
    parallel((0..SHARDS).map(call)).await
}

#[async_trait]
impl Presence for RedisPresence {
    async fn renew(&self) -> Result<bool, BusError> {
        let old = self.lease().name.clone();
        if !self.doubt.swap(false, Ordering::AcqRel) && self.hold(&old, false).await.map_err(away)? {
            return Ok(true);
        }
        let lease = self.next_lease(&old);
        if let Err(error) = self.hold(&lease, true).await {
            self.doubt.store(true, Ordering::Release);
            return Err(away(error));
        }
        Ok(false)
    }

    async fn enter(&self, entries: &[Entry]) -> Result<Vec<Seen>, BusError> {
        let mut seen = Vec::new();
        let mut result = Ok(());
        // Again whenever the lease became another one on the way.
        for _ in 0..3 {
            let lease = self.lease().name.clone();
            match self.enter_under(&lease, entries, &mut seen).await {
                Ok(true) if lease == self.lease().name => return Ok(seen),
                Ok(true) => continue,
                Ok(false) => {
                    let lease = self.next_lease(&lease);
                    // Whatever else was under the old one is entered again.
                    self.doubt.store(true, Ordering::Release);
                    result = self.hold(&lease, true).await.map(drop);
                }
                Err(error) => result = Err(error),
            }
            if result.is_err() {
                break;
            }
        }
        self.doubt.store(true, Ordering::Release);
        found(seen, result)
    }

    async fn leave(&self, entries: &[Entry]) -> Result<(), BusError> {
        let lease = self.lease().name.clone();
        let calls = by_shard(entries, |entry| &entry.user).into_iter().map(|(shard, entries)| {
            let keys = vec![key(shard, "users"), key(shard, "due"), key(shard, "seen"), index(shard, &lease)];
            let mut args = vec![(&*lease).into(), lease_prefix(&self.node).into(), millis(self.times.grace)];
            for entry in entries {
                args.extend([entry.user.as_str().into(), entry.connection.as_str().into()]);
            }
            (keys, args)
        });
        for answer in self.run_all(&self.scripts.leave, calls.collect()).await {
            if let Err(error) = answer {
                self.doubt.store(true, Ordering::Release);
                return Err(away(error));
            }
        }
        Ok(())
    }

    async fn sweep(&self) -> Result<Vec<Seen>, BusError> {
        let lease = self.lease().clone();
        let mut seen = Vec::new();
        let mut result = Ok(());
        for (found, outcome) in each_shard(|shard| self.sweep_shard(shard, &lease)).await {
            seen.extend(found);
            result = result.and(outcome);
        }
        found(seen, result)
    }

    async fn look(&self, users: &[UserId]) -> Result<Vec<Seen>, BusError> {
        let positions: Vec<(usize, &UserId)> = users.iter().enumerate().collect();
        let pieces = by_shard(&positions, |(_, user)| user);
        let calls = pieces.iter().map(|(shard, piece)| {
            let args = piece.iter().map(|(_, user)| user.as_str().into()).collect();
            (vec![key(*shard, "users"), key(*shard, "seen")], args)
        });
        let answers = self.run_all(&self.scripts.look, calls.collect()).await;
        let unknown = |user: &UserId| Seen { user: user.clone(), status: Status::Offline, last_seen: None };
        let mut seen: Vec<Seen> = users.iter().map(unknown).collect();
        for (answer, (_, piece)) in answers.into_iter().zip(&pieces) {
            let answer = answer.map_err(away)?.into_array();
            for (row, (position, _)) in answer.chunks_exact(2).zip(piece) {
                seen[*position].status = status(row[0].as_i64());
                seen[*position].last_seen = last_seen(row[1].as_i64());
            }
        }
        Ok(seen)
    }

    async fn close(&self) -> Result<(), BusError> {
        let lease = self.lease().name.clone();
        let ended = self.end(&lease).await;
        self.stop.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of presence ended badly");
            }
        }
        ended.map_err(away)
    }
}
