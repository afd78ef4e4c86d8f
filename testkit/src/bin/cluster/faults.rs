//! What goes wrong while a cluster is checked, so that metrics of faults have
//! something to count: each fault is real, and lasts until Prometheus has seen it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use chart::Span;
use futures_util::future::join_all;
use proto::{CloseCode, Encoding};
use testkit::client::{Client, ConnectError, ConnectOptions};
use testkit::cluster::System;
use testkit::crowd::Crowd;
use testkit::rolling::restart;
use testkit::servers::PrometheusServer;
use testkit::try_eventually;

use crate::load;

/// A scrape, a rule's evaluation, and a reconnect with its pause, several times.
const SEEN: Duration = Duration::from_secs(60);
/// Messages between two faults.
const SOME: usize = 150;
/// More than the crowd needs, and soon reached.
const MAX_CONNECTIONS: usize = 120;
/// More than a page of history needs, and soon reached.
const MAX_OUTBOUND: &str = "128KiB";
/// Nearly as large as a text may be.
const LONG_TEXT: usize = 12 * 1024;
/// Long texts on the way at once.
const AT_ONCE: usize = 16;

/// Limits that can be reached in seconds.
pub fn settings() -> Vec<(String, String)> {
    let connections = MAX_CONNECTIONS.to_string();
    let settings = [
        ("CARILLON_MAX_CONNECTIONS", connections.as_str()),
        ("CARILLON_MAX_OUTBOUND_BYTES", MAX_OUTBOUND),
        ("CARILLON_DRAIN_SPREAD", "2s"),
        ("CARILLON_AUTH_TIMEOUT", "2s"),
    ];
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// Seconds since the Unix epoch, as Prometheus counts.
pub fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A cluster, who watches it, who uses it, and what has happened.
pub struct Course<'a> {
    system: &'a System,
    prometheus: &'a PrometheusServer,
    crowd: &'a Crowd,
    begin: f64,
    spans: Vec<Span>,
}

impl<'a> Course<'a> {
    /// Everything is still well.
    pub fn new(system: &'a System, prometheus: &'a PrometheusServer, crowd: &'a Crowd, begin: f64) -> Self {
        Self { system, prometheus, crowd, begin, spans: Vec::new() }
    }

    /// All faults, one after the other; when each was.
    pub async fn run(mut self) -> anyhow::Result<Vec<Span>> {
        // It takes seconds until it scrapes for the first time.
        let nodes = self.system.gateways().len() + self.system.dispatchers().len();
        self.seen(&format!("sum(up) == {nodes}")).await?;
        load::everything_once(self.system).await?;
        self.calm().await?;
        self.restarts().await?;
        self.broker_away().await?;
        self.presence_away().await?;
        self.store_away().await?;
        self.full().await?;
        self.slow_reader().await?;
        self.calm().await?;
        Ok(self.spans)
    }

    /// The load alone, for some time.
    async fn calm(&self) -> anyhow::Result<()> {
        self.crowd.answered(SOME).await
    }

    fn note(&mut self, name: &str, from: f64) {
        let span = Span { name: name.to_owned(), from: from - self.begin, to: unix_now() - self.begin };
        println!("{:>5.0} s  {name}", span.from);
        self.spans.push(span);
    }

    /// Waits until Prometheus answers a query with something.
    async fn seen(&self, query: &str) -> anyhow::Result<()> {
        self.value(query).await.map(drop)
    }

    /// The same, and what it is.
    async fn value(&self, query: &str) -> anyhow::Result<f64> {
        let what = format!("Prometheus to see {query}");
        try_eventually(what, SEEN, async || self.value_now(query).await).await
    }

    async fn value_now(&self, query: &str) -> Option<f64> {
        let now = unix_now();
        let found = self.prometheus.query(query, now, now, 1.0).await.ok()?;
        Some(found.first()?.points.last()?.1)
    }

    /// A gateway once; a dispatcher so often that it is one that cannot stay up.
    async fn restarts(&mut self) -> anyhow::Result<()> {
        let from = unix_now();
        restart(self.system.gateway(0), |_| ()).await?;
        self.note("a gateway restarts", from);
        self.calm().await?;
        let from = unix_now();
        let dispatcher = self.system.dispatcher(0);
        let started = format!("process_start_time_seconds{{instance=\"{}\"}}", instance(dispatcher));
        for _ in 0..3 {
            // It counts in whole seconds: a start within the same one would be none.
            self.seen(&format!("time() - {started} >= 2")).await?;
            let before = self.value(&started).await?;
            restart(dispatcher, |_| ()).await?;
            self.seen(&format!("{started} != {before}")).await?;
        }
        self.seen(r#"ALERTS{alertname="CarillonRestarts", alertstate="firing"}"#).await?;
        self.note("a dispatcher restarts", from);
        self.calm().await
    }

    async fn broker_away(&mut self) -> anyhow::Result<()> {
        let from = unix_now();
        self.system.nats().kill().await?;
        self.seen("carillon_broker_link_up == 0").await?;
        self.calm().await?;
        self.system.nats().start().await?;
        self.seen("carillon_broker_link_up == 1").await?;
        self.note("NATS is away", from);
        self.calm().await
    }

    async fn presence_away(&mut self) -> anyhow::Result<()> {
        let from = unix_now();
        self.system.redis().kill().await?;
        self.seen("carillon_presence_link_up == 0").await?;
        self.calm().await?;
        self.system.redis().start().await?;
        self.seen("carillon_presence_link_up == 1").await?;
        self.note("Redis is away", from);
        self.calm().await
    }

    /// For so long that sends are refused, and that nobody can sign in.
    async fn store_away(&mut self) -> anyhow::Result<()> {
        let from = unix_now();
        self.system.postgres().stop().await?;
        let turned_away =
            try_eventually("a sign-in to fail", SEEN, async || match self.system.client(0, "dora").await {
                Err(ConnectError::Refused(error)) => error.retryable.then_some(()),
                Err(ConnectError::Closed(closed)) => {
                    (closed.close_code() == Some(CloseCode::Unavailable)).then_some(())
                }
                _ => None,
            });
        turned_away.await?;
        self.seen(r#"carillon_dispatcher_commands_total{result="unavailable"} > 0"#).await?;
        self.system.postgres().start().await?;
        self.calm().await?;
        self.note("PostgreSQL is away", from);
        self.calm().await
    }

    /// More connections than a gateway takes, none of which says who it is.
    async fn full(&mut self) -> anyhow::Result<()> {
        let from = unix_now();
        let url = self.system.gateway(1).url();
        let mut held = Vec::new();
        loop {
            ensure!(held.len() <= MAX_CONNECTIONS, "a gateway takes more than max_connections");
            match Client::open(&url, ConnectOptions::new(Encoding::Json)).await {
                Ok(client) => held.push(client),
                Err(ConnectError::Status(503)) => break,
                Err(error) => return Err(error).context("fill a gateway"),
            }
        }
        self.seen(r#"carillon_gateway_handshakes_refused_total{reason="full"} > 0"#).await?;
        self.seen(r#"carillon_gateway_closes_total{code="auth_timeout"} > 0"#).await?;
        self.note("a gateway is full", from);
        Ok(())
    }

    /// A client that reads nothing in a room where much is said.
    async fn slow_reader(&mut self) -> anyhow::Result<()> {
        let from = unix_now();
        let room = self.system.rest(0, "ana").create_group("Long", &["eve"]).await?;
        let ana = self.system.client(0, "ana").await?;
        let options = ConnectOptions { receive_buffer: Some(4096), ..ConnectOptions::new(Encoding::Json) };
        let eve = self.system.client_with(1, "eve", options).await?;
        let joined = eve.join(&room).await;
        ensure!(joined.is_ok(), "{joined:?}");
        eve.set_reading(false);
        let text = "x".repeat(LONG_TEXT);
        let closed = try_eventually("a slow reader to be closed", SEEN, async || {
            // Refused or not: the next ones make up for it.
            join_all((0..AT_ONCE).map(|_| ana.send(&room, &text))).await;
            self.value_now(r#"carillon_gateway_closes_total{code="slow_reader"} > 0"#).await
        });
        closed.await?;
        self.note("a client reads nothing", from);
        Ok(())
    }
}

/// What Prometheus calls a node.
fn instance(node: &testkit::cluster::Node) -> &str {
    node.admin().base().trim_start_matches("http://")
}
