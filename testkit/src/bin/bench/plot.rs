//! Curves as SVG: each step of what grows has the same width, whatever it is.

use std::fmt::Write;

use chart::escaped;

use crate::stats::figure;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 66.0;
const BOTTOM: f64 = 48.0;
/// Told apart also by those who see some colors alike (Okabe and Ito).
const COLORS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];
/// Lines across.
const STEPS: u32 = 4;

/// A line: its name, and its value at each step.
pub type Line = (String, Vec<Option<f64>>);

/// Draws lines over steps that are called so.
pub fn draw(title: &str, (grows, unit): (&str, &str), labels: &[String], lines: &[Line]) -> String {
    let values = lines.iter().flat_map(|(_, values)| values).flatten();
    let top = nice(values.copied().fold(0.0, f64::max));
    let (wide, high) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    let x = |step: usize| LEFT + wide * (step as f64 + 0.5) / labels.len().max(1) as f64;
    let y = |value: f64| TOP + high * (1.0 - value / top);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" font-family=\"system-ui, sans-serif\" font-size=\"11\" fill=\"#333\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"20\" font-size=\"13\" font-weight=\"600\">{}</text>\n\
         <text x=\"16\" y=\"36\" fill=\"#777\">{}</text>\n",
        escaped(title),
        escaped(unit)
    );
    // Writing to a string cannot fail.
    let mut write = |what: std::fmt::Arguments<'_>| {
        let _ = svg.write_fmt(what);
    };
    for step in 0..=STEPS {
        let value = top * f64::from(step) / f64::from(STEPS);
        let (y, right, text) = (y(value), WIDTH - RIGHT, figure(value));
        write(format_args!("<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/>"));
        write(format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>\n",
            LEFT - 6.0,
            y + 4.0
        ));
    }
    let foot = HEIGHT - BOTTOM + 16.0;
    for (step, label) in labels.iter().enumerate() {
        let (x, label) = (x(step), escaped(label));
        write(format_args!("<text x=\"{x:.1}\" y=\"{foot}\" text-anchor=\"middle\">{label}</text>\n"));
    }
    let (middle, grows) = (LEFT + wide / 2.0, escaped(grows));
    let below = foot + 18.0;
    write(format_args!(
        "<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\" fill=\"#777\">{grows}</text>\n"
    ));
    for (number, (name, values)) in lines.iter().enumerate() {
        let color = COLORS[number % COLORS.len()];
        let known = values.iter().enumerate().filter_map(|(step, value)| Some((x(step), y((*value)?))));
        let points: Vec<_> = known.collect();
        let path: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let path = path.join(" ");
        write(format_args!(
            "<polyline points=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.6\"/>\n"
        ));
        for (x, y) in &points {
            write(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{color}\"/>\n"));
        }
        let (at, name) = (LEFT + 180.0 * number as f64, escaped(name));
        write(format_args!(
            "<rect x=\"{at:.1}\" y=\"45\" width=\"9\" height=\"9\" fill=\"{color}\"/>\
             <text x=\"{:.1}\" y=\"53.5\">{name}</text>\n",
            at + 13.0
        ));
    }
    svg.push_str("</svg>\n");
    svg
}

/// The next larger value that [`STEPS`] divide into figures people read easily.
fn nice(highest: f64) -> f64 {
    if !highest.is_finite() || highest <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(highest.log10().floor());
    let factor = [1.0, 2.0, 4.0, 6.0, 8.0].into_iter().find(|factor| factor * power >= highest);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_with_figures_that_are_easily_read() {
        for (highest, end) in
            [(0.0, 1.0), (0.7, 0.8), (1.0, 1.0), (3.1, 4.0), (95.0, 100.0), (1500.0, 2000.0)]
        {
            assert!((nice(highest) - end).abs() < 1e-9, "{highest}: {}", nice(highest));
        }
    }

    #[test]
    fn every_value_is_a_point_and_what_was_not_measured_is_none() {
        let labels = ["1", "<2>", "4"].map(str::to_owned);
        let lines = [
            ("a & b".to_owned(), vec![Some(1.0), None, Some(2.0)]),
            ("c".to_owned(), vec![None, None, None]),
        ];
        let svg = draw("Cost", ("gateways", "s"), &labels, &lines);
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("a &amp; b") && svg.contains("&lt;2&gt;") && !svg.contains("NaN"), "{svg}");
        assert!(draw("", ("", ""), &[], &[]).ends_with("</svg>\n"));
    }
}
