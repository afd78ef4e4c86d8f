//! What each role needs to know.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bus::PresenceTimes;
use gateway::Authenticator;
use gateway::Vocabulary;
use gateway::auth::Keys;
use tracing_subscriber::EnvFilter;

use super::reader::Reader;
use super::{Checked, Layers, Mistakes, Role, Secret, value};

/// Shorter secrets can be guessed from one token.
const SHORTEST_SECRET: usize = 16;
/// Shorter secrets weaken HS256.
const GOOD_SECRET: usize = 32;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// How it looks.
    pub format: LogFormat,
    /// A filter that `tracing_subscriber` takes.
    pub level: String,
}

/// What every server has.
#[derive(Debug, Clone)]
pub struct Process {
    /// Metrics and health.
    pub admin_listen: String,
    /// Logs.
    pub log: Log,
    /// From the stop signal to the drain.
    pub drain_delay: Duration,
    /// How long the drain may take.
    pub stop_timeout: Duration,
    /// Who collects traces; the URL may hold a password.
    pub otlp_endpoint: Option<Secret>,
}

/// What everybody with clients has.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Where clients connect.
    pub listen: String,
    /// What tokens are checked with; standalone can do without.
    pub keys: Option<Keys>,
    /// `iss` that tokens must have.
    pub issuer: Option<String>,
    /// `aud` that tokens must have.
    pub audience: Option<String>,
    /// How far the issuer's clock may be off.
    pub leeway: Duration,
    /// Limits and times.
    pub settings: gateway::Settings,
    /// How long presence waits.
    pub presence: PresenceTimes,
    /// The words of Socket.IO front ends.
    pub vocabulary: Arc<Vocabulary>,
}

/// Everything in one process.
#[derive(Debug, Clone)]
pub struct Standalone {
    /// The process.
    pub process: Process,
    /// Its clients.
    pub edge: Edge,
    /// Its rules.
    pub rules: dispatcher::Settings,
    /// Its store.
    pub data_dir: PathBuf,
}

/// A gateway of a cluster.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// The process.
    pub process: Process,
    /// Its clients.
    pub edge: Edge,
    /// The broker.
    pub nats_url: Secret,
    /// Presence.
    pub redis_url: Secret,
    /// The dispatchers.
    pub dispatcher_urls: Vec<String>,
}

/// A dispatcher of a cluster.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    /// The process.
    pub process: Process,
    /// Its rules.
    pub rules: dispatcher::Settings,
    /// Where gateways connect.
    pub grpc_listen: String,
    /// The broker.
    pub nats_url: Secret,
    /// The store.
    pub database_url: Secret,
    /// Connections to the store.
    pub database_pool: u32,
}

/// The database's schema.
#[derive(Debug, Clone)]
pub struct Migrate {
    /// The store.
    pub database_url: Secret,
}

/// Making a token.
#[derive(Debug, Clone)]
pub struct Token {
    /// What to sign with; else the key in `data_dir`.
    pub secret: Option<Secret>,
    /// Where standalone keeps its key.
    pub data_dir: PathBuf,
    /// `iss`.
    pub issuer: Option<String>,
    /// `aud`.
    pub audience: Option<String>,
}

/// Checks what `standalone` needs.
pub fn standalone(layers: &Layers) -> Result<Checked<Standalone>, Mistakes> {
    let mut reader = Reader::new(Role::Standalone, layers);
    let process = process(&mut reader);
    let edge = edge(&mut reader, &process);
    let one_writer = dispatcher::Settings::one_writer();
    let rules = dispatcher::Settings { lanes: one_writer.lanes, ..rules(&mut reader) };
    let data_dir = reader.given("data_dir", value::text).into();
    reader.finish(Some(Standalone { process, edge, rules, data_dir }))
}

/// Checks what `gateway` needs.
pub fn gateway(layers: &Layers) -> Result<Checked<Gateway>, Mistakes> {
    let mut reader = Reader::new(Role::Gateway, layers);
    let process = process(&mut reader);
    let edge = edge(&mut reader, &process);
    if KEYS.iter().all(|name| reader.source(name).is_none()) {
        let text = "one of them is needed to check tokens with, and none is set (as in CARILLON_JWT_SECRET)";
        reader.mistake(&KEYS.join(" | "), None, text.to_owned());
    }
    let nats_url = nats_url(&mut reader);
    let redis_url = reader.required("redis_url", |text| value::url(text, REDIS).map(Secret::new));
    let dispatcher_urls = reader.required("dispatcher_url", |text| value::some(text, value::dispatcher_url));
    let config = || {
        Some(Gateway {
            process,
            edge,
            nats_url: nats_url?,
            redis_url: redis_url?,
            dispatcher_urls: dispatcher_urls?,
        })
    };
    reader.finish(config())
}

/// Checks what `dispatcher` needs.
pub fn dispatcher(layers: &Layers) -> Result<Checked<Dispatcher>, Mistakes> {
    let mut reader = Reader::new(Role::Dispatcher, layers);
    let process = process(&mut reader);
    let lanes = reader.given("lanes", |text| value::number(text, 1..=256));
    let rules = dispatcher::Settings { lanes, ..rules(&mut reader) };
    let grpc_listen = reader.given("grpc_listen", value::address);
    same_address(&mut reader, ("grpc_listen", &grpc_listen), &process);
    let nats_url = nats_url(&mut reader);
    let database_url = database_url(&mut reader);
    let database_pool = reader.given("database_pool", |text| value::number(text, 2..=1000));
    if lanes >= database_pool as usize {
        let text = format!("{lanes} lanes need a database_pool of more than {database_pool}");
        reader.mistake("lanes", reader.source("lanes").or(reader.source("database_pool")), text);
    }
    let config = || {
        Some(Dispatcher {
            process,
            rules,
            grpc_listen,
            nats_url: nats_url?,
            database_url: database_url?,
            database_pool,
        })
    };
    reader.finish(config())
}

/// Checks what `migrate` needs.
pub fn migrate(layers: &Layers) -> Result<Checked<Migrate>, Mistakes> {
    let mut reader = Reader::new(Role::Migrate, layers);
    let database_url = database_url(&mut reader);
    reader.finish(database_url.map(|database_url| Migrate { database_url }))
}

/// Checks what `token` needs.
pub fn token(layers: &Layers) -> Result<Checked<Token>, Mistakes> {
    let mut reader = Reader::new(Role::Token, layers);
    let secret = secret(&mut reader);
    let data_dir = reader.given("data_dir", value::text).into();
    let issuer = reader.optional("jwt_issuer", value::text);
    let audience = reader.optional("jwt_audience", value::text);
    reader.finish(Some(Token { secret, data_dir, issuer, audience }))
}

const REDIS: &[&str] =
    &["redis", "rediss", "redis-cluster", "rediss-cluster", "redis-sentinel", "rediss-sentinel"];

fn nats_url(reader: &mut Reader<'_>) -> Option<Secret> {
    // A list as a whole: the adapter takes it apart.
    let check = |text: &str| value::some(text, |url| value::url(url, &["nats", "tls"]));
    reader.required("nats_url", |text| check(text).map(|urls| Secret::new(urls.join(","))))
}

fn database_url(reader: &mut Reader<'_>) -> Option<Secret> {
    reader.required("database_url", |text| value::url(text, &["postgres", "postgresql"]).map(Secret::new))
}

fn process(reader: &mut Reader<'_>) -> Process {
    let format = reader.given("log_format", |text| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be text or json".to_owned()),
    });
    let level = reader.given("log_level", |text| {
        let parsed = EnvFilter::builder().parse(text).map(|_| text.to_owned());
        parsed.map_err(|_| "must be a level such as info, or a filter such as info,gateway=debug".to_owned())
    });
    Process {
        admin_listen: reader.given("admin_listen", value::address),
        log: Log { format, level },
        drain_delay: reader.given("drain_delay", |text| value::time(text, Duration::ZERO..=HOUR)),
        stop_timeout: reader.given("stop_timeout", |text| value::time(text, SECOND..=HOUR)),
        otlp_endpoint: reader
            .optional("otlp_endpoint", |text| value::url(text, &["http", "https"]).map(Secret::new)),
    }
}

fn edge(reader: &mut Reader<'_>, process: &Process) -> Edge {
    let listen = reader.given("listen", value::address);
    same_address(reader, ("listen", &listen), process);
    let settings = limits(reader);
    // What is held up may take a quarter longer.
    if settings.drain_spread * 5 / 4 >= process.stop_timeout {
        let text = format!(
            "must be longer than drain_spread and a quarter, which is {:?}",
            settings.drain_spread * 5 / 4
        );
        reader.mistake("stop_timeout", reader.source("stop_timeout").or(reader.source("drain_spread")), text);
    }
    let mut vocabulary = reader.given("vocabulary", value::vocabulary);
    vocabulary.guests |= reader.given("guests", value::boolean);
    if vocabulary.guests && !vocabulary.takes_names() {
        let name = &vocabulary.name;
        reader.warn(format!(
            "guests: nothing in the vocabulary `{name}` takes a guest's name, so none comes in"
        ));
    }
    if settings.token_in_query {
        reader.warn("token_in_query: tokens in URLs end up in the logs of proxies and browsers");
    }
    let presence = PresenceTimes {
        grace: reader.given("presence_grace", |text| value::time(text, Duration::ZERO..=HOUR)),
        ..PresenceTimes::default()
    };
    Edge {
        listen,
        keys: keys(reader),
        issuer: reader.optional("jwt_issuer", value::text),
        audience: reader.optional("jwt_audience", value::text),
        leeway: reader.given("jwt_leeway", |text| value::time(text, Duration::ZERO..=HOUR)),
        settings,
        presence,
        vocabulary: Arc::new(vocabulary),
    }
}

fn limits(reader: &mut Reader<'_>) -> gateway::Settings {
    gateway::Settings {
        allowed_origins: reader
            .optional("allowed_origins", |text| value::list(text, value::origin))
            .unwrap_or_default(),
        token_in_query: reader.given("token_in_query", value::boolean),
        max_connections: reader.given("max_connections", |text| value::number(text, 1..=10_000_000)),
        connection_rate: reader.given("connection_rate", |text| value::number(text, 0..=1_000_000)),
        auth_timeout: reader.given("auth_timeout", |text| value::time(text, SECOND..=HOUR)),
        http_timeout: reader.given("http_timeout", |text| value::time(text, SECOND..=HOUR)),
        max_frame_bytes: reader.given("max_frame_bytes", |text| value::size(text, 1024..=1 << 20)),
        max_outbound_bytes: reader.given("max_outbound_bytes", |text| value::size(text, 64 * 1024..=1 << 30)),
        max_in_flight: reader.given("max_in_flight", |text| value::number(text, 1..=65_536)),
        max_joined_rooms: reader.given("max_joined_rooms", |text| value::number(text, 1..=1_000_000)),
        frames_per_second: reader.given("frames_per_second", |text| value::number(text, 1..=1_000_000)),
        frame_burst: reader.given("frame_burst", |text| value::number(text, 1..=10_000_000)),
        command_timeout: reader.given("command_timeout", |text| value::time(text, SECOND..=HOUR)),
        heartbeat: reader.given("heartbeat", |text| value::time(text, SECOND..=HOUR)),
        engine_ping_interval: reader.given("engine_ping_interval", |text| value::time(text, SECOND..=HOUR)),
        engine_ping_timeout: reader.given("engine_ping_timeout", |text| value::time(text, SECOND..=HOUR)),
        presence_room_limit: reader.given("presence_room_limit", |text| value::number(text, 0..=1_000_000)),
        trace_sample: reader.given("trace_sample", value::share),
        drain_spread: reader.given("drain_spread", |text| value::time(text, Duration::ZERO..=HOUR)),
    }
}

fn rules(reader: &mut Reader<'_>) -> dispatcher::Settings {
    dispatcher::Settings {
        edit_window: reader.given("edit_window", |text| value::time(text, Duration::ZERO..=365 * 24 * HOUR)),
        max_members: reader.given("max_members", |text| value::number(text, 2..=1_000_000)),
        max_batch: reader.given("max_batch", |text| value::number(text, 1..=10_000)),
        ..dispatcher::Settings::default()
    }
}

/// Port 0 is another one each time.
fn same_address(reader: &mut Reader<'_>, (name, address): (&str, &str), process: &Process) {
    if address == process.admin_listen && !address.ends_with(":0") {
        let source = reader.source("admin_listen").or(reader.source(name));
        reader.mistake("admin_listen", source, format!("must differ from {name}, which is {address} too"));
    }
}

/// The settings of which one says what tokens are checked with.
const KEYS: [&str; 3] = ["jwt_secret", "jwks_url", "jwt_public_key_file"];

fn keys(reader: &mut Reader<'_>) -> Option<Keys> {
    let set: Vec<_> = KEYS.into_iter().filter(|name| reader.source(name).is_some()).collect();
    if set.len() > 1 {
        let sources: Vec<_> =
            set.iter().filter_map(|name| Some(format!("{name}: {}", reader.source(name)?))).collect();
        let text = format!("only one of them can be what tokens are checked with ({})", sources.join(", "));
        reader.mistake(&set.join(" | "), None, text);
    }
    let secret = secret(reader).map(|secret| Keys::Hs256(secret.reveal().into()));
    let url = reader.optional("jwks_url", |text| value::url(text, &["https", "http"]));
    let file = reader.optional("jwt_public_key_file", |path| {
        let pem = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
        let keys = Keys::PublicKey(pem);
        Authenticator::new(keys.clone()).map(|_| keys).map_err(|error| format!("cannot be used: {error}"))
    });
    secret.or(url.map(|url| Keys::Jwks { url })).or(file)
}

fn secret(reader: &mut Reader<'_>) -> Option<Secret> {
    let secret = reader.optional("jwt_secret", |text| match text.len() {
        length if length < SHORTEST_SECRET => {
            Err(format!("has {length} bytes and needs {SHORTEST_SECRET}, better {GOOD_SECRET} random ones"))
        }
        _ => Ok(Secret::new(text)),
    })?;
    let length = secret.reveal().len();
    if length < GOOD_SECRET {
        reader
            .warn(format!("jwt_secret has {length} bytes; {GOOD_SECRET} random ones are as strong as HS256"));
    }
    Some(secret)
}
