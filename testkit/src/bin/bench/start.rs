//! Starts the systems that are measured, each anew for each run, on PostgreSQL,
//! NATS and Redis that run all the time: with a database of its own that is
//! removed afterwards.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use testkit::cluster::{self, ClusterOptions, SECRET, Services, binary};
use testkit::process::{Process, temp_dir};
use testkit::servers::{PostgresOptions, Server};

use crate::contestants::{Contestant, System};
use crate::load::Load;

const START_TIMEOUT: Duration = Duration::from_secs(30);
/// What a server says when it is ready, before its URL.
const READY: &str = "listening on ";
/// Of the floor: as many as the machine has cores, as Carillon takes.
const THREADS: &str = "2";

/// Programs to run.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Carillon.
    pub carillon: PathBuf,
    /// The floor, where it is measured.
    pub floor: Option<PathBuf>,
    /// `server.mjs` of the Node.js servers, with its packages beside it.
    pub node_server: Option<PathBuf>,
}

/// Whose processor time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The one kind of process there is.
    Server,
    /// Of a cluster.
    Gateway,
    /// Of a cluster.
    Dispatcher,
    /// The store.
    Postgres,
    /// The broker, or presence.
    Broker,
}

impl Part {
    /// The names under which it is added up.
    pub fn counted_as(self) -> &'static [&'static str] {
        match self {
            Self::Server => &["servers"],
            Self::Gateway => &["servers", "gateways"],
            Self::Dispatcher => &["servers", "dispatchers"],
            Self::Postgres => &["postgres"],
            Self::Broker => &["brokers"],
        }
    }
}

/// A system that runs. Its processes end with it.
pub struct Running {
    /// Where clients connect to.
    pub targets: Vec<String>,
    /// Its processes.
    pub pids: Vec<(Part, u32)>,
    /// Metrics that show the memory of what serves clients.
    pub metrics: Vec<String>,
    /// Carillon's own, to open rooms beside the load.
    pub carillon: Option<cluster::System>,
    processes: Vec<(Process, TempDir)>,
    database: Option<String>,
    services: Option<Arc<Services>>,
}

/// Starts systems.
pub struct Starter {
    programs: Programs,
    services: Option<Arc<Services>>,
}

impl Starter {
    /// Nothing runs yet.
    pub fn new(programs: Programs) -> Self {
        Self { programs, services: None }
    }

    /// Those that all share: started when the first one needs them.
    async fn services(&mut self) -> anyhow::Result<Arc<Services>> {
        if let Some(services) = &self.services {
            return Ok(services.clone());
        }
        let options = PostgresOptions { fsync: true, ..PostgresOptions::default() };
        let services = Arc::new(Services::start(options).await?);
        let external = [services.nats.is_external(), services.redis.is_external()];
        ensure!(
            !external.contains(&true) && !services.postgres.is_external(),
            "NATS_URL, REDIS_URL or DATABASE_URL is set: what is measured must be of this machine"
        );
        self.services = Some(services.clone());
        Ok(services)
    }

    /// Starts a system for this load, and waits until it is ready.
    pub async fn start(&mut self, contestant: Contestant, load: Load) -> anyhow::Result<Running> {
        let services = match contestant.needs_services() {
            true => {
                let services = self.services().await?;
                // What the run before has left to write is not for this one to wait for.
                services.postgres.execute("CHECKPOINT").await?;
                Some(services)
            }
            false => None,
        };
        match (contestant.system, services) {
            (System::Standalone, _) => self.standalone(load).await,
            (System::Cluster(gateways), Some(services)) => self.cluster(gateways, load, services).await,
            (System::Node(mode), services) => self.node(mode, 1, services).await,
            (System::TwoNodes(mode), services) => self.node(mode, 2, services).await,
            (System::Floor { cork }, _) => self.floor(cork).await,
            (System::Cluster(_), None) => anyhow::bail!("a cluster needs its services"),
        }
    }

    async fn standalone(&self, load: Load) -> anyhow::Result<Running> {
        let settings = settings(load);
        let settings: Vec<_> = settings.iter().map(|(name, value)| (&**name, &**value)).collect();
        let system = binary(&self.programs.carillon).standalone(&settings).await?;
        let pid = system.gateway(0).pid().context("it has ended already")?;
        Ok(Running {
            targets: system.gateway_urls(),
            pids: vec![(Part::Server, pid)],
            metrics: vec![format!("{}/metrics", system.gateway(0).admin().base())],
            carillon: Some(system),
            processes: Vec::new(),
            database: None,
            services: None,
        })
    }

    async fn cluster(&self, gateways: usize, load: Load, services: Arc<Services>) -> anyhow::Result<Running> {
        let options = ClusterOptions {
            gateways,
            dispatchers: 1,
            settings: settings(load),
            ..ClusterOptions::default()
        };
        let system = binary(&self.programs.carillon).cluster_on(services.clone(), options).await?;
        let mut pids = service_pids(&services);
        let own = |part| move |node: &cluster::Node| node.pid().map(|pid| (part, pid));
        pids.extend(system.gateways().iter().filter_map(own(Part::Gateway)));
        pids.extend(system.dispatchers().iter().filter_map(own(Part::Dispatcher)));
        Ok(Running {
            targets: system.gateway_urls(),
            pids,
            metrics: system
                .gateways()
                .iter()
                .map(|node| format!("{}/metrics", node.admin().base()))
                .collect(),
            database: Some(system.database_url().to_owned()),
            carillon: Some(system),
            processes: Vec::new(),
            services: Some(services),
        })
    }

    async fn node(
        &self,
        mode: &'static str,
        nodes: usize,
        services: Option<Arc<Services>>,
    ) -> anyhow::Result<Running> {
        let server = self.programs.node_server.clone().context("--node-server is needed")?;
        let mut arguments = vec!["--port".to_owned(), "0".to_owned(), "--mode".to_owned(), mode.to_owned()];
        let mut database = None;
        if let Some(services) = &services {
            let url = services.postgres.create_database().await?;
            arguments.extend(["--database".to_owned(), url.clone()]);
            database = Some(url);
            if nodes > 1 {
                arguments.extend(["--redis".to_owned(), services.redis.url().to_owned()]);
            }
        }
        let pids = services.as_deref().map(service_pids).unwrap_or_default();
        let mut running = Running::of(pids, database, services);
        for number in 0..nodes {
            let (server, arguments) = (server.clone(), arguments.clone());
            let command = move || {
                let mut command = Command::new("node");
                command.arg(&server).args(&arguments);
                command
            };
            running.add(&format!("{mode} {number}"), command).await?;
        }
        Ok(running)
    }

    async fn floor(&self, cork: bool) -> anyhow::Result<Running> {
        let program = self.programs.floor.clone().context("--floor is needed")?;
        let mut running = Running::of(Vec::new(), None, None);
        let command = move || {
            let mut command = Command::new(&program);
            command.args(["--port", "0", "--threads", THREADS]);
            if cork {
                command.arg("--cork");
            }
            command
        };
        running.add("floor", command).await?;
        Ok(running)
    }
}

fn service_pids(services: &Services) -> Vec<(Part, u32)> {
    let parts: [(Part, &Server); 3] = [
        (Part::Postgres, &services.postgres),
        (Part::Broker, &services.nats),
        (Part::Broker, &services.redis),
    ];
    parts.into_iter().filter_map(|(part, server)| Some((part, server.pid()?))).collect()
}

/// Carillon as it comes, but for rooms that are larger than its limits.
fn settings(load: Load) -> Vec<(String, String)> {
    match load {
        Load::Rooms { members, .. } if members > 1000 => [
            ("CARILLON_MAX_MEMBERS", members.to_string()),
            // All of them are named when the room is made.
            ("CARILLON_MAX_FRAME_BYTES", "1MiB".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec(),
        _ => Vec::new(),
    }
}

impl Running {
    fn of(pids: Vec<(Part, u32)>, database: Option<String>, services: Option<Arc<Services>>) -> Self {
        let (targets, metrics, processes) = (Vec::new(), Vec::new(), Vec::new());
        Self { targets, pids, metrics, carillon: None, processes, database, services }
    }

    /// Starts one of its processes, which says its URL itself.
    async fn add(
        &mut self,
        name: &str,
        command: impl Fn() -> Command + Send + Sync + 'static,
    ) -> anyhow::Result<()> {
        let dir = temp_dir()?;
        let log = dir.path().join("log");
        let process = Process::new(name, &log, "TERM", move || {
            let mut command = command();
            command.env("CARILLON_JWT_SECRET", SECRET);
            command
        });
        process.start(START_TIMEOUT, async || said(&log).is_some()).await?;
        self.targets.push(said(&log).context("it has said where it listens")?);
        self.pids.push((Part::Server, process.pid().context("it has ended already")?));
        self.processes.push((process, dir));
        Ok(())
    }

    /// Ends it, and removes what it has stored.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Self { carillon, processes, database, services, .. } = self;
        drop((carillon, processes));
        match (database, services) {
            (Some(url), Some(services)) => services.postgres.drop_database(&url).await,
            _ => Ok(()),
        }
    }
}

/// The URL in a server's log.
fn said(log: &Path) -> Option<String> {
    url_in(&std::fs::read_to_string(log).ok()?)
}

fn url_in(log: &str) -> Option<String> {
    // The line is whole only when it has ended.
    let line = log.split_inclusive('\n').find(|line| line.contains(READY) && line.ends_with('\n'))?;
    let (_, url) = line.split_once(READY)?;
    Some(url.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_where_it_is() {
        let log = "a warning\nlistening on http://127.0.0.1:4000\nmore\n";
        assert_eq!(url_in(log).as_deref(), Some("http://127.0.0.1:4000"));
        assert_eq!(url_in("listening on http://127.0.0.1:4"), None);
        assert_eq!(url_in(""), None);
    }

    #[test]
    fn limits_are_raised_only_where_they_stand_in_the_way() {
        let rooms = |members| Load::Rooms { rooms: 1, members, senders: 1, rate: 0 };
        assert!(settings(rooms(1000)).is_empty());
        assert_eq!(settings(rooms(10_000))[0].1, "10000");
    }
}
