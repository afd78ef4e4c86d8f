//! Real servers for tests: NATS, Redis and PostgreSQL as child processes on
//! free ports of 127.0.0.1, or those that `NATS_URL`, `REDIS_URL` and
//! `DATABASE_URL` name.
//!
//! A test that breaks its server starts its own (`nats()`, `redis()`,
//! `postgres()`); one that does not may use the one its process shares
//! (`shared_nats()`, ...). Either ends with the test process.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use crate::ports::free_port;
use crate::process::{Process, temp_dir};

mod postgres;
mod prometheus;

pub use prometheus::{Found, PrometheusServer, prometheus};

pub use postgres::{PostgresOptions, PostgresServer, postgres, postgres_with, shared_postgres};

/// Generous: a loaded machine starts PostgreSQL slowly after a crash.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Another program may take the chosen port first.
const PORT_ATTEMPTS: usize = 3;

/// A NATS server.
pub type NatsServer = Server;
/// A Redis server. It keeps nothing on disk: it comes back empty.
pub type RedisServer = Server;

/// A server under a test's control; killed and cleaned up on drop.
pub struct Server {
    kind: &'static Kind,
    url: String,
    /// `None`: external.
    child: Option<ChildServer>,
}

/// Fields drop in order: first the process, then its folder.
struct ChildServer {
    process: Process,
    port: u16,
    _dir: TempDir,
}

/// What sets one kind of server apart.
struct Kind {
    program: &'static str,
    /// Debian's package.
    package: &'static str,
    /// Names an external one, where one will do.
    variable: Option<&'static str>,
    stop_signal: &'static str,
    /// Sent on a new connection; the server is ready when it answers with `hello`.
    greeting: &'static [u8],
    hello: &'static [u8],
}

const NATS: Kind = Kind {
    program: "nats-server",
    package: "nats-server",
    variable: Some("NATS_URL"),
    stop_signal: "TERM",
    greeting: b"",
    hello: b"INFO ",
};

const REDIS: Kind = Kind {
    program: "redis-server",
    package: "redis-server",
    variable: Some("REDIS_URL"),
    stop_signal: "TERM",
    greeting: b"PING\r\n",
    hello: b"+PONG",
};

/// Starts a NATS server, or uses the one of `NATS_URL`.
pub async fn nats() -> anyhow::Result<NatsServer> {
    if let Some(external) = Server::external(&NATS) {
        return Ok(external);
    }
    let program = find_program(&NATS)?;
    let url = |port| format!("nats://127.0.0.1:{port}");
    Server::launch(
        &NATS,
        url,
        |_| Ok(()),
        move |port, _| {
            let mut command = Command::new(&program);
            command.args(["-a", "127.0.0.1", "-p", &port.to_string()]);
            command
        },
    )
    .await
}

/// Starts a Redis server, or uses the one of `REDIS_URL`.
pub async fn redis() -> anyhow::Result<RedisServer> {
    if let Some(external) = Server::external(&REDIS) {
        return Ok(external);
    }
    let program = find_program(&REDIS)?;
    let url = |port| format!("redis://127.0.0.1:{port}");
    Server::launch(
        &REDIS,
        url,
        |_| Ok(()),
        move |port, dir| {
            let mut command = Command::new(&program);
            command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
            command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(dir);
            command
        },
    )
    .await
}

/// The NATS server that the tests of this process share.
pub async fn shared_nats() -> anyhow::Result<&'static NatsServer> {
    static SHARED: OnceCell<NatsServer> = OnceCell::const_new();
    SHARED.get_or_try_init(nats).await
}

/// The Redis server that the tests of this process share.
pub async fn shared_redis() -> anyhow::Result<&'static RedisServer> {
    static SHARED: OnceCell<RedisServer> = OnceCell::const_new();
    SHARED.get_or_try_init(redis).await
}

impl Server {
    /// The one that its environment variable names.
    fn external(kind: &'static Kind) -> Option<Self> {
        let url = env::var(kind.variable?).ok().filter(|url| !url.is_empty())?;
        Some(Self { kind, url, child: None })
    }

    /// Starts one in a new folder, which `prepare` fills first.
    async fn launch(
        kind: &'static Kind,
        url: impl Fn(u16) -> String,
        prepare: impl Fn(&Path) -> anyhow::Result<()>,
        command: impl Fn(u16, &Path) -> Command + Clone + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let mut attempt = 1;
        loop {
            let dir = temp_dir()?;
            prepare(dir.path())?;
            let port = free_port()?;
            let (command, path) = (command.clone(), dir.path().to_owned());
            let log = path.join("log");
            let process = Process::new(kind.program, log, kind.stop_signal, move || command(port, &path));
            let server = Self { kind, url: url(port), child: Some(ChildServer { process, port, _dir: dir }) };
            match server.start().await {
                Ok(()) => return Ok(server),
                Err(error) if attempt == PORT_ATTEMPTS => return Err(error),
                Err(_) => attempt += 1,
            }
        }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it was there before the test, and cannot be stopped by it.
    pub fn is_external(&self) -> bool {
        self.child.is_none()
    }

    /// Its process id while it runs here.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref()?.process.pid()
    }

    /// Starts it again, on the same port and data, and waits until it answers.
    pub async fn start(&self) -> anyhow::Result<()> {
        let child = self.child()?;
        child.process.start(START_TIMEOUT, async || greet(self.kind, child.port).await.unwrap_or(false)).await
    }

    /// Stops it in order, and waits until it is gone.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.child()?.process.stop(STOP_TIMEOUT).await.map(drop)
    }

    /// Kills it with SIGKILL. Gone when this returns.
    pub async fn kill(&self) -> anyhow::Result<()> {
        self.child()?.process.kill()
    }

    /// [`stop`](Self::stop), then [`start`](Self::start).
    pub async fn restart(&self) -> anyhow::Result<()> {
        self.stop().await?;
        self.start().await
    }

    /// Lets it hang (SIGSTOP): its connections stay open and nothing answers.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.child()?.process.pause()
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&self) -> anyhow::Result<()> {
        self.child()?.process.resume()
    }

    /// Sends it any signal, by name without "SIG".
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        self.child()?.process.signal(name)
    }

    /// The last lines of its log; empty for an external one.
    pub fn log_tail(&self) -> String {
        self.child.as_ref().map(|child| child.process.log_tail()).unwrap_or_default()
    }

    fn child(&self) -> anyhow::Result<&ChildServer> {
        let Kind { program, variable, .. } = self.kind;
        self.child.as_ref().with_context(|| {
            format!("{program} is external ({} is set): leave it alone", variable.unwrap_or_default())
        })
    }
}

/// Whether the server on `port` answers as its kind does when it is ready.
async fn greet(kind: &Kind, port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(kind.greeting).await?;
    let mut answer = vec![0; kind.hello.len()];
    stream.read_exact(&mut answer).await?;
    Ok(answer == kind.hello)
}

fn find_program(kind: &Kind) -> anyhow::Result<PathBuf> {
    find_in(kind, kind.program, program_folders())
}

/// The folders of `PATH`, and where Debian puts servers for administrators.
fn program_folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]).collect()
}

fn find_in(kind: &Kind, program: &str, folders: Vec<PathBuf>) -> anyhow::Result<PathBuf> {
    match folders.into_iter().map(|folder| folder.join(program)).find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!(
            "{program} is not installed: on Debian, `apt-get install {}`{}",
            kind.package,
            kind.variable
                .map(|name| format!("; or set {name} to use a server that runs"))
                .unwrap_or_default(),
        ),
    }
}
