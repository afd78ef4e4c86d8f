//! What every connection and request of one gateway shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::auth::Authenticator;
use crate::hub::Hub;
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
    /// WebSockets open now.
    pub connections: AtomicUsize,
}

/// A connection's place among those that are allowed; given back on drop.
pub struct Place(Arc<App>);

impl App {
    /// Takes a place for a connection; `None`: there is none.
    pub fn take_place(self: &Arc<Self>) -> Option<Place> {
        let taken = self.connections.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.clone());
        self.hub.metrics().connections.increment(1);
        (taken < self.settings.max_connections).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
        self.0.hub.metrics().connections.decrement(1);
    }
}
