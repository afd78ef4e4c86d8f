//! What tasks need beside Rust: servers to start, or to be named, and for the
//! tests a table of characters.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context, bail, ensure};

use crate::announce;

/// Something that a Debian package brings.
struct Need {
    package: &'static str,
    found: Found,
}

enum Found {
    /// A server's program; not needed where the variable names one that runs.
    Server { program: &'static str, variable: &'static str },
    /// A server's program, whatever runs elsewhere.
    Program(&'static str),
    /// A program that tests run.
    Tool(&'static str),
    /// A file.
    File(&'static str),
}

/// What is to be done.
#[derive(Clone, Copy)]
pub enum Task {
    /// All tests.
    Tests,
    /// The benchmark, of everything that it compares.
    Bench,
    /// A cluster of local processes.
    Cluster {
        /// With something that watches it.
        prometheus: bool,
    },
}

const NEEDS: [Need; 7] = [
    Need { package: "nats-server", found: Found::Server { program: "nats-server", variable: "NATS_URL" } },
    Need { package: "redis-server", found: Found::Server { program: "redis-server", variable: "REDIS_URL" } },
    Need { package: "postgresql", found: Found::Server { program: "postgres", variable: "DATABASE_URL" } },
    Need { package: "prometheus", found: Found::Program("prometheus") },
    Need { package: "nodejs", found: Found::Tool("node") },
    Need { package: "npm", found: Found::Tool("npm") },
    Need { package: "unicode-data", found: Found::File("/usr/share/unicode/emoji/emoji-test.txt") },
];

impl Need {
    fn is_of(&self, task: Task) -> bool {
        match (task, &self.found) {
            (_, Found::Server { .. })
            | (Task::Tests, Found::Tool(_) | Found::File(_))
            | (Task::Bench, Found::Tool(_)) => true,
            (Task::Cluster { prometheus }, Found::Program(_)) => prometheus,
            (Task::Tests | Task::Bench, Found::Program(_))
            | (Task::Bench, Found::File(_))
            | (Task::Cluster { .. }, Found::Tool(_) | Found::File(_)) => false,
        }
    }

    fn is_there(&self, folders: &[PathBuf]) -> bool {
        match self.found {
            Found::Server { program, variable } => {
                env::var_os(variable).is_some_and(|url| !url.is_empty())
                    || folders.iter().any(|folder| folder.join(program).is_file())
            }
            Found::Program(program) | Found::Tool(program) => {
                folders.iter().any(|folder| folder.join(program).is_file())
            }
            Found::File(path) => Path::new(path).is_file(),
        }
    }

    fn advice(&self) -> String {
        match self.found {
            Found::Server { program, variable } => {
                format!("{program} (or a server that runs, named in {variable})")
            }
            Found::Program(path) | Found::Tool(path) | Found::File(path) => path.to_owned(),
        }
    }
}

/// Makes sure that everything is there, installing it where that is possible.
pub fn ensure_installed(task: Task) -> anyhow::Result<()> {
    let missing = missing(task);
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().map(|need| need.package).collect();
    let advice = format!(
        "this needs {}. On Debian: apt-get install {}",
        missing.iter().map(Need::advice).collect::<Vec<_>>().join(", "),
        packages.join(" "),
    );
    let Some(installer) = Installer::find() else {
        bail!("something is not here, and cannot be installed from here: {advice}");
    };
    announce(&format!("apt-get install {}", packages.join(" ")));
    installer.install(&packages).with_context(|| advice.clone())?;
    let still = self::missing(task);
    ensure!(
        still.is_empty(),
        "{} still cannot be found: {advice}",
        still.iter().map(Need::advice).collect::<Vec<_>>().join(", ")
    );
    Ok(())
}

fn missing(task: Task) -> Vec<Need> {
    let folders = folders();
    NEEDS.into_iter().filter(|need| need.is_of(task) && !need.is_there(&folders)).collect()
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
