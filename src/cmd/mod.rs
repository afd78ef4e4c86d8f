//! One file for each subcommand, to be read from top to bottom: adapters, then
//! the parts that stand on them, then running, then the drain.

pub mod check_config;
pub mod dispatcher;
pub mod gateway;
pub mod migrate;
pub mod standalone;
pub mod token;
pub mod top;

use std::sync::Arc;
use std::time::Duration;

use ::dispatcher::store::{Store, StoreError};
use ::gateway::{Authenticator, Link};
use proto::node::dispatcher_server::DispatcherServer;
use proto::{FeedId, UserId};
use tokio_util::task::AbortOnDropHandle;

use crate::config::Edge;
use crate::telemetry::Readiness;

/// Largest gRPC message, as in the gateway: a page of changes.
const MAX_MESSAGE_BYTES: usize = 32 * 1024 * 1024;
/// How often the store is asked whether it answers, and how long it may take.
const STORE_CHECK: Duration = Duration::from_secs(2);

/// A name for this process that no other has, not even itself after a restart:
/// what it left behind is not its own any more.
fn node_name(role: &str) -> String {
    let id = uuid::Uuid::new_v4().simple().to_string();
    format!("{role}-{}", &id[..12])
}

/// What checks the tokens of an edge with these keys.
fn authenticator(edge: &Edge, keys: ::gateway::auth::Keys) -> anyhow::Result<Arc<Authenticator>> {
    let mut authenticator = Authenticator::new(keys)?.leeway(edge.leeway);
    if let Some(issuer) = &edge.issuer {
        authenticator = authenticator.issuer(issuer);
    }
    if let Some(audience) = &edge.audience {
        authenticator = authenticator.audience(audience);
    }
    Ok(Arc::new(authenticator))
}

/// The dispatcher's service for messages as large as the gateway takes.
fn sized(service: DispatcherServer<::dispatcher::Service>) -> DispatcherServer<::dispatcher::Service> {
    service.max_decoding_message_size(MAX_MESSAGE_BYTES).max_encoding_message_size(MAX_MESSAGE_BYTES)
}

/// What the store said, without the general words before it.
fn of_store(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Unavailable(source) | StoreError::Contention(source) | StoreError::Fault(source) => {
            anyhow::anyhow!(source)
        }
    }
}

/// Ready while a dispatcher is connected.
fn watch_dispatchers(link: &Link, readiness: Readiness) -> AbortOnDropHandle<()> {
    const PART: &str = "dispatcher";

    let mut connected = link.connected();
    readiness.not_ready(PART, "none is connected");
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            match *connected.borrow_and_update() {
                0 => readiness.not_ready(PART, "none is connected"),
                _ => readiness.ready(PART),
            }
            if connected.changed().await.is_err() {
                break;
            }
        }
    }))
}

/// Ready while the store answers.
fn watch_store(store: Arc<dyn Store>, readiness: Readiness) -> AbortOnDropHandle<()> {
    const PART: &str = "store";

    readiness.not_ready(PART, "not asked yet");
    AbortOnDropHandle::new(tokio::spawn(async move {
        // Any feed does: one that is not there is an answer too.
        let feeds = [FeedId::User(UserId::new("readiness").expect("its form is that of an id"))];
        let mut check = tokio::time::interval(STORE_CHECK);
        loop {
            check.tick().await;
            match tokio::time::timeout(STORE_CHECK, store.heads(&feeds)).await {
                Ok(Ok(_)) => readiness.ready(PART),
                Ok(Err(error)) => readiness.not_ready(PART, error.to_string()),
                Err(_) => readiness.not_ready(PART, "does not answer"),
            }
        }
    }))
}
