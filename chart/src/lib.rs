//! Charts of what was measured, drawn once and shown in two ways: as a page of
//! SVG, for a file beside a result, and as figures of an HTML page, which take
//! its width and show their values under the pointer.
//!
//! Written here rather than taken from a plotting crate because of the second:
//! those draw for one size and one set of colors, with letters that are too
//! small to read on a phone and a white ground in the dark. Everything is placed
//! in hundredths of whatever room there is, and colored by [`STYLE`].

mod axis;
mod draw;
mod figure;
mod page;

pub use axis::{nice, short};
pub use figure::{HOVER, figure};
pub use page::page;

/// The colors, of light and of dark; for the page that shows the charts.
pub const STYLE: &str = include_str!("style.css");

/// Lines over one axis.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chart {
    /// What is shown.
    pub title: String,
    /// Of the values, as it is written behind the title.
    pub unit: String,
    /// The lines.
    pub series: Vec<Series>,
    /// Times in which something was the case, shown as shaded areas.
    pub spans: Vec<Span>,
    /// Moments in which something happened, shown as upright lines.
    pub marks: Vec<Mark>,
    /// Values to compare with, shown as dashed lines.
    pub limits: Vec<(String, f64)>,
    /// What the lines run over.
    pub axis: Axis,
}

/// What lines run over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Axis {
    /// Seconds.
    #[default]
    Time,
    /// Percentiles, each nine as wide as the one before.
    Percentile,
}

/// One line. Gaps are points that are not finite.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Seconds (or percentiles) and values, in order.
    pub points: Vec<(f64, f64)>,
    /// Its color's number; else its own place among the lines.
    pub color: Option<usize>,
    /// Drawn dashed, as the other one of two.
    pub dashed: bool,
}

impl Series {
    /// A line of this name.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, color: None, dashed: false }
    }

    /// The class of the color of the line at this place.
    fn class(&self, place: usize) -> String {
        let dashed = if self.dashed { " dashed" } else { "" };
        format!("c{}{dashed}", self.color.unwrap_or(place) % COLORS)
    }
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

/// A moment in which something happened.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mark {
    /// What.
    pub name: String,
    /// In which second.
    pub at: f64,
}

/// How many colors the style has.
const COLORS: usize = 8;

/// Text that is text wherever it stands in SVG or HTML.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML has no place for these, escaped or not.
            '\t' | '\n' | '\r' => out.push(' '),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                out.push('\u{fffd}');
            }
            letter => out.push(letter),
        }
    }
    out
}
