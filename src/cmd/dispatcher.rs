//! `dispatcher`: rules and the store, over PostgreSQL and NATS, for gateways
//! that connect by gRPC.

use std::sync::Arc;
use std::time::Duration;

use ::dispatcher::Dispatcher;
use ::dispatcher::store::postgres::{self, PostgresStore};
use ::dispatcher::store::{Store, StoreError};
use anyhow::Context;
use bus::nats::NatsBroker;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::config;
use crate::life::{Life, bind};

/// A gateway that hangs without closing is let go within ten seconds.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Queries of one gateway at once: each is a stream beside its commands.
const MAX_STREAMS: u32 = 4096;
/// Commands on their way in: the default holds up a busy gateway.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// Runs until `life.stop` and through the drain.
pub async fn run(config: config::Dispatcher, life: Life) -> anyhow::Result<()> {
    let config::Dispatcher { rules, grpc_listen, nats_url, database_url, database_pool, .. } = config;
    let listener = bind("grpc_listen", &grpc_listen).await?;
    let store = open(database_url.reveal(), database_pool).await.map_err(super::of_store);
    let store: Arc<dyn Store> = Arc::new(store.context("opening the store")?);
    let node = super::node_name("dispatcher");
    let broker = Arc::new(NatsBroker::connect(nats_url.reveal(), &node).await.context("nats_url")?);

    let dispatcher = Dispatcher::start_traced(store.clone(), broker.clone(), rules, life.spans.clone());
    let _watched = super::watch_store(store.clone(), life.readiness.clone());
    life.readiness.started();

    tracing::info!(node, listen = %listener.local_addr()?, "serving gateways");
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .add_service(super::sized(dispatcher.service()))
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            life.stop.clone().cancelled_owned(),
        );
    // The server waits for the command streams, which end when what came by
    // them is done.
    let finish = async {
        life.stop.cancelled().await;
        dispatcher.stop().await;
        Ok(())
    };
    let served = tokio::try_join!(server, finish);
    store.close().await;
    broker.close().await;
    served.map(drop).context("serving gateways")
}

/// The store, with all tables of this version.
async fn open(url: &str, pool_size: u32) -> Result<PostgresStore, StoreError> {
    let store = postgres::connect(url, pool_size).await?;
    store.check_schema().await?;
    Ok(store)
}
