//! The adapters under test, and the servers beneath them.

use std::sync::Arc;
use std::time::Duration;

use bus::local::{LocalBroker, LocalPresence, LocalPresenceHub};
use bus::nats::NatsBroker;
use bus::redis::RedisPresence;
use bus::{Broker, Presence, PresenceTimes};
use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::Builder;
use fred::types::config::Config;
use testkit::servers::{NatsServer, RedisServer};
use tokio::sync::{Mutex, MutexGuard};

/// How long a test waits for what must come.
pub const SOON: Duration = Duration::from_secs(30);

/// A broker and the power over it.
pub trait BrokerRig {
    /// A node's own connection.
    async fn broker(&self) -> Arc<dyn Broker>;
    /// Takes the broker away.
    async fn down(&self);
    /// Brings it back.
    async fn up(&self);
}

pub struct LocalBrokerRig(Arc<LocalBroker>);

impl LocalBrokerRig {
    pub async fn start() -> Self {
        Self(Arc::new(LocalBroker::new()))
    }
}

impl BrokerRig for LocalBrokerRig {
    async fn broker(&self) -> Arc<dyn Broker> {
        self.0.clone()
    }

    async fn down(&self) {
        self.0.set_up(false);
    }

    async fn up(&self) {
        self.0.set_up(true);
    }
}

pub struct NatsRig(pub NatsServer);

impl NatsRig {
    pub async fn start() -> Self {
        Self(testkit::servers::nats().await.expect("a NATS server"))
    }

    pub async fn connect(&self) -> NatsBroker {
        NatsBroker::connect(self.0.url(), "conformance").await.expect("the URL is one")
    }
}

impl BrokerRig for NatsRig {
    async fn broker(&self) -> Arc<dyn Broker> {
        Arc::new(self.connect().await)
    }

    async fn down(&self) {
        self.0.kill().await.expect("it was running");
    }

    async fn up(&self) {
        self.0.start().await.expect("it starts again");
    }
}

/// A presence store and the power over it.
pub trait PresenceRig {
    /// The handle of a node.
    async fn presence(&self, node: &str, times: PresenceTimes) -> Arc<dyn Presence>;
    /// Makes it forget everything.
    async fn empty(&self);
}

pub struct LocalPresenceRig(LocalPresenceHub);

impl LocalPresenceRig {
    pub async fn start() -> Self {
        Self(LocalPresenceHub::new())
    }
}

impl PresenceRig for LocalPresenceRig {
    async fn presence(&self, node: &str, times: PresenceTimes) -> Arc<dyn Presence> {
        Arc::new(LocalPresence::with_hub(node, times, self.0.clone()))
    }

    async fn empty(&self) {
        self.0.clear();
    }
}

pub struct RedisRig {
    pub server: RedisServer,
    pub client: Client,
    /// Tests on a server that is not theirs take turns.
    _turn: Option<MutexGuard<'static, ()>>,
}

static TURN: Mutex<()> = Mutex::const_new(());

impl RedisRig {
    pub async fn start() -> Self {
        let server = testkit::servers::redis().await.expect("a Redis server");
        let _turn = if server.is_external() { Some(TURN.lock().await) } else { None };
        let config = Config::from_url(server.url()).expect("its URL is one");
        let client = Builder::from_config(config)
            .set_policy(fred::types::config::ReconnectPolicy::new_constant(0, 50))
            .build()
            .expect("it needs no more");
        client.init().await.expect("the server runs");
        let rig = Self { server, client, _turn };
        rig.empty().await;
        rig
    }
}

impl PresenceRig for RedisRig {
    async fn presence(&self, node: &str, times: PresenceTimes) -> Arc<dyn Presence> {
        Arc::new(RedisPresence::connect(self.server.url(), node, times).await.expect("the URL is one"))
    }

    async fn empty(&self) {
        if self.client.is_clustered() {
            self.client.flushall_cluster().await.expect("the server runs");
        } else {
            self.client.flushall::<()>(false).await.expect("the server runs");
        }
    }
}
