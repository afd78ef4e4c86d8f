//! The authority: decides commands, commits them to the store, publishes what
//! changed. It holds no end user's socket and no state that another dispatcher
//! could not rebuild.
//!
//! Commands come in by a gateway's stream (`intake`). Sends go to the lane of
//! their room, which commits what is waiting in one batch (`lane`); all other
//! commands to a worker, one transaction each (`worker`, `command`). After
//! the commit the sender is answered and the change published (`publish`);
//! what a publication loses, announced heads make good (`announce`). Reads are
//! calls of their own (`query`, `follow`).

use std::sync::Arc;

use bus::Broker;
use bus::trace::Spans;
use proto::node::dispatcher_server::DispatcherServer;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod announce;
#[doc(hidden)]
pub mod bench_api;
mod clock;
mod command;
mod follow;
mod intake;
mod lane;
mod metrics;
mod publish;
mod query;
mod queue;
mod raise;
mod reply;
mod retry;
mod service;
mod settings;
mod sizes;
pub mod store;
mod task;
mod trace;
mod worker;

pub use service::Service;
pub use settings::Settings;

use command::Executor;
use intake::Intake;
use publish::Publisher;
use query::Queries;
use store::Store;

/// Handle to a running dispatcher; cheap to clone.
#[derive(Clone)]
pub struct Dispatcher {
    service: Service,
    tasks: Arc<Tasks>,
}

/// The dispatcher's tasks, in the order in which they end.
struct Tasks {
    /// Lanes and workers: end when what was accepted is done.
    work: TaskTracker,
    /// Publishers: end when what was committed is published.
    publishing: TaskTracker,
    published: CancellationToken,
    /// The announcer.
    announcing: TaskTracker,
}

impl Dispatcher {
    /// Starts a dispatcher's tasks. Must be called in a Tokio runtime.
    pub fn start(store: Arc<dyn Store>, broker: Arc<dyn Broker>, settings: Settings) -> Dispatcher {
        Self::start_traced(store, broker, settings, None)
    }

    /// The same, and `spans` takes what commands that are traced go through.
    pub fn start_traced(
        store: Arc<dyn Store>,
        broker: Arc<dyn Broker>,
        settings: Settings,
        spans: Option<Arc<dyn Spans>>,
    ) -> Dispatcher {
        metrics::start();
        let settings = Arc::new(settings);
        let stopping = CancellationToken::new();
        let tasks = Tasks {
            work: TaskTracker::new(),
            publishing: TaskTracker::new(),
            published: CancellationToken::new(),
            announcing: TaskTracker::new(),
        };
        let publisher = Publisher::start(&tasks.publishing, &broker, &settings, &tasks.published);
        let executor = Executor {
            store: store.clone(),
            publisher: publisher.clone(),
            settings: settings.clone(),
            sizes: Arc::default(),
        };
        let intake = Arc::new(Intake {
            lanes: lane::start(&tasks.work, &store, &publisher, &settings, &stopping),
            workers: worker::start(&tasks.work, &executor, &settings, &stopping),
            settings: settings.clone(),
            spans,
        });
        let announcer = announce::run(store.clone(), broker, settings.clone(), stopping.clone());
        task::spawn(&tasks.announcing, "announcer", announcer);
        let service = Service {
            queries: Arc::new(Queries { store, intake: intake.clone(), settings: settings.clone() }),
            intake,
            asking: Arc::new(Semaphore::new(settings.max_concurrent_queries.max(1))),
            streams: TaskTracker::new(),
            stopping,
            stopped: CancellationToken::new(),
        };
        Dispatcher { service, tasks: Arc::new(tasks) }
    }

    /// The gRPC service, to be served over TCP or called without a socket.
    pub fn service(&self) -> DispatcherServer<Service> {
        DispatcherServer::new(self.service.clone())
    }

    /// Stops: new commands are refused as `unavailable`, accepted ones finished,
    /// answered and published; then the streams end. Queries are answered until
    /// the store is closed. Returns when every task has ended.
    pub async fn stop(&self) {
        self.service.stopping.cancel();
        end(&self.tasks.work).await;
        self.tasks.published.cancel();
        end(&self.tasks.publishing).await;
        self.service.stopped.cancel();
        end(&self.service.streams).await;
        end(&self.tasks.announcing).await;
    }
}

/// Waits until every task of the tracker has ended.
async fn end(tasks: &TaskTracker) {
    tasks.close();
    tasks.wait().await;
}

/// Tells the metrics recorder what the dispatcher's metrics mean.
pub fn describe_metrics() {
    metrics::describe();
}
