//! Who there is: users with their devices, and who is in which room.

use crate::plan;
use crate::scenario::chance::Chances;

/// Whoever is alone in a room has nobody to talk to.
const FEWEST_MEMBERS: usize = 2;

/// Users with their devices, and rooms. All of them are numbers.
#[derive(Debug, PartialEq)]
pub struct Population {
    /// The user of each device; a user's devices stand together.
    pub devices: Vec<usize>,
    /// The users of each room; the first one creates it.
    pub members: Vec<Vec<usize>>,
    /// The devices of each room.
    pub heard_by: Vec<Vec<usize>>,
    /// The rooms of each user.
    pub rooms: Vec<Vec<usize>>,
    /// For each room, how much of what happens happens there or in one before.
    activity: Vec<f64>,
}

impl Population {
    /// The same for the same plan.
    pub fn new(chat: &plan::Chat) -> Self {
        let mut chances = Chances::new(chat.seed, 0);
        let weights: Vec<_> = (1..=chat.rooms).map(|rank| (rank as f64).powf(-chat.zipf)).collect();
        let devices = (0..chat.users)
            .flat_map(|user| std::iter::repeat_n(user, 1 + chances.below(chat.devices)))
            .collect::<Vec<_>>();
        let mut members = vec![Vec::new(); chat.rooms];
        for user in 0..chat.users {
            for room in choose(&weights, chat.rooms_per_user, &mut chances) {
                members[room].push(user);
            }
        }
        for room in &mut members {
            while room.len() < FEWEST_MEMBERS.min(chat.users) {
                let user = chances.below(chat.users);
                if !room.contains(&user) {
                    room.push(user);
                }
            }
        }
        let mut rooms = vec![Vec::new(); chat.users];
        for (room, users) in members.iter().enumerate() {
            users.iter().for_each(|user| rooms[*user].push(room));
        }
        let mut heard_by = vec![Vec::new(); chat.rooms];
        for (device, user) in devices.iter().enumerate() {
            rooms[*user].iter().for_each(|room| heard_by[*room].push(device));
        }
        let activity = weights
            .iter()
            .scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        Self { devices, members, heard_by, rooms, activity }
    }

    /// A room, the likelier the more happens in it.
    pub fn room(&self, chances: &mut Chances) -> usize {
        pick(&self.activity, chances)
    }

    /// One of the devices of a room.
    pub fn device(&self, room: usize, chances: &mut Chances) -> usize {
        self.heard_by[room][chances.below(self.heard_by[room].len())]
    }
}

/// So many different ones, the heavier the likelier.
fn choose(weights: &[f64], count: usize, chances: &mut Chances) -> Vec<usize> {
    let mut left = weights.to_vec();
    let mut chosen = Vec::with_capacity(count);
    for _ in 0..count.min(weights.len()) {
        let sums: Vec<_> = left
            .iter()
            .scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        let one = pick(&sums, chances);
        left[one] = 0.0;
        chosen.push(one);
    }
    chosen
}

/// One of the sums' steps, the higher the likelier.
fn pick(sums: &[f64], chances: &mut Chances) -> usize {
    let at = chances.unit() * sums.last().copied().unwrap_or_default();
    sums.partition_point(|sum| *sum <= at).min(sums.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::chat::tests::chat;

    #[test]
    fn everybody_is_in_their_rooms_and_nobody_alone() {
        for zipf in [0.0, 1.0, 3.0] {
            let chat = plan::Chat { zipf, ..chat() };
            let population = Population::new(&chat);
            assert_eq!(population, Population::new(&chat), "the same again");
            for (user, rooms) in population.rooms.iter().enumerate() {
                assert!(rooms.len() >= chat.rooms_per_user, "user {user}: {rooms:?}");
                assert!(rooms.is_sorted_by(|a, b| a < b), "user {user}: {rooms:?}");
                let devices = population.devices.iter().filter(|of| **of == user).count();
                assert!((1..=chat.devices).contains(&devices));
            }
            assert!(population.members.iter().all(|room| room.len() >= 2));
            let places: usize = population.members.iter().map(Vec::len).sum();
            assert_eq!(places, population.rooms.iter().map(Vec::len).sum::<usize>());
        }
    }

    #[test]
    fn with_an_exponent_the_first_rooms_are_larger_and_busier() {
        let population = Population::new(&plan::Chat { zipf: 1.0, ..chat() });
        assert!(population.members[0].len() > 2 * population.members[7].len());
        let mut chances = Chances::new(1, 1);
        let rooms: Vec<_> = (0..10_000).map(|_| population.room(&mut chances)).collect();
        let of = |room| rooms.iter().filter(|other| **other == room).count();
        assert!(of(0) > of(1) && of(1) > of(7) && of(7) > 0, "{} {} {}", of(0), of(1), of(7));
        let flat = Population::new(&plan::Chat { zipf: 0.0, ..chat() });
        let sizes: Vec<_> = flat.members.iter().map(Vec::len).collect();
        assert!(sizes.iter().max() < sizes.iter().min().map(|least| 2 * least).as_ref(), "{sizes:?}");
    }

    #[test]
    fn another_seed_makes_other_rooms() {
        assert_ne!(Population::new(&chat()), Population::new(&plan::Chat { seed: 2, ..chat() }));
    }
}
