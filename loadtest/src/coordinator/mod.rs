//! One run of several processes, on this machine or on several: a coordinator
//! gives each worker its share, lets all begin each phase together, and makes
//! one result of theirs.
//!
//! Clocks are not compared. Phases begin when the coordinator's message comes;
//! a latency is measured where both ends of it are in one worker.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

mod children;
mod link;
mod protocol;
mod roster;
mod worker;

use children::Children;
use link::Links;
use protocol::{News, Order};
use roster::Roster;
pub use worker::Worker;

use crate::Run;
use crate::args::{Settings, Share, Time};
use crate::interrupt;
use crate::part::Part;
use crate::rooms;
use crate::stage::{Point, Progress, Told};
use crate::timeline;

/// Workers of this machine are there soon, or something is wrong.
const STARTED: Duration = Duration::from_secs(60);
/// When the first worker has come to a point, the last one has by then: they
/// have like shares.
const LATE: Duration = Duration::from_secs(600);
/// Between two looks at how it goes.
const LOOK: Duration = Duration::from_secs(1);

/// Leads a run whose workers are other processes, on this machine or others.
///
/// Workers are `carillon-loadtest worker`. Each has a share of the load; together they are asked
/// for what one process would be. Workers need the same secret, and nothing else
/// of the run: they take it from their own flag or environment, and prove that
/// they have it. A worker that fails ends the run.
///
/// Examples:
///
///   carillon-loadtest coordinate --listen 10.0.0.9:9400 --expect 3 --pairs 30000 --rate 9000
///   carillon-loadtest worker --coordinator 10.0.0.9:9400     # on each of three machines
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Coordinate {
    /// Where workers connect to.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9400",
        help_heading = "Several generators"
    )]
    listen: SocketAddr,
    /// How many workers there will be.
    #[arg(long, value_name = "COUNT", help_heading = "Several generators")]
    expect: usize,
    /// How long to wait for them.
    #[arg(long, value_name = "TIME", default_value = "5m", help_heading = "Several generators")]
    wait: Time,
    #[command(flatten)]
    run: Run,
}

impl Coordinate {
    /// The run that is led.
    pub fn into_run(self) -> (Lead, Run) {
        (Lead { listen: self.listen, expect: self.expect, wait: self.wait.0 }, self.run)
    }
}

/// One of several processes that are started alike.
///
/// Such are the pods of an Indexed Job of Kubernetes: number 0 is the coordinator, the others are its
/// workers, of which `--expect` says how many there are.
#[derive(clap::Args)]
pub struct Peer {
    /// The number of this process.
    #[arg(long, value_name = "NUMBER", env = "JOB_COMPLETION_INDEX", help_heading = "Several generators")]
    index: usize,
    /// Where number 0 is found by the others.
    #[arg(long, value_name = "ADDRESS", help_heading = "Several generators")]
    coordinator: String,
    #[command(flatten)]
    coordinate: Coordinate,
}

impl Peer {
    /// What this one of them is.
    pub fn role(self) -> anyhow::Result<Role> {
        if self.index == 0 {
            return Ok(Role::Coordinator(Box::new(self.coordinate)));
        }
        let settings = self.coordinate.run.settings()?;
        Ok(Role::Worker(Worker::of(self.coordinator, &settings)?))
    }
}

/// What one of several processes is.
pub enum Role {
    /// It leads.
    Coordinator(Box<Coordinate>),
    /// It works.
    Worker(Worker),
}

/// How workers come.
pub struct Lead {
    listen: SocketAddr,
    expect: usize,
    wait: Duration,
}

impl Lead {
    /// Runs it with workers that somebody else starts.
    pub async fn run(self, settings: &Settings) -> anyhow::Result<Part> {
        ensure!(self.expect > 0, "--expect 0: somebody has to work");
        ensure!(settings.workers() == 1, "--workers starts workers here, and --expect waits for others");
        ensure!(
            settings.pids().is_empty(),
            "--pid: processes are looked at by a worker, and here nobody knows on which machine; \
             --metrics shows their memory, and --workers runs all on this machine"
        );
        let shares = settings.shares(self.expect, &rooms::run())?;
        let listener = TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("listening for workers at {}", self.listen))?;
        timeline::say(format_args!("waiting for {} workers at {}", self.expect, listener.local_addr()?));
        lead(listener, shares, &settings.secret()?, self.wait, Children::default()).await
    }
}

/// Runs it with workers that are child processes of this one.
pub async fn with_children(settings: &Settings) -> anyhow::Result<Part> {
    let shares = settings.shares(settings.workers(), &rooms::run())?;
    let secret = settings.secret()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listening for workers")?;
    let children = Children::spawn(shares.len(), listener.local_addr()?, &secret)?;
    lead(listener, shares, &secret, STARTED, children).await
}

async fn lead(
    listener: TcpListener,
    shares: Vec<Share>,
    secret: &str,
    wait: Duration,
    mut children: Children,
) -> anyhow::Result<Part> {
    let mut stop = interrupt::watch()?;
    let mut links = Links::new(secret);
    tokio::select! {
        come = links.gather(&listener, shares.len(), wait) => come?,
        ended = children.ended() => return Err(ended),
        () = stopped(&mut stop) => bail!("ended before all workers had come"),
    }
    // Nobody else is to come.
    drop(listener);
    for (worker, share) in shares.into_iter().enumerate() {
        links.order(worker, Order::Run(worker, Box::new(share)))?;
    }
    let part = together(&mut links, stop).await?;
    children.end().await;
    Ok(part)
}

/// Leads all workers from the first phase to the last; what they found.
async fn together(links: &mut Links, mut stop: watch::Receiver<bool>) -> anyhow::Result<Part> {
    let mut roster = Roster::new(links.count());
    let mut look = tokio::time::interval(LOOK);
    let (mut progress, mut shown) = (Progress::default(), Progress::default());
    let mut late_since = None;
    let mut is_stopped = false;
    loop {
        let (worker, news) = tokio::select! {
            news = links.next() => news,
            () = stopped(&mut stop), if !is_stopped => {
                is_stopped = true;
                links.order_all(|_| Order::Stop)?;
                continue;
            }
            _ = look.tick() => {
                if progress != shown {
                    shown = progress;
                    timeline::say(shown);
                }
                late_since = is_late(&roster, late_since)?;
                continue;
            }
        };
        let name = links.name(worker);
        match news {
            // It has said everything, and ends its connection.
            Err(_) if roster.is_done(worker) => {}
            Err(why) => return Err(why.context(format!("{name} is gone"))),
            Ok(News::Failed(why)) => bail!("{name} failed: {why}"),
            Ok(News::Alive) => {}
            Ok(News::Told(Told::Progress(own))) => progress = roster.progress(worker, own),
            Ok(News::Told(Told::Made(made))) => links.order_all(|_| Order::Made(made.clone()))?,
            Ok(News::Told(Told::Reached(point))) => {
                if let Some(point) = roster.reach(worker, point) {
                    announce(point);
                    late_since = None;
                    links.order_all(|_| Order::Reached(point))?;
                }
            }
            Ok(News::Done(part)) => {
                if roster.finish(worker, *part) {
                    return roster.sum();
                }
            }
        }
    }
}

/// Since when some wait for others; an error if that is too long.
fn is_late(roster: &Roster, since: Option<Instant>) -> anyhow::Result<Option<Instant>> {
    let Some((behind, what)) = roster.late() else { return Ok(None) };
    let since = since.unwrap_or_else(Instant::now);
    ensure!(since.elapsed() < LATE, "workers {behind:?} are still {what}, {LATE:?} after the first one");
    Ok(Some(since))
}

fn announce(point: Point) {
    match point {
        Point::Gathered => timeline::say("all workers have their users and rooms"),
        Point::Weighed | Point::Away => {}
        Point::Ready => timeline::say("all workers are connected"),
        Point::Drained => timeline::say("all workers have heard everything"),
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is there any more who could say so.
        std::future::pending::<()>().await;
    }
}

/// Names a worker that has not come.
fn missing(come: usize, expect: usize, wait: Duration) -> anyhow::Error {
    anyhow!("{come} of {expect} workers have come within {wait:?}")
}
