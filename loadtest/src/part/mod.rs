//! What one process of a run has counted and measured, raw: parts of one run
//! are merged, which percentiles could not be, and the report is made of the sum.

use anyhow::Context as _;
use hdrhistogram::Histogram;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::plan::Plan;
use crate::process::Cost;
use crate::report::{self, Outcome, Report, Violations};
use crate::timeline::Timeline;

mod chat;

pub use chat::Chat;

/// Longer latencies count as this: two minutes.
const LONGEST_MICROS: u64 = 120_000_000;

/// What one process has to say in the end.
#[derive(Debug, Serialize, Deserialize)]
pub struct Part {
    /// How clients spoke.
    pub wire: String,
    /// What was counted and measured.
    pub counted: Counted,
    /// Processor time while it was measured; of one process of the run.
    pub costs: Vec<Cost>,
    /// What was wrong; the first ones.
    pub violations: Violations,
    /// What happened in each second.
    pub timeline: Timeline,
}

/// What a scenario counts and measures.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counted {
    /// Talking.
    Talk(Talk),
    /// Connecting.
    Connect(Connect),
    /// A storm.
    Storm(Storm),
    /// Chat.
    Chat(Box<Chat>),
}

/// Some talked and all heard.
#[derive(Debug, Serialize, Deserialize)]
pub struct Talk {
    /// Rooms of which it has all members or some.
    pub rooms: usize,
    /// Members of each room, those of other processes included.
    pub members: usize,
    /// Senders of its own.
    pub senders: usize,
    /// Asked for messages per second; 0: as fast as answered.
    pub rate: u64,
    /// Other processes have members of the same rooms.
    pub spans: bool,
    /// Messages answered, the warm-up included.
    pub answered: u64,
    /// Messages heard.
    pub delivered: u64,
    /// Messages refused.
    pub refused: u64,
    /// How long was measured.
    pub micros: u64,
    /// Messages answered meanwhile.
    pub answered_in_time: u64,
    /// Messages heard meanwhile.
    pub delivered_in_time: u64,
    /// From the intended send to the answer.
    pub answers: Micros,
    /// From the intended send to each member's hearing it.
    pub deliveries: Micros,
}

/// All connected and were idle.
#[derive(Debug, Serialize, Deserialize)]
pub struct Connect {
    /// How many.
    pub connections: usize,
    /// In each room.
    pub members: usize,
    /// Until the last one was in its room.
    pub seconds: f64,
    /// From the TCP connection's begin to being authenticated.
    pub authenticated: Micros,
    /// From the TCP connection's begin to being in the room.
    pub joined: Micros,
    /// The servers' memory before; one process of the run looks.
    pub memory_before: Option<u64>,
    /// The servers' memory while all are connected.
    pub memory_after: Option<u64>,
    /// Processor time until all were connected; of one process of the run.
    pub connect_costs: Vec<Cost>,
    /// Of idling in which `costs` were measured.
    pub idle_seconds: f64,
}

/// Connections were lost at once, and came back.
#[derive(Debug, Serialize, Deserialize)]
pub struct Storm {
    /// How many.
    pub connections: usize,
    /// In each room.
    pub members: usize,
    /// Connections lost.
    pub lost: u64,
    /// Of them, by the server's end.
    pub closed: u64,
    /// Attempts to come back that failed.
    pub failed_attempts: u64,
    /// From the first attempt to the last client's being back in its room.
    pub back_seconds: f64,
    /// The same for each client.
    pub back: Micros,
    /// Clients that had everything they missed before anything new was said.
    pub caught_up: u64,
    /// From the first attempt to the last of them.
    pub caught_up_seconds: f64,
    /// Deliveries due.
    pub due: u64,
    /// Deliveries that never came.
    pub missed: u64,
}

impl Part {
    /// Of a run that this process has done; its timeline is still being written.
    pub fn new(plan: &Plan, counted: Counted, costs: Vec<Cost>, violations: Violations) -> Self {
        Self { wire: plan.wire.to_string(), counted, costs, violations, timeline: Timeline::default() }
    }

    /// What the workers of one run have counted together.
    pub fn sum(parts: Vec<Self>) -> anyhow::Result<Self> {
        let mut violations = Vec::with_capacity(parts.len());
        let alone = parts.into_iter().map(|mut part| {
            violations.push(std::mem::take(&mut part.violations));
            Ok(part)
        });
        let sum = alone.reduce(|one, two| one?.merge(two?));
        let mut sum = sum.context("there are no workers")??;
        sum.violations = Violations::of_workers(violations);
        Ok(sum)
    }

    fn merge(mut self, other: Self) -> anyhow::Result<Self> {
        self.counted = match (self.counted, other.counted) {
            (Counted::Talk(one), Counted::Talk(two)) => Counted::Talk(one.merge(two)),
            (Counted::Connect(one), Counted::Connect(two)) => Counted::Connect(one.merge(two)),
            (Counted::Storm(one), Counted::Storm(two)) => Counted::Storm(one.merge(two)),
            (Counted::Chat(one), Counted::Chat(two)) => Counted::Chat(Box::new(one.merge(*two))),
            _ => anyhow::bail!("parts of different scenarios"),
        };
        self.costs.extend(other.costs);
        self.timeline.merge(other.timeline);
        Ok(self)
    }
}

impl Talk {
    fn merge(self, other: Self) -> Self {
        let spans = self.spans;
        Self {
            rooms: if spans { self.rooms } else { self.rooms + other.rooms },
            members: self.members,
            senders: self.senders + other.senders,
            rate: if spans { self.rate } else { self.rate + other.rate },
            spans,
            answered: self.answered + other.answered,
            delivered: self.delivered + other.delivered,
            refused: self.refused + other.refused,
            micros: self.micros.max(other.micros),
            answered_in_time: self.answered_in_time + other.answered_in_time,
            delivered_in_time: self.delivered_in_time + other.delivered_in_time,
            answers: self.answers.merge(&other.answers),
            deliveries: self.deliveries.merge(&other.deliveries),
        }
    }
}

impl Connect {
    fn merge(mut self, other: Self) -> Self {
        self.connect_costs.extend(other.connect_costs);
        Self {
            connections: self.connections + other.connections,
            members: self.members,
            // They began together.
            seconds: self.seconds.max(other.seconds),
            authenticated: self.authenticated.merge(&other.authenticated),
            joined: self.joined.merge(&other.joined),
            memory_before: self.memory_before.or(other.memory_before),
            memory_after: self.memory_after.or(other.memory_after),
            connect_costs: self.connect_costs,
            idle_seconds: self.idle_seconds.max(other.idle_seconds),
        }
    }
}

impl Storm {
    fn merge(self, other: Self) -> Self {
        Self {
            connections: self.connections + other.connections,
            members: self.members,
            lost: self.lost + other.lost,
            closed: self.closed + other.closed,
            failed_attempts: self.failed_attempts + other.failed_attempts,
            // They let go together.
            back_seconds: self.back_seconds.max(other.back_seconds),
            back: self.back.merge(&other.back),
            caught_up: self.caught_up + other.caught_up,
            caught_up_seconds: self.caught_up_seconds.max(other.caught_up_seconds),
            due: self.due + other.due,
            missed: self.missed + other.missed,
        }
    }
}

impl From<Part> for Report {
    fn from(part: Part) -> Self {
        let mut costs = part.costs;
        let done = match &part.counted {
            Counted::Talk(talk) => Some((talk.answered_in_time, talk.delivered_in_time)),
            Counted::Chat(chat) => Some((chat.answered_in_time, chat.delivered_in_time)),
            Counted::Connect(_) | Counted::Storm(_) => None,
        };
        if let Some((messages, deliveries)) = done {
            // Divided here, by what all processes of the run did.
            costs.iter_mut().for_each(|cost| cost.divide(messages, deliveries));
        }
        Self { wire: part.wire, result: part.counted.into(), costs, violations: part.violations }
    }
}

impl From<Counted> for Outcome {
    fn from(counted: Counted) -> Self {
        match counted {
            Counted::Talk(talk) => Self::Talk(talk.into()),
            Counted::Connect(connect) => Self::Connect(connect.into()),
            Counted::Storm(storm) => Self::Storm(storm.into()),
            Counted::Chat(chat) => Self::Chat(Box::new((*chat).into())),
        }
    }
}

impl From<Talk> for report::Talk {
    fn from(talk: Talk) -> Self {
        // Less than was asked for if the run was ended before time.
        let seconds = talk.micros.max(1) as f64 / 1e6;
        Self {
            rooms: talk.rooms,
            members: talk.members,
            senders: talk.senders,
            rate: talk.rate,
            answered: talk.answered,
            delivered: talk.delivered,
            refused: talk.refused,
            answered_per_second: talk.answered_in_time as f64 / seconds,
            delivered_per_second: talk.delivered_in_time as f64 / seconds,
            answer_ms: (&talk.answers.0).into(),
            delivery_ms: (&talk.deliveries.0).into(),
        }
    }
}

impl From<Connect> for report::Connect {
    fn from(connect: Connect) -> Self {
        let connections = connect.connections as f64;
        Self {
            connections: connect.connections,
            members: connect.members,
            seconds: connect.seconds,
            per_second: connections / connect.seconds,
            authenticated_ms: (&connect.authenticated.0).into(),
            joined_ms: (&connect.joined.0).into(),
            memory_before: connect.memory_before,
            memory_after: connect.memory_after,
            memory_per_connection: connect
                .memory_before
                .zip(connect.memory_after)
                .map(|(before, after)| (after as f64 - before as f64) / connections),
            connect_costs: connect.connect_costs,
            idle_seconds: connect.idle_seconds,
        }
    }
}

impl From<Storm> for report::Storm {
    fn from(storm: Storm) -> Self {
        Self {
            connections: storm.connections,
            members: storm.members,
            lost: storm.lost,
            closed: storm.closed,
            failed_attempts: storm.failed_attempts,
            back_seconds: storm.back_seconds,
            back_ms: (&storm.back.0).into(),
            caught_up: storm.caught_up,
            caught_up_seconds: storm.caught_up_seconds,
            due: storm.due,
            missed: storm.missed,
        }
    }
}

/// Latencies in microseconds. On the wire, its buckets that are not empty.
#[derive(Clone, Debug)]
pub struct Micros(Histogram<u64>);

impl Default for Micros {
    fn default() -> Self {
        Self(Histogram::new_with_max(LONGEST_MICROS, 3).expect("three digits up to two minutes are allowed"))
    }
}

impl Micros {
    /// Notes one more.
    pub fn record(&mut self, micros: u64) {
        self.0.saturating_record(micros);
    }

    fn merge(mut self, other: &Self) -> Self {
        self.0.add(&other.0).expect("all have the same bounds");
        self
    }
}

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // The last bucket ends beyond what is counted.
        let value = |micros: u64| micros.min(self.0.high());
        to.collect_seq(
            self.0.iter_recorded().map(|step| (value(step.value_iterated_to()), step.count_at_value())),
        )
    }
}

impl<'de> Deserialize<'de> for Micros {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut micros = Self::default();
        for (value, count) in Vec::<(u64, u64)>::deserialize(from)? {
            if value > micros.0.high() {
                return Err(de::Error::custom(format!("{value} us is more than is counted")));
            }
            micros.0.saturating_record_n(value, count);
        }
        Ok(micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(of: impl IntoIterator<Item = u64>) -> Micros {
        let mut micros = Micros::default();
        of.into_iter().for_each(|value| micros.record(value));
        micros
    }

    fn talk(latencies: impl IntoIterator<Item = u64>, spans: bool) -> Part {
        let deliveries = micros(latencies);
        let count = deliveries.0.len();
        let talk = Talk {
            rooms: 2,
            members: 10,
            senders: 3,
            rate: 50,
            spans,
            answered: count,
            delivered: count * 10,
            refused: 1,
            micros: 2_000_000,
            answered_in_time: count,
            delivered_in_time: count * 10,
            answers: deliveries.clone(),
            deliveries,
        };
        let mut violations = Violations::default();
        violations.push("a hole".to_owned());
        Part {
            wire: "json".to_owned(),
            counted: Counted::Talk(talk),
            costs: Vec::new(),
            violations,
            timeline: Timeline::default(),
        }
    }

    fn json(part: Part) -> serde_json::Value {
        serde_json::to_value(Report::from(part)).unwrap()
    }

    #[test]
    fn latencies_of_two_are_as_if_one_had_measured_them() {
        let one = talk((1..=900).map(|n| n * 1000), true);
        let two = talk((901..=1000).map(|n| n * 1000), true);
        let whole = json(talk((1..=1000).map(|n| n * 1000), true));
        let merged = json(one.merge(two).unwrap());
        for measured in ["answer_ms", "delivery_ms"] {
            assert_eq!(merged[measured], whole[measured]);
        }
        assert!((merged["answer_ms"]["p90"].as_f64().unwrap() - 900.0).abs() < 1.0, "{merged}");
        assert_eq!(merged["answered_per_second"], 500.0);
        assert_eq!(merged["delivered_per_second"], 5000.0);
    }

    #[test]
    fn rooms_of_one_worker_add_up_and_rooms_of_all_do_not() {
        for (spans, rooms, rate) in [(false, 4, 100), (true, 2, 50)] {
            let merged = json(talk([1], spans).merge(talk([2], spans)).unwrap());
            assert_eq!((&merged["rooms"], &merged["rate"]), (&rooms.into(), &rate.into()));
            assert_eq!((&merged["senders"], &merged["refused"]), (&6.into(), &2.into()));
        }
    }

    #[test]
    fn what_was_wrong_is_added_up_and_names_its_worker() {
        let part = |lost| {
            let mut part = talk([1], false);
            part.violations.wrong.lost = lost;
            part
        };
        let merged = json(Part::sum(vec![part(3), part(4)]).unwrap());
        assert_eq!(merged["violations"], serde_json::json!(["worker 0: a hole", "worker 1: a hole"]));
        assert_eq!(merged["wrong"]["lost"], 7);
    }

    #[test]
    fn processor_time_is_divided_by_what_all_did() {
        let mut one = talk([1; 40], false);
        one.costs.push(Cost::of("server (1)".to_owned(), 1_000));
        let merged = json(one.merge(talk([1; 60], false)).unwrap());
        assert_eq!(merged["costs"][0]["micros_per_message"], 10.0);
        assert_eq!(merged["costs"][0]["micros_per_delivery"], 1.0);
    }

    #[test]
    fn a_part_arrives_as_it_was_sent() {
        let part = || talk([0, 1, 77, 5_000, 123_456, LONGEST_MICROS, u64::MAX], false);
        let text = serde_json::to_string(&part()).unwrap();
        let arrived: Part = serde_json::from_str(&text).unwrap();
        assert_eq!(json(arrived), json(part()));
        assert!(serde_json::from_str::<Micros>("[[99999999999999,1]]").is_err());
    }

    #[test]
    fn connecting_takes_as_long_as_the_last_and_costs_what_one_has_seen() {
        let connect = |connections, seconds, memory: Option<u64>| Connect {
            connections,
            members: 10,
            seconds,
            authenticated: micros([10]),
            joined: micros([20]),
            memory_before: memory,
            memory_after: memory.map(|before| before + 3000),
            connect_costs: memory
                .map(|before| Cost::of("server (1)".to_owned(), before))
                .into_iter()
                .collect(),
            idle_seconds: 5.0,
        };
        let merged: report::Connect = connect(10, 1.0, Some(500)).merge(connect(20, 2.0, None)).into();
        assert_eq!((merged.connections, merged.seconds, merged.per_second), (30, 2.0, 15.0));
        assert_eq!(merged.memory_per_connection, Some(100.0));
        assert_eq!(merged.connect_costs.len(), 1);
    }

    #[test]
    fn storms_add_up() {
        let storm = |back_seconds| Storm {
            connections: 5,
            members: 5,
            lost: 5,
            closed: 1,
            failed_attempts: 2,
            back_seconds,
            back: micros([1, 2]),
            caught_up: 5,
            caught_up_seconds: back_seconds,
            due: 20,
            missed: 3,
        };
        let merged: report::Storm = storm(1.0).merge(storm(4.0)).into();
        assert_eq!((merged.connections, merged.lost, merged.closed, merged.failed_attempts), (10, 10, 2, 4));
        assert_eq!((merged.back_seconds, merged.due, merged.missed), (4.0, 40, 6));
    }

    #[test]
    fn another_scenario_is_not_merged() {
        let mut other = talk([1], false);
        other.counted = Counted::Connect(Connect {
            connections: 1,
            members: 1,
            seconds: 1.0,
            authenticated: micros([]),
            joined: micros([]),
            memory_before: None,
            memory_after: None,
            connect_costs: Vec::new(),
            idle_seconds: 1.0,
        });
        assert!(talk([1], false).merge(other).is_err());
    }
}
