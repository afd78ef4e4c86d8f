//! The servers that tests start must be installed, or others be named.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context, bail, ensure};

use crate::announce;

struct Server {
    program: &'static str,
    package: &'static str,
    variable: &'static str,
}

const SERVERS: [Server; 3] = [
    Server { program: "nats-server", package: "nats-server", variable: "NATS_URL" },
    Server { program: "redis-server", package: "redis-server", variable: "REDIS_URL" },
    Server { program: "postgres", package: "postgresql", variable: "DATABASE_URL" },
];

/// Installed along with the servers: tables of characters, for tests of text
/// from outside. No test needs it to run.
const TABLES: &str = "unicode-data";

/// Makes sure that each can be started or is named by its variable.
pub fn ensure_installed() -> anyhow::Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().map(|server| server.package).collect();
    let variables: Vec<_> = missing.iter().map(|server| server.variable).collect();
    let advice = format!(
        "install {}, or name servers that run in {}. On Debian: apt-get install {}",
        missing.iter().map(|server| server.program).collect::<Vec<_>>().join(", "),
        variables.join(", "),
        packages.join(" "),
    );
    let Some(installer) = Installer::find() else {
        bail!("the tests need servers that are not here, and that cannot be installed from here: {advice}");
    };
    let packages = [&packages[..], &[TABLES]].concat();
    announce(&format!("apt-get install {}", packages.join(" ")));
    installer.install(&packages).with_context(|| advice.clone())?;
    let names: Vec<_> = self::missing().iter().map(|server| server.program).collect();
    ensure!(names.is_empty(), "{} still cannot be found: {advice}", names.join(", "));
    Ok(())
}

fn missing() -> Vec<Server> {
    let folders = folders();
    let is_there = |server: &Server| {
        env::var_os(server.variable).is_some_and(|url| !url.is_empty())
            || folders.iter().any(|folder| folder.join(server.program).is_file())
    };
    SERVERS.into_iter().filter(|server| !is_there(server)).collect()
}

/// Where the tests look, too: `PATH`, and where Debian puts servers.
fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<_> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    folders.extend(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    folders
}

/// `apt-get` with the right to install.
struct Installer {
    sudo: bool,
}

impl Installer {
    fn find() -> Option<Self> {
        let apt = ["/usr/bin/apt-get", "/bin/apt-get"].iter().any(|path| Path::new(path).is_file());
        if !apt {
            return None;
        }
        let output = |program: &str, args: &[&str]| {
            Command::new(program).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output()
        };
        if output("id", &["-u"]).is_ok_and(|id| id.stdout == b"0\n") {
            return Some(Self { sudo: false });
        }
        let sudo = output("sudo", &["-n", "true"]).is_ok_and(|output| output.status.success());
        sudo.then_some(Self { sudo: true })
    }

    fn install(&self, packages: &[&str]) -> anyhow::Result<()> {
        // An old list still installs where the network is a mirror with gaps;
        // if it does not, installing says so.
        if let Err(error) = self.apt(&["update", "--quiet"]) {
            eprintln!("{error:#}");
        }
        let install = ["install", "--quiet", "--yes", "--no-install-recommends"];
        self.apt(&[&install[..], packages].concat())
    }

    fn apt(&self, args: &[&str]) -> anyhow::Result<()> {
        let mut command = if self.sudo {
            let mut sudo = Command::new("sudo");
            sudo.args(["-n", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
            sudo
        } else {
            let mut apt = Command::new("apt-get");
            apt.env("DEBIAN_FRONTEND", "noninteractive");
            apt
        };
        let status = command.args(args).stdin(Stdio::null()).status().context("run apt-get")?;
        ensure!(status.success(), "apt-get {} ended with {status}", args[0]);
        Ok(())
    }
}
