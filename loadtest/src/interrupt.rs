//! Ctrl-C, or being asked to end: once ends the phase that runs, twice ends at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::timeline;

/// The exit status of a program that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

/// Both ways to be asked to end.
pub struct Signals(Signal, Signal);

impl Signals {
    /// From now on they end nothing by themselves.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    }

    /// Waits for the next one. Cancel-safe.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

/// Turns true at the first signal. The task behind it lives as long as the
/// process, which it ends at the second.
pub fn watch() -> anyhow::Result<watch::Receiver<bool>> {
    let mut signals = Signals::new()?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        for round in 0.. {
            signals.next().await;
            if round > 0 {
                std::process::exit(INTERRUPTED);
            }
            timeline::say("ending, with a report of what there was; once more: at once");
            stop.send_replace(true);
        }
    });
    Ok(stopped)
}
