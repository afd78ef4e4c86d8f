//! The course of a server's life: it runs until a signal asks it to stop, then
//! drains, and is cut off when that takes too long.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bus::trace::Spans;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::{Process, Role};
use crate::telemetry::{self, Exporter, Metrics, Readiness};

/// Connections that wait to be accepted. When thousands come back at once, those
/// that find no room try again only after a second.
const BACKLOG: u32 = 4096;
/// The exit status of a process that a second signal ended.
const CUT_OFF: i32 = 130;
/// How long blocking work may hold up the end of the process.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// What a role is told of the process's life.
#[derive(Clone)]
pub struct Life {
    /// Cancelled when it is time to drain.
    pub stop: CancellationToken,
    /// Where the role says what it waits for.
    pub readiness: Readiness,
    /// Takes the spans of commands that are traced; `None`: nobody collects them.
    pub spans: Option<Arc<dyn Spans>>,
}

/// Runs a server: logs and metrics first, then `run` until it is done, which
/// it is some time after `Life::stop` is cancelled.
pub fn live(
    role: Role,
    process: &Process,
    warnings: &[String],
    run: impl AsyncFnOnce(Life) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    telemetry::start_logs(&process.log)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let metrics = Metrics::start(role)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let exporter =
            process.otlp_endpoint.as_ref().map(|endpoint| Exporter::start(endpoint.reveal(), role)).transpose()?;
        let life = Life {
            stop: CancellationToken::new(),
            readiness: Readiness::starting(),
            spans: exporter.as_ref().map(Exporter::spans),
        };
        let signals = Signals::new()?;
        let admin = bind("admin_listen", &process.admin_listen).await?;
        tracing::info!(role = role.name(), version = env!("CARGO_PKG_VERSION"), admin = %admin.local_addr()?, "starting");
        let _upkeep = AbortOnDropHandle::new(tokio::spawn(metrics.clone().keep_up()));
        let _admin =
            AbortOnDropHandle::new(tokio::spawn(telemetry::serve_admin(admin, metrics, life.readiness.clone())));
        let _signals = AbortOnDropHandle::new(tokio::spawn(obey(signals, life.clone(), process.drain_delay)));
        let outcome = tokio::select! {
            outcome = run(life.clone()) => outcome,
            () = overdue(&life.stop, process.stop_timeout) => {
                Err(anyhow!("not stopped after {:?}: the rest is cut off", process.stop_timeout))
            }
        };
        if let Some(exporter) = exporter {
            exporter.close().await;
        }
        outcome
    });
    runtime.shutdown_timeout(LAST_WAIT);
    if outcome.is_ok() {
        tracing::info!("stopped");
    }
    outcome
}

/// Opens a port, or says which setting named it.
pub async fn bind(setting: &str, address: &str) -> anyhow::Result<TcpListener> {
    let listener = async {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in tokio::net::lookup_host(address).await? {
            match listen(address) {
                Ok(listener) => return Ok(listener),
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    listener.await.with_context(|| format!("cannot listen on {address} ({setting})"))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A node that starts again takes its port again, whatever lingers there.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The signals that end a process.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// The first signal begins the end, a second one is it.
async fn obey(mut signals: Signals, life: Life, drain_delay: Duration) {
    let signal = signals.next().await;
    tracing::info!(signal, "stopping; a second signal ends the process at once");
    life.readiness.stopping();
    tokio::select! {
        () = tokio::time::sleep(drain_delay) => life.stop.cancel(),
        signal = signals.next() => cut_off(signal),
    }
    cut_off(signals.next().await);
}

fn cut_off(signal: &'static str) {
    tracing::warn!(signal, "ended by a second signal");
    std::process::exit(CUT_OFF);
}

/// Ends when stopping has taken too long.
async fn overdue(stop: &CancellationToken, timeout: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(timeout).await;
}
