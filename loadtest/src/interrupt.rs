//! Ctrl-C, or being asked to end: once ends the phase that runs, twice ends at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::timeline;

/// The exit status of a program that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

/// Turns true at the first signal. The task behind it lives as long as the
/// process, which it ends at the second.
pub fn watch() -> anyhow::Result<watch::Receiver<bool>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        for round in 0.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if round > 0 {
                std::process::exit(INTERRUPTED);
            }
            timeline::say("ending, with a report of what there was; once more: at once");
            stop.send_replace(true);
        }
    });
    Ok(stopped)
}
