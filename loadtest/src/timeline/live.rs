//! What happens now: a scenario counts here, and says where it stands. One
//! thread, so counting is an addition.

use std::cell::{Cell, RefCell};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::buckets::Counting;
use super::{Begin, Console, Mark, Node, Phase, Sample, Second, Timeline};

/// Counts what happens.
pub struct Live {
    /// Since the last second was written down, as are the others.
    answered: Cell<u64>,
    delivered: Cell<u64>,
    reconnects: Cell<u64>,
    failures: Cell<u64>,
    /// Now.
    connections: Cell<u64>,
    /// Answered and delivered before that.
    before: Cell<(u64, u64)>,
    answers: RefCell<Counting>,
    deliveries: RefCell<Counting>,
    joins: RefCell<Counting>,
    /// The phase, when it began, and how long it will take, where that is known.
    phase: Cell<(Phase, f64, Option<Duration>)>,
    timeline: RefCell<Timeline>,
    console: RefCell<Console>,
}

/// Unix time in seconds.
pub fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn add(count: &Cell<u64>) {
    count.set(count.get() + 1);
}

impl Live {
    /// Of a run that begins now.
    pub fn new() -> Self {
        let counting = || RefCell::new(Counting::new());
        let at = unix_now();
        let phases = vec![Begin { at, phase: Phase::Preparing }];
        Self {
            answered: Cell::default(),
            delivered: Cell::default(),
            connections: Cell::default(),
            reconnects: Cell::default(),
            failures: Cell::default(),
            before: Cell::default(),
            answers: counting(),
            deliveries: counting(),
            joins: counting(),
            phase: Cell::new((Phase::Preparing, at, None)),
            timeline: RefCell::new(Timeline { phases, ..Timeline::default() }),
            console: RefCell::new(Console::new()),
        }
    }

    /// A message was answered, so long after it was meant to leave.
    pub fn answered(&self, micros: u64) {
        add(&self.answered);
        self.answers.borrow_mut().record(micros);
    }

    /// A member heard a message, so long after it was meant to leave, if that
    /// can be told.
    pub fn delivered(&self, micros: Option<u64>) {
        add(&self.delivered);
        if let Some(micros) = micros {
            self.deliveries.borrow_mut().record(micros);
        }
    }

    /// A connection is in its room, so long after the attempt began.
    pub fn connected(&self, micros: u64) {
        add(&self.connections);
        self.joins.borrow_mut().record(micros);
    }

    /// A connection is back in its room, so long after the attempt began.
    pub fn returned(&self, micros: u64) {
        add(&self.reconnects);
        self.connected(micros);
    }

    /// A connection that was in its room is lost.
    pub fn lost(&self) {
        self.connections.set(self.connections.get().saturating_sub(1));
    }

    /// A send was refused, or an attempt to connect failed.
    pub fn failed(&self) {
        add(&self.failures);
    }

    /// A phase begins, and takes so long, where that is known.
    pub fn begin(&self, phase: Phase, length: Option<Duration>) {
        let at = unix_now();
        self.phase.set((phase, at, length));
        self.timeline.borrow_mut().phases.push(Begin { at, phase });
    }

    /// Something happened that is worth a mark.
    pub fn mark(&self, name: impl Into<String>) {
        self.timeline.borrow_mut().marks.push(Mark { at: unix_now(), name: name.into() });
    }

    /// Where it stands, for how long it has, and how long it takes in all.
    pub fn phase(&self) -> (Phase, Duration, Option<Duration>) {
        let (phase, began, length) = self.phase.get();
        (phase, Duration::from_secs_f64((unix_now() - began).max(0.0)), length)
    }

    /// What shows it.
    pub fn console(&self) -> std::cell::RefMut<'_, Console> {
        self.console.borrow_mut()
    }

    /// Messages answered, and heard, so far.
    pub fn totals(&self) -> (u64, u64) {
        let (answered, delivered) = self.before.get();
        (answered + self.answered.get(), delivered + self.delivered.get())
    }

    /// Writes down what happened since the last time, as the second `at`.
    pub fn cut(&self, at: u64) -> Second {
        self.before.set(self.totals());
        let second = Second {
            at,
            answered: self.answered.take(),
            delivered: self.delivered.take(),
            connections: self.connections.get(),
            reconnects: self.reconnects.take(),
            failures: self.failures.take(),
            answer_us: self.answers.borrow_mut().take(),
            delivery_us: self.deliveries.borrow_mut().take(),
            join_us: self.joins.borrow_mut().take(),
        };
        let seconds = &mut self.timeline.borrow_mut().seconds;
        match seconds.last_mut().filter(|last| last.at >= at) {
            // The machine's clock was set back, or the run ends in this second.
            Some(last) => last.append(&second),
            None => seconds.push(second.clone()),
        }
        second
    }

    /// Writes down what a process used.
    pub fn sample(&self, name: &str, version: Option<String>, sample: Sample) {
        let nodes = &mut self.timeline.borrow_mut().nodes;
        let place = nodes.iter().position(|node| node.name == name).unwrap_or_else(|| {
            nodes.push(Node { name: name.to_owned(), ..Node::default() });
            nodes.len() - 1
        });
        nodes[place].version = version.or(nodes[place].version.take());
        nodes[place].samples.push(sample);
    }

    /// Everything so far.
    pub fn timeline(&self) -> Timeline {
        self.timeline.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_what_happened_in_it() {
        let live = Live::new();
        live.connected(900);
        live.answered(100);
        live.delivered(Some(5000));
        let first = live.cut(7);
        assert_eq!((first.answered, first.delivered, first.connections), (1, 1, 1));
        assert_eq!(first.delivery_us.millis_at(1.0).map(f64::floor), Some(5.0));
        live.lost();
        live.returned(900);
        live.failed();
        live.answered(100);
        live.cut(8);
        live.answered(100);
        live.cut(8);
        assert_eq!(live.totals(), (3, 1));
        let timeline = live.timeline();
        assert_eq!(timeline.seconds.len(), 2, "one that is cut twice stays one");
        let second = &timeline.seconds[1];
        assert_eq!((second.answered, second.delivered, second.reconnects, second.failures), (2, 0, 1, 1));
        assert_eq!(second.answer_us.to_string(), "101:2");
    }

    #[test]
    fn samples_are_kept_by_process() {
        let live = Live::new();
        let at = |at| Sample { at, ..Sample::default() };
        live.sample("a", None, at(1.0));
        live.sample("b", Some("1.2".to_owned()), at(1.0));
        live.sample("b", None, at(2.0));
        let nodes = live.timeline().nodes;
        assert_eq!((nodes.len(), nodes[1].samples.len()), (2, 2));
        assert_eq!(nodes[1].version.as_deref(), Some("1.2"));
    }
}
