//! A run, or two, as one page of HTML that needs nothing else: no script, font
//! or picture from anywhere. What it shows is put in as text, whoever wrote it.

use std::fmt::{Arguments, Write};

use chart::{HOVER, STYLE, escaped};
use serde_json::Value;

use super::compare::{Change, Comparison, shown};
use super::rows::Figure;
use super::{Record, Rows};
use crate::timeline::grouped;
use plots::{Plot, Run, over_time, percentiles};

mod plots;

const PAGE: &str = include_str!("page.css");

/// A page that is being written. Writing to a string cannot fail.
struct Page(String);

impl Page {
    fn new(title: &str) -> Self {
        let mut page = Self(String::new());
        page.put(format_args!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <meta name=\"color-scheme\" content=\"light dark\"/>\n<title>{}</title>\n\
             <style>{PAGE}{STYLE}</style>\n</head>\n<body>\n<main>\n",
            escaped(title)
        ));
        page
    }

    fn put(&mut self, what: Arguments<'_>) {
        let _ = self.0.write_fmt(what);
    }

    fn end(mut self) -> String {
        self.put(format_args!("</main>\n<script>{HOVER}</script>\n</body>\n</html>\n"));
        self.0
    }

    fn heading(&mut self, title: &str) {
        self.put(format_args!("<h2>{}</h2>\n", escaped(title)));
    }

    fn plots(&mut self, plots: &[Plot]) {
        let charts: Vec<_> = plots.iter().map(|plot| plot.chart.clone()).collect();
        self.put(format_args!("<div class=\"plots\">\n"));
        for plot in plots {
            self.0.push_str(&chart::figure(plot.id, &plot.chart, &charts));
        }
        self.put(format_args!("</div>\n"));
    }

    /// A table; cells of the first column say what the others are of.
    fn table(&mut self, heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        self.put(format_args!("<div class=\"wide\"><table>\n"));
        if !heads.is_empty() {
            let heads: String =
                heads.iter().map(|head| format!("<th scope=\"col\">{}</th>", escaped(head))).collect();
            self.put(format_args!("<thead><tr>{heads}</tr></thead>\n"));
        }
        self.put(format_args!("<tbody>\n"));
        for row in rows {
            let mut cells = row.iter();
            let first = cells.next().map_or("", String::as_str);
            let cells: String = cells.map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
            self.put(format_args!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", escaped(first)));
        }
        self.put(format_args!("</tbody>\n</table></div>\n"));
    }

    /// What was checked, or what was wrong.
    fn verdict(&mut self, record: &Record) {
        let violations = &record.report.violations;
        if violations.is_empty() {
            let verdict = record.report.result.rows().verdict();
            return self
                .put(format_args!("<p class=\"verdict good\"><b>Checked</b> {}</p>\n", escaped(verdict)));
        }
        let items: String =
            violations.iter().map(|violation| format!("<li>{}</li>", escaped(violation))).collect();
        self.put(format_args!(
            "<div class=\"verdict bad\"><b>Wrong</b> the deliveries were not what they should be\
             <ul>{items}</ul></div>\n"
        ));
    }
}

/// A value with its unit set apart.
fn value(figure: &Figure) -> String {
    let (value, unit) = figure.unit.show(figure.value);
    format!("{value} {unit}").trim_end().to_owned()
}

fn millis(value: f64) -> String {
    // Three digits that say something.
    match value {
        value if value >= 100.0 => grouped(value.round() as u64),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// When it was, and with what.
fn origin(record: &Record) -> String {
    let mut versions: Vec<_> =
        record.timeline.nodes.iter().filter_map(|node| node.version.as_deref()).collect();
    versions.sort_unstable();
    versions.dedup();
    let length = (record.timeline.end() - record.timeline.begin()).max(0.0);
    let mut parts = vec![record.started_at.replace('T', " ").replace('Z', " UTC")];
    if length > 0.0 {
        parts.push(format!("{length:.0} s in all"));
    }
    if !versions.is_empty() {
        parts.push(format!("Carillon {}", versions.join(", ")));
    }
    parts.push(format!("carillon-loadtest {}", record.version));
    parts.retain(|part| !part.is_empty());
    parts.join(" · ")
}

fn settings(value: &Value) -> Vec<Vec<String>> {
    let all = value.as_object().into_iter().flatten();
    all.map(|(key, value)| vec![key.clone(), shown(value)]).collect()
}

/// The page of one run.
pub fn page(record: &Record) -> String {
    let (report, rows) = (&record.report, record.report.result.rows());
    let title = format!("{} over {}", record.scenario(), report.wire);
    let mut page = Page::new(&format!("Load test: {title}"));
    page.put(format_args!(
        "<header><p class=\"kicker\">Carillon load test</p><h1>{}</h1>\n<p>{}</p>\n<p class=\"soft\">{}</p></header>\n",
        escaped(&title),
        escaped(&rows.title()),
        escaped(&origin(record))
    ));
    page.verdict(record);
    tiles(&mut page, rows);
    if !rows.latencies().is_empty() {
        page.heading("Latency");
        page.put(format_args!("<div class=\"beside\">\n<div>\n"));
        page.table(
            &["ms", "p50", "p90", "p99", "p99.9", "max"],
            rows.latencies().into_iter().map(|(name, latency)| {
                let columns = latency.columns().into_iter().map(|(_, value)| millis(value));
                std::iter::once(name.to_owned()).chain(columns).collect()
            }),
        );
        page.put(format_args!("</div>\n"));
        page.plots(&percentiles(&[Run::of(record, "")]));
        page.put(format_args!("</div>\n"));
    }
    let plots = over_time(&[Run::of(record, "")]);
    if !plots.is_empty() {
        page.heading("Over time");
        page.plots(&plots);
    }
    page.heading("Figures");
    page.put(format_args!("<div class=\"beside\">\n<div>\n"));
    page.table(&[], report.figures().iter().map(|figure| vec![figure.name.to_string(), value(figure)]));
    page.put(format_args!("</div>\n"));
    if !report.costs.is_empty() {
        costs(&mut page, record);
    }
    page.put(format_args!("</div>\n"));
    let asked = settings(&record.settings);
    if !asked.is_empty() {
        page.heading("Settings");
        page.table(&[], asked);
    }
    page.end()
}

/// The headline figures, and of each latency the one that is looked at first.
fn tiles(page: &mut Page, rows: &dyn Rows) {
    page.put(format_args!("<div class=\"tiles\">\n"));
    for figure in rows.figures().iter().filter(|figure| figure.headline) {
        let (value, unit) = figure.unit.show(figure.value);
        tile(page, &figure.name, &value, unit);
    }
    for (name, latency) in rows.latencies() {
        tile(page, &format!("{name} p99"), &millis(latency.p99), "ms");
    }
    page.put(format_args!("</div>\n"));
}

fn tile(page: &mut Page, name: &str, value: &str, unit: &str) {
    page.put(format_args!(
        "<div class=\"tile\"><span>{}</span><b>{} <small>{unit}</small></b></div>\n",
        escaped(name),
        escaped(value)
    ));
}

fn costs(page: &mut Page, record: &Record) {
    page.put(format_args!("<div>\n"));
    let micros = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2} µs"));
    page.table(
        &["processor time", "in all", "per message", "per delivery"],
        record.report.costs.iter().map(|cost| {
            vec![
                cost.process.clone(),
                format!("{:.2} s", cost.cpu_seconds),
                micros(cost.micros_per_message),
                micros(cost.micros_per_delivery),
            ]
        }),
    );
    page.put(format_args!("</div>\n"));
}

/// The page of two runs.
pub fn compared(comparison: &Comparison<'_>) -> String {
    let runs = [("A", comparison.before), ("B", comparison.after)];
    let title = match (comparison.before.scenario(), comparison.after.scenario()) {
        (one, other) if one == other => one.to_owned(),
        (one, other) => format!("{one} and {other}"),
    };
    let mut page = Page::new(&format!("Load tests compared: {title}"));
    page.put(format_args!(
        "<header><p class=\"kicker\">Carillon load tests compared</p><h1>{}</h1></header>\n<div class=\"beside\">\n",
        escaped(&title)
    ));
    for (letter, record) in runs {
        page.put(format_args!(
            "<section><h2><span class=\"letter\">{letter}</span> {}</h2>\n<p>{}</p>\n<p class=\"soft\">{}</p>\n",
            escaped(&record.report.wire),
            escaped(&record.report.result.rows().title()),
            escaped(&origin(record))
        ));
        page.verdict(record);
        page.put(format_args!("</section>\n"));
    }
    page.put(format_args!("</div>\n"));
    if !comparison.settings.is_empty() {
        page.heading("Asked for otherwise");
        page.table(
            &["", "A", "B"],
            comparison.settings.iter().map(|(key, a, b)| vec![key.clone(), a.clone(), b.clone()]),
        );
    }
    page.heading("Figures");
    ratios(&mut page, comparison);
    let runs = runs.map(|(letter, record)| Run::of(record, letter));
    let curves = percentiles(&runs);
    if !curves.is_empty() {
        page.heading("Latency");
        page.plots(&curves);
    }
    let plots = over_time(&runs);
    if !plots.is_empty() {
        page.heading("Over time");
        page.put(format_args!(
            "<p class=\"soft\">A is drawn through, B dashed; measuring begins at the same place.</p>\n"
        ));
        page.plots(&plots);
    }
    page.end()
}

fn ratios(page: &mut Page, comparison: &Comparison<'_>) {
    page.put(format_args!(
        "<div class=\"wide\"><table>\n<thead><tr><th></th><th scope=\"col\">A</th><th scope=\"col\">B</th>\
         <th scope=\"col\">B/A</th></tr></thead>\n<tbody>\n"
    ));
    for row in &comparison.rows {
        let show = |value: Option<f64>| match value.map(|value| row.unit.show(value)) {
            Some((value, unit)) => format!("{value} {unit}").trim_end().to_owned(),
            None => "-".to_owned(),
        };
        let class = match row.change() {
            Change::Better => "better",
            Change::Worse => "worse",
            Change::None => "same",
        };
        let ratio = row.ratio().map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        page.put(format_args!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"{class}\">{ratio}</td></tr>\n",
            escaped(&row.name),
            show(row.before),
            show(row.after)
        ));
    }
    page.put(format_args!("</tbody>\n</table></div>\n"));
}
