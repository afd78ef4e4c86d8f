//! What is measured of whom, and what of it stands in which table.

use crate::contestants::{
    CLUSTER, CLUSTER_2, CORK, Contestant, FLOOR, SIO, SIO_PG, STANDALONE, STANDALONE_SIO, TUNED, TWO_PG,
};
use crate::load::Load;
use crate::measure::key;

/// One load, put on several systems in turn.
pub struct Row {
    /// For arguments, results and the marker of its table.
    pub name: &'static str,
    /// What it is.
    pub title: &'static str,
    /// What is done.
    pub load: Load,
    /// To whom, in this order.
    pub contestants: &'static [Contestant],
    /// What is shown: the heads, and the names of the figures.
    pub columns: &'static [(&'static str, &'static str)],
}

/// As many as the machine serves, with so many on the way from each sender.
const AS_ANSWERED: u64 = 0;

const RATES: [(&str, &str); 2] =
    [("answered/s", key::ANSWERED_PER_SECOND), ("delivered/s", key::DELIVERED_PER_SECOND)];
const DELIVERY: [(&str, &str); 3] =
    [("p50, ms", key::DELIVERY_P50), ("p99, ms", key::DELIVERY_P99), ("p99.9, ms", key::DELIVERY_P999)];

/// All rows.
pub const ROWS: [Row; 8] = [
    Row {
        name: "pairs",
        title: "One-to-one: 500 pairs, both of a pair send, as fast as answered",
        load: Load::Pairs { pairs: 500, rate: AS_ANSWERED },
        contestants: &[SIO, SIO_PG, TWO_PG, FLOOR, CORK, STANDALONE, CLUSTER, CLUSTER_2],
        columns: &[
            ("messages/s", key::ANSWERED_PER_SECOND),
            ("processor per message, us: server processes", key::MESSAGE_SERVERS),
            ("of them dispatchers", key::MESSAGE_DISPATCHERS),
            ("PostgreSQL", key::MESSAGE_POSTGRES),
            ("NATS, Redis", key::MESSAGE_BROKERS),
            ("all", key::MESSAGE_ALL),
        ],
    },
    Row {
        name: "senders",
        title: "Stored sends: 100 senders, each in a room of two, as fast as answered",
        load: Load::Rooms { rooms: 100, members: 2, senders: 1, rate: AS_ANSWERED },
        contestants: &[SIO_PG, TUNED, TWO_PG, STANDALONE, CLUSTER],
        columns: &[
            ("answered/s", key::ANSWERED_PER_SECOND),
            ("answer p50, ms", key::ANSWER_P50),
            ("p99, ms", key::ANSWER_P99),
        ],
    },
    Row {
        name: "rooms",
        title: "Ten rooms of 100, 10 senders in each, as fast as answered",
        load: Load::Rooms { rooms: 10, members: 100, senders: 10, rate: AS_ANSWERED },
        contestants: &[SIO, SIO_PG, TWO_PG, FLOOR, CORK, STANDALONE, STANDALONE_SIO, CLUSTER, CLUSTER_2],
        columns: &[
            RATES[1],
            RATES[0],
            ("processor per delivery, us: server processes", key::DELIVERY_SERVERS),
            ("all", key::DELIVERY_ALL),
        ],
    },
    Row {
        name: "room",
        title: "One room of 1,000, 10 senders, as fast as answered",
        load: Load::Rooms { rooms: 1, members: 1000, senders: 10, rate: AS_ANSWERED },
        contestants: &[SIO, SIO_PG, TWO_PG, FLOOR, CORK, STANDALONE, CLUSTER],
        columns: &[
            RATES[1],
            RATES[0],
            ("processor per delivery, us: server processes", key::DELIVERY_SERVERS),
            ("all", key::DELIVERY_ALL),
        ],
    },
    Row {
        name: "pairs-latency",
        title: "From send to delivery at 1,000 one-to-one messages/s",
        load: Load::Pairs { pairs: 500, rate: 1000 },
        contestants: &[SIO, SIO_PG, TWO_PG, FLOOR, STANDALONE, CLUSTER, CLUSTER_2],
        columns: &DELIVERY,
    },
    Row {
        name: "rooms-latency",
        title: "From send to delivery in ten rooms of 100, at 9,900 deliveries/s",
        load: Load::Rooms { rooms: 10, members: 100, senders: 10, rate: 99 },
        contestants: &[SIO, SIO_PG, TWO_PG, FLOOR, STANDALONE, CLUSTER],
        columns: &DELIVERY,
    },
    Row {
        name: "connect",
        title: "5,000 connections: authenticated, joined, then idle",
        load: Load::Connect { connections: 5000 },
        contestants: &[SIO, TWO_PG, FLOOR, CORK, STANDALONE, CLUSTER],
        columns: &[
            ("connections/s", key::CONNECTED_PER_SECOND),
            ("processor per connection, us: server processes", key::CONNECT_SERVERS),
            ("memory per idle connection, KiB", key::MEMORY),
        ],
    },
    Row {
        name: "storm",
        title: "5,000 connections reset at once, 3 messages in each room meanwhile",
        load: Load::Storm { connections: 5000 },
        contestants: &[SIO, SIO_PG, TWO_PG, FLOOR, STANDALONE, CLUSTER],
        columns: &[
            ("all back and joined, s", key::BACK),
            ("all caught up, s", key::CAUGHT_UP),
            ("of what was due, never came, %", key::MISSED),
        ],
    },
];

/// A comparison that the first table makes: in the same row, the same figure.
pub struct Ratio {
    /// What is compared.
    pub title: &'static str,
    /// In which row.
    pub row: &'static str,
    /// Which figure.
    pub figure: &'static str,
    /// Whose.
    pub of: Contestant,
    /// With whose.
    pub against: Contestant,
}

const fn ratio(
    title: &'static str,
    (row, figure): (&'static str, &'static str),
    of: Contestant,
    against: Contestant,
) -> Ratio {
    Ratio { title, row, figure, of, against }
}

const PAIRS: (&str, &str) = ("pairs", key::ANSWERED_PER_SECOND);
const SENDERS: (&str, &str) = ("senders", key::ANSWERED_PER_SECOND);
const ROOMS: (&str, &str) = ("rooms", key::DELIVERED_PER_SECOND);
const ROOMS_COST: (&str, &str) = ("rooms", key::DELIVERY_SERVERS);
const ROOM: (&str, &str) = ("room", key::DELIVERED_PER_SECOND);
const ROOM_COST: (&str, &str) = ("room", key::DELIVERY_SERVERS);
const CONNECT: (&str, &str) = ("connect", key::CONNECTED_PER_SECOND);
const CONNECT_COST: (&str, &str) = ("connect", key::CONNECT_SERVERS);

/// All comparisons.
pub const RATIOS: [Ratio; 19] = [
    ratio("one-to-one messages/s, stored", PAIRS, STANDALONE, SIO_PG),
    ratio("one-to-one messages/s, stored", PAIRS, CLUSTER, SIO_PG),
    ratio("one-to-one messages/s with a second gateway", PAIRS, CLUSTER_2, CLUSTER),
    ratio("stored sends answered/s", SENDERS, STANDALONE, SIO_PG),
    ratio("stored sends answered/s", SENDERS, CLUSTER, SIO_PG),
    ratio("stored sends answered/s", SENDERS, CLUSTER, TUNED),
    ratio("deliveries/s, ten rooms of 100", ROOMS, STANDALONE, CORK),
    ratio("deliveries/s, ten rooms of 100", ROOMS, STANDALONE, FLOOR),
    ratio("processor per delivery, ten rooms of 100", ROOMS_COST, STANDALONE, CORK),
    ratio("processor per delivery, ten rooms of 100", ROOMS_COST, STANDALONE, FLOOR),
    ratio("processor per delivery with a second gateway", ROOMS_COST, CLUSTER_2, CLUSTER),
    ratio("processor per delivery with a second node", ROOMS_COST, TWO_PG, SIO_PG),
    ratio("processor per delivery with Socket.IO clients", ROOMS_COST, STANDALONE_SIO, STANDALONE),
    ratio("deliveries/s, one room of 1,000", ROOM, STANDALONE, CORK),
    ratio("processor per delivery, one room of 1,000", ROOM_COST, STANDALONE, CORK),
    ratio("delivery p99, ten rooms of 100", ("rooms-latency", key::DELIVERY_P99), STANDALONE, FLOOR),
    ratio("connections/s", CONNECT, STANDALONE, FLOOR),
    ratio("processor per connection", CONNECT_COST, STANDALONE, FLOOR),
    ratio("all back and caught up after a storm", ("storm", key::CAUGHT_UP), STANDALONE, FLOOR),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn comparisons_are_of_what_is_measured() {
        for ratio in &RATIOS {
            let row = ROWS.iter().find(|row| row.name == ratio.row).expect("the row is there");
            assert!(row.contestants.contains(&ratio.of), "{}: {}", ratio.row, ratio.of.name());
            assert!(row.contestants.contains(&ratio.against), "{}: {}", ratio.row, ratio.against.name());
            let figures: Vec<_> = row.columns.iter().map(|(_, figure)| *figure).collect();
            assert!(figures.contains(&ratio.figure), "{} shows no {}", ratio.row, ratio.figure);
        }
    }

    #[test]
    fn every_row_has_a_name_of_its_own() {
        let names: BTreeSet<_> = ROWS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), ROWS.len());
    }
}
