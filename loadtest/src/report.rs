//! What a run has shown.

use std::fmt;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::check::Fault;
use crate::process::Cost;

mod chat;

pub use chat::{Actions, Chat, Connections, Injected, Memory};

/// Violations kept.
const MAX_VIOLATIONS: usize = 20;

/// Result of a run.
#[derive(Serialize)]
pub struct Report {
    /// How clients spoke.
    pub wire: String,
    /// What was done and measured.
    #[serde(flatten)]
    pub result: Outcome,
    /// Processor time while it was measured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub costs: Vec<Cost>,
    /// What was wrong.
    #[serde(flatten)]
    pub violations: Violations,
}

/// Result of a scenario.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// Of talking.
    Talk(Talk),
    /// Of connecting.
    Connect(Connect),
    /// Of a storm.
    Storm(Storm),
    /// Of chat.
    Chat(Box<Chat>),
}

/// What was wrong: the first ones in words, and how many there were.
#[derive(Debug, Serialize, Deserialize, Default)]
pub struct Violations {
    #[serde(rename = "violations")]
    first: Vec<String>,
    /// All of them.
    pub wrong: Counts,
}

/// How much was wrong, by its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Deliveries that never came.
    pub lost: u64,
    /// Deliveries that came before.
    pub doubled: u64,
    /// Deliveries that came after a later one.
    pub out_of_order: u64,
    /// Members who heard another order, or another number, than the store has.
    pub not_as_stored: u64,
    /// Messages that the store has otherwise than they were sent and answered:
    /// in another order, twice, or not at all.
    pub not_as_sent: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, doubled, out_of_order, not_as_stored, not_as_sent } = self;
        write!(f, "{lost} deliveries lost, {doubled} doubled, {out_of_order} out of order; ")?;
        write!(f, "{not_as_stored} members heard what is not stored, {not_as_sent} messages stored wrongly")
    }
}

impl Violations {
    /// Notes one more.
    pub fn push(&mut self, what: String) {
        if self.first.len() < MAX_VIOLATIONS {
            self.first.push(what);
        }
    }

    /// Counts a delivery that was not the one that was due. What a gap leaves
    /// out may still come: whether it is lost shows in the end.
    pub fn count(&mut self, fault: &Fault) {
        match fault {
            Fault::Order(..) | Fault::Late(..) => self.wrong.out_of_order += 1,
            Fault::Twice(..) => self.wrong.doubled += 1,
            Fault::Gap(..) => {}
        }
    }

    /// What was wrong with the workers of a run. In turn one of each: the first
    /// worker's do not hide those of the others.
    pub fn of_workers(workers: Vec<Self>) -> Self {
        let mut all = Self::default();
        let mut first = Vec::with_capacity(workers.len());
        for worker in workers {
            all.wrong = all.wrong + worker.wrong;
            first.push(worker.first.into_iter());
        }
        for _ in 0..MAX_VIOLATIONS {
            for (worker, first) in first.iter_mut().enumerate() {
                first.next().into_iter().for_each(|what| all.push(format!("worker {worker}: {what}")));
            }
        }
        all
    }

    /// Nothing was wrong.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            lost: self.lost + other.lost,
            doubled: self.doubled + other.doubled,
            out_of_order: self.out_of_order + other.out_of_order,
            not_as_stored: self.not_as_stored + other.not_as_stored,
            not_as_sent: self.not_as_sent + other.not_as_sent,
        }
    }
}

/// Some talked and all heard.
#[derive(Serialize)]
pub struct Talk {
    /// What was asked for.
    pub rooms: usize,
    /// Members of each room.
    pub members: usize,
    /// Senders in all.
    pub senders: usize,
    /// Asked for messages per second; 0: as fast as answered.
    pub rate: u64,
    /// Messages answered, the warm-up included.
    pub answered: u64,
    /// Messages heard by members, the warm-up included.
    pub delivered: u64,
    /// Messages refused.
    pub refused: u64,
    /// Messages answered per second of measuring.
    pub answered_per_second: f64,
    /// Messages heard per second of measuring.
    pub delivered_per_second: f64,
    /// From the intended send to the answer.
    pub answer_ms: Latency,
    /// From the intended send to each member's hearing it.
    pub delivery_ms: Latency,
}

/// All connected and were idle.
#[derive(Serialize)]
pub struct Connect {
    /// In all.
    pub connections: usize,
    /// In each room.
    pub members: usize,
    /// Until the last one was in its room.
    pub seconds: f64,
    /// Connections per second.
    pub per_second: f64,
    /// From the TCP connection's begin to being authenticated.
    pub authenticated_ms: Latency,
    /// From the TCP connection's begin to being in the room.
    pub joined_ms: Latency,
    /// The servers' memory before, bytes.
    pub memory_before: Option<u64>,
    /// The servers' memory while all are connected and idle, bytes.
    pub memory_after: Option<u64>,
    /// What one connection adds to it, bytes.
    pub memory_per_connection: Option<f64>,
    /// Processor time until all were connected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connect_costs: Vec<Cost>,
    /// Seconds of idling in which `costs` were measured.
    pub idle_seconds: f64,
}

/// Connections were lost at once, and came back.
#[derive(Serialize)]
pub struct Storm {
    /// In all.
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
    pub back_ms: Latency,
    /// Clients that had everything they missed before anything new was said.
    pub caught_up: u64,
    /// From the first attempt to the last of them.
    pub caught_up_seconds: f64,
    /// What was sent, for each of its room's clients: deliveries due.
    pub due: u64,
    /// Deliveries that never came.
    pub missed: u64,
}

/// Milliseconds.
#[derive(Serialize)]
pub struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl From<&Histogram<u64>> for Latency {
    fn from(micros: &Histogram<u64>) -> Self {
        let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1000.0;
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: micros.max() as f64 / 1000.0 }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p90, p99, p999, max } = self;
        write!(f, "p50 {p50:.2}  p90 {p90:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.2} ms")
    }
}

impl fmt::Display for Talk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} rooms of {} members, {} senders", self.rooms, self.members, self.senders)?;
        writeln!(f, "answered   {:>10.0} /s   {}", self.answered_per_second, self.answer_ms)?;
        writeln!(f, "delivered  {:>10.0} /s   {}", self.delivered_per_second, self.delivery_ms)?;
        writeln!(
            f,
            "in all {} answered and stored, {} delivered, {} refused",
            self.answered, self.delivered, self.refused
        )
    }
}

impl fmt::Display for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} connections in rooms of {}", self.connections, self.members)?;
        writeln!(f, "all joined after {:.2} s, {:.0} /s", self.seconds, self.per_second)?;
        writeln!(f, "authenticated  {}", self.authenticated_ms)?;
        writeln!(f, "joined         {}", self.joined_ms)?;
        for cost in &self.connect_costs {
            let each = cost.cpu_seconds * 1e6 / self.connections.max(1) as f64;
            writeln!(f, "connecting     {:<24} {each:.0} us per connection", cost.process)?;
        }
        if let (Some(before), Some(after), Some(each)) =
            (self.memory_before, self.memory_after, self.memory_per_connection)
        {
            let mebibytes = |bytes| bytes as f64 / f64::from(1 << 20);
            writeln!(
                f,
                "memory {:.1} MiB before, {:.1} MiB after: {:.2} KiB per connection",
                mebibytes(before),
                mebibytes(after),
                each / 1024.0
            )?;
        }
        writeln!(f, "then idle for {:.0} s", self.idle_seconds)
    }
}

impl fmt::Display for Storm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} connections in rooms of {}", self.connections, self.members)?;
        writeln!(
            f,
            "{} lost, {} of them by the server's end; {} failed attempts to come back",
            self.lost, self.closed, self.failed_attempts
        )?;
        writeln!(f, "all back after {:.2} s   {}", self.back_seconds, self.back_ms)?;
        writeln!(f, "{} caught up after {:.2} s", self.caught_up, self.caught_up_seconds)?;
        writeln!(f, "{} of {} deliveries missed", self.missed, self.due)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "processor  {:<24} {:>8.2} s", self.process, self.cpu_seconds)?;
        if let (Some(message), Some(delivery)) = (self.micros_per_message, self.micros_per_delivery) {
            write!(f, "   {message:.1} us per message, {delivery:.2} us per delivery")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.wire)?;
        match &self.result {
            Outcome::Talk(talk) => write!(f, "{talk}")?,
            Outcome::Connect(connect) => write!(f, "{connect}")?,
            Outcome::Storm(storm) => write!(f, "{storm}")?,
            Outcome::Chat(chat) => write!(f, "{chat}")?,
        }
        self.costs.iter().try_for_each(|cost| writeln!(f, "{cost}"))?;
        if self.violations.is_empty() {
            return write!(
                f,
                "{}",
                match self.result {
                    Outcome::Talk(_) =>
                        "every member heard every message once, in order, and the store agrees",
                    Outcome::Chat(_) =>
                        "every device heard every change once, in order, and the store agrees",
                    _ => "every member heard every message once, in order",
                }
            );
        }
        writeln!(f, "WRONG: {}", self.violations.wrong)?;
        self.violations.first.iter().try_for_each(|violation| writeln!(f, "  {violation}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_counted_beyond_what_is_shown() {
        let mut violations = Violations::default();
        for number in 0..MAX_VIOLATIONS as u64 + 5 {
            let fault = Fault::Late(1, number);
            violations.count(&fault);
            violations.push(fault.to_string());
        }
        violations.count(&Fault::Order(3, 4));
        violations.count(&Fault::Twice(1, 2));
        // It may still come.
        violations.count(&Fault::Gap(1, 4, 2));
        let shown = serde_json::to_value(&violations).unwrap();
        assert_eq!(shown["violations"].as_array().map(Vec::len), Some(MAX_VIOLATIONS));
        let wrong = Counts { out_of_order: MAX_VIOLATIONS as u64 + 6, doubled: 1, ..Counts::default() };
        assert_eq!(shown["wrong"], serde_json::to_value(wrong).unwrap());
    }

    #[test]
    fn no_worker_hides_what_was_wrong_with_another() {
        let of = |count: usize| {
            let mut violations = Violations::default();
            (0..count).for_each(|number| violations.push(number.to_string()));
            violations.wrong.lost = count as u64;
            violations
        };
        let all = Violations::of_workers(vec![of(MAX_VIOLATIONS), of(0), of(2)]);
        assert_eq!(
            all.first[..5],
            ["worker 0: 0", "worker 2: 0", "worker 0: 1", "worker 2: 1", "worker 0: 2"]
        );
        assert_eq!((all.first.len(), all.wrong.lost), (MAX_VIOLATIONS, MAX_VIOLATIONS as u64 + 2));
        assert!(Violations::of_workers(vec![of(0), of(0)]).is_empty());
    }
}
