//! A chart as a figure of an HTML page.

use crate::axis::Range;
use crate::draw::{Naming, draw};
use crate::{Axis, Chart, escaped};

/// A script for the page, which shows under the pointer what the lines are
/// there. Without it the charts are the same, silent.
pub const HOVER: &str = include_str!("hover.js");

/// The chart as an HTML figure with its legend, as wide as there is room. All
/// charts of `beside` have the same axis.
pub fn figure(id: &str, chart: &Chart, beside: &[Chart]) -> String {
    let range = Range::of(beside);
    let axis = match chart.axis {
        Axis::Time => "time",
        Axis::Percentile => "percentile",
    };
    let mut html = String::new();
    draw(
        &mut html,
        format_args!(
            "<figure class=\"chart\" id=\"{}\" data-axis=\"{axis}\" data-end=\"{}\" data-top=\"{}\" \
             data-unit=\"{}\">\n<figcaption><b>{}</b> <span class=\"unit\">{}</span>\n<ul class=\"legend\">",
            escaped(id),
            range.end(),
            chart.top(),
            escaped(&chart.unit),
            escaped(&chart.title),
            escaped(&chart.unit)
        ),
    );
    for (place, series) in chart.series.iter().enumerate() {
        draw(&mut html, format_args!("<li class=\"{}\">{}</li>", series.class(place), escaped(&series.name)));
    }
    draw(
        &mut html,
        format_args!(
            "</ul></figcaption>\n<div class=\"plot\"><svg role=\"img\" aria-label=\"{}\" width=\"100%\" \
             height=\"100%\" overflow=\"visible\">\n",
            escaped(&chart.title)
        ),
    );
    chart.draw(&mut html, range, Naming::Name);
    html.push_str("</svg></div>\n</figure>\n");
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Series;

    #[test]
    fn a_figure_is_well_formed_and_says_what_its_lines_are_measured_in() {
        let hostile = "</li><img src=x onerror='x'>";
        let chart = Chart {
            title: "Answers".to_owned(),
            unit: "ms".to_owned(),
            series: vec![Series::new(hostile, vec![(0.0, 1.0), (20.0, 3.0)])],
            ..Chart::default()
        };
        let html = figure("answers", &chart, std::slice::from_ref(&chart));
        let tree = roxmltree::Document::parse(&html).expect("well-formed");
        let root = tree.root_element();
        assert_eq!((root.attribute("data-end"), root.attribute("data-top")), (Some("20"), Some("3")));
        let item = tree.descendants().find(|node| node.has_tag_name("li")).expect("a legend");
        assert_eq!(item.text(), Some(hostile));
        assert!(!tree.descendants().any(|node| node.has_tag_name("img")));
    }
}
