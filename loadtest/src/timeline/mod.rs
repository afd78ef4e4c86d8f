//! What happened in each second of a run. It is recorded while the run goes on,
//! can be written down and read again, and the timelines of several processes
//! of one run become one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod buckets;
mod console;
mod live;
mod recorder;

pub use buckets::Buckets;
pub use console::{Console, grouped, say};
pub use live::{Live, unix_now};
pub use recorder::{finish, record};

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Users and rooms are made.
    Preparing,
    /// Connections are opened.
    Connecting,
    /// The load rises.
    Ramp,
    /// The load is there, and not yet measured.
    WarmUp,
    /// What happens counts.
    Measuring,
    /// Connections are lost, and stay so.
    Away,
    /// Connections come back; what happens counts.
    Returning,
    /// The last deliveries are waited for.
    Drain,
    /// What was heard is compared with what is stored.
    Checking,
}

impl Phase {
    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Connecting => "connecting",
            Self::Ramp => "ramp",
            Self::WarmUp => "warm-up",
            Self::Measuring => "measuring",
            Self::Away => "away",
            Self::Returning => "coming back",
            Self::Drain => "drain",
            Self::Checking => "checking",
        }
    }
}

/// What happened in each second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timeline {
    /// When each phase began, in order.
    pub phases: Vec<Begin>,
    /// Faults and other things worth a mark, in order.
    pub marks: Vec<Mark>,
    /// The seconds, in order; those in which nobody looked are left out.
    pub seconds: Vec<Second>,
    /// The servers' processes, and the generators.
    pub nodes: Vec<Node>,
}

/// A phase has begun.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Begin {
    /// Unix time.
    pub at: f64,
    /// Which one.
    pub phase: Phase,
}

/// Something happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Unix time.
    pub at: f64,
    /// What.
    pub name: String,
}

/// A second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Second {
    /// Unix time at which it began.
    pub at: u64,
    /// Messages answered in it.
    pub answered: u64,
    /// Messages heard by members in it.
    pub delivered: u64,
    /// Connections in their rooms at its end.
    pub connections: u64,
    /// Connections that came back in it.
    pub reconnects: u64,
    /// Sends that were refused, and attempts to connect that failed, in it.
    pub failures: u64,
    /// From the intended send to the answer.
    #[serde(skip_serializing_if = "Buckets::is_empty")]
    pub answer_us: Buckets,
    /// From the intended send to each member's hearing it.
    #[serde(skip_serializing_if = "Buckets::is_empty")]
    pub delivery_us: Buckets,
    /// From the attempt's begin to being in the room.
    #[serde(skip_serializing_if = "Buckets::is_empty")]
    pub join_us: Buckets,
}

/// A process that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// What it is and where.
    pub name: String,
    /// Of the program, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What was seen, in order.
    pub samples: Vec<Sample>,
}

/// What a process used, or held, at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// Unix time.
    pub at: f64,
    /// Resident, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<f64>,
    /// Processor time since it was started, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// Clients' connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<f64>,
}

impl Second {
    /// Takes in what happened elsewhere in the same second.
    fn add(&mut self, other: &Self) {
        let connections = self.connections + other.connections;
        self.append(other);
        self.connections = connections;
    }

    /// Takes in what happened after it.
    fn append(&mut self, other: &Self) {
        self.connections = other.connections;
        self.answered += other.answered;
        self.delivered += other.delivered;
        self.reconnects += other.reconnects;
        self.failures += other.failures;
        self.answer_us.merge(&other.answer_us);
        self.delivery_us.merge(&other.delivery_us);
        self.join_us.merge(&other.join_us);
    }
}

impl Timeline {
    /// Takes in that of another process of the same run. A phase has begun when
    /// it had in the first of them; a server that both looked at is kept once.
    pub fn merge(&mut self, other: Self) {
        let mut seconds: BTreeMap<_, _> =
            std::mem::take(&mut self.seconds).into_iter().map(|second| (second.at, second)).collect();
        for second in other.seconds {
            match seconds.entry(second.at) {
                std::collections::btree_map::Entry::Vacant(free) => _ = free.insert(second),
                std::collections::btree_map::Entry::Occupied(mut taken) => taken.get_mut().add(&second),
            }
        }
        self.seconds = seconds.into_values().collect();
        for begin in other.phases {
            match self.phases.iter_mut().find(|known| known.phase == begin.phase) {
                Some(known) => known.at = known.at.min(begin.at),
                None => self.phases.push(begin),
            }
        }
        self.phases.sort_by(|one, other| one.at.total_cmp(&other.at));
        for mark in other.marks {
            // The same thing, noted by each.
            let known =
                self.marks.iter().any(|known| known.name == mark.name && (known.at - mark.at).abs() < 1.0);
            if !known {
                self.marks.push(mark);
            }
        }
        self.marks.sort_by(|one, other| one.at.total_cmp(&other.at));
        for node in other.nodes {
            if !self.nodes.iter().any(|known| known.name == node.name) {
                self.nodes.push(node);
            }
        }
    }

    /// When it begins, in Unix time.
    pub fn begin(&self) -> f64 {
        let firsts =
            [self.phases.first().map(|begin| begin.at), self.seconds.first().map(|second| second.at as f64)];
        firsts.into_iter().flatten().fold(f64::INFINITY, f64::min)
    }

    /// When it ends, in Unix time.
    pub fn end(&self) -> f64 {
        let lasts = [
            self.phases.last().map(|begin| begin.at),
            self.seconds.last().map(|second| second.at as f64 + 1.0),
        ];
        lasts.into_iter().flatten().fold(f64::NEG_INFINITY, f64::max)
    }

    /// When this phase began, if it did.
    pub fn began(&self, phase: Phase) -> Option<f64> {
        self.phases.iter().find(|begin| begin.phase == phase).map(|begin| begin.at)
    }

    /// The seconds, as many together as it takes to have no more than `most`
    /// steps; and how many these are. Percentiles stay those of what was counted.
    pub fn steps(&self, most: usize) -> (u64, Vec<Second>) {
        let length = self.seconds.first().zip(self.seconds.last());
        let length = length.map_or(0, |(first, last)| last.at - first.at + 1);
        let width = length.div_ceil(most.max(1) as u64).max(1);
        let mut steps: Vec<Second> = Vec::new();
        for second in &self.seconds {
            let at = second.at - second.at % width;
            match steps.last_mut().filter(|step| step.at == at) {
                Some(step) => step.append(second),
                None => steps.push(Second { at, ..second.clone() }),
            }
        }
        (width, steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(at: u64, answered: u64, micros: &str) -> Second {
        Second {
            at,
            answered,
            connections: 10,
            reconnects: 1,
            answer_us: micros.parse().unwrap(),
            ..Second::default()
        }
    }

    fn begin(at: f64, phase: Phase) -> Begin {
        Begin { at, phase }
    }

    #[test]
    fn several_processes_become_one_by_second() {
        let mut one = Timeline {
            phases: vec![begin(99.5, Phase::Connecting), begin(101.5, Phase::Measuring)],
            marks: vec![Mark { at: 101.0, name: "a gateway was killed".to_owned() }],
            seconds: vec![second(100, 5, "10:5"), second(101, 7, "20:7")],
            nodes: vec![Node { name: "gateway".to_owned(), ..Node::default() }],
        };
        let other = Timeline {
            phases: vec![begin(99.0, Phase::Connecting), begin(103.0, Phase::Drain)],
            marks: vec![
                Mark { at: 101.4, name: "a gateway was killed".to_owned() },
                Mark { at: 100.2, name: "ended".to_owned() },
            ],
            seconds: vec![second(99, 1, ""), second(101, 3, "20:1 30:2"), second(103, 4, "")],
            nodes: vec![
                Node { name: "gateway".to_owned(), version: Some("2".to_owned()), ..Node::default() },
                Node { name: "generator".to_owned(), ..Node::default() },
            ],
        };
        one.merge(other);
        let seconds: Vec<_> =
            one.seconds.iter().map(|second| (second.at, second.answered, second.connections)).collect();
        assert_eq!(seconds, [(99, 1, 10), (100, 5, 10), (101, 10, 20), (103, 4, 10)]);
        assert_eq!(one.seconds[2].answer_us.to_string(), "20:8 30:2");
        assert_eq!(one.began(Phase::Connecting), Some(99.0));
        assert_eq!(one.phases.last(), Some(&begin(103.0, Phase::Drain)));
        let marks: Vec<_> = one.marks.iter().map(|mark| (mark.at, &*mark.name)).collect();
        assert_eq!(marks, [(100.2, "ended"), (101.0, "a gateway was killed")]);
        assert_eq!(one.nodes.len(), 2);
        assert_eq!(one.nodes[0].version, None);
    }

    #[test]
    fn what_is_merged_in_any_order_is_the_same() {
        let of = |at| Timeline {
            seconds: vec![second(at, at, "7:1"), second(at + 1, 1, "9:2")],
            ..Timeline::default()
        };
        let (mut one, mut other) = (of(5), of(6));
        one.merge(of(6));
        other.merge(of(5));
        assert_eq!(one, other);
    }

    #[test]
    fn a_long_run_is_shown_in_steps() {
        let seconds = (10..17).map(|at| second(at, at, "5:1")).collect();
        let timeline = Timeline { seconds, ..Timeline::default() };
        let (width, steps) = timeline.steps(4);
        let steps: Vec<_> = steps
            .iter()
            .map(|step| (step.at, step.answered, step.connections, step.answer_us.to_string()))
            .collect();
        assert_eq!(width, 2);
        let two = "5:2".to_owned();
        assert_eq!(
            steps,
            [
                (10, 21, 10, two.clone()),
                (12, 25, 10, two.clone()),
                (14, 29, 10, two),
                (16, 16, 10, "5:1".to_owned())
            ]
        );
        assert_eq!(timeline.steps(100).1, timeline.seconds);
        assert_eq!(Timeline::default().steps(4), (1, Vec::new()));
    }

    #[test]
    fn it_is_read_back_from_json() {
        let timeline = Timeline {
            phases: vec![begin(99.5, Phase::WarmUp)],
            seconds: vec![second(100, 5, "10:5")],
            nodes: vec![Node {
                samples: vec![Sample { at: 1.5, memory: Some(2.0), ..Sample::default() }],
                ..Node::default()
            }],
            ..Timeline::default()
        };
        let json = serde_json::to_string(&timeline).unwrap();
        assert!(json.contains(r#""phase":"warm-up""#) && json.contains(r#""answer_us":"10:5""#), "{json}");
        assert_eq!(serde_json::from_str::<Timeline>(&json).unwrap(), timeline);
    }
}
