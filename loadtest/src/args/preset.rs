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
            Scenario::Chat | Scenario::MixedFaults => self.fill_chat(),
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

    fn fill_chat(&mut self) {
        self.users.get_or_insert(200);
        self.devices.get_or_insert(3);
        self.rooms.get_or_insert(40);
        self.rooms_per_user.get_or_insert(5);
        self.zipf.get_or_insert(1.0);
        self.seed.get_or_insert(1);
        self.rate.get_or_insert(50);
        self.typing.get_or_insert(0.3);
        self.reads.get_or_insert(0.5);
        self.presence.get_or_insert(0.1);
        self.history.get_or_insert(0.05);
        self.edits.get_or_insert(0.05);
        self.life.get_or_insert(seconds(60));
        self.away.get_or_insert(Time(Duration::from_secs(2)));
        self.ramp.get_or_insert(seconds(0));
        self.drain.get_or_insert(seconds(30));
    }
}
