//! `gateway`: clients' connections, over NATS, Redis and the dispatchers.

use std::sync::Arc;

use ::gateway::{Deps, Endpoints, Gateway};
use anyhow::Context;
use bus::nats::NatsBroker;
use bus::redis::RedisPresence;

use crate::config;
use crate::life::{Life, bind};

/// Runs until `life.stop` and through the drain.
pub async fn run(config: config::Gateway, life: Life) -> anyhow::Result<()> {
    let config::Gateway { edge, nats_url, redis_url, dispatcher_urls, .. } = config;
    let listener = bind("listen", &edge.listen).await?;
    let keys = edge.keys.clone().context("no key to check tokens with")?;
    let authenticator = super::authenticator(&edge, keys)?;

    // Neither has to be there yet: chat goes on without, and they are waited for.
    let node = super::node_name("gateway");
    let broker = Arc::new(NatsBroker::connect(nats_url.reveal(), &node).await.context("nats_url")?);
    let presence = RedisPresence::connect(redis_url.reveal(), &node, edge.presence).await;
    let presence = Arc::new(presence.context("redis_url")?);

    let gateway = Gateway::start(
        Deps {
            broker: broker.clone(),
            presence,
            dispatchers: Endpoints::Remote(dispatcher_urls),
            authenticator,
            vocabulary: edge.vocabulary.clone(),
            spans: life.spans.clone(),
        },
        edge.settings,
    )
    .await
    .context("starting the gateway")?;
    let _watched = super::watch_dispatchers(gateway.link(), life.readiness.clone());
    life.readiness.started();

    tracing::info!(node, listen = %listener.local_addr()?, "serving clients");
    let served = gateway.serve(listener, life.stop).await;
    broker.close().await;
    served.context("serving clients")
}
