//! What each worker of a run is given of its load. Together they are asked for
//! what one process would be.

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::{Scenario, Settings};
use crate::plan::{Plan, Scenario as Planned, Slice};
use crate::stage::Stage;

/// One worker's share of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Share {
    settings: Settings,
    /// Of rooms that all workers share.
    slice: Option<Slice>,
}

impl Share {
    /// What one worker is to run.
    pub fn plan(&self, secret: String, stage: Stage) -> anyhow::Result<Plan> {
        let mut plan = self.settings.plan(secret, stage)?;
        if let Planned::Talk(talk) = &mut plan.scenario {
            talk.slice = self.slice.clone();
        }
        Ok(plan)
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl Settings {
    /// The share of each of so many workers; of filled settings, for a run of
    /// this name. A room and all its members belong to one worker, so that what
    /// is sent in it is timed by one clock and checked in one place; the rooms
    /// of `fanout` are shared by all workers if they are fewer than these.
    pub fn shares(&self, workers: usize, run: &str) -> anyhow::Result<Vec<Share>> {
        (0..workers).map(|worker| self.share(worker, workers, run)).collect()
    }

    fn share(&self, worker: usize, workers: usize, run: &str) -> anyhow::Result<Share> {
        let mut share = Self {
            secret: None,
            // These are of the coordinator's machine.
            secret_file: None,
            json: None,
            workers: None,
            // Looked at once, by the first.
            pids: if worker == 0 { self.pids.clone() } else { Vec::new() },
            metrics: if worker == 0 { self.metrics.clone() } else { Vec::new() },
            faults: if worker == 0 { self.faults.clone() } else { Vec::new() },
            at_once: self.at_once.map(|all| part(all, worker, workers).max(1)),
            ..self.clone()
        };
        if let Some(all) = self.connect_rate {
            ensure!(all >= workers as u64, "--connect-rate {all} is too little for {workers} workers");
            share.connect_rate = Some(part(all as usize, worker, workers) as u64);
        }
        let count = |value: Option<usize>| value.unwrap_or_default();
        let enough = |rooms: usize, of: &str| {
            ensure!(
                rooms >= workers,
                "{of}: each room belongs to one worker, and {rooms} are too few for {workers} workers"
            );
            Ok(())
        };
        match self.scenario.unwrap_or(Scenario::Pairs) {
            Scenario::Pairs => {
                let pairs = count(self.pairs);
                enough(pairs, &format!("--pairs {pairs}"))?;
                share.pairs = Some(part(pairs, worker, workers));
                share.rate = self.rate_of(part_range(pairs, worker, workers), pairs)?;
            }
            Scenario::Fanout if count(self.rooms) < workers => {
                let (rooms, members) = (count(self.rooms), count(self.members));
                ensure!(rooms > 0, "--rooms 0: there is nothing to do");
                ensure!(
                    members >= workers,
                    "--members {members}: each worker has some of every room's members, and they are too \
                     few for {workers} workers"
                );
                // Everything else is as it is for all: senders take their turns.
                let slice = Slice { worker, workers, run: run.to_owned() };
                return Ok(Share { settings: share, slice: Some(slice) });
            }
            Scenario::Fanout => {
                let rooms = count(self.rooms);
                share.rooms = Some(part(rooms, worker, workers));
                share.rate = self.rate_of(part_range(rooms, worker, workers), rooms)?;
            }
            Scenario::Chat | Scenario::MixedFaults => {
                let (users, rooms) = (count(self.users), count(self.rooms));
                enough(rooms, &format!("--rooms {rooms}"))?;
                ensure!(users >= 2 * workers, "--users {users} are too few for {workers} workers");
                share.rooms = Some(part(rooms, worker, workers));
                share.users = Some(part(users, worker, workers));
                share.rate = self.rate_of(part_range(rooms, worker, workers), rooms)?;
                // Of other people, who do other things.
                share.seed = self.seed.map(|seed| seed.wrapping_add(worker as u64));
            }
            Scenario::Connect | Scenario::Storm => {
                let (connections, members) = (count(self.connections), count(self.members).max(1));
                let rooms = connections.div_ceil(members);
                enough(rooms, &format!("--connections {connections} --members {members}"))?;
                let own = part_range(rooms, worker, workers);
                // The last room of all has what is left.
                share.connections =
                    Some((own.end * members).min(connections) - (own.start * members).min(connections));
            }
        }
        share.user_prefix = self.user_prefix.as_ref().map(|prefix| format!("{prefix}-w{worker}"));
        Ok(Share { settings: share, slice: None })
    }

    /// The rate of those who talk in these of so many rooms.
    fn rate_of(&self, own: std::ops::Range<usize>, rooms: usize) -> anyhow::Result<Option<u64>> {
        let all = self.rate.unwrap_or_default();
        let until = |room: usize| (u128::from(all) * room as u128 / rooms as u128) as u64;
        let rate = until(own.end) - until(own.start);
        // Nothing would be as fast as answered.
        ensure!(rate > 0 || all == 0, "--rate {all} is too little for so many workers");
        Ok(Some(rate))
    }
}

/// Which of so many things are one worker's.
fn part_range(all: usize, worker: usize, workers: usize) -> std::ops::Range<usize> {
    let begin = |worker: usize| (all as u128 * worker as u128 / workers as u128) as usize;
    begin(worker)..begin(worker + 1)
}

/// How many of so many things are one worker's.
fn part(all: usize, worker: usize, workers: usize) -> usize {
    part_range(all, worker, workers).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        toml::from_str::<Settings>(text).unwrap().fill()
    }

    fn shares(text: &str, workers: usize) -> Vec<Share> {
        settings(text).shares(workers, "run").unwrap()
    }

    fn refusal(text: &str, workers: usize) -> String {
        settings(text).shares(workers, "run").unwrap_err().to_string()
    }

    fn each<T>(shares: &[Share], of: impl Fn(&Settings) -> Option<T>) -> Vec<T> {
        shares.iter().map(|share| of(&share.settings).unwrap()).collect()
    }

    #[test]
    fn pairs_and_their_rate_are_spread_and_nothing_is_lost() {
        for (pairs, rate, workers) in [(500, 1000, 4), (7, 100, 3), (3, 1000, 3), (1000, 999, 7)] {
            let shares = shares(&format!("pairs = {pairs}\nrate = {rate}"), workers);
            let own = each(&shares, |share| share.pairs);
            assert_eq!(own.iter().sum::<usize>(), pairs);
            assert!(own.iter().max().unwrap() - own.iter().min().unwrap() <= 1, "{own:?}");
            let rates = each(&shares, |share| share.rate);
            assert_eq!(rates.iter().sum::<u64>(), rate);
            for (pairs_of_one, rate_of_one) in own.iter().zip(rates) {
                let fair = rate as f64 * *pairs_of_one as f64 / pairs as f64;
                assert!((rate_of_one as f64 - fair).abs() < 1.0, "{rate_of_one} instead of {fair}");
            }
        }
    }

    #[test]
    fn users_of_workers_have_names_of_their_own() {
        let prefixes = each(&shares("user-prefix = \"x\"", 3), |share| share.user_prefix.clone());
        assert_eq!(prefixes, ["x-w0", "x-w1", "x-w2"]);
    }

    #[test]
    fn rooms_belong_to_one_worker_while_there_are_enough() {
        let shares = shares("scenario = \"fanout\"\nrooms = 10\nmembers = 50\nsenders = 2\nrate = 100", 4);
        assert_eq!(each(&shares, |share| share.rooms), [2, 3, 2, 3]);
        assert_eq!(each(&shares, |share| share.rate), [20, 30, 20, 30]);
        assert_eq!(each(&shares, |share| share.members), [50; 4]);
        assert!(shares.iter().all(|share| share.slice.is_none()));
    }

    #[test]
    fn one_big_room_is_shared_by_all() {
        let shares = shares("scenario = \"fanout\"\nrooms = 1\nmembers = 1000\nsenders = 4\nrate = 100", 4);
        let slices: Vec<_> = shares.iter().map(|share| share.slice.clone().unwrap()).collect();
        assert_eq!(slices.iter().map(|slice| slice.worker).collect::<Vec<_>>(), [0, 1, 2, 3]);
        // Of all senders, as each knows which turns are its own.
        assert_eq!(each(&shares, |share| share.rate), [100; 4]);
        // The same users for all.
        assert_eq!(each(&shares, |share| share.user_prefix.clone()), ["load"; 4]);
        let few = refusal("scenario = \"fanout\"\nrooms = 1\nmembers = 3", 4);
        assert!(few.contains("--members 3"), "{few}");
    }

    #[test]
    fn connections_are_spread_by_whole_rooms() {
        let shares = shares("scenario = \"connect\"\nconnections = 1050\nmembers = 100", 3);
        assert_eq!(each(&shares, |share| share.connections), [300, 400, 350]);
        let few = refusal("scenario = \"storm\"\nconnections = 150\nmembers = 100", 3);
        assert!(few.contains("2 are too few for 3 workers"), "{few}");
    }

    #[test]
    fn people_and_their_rooms_are_spread_and_servers_fail_once() {
        let text = "scenario = \"mixed-faults\"\nusers = 31\nrooms = 7\nrate = 70\nseed = 5\n\
                    [[fault]]\nat = \"1s\"\nrun = \"true\"";
        let shares = shares(text, 3);
        assert_eq!(each(&shares, |share| share.users), [10, 10, 11]);
        assert_eq!(each(&shares, |share| share.rooms), [2, 2, 3]);
        assert_eq!(each(&shares, |share| share.rate), [20, 20, 30]);
        assert_eq!(each(&shares, |share| share.seed), [5, 6, 7]);
        assert_eq!(each(&shares, |share| Some(share.faults.len())), [1, 0, 0]);
        let few = refusal("scenario = \"chat\"\nusers = 3", 2);
        assert!(few.contains("--users 3"), "{few}");
    }

    #[test]
    fn what_cannot_be_spread_is_refused() {
        for (text, named) in
            [("pairs = 1", "--pairs 1"), ("rate = 1", "--rate 1"), ("connect-rate = 1", "--connect-rate 1")]
        {
            assert!(refusal(text, 2).contains(named), "{text}");
        }
    }

    #[test]
    fn servers_are_looked_at_once_and_no_secret_leaves() {
        let mut settings = settings("pid = [7]\nmetrics = [\"http://m\"]\nsecret-file = \"s\"\njson = \"j\"");
        settings.secret = Some("quite a secret".to_owned());
        let shares = settings.shares(2, "run").unwrap();
        assert_eq!((&shares[0].settings.pids, shares[0].settings.metrics.len()), (&vec![7], 1));
        assert!(shares[1].settings.pids.is_empty() && shares[1].settings.metrics.is_empty());
        let sent = serde_json::to_string(&shares).unwrap();
        assert!(!sent.contains("secret") && !sent.contains("\"json\":"), "{sent}");
        let arrived: Vec<Share> = serde_json::from_str(&sent).unwrap();
        assert_eq!(serde_json::to_string(&arrived).unwrap(), sent);
    }
}
