//! What each scenario does when nothing else is said.

use std::time::Duration;

use super::{Cut, MillisTime, Scenario, Settings, Speech, Time};

const fn seconds(seconds: u64) -> Time {
    Time(Duration::from_secs(seconds))
}

impl Settings {
    /// Says everything that was not said and that the scenario looks at.
    pub fn fill(mut self) -> Self {
        let scenario = *self.scenario.get_or_insert(Scenario::Pairs);
        self.target.get_or_insert_with(|| vec!["http://127.0.0.1:8080".to_owned()]);
        self.wire.get_or_insert(Speech::Json);
        self.user_prefix.get_or_insert_with(|| "load".to_owned());
        self.at_once.get_or_insert(64);
        self.warmup.get_or_insert(seconds(2));
        self.duration.get_or_insert(seconds(10));
        match scenario {
            Scenario::Connect | Scenario::Storm => {
                self.connections.get_or_insert(1000);
                self.members.get_or_insert(100);
                self.drain.get_or_insert(seconds(120));
            }
            Scenario::Fanout => {
                self.rooms.get_or_insert(10);
                self.members.get_or_insert(100);
                self.senders.get_or_insert(1);
            }
            Scenario::Pairs => {
                self.pairs.get_or_insert(500);
            }
        }
        if scenario == Scenario::Storm {
            self.cut.get_or_insert(Cut::Reset);
            self.away_messages.get_or_insert(3);
            self.spread.get_or_insert(MillisTime::default());
        }
        if matches!(scenario, Scenario::Fanout | Scenario::Pairs) {
            self.rate.get_or_insert(0);
            self.window.get_or_insert(4);
            self.ramp.get_or_insert(seconds(0));
        }
        self.drain.get_or_insert(seconds(15));
        self
    }
}
