//! What a device asks for, and what it remembers of its own messages.

use std::collections::VecDeque;
use std::time::Duration;

use super::ledger::{Said, Version};
use crate::report::Actions;
use crate::scenario::chance::Chances;

/// Own messages that a device remembers, to edit them.
const REMEMBERED: usize = 8;
/// Servers allow edits for longer, whatever becomes of the connection meanwhile.
const EDITABLE: Duration = Duration::from_secs(8 * 60);

/// What has to be done, however often it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Send the message of this number, which was due then.
    Send {
        /// Where to.
        room: usize,
        /// Which one of this device's.
        number: u32,
        /// When it was to leave.
        at: u64,
        /// It was sent before, and perhaps not stored.
        is_again: bool,
    },
    /// Give this message its next version.
    Edit {
        /// Which one.
        message: Own,
        /// When that was to leave.
        at: u64,
    },
}

impl Task {
    /// The room that it is about.
    pub fn room(&self) -> usize {
        match self {
            Self::Send { room, .. } => *room,
            Self::Edit { message, .. } => message.room,
        }
    }

    /// What it makes the message say.
    pub fn text(&self, device: u32) -> Said {
        let (number, version, at) = match self {
            Self::Send { number, at, .. } => (*number, 0, *at),
            Self::Edit { message, at } => (message.number, message.version + 1, *at),
        };
        Said { version: Version { name: (device, number), version }, room: self.room(), at }
    }

    /// The same, once more.
    pub fn again(mut self) -> Self {
        if let Self::Send { is_again, .. } = &mut self {
            *is_again = true;
        }
        self
    }
}

/// What was asked for.
#[derive(Debug)]
pub enum Asked {
    /// To hear the room at this place among the user's.
    Join(usize),
    /// To do this.
    Task(Task),
    /// To show a typing sign.
    Typing,
    /// To move a read mark.
    Read,
    /// Who is online.
    Online,
    /// To show a status.
    Status,
    /// A page of this room, which was due then.
    History {
        /// Which room.
        room: usize,
        /// Since when.
        at: u64,
    },
}

impl Actions {
    /// One more of these was answered.
    pub fn count(&mut self, asked: &Asked) {
        *match asked {
            Asked::Typing => &mut self.typed,
            Asked::Read => &mut self.read,
            Asked::Online => &mut self.asked_online,
            Asked::Status => &mut self.changed_status,
            // These are counted where more is known of them.
            Asked::Join(_) | Asked::Task(_) | Asked::History { .. } => return,
        } += 1;
    }
}

/// A message of one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    room: usize,
    number: u32,
    version: u32,
    /// The server's id.
    pub id: String,
    /// When its sending was answered.
    since: u64,
}

/// One's own messages, the newest ones, but for those that are being edited.
#[derive(Default)]
pub struct Written(VecDeque<Own>);

impl Written {
    /// A task is done: its message has this id.
    pub fn keep(&mut self, task: Task, id: String, now: u64) {
        self.0.push_back(match task {
            Task::Send { room, number, .. } => Own { room, number, version: 0, id, since: now },
            Task::Edit { message, .. } => Own { version: message.version + 1, ..message },
        });
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }

    /// One that may be edited; it comes back with [`Written::keep`].
    pub fn take(&mut self, now: u64, chances: &mut Chances) -> Option<Own> {
        self.0.retain(|own| now < own.since + EDITABLE.as_micros() as u64);
        if self.0.is_empty() {
            return None;
        }
        let one = chances.below(self.0.len());
        self.0.remove(one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_is_the_next_version_of_a_message_that_is_not_too_old() {
        let (mut own, mut chances) = (Written::default(), Chances::new(1, 1));
        assert_eq!(own.take(0, &mut chances), None);
        own.keep(Task::Send { room: 3, number: 5, at: 7, is_again: true }, "m".to_owned(), 10);
        for version in 1..=3 {
            let message = own.take(20, &mut chances).unwrap();
            assert_eq!(own.take(20, &mut chances), None, "one edit at a time");
            let edit = Task::Edit { message, at: 9 };
            let said = edit.text(2);
            assert_eq!((said.version.name, said.version.version, said.room), ((2, 5), version, 3));
            own.keep(edit, "m".to_owned(), 30);
        }
        assert_eq!(own.take(11 + EDITABLE.as_micros() as u64, &mut chances), None);
    }

    #[test]
    fn only_the_newest_are_remembered() {
        let mut own = Written::default();
        for number in 0..100 {
            own.keep(Task::Send { room: 0, number, at: 0, is_again: false }, String::new(), 0);
        }
        assert_eq!((own.0.len(), own.0[0].number), (REMEMBERED, 92));
    }
}
