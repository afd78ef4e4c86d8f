//! Where results go: results.json, a report to look at, the page of the
//! documentation and its pictures.

use std::path::Path;

use anyhow::Context;
use chart::escaped;

use crate::curves::{CURVES, Curve};
use crate::document;
use crate::load::Scale;
use crate::plot::{self, Line};
use crate::results::Results;
use crate::stats::Spread;
use crate::tables;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;\
                     color:#222}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
                     td,th{border-bottom:1px solid #ddd;padding:.3rem .8rem;text-align:left;vertical-align:top}\
                     .wrong{color:#b00020;font-weight:600}svg{max-width:100%;height:auto}";

/// results.json and report.html.
pub fn write(results: &Results, scale: Scale, folder: &Path) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(results).context("results as JSON")?;
    save(&folder.join("results.json"), &format!("{json}\n"))?;
    save(&folder.join("report.html"), &html(results, scale))
}

/// What was written before.
pub fn read(file: &Path) -> anyhow::Result<Results> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} are no results", file.display()))
}

/// The tables of the page, and the pictures beside it.
pub fn write_page(results: &Results, scale: Scale, page: &Path, pictures: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(page).with_context(|| format!("read {}", page.display()))?;
    let folder = pictures.file_name().and_then(|name| name.to_str()).context("the pictures need a folder")?;
    let tables = tables::markdown(&tables::tables(results, scale), folder);
    let text = document::rewrite(&text, &tables, &tables::names())
        .with_context(|| format!("the markers of {}", page.display()))?;
    for curve in CURVES.iter().filter(|curve| results.has(curve.name)) {
        std::fs::create_dir_all(pictures).with_context(|| format!("make {}", pictures.display()))?;
        save(&pictures.join(format!("{}.svg", curve.name)), &picture(curve, results, scale))?;
    }
    save(page, &text)
}

fn picture(curve: &Curve, results: &Results, scale: Scale) -> String {
    let labels = tables::labels(curve, scale);
    let lines = curve.lines.iter().enumerate().map(|(number, (name, _))| {
        let value = |label: &String| {
            tables::of_line(curve, results, scale, label, number).map(|Spread { median, .. }| median)
        };
        ((*name).to_owned(), labels.iter().map(value).collect())
    });
    let lines: Vec<Line> = lines.collect();
    plot::draw(curve.title, (curve.grows, curve.unit), &labels, &lines)
}

fn html(results: &Results, scale: Scale) -> String {
    let mut body = String::new();
    for failure in tables::failures(results) {
        body.push_str(&format!("<p class=\"wrong\">{}</p>\n", escaped(&failure)));
    }
    for table in tables::tables(results, scale) {
        body.push_str(&table.html());
        if let Some(curve) = CURVES.iter().find(|curve| curve.name == table.name) {
            body.push_str(&picture(curve, results, scale));
        }
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Benchmark</title>\n\
         <style>{STYLE}</style>\n<h1>Benchmark</h1>\n<p>Medians of all rounds, the lowest and the highest in \
         brackets.</p>\n{body}</html>\n"
    )
}

fn save(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::key;
    use crate::results::Run;
    use crate::results::tests::run;

    #[test]
    fn a_page_gets_its_tables_and_pictures_and_the_report_all_of_it() {
        let folder = testkit::process::temp_dir().unwrap();
        let page = folder.path().join("page.md");
        let place = |name: &str| format!("<!-- bench:{name} -->\n<!-- /bench -->\n");
        std::fs::write(&page, place("pairs") + &place("curve-gateways")).unwrap();
        let point = Some("2".to_owned());
        let cost = run("curve-gateways", "cluster-2", 1, (key::DELIVERY_ALL, 2.5));
        let results = Results {
            runs: vec![
                run("pairs", "standalone", 1, (key::ANSWERED_PER_SECOND, 1234.0)),
                Run { point, error: Some("<gone>".to_owned()), ..cost },
            ],
            ..Results::default()
        };
        let pictures = folder.path().join("pictures");
        write_page(&results, Scale::FULL, &page, &pictures).unwrap();
        let text = std::fs::read_to_string(&page).unwrap();
        assert!(
            text.contains("| **Carillon standalone** | 1,230 |") && text.contains("| 2 | | 2.5 |"),
            "{text}"
        );
        assert!(text.contains("](pictures/curve-gateways.svg)"), "{text}");
        assert!(std::fs::read_to_string(pictures.join("curve-gateways.svg")).unwrap().contains("<circle"));
        write(&results, Scale::FULL, folder.path()).unwrap();
        assert_eq!(read(&folder.path().join("results.json")).unwrap(), results);
        let report = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
        assert!(report.contains("&lt;gone&gt;") && report.contains("<svg"), "{report}");
    }
}
