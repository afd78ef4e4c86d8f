//! The systems that the cases run against, and names that no other case uses.

use std::future::Future;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::Context;
use proto::Encoding;
use testkit::client::{Client, ConnectError, ConnectOptions};
use testkit::cluster::{ClusterOptions, SECRET, System, binary};
use testkit::rest::Rest;
use testkit::token::{TokenOptions, mint};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

/// Patience of the cases: reached only when something is broken.
pub const LONG: Duration = Duration::from_secs(30);

/// A case that takes this long will never end.
const HUNG: Duration = Duration::from_secs(240);

/// How Carillon runs; the same cases hold for both (P9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployment {
    /// One process, SQLite, nothing else.
    Standalone,
    /// Three gateways and two dispatchers on NATS, PostgreSQL and Redis.
    Cluster,
}

/// One running Carillon, and a case's own corner of it.
pub struct World {
    urls: Vec<String>,
    system: Held,
    /// Part of every name that the case gives.
    tag: String,
}

enum Held {
    /// The case's own: it may break it.
    Own(Box<System>),
    /// Used by other cases at the same time.
    Shared(&'static System),
    /// Composed in this process: no system of processes.
    Composed,
}

/// What the shared systems are set to: only to save time.
const SHARED: &[(&str, &str)] = &[("CARILLON_PRESENCE_GRACE", "1s")];

/// Everything shared lives here, longer than any one test.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be started")
});

/// Runs a case on the runtime that all cases share.
pub fn run(case: impl Future<Output = ()>) {
    // On the heap: a case's state is larger than a test's stack likes.
    let case = Box::pin(async { tokio::time::timeout(HUNG, case).await });
    RUNTIME.block_on(case).expect("the case hangs");
}

impl Deployment {
    /// The system that cases share which break nothing.
    pub async fn shared(self) -> World {
        static STANDALONE: OnceCell<System> = OnceCell::const_new();
        static CLUSTER: OnceCell<System> = OnceCell::const_new();

        let cell = match self {
            Deployment::Standalone => &STANDALONE,
            Deployment::Cluster => &CLUSTER,
        };
        let system = cell.get_or_init(async || self.start(SHARED).await).await;
        World { urls: system.gateway_urls(), system: Held::Shared(system), tag: tag() }
    }

    /// A system of the case's own, with these settings: `("CARILLON_EDIT_WINDOW", "1s")`.
    pub async fn own(self, settings: &[(&str, &str)]) -> World {
        let system = Box::new(self.start(settings).await);
        World { urls: system.gateway_urls(), system: Held::Own(system), tag: tag() }
    }

    async fn start(self, settings: &[(&str, &str)]) -> System {
        let carillon = binary(env!("CARGO_BIN_EXE_carillon"));
        let started = match self {
            Deployment::Standalone => carillon.standalone(settings).await,
            Deployment::Cluster => {
                let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
                let settings = settings.iter().map(owned).collect();
                carillon.cluster(ClusterOptions { settings, ..ClusterOptions::default() }).await
            }
        };
        started.with_context(|| format!("starting {self:?}")).expect("a running system")
    }
}

fn tag() -> String {
    uuid::Uuid::new_v4().simple().to_string()[..8].to_owned()
}

impl World {
    /// A gateway that runs in this process.
    pub fn composed(url: String) -> Self {
        Self { urls: vec![url], system: Held::Composed, tag: tag() }
    }

    /// The processes.
    pub fn system(&self) -> &System {
        match &self.system {
            Held::Own(system) => system,
            Held::Shared(system) => system,
            Held::Composed => panic!("this Carillon is part of the test's own process"),
        }
    }

    /// How many gateways there are.
    pub fn gateways(&self) -> usize {
        self.urls.len()
    }

    /// Where a gateway is. Numbers go round.
    pub fn url(&self, gateway: usize) -> &str {
        &self.urls[gateway % self.urls.len()]
    }

    /// An id that only this case uses.
    pub fn name(&self, name: &str) -> String {
        format!("{name}-{}", self.tag)
    }

    /// Ids that only this case uses.
    pub fn names<const N: usize>(&self, names: [&str; N]) -> [String; N] {
        names.map(|name| self.name(name))
    }

    /// A token of this user.
    pub fn token(&self, user: &str) -> String {
        mint(SECRET, user, user, &TokenOptions::default())
    }

    /// Connects a user, who speaks JSON.
    pub async fn client(&self, gateway: usize, user: &str) -> Client {
        self.client_of(gateway, user, Encoding::Json).await
    }

    /// Connects a user.
    pub async fn client_of(&self, gateway: usize, user: &str, encoding: Encoding) -> Client {
        self.connect(gateway, user, ConnectOptions::new(encoding)).await.expect("a connection")
    }

    /// Tries to connect a user.
    pub async fn connect(
        &self,
        gateway: usize,
        user: &str,
        options: ConnectOptions,
    ) -> Result<Client, ConnectError> {
        Client::connect_with(self.url(gateway), &self.token(user), options).await
    }

    /// Connects a user, who then hears the room.
    pub async fn member(&self, gateway: usize, user: &str, room: &str) -> Client {
        let client = self.client(gateway, user).await;
        client.join(room).await.expect("a join");
        client
    }

    /// The REST interface, as this user.
    pub fn rest(&self, gateway: usize, user: &str) -> Rest {
        Rest::new(self.url(gateway), self.token(user))
    }

    /// The REST interface, as a server of the application.
    pub fn service(&self) -> Rest {
        Rest::new(self.url(0), mint(SECRET, "service", "service", &TokenOptions::service()))
    }

    /// A group of `owner` with these members.
    pub async fn group(&self, owner: &str, members: &[&str]) -> String {
        self.rest(0, owner).create_group("Ringers", members).await.expect("a group")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Held::Shared(system) = &self.system
            && std::thread::panicking()
        {
            eprintln!("{}", system.logs());
        }
    }
}
