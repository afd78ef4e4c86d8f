//! What is drawn of a run, or of two over each other.

use chart::{Axis, Chart, Mark, Series, Span};

use crate::report::Record;
use crate::timeline::{Buckets, Node, Phase, Sample, Second, Timeline};

/// More steps than this are not seen apart.
const STEPS: usize = 300;
/// Lines of latencies over time.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];
const MEBIBYTE: f64 = (1u32 << 20) as f64;

/// A chart, and what it is called in the page.
pub struct Plot {
    /// For links.
    pub id: &'static str,
    /// What is drawn.
    pub chart: Chart,
}

/// A run that is drawn.
pub struct Run<'a> {
    record: &'a Record,
    /// Before the names of its lines.
    letter: &'a str,
}

impl<'a> Run<'a> {
    /// The run, and what sets its lines apart from another one's.
    pub fn of(record: &'a Record, letter: &'a str) -> Self {
        Self { record, letter }
    }

    fn timeline(&self) -> &'a Timeline {
        &self.record.timeline
    }

    fn name(&self, name: &str) -> String {
        if self.letter.is_empty() { name.to_owned() } else { format!("{} {name}", self.letter) }
    }

    /// When what counts began.
    fn measured(&self) -> f64 {
        let timeline = self.timeline();
        let began = timeline.began(Phase::Measuring).or(timeline.began(Phase::Returning));
        began.unwrap_or(timeline.begin())
    }
}

/// Runs with the Unix time that is 0 for each: so that what counts begins at the
/// same place.
struct Drawn<'a> {
    run: &'a Run<'a>,
    zero: f64,
    width: f64,
    steps: Vec<Second>,
    /// The second of two.
    dashed: bool,
}

impl Drawn<'_> {
    fn at(&self, unix: f64) -> f64 {
        (unix - self.zero).max(0.0)
    }

    /// A line of what the steps say, interrupted where nobody looked.
    fn line(&self, name: &str, color: usize, of: impl Fn(&Second) -> Option<f64>) -> Series {
        let mut points = Vec::new();
        let mut before = None;
        for step in &self.steps {
            let at = step.at as f64;
            if before.is_some_and(|before| at > before + 2.5 * self.width) {
                points.push((self.at(at - self.width), f64::NAN));
            }
            before = Some(at);
            if let Some(value) = of(step) {
                points.push((self.at(at + self.width / 2.0), value));
            }
        }
        Series { name: self.run.name(name), points, color: Some(color), dashed: self.dashed }
    }

    fn node_line(&self, color: usize, node: &Node, of: impl Fn(&Sample, &Sample) -> Option<f64>) -> Series {
        let every = node.samples.len().div_ceil(STEPS).max(1);
        let samples: Vec<_> = node.samples.iter().step_by(every).collect();
        let points = samples.windows(2).map(|pair| {
            let lost = pair[1].at - pair[0].at > 2.5 * every as f64;
            let value = if lost { None } else { of(pair[0], pair[1]) };
            (self.at(pair[1].at), value.unwrap_or(f64::NAN))
        });
        Series {
            name: self.run.name(&node.name),
            points: points.collect(),
            color: Some(color),
            dashed: self.dashed,
        }
    }
}

fn drawn<'a>(runs: &'a [Run<'a>]) -> Vec<Drawn<'a>> {
    let before = |run: &Run<'_>| run.measured() - run.timeline().begin();
    let longest = runs.iter().map(before).filter(|before| before.is_finite()).fold(0.0, f64::max);
    let shown = runs.iter().filter(|run| !run.timeline().seconds.is_empty());
    shown
        .enumerate()
        .map(|(place, run)| {
            let (width, steps) = run.timeline().steps(STEPS);
            Drawn { run, zero: run.measured() - longest, width: width as f64, steps, dashed: place > 0 }
        })
        .collect()
}

/// Makes a chart without lines, of a title and a unit.
type Empty<'a> = dyn Fn(&str, &str) -> Chart + 'a;

/// Everything over time. Charts of what did not happen are left out.
pub fn over_time(runs: &[Run<'_>]) -> Vec<Plot> {
    let drawn = drawn(runs);
    let Some(first) = drawn.first() else { return Vec::new() };
    let (spans, marks) = (spans(first), marks(&drawn));
    let chart: &Empty<'_> = &|title, unit| Chart {
        title: title.to_owned(),
        unit: unit.to_owned(),
        spans: spans.clone(),
        marks: marks.clone(),
        ..Chart::default()
    };
    let lines = |of: &dyn Fn(&Drawn<'_>) -> Vec<Series>| drawn.iter().flat_map(of).collect::<Vec<_>>();
    let rate = |count: u64, drawn: &Drawn<'_>| Some(count as f64 / drawn.width);
    let mut plots = vec![
        plot(
            "answered",
            chart("Messages answered", "per second"),
            lines(&|drawn| vec![drawn.line("answered", 0, |step| rate(step.answered, drawn))]),
        ),
        plot(
            "delivered",
            chart("Messages delivered", "per second"),
            lines(&|drawn| vec![drawn.line("delivered", 2, |step| rate(step.delivered, drawn))]),
        ),
        latencies("answer-latency", chart("Answer latency", "ms"), &drawn, |step| &step.answer_us),
        latencies("delivery-latency", chart("Delivery latency", "ms"), &drawn, |step| &step.delivery_us),
        plot(
            "connections",
            chart("Connections", "in their rooms"),
            lines(&|drawn| vec![drawn.line("connections", 0, |step| Some(step.connections as f64))]),
        ),
        plot(
            "reconnects",
            chart("Reconnects and failures", "per second"),
            lines(&|drawn| {
                vec![
                    drawn.line("reconnects", 0, |step| rate(step.reconnects, drawn)),
                    drawn.line("failures", 1, |step| rate(step.failures, drawn)),
                ]
            }),
        ),
        latencies("join-latency", chart("Time to connect and join", "ms"), &drawn, |step| &step.join_us),
    ];
    plots.extend(of_nodes(&drawn, chart));
    plots.retain(|plot| plot.chart.series.iter().any(|series| !series.points.is_empty()));
    plots
}

fn plot(id: &'static str, chart: Chart, series: Vec<Series>) -> Plot {
    Plot { id, chart: Chart { series, ..chart } }
}

fn latencies(id: &'static str, chart: Chart, drawn: &[Drawn<'_>], of: fn(&Second) -> &Buckets) -> Plot {
    let lines = drawn.iter().flat_map(|drawn| {
        QUANTILES
            .iter()
            .enumerate()
            .map(|(color, (name, quantile))| drawn.line(name, color, |step| of(step).millis_at(*quantile)))
    });
    plot(id, chart, lines.collect())
}

fn of_nodes(drawn: &[Drawn<'_>], chart: &Empty<'_>) -> Vec<Plot> {
    let lines = |of: &dyn Fn(&Sample, &Sample) -> Option<f64>| {
        let nodes = drawn.iter().flat_map(|drawn| {
            let nodes = drawn.run.timeline().nodes.iter().enumerate();
            nodes.map(move |(color, node)| drawn.node_line(color, node, of))
        });
        nodes.filter(|line| line.points.iter().any(|(_, value)| value.is_finite())).collect::<Vec<_>>()
    };
    let memory = lines(&|_, sample| Some(sample.memory? / MEBIBYTE));
    let processor = lines(&|before, after| {
        let used = after.cpu? - before.cpu?;
        // Less than before: another process is there.
        (used >= 0.0 && after.at > before.at).then(|| 100.0 * used / (after.at - before.at))
    });
    let connections = lines(&|_, sample| sample.connections);
    vec![
        plot("memory", chart("Memory", "MiB resident"), memory),
        plot("processor", chart("Processor", "% of one core"), processor),
        plot("node-connections", chart("Connections by node", "as the node counts them"), connections),
    ]
}

fn spans(drawn: &Drawn<'_>) -> Vec<Span> {
    let timeline = drawn.run.timeline();
    let ends = timeline.phases.iter().skip(1).map(|begin| begin.at).chain([timeline.end()]);
    timeline
        .phases
        .iter()
        .zip(ends)
        .map(|(begin, end)| Span {
            name: begin.phase.name().to_owned(),
            from: drawn.at(begin.at),
            to: drawn.at(end),
        })
        .collect()
}

fn marks(drawn: &[Drawn<'_>]) -> Vec<Mark> {
    let of = |drawn: &Drawn<'_>| {
        let all = drawn.run.timeline().marks.iter();
        all.map(|mark| Mark { name: drawn.run.name(&mark.name), at: drawn.at(mark.at) }).collect::<Vec<_>>()
    };
    drawn.iter().flat_map(of).collect()
}

/// The latencies' percentiles, each nine as wide as the one before.
pub fn percentiles(runs: &[Run<'_>]) -> Vec<Plot> {
    let lines = runs.iter().enumerate().flat_map(|(place, run)| {
        let latencies = run.record.report.result.rows().latencies().into_iter().enumerate();
        latencies.map(move |(number, (name, latency))| Series {
            name: run.name(name),
            points: latency.curve.clone(),
            // As the same thing is colored over time.
            color: Some(2 * number),
            dashed: place > 0,
        })
    });
    let lines: Vec<_> = lines.filter(|line| !line.points.is_empty()).collect();
    if lines.is_empty() {
        return Vec::new();
    }
    let chart = Chart {
        title: "Latency by percentile".to_owned(),
        unit: "ms".to_owned(),
        axis: Axis::Percentile,
        ..Chart::default()
    };
    vec![plot("percentiles", chart, lines)]
}
