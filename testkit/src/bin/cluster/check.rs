//! Holds dashboards and rules against a live Prometheus: every query is
//! answered, and every series that it is built of exists.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use testkit::cluster::System;
use testkit::servers::{Found, PrometheusServer};
use testkit::try_eventually;

use crate::faults::{Course, unix_now};
use crate::queries::{Dashboard, Purpose, Query, dashboards, rules, selectors};
use crate::{load, sheet};

const PATIENCE: Duration = Duration::from_secs(60);

/// Series that a run may be without, each with the reason. Anything else that is
/// empty is a metric that does not exist, or a label that nothing matches.
const MAY_BE_EMPTY: [(&str, &str); 1] =
    [("carillon_build_info{role=~\"standalone\"}", "a cluster has no such process")];

/// Counters that the run makes rise, and that Prometheus must have seen rising: a
/// series that begins with its first event hides that from every rate, and so
/// from the alerts that are built of it.
const MUST_RISE: [&str; 18] = [
    "carillon_gateway_closes_total{code=\"drain\"}",
    "carillon_gateway_closes_total{code=\"slow_reader\"}",
    "carillon_gateway_closes_total{code=\"auth_timeout\"}",
    "carillon_gateway_handshakes_refused_total{reason=\"full\"}",
    "carillon_gateway_joins_total",
    "carillon_gateway_resets_total",
    "carillon_gateway_fills_total",
    "carillon_gateway_deliveries_total",
    "carillon_gateway_drain_closes_total",
    "carillon_gateway_drain_waves_total",
    "carillon_gateway_errors_total{code=\"unavailable\"}",
    "carillon_gateway_fan_out_seconds_count",
    "carillon_dispatcher_commands_total{result=\"unavailable\"}",
    "carillon_dispatcher_publish_errors_total",
    "carillon_dispatcher_publish_seconds_count",
    "carillon_dispatcher_retries_total",
    "carillon_presence_errors_total",
    "process_cpu_seconds_total",
];

/// Runs load and faults, evaluates everything, and draws the dashboards.
pub async fn run(
    system: &System,
    prometheus: &PrometheusServer,
    folder: &Path,
    out: &Path,
) -> anyhow::Result<()> {
    let begin = unix_now();
    let crowd = load::crowd(system).await?;
    let spans = Course::new(system, prometheus, &crowd, begin).run().await?;
    let account = crowd.finish(system).await?;
    println!("{}", account.report);
    ensure!(account.report.violations.is_empty(), "promises were broken; see above");
    let end = evaluated_since(prometheus, unix_now()).await?;

    let dashboards = dashboards(folder)?;
    let mut queries: Vec<_> = dashboards.iter().flat_map(Dashboard::queries).collect();
    queries.extend(rules(prometheus).await?);
    let mut faults = evaluate(prometheus, &queries, (begin, end)).await?;
    faults.extend(not_rising(prometheus, (begin, end)).await?);

    std::fs::create_dir_all(out).with_context(|| format!("make {}", out.display()))?;
    for dashboard in &dashboards {
        sheet::draw(dashboard, prometheus, (begin, end), &spans, out).await?;
    }
    println!("the dashboards of this run are drawn in {}", out.display());
    ensure!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    Ok(())
}

/// Waits until everything up to `then` is scraped, and rules have been
/// evaluated after that; the time of it.
async fn evaluated_since(prometheus: &PrometheusServer, then: f64) -> anyhow::Result<f64> {
    try_eventually("the last scrape and evaluation", PATIENCE, async || {
        let now = unix_now();
        let recorded = "min(timestamp(instance:carillon_gateway_command_seconds:p99_5m))";
        let found = prometheus.query(recorded, now, now, 1.0).await.ok()?;
        let last = found.first()?.points.last()?.1;
        (last > then + 1.0).then_some(now)
    })
    .await
}

/// What is wrong, as lines for people.
async fn evaluate(
    prometheus: &PrometheusServer,
    queries: &[Query],
    (begin, end): (f64, f64),
) -> anyhow::Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut series: BTreeMap<String, &str> = BTreeMap::new();
    for query in queries {
        let Query { place, purpose, expr } = query;
        let of = selectors(expr);
        if of.is_empty() {
            faults.push(format!("{place} asks for nothing: {expr}"));
        }
        series.extend(of.into_iter().map(|selector| (selector, place.as_str())));
        if *purpose == Purpose::Variable {
            continue;
        }
        match prometheus.query(expr, begin, end, 1.0).await {
            Err(error) => faults.push(format!("{place} is not answered: {error:#}: {expr}")),
            Ok(found) => {
                let needed = matches!(purpose, Purpose::Panel | Purpose::Recording);
                if needed && !says_something(&found) && excuse(expr).is_none() {
                    faults.push(format!("{place} comes to nothing: {expr}"));
                }
            }
        }
    }
    let mut excused = 0;
    for (selector, place) in &series {
        if says_something(&prometheus.query(selector, begin, end, 1.0).await?) {
            continue;
        }
        match excuse(selector) {
            Some(reason) => {
                excused += 1;
                println!("empty, and may be: {selector}: {reason}");
            }
            None => faults.push(format!("no such series: {selector} ({place})")),
        }
    }
    let alerts = queries.iter().filter(|query| query.purpose == Purpose::Alert).count();
    println!(
        "{} queries ({alerts} of them alerts) over {} series; {excused} series may be empty and are",
        queries.len(),
        series.len()
    );
    Ok(faults)
}

/// What should have been seen to rise, and was not.
async fn not_rising(prometheus: &PrometheusServer, (begin, end): (f64, f64)) -> anyhow::Result<Vec<String>> {
    let mut faults = Vec::new();
    for selector in MUST_RISE {
        let found = prometheus.query(&format!("rate({selector}[5s]) > 0"), begin, end, 1.0).await?;
        if !says_something(&found) {
            faults.push(format!("nobody saw it rise: {selector}"));
        }
    }
    Ok(faults)
}

/// A number at any time: neither nothing nor "not a number".
fn says_something(found: &[Found]) -> bool {
    found.iter().flat_map(|found| &found.points).any(|(_, value)| value.is_finite())
}

fn excuse(expr: &str) -> Option<&'static str> {
    MAY_BE_EMPTY.iter().find(|(series, _)| expr.contains(series)).map(|(_, reason)| *reason)
}
