//! The benchmark. The work is done by a program of `testkit`, which this builds
//! with everything that it measures, and becomes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::cluster::{become_it, build, target, testkit_program};
use crate::{announce, needs, root};

/// Where the servers lie that Carillon is compared with.
const NODE_SERVERS: &str = "loadtest/compare/node";

/// The options of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Bench {
    /// Rounds of the tables.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    repeat: u16,
    /// Rounds of the curves.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    curve_repeat: u16,
    /// Only these rows and curves, separated by commas; --list names them.
    #[arg(long, value_name = "ROWS")]
    only: Option<String>,
    /// Only these contestants, separated by commas; --list names them.
    #[arg(long, value_name = "NAMES")]
    contestants: Option<String>,
    /// Small and short, in one round: to see that everything works. The figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Build as tests do. The figures mean nothing.
    #[arg(long)]
    debug: bool,
    /// Show what would be run, and end.
    #[arg(long)]
    list: bool,
    /// Rewrite the tables and curves of docs/performance.md.
    #[arg(long)]
    write: bool,
    /// Measure nothing: take these results.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

/// What is asked for needs which of the others.
#[derive(Debug, PartialEq, Eq)]
struct Others {
    node: bool,
    floor: bool,
}

impl Others {
    /// All, or those who are named.
    fn of(contestants: Option<&str>) -> Self {
        let Some(contestants) = contestants else { return Self { node: true, floor: true } };
        let names = || contestants.split(',').map(str::trim);
        Self {
            floor: names().any(|name| name == "floor" || name == "cork"),
            node: names().any(|name| name.contains("sio") || name == "tuned"),
        }
    }
}

/// Runs `cargo xtask bench`. Returns only if that cannot be started.
pub fn run(options: &Bench) -> anyhow::Result<bool> {
    let (folder, profile) = if options.debug { ("debug", &[][..]) } else { ("release", &["--release"][..]) };
    let built = |program: &str| target().join(folder).join(program);
    // Nothing of it is looked at where nothing is measured.
    let measures = !options.list && options.from.is_none();
    let others = Others::of(options.contestants.as_deref());
    let mut packages = vec!["--package", "carillon", "--package", "loadtest"];
    if others.floor {
        packages.extend(["--package", "floor"]);
    }
    let mut node = None;
    if measures {
        needs::ensure_installed(needs::Task::Bench)?;
        build(&[&["build", "--bins"][..], &packages, profile].concat())?;
        node = others.node.then(install_node_servers).transpose()?;
    }
    let mut command = testkit_program("bench")?;
    command.arg("--carillon").arg(built("carillon")).arg("--loadtest").arg(built("carillon-loadtest"));
    if others.floor {
        command.arg("--floor").arg(built("carillon-floor"));
    }
    if let Some(node) = node {
        command.arg("--node-server").arg(node);
    }
    command.arg("--out").arg(target().join("bench"));
    command.args(["--repeat", &options.repeat.to_string()]);
    command.args(["--curve-repeat", &options.curve_repeat.to_string()]);
    for (flag, value) in [("--only", &options.only), ("--contestants", &options.contestants)] {
        if let Some(value) = value {
            command.args([flag, value]);
        }
    }
    if let Some(file) = &options.from {
        // The program runs in the repository.
        command.arg("--from").arg(std::path::absolute(file)?);
    }
    for (flag, given) in [("--quick", options.quick), ("--list", options.list), ("--write", options.write)] {
        if given {
            command.arg(flag);
        }
    }
    become_it(command)
}

/// Copies the Node.js servers below target/, with the packages that their lock
/// file names beside them, for that is where modules are looked for; the program.
fn install_node_servers() -> anyhow::Result<PathBuf> {
    let (source, folder) = (root().join(NODE_SERVERS), target().join("bench-node"));
    let lock = source.join("package-lock.json");
    let wanted = fs::read_to_string(&lock).with_context(|| format!("read {}", lock.display()))?;
    // Written last: half an installation is none.
    let stamp = folder.join("installed");
    if fs::read_to_string(&stamp).ok().as_ref() != Some(&wanted) {
        announce(&format!("installing the packages of {NODE_SERVERS} into {}", folder.display()));
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("empty {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        copy(&source, &folder, "json")?;
        // Nothing that a package brings runs before it is asked for.
        let args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        let status = Command::new("npm").args(args).current_dir(&folder).stdin(Stdio::null()).status();
        let status = status.context("run npm: this needs Node.js 20 or newer")?;
        ensure!(status.success(), "npm ended with {status}");
        fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))?;
    }
    copy(&source, &folder, "mjs")?;
    Ok(folder.join("server.mjs"))
}

/// Copies the files with this ending.
fn copy(from: &Path, to: &Path, ending: &str) -> anyhow::Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let path = entry?.path();
        if let (Some(name), true) = (path.file_name(), path.extension().is_some_and(|known| known == ending))
        {
            fs::copy(&path, to.join(name)).with_context(|| format!("copy {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_built_and_installed() {
        let others = |names| Others::of(names);
        assert_eq!(others(None), Others { node: true, floor: true });
        assert_eq!(others(Some("standalone,cluster-1")), Others { node: false, floor: false });
        assert_eq!(others(Some("standalone, cork")), Others { node: false, floor: true });
        assert_eq!(others(Some("x2-sio-pg")), Others { node: true, floor: false });
        assert_eq!(others(Some("tuned")), Others { node: true, floor: false });
    }
}
