//! A Carillon whose broker loses, doubles and swaps hints: a cluster whose
//! gateways reach NATS by way of a proxy that does so, or a gateway and a
//! dispatcher in this process on a local broker that does.

use std::sync::Arc;

use bus::PresenceTimes;
use bus::local::{Faults, LocalBroker, LocalPresence};
use dispatcher::Dispatcher;
use dispatcher::store::{Store, sqlite};
use gateway::auth::{Authenticator, Keys};
use gateway::{Deps, Endpoints, Gateway, Vocabulary};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tempfile::TempDir;
use testkit::cluster::SECRET;
use testkit::hints::HintProxy;
use testkit::tamper::Faults as HintFaults;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::world::{Deployment, World};

const DROP: u64 = 5;
const REPEAT: u64 = 4;
const SWAP: u64 = 3;

/// A system with a bad broker.
pub struct Faulty {
    world: World,
    bad: Bad,
}

enum Bad {
    Proxy(HintProxy),
    Composed(Composed),
}

/// Gateway and dispatcher as `carillon standalone` composes them.
struct Composed {
    stop: CancellationToken,
    gateway: tokio::task::JoinHandle<std::io::Result<()>>,
    metrics: PrometheusHandle,
    _dispatcher: Dispatcher,
    _dir: TempDir,
}

impl Faulty {
    /// Starts one. Nothing goes wrong before [`begin`](Self::begin), except
    /// within this process, where it does from the start.
    pub async fn start(deployment: Deployment) -> Self {
        match deployment {
            Deployment::Cluster => Self::cluster().await,
            Deployment::Standalone => Self::composed().await,
        }
    }

    async fn cluster() -> Self {
        let world = Deployment::Cluster.own(&[]).await;
        let proxy = HintProxy::start(world.system().nats().url()).await.expect("a proxy");
        for gateway in world.system().gateways() {
            gateway.set("CARILLON_NATS_URL", proxy.url());
            gateway.kill().expect("a gateway stops");
            gateway.start().await.expect("a gateway starts behind the proxy");
        }
        Self { world, bad: Bad::Proxy(proxy) }
    }

    async fn composed() -> Self {
        // Before anything counts. This is the only case that does so.
        let metrics = PrometheusBuilder::new().install_recorder().expect("a recorder of metrics");
        let dir = tempfile::tempdir().expect("a folder");
        let store = sqlite::open(&dir.path().join("carillon.db")).await.expect("a store");
        let store: Arc<dyn Store> = Arc::new(store);
        let faults =
            Faults { drop_every: DROP, repeat_every: REPEAT, reorder_every: SWAP, ..Faults::default() };
        let broker = Arc::new(LocalBroker::with_faults(faults));
        let dispatcher = Dispatcher::start(store, broker.clone(), dispatcher::Settings::default());
        let service =
            ServiceExt::<axum::http::Request<tonic::body::Body>>::map_err(dispatcher.service(), |never| {
                match never {}
            });
        let authenticator = Authenticator::new(Keys::Hs256(SECRET.into())).expect("a key");
        let vocabulary = Vocabulary::shipped("sessions").expect("it ships");
        let vocabulary = Vocabulary::parse(vocabulary).expect("it is right");
        let deps = Deps {
            broker,
            presence: Arc::new(LocalPresence::new("composed", PresenceTimes::default())),
            dispatchers: Endpoints::Local(BoxCloneSyncService::new(service)),
            authenticator: Arc::new(authenticator),
            vocabulary: Arc::new(vocabulary),
            spans: None,
        };
        let gateway = Gateway::start(deps, gateway::Settings::default()).await.expect("a gateway");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let stop = CancellationToken::new();
        let gateway = tokio::spawn(gateway.serve(listener, stop.clone()));
        let composed = Composed { stop, gateway, metrics, _dispatcher: dispatcher, _dir: dir };
        Self { world: World::composed(url), bad: Bad::Composed(composed) }
    }

    /// Where clients connect.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// From now on hints get lost, come twice, and in the wrong order.
    pub fn begin(&self) {
        if let Bad::Proxy(proxy) = &self.bad {
            let faults = HintFaults {
                drop_every: DROP,
                repeat_every: REPEAT,
                swap_every: SWAP,
                ..HintFaults::default()
            };
            proxy.set(faults);
        }
    }

    /// Panics unless much has gone wrong: otherwise the case has proved nothing.
    pub fn assert_bitten(&self) {
        match &self.bad {
            Bad::Proxy(proxy) => {
                let counts = proxy.counts();
                let least = counts.dropped.min(counts.repeated).min(counts.swapped);
                assert!(least > 10, "the broker was too good: {counts:?}");
            }
            Bad::Composed(composed) => {
                let metrics = composed.metrics.render();
                let fills =
                    metrics.lines().find_map(|line| line.strip_prefix("carillon_gateway_fills_total "));
                let fills: u64 = fills.and_then(|count| count.parse().ok()).unwrap_or_default();
                assert!(fills > 10, "the broker was too good: {metrics}");
            }
        }
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        if let Bad::Composed(composed) = &self.bad {
            composed.stop.cancel();
            composed.gateway.abort();
        }
    }
}
