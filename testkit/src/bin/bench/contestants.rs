//! Who is measured: what it is called, what it speaks, what is expected of it.

/// A system under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// One Carillon process, SQLite.
    Standalone,
    /// So many gateways and one dispatcher, with PostgreSQL, NATS and Redis.
    Cluster(usize),
    /// One Node.js process with Socket.IO, as its `--mode` says.
    Node(&'static str),
    /// Two of them behind the Redis adapter.
    TwoNodes(&'static str),
    /// A Rust server that does nothing but hand frames on.
    Floor {
        /// One write for each socket and turn of the loop.
        cork: bool,
    },
}

/// What its clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Carillon's own protocol in JSON.
    Json,
    /// The same in protobuf.
    Protobuf,
    /// Socket.IO 5.
    SocketIo,
}

/// A system and what is spoken with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contestant {
    /// The system.
    pub system: System,
    /// What its clients speak.
    pub wire: Wire,
}

const fn spoken(system: System, wire: Wire) -> Contestant {
    Contestant { system, wire }
}

/// Socket.IO that keeps nothing.
pub const SIO: Contestant = spoken(System::Node("sio"), Wire::SocketIo);
/// Socket.IO that asks for membership and stores, before it answers.
pub const SIO_PG: Contestant = spoken(System::Node("sio-pg"), Wire::SocketIo);
/// The same, remembering what it can.
pub const TUNED: Contestant = spoken(System::Node("tuned"), Wire::SocketIo);
/// Two of [`SIO_PG`].
pub const TWO_PG: Contestant = spoken(System::TwoNodes("sio-pg"), Wire::SocketIo);
/// Nothing but handing on.
pub const FLOOR: Contestant = spoken(System::Floor { cork: false }, Wire::Json);
/// The same, gathering writes.
pub const CORK: Contestant = spoken(System::Floor { cork: true }, Wire::Json);
/// Carillon in one process.
pub const STANDALONE: Contestant = spoken(System::Standalone, Wire::Json);
/// The same, spoken with in Socket.IO.
pub const STANDALONE_SIO: Contestant = spoken(System::Standalone, Wire::SocketIo);
/// Carillon as a cluster with one gateway.
pub const CLUSTER: Contestant = cluster(1, Wire::Json);
/// With two.
pub const CLUSTER_2: Contestant = cluster(2, Wire::Json);

/// Carillon as a cluster with so many gateways.
pub const fn cluster(gateways: usize, wire: Wire) -> Contestant {
    spoken(System::Cluster(gateways), wire)
}

/// All that compete.
pub const ALL: [Contestant; 10] =
    [SIO, SIO_PG, TUNED, TWO_PG, FLOOR, CORK, STANDALONE, STANDALONE_SIO, CLUSTER, CLUSTER_2];

impl Wire {
    /// As the generator calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Protobuf => "protobuf",
            Self::SocketIo => "socketio",
        }
    }
}

impl Contestant {
    /// For arguments and results.
    pub fn name(self) -> String {
        let system = match self.system {
            System::Standalone => "standalone".to_owned(),
            System::Cluster(gateways) => format!("cluster-{gateways}"),
            System::Node(mode) => return mode.to_owned(),
            System::TwoNodes(mode) => return format!("x2-{mode}"),
            System::Floor { cork } => return if cork { "cork" } else { "floor" }.to_owned(),
        };
        match self.wire {
            Wire::Json => system,
            wire => format!("{system}-{}", wire.name()),
        }
    }

    /// For tables.
    pub fn title(self) -> String {
        let wire = match self.wire {
            Wire::Json => "",
            Wire::Protobuf => ", protobuf",
            Wire::SocketIo => ", Socket.IO clients",
        };
        match self.system {
            System::Standalone => format!("**Carillon standalone**{wire}"),
            System::Cluster(1) => format!("**Carillon cluster**, 1 gateway{wire}"),
            System::Cluster(gateways) => format!("**Carillon cluster**, {gateways} gateways{wire}"),
            System::Node("sio") => "Socket.IO, nothing stored".to_owned(),
            System::Node("sio-pg") => "Socket.IO + PostgreSQL".to_owned(),
            System::Node(_) => "Socket.IO + PostgreSQL, tuned".to_owned(),
            System::TwoNodes(_) => "two Socket.IO nodes + PostgreSQL".to_owned(),
            System::Floor { cork: false } => "floor".to_owned(),
            System::Floor { cork: true } => "floor, corked".to_owned(),
        }
    }

    /// Whether a lost, doubled or reordered delivery makes its run void, and the
    /// benchmark fail. Of the others it is part of what is measured.
    pub fn must_keep_order(self) -> bool {
        !matches!(self.system, System::Node(_) | System::TwoNodes(_))
    }

    /// Whether it needs PostgreSQL, NATS or Redis.
    pub fn needs_services(self) -> bool {
        match self.system {
            System::Standalone | System::Floor { .. } => false,
            System::Node(mode) => mode != "sio",
            System::Cluster(_) | System::TwoNodes(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_titles_tell_them_apart() {
        let mut all = ALL.to_vec();
        all.extend([cluster(1, Wire::Protobuf), cluster(1, Wire::SocketIo), cluster(8, Wire::Json)]);
        let names: BTreeSet<_> = all.iter().map(|one| one.name()).collect();
        let titles: BTreeSet<_> = all.iter().map(|one| one.title()).collect();
        assert_eq!((names.len(), titles.len()), (all.len(), all.len()));
        assert!(names.contains("x2-sio-pg") && names.contains("standalone-socketio"));
    }
}
