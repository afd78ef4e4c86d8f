//! What a delivery or a connection costs as one thing grows and nothing else does.

use crate::contestants::{CLUSTER, Contestant, Wire, cluster};
use crate::load::{Load, Scale};
use crate::measure::key;
use crate::stats::with_commas;

/// One measurement with another number each time.
pub struct Curve {
    /// For arguments, results, the marker of its table and its file.
    pub name: &'static str,
    /// What it is.
    pub title: &'static str,
    /// What grows.
    pub grows: &'static str,
    /// How the figures are called.
    pub unit: &'static str,
    /// The lines: what they are called, and which figure they show.
    pub lines: &'static [(&'static str, &'static str)],
    /// What is measured, point by point.
    pub points: fn(Scale) -> Vec<Point>,
}

/// One place on a curve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// How much there is of what grows.
    pub label: String,
    /// Who is measured.
    pub contestant: Contestant,
    /// Under which load.
    pub load: Load,
    /// Rooms that are open beside it, in which nobody says anything.
    pub quiet_rooms: usize,
}

/// The load that stays the same: as rows have it, at a rate all systems bear.
const STEADY: Load = Load::Rooms { rooms: 10, members: 100, senders: 10, rate: 200 };
/// Connections, and deliveries a second, whatever the size of the rooms.
const SPREAD: usize = 10_000;

const COSTS: [(&str, &str); 2] =
    [("gateways", key::DELIVERY_GATEWAYS), ("with everything behind them", key::DELIVERY_ALL)];

/// All curves.
pub const CURVES: [Curve; 4] = [
    Curve {
        name: "curve-gateways",
        title: "Processor per delivery with more gateways, 20,000 deliveries/s in ten rooms of 100",
        grows: "gateways",
        unit: "s per million deliveries",
        lines: &COSTS,
        points: gateways,
    },
    Curve {
        name: "curve-rooms",
        title: "Processor per delivery with more quiet rooms beside, 20,000 deliveries/s in ten rooms of 100",
        grows: "quiet rooms",
        unit: "s per million deliveries",
        lines: &COSTS,
        points: rooms,
    },
    Curve {
        name: "curve-members",
        title: "Processor per delivery with larger rooms, 10,000 connections, 10,000 deliveries/s",
        grows: "members of each room",
        unit: "s per million deliveries",
        lines: &COSTS,
        points: members,
    },
    Curve {
        name: "curve-connections",
        title: "Memory of one gateway for each idle connection, in rooms of 100",
        grows: "connections",
        unit: "KiB",
        lines: &[("JSON", key::MEMORY), ("protobuf", key::MEMORY), ("Socket.IO", key::MEMORY)],
        points: connections,
    },
];

impl Curve {
    /// Which of the lines a measurement of this contestant belongs to: of all
    /// figures, or of the one line of its wire.
    pub fn line_is_of(&self, line: usize, contestant: &str) -> bool {
        if self.name != "curve-connections" {
            return true;
        }
        let wires = [Wire::Json, Wire::Protobuf, Wire::SocketIo];
        wires.get(line).is_some_and(|wire| cluster(1, *wire).name() == contestant)
    }
}

fn gateways(_: Scale) -> Vec<Point> {
    let point = |gateways| Point {
        label: format!("{gateways}"),
        contestant: cluster(gateways, Wire::Json),
        load: STEADY,
        quiet_rooms: 0,
    };
    [1, 2, 4, 8].map(point).to_vec()
}

fn rooms(scale: Scale) -> Vec<Point> {
    let point = |rooms: usize| Point {
        label: with_commas(&rooms.to_string()),
        contestant: CLUSTER,
        load: STEADY,
        quiet_rooms: rooms,
    };
    let most = scale.count(100_000, 10);
    [10, 100, 1000, 10_000, 100_000].into_iter().filter(|rooms| *rooms <= most).map(point).collect()
}

fn members(scale: Scale) -> Vec<Point> {
    let all = scale.count(SPREAD, 100);
    let point = |members: usize| {
        let rate = (SPREAD / members) as u64;
        let load = Load::Rooms { rooms: SPREAD / members, members, senders: 1, rate };
        // At a smaller scale there are fewer rooms, not smaller ones.
        Point { label: with_commas(&members.to_string()), contestant: CLUSTER, load, quiet_rooms: 0 }
    };
    [2, 10, 100, 1000, 10_000].into_iter().filter(|members| *members <= all).map(point).collect()
}

fn connections(_: Scale) -> Vec<Point> {
    let mut points = Vec::new();
    for connections in [5000, 10_000, 20_000] {
        for wire in [Wire::Json, Wire::Protobuf, Wire::SocketIo] {
            points.push(Point {
                label: with_commas(&connections.to_string()),
                contestant: cluster(1, wire),
                load: Load::Connect { connections },
                quiet_rooms: 0,
            });
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_rooms_are_fewer_rooms_of_the_same_people() {
        for point in members(Scale::FULL) {
            assert_eq!(point.load.connections(Scale::FULL), SPREAD, "{}", point.label);
            let Load::Rooms { members, rate, .. } = point.load else { panic!("rooms are asked for") };
            assert_eq!(rate * members as u64, SPREAD as u64, "deliveries a second");
        }
        assert_eq!(members(Scale::FULL).last().map(|point| &*point.label), Some("10,000"));
    }

    #[test]
    fn each_wire_has_a_line_and_every_figure_has_one_elsewhere() {
        let memory = &CURVES[3];
        let lines: Vec<_> = (0..3).map(|line| memory.line_is_of(line, "cluster-1-protobuf")).collect();
        assert_eq!(lines, [false, true, false]);
        assert!(CURVES[0].line_is_of(0, "cluster-8") && CURVES[0].line_is_of(1, "cluster-8"));
    }

    #[test]
    fn what_is_quick_stays_small() {
        for curve in &CURVES {
            let points = (curve.points)(Scale::QUICK);
            assert!(points.len() >= 2, "{}", curve.name);
            for point in points {
                assert!(
                    point.load.connections(Scale::QUICK) <= 1000 && point.quiet_rooms <= 4000,
                    "{point:?}"
                );
            }
        }
    }
}
