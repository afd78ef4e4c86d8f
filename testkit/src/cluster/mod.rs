//! Whole systems of real `carillon` processes: a cluster on real NATS, Redis
//! and PostgreSQL, or one standalone process; behind one type, so that one
//! suite of tests can hold against both.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! // In a test of the root package: env!("CARGO_BIN_EXE_carillon").
//! let carillon = testkit::cluster::binary("target/debug/carillon");
//! let system = carillon.cluster(Default::default()).await?;
//! let room = system.rest(0, "ana").create_group("Ringers", &["ben"]).await?;
//! let (ana, ben) = (system.client(0, "ana").await?, system.client(1, "ben").await?);
//! ben.join(&room).await.expect("join");
//! ana.send(&room, "hi").await.expect("send");
//! ben.next_event().await?;
//! system.gateway(1).kill()?;
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use proto::Encoding;
use tempfile::TempDir;

use crate::client::{Client, ConnectError, ConnectOptions};
use crate::process::{temp_dir, temp_dir_in_memory};
use crate::proxy::FaultProxy;
use crate::rest::Rest;
use crate::servers::{self, NatsServer, PostgresOptions, PostgresServer, RedisServer};
use crate::token::{TokenOptions, mint};

mod node;

pub use node::Node;

/// The key with which the tests' tokens are signed.
pub const SECRET: &str = "the tests' own key, which is long enough for HS256";

const MIGRATE_TIMEOUT: Duration = Duration::from_secs(60);

/// The program under test.
#[derive(Debug, Clone)]
pub struct Binary(PathBuf);

/// The program under test: `binary(env!("CARGO_BIN_EXE_carillon"))`.
pub fn binary(path: impl Into<PathBuf>) -> Binary {
    Binary(path.into())
}

/// The program under test, for tests of another package: it lies beside that
/// one's own program, `env!("CARGO_BIN_EXE_...")`, whenever the whole workspace
/// is tested. If it is not there, it is built.
pub fn binary_beside(program: &str) -> anyhow::Result<Binary> {
    let carillon = Path::new(program).with_file_name("carillon");
    if !carillon.exists() {
        let folder = carillon.parent().and_then(Path::file_name).context("a profile's folder")?;
        let profile = if folder == "debug" { "dev".as_ref() } else { folder };
        let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--package", "carillon", "--bin", "carillon", "--profile"])
            .arg(profile)
            .status()
            .context("run cargo")?;
        ensure!(built.success(), "the server was not built: {built}");
    }
    Ok(Binary(carillon))
}

/// What a cluster consists of.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// How many gateways.
    pub gateways: usize,
    /// How many dispatchers.
    pub dispatchers: usize,
    /// How the store's server is started.
    pub postgres: PostgresOptions,
    /// A [fault proxy](System::link) on every link between two parts.
    pub proxied: bool,
    /// Further settings of every node: `("CARILLON_VOCABULARY", "rooms")`.
    pub settings: Vec<(String, String)>,
    /// Further settings of single gateways, by number; they replace those of all.
    pub gateway_settings: Vec<Vec<(String, String)>>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            gateways: 3,
            dispatchers: 2,
            postgres: PostgresOptions::default(),
            proxied: false,
            settings: Vec::new(),
            gateway_settings: Vec::new(),
        }
    }
}

/// Who opens a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The gateway of this number.
    Gateway(usize),
    /// The dispatcher of this number.
    Dispatcher(usize),
}

/// Whom a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// The broker.
    Nats,
    /// Presence.
    Redis,
    /// The store.
    Postgres,
    /// The dispatcher of this number.
    Dispatcher(usize),
}

/// Running processes that together are one Carillon. Killed on drop; if that
/// is because a test fails, the ends of their logs are shown.
pub struct System {
    gateways: Vec<Node>,
    dispatchers: Vec<Node>,
    /// Only of a cluster.
    parts: Option<Parts>,
    links: HashMap<(Origin, Target), FaultProxy>,
    dir: TempDir,
}

struct Parts {
    services: Arc<Services>,
    database_url: String,
}

/// The servers that a cluster stands on.
pub struct Services {
    /// The broker.
    pub nats: NatsServer,
    /// Presence.
    pub redis: RedisServer,
    /// The store.
    pub postgres: PostgresServer,
}

impl Services {
    /// Starts them.
    pub async fn start(postgres: PostgresOptions) -> anyhow::Result<Self> {
        let (nats, redis, postgres) =
            tokio::try_join!(servers::nats(), servers::redis(), servers::postgres_with(postgres))?;
        Ok(Self { nats, redis, postgres })
    }
}

impl Binary {
    /// Starts a standalone process. `settings`: `("CARILLON_GUESTS", "true")`.
    pub async fn standalone(&self, settings: &[(&str, &str)]) -> anyhow::Result<System> {
        self.standalone_at(temp_dir()?, settings).await
    }

    /// The same with its data in memory, where that can be: see [`temp_dir_in_memory`].
    pub async fn standalone_in_memory(&self) -> anyhow::Result<System> {
        self.standalone_at(temp_dir_in_memory()?, &[]).await
    }

    async fn standalone_at(&self, dir: TempDir, settings: &[(&str, &str)]) -> anyhow::Result<System> {
        let node = Node::new(&self.0, "standalone", "standalone".to_owned(), dir.path())?;
        let data = dir.path().join("data");
        node.set("CARILLON_DATA_DIR", data.to_str().context("a path in UTF-8")?);
        node.set("CARILLON_JWT_SECRET", SECRET);
        for (name, value) in settings {
            node.set(name, value);
        }
        node.start().await?;
        Ok(System { gateways: vec![node], dispatchers: Vec::new(), parts: None, links: HashMap::new(), dir })
    }

    /// Starts a cluster with servers and a database of its own.
    pub async fn cluster(&self, options: ClusterOptions) -> anyhow::Result<System> {
        let services = Services::start(options.postgres.clone()).await?;
        self.cluster_on(services.into(), options).await
    }

    /// Starts a cluster with a database of its own on servers that run. Others
    /// may use them before and after it: two at once would hear each other.
    pub async fn cluster_on(
        &self,
        services: Arc<Services>,
        options: ClusterOptions,
    ) -> anyhow::Result<System> {
        let dir = temp_dir()?;
        let database_url = services.postgres.create_database().await?;
        self.migrate(&database_url).await?;
        let parts = Parts { services, database_url };
        let mut system = System {
            gateways: Vec::new(),
            dispatchers: Vec::new(),
            parts: Some(parts),
            links: HashMap::new(),
            dir,
        };
        system.add_dispatchers(&self.0, &options).await?;
        system.add_gateways(&self.0, &options).await?;
        Ok(system)
    }

    /// Brings a database to the program's version, as an upgrade begins.
    pub async fn migrate(&self, database_url: &str) -> anyhow::Result<()> {
        let dir = temp_dir()?;
        let mut command = Command::new(&self.0);
        command.arg("migrate").current_dir(dir.path()).stdin(Stdio::null());
        node::without_settings(&mut command);
        command.env("CARILLON_DATABASE_URL", database_url);
        let mut command = tokio::process::Command::from(command);
        command.kill_on_drop(true);
        let output = tokio::time::timeout(MIGRATE_TIMEOUT, command.output())
            .await
            .context("migrate takes too long")?
            .context("run migrate")?;
        let said = [output.stdout, output.stderr].concat();
        ensure!(output.status.success(), "migrate: {}", String::from_utf8_lossy(&said));
        Ok(())
    }
}

impl System {
    async fn add_dispatchers(&mut self, binary: &Path, options: &ClusterOptions) -> anyhow::Result<()> {
        for number in 0..options.dispatchers {
            let node = Node::new(binary, "dispatcher", format!("dispatcher {number}"), self.dir.path())?;
            let from = Origin::Dispatcher(number);
            let nats = self.url_from(from, Target::Nats, options).await?;
            let database = self.url_from(from, Target::Postgres, options).await?;
            node.set("CARILLON_GRPC_LISTEN", node.address());
            node.set("CARILLON_NATS_URL", &nats);
            node.set("CARILLON_DATABASE_URL", &database);
            node.set_all(&options.settings);
            self.dispatchers.push(node);
        }
        try_join_all(self.dispatchers.iter().map(Node::start)).await.map(drop)
    }

    async fn add_gateways(&mut self, binary: &Path, options: &ClusterOptions) -> anyhow::Result<()> {
        for number in 0..options.gateways {
            let node = Node::new(binary, "gateway", format!("gateway {number}"), self.dir.path())?;
            let from = Origin::Gateway(number);
            let nats = self.url_from(from, Target::Nats, options).await?;
            let redis = self.url_from(from, Target::Redis, options).await?;
            let mut dispatchers = Vec::new();
            for to in 0..options.dispatchers {
                dispatchers.push(self.url_from(from, Target::Dispatcher(to), options).await?);
            }
            node.set("CARILLON_NATS_URL", &nats);
            node.set("CARILLON_REDIS_URL", &redis);
            node.set("CARILLON_DISPATCHER_URL", &dispatchers.join(","));
            node.set("CARILLON_JWT_SECRET", SECRET);
            node.set_all(&options.settings);
            node.set_all(options.gateway_settings.get(number).map_or(&[], Vec::as_slice));
            self.gateways.push(node);
        }
        try_join_all(self.gateways.iter().map(Node::start)).await.map(drop)
    }

    /// The URL that `from` is given for `to`: the part's own, or its proxy's.
    async fn url_from(
        &mut self,
        from: Origin,
        to: Target,
        options: &ClusterOptions,
    ) -> anyhow::Result<String> {
        let url = match to {
            Target::Nats => self.nats().url().to_owned(),
            Target::Redis => self.redis().url().to_owned(),
            Target::Postgres => self.parts().database_url.clone(),
            Target::Dispatcher(number) => self.dispatcher(number).url(),
        };
        if !options.proxied {
            return Ok(url);
        }
        let proxy = FaultProxy::start(&url).await?;
        let url = proxy.url().to_owned();
        self.links.insert((from, to), proxy);
        Ok(url)
    }

    fn parts(&self) -> &Parts {
        self.parts.as_ref().expect("a standalone system has no parts")
    }

    /// Whether it is a cluster, with dispatchers and servers of their own.
    pub fn is_cluster(&self) -> bool {
        self.parts.is_some()
    }

    /// Where clients connect to, one for each gateway.
    pub fn gateway_urls(&self) -> Vec<String> {
        self.gateways.iter().map(Node::url).collect()
    }

    /// All gateways; of a standalone system, the one process.
    pub fn gateways(&self) -> &[Node] {
        &self.gateways
    }

    /// All dispatchers; a standalone system has none.
    pub fn dispatchers(&self) -> &[Node] {
        &self.dispatchers
    }

    /// A gateway. Numbers go round, so that one suite asks for the second
    /// gateway of any system.
    pub fn gateway(&self, number: usize) -> &Node {
        &self.gateways[number % self.gateways.len()]
    }

    /// A dispatcher of a cluster.
    pub fn dispatcher(&self, number: usize) -> &Node {
        &self.dispatchers[number]
    }

    /// The broker of a cluster.
    pub fn nats(&self) -> &NatsServer {
        &self.parts().services.nats
    }

    /// The presence server of a cluster.
    pub fn redis(&self) -> &RedisServer {
        &self.parts().services.redis
    }

    /// The store's server of a cluster.
    pub fn postgres(&self) -> &PostgresServer {
        &self.parts().services.postgres
    }

    /// The database of a cluster.
    pub fn database_url(&self) -> &str {
        &self.parts().database_url
    }

    /// The proxy on a link, if the cluster was started `proxied`.
    pub fn link(&self, from: Origin, to: Target) -> &FaultProxy {
        self.links.get(&(from, to)).unwrap_or_else(|| panic!("no proxy from {from:?} to {to:?}"))
    }

    /// The proxies on all links of a cluster that was started `proxied`.
    pub fn links(&self) -> &HashMap<(Origin, Target), FaultProxy> {
        &self.links
    }

    /// A token of this user, who is also called so.
    pub fn token(&self, user: &str) -> String {
        mint(SECRET, user, user, &TokenOptions::default())
    }

    /// Connects a user to a gateway.
    pub async fn client(&self, gateway: usize, user: &str) -> Result<Client, ConnectError> {
        self.client_with(gateway, user, ConnectOptions::new(Encoding::Json)).await
    }

    /// Connects a user to a gateway in other ways.
    pub async fn client_with(
        &self,
        gateway: usize,
        user: &str,
        options: ConnectOptions,
    ) -> Result<Client, ConnectError> {
        Client::connect_with(&self.gateway(gateway).url(), &self.token(user), options).await
    }

    /// The REST interface of a gateway, as this user.
    pub fn rest(&self, gateway: usize, user: &str) -> Rest {
        Rest::new(self.gateway(gateway).url(), self.token(user))
    }

    /// The REST interface of a gateway, with a server-to-server token.
    pub fn service(&self, gateway: usize) -> Rest {
        let token = mint(SECRET, "service", "service", &TokenOptions::service());
        Rest::new(self.gateway(gateway).url(), token)
    }

    /// The ends of all logs.
    pub fn logs(&self) -> String {
        let nodes = self.gateways.iter().chain(&self.dispatchers);
        nodes.map(|node| format!("---- {} ----\n{}\n", node.name(), node.log_tail())).collect()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
    }
}
