//! What dashboards and rules ask for.

use std::path::Path;

use anyhow::Context;
use serde_json::Value;
use testkit::servers::PrometheusServer;

/// What Grafana makes of the variable: a few scrapes of the check.
const RATE_INTERVAL: &str = "5s";

/// What a query is for, which says what it has to come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Shown on a dashboard.
    Panel,
    /// Chooses what a dashboard shows. Not PromQL but for its selector.
    Variable,
    /// Kept under a name of its own.
    Recording,
    /// True only when something is wrong.
    Alert,
}

/// One query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Where it stands: "overview.json: Connections".
    pub place: String,
    /// What it is for.
    pub purpose: Purpose,
    /// The query, with values for Grafana's variables.
    pub expr: String,
}

/// A dashboard with its panels.
pub struct Dashboard {
    /// Its file, without the ending.
    pub name: String,
    /// As Grafana reads it.
    pub json: Value,
}

/// Reads all dashboards of a folder.
pub fn dashboards(folder: &Path) -> anyhow::Result<Vec<Dashboard>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut dashboards = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let json = serde_json::from_slice(&std::fs::read(&path)?)
            .with_context(|| format!("read {}", path.display()))?;
        dashboards.push(Dashboard { name, json });
    }
    dashboards.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(dashboards)
}

impl Dashboard {
    /// Its panels, in order.
    pub fn panels(&self) -> impl Iterator<Item = &Value> {
        self.json["panels"].as_array().into_iter().flatten()
    }

    /// All that it asks for.
    pub fn queries(&self) -> Vec<Query> {
        let mut queries = Vec::new();
        for panel in self.panels() {
            let place = format!("{}: {}", self.name, panel["title"].as_str().unwrap_or_default());
            for target in targets(panel) {
                let expr = filled(target["expr"].as_str().unwrap_or_default());
                queries.push(Query { place: place.clone(), purpose: Purpose::Panel, expr });
            }
        }
        for variable in self.json["templating"]["list"].as_array().into_iter().flatten() {
            if let Some(definition) = variable["definition"].as_str() {
                let place = format!("{}: ${}", self.name, variable["name"].as_str().unwrap_or_default());
                queries.push(Query { place, purpose: Purpose::Variable, expr: filled(definition) });
            }
        }
        queries
    }
}

/// The queries of a panel.
pub fn targets(panel: &Value) -> impl Iterator<Item = &Value> {
    panel["targets"].as_array().into_iter().flatten()
}

/// With values for Grafana's variables: everything that there is.
pub fn filled(expr: &str) -> String {
    expr.replace("$__rate_interval", RATE_INTERVAL).replace("$job", ".+").replace("$instance", ".+")
}

/// The rules as the server has read them.
pub async fn rules(prometheus: &PrometheusServer) -> anyhow::Result<Vec<Query>> {
    let rules = prometheus.rules().await?;
    let query = |rule: &Value| {
        let alert = rule["type"] == "alerting";
        Some(Query {
            place: format!("rules: {}", rule["name"].as_str()?),
            purpose: if alert { Purpose::Alert } else { Purpose::Recording },
            expr: rule["query"].as_str()?.to_owned(),
        })
    };
    rules.iter().map(|rule| query(rule).context("a rule of another form")).collect()
}

/// The series that a query is built of: names of metrics with their matchers.
pub fn selectors(expr: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let mut found = Vec::new();
    let mut rest = expr;
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            rest = after_string(rest);
        } else if is_part(c) {
            let (name, after) = rest.split_at(rest.find(|c| !is_part(c)).unwrap_or(rest.len()));
            rest = after;
            if is_metric(name) {
                let matchers = matchers(rest);
                rest = &rest[matchers.len()..];
                let selector = format!("{name}{matchers}");
                if !found.contains(&selector) {
                    found.push(selector);
                }
            }
        } else {
            rest = &rest[c.len_utf8()..];
        }
    }
    found
}

/// Ours, those of every process, recorded ones, and Prometheus's own.
fn is_metric(name: &str) -> bool {
    name.starts_with("carillon_")
        || name.starts_with("process_")
        || name.contains(':')
        || ["up", "ALERTS"].contains(&name)
}

/// What stands in braces at the beginning, with them.
fn matchers(text: &str) -> &str {
    if !text.starts_with('{') {
        return "";
    }
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match c {
            '"' => rest = after_string(rest),
            '}' => return &text[..text.len() - rest.len() + 1],
            _ => rest = &rest[c.len_utf8()..],
        }
    }
    text
}

/// What follows the string in quotes at the beginning.
fn after_string(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return &text[at + 1..],
            _ => escaped = c == '\\' && !escaped,
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_found_with_their_matchers() {
        let expr = r#"sum by (job, le) (rate(carillon_a_bucket{job=~".+", x!="}\""}[5m])) > 0.1 * up
            and on (job) instance:carillon_a:p99_5m or label_replace(up, "carillon_no", "up", "", "")"#;
        let expected = [r#"carillon_a_bucket{job=~".+", x!="}\""}"#, "up", "instance:carillon_a:p99_5m"];
        assert_eq!(selectors(expr), expected);
        assert_eq!(selectors(r#"label_values(carillon_build_info{job=~"$job"}, instance)"#).len(), 1);
        assert_eq!(selectors("vector(0)"), Vec::<String>::new());
    }
}
