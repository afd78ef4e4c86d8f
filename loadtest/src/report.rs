//! What a run has shown.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::process::Cost;

mod chat;

pub use chat::{Actions, Chat, Connections, Fault, Memory};

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
    /// What was wrong; the first ones.
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

/// What was wrong, the first ones.
#[derive(Debug, Serialize, Default)]
#[serde(transparent)]
pub struct Violations(Vec<String>);

impl Violations {
    /// Notes one more.
    pub fn push(&mut self, what: String) {
        if self.0.len() < MAX_VIOLATIONS {
            self.0.push(what);
        }
    }

    /// Nothing was wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
        writeln!(f, "WRONG:")?;
        self.violations.0.iter().try_for_each(|violation| writeln!(f, "  {violation}"))
    }
}
