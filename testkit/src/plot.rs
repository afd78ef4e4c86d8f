//! Charts of what was measured over time, as SVG.

use std::fmt::Write;

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
/// Told apart also by those who see some colors alike (Okabe and Ito).
const COLORS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a00", "#555555"];

/// Lines over one time axis.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chart {
    /// What is shown.
    pub title: String,
    /// Of the values, as it is written behind the title.
    pub unit: String,
    /// The lines.
    pub series: Vec<Series>,
    /// Times in which something was the case, shown as shaded areas with numbers.
    pub spans: Vec<Span>,
    /// Values to compare with, shown as dashed lines.
    pub limits: Vec<(String, f64)>,
}

/// One line. Gaps are points that are not finite.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Seconds and values, in order of time.
    pub points: Vec<(f64, f64)>,
}

/// A time in which something was the case.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Span {
    /// What.
    pub name: String,
    /// From which second.
    pub from: f64,
    /// To which second.
    pub to: f64,
}

/// All charts on one page, with the same time axis. What the numbers of the
/// first one's spans mean stands below the title.
pub fn page(title: &str, charts: &[Chart]) -> String {
    let columns = COLUMNS.min(charts.len().max(1));
    let rows = charts.len().div_ceil(columns);
    let (width, height) = (WIDTH * columns as f64, HEIGHT * rows as f64 + HEAD);
    let spans = charts.first().map_or(&[][..], |chart| &chart.spans).iter().enumerate();
    let spans: Vec<_> = spans.map(|(number, span)| format!("{}: {}", number + 1, span.name)).collect();
    let times = || charts.iter().flat_map(|chart| &chart.series).flat_map(|series| &series.points);
    let end = times().map(|(at, _)| *at).fold(1.0, f64::max);
    let mut svg = String::new();
    draw(
        &mut svg,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"11\" fill=\"#333\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"16\" y=\"28\" font-size=\"18\" font-weight=\"600\">{}</text>\n\
             <text x=\"16\" y=\"46\" fill=\"#777\">{}</text>\n",
            escaped(title),
            escaped(&spans.join(" · "))
        ),
    );
    for (number, chart) in charts.iter().enumerate() {
        let x = WIDTH * (number % columns) as f64;
        let y = HEAD + HEIGHT * (number / columns) as f64;
        draw(&mut svg, format_args!("<g transform=\"translate({x} {y})\">\n"));
        chart.draw(&mut svg, end);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

/// Writing to a string cannot fail.
fn draw(svg: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = svg.write_fmt(what);
}

impl Chart {
    fn draw(&self, svg: &mut String, end: f64) {
        let step = nice(self.highest() / 4.0);
        let top = step * (self.highest() / step).ceil().max(1.0);
        let (wide, high) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
        let x = |at: f64| LEFT + wide * at / end;
        let y = |value: f64| TOP + high * (1.0 - value / top);

        let title = escaped(&self.title);
        let unit = escaped(&self.unit);
        draw(
            svg,
            format_args!(
                "<text x=\"{LEFT}\" y=\"16\" font-size=\"13\" font-weight=\"600\">{title} \
                 <tspan font-weight=\"400\" fill=\"#777\">{unit}</tspan></text>\n"
            ),
        );
        for (number, Span { name, from, to }) in self.spans.iter().enumerate() {
            let (left, width) = (x(*from), (x(*to) - x(*from)).max(1.0));
            // One beside the other can be told apart.
            let opacity = [0.06, 0.14][number % 2];
            let name = format!("{}: {}", number + 1, escaped(name));
            draw(
                svg,
                format_args!(
                    "<rect x=\"{left:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{high}\" fill=\"#0072b2\" \
                     opacity=\"{opacity}\"><title>{name}</title></rect>\n"
                ),
            );
            let (x, y, number) = (left + 2.0, TOP + 9.0, number + 1);
            draw(
                svg,
                format_args!("<text x=\"{x:.1}\" y=\"{y}\" font-size=\"9\" fill=\"#777\">{number}</text>\n"),
            );
        }
        for tick in 0..=(top / step).round() as u32 {
            let value = f64::from(tick) * step;
            draw(
                svg,
                format_args!(
                    "<path d=\"M{LEFT} {:.1}H{}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" \
                     text-anchor=\"end\">{}</text>\n",
                    y(value),
                    WIDTH - RIGHT,
                    LEFT - 6.0,
                    y(value) + 4.0,
                    short(value)
                ),
            );
        }
        let seconds = nice(end / 8.0).max(1.0);
        for tick in 0..=(end / seconds) as u32 {
            let at = f64::from(tick) * seconds;
            let foot = HEIGHT - BOTTOM + 16.0;
            draw(
                svg,
                format_args!("<text x=\"{:.1}\" y=\"{foot}\" text-anchor=\"middle\">{at} s</text>\n", x(at)),
            );
        }
        for (name, value) in &self.limits {
            draw(
                svg,
                format_args!(
                    "<path d=\"M{LEFT} {0:.1}H{1}\" stroke=\"#c00\" stroke-dasharray=\"5 4\"/>\
                     <text x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\" fill=\"#c00\">{3}</text>\n",
                    y(*value),
                    WIDTH - RIGHT,
                    y(*value) - 4.0,
                    escaped(name)
                ),
            );
        }
        for (number, series) in self.series.iter().enumerate() {
            let color = COLORS[number % COLORS.len()];
            let mut path = String::new();
            let mut pen_down = false;
            for (at, value) in &series.points {
                if value.is_finite() {
                    let verb = if pen_down { 'L' } else { 'M' };
                    draw(&mut path, format_args!("{verb}{:.1} {:.1}", x(*at), y(*value)));
                }
                pen_down = value.is_finite();
            }
            draw(
                svg,
                format_args!("<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.6\"/>\n"),
            );
        }
        self.draw_legend(svg);
    }

    fn highest(&self) -> f64 {
        let values = self.series.iter().flat_map(|series| &series.points).map(|(_, value)| *value);
        let all = values.chain(self.limits.iter().map(|(_, value)| *value));
        all.filter(|value| value.is_finite()).fold(0.0, f64::max)
    }

    fn draw_legend(&self, svg: &mut String) {
        let (mut x, mut y) = (LEFT, 33.0);
        for (number, series) in self.series.iter().take(LEGEND).enumerate() {
            let width = 18.0 + LETTER * series.name.chars().count() as f64;
            if x + width > WIDTH - RIGHT && x > LEFT {
                (x, y) = (LEFT, y + 14.0);
            }
            let color = COLORS[number % COLORS.len()];
            draw(
                svg,
                format_args!(
                    "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"9\" height=\"9\" fill=\"{color}\"/>\
                     <text x=\"{:.1}\" y=\"{y:.1}\">{}</text>\n",
                    y - 8.5,
                    x + 12.0,
                    escaped(&series.name)
                ),
            );
            x += width + 6.0;
        }
        let more = self.series.len().saturating_sub(LEGEND);
        if more > 0 {
            draw(svg, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\">and {more} more</text>\n"));
        }
    }
}

/// The next larger of 1, 2, 5, 10, 20 ... and their fractions.
fn nice(step: f64) -> f64 {
    if step <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= step * 0.999);
    factor.unwrap_or(10.0) * power
}

/// A number as people write it: "1.5k", "20m".
fn short(value: f64) -> String {
    let units = [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ")];
    let (unit, letter) =
        units.into_iter().find(|(unit, _)| value.abs() >= *unit * 0.999).unwrap_or((1.0, ""));
    let scaled = (value / unit * 100.0).round() / 100.0;
    format!("{scaled}{letter}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_numbers_are_as_people_write_them() {
        for (step, rounded) in [(0.0, 1.0), (0.7, 1.0), (1.2, 2.0), (3.0, 5.0), (7.0, 10.0), (0.003, 0.005)] {
            assert!((nice(step) - rounded).abs() < 1e-9, "{step}: {}", nice(step));
        }
        for (value, text) in
            [(0.0, "0"), (1500.0, "1.5k"), (0.02, "20m"), (5e-5, "50µ"), (12.0, "12"), (2e6, "2M")]
        {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn a_page_is_xml_whatever_it_is_of() {
        let points = vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0), (3.0, 2.0)];
        let chart = Chart {
            title: "a < b & c".to_owned(),
            series: vec![Series { name: "<script>".to_owned(), points }],
            spans: vec![Span { name: "gateway 0".to_owned(), from: 1.0, to: 2.0 }],
            limits: vec![("allowed".to_owned(), 4.0)],
            ..Chart::default()
        };
        let svg = page("Everything", &[chart, Chart::default(), Chart::default()]);
        assert!(svg.contains("a &lt; b &amp; c") && !svg.contains("<script>") && !svg.contains("NaN"));
        assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
        assert!(svg.contains("M58.0"), "the line begins anew behind its gap: {svg}");
    }
}
