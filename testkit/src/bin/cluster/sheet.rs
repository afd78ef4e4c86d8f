//! Dashboards as charts: what Grafana would show of the run.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use chart::{Chart, Series, Span, page};
use serde_json::Value;
use testkit::servers::{Found, PrometheusServer};

use crate::queries::{Dashboard, filled, targets};

/// Draws a dashboard over the time of the run, one file for each.
pub async fn draw(
    dashboard: &Dashboard,
    prometheus: &PrometheusServer,
    (begin, end): (f64, f64),
    spans: &[Span],
    folder: &Path,
) -> anyhow::Result<()> {
    let mut charts = Vec::new();
    // A heatmap needs colors, not lines; the same times are drawn as quantiles.
    for panel in dashboard.panels().filter(|panel| panel["type"] != "heatmap" && panel["type"] != "row") {
        let mut chart = Chart {
            title: panel["title"].as_str().unwrap_or_default().to_owned(),
            unit: panel["fieldConfig"]["defaults"]["unit"].as_str().map(unit).unwrap_or_default(),
            spans: spans.to_vec(),
            ..Chart::default()
        };
        for target in targets(panel) {
            let expr = filled(target["expr"].as_str().unwrap_or_default());
            let found = prometheus.query(&expr, begin, end, 1.0).await?;
            chart.series.extend(found.into_iter().map(|found| line(target, found, begin)));
        }
        charts.push(chart);
    }
    let title = dashboard.json["title"].as_str().unwrap_or(&dashboard.name);
    let path = folder.join(format!("{}.svg", dashboard.name));
    std::fs::write(&path, page(title, &charts)).with_context(|| format!("write {}", path.display()))
}

/// What Grafana's units are called by people.
fn unit(unit: &str) -> String {
    let name = match unit {
        "ops" | "cps" => "per second",
        "Bps" => "bytes per second",
        "s" => "seconds",
        "percentunit" => "share",
        "short" | "none" | "bool_yes_no" => "",
        other => other,
    };
    name.to_owned()
}

fn line(target: &Value, found: Found, begin: f64) -> Series {
    let name = legend(target["legendFormat"].as_str().unwrap_or_default(), &found.labels);
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (at, value) in found.points {
        // Where there is no sample there is no line.
        if let Some((last, _)) = points.last().filter(|(last, _)| at - begin - last > 1.5) {
            points.push((*last, f64::NAN));
        }
        points.push((at - begin, value));
    }
    Series::new(name, points)
}

/// `{{label}}` replaced by its value.
fn legend(format: &str, labels: &BTreeMap<String, String>) -> String {
    let mut name = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once("{{") {
        let (label, after) = after.split_once("}}").unwrap_or((after, ""));
        name.push_str(before);
        name.push_str(labels.get(label.trim()).map_or("", String::as_str));
        rest = after;
    }
    name + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legends_have_the_values_of_their_labels() {
        let labels = BTreeMap::from([("instance".to_owned(), "a:1".to_owned())]);
        assert_eq!(legend("{{instance}} filled", &labels), "a:1 filled");
        assert_eq!(legend("{{ code }}, p50", &labels), ", p50");
    }

    #[test]
    fn a_line_breaks_where_samples_are_missing() {
        let points = vec![(10.0, 1.0), (11.0, 2.0), (15.0, 3.0)];
        let line = line(&Value::Null, Found { points, ..Found::default() }, 10.0);
        assert_eq!(line.points.len(), 4);
        assert!(line.points[2].1.is_nan() && line.points[3] == (5.0, 3.0));
    }
}
