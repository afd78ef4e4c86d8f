//! One `carillon` process.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Binary;
use crate::ports::free_port;
use crate::process::Process;
use crate::rest::Rest;

/// Generous: several start at once on a loaded machine.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than any drain that a test sets.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// One `carillon` process: a gateway, a dispatcher, or all in one.
pub struct Node {
    process: Process,
    address: String,
    admin: Rest,
    next_start: Arc<Mutex<NextStart>>,
}

/// What the next start is to be.
struct NextStart {
    program: PathBuf,
    settings: Vec<(String, String)>,
}

impl Node {
    /// Not started yet; `role` is the subcommand.
    pub(super) fn new(binary: &Path, role: &'static str, name: String, dir: &Path) -> anyhow::Result<Self> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let admin = format!("127.0.0.1:{}", free_port()?);
        let next_start = NextStart { program: binary.to_owned(), settings: Vec::new() };
        let next_start = Arc::new(Mutex::new(next_start));
        let log = dir.join(format!("{}.log", name.replace(' ', "-")));
        let process = Process::new(name, log, "TERM", {
            let (dir, next_start) = (dir.to_owned(), next_start.clone());
            move || {
                let start = next_start.lock().unwrap_or_else(PoisonError::into_inner);
                let mut command = Command::new(&start.program);
                // Its own folder: no carillon.toml of the repository is found.
                command.arg(role).current_dir(&dir);
                without_settings(&mut command);
                command.envs(start.settings.iter().cloned());
                command
            }
        });
        let node = Self { process, address, admin: Rest::new(format!("http://{admin}"), ""), next_start };
        if role != "dispatcher" {
            node.set("CARILLON_LISTEN", &node.address);
        }
        node.set("CARILLON_ADMIN_LISTEN", &admin);
        Ok(node)
    }

    /// Sets a setting from the next start on.
    pub fn set(&self, name: &str, value: &str) {
        let settings = &mut self.next_start().settings;
        settings.retain(|(known, _)| known != name);
        settings.push((name.to_owned(), value.to_owned()));
    }

    /// Makes it another program's process, from the next start on: for example
    /// another version's.
    pub fn set_program(&self, program: &Binary) {
        self.next_start().program.clone_from(&program.0);
    }

    fn next_start(&self) -> MutexGuard<'_, NextStart> {
        self.next_start.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_all(&self, settings: &[(String, String)]) {
        for (name, value) in settings {
            self.set(name, value);
        }
    }

    /// What it is called in errors: "gateway 0".
    pub fn name(&self) -> &str {
        self.process.name()
    }

    /// Host and port on which it serves clients, or as a dispatcher gateways.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its admin interface: `/metrics`, `/livez`, `/readyz`.
    pub fn admin(&self) -> &Rest {
        &self.admin
    }

    /// Whether it says that it is ready.
    pub async fn is_ready(&self) -> bool {
        self.admin.get("/readyz").await.is_ok_and(|answer| answer.status == 200)
    }

    /// The value of a metric, summed over its labels; 0 if it is not there.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let metrics = self.admin.get("/metrics").await?.ok()?;
        Ok(sum_metric(metrics.as_str().unwrap_or_default(), name))
    }

    /// Starts it, on the same ports and data as before, and waits until it is ready.
    pub async fn start(&self) -> anyhow::Result<()> {
        self.process.start(START_TIMEOUT, async || self.is_ready().await).await
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    pub async fn stop(&self) -> anyhow::Result<ExitStatus> {
        self.process.stop(STOP_TIMEOUT).await
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&self) -> anyhow::Result<ExitStatus> {
        self.process.ended(STOP_TIMEOUT).await
    }

    /// Kills it (SIGKILL).
    pub fn kill(&self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// [`stop`](Self::stop), then [`start`](Self::start).
    pub async fn restart(&self) -> anyhow::Result<()> {
        self.stop().await?;
        self.start().await
    }

    /// Lets it hang (SIGSTOP).
    pub fn pause(&self) -> anyhow::Result<()> {
        self.process.pause()
    }

    /// Lets it go on.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.process.resume()
    }

    /// Sends it any signal, by name without "SIG".
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        self.process.signal(name)
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    /// Its whole log, over all its starts.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.process.log()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}

/// What is set where the tests run is not for the processes under test.
pub(super) fn without_settings(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("CARILLON_") {
            command.env_remove(name);
        }
    }
}

/// Sums the samples of a metric in Prometheus's text format.
fn sum_metric(text: &str, name: &str) -> f64 {
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labels) => labels.rsplit_once("} ")?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split(' ').next()?.parse::<f64>().ok()
    });
    samples.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_metric_are_summed() {
        let text = "# TYPE a counter\na{x=\"} 1\"} 2\na 3\na_total 5\na{y=\"z\"} 0.5 1700000000\n";
        assert_eq!(sum_metric(text, "a"), 5.5);
        assert_eq!(sum_metric(text, "b"), 0.0);
    }
}
