//! What is to be run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::stage::Stage;
use crate::wire::Wire;

/// What is to be run.
pub struct Plan {
    /// URLs of gateways.
    pub targets: Vec<String>,
    /// Signs the users' tokens.
    pub secret: String,
    /// The tokens' `iss`.
    pub issuer: Option<String>,
    /// The tokens' `aud`.
    pub audience: Option<String>,
    /// What the users' ids begin with.
    pub user_prefix: String,
    /// How clients speak.
    pub wire: Wire,
    /// Who is there and what they do.
    pub scenario: Scenario,
    /// Connections opened at once, at first.
    pub at_once: usize,
    /// Connections opened per second at most, at first.
    pub connect_rate: Option<u64>,
    /// Over which the load rises, before the warm-up.
    pub ramp: Duration,
    /// Before measuring.
    pub warmup: Duration,
    /// Of measuring.
    pub duration: Duration,
    /// For the last deliveries.
    pub drain: Duration,
    /// Processes whose processor time is measured.
    pub pids: Vec<u32>,
    /// URLs of metrics that show memory.
    pub metrics: Vec<String>,
    /// Where the run stands.
    pub stage: Stage,
}

/// Who is there and what they do.
pub enum Scenario {
    /// They talk.
    Talk(Talk),
    /// They connect, and are idle.
    Connect(Crowd),
    /// They connect, lose their connections all at once, and come back.
    Storm(Crowd, Storm),
    /// They do all that people do, while connections, and what is told to, fail.
    Chat(Chat),
}

impl Scenario {
    /// Connections at the same time.
    pub fn connections(&self) -> usize {
        match self {
            Self::Talk(talk) => talk.rooms * talk.own().count(),
            Self::Connect(crowd) | Self::Storm(crowd, _) => crowd.connections,
            Self::Chat(chat) => chat.users * chat.devices,
        }
    }
}

/// Rooms in which some talk and all hear.
#[derive(Clone)]
pub struct Talk {
    /// Direct rooms; else groups.
    pub direct: bool,
    /// How many.
    pub rooms: usize,
    /// Of each room.
    pub members: usize,
    /// Of each room.
    pub senders: usize,
    /// Messages per second in all; 0: as fast as answered.
    pub rate: u64,
    /// Messages that each sender has on the way at once, without a rate.
    pub window: usize,
    /// Which members of each room are this process's; `None`: all of them.
    pub slice: Option<Slice>,
}

impl Talk {
    /// The members of each room that are this process's.
    pub fn own(&self) -> impl Iterator<Item = usize> {
        (0..self.members).filter(|member| self.owns(*member))
    }

    /// Whether this member of each room is this process's.
    pub fn owns(&self, member: usize) -> bool {
        self.slice.as_ref().is_none_or(|slice| member % slice.workers == slice.worker)
    }
}

/// One worker's part of rooms that are too few for each to belong to one
/// worker: every so many-th member, so that the senders, who come first, are
/// spread over all workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Which worker; the first one makes the rooms.
    pub worker: usize,
    /// How many there are.
    pub workers: usize,
    /// In the users' ids, which all workers have to know.
    pub run: String,
}

/// Connections that only hear.
pub struct Crowd {
    /// In all.
    pub connections: usize,
    /// In each room; the last one has what is left.
    pub members: usize,
}

impl Crowd {
    /// How many are in each room.
    pub fn sizes(&self) -> Vec<usize> {
        (0..self.connections)
            .step_by(self.members)
            .map(|start| self.members.min(self.connections - start))
            .collect()
    }
}

/// Users with several devices, in several rooms each, who do all that people do.
pub struct Chat {
    /// In all.
    pub users: usize,
    /// Of a user, at most; each has one at least.
    pub devices: usize,
    /// In all.
    pub rooms: usize,
    /// That each user is in.
    pub rooms_per_user: usize,
    /// Exponent of the Zipf distribution of the rooms' sizes and activity; 0:
    /// all alike.
    pub zipf: f64,
    /// The same seed makes the same rooms, and the same things happen.
    pub seed: u64,
    /// Messages per second in all.
    pub rate: u64,
    /// What else happens.
    pub mix: Mix,
    /// Mean life time of a connection; none: they are not lost.
    pub life: Option<Duration>,
    /// Mean time until a lost connection comes back.
    pub away: Duration,
    /// Servers may fail meanwhile: what that brings is a delay, and no violation.
    pub tolerant: bool,
    /// What is done to the servers meanwhile.
    pub faults: Vec<Fault>,
}

/// How often other things happen, for each message.
#[derive(Clone, Copy)]
pub struct Mix {
    /// Typing signs, each before a message.
    pub typing: f64,
    /// Read marks.
    pub reads: f64,
    /// Questions for who is online, and changes of one's own status, in turn.
    pub presence: f64,
    /// Pages of history.
    pub history: f64,
    /// Edits of one's own messages.
    pub edits: f64,
}

/// A command that is run at a set time.
#[derive(Clone)]
pub struct Fault {
    /// From the beginning of measuring.
    pub at: Duration,
    /// For `sh -c`.
    pub run: String,
    /// What the report calls it.
    pub name: String,
}

/// How connections are lost, and what happens meanwhile.
pub struct Storm {
    /// By the server's end, which somebody else brings about; else by the generator's.
    pub by_server: bool,
    /// Sent to each room while its members are away.
    pub messages: u64,
    /// Clients come back at a random time within this.
    pub spread: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_of_a_room_is_some_workers_and_so_is_every_sender() {
        let talk = |worker| Talk {
            direct: false,
            rooms: 1,
            members: 10,
            senders: 3,
            rate: 0,
            window: 1,
            slice: Some(Slice { worker, workers: 3, run: String::new() }),
        };
        let mut members: Vec<_> = (0..3).flat_map(|worker| talk(worker).own().collect::<Vec<_>>()).collect();
        members.sort_unstable();
        assert_eq!(members, Vec::from_iter(0..10));
        assert!((0..3).all(|worker| talk(worker).own().filter(|member| *member < 3).count() == 1));
        assert_eq!(Talk { slice: None, ..talk(1) }.own().count(), 10);
    }

    #[test]
    fn everybody_is_in_a_room() {
        for (connections, members, sizes) in
            [(5, 2, &[2, 2, 1][..]), (4, 2, &[2, 2]), (1, 100, &[1]), (0, 5, &[])]
        {
            assert_eq!(Crowd { connections, members }.sizes(), sizes);
        }
    }
}
