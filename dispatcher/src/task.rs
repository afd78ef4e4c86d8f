//! Tasks that must not die quietly.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio_util::task::TaskTracker;
use tracing::error;

/// Spawns a task that others wait for. If it panics, the process ends: without
/// a lane or a publisher it would go on as if nothing were missing, and another
/// dispatcher does better.
pub(crate) fn spawn(
    tasks: &TaskTracker,
    name: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) {
    tasks.spawn(async move {
        if AssertUnwindSafe(task).catch_unwind().await.is_err() {
            error!(task = name, "a task of the dispatcher panicked; ending the process");
            std::process::abort();
        }
    });
}
