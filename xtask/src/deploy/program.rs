//! Whether the program takes the settings that the chart gives it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::release::{Pods, Release, list, name};
use super::{Findings, run_to_end, text};
use crate::cargo;

/// What Secrets could hold.
const SECRETS: [(&str, &str); 4] = [
    ("CARILLON_DATABASE_URL", "postgres://user:password@host/database"),
    ("CARILLON_JWT_SECRET", "a stand-in, long enough for HS256"),
    ("CARILLON_NATS_URL", "nats://user:password@host:4222"),
    ("CARILLON_REDIS_URL", "rediss://:password@host:6379"),
];
/// Names a file in the pod.
const PUBLIC_KEY: &str = "CARILLON_JWT_PUBLIC_KEY_FILE";

/// The program, built from these sources.
pub struct Program {
    binary: PathBuf,
    /// Where it finds no configuration of its own, and files for it may lie.
    folder: PathBuf,
}

impl Program {
    /// Builds it.
    pub fn build(target: &Path, folder: &Path) -> anyhow::Result<Self> {
        let mut build =
            cargo(&["build", "--quiet", "--package", "carillon", "--bin", "carillon", "--target-dir"]);
        let status = build.arg(target).status().context("run cargo")?;
        ensure!(status.success(), "cargo build ended with {status}");
        let folder = folder.join("settings");
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        Ok(Self { binary: target.join("debug/carillon"), folder })
    }

    /// What it says against the settings of each of its pods.
    pub fn refusals(&self, release: &Release) -> anyhow::Result<Findings> {
        let mut findings = Findings::new();
        for pods in release.pods() {
            let Some(server) = pods.server() else { continue };
            let role = server["args"][0].as_str().unwrap_or_default();
            let mut check = Command::new(&self.binary);
            check.args(["check-config", role]).current_dir(&self.folder).env_clear();
            let output = run_to_end(check.envs(self.variables(release, &pods, server)?))?;
            if !output.status.success() {
                findings.push(format!("{}: {}: {}", release.name, pods.owner, text(&output.stderr)));
            }
        }
        Ok(findings)
    }

    fn variables(
        &self,
        release: &Release,
        pods: &Pods,
        container: &Value,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let mut variables = BTreeMap::new();
        let mut set = |name: &str, value: &str| variables.insert(name.to_owned(), value.to_owned());
        for from in list(&container["envFrom"]) {
            let map = from["configMapRef"]["name"].as_str().unwrap_or_default();
            let map = release.find("ConfigMap", map).with_context(|| format!("{map} is not there"))?;
            for (name, value) in map["data"].as_object().into_iter().flatten() {
                let value = value.as_str();
                set(
                    name,
                    value.with_context(|| format!("{}: {name} is no string", super::release::name(map)))?,
                );
            }
        }
        for variable in list(&container["env"]) {
            let name = variable["name"].as_str().unwrap_or_default();
            let stand_in = SECRETS.iter().find(|(secret, _)| *secret == name).map(|(_, value)| *value);
            let value = variable["value"].as_str().or(stand_in);
            set(name, value.with_context(|| format!("nobody knows what {name} could be"))?);
        }
        if let Some(path) = variables.get_mut(PUBLIC_KEY) {
            *path = self.mounted(release, pods, path)?.to_string_lossy().into_owned();
        }
        Ok(variables)
    }

    /// A file of a ConfigMap's, as the pod would find it.
    fn mounted(&self, release: &Release, pods: &Pods, path: &str) -> anyhow::Result<PathBuf> {
        let maps =
            list(&pods.spec["volumes"]).iter().filter_map(|volume| volume["configMap"]["name"].as_str());
        let (_, file) = path.rsplit_once('/').with_context(|| format!("{path} is no path"))?;
        let maps = maps.filter_map(|map| release.find("ConfigMap", map));
        let (map, content) = maps
            .filter_map(|map| Some((map, map["data"][file].as_str()?)))
            .next()
            .with_context(|| format!("{} mounts no {file}", pods.owner))?;
        let copy = self.folder.join(format!("{}-{}-{file}", release.name, name(map)));
        fs::write(&copy, content).with_context(|| format!("write {}", copy.display()))?;
        Ok(copy)
    }
}
