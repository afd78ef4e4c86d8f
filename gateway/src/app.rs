//! What every connection and request of one gateway shares.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use crate::admission::Admission;
use crate::auth::Authenticator;
use crate::hub::Hub;
use crate::outbound::Outbound;
use crate::presence::PresenceKeeper;
use crate::settings::Settings;
use crate::vocabulary::Desk;

/// One gateway.
pub struct App {
    /// Feeds and clients.
    pub hub: Arc<Hub>,
    /// Checks tokens.
    pub authenticator: Arc<Authenticator>,
    /// Who is connected, cluster-wide.
    pub presence: PresenceKeeper,
    /// Does what is asked for in the vocabulary.
    pub desk: Arc<Desk>,
    /// Limits and times.
    pub settings: Settings,
    /// Connections that nobody has authenticated on yet.
    pub strangers: Strangers,
    /// How fast connections are let in.
    pub admission: Admission,
    /// WebSockets open now.
    pub connections: AtomicUsize,
}

/// Connections that nobody has authenticated on yet, so that they too are told
/// when the gateway stops.
#[derive(Default)]
pub struct Strangers(Mutex<HashMap<usize, Arc<Outbound>>>);

impl Strangers {
    /// A connection has begun.
    pub fn add(&self, outbound: &Arc<Outbound>) {
        self.list().insert(Arc::as_ptr(outbound) as usize, outbound.clone());
    }

    /// Somebody has authenticated on it, or it is gone.
    pub fn remove(&self, outbound: &Arc<Outbound>) {
        self.list().remove(&(Arc::as_ptr(outbound) as usize));
    }

    /// What waits for each of them.
    pub fn outbounds(&self) -> Vec<Arc<Outbound>> {
        self.list().values().cloned().collect()
    }

    fn list(&self) -> MutexGuard<'_, HashMap<usize, Arc<Outbound>>> {
        self.0.lock().expect("no panic while the strangers are locked")
    }
}

/// A connection's place among those that are allowed; given back on drop.
pub struct Place(Arc<App>);

/// Why a connection gets no place now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// All are taken.
    Full,
    /// More came at once than are let in.
    TooFast,
}

impl App {
    /// What waits for each connection. One that authenticates at this moment may
    /// be there twice.
    pub fn outbounds(&self) -> Vec<Arc<Outbound>> {
        let mut outbounds = self.strangers.outbounds();
        outbounds.extend(self.hub.all_clients().iter().map(|client| client.outbound.clone()));
        outbounds
    }

    /// Takes a place for a connection.
    pub fn take_place(self: &Arc<Self>) -> Result<Place, NoPlace> {
        let taken = self.connections.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.clone());
        self.hub.metrics().connections.increment(1);
        if taken >= self.settings.max_connections {
            return Err(NoPlace::Full);
        }
        if !self.admission.admit(Instant::now()) {
            return Err(NoPlace::TooFast);
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
        self.0.hub.metrics().connections.decrement(1);
    }
}
