//! Workers that are child processes of the coordinator.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures_util::future::select_all;
use tokio::process::{Child, Command};

/// Who is done ends by then.
const ENDS: Duration = Duration::from_secs(10);

/// Workers of this machine. They do not outlive it.
#[derive(Default)]
pub struct Children(Vec<Child>);

impl Children {
    /// Starts so many for a coordinator at this address.
    pub fn spawn(count: usize, coordinator: SocketAddr, secret: &str) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let start = |_| {
            Command::new(&program)
                .args(["worker", "--coordinator", &coordinator.to_string()])
                // Not among the arguments, which everybody on the machine can read.
                .env("CARILLON_JWT_SECRET", secret)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                // Ctrl-C is the coordinator's, which ends them in order.
                .process_group(0)
                .kill_on_drop(true)
                .spawn()
                .with_context(|| format!("starting {}", program.display()))
        };
        Ok(Self((0..count).map(start).collect::<Result<_, _>>()?))
    }

    /// Waits for one to end, which it should not; if there are none, for ever.
    pub async fn ended(&mut self) -> anyhow::Error {
        if self.0.is_empty() {
            std::future::pending::<()>().await;
        }
        let ends = self.0.iter_mut().map(|child| {
            let pid = child.id().unwrap_or_default();
            Box::pin(async move { (pid, child.wait().await) })
        });
        let ((pid, status), ..) = select_all(ends).await;
        let status = status.as_ref().map_or_else(ToString::to_string, ExitStatus::to_string);
        anyhow!("the worker of process {pid} ended before all had come: {status}")
    }

    /// Lets those who are done end by themselves.
    pub async fn end(mut self) {
        let ends = self.0.iter_mut().map(Child::wait);
        // Who does not is killed.
        _ = tokio::time::timeout(ENDS, futures_util::future::join_all(ends)).await;
    }
}
