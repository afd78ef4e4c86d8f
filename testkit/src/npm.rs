//! Scripts for Node.js, and the packages that they import, each as its lock
//! file says.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

/// Makes `folder` a copy of the scripts in `source`, with what they import:
/// installed once, and again when the lock file has changed.
pub fn install(source: &Path, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    // Another run of the tests may be at it.
    let lock = File::create(folder.join("lock"))?;
    lock.lock().context("lock the folder")?;
    let stamp = folder.join("installed");
    let wanted = fs::read_to_string(source.join("package-lock.json")).context("read the lock file")?;
    if fs::read_to_string(&stamp).ok().as_ref() != Some(&wanted) {
        for file in ["package.json", "package-lock.json"] {
            fs::copy(source.join(file), folder.join(file)).with_context(|| format!("copy {file}"))?;
        }
        // Nothing that a package brings runs before a script imports it.
        let npm = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(folder)
            .output()
            .context("run npm (Debian: apt-get install nodejs npm)")?;
        ensure!(npm.status.success(), "npm ci: {}", String::from_utf8_lossy(&npm.stderr));
        fs::write(&stamp, wanted).context("note what is installed")?;
    }
    // Modules are looked for where the script lies.
    for entry in fs::read_dir(source)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "mjs") {
            let name = path.file_name().context("a script has a name")?;
            fs::copy(&path, folder.join(name)).with_context(|| format!("copy {}", path.display()))?;
        }
    }
    Ok(())
}
