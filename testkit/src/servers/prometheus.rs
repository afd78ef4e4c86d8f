//! Prometheus, with the rules and the configuration of `deploy/`, made to scrape
//! what runs here.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::Url;
use serde_json::Value;

use super::{Kind, Server, find_program};
use crate::rest::Rest;

const PROMETHEUS: Kind = Kind {
    program: "prometheus",
    package: "prometheus",
    variable: None,
    stop_signal: "TERM",
    greeting: b"GET /-/ready HTTP/1.0\r\n\r\n",
    hello: b"HTTP/1.0 200",
};

/// A Prometheus server; everything a [`Server`] can do, and questions.
pub struct PrometheusServer {
    server: Server,
    api: Rest,
}

/// A time series that a query came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Seconds since the Unix epoch, and values.
    pub points: Vec<(f64, f64)>,
}

impl Deref for PrometheusServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// Starts a Prometheus with the `prometheus.yml` and the rules in `folder`, but
/// for where its jobs find their targets (`jobs`: `("gateway", ["host:port"])`),
/// and how often it scrapes and evaluates.
pub async fn prometheus(
    folder: &Path,
    jobs: &[(&str, Vec<String>)],
    interval: Duration,
) -> anyhow::Result<PrometheusServer> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    };
    let (config, rules) = (adapted(&read("prometheus.yml")?, jobs, interval)?, read("rules.yml")?);
    let program = find_program(&PROMETHEUS)?;
    let prepare = move |dir: &Path| {
        std::fs::write(dir.join("prometheus.yml"), &config)?;
        std::fs::write(dir.join("rules.yml"), &rules)?;
        Ok(())
    };
    let url = |port| format!("http://127.0.0.1:{port}");
    let server = Server::launch(&PROMETHEUS, url, prepare, move |port, dir| {
        let mut command = Command::new(&program);
        command.current_dir(dir).arg("--config.file=prometheus.yml").arg("--storage.tsdb.path=data");
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command
    });
    let server = server.await?;
    let api = Rest::new(server.url(), "");
    Ok(PrometheusServer { server, api })
}

/// The configuration with targets that are known, in place of names to look up.
fn adapted(config: &str, jobs: &[(&str, Vec<String>)], interval: Duration) -> anyhow::Result<String> {
    let seconds = format!("{}s", interval.as_secs().max(1));
    let mut targets: BTreeMap<&str, &Vec<String>> = jobs.iter().map(|(job, urls)| (*job, urls)).collect();
    let mut job = "";
    // Lines that are further in belong to what was replaced.
    let mut replaced = None;
    let mut adapted = String::new();
    for line in config.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if replaced.is_some_and(|outer| indent > outer) {
            continue;
        }
        replaced = None;
        match text.trim_start_matches("- ").split_once(':') {
            Some(("job_name", name)) => job = name.trim(),
            Some((key @ ("scrape_interval" | "evaluation_interval"), _)) => {
                adapted.push_str(&format!("{:indent$}{key}: {seconds}\n", ""));
                continue;
            }
            Some((key, _)) if key.ends_with("_sd_configs") => {
                let urls =
                    targets.remove(job).with_context(|| format!("nobody said where the job {job} is"))?;
                adapted.push_str(&format!("{:indent$}static_configs: [{{ targets: {urls:?} }}]\n", ""));
                replaced = Some(indent);
                continue;
            }
            _ => {}
        }
        adapted.push_str(line);
        adapted.push('\n');
    }
    ensure!(targets.is_empty(), "the configuration has no such jobs: {targets:?}");
    Ok(adapted)
}

impl PrometheusServer {
    /// What a query comes to from one time to another, in seconds since the epoch.
    pub async fn query(&self, query: &str, from: f64, to: f64, step: f64) -> anyhow::Result<Vec<Found>> {
        let [from, to, step] = [from, to, step].map(|number| format!("{number:.3}"));
        let parameters = [("query", query), ("start", &from), ("end", &to), ("step", &step)];
        let data = self.get("/api/v1/query_range", &parameters).await?;
        let series = data["result"].as_array().context("no result")?;
        series.iter().map(|series| found(series).context("a series of another form")).collect()
    }

    /// All rules, as `/api/v1/rules` shows each: `name`, `query`, `type`, `health`.
    pub async fn rules(&self) -> anyhow::Result<Vec<Value>> {
        let data = self.get("/api/v1/rules", &[]).await?;
        let groups = data["groups"].as_array().context("no groups")?;
        Ok(groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect())
    }

    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Value> {
        let url = Url::parse_with_params("http://any", parameters)?;
        let answer = self.api.get(&format!("{path}?{}", url.query().unwrap_or_default())).await?;
        match answer.body["status"].as_str() {
            Some("success") => Ok(answer.body["data"].clone()),
            _ => bail!("status {}: {}", answer.status, answer.body["error"]),
        }
    }
}

fn found(series: &Value) -> Option<Found> {
    let labels = series["metric"].as_object()?.iter();
    let labels = labels
        .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect::<Option<_>>()?;
    let points = series["values"].as_array()?.iter();
    let points = points.map(|point| Some((point[0].as_f64()?, point[1].as_str()?.parse().ok()?)));
    Some(Found { labels, points: points.collect::<Option<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
global:
  scrape_interval: 15s

scrape_configs:
  - job_name: gateway
    dns_sd_configs:
      - names: [gateway]
        port: 9090
    honor_labels: false

  - job_name: dispatcher
    dns_sd_configs:
      - names: [dispatcher]
";

    #[test]
    fn only_targets_and_intervals_are_replaced() {
        let jobs = [("gateway", vec!["a:1".to_owned(), "b:2".to_owned()]), ("dispatcher", vec![])];
        let adapted = adapted(CONFIG, &jobs, Duration::from_secs(2)).unwrap();
        let expected = "\
global:
  scrape_interval: 2s

scrape_configs:
  - job_name: gateway
    static_configs: [{ targets: [\"a:1\", \"b:2\"] }]
    honor_labels: false

  - job_name: dispatcher
    static_configs: [{ targets: [] }]
";
        assert_eq!(adapted, expected);
    }

    #[test]
    fn a_job_that_one_side_does_not_know_is_an_error() {
        let some = ("gateway", vec![]);
        assert!(adapted(CONFIG, std::slice::from_ref(&some), Duration::from_secs(1)).is_err());
        let jobs = [some, ("dispatcher", vec![]), ("web", vec![])];
        assert!(adapted(CONFIG, &jobs, Duration::from_secs(1)).is_err());
    }
}
