//! Charts beside and below each other, as one SVG document.

use crate::axis::Range;
use crate::draw::{Naming, draw};
use crate::{Chart, STYLE, escaped};

/// For the page's title.
const HEAD: f64 = 64.0;
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 270.0;
/// Around the area of the lines: for the title and legend, and the axes' numbers.
const TOP: f64 = 62.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 16.0;
const BOTTOM: f64 = 30.0;
const COLUMNS: usize = 2;
/// About how wide a letter is: fonts are not known here.
const LETTER: f64 = 6.2;
/// More names than this are not read anyway.
const LEGEND: usize = 10;

/// All charts on one page, with the same time axis. What the numbers of the
/// first one's spans mean stands below the title.
pub fn page(title: &str, charts: &[Chart]) -> String {
    let columns = COLUMNS.min(charts.len().max(1));
    let rows = charts.len().div_ceil(columns);
    let (width, height) = (WIDTH * columns as f64, HEIGHT * rows as f64 + HEAD);
    let spans = charts.first().map_or(&[][..], |chart| &chart.spans).iter().enumerate();
    let spans: Vec<_> = spans.map(|(number, span)| format!("{}: {}", number + 1, span.name)).collect();
    let mut svg = String::new();
    draw(
        &mut svg,
        format_args!(
            "<svg class=\"chart\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\">\n<style>{STYLE}</style>\n\
             <rect class=\"back\" width=\"100%\" height=\"100%\"/>\n\
             <text class=\"page\" x=\"16\" y=\"28\">{}</text>\n\
             <text class=\"soft\" x=\"16\" y=\"46\">{}</text>\n",
            escaped(title),
            escaped(&spans.join(" · "))
        ),
    );
    let range = Range::of(charts);
    for (number, chart) in charts.iter().enumerate() {
        let x = WIDTH * (number % columns) as f64;
        let y = HEAD + HEIGHT * (number / columns) as f64;
        draw(&mut svg, format_args!("<g transform=\"translate({x} {y})\">\n"));
        heading(chart, &mut svg);
        let (wide, high) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
        draw(
            &mut svg,
            format_args!(
                "<svg x=\"{LEFT}\" y=\"{TOP}\" width=\"{wide}\" height=\"{high}\" overflow=\"visible\">\n"
            ),
        );
        chart.draw(&mut svg, range, Naming::Number);
        svg.push_str("</svg>\n</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

/// Title and legend.
fn heading(chart: &Chart, svg: &mut String) {
    draw(
        svg,
        format_args!(
            "<text class=\"title\" x=\"{LEFT}\" y=\"16\">{} <tspan class=\"unit\">{}</tspan></text>\n",
            escaped(&chart.title),
            escaped(&chart.unit)
        ),
    );
    let (mut x, mut y) = (LEFT, 33.0);
    for (place, series) in chart.series.iter().take(LEGEND).enumerate() {
        let width = 18.0 + LETTER * series.name.chars().count() as f64;
        if x + width > WIDTH - RIGHT && x > LEFT {
            (x, y) = (LEFT, y + 14.0);
        }
        draw(
            svg,
            format_args!(
                "<rect class=\"key {}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"9\" height=\"9\"/>\
                 <text x=\"{:.1}\" y=\"{y:.1}\">{}</text>\n",
                series.class(place),
                y - 8.5,
                x + 12.0,
                escaped(&series.name)
            ),
        );
        x += width + 6.0;
    }
    let more = chart.series.len().saturating_sub(LEGEND);
    if more > 0 {
        draw(svg, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\">and {more} more</text>\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mark, Series, Span};

    #[test]
    fn a_page_is_xml_whatever_it_is_of() {
        let points = vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0), (3.0, 2.0)];
        let chart = Chart {
            title: "a < b & c".to_owned(),
            series: vec![Series::new("<script>", points)],
            spans: vec![Span { name: "gateway 0".to_owned(), from: 1.0, to: 2.0 }],
            marks: vec![Mark { name: "\" onload=\"x\u{0}".to_owned(), at: 1.5 }],
            limits: vec![("allowed".to_owned(), 4.0)],
            ..Chart::default()
        };
        let svg = page("Everything", &[chart, Chart::default(), Chart::default()]);
        let tree = roxmltree::Document::parse(&svg).expect("well-formed");
        let texts: Vec<_> = tree.descendants().filter_map(|node| node.text()).collect();
        assert!(texts.contains(&"a < b & c ") && texts.contains(&"<script>") && !svg.contains("NaN"));
        assert!(texts.contains(&"\" onload=\"x\u{fffd}"));
        let line = tree.descendants().find(|node| node.attribute("data-name") == Some("<script>"));
        let path = line.and_then(|line| line.attribute("d")).expect("a line");
        assert_eq!(path, "M0.0 750.0h0M666.7 250.0h0L1000.0 500.0", "it begins anew behind its gap");
    }
}
