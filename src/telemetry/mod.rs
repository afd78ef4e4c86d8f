//! What an operator sees: logs, metrics, traces, and whether the process lives and is
//! ready. The library crates know nothing of it.

mod trace;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat, Role};
pub use trace::Exporter;

/// How often the recorder empties what it has gathered of histograms; without,
/// they would grow until somebody asks for the metrics.
const UPKEEP: Duration = Duration::from_secs(5);

/// From a fast commit to a command's deadline.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// From a small frame to the largest answer.
const BYTES: &[f64] = &[64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0];
/// From a fan-out to few to one that waits for processors.
const FAN_OUT_SECONDS: &[f64] =
    &[0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
/// Of batches.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// Sends logs to standard error from now on, and panics with them.
pub fn start_logs(log: &Log) -> anyhow::Result<()> {
    // What the drivers tell of each attempt to reconnect, the adapters say once.
    let filter = format!("async_nats=warn,fred=warn,{}", log.level);
    let filter = EnvFilter::builder().parse(filter).context("log_level")?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).with_current_span(false).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!(error)).context("starting the logs")?;
    std::panic::set_hook(Box::new(|panic| {
        counter!("carillon_panics_total").increment(1);
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panic: {}", panic.payload_as_str().unwrap_or("of unknown kind"));
    }));
    Ok(())
}

/// The process's metrics.
#[derive(Clone)]
pub struct Metrics {
    recorder: PrometheusHandle,
    process: metrics_process::Collector,
}

impl Metrics {
    /// Takes what every crate records from now on. Handles that were made
    /// before record nothing, so this comes before anything is built.
    pub fn start(role: Role) -> anyhow::Result<Self> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?
            .set_buckets_for_metric(
                Matcher::Full("carillon_gateway_fan_out_seconds".into()),
                FAN_OUT_SECONDS,
            )?
            .set_buckets_for_metric(Matcher::Suffix("_bytes".into()), BYTES)?
            .set_buckets_for_metric(Matcher::Suffix("_size".into()), SIZES)?
            .install_recorder()
            .context("starting the metrics")?;
        let process = metrics_process::Collector::default();
        process.describe();
        bus::describe();
        gateway::describe_metrics();
        dispatcher::describe_metrics();
        describe_counter!("carillon_panics_total", "Panics: each is a fault of the program.");
        describe_gauge!("carillon_build_info", "1; what runs stands in the labels.");
        describe_gauge!(READY, "1 while /readyz says yes.");
        describe_counter!(
            "carillon_trace_spans_total",
            "Spans of traced commands: exported, dropped for want of room, refused by the collector."
        );
        counter!("carillon_panics_total").absolute(0);
        trace::start();
        gauge!("carillon_build_info", "version" => env!("CARGO_PKG_VERSION"), "role" => role.name()).set(1.0);
        Ok(Self { recorder, process })
    }

    /// Keeps the recorder small; ends never.
    pub async fn keep_up(self) {
        let mut upkeep = tokio::time::interval(UPKEEP);
        loop {
            upkeep.tick().await;
            self.recorder.run_upkeep();
        }
    }

    fn render(&self, readiness: &Readiness) -> String {
        self.process.collect();
        gauge!(READY).set(f64::from(readiness.reasons().is_empty()));
        // The recorder's counters are whole numbers, and whole seconds of processor
        // time say nothing about a short time: it is kept as a gauge, and is none.
        let (gauge, counter) =
            ("# TYPE process_cpu_seconds_total gauge", "# TYPE process_cpu_seconds_total counter");
        self.recorder.render().replacen(gauge, counter, 1)
    }
}

/// The parts that this process needs, and what keeps each from being ready.
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, Option<String>>>>);

/// Whether the process is ready, as a metric.
const READY: &str = "carillon_ready";
/// The part that is the process itself.
const PROCESS: &str = "process";

impl Readiness {
    /// Of a process that is not built yet.
    pub fn starting() -> Self {
        let readiness = Self(Arc::default());
        readiness.not_ready(PROCESS, "it is starting");
        readiness
    }

    /// Everything is built, and every other part has said where it stands.
    pub fn started(&self) {
        self.ready(PROCESS);
    }

    /// The process is about to end.
    pub fn stopping(&self) {
        self.not_ready(PROCESS, "it is stopping");
    }

    /// This part does what it should.
    pub fn ready(&self, part: &'static str) {
        let before = self.parts().insert(part, None);
        if !matches!(before, Some(None)) {
            tracing::info!(part, "ready");
        }
    }

    /// This part does not, and why.
    pub fn not_ready(&self, part: &'static str, why: impl Into<String>) {
        let why = why.into();
        let mut parts = self.parts();
        let before = parts.insert(part, Some(why.clone()));
        // It is no news that nothing is ready at first, and nothing at the end.
        let is_running = matches!(parts.get(PROCESS), Some(None));
        drop(parts);
        if is_running && before.is_some_and(|before| before.as_ref() != Some(&why)) {
            tracing::warn!(part, why, "not ready");
        }
    }

    /// Why the process is not ready; nothing if it is.
    pub fn reasons(&self) -> Vec<String> {
        let parts = self.parts();
        parts.iter().filter_map(|(part, why)| Some(format!("{part}: {}", why.as_ref()?))).collect()
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<&'static str, Option<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves metrics and health until it is dropped.
pub async fn serve_admin(
    listener: TcpListener,
    metrics: Metrics,
    readiness: Readiness,
) -> std::io::Result<()> {
    axum::serve(listener, admin(metrics, readiness)).await
}

fn admin(metrics: Metrics, readiness: Readiness) -> Router {
    let health = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .with_state(readiness.clone());
    Router::new().route("/metrics", get(render)).with_state((metrics, readiness)).merge(health)
}

async fn render(State((metrics, readiness)): State<(Metrics, Readiness)>) -> Response {
    let text = metrics.render(&readiness);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

async fn readyz(State(readiness): State<Readiness>) -> Response {
    let reasons = readiness.reasons();
    if reasons.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(reasons)).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn get(router: &Router, path: &str) -> (StatusCode, String, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let kind = response.headers().get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap().to_owned());
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, kind.unwrap_or_default(), String::from_utf8(body.into()).unwrap())
    }

    /// One test, because a process has one recorder.
    #[tokio::test]
    async fn operators_see_metrics_and_health() {
        let readiness = Readiness::starting();
        let router = admin(Metrics::start(Role::Gateway).unwrap(), readiness.clone());

        metrics::histogram!("carillon_test_seconds").record(0.003);
        metrics::histogram!("carillon_dispatcher_batch_size").record(3.0);
        let (status, kind, text) = get(&router, "/metrics").await;
        assert_eq!((status, kind.as_str()), (StatusCode::OK, "text/plain; version=0.0.4"));
        for line in [
            "carillon_build_info{version=\"0.0.0\",role=\"gateway\"} 1",
            "carillon_panics_total 0",
            "carillon_ready 0",
            "carillon_test_seconds_bucket{le=\"0.005\"} 1",
            "carillon_dispatcher_batch_size_bucket{le=\"4\"} 1",
            "process_resident_memory_bytes",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }

        assert_eq!(get(&router, "/livez").await.0, StatusCode::OK);
        assert_eq!(get(&router, "/readyz").await.2, r#"["process: it is starting"]"#);
        readiness.started();
        assert_eq!(get(&router, "/readyz").await.0, StatusCode::OK);
        assert!(get(&router, "/metrics").await.2.contains("carillon_ready 1"));
        readiness.not_ready("store", "does not answer");
        readiness.not_ready("dispatcher", "none is connected");
        let (status, kind, text) = get(&router, "/readyz").await;
        assert_eq!((status, kind.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "application/json"));
        assert_eq!(text, r#"["dispatcher: none is connected","store: does not answer"]"#);
        assert_eq!(get(&router, "/livez").await.0, StatusCode::OK);
        readiness.ready("store");
        readiness.ready("dispatcher");
        assert_eq!(get(&router, "/readyz").await.0, StatusCode::OK);
        readiness.stopping();
        assert_eq!(get(&router, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
}
