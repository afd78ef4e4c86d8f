//! Finds the dispatchers, connects to each, and carries its command stream.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proto::node::dispatcher_client::DispatcherClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use super::{Endpoints, Inner, MAX_IN_FLIGHT, NodeService};

/// How often names are resolved again.
const RESOLVE: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);
/// Largest gRPC message: a page of changes.
const MAX_MESSAGE_BYTES: usize = 32 * 1024 * 1024;

pub(super) fn start(inner: &Arc<Inner>, endpoints: Endpoints) {
    let tasks = inner.tasks.clone();
    match endpoints {
        Endpoints::Local(service) => {
            let stop = inner.stop.clone();
            tasks.spawn(stay_connected(inner.clone(), "local".to_owned(), stop, move || {
                let service = service.clone();
                async move { Ok::<_, std::convert::Infallible>(service) }
            }));
        }
        Endpoints::Remote(urls) => {
            let inner = inner.clone();
            tasks.spawn(
                async move { inner.stop.clone().run_until_cancelled(keep_resolved(inner, urls)).await },
            );
        }
    }
}

/// One task for each address that the names resolve to.
async fn keep_resolved(inner: Arc<Inner>, urls: Vec<String>) {
    let mut known: HashMap<String, CancellationToken> = HashMap::new();
    let mut resolve = tokio::time::interval(RESOLVE);
    loop {
        resolve.tick().await;
        let mut found = Vec::new();
        let mut all_resolved = true;
        for url in &urls {
            match addresses(url).await {
                Ok(addresses) => found.extend(addresses),
                Err(error) => {
                    all_resolved = false;
                    tracing::warn!(url, %error, "a dispatcher's name does not resolve");
                }
            }
        }
        // A name server's hiccup is no reason to let go of a dispatcher.
        if all_resolved {
            known.retain(|url, stop| {
                let keep = found.contains(url);
                if !keep {
                    stop.cancel();
                }
                keep
            });
        }
        for url in found {
            if !known.contains_key(&url) {
                let stop = inner.stop.child_token();
                known.insert(url.clone(), stop.clone());
                let connect = {
                    let url = url.clone();
                    move || connect(url.clone())
                };
                inner.tasks.spawn(stay_connected(inner.clone(), url, stop, connect));
            }
        }
    }
}

async fn addresses(url: &str) -> std::io::Result<Vec<String>> {
    let invalid = || std::io::Error::new(std::io::ErrorKind::InvalidInput, "not http://host:port");
    let uri: http::Uri = url.parse().map_err(|_| invalid())?;
    let (host, port) = (uri.host().ok_or_else(invalid)?, uri.port_u16().ok_or_else(invalid)?);
    let host = host.trim_matches(['[', ']']);
    Ok(tokio::net::lookup_host((host, port)).await?.map(|address| format!("http://{address}")).collect())
}

async fn connect(url: String) -> Result<NodeService, tonic::transport::Error> {
    let channel = Endpoint::from_shared(url)?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        // A dispatcher that hangs without closing is noticed within five seconds.
        .http2_keep_alive_interval(Duration::from_secs(2))
        .keep_alive_timeout(Duration::from_secs(3))
        .keep_alive_while_idle(true)
        .initial_connection_window_size(8 * 1024 * 1024)
        .initial_stream_window_size(4 * 1024 * 1024)
        .connect()
        .await?;
    Ok(BoxCloneSyncService::new(channel.map_err(|error| tonic::Status::unavailable(error.to_string()))))
}

/// Keeps one dispatcher connected and its command stream open until `stop`.
async fn stay_connected<C, F, E>(inner: Arc<Inner>, name: String, stop: CancellationToken, connect: C)
where
    C: Fn() -> F,
    F: Future<Output = Result<NodeService, E>>,
    E: std::fmt::Display,
{
    let mut backoff = FIRST_BACKOFF;
    let mut complained = false;
    loop {
        let session = async {
            match connect().await {
                Ok(service) => carry(&inner, &name, service).await.map_err(|status| status.to_string()),
                Err(error) => Err(error.to_string()),
            }
        };
        match stop.run_until_cancelled(session).await {
            None => break,
            Some(Ok(())) => {
                tracing::info!(dispatcher = name, "the dispatcher ended its stream");
                (backoff, complained) = (FIRST_BACKOFF, false);
            }
            Some(Err(error)) if !complained => {
                tracing::warn!(dispatcher = name, error, "no dispatcher there; trying on");
                complained = true;
            }
            Some(Err(_)) => {}
        }
        disconnected(&inner, &name);
        if stop.run_until_cancelled(tokio::time::sleep(backoff)).await.is_none() {
            break;
        }
        backoff = (backoff * 2).min(LONGEST_BACKOFF);
    }
    disconnected(&inner, &name);
}

/// Opens the command stream and takes its outcomes until it ends.
async fn carry(inner: &Inner, name: &str, service: NodeService) -> Result<(), tonic::Status> {
    let mut client = DispatcherClient::new(service)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    // Room for every command that may be on the way at once: never full.
    let (stream, commands) = mpsc::channel(MAX_IN_FLIGHT);
    let opened = client.commands(ReceiverStream::new(commands));
    let mut outcomes = tokio::time::timeout(CONNECT_TIMEOUT, opened)
        .await
        .map_err(|_| tonic::Status::deadline_exceeded("the command stream did not open"))??
        .into_inner();
    tracing::info!(dispatcher = name, "connected");
    inner.routing.connected(name, stream, client);
    inner.connected.send_modify(|count| *count += 1);
    while let Some(outcome) = outcomes.message().await? {
        inner.routing.answered(name, outcome);
    }
    Ok(())
}

fn disconnected(inner: &Inner, name: &str) {
    if inner.routing.disconnected(name) {
        inner.connected.send_modify(|count| *count -= 1);
    }
}
