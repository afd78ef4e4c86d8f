//! Ends a gateway without a loss (P8): every client is told when to come back,
//! spread over time, so that the other nodes are not hit by all of them at once.

use std::sync::Arc;
use std::time::Duration;

use proto::CloseCode;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::client::Client;
use crate::outbound::Closing;

/// Pause between two waves of closes.
const WAVE: Duration = Duration::from_millis(100);
/// How long clients may take to go after the last wave.
const PATIENCE: Duration = Duration::from_secs(10);

/// Closes every client over `spread`, and waits for the connections to end.
pub async fn drain(app: &App, connections: &TaskTracker, spread: Duration) {
    let hub = &app.hub;
    let clients = hub.all_clients();
    let waves = (spread.as_millis() / WAVE.as_millis()).max(1) as usize;
    let in_wave = clients.len().div_ceil(waves).max(1);
    tracing::info!(clients = clients.len(), ?spread, "draining");
    for wave in clients.chunks(in_wave) {
        close(wave);
        tokio::time::sleep(WAVE).await;
    }
    // Who connected in the last instant.
    close(&hub.all_clients());
    app.strangers.close(&Closing { code: CloseCode::Drain, reason: "drain 0".to_owned() });
    connections.close();
    if tokio::time::timeout(PATIENCE, connections.wait()).await.is_err() {
        tracing::warn!(left = connections.len(), "some connections did not end in time");
    }
}

fn close(clients: &[Arc<Client>]) {
    for client in clients {
        // The waves are the spread; the delay only breaks up each of them.
        let delay = client.id % WAVE.as_millis() as u64;
        client.outbound.close(Closing { code: CloseCode::Drain, reason: format!("drain {delay}") });
    }
}
