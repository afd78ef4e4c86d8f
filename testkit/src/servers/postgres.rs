//! PostgreSQL, with a fresh database for each test that asks.

use std::fs::{self, File, Permissions};
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail, ensure};
use tokio::sync::OnceCell;

use super::{Kind, Server, find_in, program_folders};

/// The greeting is a start-up packet (protocol 3.0, user and database
/// `postgres`). It is refused until recovery is over; then "authentication ok"
/// is the first answer.
const POSTGRES: Kind = Kind {
    program: "postgres",
    package: "postgresql",
    variable: Some("DATABASE_URL"),
    // "Fast": ends sessions, then stops in order.
    stop_signal: "INT",
    greeting: b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0",
    hello: b"R\0\0\0\x08\0\0\0\0",
};

/// How a PostgreSQL server is started.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Flush commits to disk, as in production: where the machine's power is cut
    /// or speed is measured. Without, an answered commit still survives the
    /// server's own crash, because it has reached the operating system.
    pub fsync: bool,
    /// Further settings, as in `postgresql.conf`.
    pub settings: Vec<(String, String)>,
}

/// A PostgreSQL server; everything a [`Server`] can do, and databases.
pub struct PostgresServer {
    server: Server,
    /// Databases to drop from an external server.
    created: Mutex<Vec<String>>,
}

impl Deref for PostgresServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// Starts a PostgreSQL server for function tests, or uses the one of `DATABASE_URL`.
pub async fn postgres() -> anyhow::Result<PostgresServer> {
    postgres_with(PostgresOptions::default()).await
}

/// Starts a PostgreSQL server, or uses the one of `DATABASE_URL` as it is.
pub async fn postgres_with(options: PostgresOptions) -> anyhow::Result<PostgresServer> {
    let server = match Server::external(&POSTGRES) {
        Some(external) => external,
        None => launch(options).await?,
    };
    Ok(PostgresServer { server, created: Mutex::default() })
}

/// The PostgreSQL server that the tests of this process share; each takes a
/// database of its own.
pub async fn shared_postgres() -> anyhow::Result<&'static PostgresServer> {
    static SHARED: OnceCell<PostgresServer> = OnceCell::const_new();
    SHARED.get_or_try_init(postgres).await
}

impl PostgresServer {
    /// Creates an empty database and answers with its URL.
    pub async fn create_database(&self) -> anyhow::Result<String> {
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        self.execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await?;
        if self.is_external() {
            self.created.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        }
        Ok(with_database(self.url(), &name))
    }

    /// Removes a database, whoever is connected to it.
    pub async fn drop_database(&self, url: &str) -> anyhow::Result<()> {
        let name = url.rsplit_once('/').map_or("", |(_, name)| name);
        let name = name.split_once('?').map_or(name, |(name, _)| name);
        self.execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
    }

    /// Runs one statement as administrator, outside any test's database.
    pub async fn execute(&self, statement: &str) -> anyhow::Result<()> {
        let mut command = psql(self.url(), statement)?;
        let output = tokio::task::spawn_blocking(move || command.output()).await?.context("run psql")?;
        ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let created = self.created.get_mut().unwrap_or_else(PoisonError::into_inner);
        for name in created.drain(..) {
            let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            if let Ok(mut command) = psql(self.server.url(), &drop) {
                // What stays behind is an empty name on somebody's test server.
                let _ = command.output();
            }
        }
    }
}

fn psql(url: &str, statement: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(find_in(&POSTGRES, "psql", folders())?);
    command.args([
        "--no-psqlrc",
        "--quiet",
        "--set=ON_ERROR_STOP=1",
        "--dbname",
        url,
        "--command",
        statement,
    ]);
    Ok(command)
}

/// The URL with another database in its path.
fn with_database(url: &str, name: &str) -> String {
    let (url, query) = url.split_once('?').map_or((url, None), |(url, query)| (url, Some(query)));
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find('/').map_or(url.len(), |at| host + at);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{name}{query}", &url[..end])
}

/// `PATH`, then Debian's folder of the newest version installed.
fn folders() -> Vec<PathBuf> {
    let mut folders = program_folders();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = versions.map(|entry| entry.path()).collect();
    versions.sort_by_key(|path| {
        let version = path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
        std::cmp::Reverse(version.unwrap_or(0))
    });
    folders.extend(versions.into_iter().map(|version| version.join("bin")));
    folders
}

/// The account to run as: PostgreSQL refuses root.
#[derive(Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// `None`: the one we are.
    fn other_than_root() -> anyhow::Result<Option<Self>> {
        if own_uid() != 0 {
            return Ok(None);
        }
        let accounts = fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
        for line in accounts.lines() {
            let fields: Vec<_> = line.split(':').collect();
            if let ["postgres", _, uid, gid, ..] = fields[..] {
                return Ok(Some(Self { uid: uid.parse()?, gid: gid.parse()? }));
            }
        }
        bail!("PostgreSQL does not run as root, and there is no user `postgres` to run it as");
    }

    fn apply(account: Option<Self>, command: &mut Command) {
        if let Some(Account { uid, gid }) = account {
            command.uid(uid).gid(gid);
        }
    }
}

/// Of this process; where there is no `/proc`, it is not run by root.
fn own_uid() -> u32 {
    fs::metadata("/proc/self").map_or(u32::MAX, |own| own.uid())
}

async fn launch(options: PostgresOptions) -> anyhow::Result<Server> {
    let program = find_in(&POSTGRES, "postgres", folders())?;
    let account = Account::other_than_root()?;
    let template = {
        let program = program.clone();
        tokio::task::spawn_blocking(move || template(&program, account)).await??
    };
    let url = |port| format!("postgres://postgres@127.0.0.1:{port}/postgres");
    let prepare = |dir: &Path| {
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(&template).arg(dir.join("data"));
        run(&mut copy)
    };
    Server::launch(&POSTGRES, url, prepare, move |port, dir| {
        let mut command = Command::new(&program);
        Account::apply(account, &mut command);
        command.current_dir(dir).arg("-D").arg(dir.join("data"));
        command.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        command.args(["-c", "unix_socket_directories="]);
        if !options.fsync {
            command.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
        }
        for (name, value) in &options.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command
    })
    .await
}

/// A freshly initialized data folder to copy from. `initdb` takes seconds, so
/// it is kept between runs, per user and version of the server.
fn template(postgres: &Path, account: Option<Account>) -> anyhow::Result<PathBuf> {
    let cache = PathBuf::from(format!("/tmp/carillon-testkit-{}", own_uid()));
    fs::create_dir_all(&cache)?;
    // Everybody may write in /tmp, and only an owner may do this.
    fs::set_permissions(&cache, Permissions::from_mode(0o755))
        .context("the cache belongs to another user")?;

    let version = Command::new(postgres).arg("--version").output().context("run postgres")?;
    let version = String::from_utf8_lossy(&version.stdout);
    let version: String = version.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    let ready = cache.join(format!("postgresql-{version}"));

    // One makes it, the others wait.
    let lock = File::create(cache.join("lock"))?;
    lock.lock()?;
    if ready.is_dir() {
        return Ok(ready);
    }
    let staging = tempfile::Builder::new().prefix("initdb-").tempdir_in(&cache)?;
    if let Some(Account { uid, gid }) = account {
        chown(staging.path(), Some(uid), Some(gid))?;
    }
    let data = staging.path().join("data");
    let mut initdb = Command::new(find_in(&POSTGRES, "initdb", folders())?);
    Account::apply(account, &mut initdb);
    initdb.current_dir(staging.path()).arg("-D").arg(&data);
    initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]);
    initdb.args(["--no-sync", "--no-instructions"]);
    run(&mut initdb)?;
    fs::rename(&data, &ready)?;
    Ok(ready)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("run {:?}", command.get_program()))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?} ended with {}: {error}", command.get_program(), output.status);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_of_a_url_is_exchanged() {
        for (url, expected) in [
            ("postgres://u@h:1/postgres", "postgres://u@h:1/new"),
            ("postgres://u:p@h", "postgres://u:p@h/new"),
            ("postgresql://h/old?sslmode=require", "postgresql://h/new?sslmode=require"),
        ] {
            assert_eq!(with_database(url, "new"), expected);
        }
    }
}
