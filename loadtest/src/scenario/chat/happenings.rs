//! What happens next: a pure choice that a seed decides. Messages come at their
//! rate, whatever becomes of them, and everything else comes around them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::population::Population;
use crate::plan::{self, Mix};
use crate::scenario::chance::Chances;
use crate::scenario::pace::due;

/// A typing sign comes before its message by so much, at least and at most.
const TYPING_BEFORE: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(1800));
/// Whatever follows a message does so by then.
const FOLLOWS: Duration = Duration::from_secs(2);

/// What a device does, and in which room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// Sends a message.
    Send(usize),
    /// Edits one of its own messages, wherever it was.
    Edit,
    /// Shows that it types.
    Typing(usize),
    /// Has read everything.
    Read(usize),
    /// Asks who is online.
    Online(usize),
    /// Shows another status.
    Status,
    /// Reads a page of history; the number says how far back.
    History(usize, u32),
}

impl Deed {
    /// The room that it is about.
    pub fn room(self) -> Option<usize> {
        match self {
            Self::Send(room)
            | Self::Typing(room)
            | Self::Read(room)
            | Self::Online(room)
            | Self::History(room, _) => Some(room),
            Self::Edit | Self::Status => None,
        }
    }
}

/// Something that is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Happening {
    /// Microseconds after the start.
    pub at: u64,
    /// In the order in which it was thought of.
    order: u64,
    /// Who does it.
    pub device: usize,
    /// What it does.
    pub deed: Deed,
}

/// Everything that happens, in order, without an end.
pub struct Happenings<'a> {
    population: &'a Population,
    mix: Mix,
    rate: u64,
    ramp: Duration,
    chances: Chances,
    /// Messages thought of.
    messages: u64,
    /// Things thought of.
    order: u64,
    /// Questions for who is online and changes of status take turns.
    asks: bool,
    soon: BinaryHeap<Reverse<Happening>>,
}

impl<'a> Happenings<'a> {
    /// Of these people.
    pub fn new(chat: &plan::Chat, population: &'a Population, ramp: Duration) -> Self {
        Self {
            population,
            mix: chat.mix,
            rate: chat.rate,
            ramp,
            chances: Chances::new(chat.seed, 1),
            messages: 0,
            order: 0,
            asks: false,
            soon: BinaryHeap::new(),
        }
    }

    fn next_message(&self) -> u64 {
        due(self.messages, self.rate, self.ramp)
    }

    /// Thinks of the next message and of what goes with it.
    fn think(&mut self) {
        let at = self.next_message();
        self.messages += 1;
        let room = self.population.room(&mut self.chances);
        let sender = self.population.device(room, &mut self.chances);
        self.push(at, sender, Deed::Send(room));
        for _ in 0..self.chances.times(self.mix.typing) {
            let (least, most) = TYPING_BEFORE;
            let before = least + (most - least).mul_f64(self.chances.unit());
            self.push(at.saturating_sub(before.as_micros() as u64), sender, Deed::Typing(room));
        }
        for _ in 0..self.chances.times(self.mix.edits) {
            let at = self.after(at);
            self.push(at, sender, Deed::Edit);
        }
        for _ in 0..self.chances.times(self.mix.reads) {
            self.by_anybody(at, room, Deed::Read(room));
        }
        for _ in 0..self.chances.times(self.mix.presence) {
            self.asks = !self.asks;
            let deed = if self.asks { Deed::Online(room) } else { Deed::Status };
            self.by_anybody(at, room, deed);
        }
        for _ in 0..self.chances.times(self.mix.history) {
            let back = self.chances.below(u32::MAX as usize) as u32;
            self.by_anybody(at, room, Deed::History(room, back));
        }
    }

    fn by_anybody(&mut self, after: u64, room: usize, deed: Deed) {
        let device = self.population.device(room, &mut self.chances);
        let at = self.after(after);
        self.push(at, device, deed);
    }

    fn after(&mut self, at: u64) -> u64 {
        at + (FOLLOWS.as_micros() as f64 * self.chances.unit()) as u64
    }

    fn push(&mut self, at: u64, device: usize, deed: Deed) {
        let order = self.order;
        self.order += 1;
        self.soon.push(Reverse(Happening { at, order, device, deed }));
    }
}

impl Iterator for Happenings<'_> {
    type Item = Happening;

    fn next(&mut self) -> Option<Happening> {
        let longest = TYPING_BEFORE.1.as_micros() as u64;
        // What a later message brings with it may come before what is known.
        while self.soon.peek().is_none_or(|first| first.0.at + longest >= self.next_message()) {
            self.think();
        }
        self.soon.pop().map(|first| first.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::chat::tests::chat;

    fn happenings(chat: &plan::Chat, count: usize) -> Vec<Happening> {
        let population = Population::new(chat);
        Happenings::new(chat, &population, Duration::ZERO).take(count).collect()
    }

    #[test]
    fn they_come_in_order_and_are_the_same_again() {
        let (one, again) = (happenings(&chat(), 5000), happenings(&chat(), 5000));
        assert_eq!(one, again);
        assert!(one.is_sorted());
        assert_ne!(one, happenings(&plan::Chat { seed: 9, ..chat() }, 5000));
    }

    #[test]
    fn messages_keep_their_rate_and_the_rest_its_share() {
        let chat = chat();
        let all: Vec<_> = happenings(&chat, 50_000);
        let until = all.last().unwrap().at - 3_000_000;
        let count = |what: fn(&Deed) -> bool| {
            all.iter().filter(|one| one.at < until && what(&one.deed)).count() as f64
        };
        let messages = count(|deed| matches!(deed, Deed::Send(_)));
        let expected = until as f64 / 1e6 * chat.rate as f64;
        assert!((messages - expected).abs() <= 1.0, "{messages} of {expected}");
        let shares = [
            (chat.mix.typing, count(|deed| matches!(deed, Deed::Typing(_)))),
            (chat.mix.reads, count(|deed| matches!(deed, Deed::Read(_)))),
            (chat.mix.presence, count(|deed| matches!(deed, Deed::Online(_) | Deed::Status))),
            (chat.mix.history, count(|deed| matches!(deed, Deed::History(..)))),
            (chat.mix.edits, count(|deed| *deed == Deed::Edit)),
        ];
        for (share, count) in shares {
            let found = count / messages;
            assert!((found - share).abs() < 0.1 * share + 0.005, "{found} of {share}");
        }
    }

    #[test]
    fn only_members_do_something_in_a_room() {
        let chat = chat();
        let population = Population::new(&chat);
        for one in Happenings::new(&chat, &population, Duration::from_secs(5)).take(2000) {
            let user = population.devices[one.device];
            assert!(one.deed.room().is_none_or(|room| population.members[room].contains(&user)), "{one:?}");
        }
    }
}
