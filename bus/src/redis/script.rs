//! The scripts, the keys they touch, and how they are run.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use fred::clients::{Client, WithOptions};
use fred::error::Error;
use fred::interfaces::ClientLike;
use fred::types::{CustomCommand, Value};
use fred::util::{redis_keyslot, sha1_hash};
use proto::UserId;

/// Users are spread over this many hash slots, so that a Redis Cluster can
/// spread them over up to as many masters. Every sweep and renewal asks each,
/// so it is not larger; and all nodes must agree on it.
pub(super) const SHARDS: usize = 16;

/// A script and the name the server knows it by.
pub(super) struct Script {
    text: String,
    sha: String,
}

impl Script {
    fn new(body: &str) -> Self {
        let text = format!("{}{body}", include_str!("record.lua"));
        Self { sha: sha1_hash(&text), text }
    }

    /// Runs it; a server that does not know it yet is given the text.
    pub async fn run(
        &self,
        client: &WithOptions<Client>,
        keys: Vec<String>,
        args: Vec<Value>,
    ) -> Result<Value, Error> {
        // Not the driver's own EVALSHA, which waits for each answer before it
        // sends the next, and knows neither the timeout nor to fail fast.
        let slot = keys.first().map_or(0, |key| redis_keyslot(key.as_bytes()));
        let command = |name| CustomCommand::new_static(name, slot, false);
        let mut line = vec![self.sha.as_str().into(), Value::Integer(keys.len() as i64)];
        line.extend(keys.into_iter().map(Value::from));
        line.extend(args);
        match client.custom(command("EVALSHA"), line.clone()).await {
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                line[0] = self.text.as_str().into();
                client.custom(command("EVAL"), line).await
            }
            result => result,
        }
    }
}

pub(super) struct Scripts {
    pub renew: Script,
    pub enter: Script,
    pub leave: Script,
    pub sweep: Script,
    pub bury: Script,
    pub end: Script,
    pub look: Script,
}

impl Scripts {
    pub fn new() -> Self {
        Self {
            renew: Script::new(include_str!("renew.lua")),
            enter: Script::new(include_str!("enter.lua")),
            leave: Script::new(include_str!("leave.lua")),
            sweep: Script::new(include_str!("sweep.lua")),
            bury: Script::new(include_str!("bury.lua")),
            end: Script::new(include_str!("end.lua")),
            look: Script::new(include_str!("look.lua")),
        }
    }
}

/// The shard that holds a user: FNV-1a, alike on every node and in every release.
pub(super) fn shard_of(user: &UserId) -> usize {
    let hash = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    user.as_str().bytes().fold(0x811c_9dc5, hash) as usize % SHARDS
}

/// A key of a shard; the braces make the shard's name what a cluster hashes.
pub(super) fn key(shard: usize, name: &str) -> String {
    format!("carillon:{{p{shard}}}:{name}")
}

/// The key of a lease's users.
pub(super) fn index(shard: usize, lease: &str) -> String {
    format!("carillon:{{p{shard}}}:lease:{lease}")
}

/// The name of a new lease: the node's, and what tells it from its earlier ones.
pub(super) fn lease_name(node: &str) -> String {
    // A fresh hasher's keys are random.
    format!("{}{:016x}", lease_prefix(node), RandomState::new().hash_one(node))
}

/// What all leases of a node begin with; no id holds the separator.
pub(super) fn lease_prefix(node: &str) -> String {
    format!("{node}~")
}

pub(super) fn millis(duration: Duration) -> Value {
    Value::Integer(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn users_are_spread_over_all_shards_and_stay_there() {
        let id = |n: u32| UserId::new(&format!("user-{n}")).unwrap();
        let shards: HashSet<_> = (0..1000).map(|n| shard_of(&id(n))).collect();
        assert_eq!(shards.len(), SHARDS);
        // Part of what nodes of different releases share.
        assert_eq!([shard_of(&id(1)), shard_of(&id(2)), shard_of(&id(1000))], [4, 13, 12]);
    }

    #[test]
    fn no_two_leases_have_one_name() {
        let names: HashSet<_> = (0..1000).map(|_| lease_name("gateway-1")).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| name.starts_with("gateway-1~")));
    }
}
