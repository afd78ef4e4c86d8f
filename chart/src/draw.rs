//! What stands inside a chart's area, in hundredths of its width and height.

use std::fmt::{Arguments, Write};

use crate::axis::{Range, heights};
use crate::{Chart, escaped, short};

/// The lines' own measure: a thousandth of the width or height.
const FINE: f64 = 1000.0;
/// Narrower ones have no room for their name.
const NAMED_FROM: f64 = 0.12;

/// Writing to a string cannot fail.
pub fn draw(to: &mut String, what: Arguments<'_>) {
    let _ = to.write_fmt(what);
}

/// Hundredths, as SVG writes them.
fn percent(of: f64) -> String {
    format!("{:.2}%", of * 100.0)
}

/// How spans are named in their place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// By their number; what it means stands elsewhere.
    Number,
    /// By their name, where there is room.
    Name,
}

impl Chart {
    /// The highest value that has to have room.
    fn highest(&self) -> f64 {
        let values = self.series.iter().flat_map(|series| &series.points).map(|(_, value)| *value);
        let all = values.chain(self.limits.iter().map(|(_, value)| *value));
        all.filter(|value| value.is_finite()).fold(0.0, f64::max)
    }

    /// The value that its area ends with.
    pub(crate) fn top(&self) -> f64 {
        heights(self.highest()).0
    }

    /// Draws what is in its area, and the axes' numbers around it.
    pub(crate) fn draw(&self, svg: &mut String, range: Range, naming: Naming) {
        self.draw_spans(svg, range, naming);
        let (top, step) = heights(self.highest());
        for tick in 0..=(top / step).round() as u32 {
            let value = f64::from(tick) * step;
            let (y, value) = (percent(1.0 - value / top), short(value));
            draw(
                svg,
                format_args!(
                    "<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/>\
                     <text class=\"tick\" x=\"-6\" y=\"{y}\" dy=\"4\" text-anchor=\"end\">{value}</text>\n"
                ),
            );
        }
        for (place, text) in range.ticks(6.0) {
            let x = percent(place);
            draw(
                svg,
                format_args!(
                    "<text class=\"tick\" x=\"{x}\" y=\"100%\" dy=\"17\" text-anchor=\"middle\">{text}</text>\n"
                ),
            );
        }
        for (name, value) in &self.limits {
            let (y, name) = (percent(1.0 - value / top), escaped(name));
            draw(
                svg,
                format_args!(
                    "<line class=\"limit\" x1=\"0\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/>\
                     <text class=\"limit\" x=\"100%\" y=\"{y}\" dy=\"-4\" text-anchor=\"end\">{name}</text>\n"
                ),
            );
        }
        for mark in &self.marks {
            let (x, name) = (percent(range.place(mark.at)), escaped(&mark.name));
            draw(
                svg,
                format_args!(
                    "<line class=\"mark\" x1=\"{x}\" x2=\"{x}\" y1=\"0\" y2=\"100%\"><title>{name}</title></line>\
                     <circle class=\"mark\" cx=\"{x}\" cy=\"0\" r=\"3.5\"><title>{name}</title></circle>\n"
                ),
            );
        }
        self.draw_lines(svg, range, top);
    }

    fn draw_spans(&self, svg: &mut String, range: Range, naming: Naming) {
        for (number, span) in self.spans.iter().enumerate() {
            let (from, to) = (range.place(span.from), range.place(span.to));
            let (x, width) = (percent(from), percent((to - from).max(0.001)));
            // One beside the other can be told apart.
            let shade = if number % 2 == 0 { "span" } else { "span odd" };
            let name = escaped(&span.name);
            let (title, text) = match naming {
                Naming::Number => (format!("{}: {name}", number + 1), (number + 1).to_string()),
                Naming::Name if to - from >= NAMED_FROM => (name.clone(), name),
                Naming::Name => (name, String::new()),
            };
            draw(
                svg,
                format_args!(
                    "<rect class=\"{shade}\" x=\"{x}\" y=\"0\" width=\"{width}\" height=\"100%\">\
                     <title>{title}</title></rect>\
                     <text class=\"span\" x=\"{x}\" dx=\"3\" y=\"0\" dy=\"11\">{text}</text>\n"
                ),
            );
        }
    }

    fn draw_lines(&self, svg: &mut String, range: Range, top: f64) {
        svg.push_str(
            "<svg class=\"lines\" width=\"100%\" height=\"100%\" viewBox=\"0 0 1000 1000\" \
             preserveAspectRatio=\"none\" overflow=\"visible\">\n",
        );
        for (place, series) in self.series.iter().enumerate() {
            let mut path = String::new();
            // From the beginning of each piece, back along the ground: the area below it.
            let (mut area, mut begun) = (String::new(), None);
            let mut last = 0.0;
            for (at, value) in &series.points {
                if !(value.is_finite() && at.is_finite()) {
                    close(&mut area, &mut begun, last);
                    continue;
                }
                let (x, y) = (FINE * range.place(*at), FINE * (1.0 - (value / top).clamp(0.0, 1.0)));
                let verb = if begun.is_some() { 'L' } else { 'M' };
                // A point alone is a dot: a line of no length with round ends.
                let dot = if begun.is_some() { "" } else { "h0" };
                draw(&mut path, format_args!("{verb}{x:.1} {y:.1}{dot}"));
                draw(&mut area, format_args!("{verb}{x:.1} {y:.1}"));
                begun.get_or_insert(x);
                last = x;
            }
            close(&mut area, &mut begun, last);
            let (class, name) = (series.class(place), escaped(&series.name));
            // Several areas one over the other say nothing.
            if self.series.len() == 1 {
                draw(svg, format_args!("<path class=\"area {class}\" d=\"{area}\"/>\n"));
            }
            draw(
                svg,
                format_args!(
                    "<path class=\"line {class}\" vector-effect=\"non-scaling-stroke\" data-name=\"{name}\" \
                     d=\"{path}\"/>\n"
                ),
            );
        }
        svg.push_str("</svg>\n");
    }
}

fn close(area: &mut String, begun: &mut Option<f64>, last: f64) {
    if let Some(begin) = begun.take() {
        draw(area, format_args!("L{last:.1} {FINE}L{begin:.1} {FINE}Z"));
    }
}
