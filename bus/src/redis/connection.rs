//! The connection to the server: made, kept, and watched.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, EventInterface};
use fred::types::Builder;
use fred::types::config::{Config, ReconnectPolicy, Server, UnresponsiveConfig};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::COMMAND_TIMEOUT;
use crate::meter::PresenceMeter;

/// A client for the server at `url`, not connected yet.
pub(super) fn client(url: &str) -> Result<Client, Error> {
    let mut config = Config::from_url(url)?;
    // A server that is away now may come back.
    config.fail_fast = false;
    Builder::from_config(config)
        .set_policy(ReconnectPolicy::new_exponential(0, 50, 1000, 2))
        .with_connection_config(|connection| {
            connection.connection_timeout = Duration::from_secs(2);
            connection.internal_command_timeout = Duration::from_secs(2);
            connection.max_command_buffer_len = 16 * 1024;
            connection.reconnect_on_auth_error = true;
            // A server that hangs is taken for away.
            connection.unresponsive = UnresponsiveConfig {
                max_timeout: Some(Duration::from_secs(3)),
                interval: Duration::from_secs(1),
            };
            connection.tcp.nodelay = Some(true);
        })
        .build()
}

/// Owns the driver's connection task, and starts another if it gives up: there
/// are errors after which it does, although they may pass.
pub(super) async fn keep_connected(client: Client, stop: CancellationToken) {
    loop {
        let mut connection = client.connect();
        tokio::select! {
            ended = &mut connection => {
                tracing::error!(?ended, "the connection to the presence store has ended");
            }
            () = stop.cancelled() => {
                let quit = async {
                    let _ = client.quit().await;
                    let _ = (&mut connection).await;
                };
                if tokio::time::timeout(COMMAND_TIMEOUT, quit).await.is_err() {
                    connection.abort();
                }
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(COMMAND_TIMEOUT) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// What is heard of the connection.
pub(super) struct Watch {
    connects: Receiver<Server>,
    errors: Receiver<(Error, Option<Server>)>,
    doubt: Arc<AtomicBool>,
    meter: Arc<PresenceMeter>,
}

impl Watch {
    /// Listens from now on.
    pub fn new(client: &Client, doubt: Arc<AtomicBool>, meter: Arc<PresenceMeter>) -> Self {
        Self { connects: client.reconnect_rx(), errors: client.error_rx(), doubt, meter }
    }

    /// Raises the doubt when a connection was lost or made again: the server may
    /// be another now, with a little less written.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut known = HashSet::new();
        let mut up = false;
        loop {
            tokio::select! {
                connected = self.connects.recv() => {
                    // The first connection to each server of a cluster is no new one.
                    let again = match connected {
                        Ok(server) => !known.insert(server),
                        Err(RecvError::Lagged(_)) => true,
                        Err(RecvError::Closed) => break,
                    };
                    if again {
                        self.doubt.store(true, Ordering::Release);
                        self.meter.reconnects.increment(1);
                    }
                    if !std::mem::replace(&mut up, true) {
                        tracing::info!("connected to the presence store");
                    }
                }
                error = self.errors.recv() => {
                    self.doubt.store(true, Ordering::Release);
                    let was_up = std::mem::replace(&mut up, false);
                    match error {
                        Ok((error, _)) if was_up => {
                            tracing::warn!(%error, "lost the connection to the presence store");
                        }
                        Ok(_) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => break,
                    }
                }
                () = stop.cancelled() => break,
            }
            self.meter.link_up.set(f64::from(u8::from(up)));
        }
        self.meter.link_up.set(0.0);
    }
}
