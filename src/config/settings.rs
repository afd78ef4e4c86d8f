//! Every setting there is: the one list behind flags, environment, file, help
//! and `check-config`.

use std::sync::OnceLock;
use std::time::Duration;

use super::Role::{self, Dispatcher, Gateway, Migrate, Standalone, Token};

/// One thing that can be said.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the file; with dashes, the flag; in upper case behind
    /// `CARILLON_`, the variable.
    pub name: &'static str,
    /// The flag without its dashes in front.
    pub flag: String,
    /// What kind of value it takes, for the help.
    pub value: &'static str,
    /// What it is if nobody says anything; `None`: nothing.
    default: Option<String>,
    /// A role that has another default.
    exception: Option<(Role, String)>,
    /// What it does, for the help.
    pub help: &'static str,
    /// Who reads it.
    pub roles: &'static [Role],
    /// The help's heading over it.
    pub group: &'static str,
    /// How much of it may be shown.
    pub shown: Shown,
}

/// How much of a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All of it.
    Whole,
    /// A URL without its password.
    MaskedUrl,
    /// Nothing.
    Masked,
}

impl Setting {
    /// Whether this role reads it.
    pub fn is_of(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// What it is if nobody says anything; `None`: nothing.
    pub fn default_of(&self, role: Role) -> Option<&str> {
        match &self.exception {
            Some((other, default)) if *other == role => Some(default),
            _ => self.default.as_deref(),
        }
    }

    fn of(self, roles: &'static [Role]) -> Self {
        Self { roles, ..self }
    }

    fn default(self, default: impl ToString) -> Self {
        Self { default: Some(default.to_string()), ..self }
    }

    fn default_in(self, role: Role, default: impl ToString) -> Self {
        Self { exception: Some((role, default.to_string())), ..self }
    }

    fn shown(self, shown: Shown) -> Self {
        Self { shown, ..self }
    }
}

/// One that nobody reads yet, and that has no default.
fn setting(name: &'static str, value: &'static str, help: &'static str) -> Setting {
    let flag = name.replace('_', "-");
    Setting {
        name,
        flag,
        value,
        default: None,
        exception: None,
        help,
        roles: &[],
        group: "",
        shown: Shown::Whole,
    }
}

/// All settings, in the order of the help.
pub fn settings() -> &'static [Setting] {
    static SETTINGS: OnceLock<Vec<Setting>> = OnceLock::new();
    SETTINGS.get_or_init(list)
}

/// Whether there is a setting of this name.
pub fn is_known(name: &str) -> bool {
    settings().iter().any(|setting| setting.name == name)
}

/// The setting that was probably meant.
pub fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let (distance, near) =
        settings().iter().map(|setting| (distance(&name, setting.name), setting.name)).min()?;
    (distance <= (name.len() / 3).clamp(1, 4)).then_some(near)
}

/// How many letters have to be put in, taken out or changed to get from one to
/// the other; two neighbours that changed places count once.
fn distance(from: &str, to: &str) -> usize {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let mut rows = vec![(0..=to.len()).collect::<Vec<_>>()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let changed = usize::from(from[i - 1] != to[j - 1]);
            let mut least = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + changed);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

/// A time as it is written.
fn time(time: Duration) -> String {
    let millis = time.as_millis();
    match millis / 1000 {
        _ if !millis.is_multiple_of(1000) => format!("{millis}ms"),
        seconds if seconds > 0 && seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        seconds if seconds > 0 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// A size as it is written.
fn size(bytes: usize) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        _ => bytes.to_string(),
    }
}

/// Whoever runs a server.
const SERVERS: &[Role] = &[Standalone, Gateway, Dispatcher];
/// Whoever has clients.
const EDGE: &[Role] = &[Standalone, Gateway];
/// Whoever knows the rules.
const RULES: &[Role] = &[Standalone, Dispatcher];
/// Whoever checks or signs tokens.
const SIGNERS: &[Role] = &[Standalone, Gateway, Token];

fn list() -> Vec<Setting> {
    let groups = [
        ("Addresses", addresses()),
        ("Tokens", tokens()),
        ("Limits of clients", limits()),
        ("Rules", rules()),
        ("Process", process()),
    ];
    let in_group = |(group, list): (_, Vec<_>)| list.into_iter().map(move |of| Setting { group, ..of });
    groups.into_iter().flat_map(in_group).collect()
}

fn addresses() -> Vec<Setting> {
    vec![
        setting("listen", "ADDRESS", "Where clients connect").of(EDGE).default("127.0.0.1:8080"),
        setting("admin_listen", "ADDRESS", "Where /metrics, /livez and /readyz are; not for the public")
            .of(SERVERS)
            .default("127.0.0.1:9090"),
        setting("grpc_listen", "ADDRESS", "Where gateways connect; not for the public")
            .of(&[Dispatcher])
            .default("127.0.0.1:7070"),
        setting(
            "dispatcher_url",
            "URLS",
            "The dispatchers, http://host:port: one, several separated by commas, or a name that resolves to \
             several addresses",
        )
        .of(&[Gateway]),
        setting(
            "nats_url",
            "URLS",
            "The broker, nats://host:4222 or tls://host:4222; servers of one cluster separated by commas",
        )
        .of(&[Gateway, Dispatcher])
        .shown(Shown::MaskedUrl),
        setting(
            "redis_url",
            "URL",
            "Presence, redis://host:6379; also rediss://, redis-cluster:// and redis-sentinel://",
        )
        .of(&[Gateway])
        .shown(Shown::MaskedUrl),
        setting("database_url", "URL", "The store, postgres://user:password@host/database")
            .of(&[Dispatcher, Migrate])
            .shown(Shown::MaskedUrl),
        setting("database_pool", "NUMBER", "Connections to the database at once")
            .of(&[Dispatcher])
            .default(16),
        setting("data_dir", "FOLDER", "Where the database file and the key are kept")
            .of(&[Standalone, Token])
            .default("./carillon-data"),
    ]
}

fn tokens() -> Vec<Setting> {
    let gateway = gateway::Settings::default();
    vec![
        setting(
            "jwt_secret",
            "TEXT",
            "Tokens are signed with this secret (HS256): at least 16 bytes, better 32. Others on the machine \
             can see flags: better in the environment",
        )
        .of(SIGNERS)
        .shown(Shown::Masked),
        setting("jwks_url", "URL", "Tokens are signed with one of the keys found here")
            .of(EDGE)
            .shown(Shown::MaskedUrl),
        setting("jwt_public_key_file", "FILE", "Tokens are signed by the owner of this public key (PEM)")
            .of(EDGE),
        setting("jwt_issuer", "TEXT", "Only tokens of this issuer (iss)").of(SIGNERS),
        setting("jwt_audience", "TEXT", "Only tokens for this audience (aud)").of(SIGNERS),
        setting("jwt_leeway", "TIME", "How far the issuer's clock may be off").of(EDGE).default("30s"),
        setting(
            "token_in_query",
            "BOOL",
            "Accept ?token= on the WebSocket; it may end up in the logs of proxies",
        )
        .of(EDGE)
        .default(gateway.token_in_query),
        setting(
            "guests",
            "BOOL",
            "Let people in without a token, under a name, over Socket.IO; the vocabulary `lobby` always does",
        )
        .of(EDGE)
        .default(false),
        setting(
            "vocabulary",
            "NAME|FILE",
            "The words of Socket.IO clients: sessions, rooms, chats, lobby, conversations, or a TOML file",
        )
        .of(EDGE)
        .default("sessions"),
        setting(
            "allowed_origins",
            "ORIGINS",
            "Other sites whose pages may connect, as in https://app.example, separated by commas",
        )
        .of(EDGE),
    ]
}

fn limits() -> Vec<Setting> {
    let gateway = gateway::Settings::default();
    let presence = bus::PresenceTimes::default();
    let limits = vec![
        setting("max_connections", "NUMBER", "Connections at once; more are asked to come back later")
            .default(gateway.max_connections),
        setting(
            "connection_rate",
            "NUMBER",
            "New connections in any one second; more are asked to come back. 0: no limit",
        )
        .default(gateway.connection_rate),
        setting("max_frame_bytes", "SIZE", "Largest frame or request body")
            .default(size(gateway.max_frame_bytes)),
        setting("max_outbound_bytes", "SIZE", "What may wait for a slow reader before it is closed")
            .default(size(gateway.max_outbound_bytes)),
        setting("max_in_flight", "NUMBER", "Requests of one connection on the way at once")
            .default(gateway.max_in_flight),
        setting("max_joined_rooms", "NUMBER", "Rooms that one connection follows at once")
            .default(gateway.max_joined_rooms),
        setting("frames_per_second", "NUMBER", "Frames of one connection, on average")
            .default(gateway.frames_per_second),
        setting("frame_burst", "NUMBER", "Frames of one connection in one burst")
            .default(gateway.frame_burst),
        setting("auth_timeout", "TIME", "A connection without a token is closed after this")
            .default(time(gateway.auth_timeout)),
        setting("http_timeout", "TIME", "Longest wait for a request's head or body")
            .default(time(gateway.http_timeout)),
        setting("command_timeout", "TIME", "A request is answered after this at the latest")
            .default(time(gateway.command_timeout)),
        setting("heartbeat", "TIME", "A silent connection is asked after this, and closed after twice this")
            .default(time(gateway.heartbeat)),
        setting(
            "engine_ping_interval",
            "TIME",
            "Socket.IO clients are asked this often whether they are there",
        )
        .default(time(gateway.engine_ping_interval)),
        setting(
            "engine_ping_timeout",
            "TIME",
            "Socket.IO clients that do not answer for this long are closed",
        )
        .default(time(gateway.engine_ping_timeout)),
        setting(
            "presence_room_limit",
            "NUMBER",
            "Presence is shown unasked in rooms of up to this many members",
        )
        .default(gateway.presence_room_limit),
        setting("presence_grace", "TIME", "A user without a connection for this long is offline")
            .default(time(presence.grace)),
    ];
    limits.into_iter().map(|limit| limit.of(EDGE)).collect()
}

fn rules() -> Vec<Setting> {
    let (dispatcher, one_writer) = (dispatcher::Settings::default(), dispatcher::Settings::one_writer());
    let rules = vec![
        setting("edit_window", "TIME", "How long authors may edit their messages")
            .default(time(dispatcher.edit_window)),
        setting("max_members", "NUMBER", "Members of a group").default(dispatcher.max_members),
        setting("max_batch", "NUMBER", "Messages in one commit")
            .default(dispatcher.max_batch)
            .default_in(Standalone, one_writer.max_batch),
    ];
    let lanes = setting("lanes", "NUMBER", "Commits of messages side by side; fewer than database_pool")
        .default(dispatcher.lanes);
    rules.into_iter().map(|rule| rule.of(RULES)).chain([lanes.of(&[Dispatcher])]).collect()
}

fn process() -> Vec<Setting> {
    let gateway = gateway::Settings::default();
    vec![
        setting("log_format", "FORMAT", "text or json, on standard error").of(SERVERS).default("text"),
        setting(
            "log_level",
            "FILTER",
            "error, warn, info, debug or trace; also by part, as in info,gateway=debug",
        )
        .of(SERVERS)
        .default("info"),
        setting(
            "otlp_endpoint",
            "URL",
            "Where traces are collected (OTLP over HTTP), as in http://collector:4318; without, nothing is traced",
        )
        .of(SERVERS)
        .shown(Shown::MaskedUrl),
        setting("trace_sample", "SHARE", "The share of clients' commands that are traced, 0 to 1")
            .of(EDGE)
            .default(gateway.trace_sample),
        setting(
            "drain_delay",
            "TIME",
            "From a stop signal to the first close: time for load balancers to see that /readyz says no",
        )
        .of(SERVERS)
        .default("0s"),
        setting("drain_spread", "TIME", "When stopping, no second sends away more than the clients divided by so many seconds; it takes a quarter longer")
            .of(EDGE)
            .default(time(gateway.drain_spread)),
        setting("stop_timeout", "TIME", "After drain_delay, stopping may take this long; then it is cut off")
            .of(SERVERS)
            .default("25s"),
    ]
}
