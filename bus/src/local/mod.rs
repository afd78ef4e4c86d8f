//! The adapters of one process: nothing to install, and the faults of a
//! network on request.

mod broker;
mod presence;

pub use broker::{Faults, LocalBroker};
pub use presence::{LocalPresence, LocalPresenceHub};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; the data is whole even if a holder panicked, since nothing that can
/// panic half-way is done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
