//! A rolling restart, and what it did to those who stayed.

use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context;

use crate::client::now;
use crate::cluster::{Node, System};
use crate::crowd::Return;

/// One process that was stopped and started again.
#[derive(Debug, Clone)]
pub struct Restart {
    /// Which one: "gateway 0".
    pub node: String,
    /// When it was asked to stop.
    pub asked: Duration,
    /// When its process had ended.
    pub ended: Duration,
    /// How: with success when all was done in order, and in time.
    pub status: ExitStatus,
    /// When the new process was ready.
    pub ready: Duration,
}

/// Restarts one process; `between` has it changed while it is down.
pub async fn restart(node: &Node, between: impl FnOnce(&Node)) -> anyhow::Result<Restart> {
    let asked = now();
    let status = node.stop().await?;
    let ended = now();
    between(node);
    node.start().await.with_context(|| format!("start {} again", node.name()))?;
    Ok(Restart { node: node.name().to_owned(), asked, ended, status, ready: now() })
}

/// Restarts all processes of a cluster, each after the one before is ready:
/// dispatchers first, as for an upgrade.
pub async fn restart_all(system: &System) -> anyhow::Result<Vec<Restart>> {
    let mut restarts = Vec::new();
    for node in system.dispatchers().iter().chain(system.gateways()) {
        restarts.push(restart(node, |_| ()).await?);
    }
    Ok(restarts)
}

/// The returns of those whom one restart sent away.
pub fn sent_away<'a>(returns: &'a [Return], restart: &Restart) -> Vec<&'a Return> {
    let while_it_stopped = |at: Duration| restart.asked <= at && at <= restart.ended;
    returns.iter().filter(|back| while_it_stopped(back.left)).collect()
}

/// The most of these times, those of returns mostly, within any `window`.
pub fn peak(times: impl Iterator<Item = Duration>, window: Duration) -> usize {
    let mut times: Vec<_> = times.collect();
    times.sort();
    let within = |first: usize| times[first..].iter().take_while(|at| **at - times[first] < window).count();
    (0..times.len()).map(within).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_found_wherever_it_lies() {
        let times = [900, 0, 1100, 1150, 2050, 4000].map(Duration::from_millis);
        let second = Duration::from_secs(1);
        assert_eq!(peak(times.into_iter(), second), 3, "900 to 1150; 2050 is later than a second");
        assert_eq!(peak(std::iter::empty(), second), 0);
    }
}
