//! What only the Redis adapter has to get right.

use std::time::Duration;

use bus::redis::RedisPresence;
use bus::{BusError, PresenceTimes, Status};
use fred::interfaces::LuaInterface;
use fred::types::Value;
use testkit::eventually;

use crate::presence::{EAGER, NONE, Node, SLOW, entry, statuses, until_offline, user};
use crate::rig::{PresenceRig, RedisRig, SOON};

/// P7, F15: while the server is away every call fails soon; when it is back,
/// empty, presence is rebuilt and nobody was said to be offline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_empty() {
    let rig = RedisRig::start().await;
    let mut a = Node::start(&rig, "a", SLOW).await;
    let mut b = Node::start(&rig, "b", SLOW).await;
    a.enter(&[entry("u", "c1", Status::Online)]).await;
    b.enter(&[entry("v", "c2", Status::Busy)]).await;
    rig.server.kill().await.unwrap();
    let calls = async {
        let one = [entry("w", "c3", Status::Online)];
        for _ in 0..1000 {
            assert!(matches!(a.presence.enter(&one).await, Err(BusError::Away { what: "presence", .. })));
            assert!(a.presence.leave(&one).await.is_err());
            assert!(a.presence.renew().await.is_err());
            assert!(a.presence.sweep().await.is_err());
            assert!(a.presence.look(&[user("u")]).await.is_err());
        }
    };
    tokio::time::timeout(SOON, calls).await.expect("calls fail at once, or with the first command's limit");
    rig.server.start().await.unwrap();
    let mut told = Vec::new();
    eventually("presence to be rebuilt", SOON, async || {
        for node in [&a, &b] {
            told.extend(node.tick().await);
        }
        let seen = a.presence.look(&[user("u"), user("v")]).await.ok()?;
        (statuses(&seen) == [("u", Status::Online), ("v", Status::Busy)]).then_some(())
    })
    .await;
    assert!(told.iter().all(|seen| seen.status != Status::Offline), "{told:?}");
}

/// A new connection may be one to another server, with a little less written,
/// and what could not be said meanwhile was not: everything is entered again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_reconnect_everything_is_entered_again() {
    let rig = RedisRig::start().await;
    let times = PresenceTimes { lease: Duration::from_secs(3), ..EAGER };
    let mut node = Node::start(&rig, "a", times).await;
    let (stays, closes) = (entry("stays", "c1", Status::Online), entry("closes", "c2", Status::Online));
    node.enter(&[stays, closes.clone()]).await;
    rig.server.pause().unwrap();
    assert!(node.presence.leave(std::slice::from_ref(&closes)).await.is_err());
    rig.server.resume().unwrap();
    node.forget(&closes);
    // Whether or not the server took the leave after all.
    let found = until_offline(&[&node], &["closes"]).await;
    assert_eq!(found.get(&("stays".into(), Status::Offline)), None, "{found:?}");
    assert_eq!(node.look(&["stays", "closes"]).await, [Status::Online, Status::Offline]);
}

/// After presence came back with old data all leases look dead: their nodes get
/// the time to come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_data_calls_nobody_offline() {
    let rig = RedisRig::start().await;
    let times = PresenceTimes { lease: Duration::from_secs(300), grace: Duration::ZERO };
    let mut a = Node::start(&rig, "a", times).await;
    let mut b = Node::start(&rig, "b", times).await;
    a.enter(&[entry("u", "c1", Status::Online)]).await;
    b.enter(&[entry("v", "c2", Status::Online)]).await;
    // As if it had been away for an hour and come back as it was.
    let age = "for _, key in ipairs(redis.call('KEYS', '*:leases')) do \
               for _, lease in ipairs(redis.call('ZRANGE', key, 0, -1)) do \
               redis.call('ZINCRBY', key, -3600000, lease) end end return 1";
    let _: Value = rig.client.eval(age, Vec::<String>::new(), Vec::<String>::new()).await.unwrap();
    assert_eq!(statuses(&a.presence.sweep().await.unwrap()), NONE);
    let mut told = a.tick().await;
    told.extend(a.tick().await);
    told.extend(b.tick().await);
    told.extend(a.tick().await);
    assert_eq!(statuses(&told), NONE);
    assert_eq!(a.look(&["u", "v"]).await, [Status::Online, Status::Online]);
}

/// No key per connection or with an expiry of its own, and all in the slots of
/// the shards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_few_and_have_a_shard() {
    let rig = RedisRig::start().await;
    let mut node = Node::start(&rig, "a", EAGER).await;
    let entries: Vec<_> =
        (0..500).map(|n| entry(&format!("u{n}"), &format!("c{n}"), Status::Online)).collect();
    node.enter(&entries).await;
    node.leave(&entries[..250]).await;
    let list = "local keys = {} \
                for _, key in ipairs(redis.call('KEYS', '*')) do \
                keys[#keys + 1] = key .. ' ' .. redis.call('TTL', key) end return keys";
    let keys: Vec<String> = rig.client.eval(list, Vec::<String>::new(), Vec::<String>::new()).await.unwrap();
    assert!(keys.len() <= 16 * 5, "{}", keys.len());
    for key in &keys {
        assert!(key.starts_with("carillon:{p") && key.contains("}:") && key.ends_with(" -1"), "{key}");
    }
    // Nothing but leases is left when all have gone.
    node.leave(&entries[250..]).await;
    while !node.tick().await.is_empty() {}
    let keys: Vec<String> = rig.client.eval(list, Vec::<String>::new(), Vec::<String>::new()).await.unwrap();
    assert!(keys.iter().all(|key| key.contains("}:leases ") || key.contains("}:seen ")), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_later_is_found() {
    let rig = RedisRig::start().await;
    rig.server.kill().await.unwrap();
    let presence = rig.presence("a", SLOW).await;
    assert!(presence.renew().await.is_err());
    rig.server.start().await.unwrap();
    eventually("the first lease", SOON, async || presence.renew().await.ok()).await;
    let seen = presence.enter(&[entry("u", "c1", Status::Online)]).await.unwrap();
    assert_eq!(statuses(&seen), [("u", Status::Online)]);
    presence.close().await.unwrap();
    assert!(presence.renew().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_address_or_node_is_refused() {
    for (url, node) in [("not a url", "a"), ("redis://127.0.0.1:1", "a b"), ("redis://127.0.0.1:1", "")] {
        let refused = RedisPresence::connect(url, node, SLOW).await;
        assert!(matches!(refused, Err(BusError::Refused { what: "presence", .. })), "{url} {node}");
    }
}
