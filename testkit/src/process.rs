//! A child process that tests start, stop, kill, pause and start again, and
//! that never outlives the test: on drop it is killed, and if the test itself
//! dies, a watchdog process does it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::wait::try_eventually;

/// How much of a log is shown when something fails.
const LOG_TAIL_LINES: usize = 40;
/// How often, and how far apart, killed children are looked for: 5 s in all.
const KILL_LOOKS: usize = 500;
const KILL_PAUSE: Duration = Duration::from_millis(10);

/// A program with its arguments, started at most once at a time.
pub struct Process {
    name: String,
    command: Box<dyn Fn() -> Command + Send + Sync>,
    stop_signal: &'static str,
    log: PathBuf,
    running: Mutex<Option<Running>>,
}

struct Running {
    child: Child,
    /// What a pause stopped, besides the child itself.
    paused: Vec<u32>,
}

impl Process {
    /// A process that `command` describes anew for each start; `stop_signal`
    /// ("TERM", "INT") asks it to stop. Both of its outputs go to `log`.
    pub fn new(
        name: impl Into<String>,
        log: impl Into<PathBuf>,
        stop_signal: &'static str,
        command: impl Fn() -> Command + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            command: Box::new(command),
            stop_signal,
            log: log.into(),
            running: Mutex::new(None),
        }
    }

    /// What it is called in errors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.lock().as_ref().map(|running| running.child.id())
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its output.
    pub fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    /// Starts it, and waits until `is_ready` says so. An error shows the end of
    /// its log, and leaves it not running.
    pub async fn start(
        &self,
        timeout: Duration,
        mut is_ready: impl AsyncFnMut() -> bool,
    ) -> anyhow::Result<()> {
        self.spawn()?;
        let what = format!("{} to become ready", self.name);
        let up = try_eventually(what, timeout, async || {
            if let Some(status) = self.exited() {
                return Some(Err(status));
            }
            is_ready().await.then_some(Ok(()))
        })
        .await;
        let error = match up {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(status)) => anyhow::anyhow!("{} ended with {status}", self.name),
            Err(error) => error,
        };
        self.kill_now();
        Err(error.context(format!("the log of {} ends with:\n{}", self.name, self.log_tail())))
    }

    /// Asks it to stop, and waits until it has.
    pub async fn stop(&self, timeout: Duration) -> anyhow::Result<ExitStatus> {
        self.resume()?;
        self.signal(self.stop_signal)?;
        self.ended(timeout).await.with_context(|| format!("{} was asked to stop", self.name))
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&self, timeout: Duration) -> anyhow::Result<ExitStatus> {
        try_eventually(format!("{} to end", self.name), timeout, async || self.exited()).await
    }

    /// Ends it and its children with SIGKILL. Gone when this returns.
    pub fn kill(&self) -> anyhow::Result<()> {
        ensure!(self.kill_now(), "{} does not run", self.name);
        Ok(())
    }

    /// Stops it and its children with SIGSTOP: connections stay, nothing answers.
    pub fn pause(&self) -> anyhow::Result<()> {
        let mut running = self.lock();
        let Some(running) = running.as_mut() else { bail!("{} does not run", self.name) };
        let pid = running.child.id();
        // The parent first, or it could start children that nobody stops.
        send_signal("STOP", &[pid])?;
        let children = descendants(pid);
        for child in &children {
            watchdog(&format!("+ {child}"));
            // One that has just ended needs no stopping.
            let _ = send_signal("STOP", &[*child]);
        }
        running.paused.extend(children);
        Ok(())
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&self) -> anyhow::Result<()> {
        let mut running = self.lock();
        let Some(running) = running.as_mut() else { bail!("{} does not run", self.name) };
        for child in running.paused.drain(..) {
            let _ = send_signal("CONT", &[child]);
            watchdog(&format!("- {child}"));
        }
        send_signal("CONT", &[running.child.id()])
    }

    /// Sends it any signal, by name without "SIG".
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        match self.pid() {
            Some(pid) => send_signal(name, &[pid]),
            None => bail!("{} does not run", self.name),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self) -> anyhow::Result<()> {
        let mut running = self.lock();
        ensure!(running.is_none(), "{} runs already", self.name);
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log: File = log.with_context(|| format!("open {}", self.log.display()))?;
        let mut command = (self.command)();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C in the terminal is for the test, which then ends this in order.
            .process_group(0);
        let child = command.spawn().with_context(|| format!("start {}", self.name))?;
        watchdog(&format!("+ {}", child.id()));
        *running = Some(Running { child, paused: Vec::new() });
        Ok(())
    }

    /// How it ended; `None` while it runs.
    fn exited(&self) -> Option<ExitStatus> {
        let mut slot = self.lock();
        let running = slot.as_mut()?;
        let status = running.child.try_wait().ok().flatten()?;
        watchdog(&format!("- {}", running.child.id()));
        *slot = None;
        Some(status)
    }

    fn kill_now(&self) -> bool {
        let Some(mut running) = self.lock().take() else { return false };
        let pid = running.child.id();
        // Stopped, it cannot start further children while they are counted.
        let _ = send_signal("STOP", &[pid]);
        let children = descendants(pid);
        let _ = running.child.kill();
        for child in &children {
            let _ = send_signal("KILL", &[*child]);
        }
        let _ = running.child.wait();
        // PostgreSQL does not start again while one of its old processes holds
        // the shared memory, and a killed process takes an instant to end.
        for _ in 0..KILL_LOOKS {
            if !children.iter().any(|child| lives(*child)) {
                break;
            }
            pause_thread(KILL_PAUSE);
        }
        watchdog(&format!("- {pid}"));
        for child in running.paused {
            watchdog(&format!("- {child}"));
        }
        true
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_now();
    }
}

/// Sends through the shell's own `kill`: it is there on every system.
fn send_signal(name: &str, pids: &[u32]) -> anyhow::Result<()> {
    let status = Command::new("sh")
        .args(["-c", r#"kill -s "$0" "$@""#, name])
        .args(pids.iter().map(u32::to_string))
        .stderr(Stdio::null())
        .status()
        .context("run kill")?;
    ensure!(status.success(), "no process took SIG{name}");
    Ok(())
}

/// Whether a process runs: neither gone nor only waiting to be reaped.
fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().next());
    state.is_some_and(|state| !matches!(state, "Z" | "X"))
}

/// Blocks this thread: killing is also done on drop, which cannot await.
#[allow(clippy::disallowed_methods)]
fn pause_thread(time: Duration) {
    std::thread::sleep(time);
}

/// All children of a process, and theirs. Empty where there is no `/proc`.
fn descendants(pid: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let parents: Vec<(u32, u32)> = entries
        .filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // "pid (name) state parent ...": the name may hold anything, also brackets.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        next += 1;
    }
    found.remove(0);
    found
}

/// Reads which processes and folders are ours, and removes them when its input
/// ends: that is when this process is gone, however that happened.
const WATCHDOG: &str = r#"
pids= dirs=
while read -r verb what; do
  case $verb in
    +) pids="$pids $what" ;;
    -) kept=; for pid in $pids; do [ "$pid" = "$what" ] || kept="$kept $pid"; done; pids=$kept ;;
    dir) dirs="$dirs $what" ;;
  esac
done
[ -z "$pids" ] || kill -s KILL $pids
for attempt in 1 2 3 4 5; do
  [ -z "$dirs" ] || rm -rf $dirs && break
  sleep 0.2
done
"#;

fn watchdog(line: &str) {
    static INPUT: OnceLock<Option<Mutex<ChildStdin>>> = OnceLock::new();

    let input = INPUT.get_or_init(|| {
        let mut shell = Command::new("sh")
            .args(["-c", WATCHDOG, "carillon-test-watchdog"])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .ok()?;
        shell.stdin.take().map(Mutex::new)
    });
    // Without a watchdog, drop still cleans up after all but a killed test.
    if let Some(input) = input {
        let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(input, "{line}");
    }
}

/// A folder under `/tmp` that other users may pass through (PostgreSQL refuses
/// to run as root), removed on drop or by the watchdog.
pub fn temp_dir() -> anyhow::Result<tempfile::TempDir> {
    temp_dir_in("/tmp")
}

/// The same in memory, where there is such a folder: for tests to which a busy
/// disk, whose flushes take seconds, is no part of what they test.
pub fn temp_dir_in_memory() -> anyhow::Result<tempfile::TempDir> {
    let memory = "/dev/shm";
    temp_dir_in(if Path::new(memory).is_dir() { memory } else { "/tmp" })
}

fn temp_dir_in(parent: &str) -> anyhow::Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::Builder::new()
        .prefix("carillon-")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in(parent)
        .context("make a temporary folder")?;
    watchdog(&format!("dir {}", dir.path().display()));
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(dir: &Path, script: &str) -> Process {
        let script = script.to_owned();
        Process::new("a shell", dir.join("log"), "TERM", move || {
            let mut command = Command::new("sh");
            command.args(["-c", &script]);
            command
        })
    }

    fn state(pid: u32) -> Option<char> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }

    #[tokio::test]
    async fn a_process_that_ends_early_shows_its_log() {
        let dir = temp_dir().unwrap();
        let process = shell(dir.path(), "echo no such luck; exit 3");
        let error = process.start(SOON, async || false).await.unwrap_err();
        assert!(format!("{error:#}").contains("no such luck"), "{error:#}");
        assert!(process.pid().is_none());
    }

    #[tokio::test]
    async fn children_are_paused_and_killed_too() {
        let dir = temp_dir().unwrap();
        let process = shell(dir.path(), "sleep 1000 & sleep 1000");
        let mut family = Vec::new();
        process
            .start(SOON, async || {
                family = process.pid().map(descendants).unwrap_or_default();
                family.len() == 2
            })
            .await
            .unwrap();
        family.push(process.pid().unwrap());

        process.pause().unwrap();
        for pid in &family {
            crate::eventually("a stopped process", SOON, async || (state(*pid) == Some('T')).then_some(()))
                .await;
        }
        process.resume().unwrap();
        for pid in &family {
            crate::eventually("a running process", SOON, async || (state(*pid) != Some('T')).then_some(()))
                .await;
        }
        process.kill().unwrap();
        for pid in &family {
            crate::eventually("a dead process", SOON, async || {
                matches!(state(*pid), None | Some('Z' | 'X')).then_some(())
            })
            .await;
        }
        assert!(process.kill().is_err());
    }

    #[tokio::test]
    async fn it_stops_on_request_and_starts_again() {
        let dir = temp_dir().unwrap();
        let process = shell(dir.path(), "trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done");
        let up = async || process.log_tail().ends_with("up");
        process.start(SOON, up).await.unwrap();
        assert_eq!(process.stop(SOON).await.unwrap().code(), Some(7));
        process.start(SOON, up).await.unwrap();
        assert!(process.start(SOON, async || true).await.is_err(), "it runs already");
    }
}
