//! What one process has counted of chat.

use serde::{Deserialize, Serialize};

use super::Micros;
use crate::report::{self, Actions, Connections, Injected, Memory};

/// People did all that people do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Chat {
    /// Servers might fail meanwhile.
    pub is_tolerant: bool,
    /// Users.
    pub users: usize,
    /// Devices of all of them.
    pub devices: usize,
    /// Rooms.
    pub rooms: usize,
    /// Members of the largest one.
    pub largest_room: usize,
    /// Asked for messages per second.
    pub rate: u64,
    /// The seed that made them; of the first process, whose the others follow from.
    pub seed: u64,
    /// Messages answered, the warm-up included.
    pub answered: u64,
    /// Changes heard by devices, live or on coming back.
    pub delivered: u64,
    /// How long was measured.
    pub micros: u64,
    /// Messages answered meanwhile.
    pub answered_in_time: u64,
    /// Changes heard live meanwhile.
    pub delivered_in_time: u64,
    /// From the intended send to the answer.
    pub answers: Micros,
    /// From the intended send or edit to each device's hearing it live.
    pub deliveries: Micros,
    /// From the intended request to a page of history.
    pub pages: Micros,
    /// From the first attempt to come back to having heard what was missed.
    pub caught_up: Micros,
    /// What was done.
    pub actions: Actions,
    /// How connections ended and came back.
    pub connections: Connections,
    /// Memory over the time of measuring; one process of the run looks.
    pub memory: Vec<Memory>,
    /// Commands that were run meanwhile.
    pub faults: Vec<Injected>,
}

impl Chat {
    pub(super) fn merge(mut self, other: Self) -> Self {
        self.faults.extend(other.faults);
        Self {
            is_tolerant: self.is_tolerant,
            users: self.users + other.users,
            devices: self.devices + other.devices,
            rooms: self.rooms + other.rooms,
            largest_room: self.largest_room.max(other.largest_room),
            rate: self.rate + other.rate,
            seed: self.seed,
            answered: self.answered + other.answered,
            delivered: self.delivered + other.delivered,
            micros: self.micros.max(other.micros),
            answered_in_time: self.answered_in_time + other.answered_in_time,
            delivered_in_time: self.delivered_in_time + other.delivered_in_time,
            answers: self.answers.merge(&other.answers),
            deliveries: self.deliveries.merge(&other.deliveries),
            pages: self.pages.merge(&other.pages),
            caught_up: self.caught_up.merge(&other.caught_up),
            actions: self.actions.merge(&other.actions),
            connections: self.connections.merge(other.connections),
            memory: self.memory,
            faults: self.faults,
        }
    }
}

impl From<Chat> for report::Chat {
    fn from(chat: Chat) -> Self {
        // Less than was asked for if the run was ended before time.
        let seconds = chat.micros.max(1) as f64 / 1e6;
        Self {
            is_tolerant: chat.is_tolerant,
            users: chat.users,
            devices: chat.devices,
            rooms: chat.rooms,
            largest_room: chat.largest_room,
            rate: chat.rate,
            seed: chat.seed,
            answered: chat.answered,
            delivered: chat.delivered,
            answered_per_second: chat.answered_in_time as f64 / seconds,
            delivered_per_second: chat.delivered_in_time as f64 / seconds,
            answer_ms: (&chat.answers.0).into(),
            delivery_ms: (&chat.deliveries.0).into(),
            history_ms: (&chat.pages.0).into(),
            caught_up_ms: (&chat.caught_up.0).into(),
            actions: chat.actions,
            connections: chat.connections,
            memory: chat.memory,
            faults: chat.faults,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn people_of_several_processes_are_one_run() {
        let chat = |seed, servers: Option<u64>| {
            let mut answers = Micros::default();
            answers.record(1000 * seed);
            Chat {
                is_tolerant: true,
                users: 10,
                devices: 20,
                rooms: 3,
                largest_room: seed as usize,
                rate: 25,
                seed,
                answered: 1,
                delivered: 20,
                micros: 1_000_000,
                answered_in_time: 1,
                delivered_in_time: 20,
                answers,
                deliveries: Micros::default(),
                pages: Micros::default(),
                caught_up: Micros::default(),
                actions: Actions { edited: 2, said_again: 1, ..Actions::default() },
                connections: Connections {
                    lost: 3,
                    closes: BTreeMap::from([("reset".to_owned(), 3)]),
                    ..Connections::default()
                },
                memory: vec![Memory { second: 1.0, servers, generator: Some(9) }],
                faults: Vec::new(),
            }
        };
        let merged: report::Chat = chat(1, Some(7)).merge(chat(2, None)).into();
        assert_eq!((merged.users, merged.rooms, merged.rate, merged.seed), (20, 6, 50, 1));
        assert_eq!((merged.largest_room, merged.answered_per_second), (2, 2.0));
        assert!((merged.answer_ms.max - 2.0).abs() < 0.01);
        assert_eq!((merged.actions.edited, merged.actions.said_again), (4, 2));
        assert_eq!((merged.connections.lost, merged.connections.closes["reset"]), (6, 6));
        assert_eq!((merged.memory.len(), merged.memory[0].servers), (1, Some(7)));
    }
}
