//! What each scenario measures.

use serde::{Deserialize, Serialize};

use super::Latency;
use super::chat::Chat;
use super::rows::{Better, Figure, Rows, Unit};
use crate::process::Cost;

/// Result of a scenario.
#[derive(Serialize, Deserialize)]
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

/// Some talked and all heard.
#[derive(Serialize, Deserialize)]
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
#[derive(Serialize, Deserialize)]
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connect_costs: Vec<Cost>,
    /// Seconds of idling in which `costs` were measured.
    pub idle_seconds: f64,
}

/// Connections were lost at once, and came back.
#[derive(Serialize, Deserialize)]
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

impl Outcome {
    /// Its kind.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Talk(_) => "talk",
            Self::Connect(_) => "connect",
            Self::Storm(_) => "storm",
            Self::Chat(chat) => chat.name(),
        }
    }

    /// What is told of it.
    pub fn rows(&self) -> &dyn Rows {
        match self {
            Self::Talk(talk) => talk,
            Self::Connect(connect) => connect,
            Self::Storm(storm) => storm,
            Self::Chat(chat) => &**chat,
        }
    }
}

impl Rows for Talk {
    fn title(&self) -> String {
        let rate = match self.rate {
            0 => "as fast as answered".to_owned(),
            rate => format!("{rate} messages/s"),
        };
        format!("{} rooms of {} members, {} senders, {rate}", self.rooms, self.members, self.senders)
    }

    fn figures(&self) -> Vec<Figure> {
        vec![
            Figure::headline("answered", self.answered_per_second, Unit::PerSecond, Better::Higher),
            Figure::headline("delivered", self.delivered_per_second, Unit::PerSecond, Better::Higher),
            Figure::new("answered and stored in all", self.answered as f64, Unit::Count, Better::Neither),
            Figure::new("delivered in all", self.delivered as f64, Unit::Count, Better::Neither),
            Figure::new("refused", self.refused as f64, Unit::Count, Better::Lower),
        ]
    }

    fn latencies(&self) -> Vec<(&'static str, &Latency)> {
        vec![("answer", &self.answer_ms), ("delivery", &self.delivery_ms)]
    }

    fn verdict(&self) -> &'static str {
        "every member heard every message once, in order, and the store agrees"
    }
}

impl Rows for Connect {
    fn title(&self) -> String {
        format!("{} connections in rooms of {}", self.connections, self.members)
    }

    fn figures(&self) -> Vec<Figure> {
        let mut figures = vec![
            Figure::headline("connected", self.per_second, Unit::PerSecond, Better::Higher),
            Figure::headline("until all had joined", self.seconds, Unit::Seconds, Better::Lower),
        ];
        if let Some(each) = self.memory_per_connection {
            figures.push(Figure::headline("memory per connection", each, Unit::Bytes, Better::Lower));
        }
        // Of several, the last one is of all.
        if let Some(cost) = self.connect_costs.last() {
            let each = cost.cpu_seconds * 1e6 / self.connections.max(1) as f64;
            let name = "processor time per connecting";
            figures.push(Figure::new(name, each, Unit::Micros, Better::Lower));
        }
        let memory = [("memory before", self.memory_before), ("memory after", self.memory_after)];
        figures.extend(
            memory.into_iter().filter_map(|(name, bytes)| {
                Some(Figure::new(name, bytes? as f64, Unit::Bytes, Better::Lower))
            }),
        );
        figures.push(Figure::new("then idle for", self.idle_seconds, Unit::Seconds, Better::Neither));
        figures
    }

    fn latencies(&self) -> Vec<(&'static str, &Latency)> {
        vec![("authenticated", &self.authenticated_ms), ("joined", &self.joined_ms)]
    }

    fn notes(&self) -> Vec<String> {
        let note = |cost: &Cost| {
            let each = cost.cpu_seconds * 1e6 / self.connections.max(1) as f64;
            format!("connecting {:<24} {each:.0} us per connection", cost.process)
        };
        self.connect_costs.iter().map(note).collect()
    }
}

impl Rows for Storm {
    fn title(&self) -> String {
        format!("{} connections in rooms of {}, {} lost", self.connections, self.members, self.lost)
    }

    fn figures(&self) -> Vec<Figure> {
        let count = |name, count: u64, better| Figure::new(name, count as f64, Unit::Count, better);
        vec![
            Figure::headline("until all were back", self.back_seconds, Unit::Seconds, Better::Lower),
            Figure::headline("until all had caught up", self.caught_up_seconds, Unit::Seconds, Better::Lower),
            Figure::headline("deliveries missed", self.missed as f64, Unit::Count, Better::Lower),
            count("deliveries due", self.due, Better::Neither),
            count("connections lost", self.lost, Better::Neither),
            count("of them by the server's end", self.closed, Better::Neither),
            count("failed attempts to come back", self.failed_attempts, Better::Lower),
            count("caught up before anything new", self.caught_up, Better::Neither),
        ]
    }

    fn latencies(&self) -> Vec<(&'static str, &Latency)> {
        vec![("back in the room", &self.back_ms)]
    }
}
