//! What a device hears, and what it makes of it.

use std::time::Duration;

use anyhow::bail;

use super::super::ledger::{Version, View};
use super::super::talk::{Asked, Task};
use super::super::verify;
use super::{Device, End};
use crate::clock;
use crate::scenario::chance::pause;
use crate::wire::line::{Change, Done, Heard, Joined, Mouth, Refusal};

impl Device {
    /// Takes the next thing heard; says so if that was the last one.
    pub(super) async fn hear(&mut self, heard: Heard, mouth: &mut Mouth) -> anyhow::Result<Option<End>> {
        match heard {
            Heard::Change(change) => self.hear_change(change)?,
            Heard::Joined(number, joined) => self.hear_joined(number, joined, mouth).await?,
            Heard::Answer(number, result) => self.hear_answer(number, result)?,
            Heard::Typing => self.world.board.borrow_mut().actions.typing_heard += 1,
            Heard::Refused(why) => self.world.violation(format!("refused: {why}")),
            Heard::Ping(ping) => mouth.pong(ping).await?,
            Heard::Closed(code, reason) => {
                // It may be gone already.
                let _ = mouth.close().await;
                // A server that goes away says when to come back.
                let after = reason.strip_prefix("drain ").and_then(|millis| millis.parse().ok());
                let why = if after.is_some() { "drain".to_owned() } else { reason };
                return Ok(Some(End::Lost(format!("{code} {why}"), after.map(Duration::from_millis))));
            }
            Heard::Other => {}
        }
        Ok(None)
    }

    fn hear_change(&mut self, change: Change) -> anyhow::Result<()> {
        let Change { room, seq, position, text } = change;
        let Some(&room) = self.world.by_id.get(&room) else { bail!("a change of the room {room}") };
        let Some(place) = self.place(room) else { bail!("a change of room {room}, which is not its own") };
        self.world.records[self.number].borrow_mut().views[place].position = position;
        self.take(place, seq, &text);
        self.look_whether_caught_up();
        Ok(())
    }

    /// Takes a change, live or missed.
    fn take(&mut self, place: usize, seq: u64, text: &str) {
        let room = self.world.rooms_of(self.number)[place];
        let heard = self.world.records[self.number].borrow_mut().views[place].hear(seq);
        let mut board = self.world.board.borrow_mut();
        board.violations.wrong.out_of_order += u64::from(heard.is_err());
        let heard = heard.and_then(|()| board.hear(room, seq, text, self.due.is_none()));
        if let Err(why) = heard {
            board.violations.push(format!("room {room}, device {}: {why}", self.number));
        }
    }

    async fn hear_joined(&mut self, number: u64, joined: Joined, mouth: &mut Mouth) -> anyhow::Result<()> {
        let Some((_, Asked::Join(place))) = self.asked.remove(&number) else {
            bail!("joined, which was not asked for")
        };
        let Joined { to, cursor, changes, more, reset } = joined;
        if reset {
            let mut board = self.world.board.borrow_mut();
            board.connections.resets += 1;
            if !self.world.tolerant {
                let why = format!("device {}: the server does not know its cursor", self.number);
                board.violations.push(why);
            }
        } else {
            for (seq, text) in &changes {
                self.take(place, *seq, text);
            }
        }
        {
            let view = &mut self.world.records[self.number].borrow_mut().views[place];
            view.position = cursor;
            if reset {
                view.is_reset = true;
                view.last = to;
            }
            view.reach(to);
        }
        if more {
            return self.join(place, mouth).await;
        }
        self.joining -= 1;
        self.look_whether_caught_up();
        Ok(())
    }

    /// Notes when it has heard everything that it missed.
    pub(super) fn look_whether_caught_up(&mut self) {
        let Some(due) = self.due.as_ref().filter(|_| self.joining == 0) else { return };
        let mut record = self.world.records[self.number].borrow_mut();
        let has = |(view, due): (&View, &u64)| view.is_reset || view.last >= *due;
        if !record.views.iter().zip(due).all(has) {
            return;
        }
        record.is_here = true;
        self.due = None;
        if let Some(from) = self.back_from {
            let mut board = self.world.board.borrow_mut();
            board.connections.resumed += 1;
            board.caught_up.record(clock::now().saturating_sub(from));
        }
    }

    fn hear_answer(&mut self, number: u64, result: Result<Done, Refusal>) -> anyhow::Result<()> {
        let Some((_, asked)) = self.asked.remove(&number) else {
            bail!("an answer to {number}, which was not asked")
        };
        let world = self.world.clone();
        match (asked, result) {
            (Asked::Task(task), Ok(done)) => self.done(task, done),
            (Asked::Task(task), Err(refusal)) => self.refused(task, &refusal),
            (Asked::Join(_), result) => {
                // Without the room there is nothing to do here.
                bail!("a room could not be joined: {result:?}")
            }
            (Asked::History { room, at }, Ok(done)) => {
                let mut board = world.board.borrow_mut();
                board.page(at);
                if let Err(why) = verify::page(room, &done.page, &board.ledgers[room]) {
                    board.violations.push(why);
                }
            }
            (asked, Ok(_)) => world.board.borrow_mut().actions.count(&asked),
            (asked, Err(refusal)) => {
                let mut board = world.board.borrow_mut();
                board.actions.later += u64::from(refusal.retryable);
                if !refusal.retryable {
                    board.violations.push(format!("{asked:?} was refused: {}", refusal.why));
                }
            }
        }
        Ok(())
    }

    fn done(&mut self, task: Task, done: Done) {
        let version = task.text(self.number as u32).version;
        if let Some(seq) = done.seq
            && let Err(why) = self.check_answer(&task, seq, version)
        {
            self.world.violation(format!("room {}, device {}: {why}", task.room(), self.number));
        }
        let mut record = self.world.records[self.number].borrow_mut();
        let mut board = self.world.board.borrow_mut();
        match &task {
            Task::Send { number, at, .. } => {
                record.open.remove(number);
                board.answer(*at);
            }
            Task::Edit { .. } => {
                record.open_edits -= 1;
                board.actions.edited += 1;
            }
        }
        self.own.keep(task, done.message, clock::now());
    }

    /// What an answer says of a seq agrees with what was heard; and sends of one
    /// connection keep their order.
    fn check_answer(&mut self, task: &Task, seq: u64, version: Version) -> Result<(), String> {
        let room = task.room();
        self.world.board.borrow_mut().ledgers[room].note(seq, version)?;
        let Task::Send { number, is_again: false, .. } = *task else { return Ok(()) };
        let (last, last_seq) = *self.in_order.entry(room).or_insert((number, seq));
        if (number > last) != (seq > last_seq) && number != last {
            return Err(format!(
                "number {number} is at {seq}, and {last} of the same connection at {last_seq}"
            ));
        }
        if number > last {
            self.in_order.insert(room, (number, seq));
        }
        Ok(())
    }

    fn refused(&mut self, task: Task, refusal: &Refusal) {
        let mut board = self.world.board.borrow_mut();
        board.live.failed();
        // A server that has too much to do says so: a delay, and no loss.
        if refusal.retryable {
            board.actions.later += 1;
            board.actions.said_again += 1;
            let pause = refusal.after.max(pause(0, self.next));
            return self.later.push((clock::now() + pause.as_micros() as u64, task.again()));
        }
        board.violations.push(format!("{task:?} was refused: {}", refusal.why));
        let mut record = self.world.records[self.number].borrow_mut();
        match task {
            Task::Send { number, .. } => {
                record.open.remove(&number);
                record.refused.insert(number);
            }
            Task::Edit { .. } => record.open_edits -= 1,
        }
    }
}
