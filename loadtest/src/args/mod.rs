//! The settings of a run, which are flags and the keys of a scenario file alike.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use proto::Encoding;
use serde::{Deserialize, Serialize};

use crate::plan::{self, Plan};
use crate::stage::Stage;
use crate::wire::Wire;

mod fault;
mod preset;
mod share;
mod time;

pub use fault::FaultAt;
pub use share::Share;
pub use time::{MillisTime, Time};

/// Everything that can be said about a run. What is not said is `None` until
/// [`Settings::fill`]; the keys of a scenario file have the flags' names.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Who is there and what they do [default: pairs].
    #[arg(long, value_enum, help_heading = "Scenario")]
    #[serde(skip_serializing_if = "Option::is_none")]
    scenario: Option<Scenario>,
    /// Gateways, separated by commas; clients are spread over them
    /// [default: http://127.0.0.1:8080].
    #[arg(long, value_delimiter = ',', value_name = "URLS", help_heading = "Servers and clients")]
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Vec<String>>,
    /// What clients speak: the native protocol in one of its encodings, or
    /// Socket.IO in the words of the vocabulary `sessions` [default: json].
    #[arg(long, alias = "encoding", value_enum, help_heading = "Servers and clients")]
    #[serde(skip_serializing_if = "Option::is_none")]
    wire: Option<Speech>,
    /// The HS256 secret that the gateways check tokens with. Not in scenario files.
    #[arg(long, env = "CARILLON_JWT_SECRET", hide_env_values = true, help_heading = "Servers and clients")]
    #[serde(skip)]
    secret: Option<String>,
    /// A file that holds the secret, such as `carillon-data/jwt-secret`.
    #[arg(long, value_name = "FILE", help_heading = "Servers and clients")]
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_file: Option<PathBuf>,
    /// The tokens' `iss`, where gateways ask for one.
    #[arg(long, help_heading = "Servers and clients")]
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    /// The tokens' `aud`, where gateways ask for one.
    #[arg(long, help_heading = "Servers and clients")]
    #[serde(skip_serializing_if = "Option::is_none")]
    audience: Option<String>,
    /// What the users' ids begin with [default: load].
    #[arg(long, value_name = "TEXT", help_heading = "Servers and clients")]
    #[serde(skip_serializing_if = "Option::is_none")]
    user_prefix: Option<String>,
    /// Addresses of this machine that connections come from in turn, separated
    /// by commas. One address has ports for about 28,000 connections.
    #[arg(long, value_delimiter = ',', value_name = "ADDRESSES", help_heading = "Servers and clients")]
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Vec<IpAddr>>,

    /// Pairs of users, each with a direct room (`pairs`) [default: 500].
    #[arg(long, help_heading = "Who talks")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pairs: Option<usize>,
    /// Rooms (`fanout`, `chat`, `mixed-faults`) [default: 10; chat: 40].
    #[arg(long, help_heading = "Who talks")]
    #[serde(skip_serializing_if = "Option::is_none")]
    rooms: Option<usize>,
    /// Members of each room, all of them connected (`fanout`, `connect`, `storm`)
    /// [default: 100].
    #[arg(long, help_heading = "Who talks")]
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<usize>,
    /// Senders in each room (`fanout`) [default: 1].
    #[arg(long, help_heading = "Who talks")]
    #[serde(skip_serializing_if = "Option::is_none")]
    senders: Option<usize>,
    /// Messages per second in all, sent on time whether answered or not; 0: as
    /// fast as they are answered (`pairs`, `fanout`, `chat`, `mixed-faults`)
    /// [default: 0; chat: 50].
    #[arg(long, help_heading = "Who talks")]
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u64>,
    /// Messages that each sender has on the way at once, without `--rate`
    /// [default: 4].
    #[arg(long, help_heading = "Who talks")]
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<usize>,

    /// Connections (`connect`, `storm`) [default: 1000].
    #[arg(long, help_heading = "Connections")]
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<usize>,
    /// Connections opened at once [default: 64].
    #[arg(long, value_name = "COUNT", help_heading = "Connections")]
    #[serde(skip_serializing_if = "Option::is_none")]
    at_once: Option<usize>,
    /// Connections opened per second at most, at first [default: no limit].
    #[arg(long, value_name = "PER_SECOND", help_heading = "Connections")]
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_rate: Option<u64>,
    /// Who ends the connections (`storm`) [default: reset].
    #[arg(long, value_enum, help_heading = "Connections")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<Cut>,
    /// Messages sent to each room while its members are away (`storm`) [default: 3].
    #[arg(long, value_name = "COUNT", help_heading = "Connections")]
    #[serde(skip_serializing_if = "Option::is_none")]
    away_messages: Option<u64>,
    /// Time over which clients come back; a number alone is milliseconds; 0: all
    /// at the same time (`storm`) [default: 0].
    #[arg(long, value_name = "TIME", help_heading = "Connections")]
    #[serde(skip_serializing_if = "Option::is_none")]
    spread: Option<MillisTime>,

    /// Users [default: 200].
    #[arg(long, help_heading = "Chat (chat, mixed-faults)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<usize>,
    /// Devices of a user, at most: each has 1 to so many, and each device hears
    /// everything [default: 3].
    #[arg(long, help_heading = "Chat (chat, mixed-faults)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    devices: Option<usize>,
    /// Rooms that each user is in, at least [default: 5].
    #[arg(long, help_heading = "Chat (chat, mixed-faults)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    rooms_per_user: Option<usize>,
    /// Exponent of the Zipf distribution of the rooms' sizes and activity; 0: all
    /// alike [default: 1].
    #[arg(long, help_heading = "Chat (chat, mixed-faults)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    zipf: Option<f64>,
    /// The same seed makes the same rooms, and the same things happen [default: 1].
    #[arg(long, help_heading = "Chat (chat, mixed-faults)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    /// Typing signs for each message, each before one [default: 0.3].
    #[arg(long, value_name = "SHARE", help_heading = "Chat (chat, mixed-faults)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    typing: Option<f64>,
    /// Read marks for each message [default: 0.5].
    #[arg(long, value_name = "SHARE", help_heading = "Chat (chat, mixed-faults)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    reads: Option<f64>,
    /// Questions for who is online, and changes of one's own status, for each
    /// message [default: 0.1].
    #[arg(long, value_name = "SHARE", help_heading = "Chat (chat, mixed-faults)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    presence: Option<f64>,
    /// Pages of history for each message [default: 0.05].
    #[arg(long, value_name = "SHARE", help_heading = "Chat (chat, mixed-faults)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<f64>,
    /// Edits of own messages for each message [default: 0.05].
    #[arg(long, value_name = "SHARE", help_heading = "Chat (chat, mixed-faults)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    edits: Option<f64>,
    /// Mean life time of a connection, after which it is lost by a TCP reset; 0:
    /// none is [default: 60s].
    #[arg(long, value_name = "TIME", help_heading = "Chat (chat, mixed-faults)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    life: Option<Time>,
    /// Mean time until a connection that was lost so comes back; a number alone is
    /// milliseconds [default: 2s].
    #[arg(long, value_name = "TIME", help_heading = "Chat (chat, mixed-faults)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    away: Option<MillisTime>,

    /// Time over which the rate rises from nothing to what is asked for, or over
    /// which senders begin, without `--rate` [default: 0s].
    #[arg(long, value_name = "TIME", help_heading = "Phases (30s, 5m; a number alone is seconds)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    ramp: Option<Time>,
    /// Time after the ramp before measuring begins [default: 2s].
    #[arg(long, value_name = "TIME", help_heading = "Phases (30s, 5m; a number alone is seconds)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    warmup: Option<Time>,
    /// Time of measuring (`storm --cut server`: of waiting for a server to end)
    /// [default: 10s].
    #[arg(long, value_name = "TIME", help_heading = "Phases (30s, 5m; a number alone is seconds)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<Time>,
    /// How long the last deliveries may take [default: 15s; `connect`, `storm`: 2m].
    #[arg(long, value_name = "TIME", help_heading = "Phases (30s, 5m; a number alone is seconds)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    drain: Option<Time>,

    /// A command that is run at this time of measuring, such as `10s:kill -9 123`;
    /// may be repeated (`mixed-faults`). Its begin, end and exit status are in the
    /// report; another status than 0 fails the run. What is to outlast it goes to
    /// the background. In a file: `[[fault]]` with `at`, `run` and a `name`.
    #[arg(long = "fault", value_name = "TIME:COMMAND", help_heading = "Faults")]
    #[serde(rename = "fault", default, skip_serializing_if = "Vec::is_empty")]
    faults: Vec<FaultAt>,

    /// A process whose processor time is measured (and its memory, without
    /// `--metrics`); may be repeated.
    #[arg(long = "pid", value_name = "PID", value_delimiter = ',', help_heading = "What is measured")]
    #[serde(rename = "pid", default, skip_serializing_if = "Vec::is_empty")]
    pids: Vec<u32>,
    /// URLs of servers' metrics, which show their memory, processor time and
    /// connections in each second, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "URLS", help_heading = "What is measured")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<String>,
    /// Write the result as JSON to this file, for `report` and `compare`.
    #[arg(long, value_name = "FILE", help_heading = "What is measured")]
    #[serde(skip_serializing_if = "Option::is_none")]
    json: Option<PathBuf>,
    /// Write the result as a page with plots, which needs nothing else, to this file.
    #[arg(long, value_name = "FILE", help_heading = "What is measured")]
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<PathBuf>,

    /// Processes of this machine that the load is spread over; see also
    /// `carillon-loadtest coordinate --help` [default: 1].
    #[arg(long, value_name = "COUNT", help_heading = "Several generators")]
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<usize>,
}

/// Who is there and what they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// All that people do: several devices, several rooms, reading, typing,
    /// editing, losing connections and coming back; every device must have heard
    /// every change once, in order, and the store must agree.
    Chat,
    /// All connect and are idle: how fast they come in, and what they cost.
    Connect,
    /// Groups: a few send, all hear.
    #[value(alias = "rooms")]
    #[serde(alias = "rooms")]
    Fanout,
    /// Chat while commands are run at set times (`--fault`): what is lost with a
    /// server is said again to another, and nothing may be missing in the end.
    MixedFaults,
    /// One-to-one: both of a pair send.
    Pairs,
    /// All lose their connections at once, and come back.
    Storm,
}

/// What clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Speech {
    Json,
    Protobuf,
    Socketio,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Cut {
    /// This tool resets all of them.
    Reset,
    /// Somebody ends a server while this tool waits.
    Server,
}

impl Settings {
    /// Where the result is written as JSON.
    pub fn json(&self) -> Option<&PathBuf> {
        self.json.as_ref()
    }

    /// Where the result is written as a page.
    pub fn html(&self) -> Option<&PathBuf> {
        self.html.as_ref()
    }

    /// Addresses that connections come from.
    pub fn sources(&self) -> &[IpAddr] {
        self.source.as_deref().unwrap_or_default()
    }

    /// Processes of this machine that the load is spread over.
    pub fn workers(&self) -> usize {
        self.workers.unwrap_or(1)
    }

    /// Nothing but where the secret is.
    pub fn of_secret(secret: Option<String>, secret_file: Option<PathBuf>) -> Self {
        Self { secret, secret_file, ..Self::default() }
    }

    /// Processes on this machine that are looked at.
    pub fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// The secret, wherever it is kept.
    pub fn secret(&self) -> anyhow::Result<String> {
        let secret = match (&self.secret, &self.secret_file) {
            (Some(secret), _) => secret.clone(),
            (None, Some(file)) => std::fs::read_to_string(file)
                .with_context(|| format!("reading the secret from {}", file.display()))?
                .trim()
                .to_owned(),
            (None, None) => bail!("a secret is needed: --secret, --secret-file or CARILLON_JWT_SECRET"),
        };
        ensure!(!secret.is_empty(), "the secret is empty");
        Ok(secret)
    }

    /// Lays these settings over others: what is said here counts.
    pub fn over(self, below: Self) -> anyhow::Result<Self> {
        let mut all = toml::Table::try_from(&below)?;
        all.extend(toml::Table::try_from(&self)?);
        Ok(Self { secret: self.secret.or(below.secret), ..all.try_into()? })
    }

    /// What is to be run, of filled settings.
    pub fn plan(&self, secret: String, stage: Stage) -> anyhow::Result<Plan> {
        let targets = self.target.clone().unwrap_or_default();
        ensure!(!targets.is_empty(), "no target is given");
        ensure!(
            self.faults.is_empty() || self.scenario == Some(Scenario::MixedFaults),
            "commands are run in the scenario mixed-faults alone"
        );
        Ok(Plan {
            scenario: self.scenario_plan(),
            targets,
            secret,
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            user_prefix: self.user_prefix.clone().unwrap_or_default(),
            wire: match self.wire.unwrap_or(Speech::Json) {
                Speech::Json => Wire::Native(Encoding::Json),
                Speech::Protobuf => Wire::Native(Encoding::Protobuf),
                Speech::Socketio => Wire::SocketIo,
            },
            at_once: self.at_once.unwrap_or_default().max(1),
            connect_rate: self.connect_rate,
            ramp: self.ramp.unwrap_or_default().0,
            warmup: self.warmup.unwrap_or_default().0,
            duration: self.duration.unwrap_or_default().0,
            drain: self.drain.unwrap_or_default().0,
            pids: self.pids.clone(),
            metrics: self.metrics.clone(),
            stage,
        })
    }

    fn scenario_plan(&self) -> plan::Scenario {
        let count = |value: Option<usize>| value.unwrap_or_default();
        let members = count(self.members).max(1);
        let talk = |direct, rooms, members, senders| {
            let (rate, window) = (self.rate.unwrap_or_default(), count(self.window).max(1));
            plan::Scenario::Talk(plan::Talk { direct, rooms, members, senders, rate, window, slice: None })
        };
        let crowd = || plan::Crowd { connections: count(self.connections), members };
        match self.scenario.unwrap_or(Scenario::Pairs) {
            Scenario::Pairs => talk(true, count(self.pairs), 2, 2),
            Scenario::Fanout => talk(false, count(self.rooms), members, count(self.senders).min(members)),
            Scenario::Chat | Scenario::MixedFaults => plan::Scenario::Chat(self.chat_plan()),
            Scenario::Connect => plan::Scenario::Connect(crowd()),
            Scenario::Storm => plan::Scenario::Storm(
                crowd(),
                plan::Storm {
                    by_server: self.cut == Some(Cut::Server),
                    messages: self.away_messages.unwrap_or_default(),
                    spread: self.spread.unwrap_or_default().0,
                },
            ),
        }
    }

    fn chat_plan(&self) -> plan::Chat {
        let share = |value: Option<f64>| value.unwrap_or_default().max(0.0);
        let fault = |fault: &FaultAt| plan::Fault {
            at: fault.at.0,
            run: fault.run.clone(),
            name: fault.name.clone().unwrap_or_else(|| fault.run.clone()),
        };
        plan::Chat {
            users: self.users.unwrap_or_default().max(2),
            devices: self.devices.unwrap_or_default().max(1),
            rooms: self.rooms.unwrap_or_default().max(1),
            rooms_per_user: self.rooms_per_user.unwrap_or_default().max(1),
            zipf: share(self.zipf),
            seed: self.seed.unwrap_or_default(),
            rate: self.rate.unwrap_or_default().max(1),
            mix: plan::Mix {
                typing: share(self.typing),
                reads: share(self.reads),
                presence: share(self.presence),
                history: share(self.history),
                edits: share(self.edits),
            },
            life: self.life.map(|life| life.0).filter(|life| !life.is_zero()),
            away: self.away.unwrap_or_default().0,
            tolerant: self.scenario == Some(Scenario::MixedFaults),
            faults: self.faults.iter().map(fault).collect(),
        }
    }
}
