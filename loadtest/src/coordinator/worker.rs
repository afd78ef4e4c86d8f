//! A worker: asks a coordinator for its share of a run, runs it, and hands the
//! outcome in.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};

use super::protocol::{self, ALIVE, News, Order, SILENT};
use crate::args::{Settings, Share, Time};
use crate::part::Part;
use crate::stage::{Others, Point, Stage};
use crate::timeline;
use crate::{interrupt, network, scenario};

/// Between attempts to reach the coordinator.
const PAUSE: Duration = Duration::from_millis(300);
/// News on their way.
const QUEUE: usize = 64;

/// Does a share of a run that `carillon-loadtest coordinate` leads, and ends
/// with it. The run's flags are the coordinator's.
#[derive(clap::Args)]
pub struct Worker {
    /// The coordinator's host and port.
    #[arg(long, value_name = "ADDRESS")]
    coordinator: String,
    /// How long to wait for a coordinator that is not there yet.
    #[arg(long, value_name = "TIME", default_value = "1m")]
    wait: Time,
    /// The HS256 secret that the gateways check tokens with: the coordinator's
    /// too, and it is not sent.
    #[arg(long, env = "CARILLON_JWT_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// A file that holds the secret.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Addresses of this machine that connections come from in turn, instead of
    /// the run's; separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "ADDRESSES")]
    source: Option<Vec<IpAddr>>,
}

impl Worker {
    /// A worker of a coordinator elsewhere, with the settings of a run.
    pub fn of(coordinator: String, settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self {
            coordinator,
            wait: Time(Duration::from_secs(300)),
            secret: Some(settings.secret()?),
            secret_file: None,
            source: None,
        })
    }

    /// Works until the run is over.
    pub async fn run(self) -> anyhow::Result<()> {
        let secret = Settings::of_secret(self.secret, self.secret_file).secret()?;
        let mut signals = interrupt::Signals::new()?;
        tokio::select! {
            done = work(&self.coordinator, self.wait.0, secret, self.source) => done,
            // The coordinator sees the connection end, and names this worker.
            () = signals.next() => bail!("ended by a signal"),
        }
    }
}

async fn work(
    coordinator: &str,
    wait: Duration,
    secret: String,
    source: Option<Vec<IpAddr>>,
) -> anyhow::Result<()> {
    let mut stream = reach(coordinator, wait).await?;
    stream.set_nodelay(true)?;
    protocol::apply(&mut stream, &secret).await.with_context(|| format!("at {coordinator}"))?;
    let (mut reader, writer) = stream.into_split();
    let (tell, told) = mpsc::channel(QUEUE);
    let (end, ended) = oneshot::channel();
    let (written, mut writing) = oneshot::channel();
    tokio::spawn(async move { written.send(write(writer, told, ended).await) });
    // The others may come much later.
    let (number, share) = loop {
        match next(&mut reader).await? {
            Order::Run(number, share) => break (number, share),
            Order::Alive => {}
            other => bail!("the coordinator begins with {other:?}"),
        }
    };
    timeline::say(format_args!("worker {number}"));
    let (reached_by, reached) = watch::channel(None);
    let (made_by, made) = watch::channel(Vec::new());
    let (stop_by, stop) = watch::channel(false);
    let stage = Stage::new(stop, Some(Others { tell, reached, made }));
    let outcome = tokio::select! {
        outcome = run(&share, secret, stage, source) => outcome,
        lost = obey(&mut reader, &reached_by, &made_by, &stop_by) => return Err(lost),
        lost = &mut writing => return lost.context("the connection's task is gone")?,
    };
    let (news, result) = match outcome {
        Ok(part) => (News::Done(Box::new(part)), Ok(())),
        Err(why) => (News::Failed(format!("{why:#}")), Err(why)),
    };
    // Nobody takes it: then writing has failed, which is said below.
    let _ = end.send(news);
    let written = writing.await.context("the connection's task is gone").flatten();
    result.and(written)
}

async fn reach(coordinator: &str, wait: Duration) -> anyhow::Result<TcpStream> {
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let attempt = tokio::time::timeout(SILENT, TcpStream::connect(coordinator)).await;
        match attempt.map_err(anyhow::Error::from).and_then(|stream| Ok(stream?)) {
            Ok(stream) => return Ok(stream),
            Err(error) if tokio::time::Instant::now() >= deadline => {
                return Err(error.context(format!("reaching the coordinator at {coordinator}")));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn run(
    share: &Share,
    secret: String,
    stage: Stage,
    source: Option<Vec<IpAddr>>,
) -> anyhow::Result<Part> {
    let plan = share.plan(secret, stage)?;
    let source = source.as_deref().unwrap_or(share.settings().sources());
    network::prepare(plan.scenario.connections(), source)?;
    scenario::run(plan).await
}

/// The next order; an error if the coordinator is gone.
async fn next(reader: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<Order> {
    let order = tokio::time::timeout(SILENT, protocol::read(reader));
    order.await.map_err(anyhow::Error::from).flatten().context("the coordinator is gone")
}

/// Follows orders until there are no more; why.
async fn obey(
    reader: &mut (impl AsyncRead + Unpin),
    reached: &watch::Sender<Option<Point>>,
    made: &watch::Sender<Vec<String>>,
    stop: &watch::Sender<bool>,
) -> anyhow::Error {
    loop {
        match next(reader).await {
            Ok(Order::Reached(point)) => _ = reached.send_replace(Some(point)),
            Ok(Order::Made(rooms)) => _ = made.send_replace(rooms),
            Ok(Order::Stop) => _ = stop.send_replace(true),
            Ok(Order::Alive) => {}
            Ok(Order::Run(..)) => return anyhow!("the coordinator begins twice"),
            Err(error) => return error,
        }
    }
}

/// Writes what is told, and now and then that this process is there, until the end.
async fn write(
    mut writer: impl AsyncWrite + Unpin,
    mut told: mpsc::Receiver<crate::stage::Told>,
    mut ended: oneshot::Receiver<News>,
) -> anyhow::Result<()> {
    let mut alive = tokio::time::interval(ALIVE);
    loop {
        let news = tokio::select! {
            // Before the end, what was told before it.
            biased;
            Some(told) = told.recv() => News::Told(told),
            _ = alive.tick() => News::Alive,
            // An error: there is nobody any more who could end well.
            end = &mut ended => {
                let Ok(news) = end else { return Ok(()) };
                return protocol::write(&mut writer, &news).await;
            }
        };
        protocol::write(&mut writer, &news).await?;
    }
}
