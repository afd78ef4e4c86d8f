//! What the generator is asked to do, and at which size.

use std::time::Duration;

/// How long and how large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Before measuring.
    pub warmup: Duration,
    /// Of measuring.
    pub measure: Duration,
    /// Everything that is counted is divided by it: rooms, people, rates.
    pub divisor: usize,
}

impl Scale {
    /// As documented.
    pub const FULL: Self = Self::new(1500, 5000, 1);
    /// To see that everything works; the figures mean nothing.
    pub const QUICK: Self = Self::new(300, 1000, 25);

    const fn new(warmup: u64, measure: u64, divisor: usize) -> Self {
        Self { warmup: Duration::from_millis(warmup), measure: Duration::from_millis(measure), divisor }
    }

    /// So many, at this scale; at least `least`.
    pub fn count(self, full: usize, least: usize) -> usize {
        (full / self.divisor).max(least.min(full))
    }

    fn rate(self, full: u64) -> u64 {
        if full == 0 { 0 } else { (full / self.divisor as u64).max(1) }
    }
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// One-to-one: both of each pair send.
    Pairs {
        /// Pairs.
        pairs: usize,
        /// Messages per second; 0: as fast as answered.
        rate: u64,
    },
    /// Groups: some send, all hear.
    Rooms {
        /// Rooms.
        rooms: usize,
        /// Of each room.
        members: usize,
        /// Of each room.
        senders: usize,
        /// Messages per second in all; 0: as fast as answered.
        rate: u64,
    },
    /// All connect and are idle, in rooms of 100.
    Connect {
        /// Connections.
        connections: usize,
    },
    /// All are cut off at once and come back, in rooms of 100.
    Storm {
        /// Connections.
        connections: usize,
    },
}

/// Of the rooms of those who only connect.
const CROWD: usize = 100;
/// Two members make a room; with two senders each, nobody is alone.
const LEAST_MEMBERS: usize = 2;
/// One address has ports for fewer connections than some loads need.
const SOURCES: &str = "127.0.0.1,127.0.0.2,127.0.0.3";
const PORTS_OF_ONE: usize = 15_000;

impl Load {
    /// Connections at once, at this scale.
    pub fn connections(self, scale: Scale) -> usize {
        match self {
            Self::Pairs { pairs, .. } => 2 * scale.count(pairs, 4),
            Self::Rooms { rooms, members, .. } => scale.count(rooms, 2) * scale.count(members, LEAST_MEMBERS),
            Self::Connect { connections } | Self::Storm { connections } => scale.count(connections, 100),
        }
    }

    /// About how long a run takes, the server's start included.
    pub fn estimate(self, scale: Scale) -> Duration {
        // What was seen: starting and preparing, comparing with the store, coming back.
        let around = Duration::from_secs(4) + Duration::from_micros(300) * self.connections(scale) as u32;
        match self {
            Self::Storm { .. } => around + scale.warmup + Duration::from_secs(2),
            _ => around + scale.warmup + scale.measure,
        }
    }

    /// The generator's arguments for it.
    pub fn arguments(self, scale: Scale) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut say = |flag: &str, value: String| arguments.extend([format!("--{flag}"), value]);
        match self {
            Self::Pairs { pairs, rate } => {
                say("scenario", "pairs".to_owned());
                say("pairs", scale.count(pairs, 4).to_string());
                say("rate", scale.rate(rate).to_string());
            }
            Self::Rooms { rooms, members, senders, rate } => {
                let members = scale.count(members, LEAST_MEMBERS);
                say("scenario", "fanout".to_owned());
                say("rooms", scale.count(rooms, 2).to_string());
                say("members", members.to_string());
                say("senders", senders.min(members).to_string());
                say("rate", scale.rate(rate).to_string());
            }
            Self::Connect { .. } | Self::Storm { .. } => {
                let storm = matches!(self, Self::Storm { .. });
                say("scenario", if storm { "storm" } else { "connect" }.to_owned());
                say("connections", self.connections(scale).to_string());
                say("members", CROWD.to_string());
            }
        }
        if self.connections(scale) > PORTS_OF_ONE {
            say("source", SOURCES.to_owned());
        }
        // Idling is looked at for its memory alone.
        let measure = match self {
            Self::Connect { .. } => scale.measure.min(Duration::from_secs(1)),
            _ => scale.measure,
        };
        say("warmup", format!("{}ms", scale.warmup.as_millis()));
        say("duration", format!("{}ms", measure.as_millis()));
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(load: Load, scale: Scale) -> String {
        load.arguments(scale).join(" ")
    }

    #[test]
    fn loads_are_said_in_the_generators_words() {
        assert_eq!(
            said(Load::Pairs { pairs: 500, rate: 0 }, Scale::FULL),
            "--scenario pairs --pairs 500 --rate 0 --warmup 1500ms --duration 5000ms"
        );
        assert_eq!(
            said(Load::Rooms { rooms: 10, members: 100, senders: 10, rate: 99 }, Scale::FULL),
            "--scenario fanout --rooms 10 --members 100 --senders 10 --rate 99 --warmup 1500ms --duration 5000ms"
        );
        assert_eq!(
            said(Load::Storm { connections: 5000 }, Scale::QUICK),
            "--scenario storm --connections 200 --members 100 --warmup 300ms --duration 1000ms"
        );
        assert!(said(Load::Connect { connections: 20_000 }, Scale::FULL).contains("--source 127.0.0.1,"));
    }

    #[test]
    fn what_is_quick_is_small_and_still_something() {
        let rooms = Load::Rooms { rooms: 1, members: 2, senders: 10, rate: 10 };
        assert!(said(rooms, Scale::QUICK).contains("--rooms 1 --members 2 --senders 2 --rate 1 "));
        let pairs = Load::Pairs { pairs: 500, rate: 1000 };
        assert!(said(pairs, Scale::QUICK).contains("--pairs 20 --rate 40 "));
        assert_eq!((pairs.connections(Scale::FULL), pairs.connections(Scale::QUICK)), (1000, 40));
    }
}
