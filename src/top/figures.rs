//! What a node does: rates and quantiles out of two readings, and their total.

use super::exposition::{Buckets, Reading};

/// What happened between two readings, and what stood at the second. What a
/// node does not have, such as the connections of a dispatcher, is `None`; so
/// is every rate as long as there is one reading only.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Open WebSockets.
    pub connections: Option<f64>,
    /// Frames from clients a second.
    pub frames: Option<f64>,
    /// Frames handed to clients' queues a second.
    pub deliveries: Option<f64>,
    /// Messages stored a second.
    pub sends: Option<f64>,
    /// From a command's submission to its outcome, as gateways see it.
    pub answers: Times,
    /// From handing a batch to the store until it is durable.
    pub commits: Times,
    /// Holes filled from the store a second: hints that were lost or late.
    pub holes: Option<f64>,
    /// Questions for missing changes that nobody answered, a second.
    pub holes_open: Option<f64>,
    /// Commands at dispatchers and messages in lanes.
    pub waiting: Option<f64>,
    /// Connections closed as slow readers a second.
    pub evictions: Option<f64>,
    /// Resident memory in bytes.
    pub memory: Option<f64>,
    /// Processors in use: 1 is one of them all the time.
    pub processors: Option<f64>,
    /// 1 while the broker can be reached.
    pub broker: Option<f64>,
    /// 1 while Redis can be reached.
    pub presence: Option<f64>,
}

/// Durations of what ended between two readings, as a histogram.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Times(Buckets);

impl Times {
    /// The duration that this share of all did not exceed, supposing that they
    /// are spread evenly within a bucket; `None` if nothing happened.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let (_, all) = *self.0.last().filter(|(_, all)| *all > 0.0)?;
        let rank = share * all;
        let mut lower = (0.0, 0.0);
        for &(bound, below) in &self.0 {
            if below >= rank && below > lower.1 {
                // Beyond the last bound nothing is known but that.
                let width = if bound.is_finite() { bound - lower.0 } else { 0.0 };
                return Some(lower.0 + width * (rank - lower.1) / (below - lower.1));
            }
            lower = (if bound.is_finite() { bound } else { lower.0 }, below);
        }
        Some(lower.0)
    }

    fn between(before: Buckets, after: Buckets) -> Self {
        let same = before.len() == after.len();
        let reset = before.last() > after.last();
        let earlier =
            |place: usize| before.get(place).filter(|_| same && !reset).map_or(0.0, |bucket| bucket.1);
        let after = after.into_iter().enumerate();
        Self(after.map(|(place, (bound, count))| (bound, (count - earlier(place)).max(0.0))).collect())
    }

    fn add(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
        } else if self.0.iter().map(|bucket| bucket.0).eq(other.0.iter().map(|bucket| bucket.0)) {
            // Nodes of another version may have other buckets, which do not add up.
            for (own, others) in self.0.iter_mut().zip(&other.0) {
                own.1 += others.1;
            }
        }
    }
}

impl Figures {
    /// Of two readings of one node; `before` is missing after its first one.
    pub fn between(before: Option<&Reading>, after: &Reading) -> Self {
        let period = Period::new(before, after);
        let gateway = after.sum("carillon_gateway_connections").is_some();
        let dispatcher = after.sum("carillon_dispatcher_streams").is_some();
        // A counter that nothing has raised yet is not exported.
        let of_gateway = |rate: Option<f64>| rate.filter(|_| gateway);
        let of_dispatcher = |rate: Option<f64>| rate.filter(|_| dispatcher);
        let in_flight = after.sum("carillon_gateway_commands_in_flight");
        let in_lanes = after.sum("carillon_dispatcher_lane_queue");
        Self {
            connections: after.sum("carillon_gateway_connections"),
            frames: of_gateway(period.rate("carillon_gateway_frames_received_total", &[])),
            deliveries: of_gateway(period.rate("carillon_gateway_deliveries_total", &[])),
            sends: of_dispatcher(
                period.rate("carillon_dispatcher_commands_total", &[("command", "send"), ("result", "ok")]),
            ),
            answers: period.times("carillon_gateway_command_seconds"),
            commits: period.times("carillon_dispatcher_commit_seconds"),
            holes: of_gateway(period.rate("carillon_gateway_fills_total", &[])),
            holes_open: of_gateway(period.rate("carillon_gateway_fill_errors_total", &[])),
            waiting: add(in_flight, in_lanes),
            evictions: of_gateway(period.rate("carillon_gateway_closes_total", &[("code", "slow_reader")])),
            memory: after.sum("process_resident_memory_bytes"),
            processors: period.rate("process_cpu_seconds_total", &[]),
            broker: after.sum("carillon_broker_link_up"),
            presence: after.sum("carillon_presence_link_up"),
        }
    }

    /// Of all nodes together.
    pub fn total<'a>(nodes: impl Iterator<Item = &'a Self>) -> Self {
        let mut total = Self::default();
        for node in nodes {
            total.answers.add(&node.answers);
            total.commits.add(&node.commits);
            for (sum, part) in [
                (&mut total.connections, node.connections),
                (&mut total.frames, node.frames),
                (&mut total.deliveries, node.deliveries),
                (&mut total.sends, node.sends),
                (&mut total.holes, node.holes),
                (&mut total.holes_open, node.holes_open),
                (&mut total.waiting, node.waiting),
                (&mut total.evictions, node.evictions),
                (&mut total.memory, node.memory),
                (&mut total.processors, node.processors),
            ] {
                *sum = add(*sum, part);
            }
            for (all, one) in [(&mut total.broker, node.broker), (&mut total.presence, node.presence)] {
                *all = all.map_or(one, |all| Some(one.map_or(all, |one| all.min(one))));
            }
        }
        total
    }
}

fn add(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    }
}

/// From one reading to the next, of the same node.
struct Period<'a> {
    before: Option<&'a Reading>,
    after: &'a Reading,
    /// The process is another one: it has counted from zero since.
    restarted: bool,
}

impl<'a> Period<'a> {
    fn new(before: Option<&'a Reading>, after: &'a Reading) -> Self {
        let started = |reading: &Reading| reading.sum("process_start_time_seconds");
        let restarted = before.is_some_and(|before| started(before) != started(after));
        Self { before, after, restarted }
    }

    fn rate(&self, counter: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let before = self.before?;
        let seconds = self.after.at.saturating_duration_since(before.at).as_secs_f64();
        let value = |reading: &Reading| reading.sum_with(counter, labels).unwrap_or(0.0);
        let (earlier, now) = (value(before), value(self.after));
        let reset = self.restarted || now < earlier;
        let grown = if reset { now } else { now - earlier };
        (seconds > 0.0).then(|| grown / seconds)
    }

    fn times(&self, histogram: &str) -> Times {
        let (Some(before), Some(after)) = (self.before, self.after.buckets(histogram)) else {
            return Times::default();
        };
        let earlier = if self.restarted { None } else { before.buckets(histogram) };
        Times::between(earlier.unwrap_or_default(), after)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn readings(pages: &[&str], seconds: u64) -> Vec<Reading> {
        let start = Instant::now();
        let times = (0..).map(|number| start + Duration::from_secs(number * seconds));
        pages.iter().zip(times).map(|(page, at)| Reading::parse(page, at).unwrap()).collect()
    }

    fn figures(before: &str, after: &str) -> Figures {
        let readings = readings(&[before, after], 2);
        Figures::between(Some(&readings[0]), &readings[1])
    }

    const GATEWAY: &str = "carillon_gateway_connections 7\nprocess_start_time_seconds 100\n";

    #[test]
    fn rates_are_of_the_time_between() {
        let after = format!(
            "{GATEWAY}carillon_gateway_deliveries_total 150\ncarillon_gateway_commands_in_flight 3\nprocess_cpu_seconds_total 0.25\n\
             carillon_gateway_closes_total{{code=\"slow_reader\"}} 4\ncarillon_gateway_closes_total{{code=\"normal\"}} 9\n"
        );
        let figures = figures(&format!("{GATEWAY}carillon_gateway_deliveries_total 50\n"), &after);
        assert_eq!((figures.connections, figures.deliveries), (Some(7.0), Some(50.0)));
        assert_eq!(figures.evictions, Some(2.0), "a counter that appears was zero");
        assert_eq!(figures.processors, Some(0.125), "seconds of it in a second");
        assert_eq!(figures.frames, Some(0.0), "a counter that is not there is zero");
        assert_eq!((figures.sends, figures.waiting), (None, Some(3.0)), "a gateway stores nothing");
    }

    #[test]
    fn one_reading_has_no_rates() {
        let reading = readings(&[GATEWAY], 1).remove(0);
        let figures = Figures::between(None, &reading);
        assert_eq!((figures.connections, figures.deliveries), (Some(7.0), None));
        assert_eq!(figures.answers.quantile(0.5), None);
    }

    #[test]
    fn a_process_that_started_again_counts_from_zero() {
        let before = format!("{GATEWAY}carillon_gateway_deliveries_total 50\n");
        let again = before.replace("seconds 100", "seconds 200");
        // More than before, and yet all of it new.
        let after = again.replace("total 50", "total 60");
        assert_eq!(figures(&before, &after).deliveries, Some(30.0));
        // The same without the process's own word for it.
        let after = before.replace("total 50", "total 10");
        assert_eq!(figures(&before, &after).deliveries, Some(5.0));
    }

    fn times(counts: [f64; 3]) -> Times {
        Times(vec![(0.1, counts[0]), (0.5, counts[1]), (f64::INFINITY, counts[2])])
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        for (counts, share, expected) in [
            ([0.0, 0.0, 0.0], 0.5, None),
            ([10.0, 10.0, 10.0], 0.5, Some(0.05)),
            ([10.0, 20.0, 20.0], 0.75, Some(0.3)),
            ([0.0, 10.0, 10.0], 0.0, Some(0.1)),
            ([0.0, 0.0, 10.0], 0.5, Some(0.5)),
            ([98.0, 99.0, 100.0], 0.99, Some(0.5)),
        ] {
            let quantile = times(counts).quantile(share);
            let near = match (quantile, expected) {
                (Some(one), Some(other)) => (one - other).abs() < 1e-9,
                (one, other) => one == other,
            };
            assert!(near, "{counts:?} {share}: {quantile:?}");
        }
        assert_eq!(Times::default().quantile(0.5), None);
    }

    #[test]
    fn histograms_are_of_the_time_between_too() {
        let page = |counts: [u32; 3]| {
            format!(
                "carillon_dispatcher_commit_seconds_bucket{{le=\"0.1\"}} {}\n\
                 carillon_dispatcher_commit_seconds_bucket{{le=\"0.5\"}} {}\n\
                 carillon_dispatcher_commit_seconds_bucket{{le=\"+Inf\"}} {}\n",
                counts[0], counts[1], counts[2]
            )
        };
        let commits = |before: &str, after: &str| figures(before, after).commits;
        assert_eq!(commits(&page([5, 5, 5]), &page([5, 8, 9])), times([0.0, 3.0, 4.0]));
        assert_eq!(commits("", &page([5, 8, 9])), times([5.0, 8.0, 9.0]), "it has just appeared");
        assert_eq!(commits(&page([5, 8, 9]), &page([1, 1, 1])), times([1.0, 1.0, 1.0]), "reset");
        assert_eq!(commits(&page([5, 8, 9]), ""), Times::default());
    }

    #[test]
    fn the_total_adds_what_adds_up() {
        let one = Figures {
            connections: Some(2.0),
            commits: times([1.0, 1.0, 1.0]),
            broker: Some(1.0),
            memory: Some(10.0),
            ..Figures::default()
        };
        let other = Figures {
            sends: Some(3.0),
            commits: times([0.0, 1.0, 2.0]),
            broker: Some(0.0),
            memory: Some(5.0),
            ..Figures::default()
        };
        let total = Figures::total([&one, &other].into_iter());
        assert_eq!((total.connections, total.sends, total.memory), (Some(2.0), Some(3.0), Some(15.0)));
        assert_eq!((total.broker, total.presence), (Some(0.0), None), "a link is up where all are");
        assert_eq!(total.commits, times([1.0, 2.0, 3.0]));
        assert_eq!(Figures::total([].into_iter()), Figures::default());
    }
}
