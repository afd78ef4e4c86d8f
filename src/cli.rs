//! The command line: subcommands, and a flag for each setting.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use proto::UserId;

use crate::config::{Layers, Role, settings};
use crate::top::Address;

const SETTINGS: &str = "\
Every setting is a flag, a variable of the environment and a line of carillon.toml:
--log-level, CARILLON_LOG_LEVEL, log_level. Flags win, then the environment, then the file.
`carillon check-config ROLE` shows what counts and where it was said.";

/// A self-hosted backend for chat, presence and notifications.
///
/// Without a subcommand it is `standalone`: everything in one process, with
/// nothing to install. A cluster is any number of `gateway` and `dispatcher`
/// processes on PostgreSQL, NATS and Redis.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = SETTINGS)]
struct Cli {
    #[command(subcommand)]
    command: Option<Subcommands>,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Run everything in one process: the default
    ///
    /// The database is a SQLite file in data_dir. Without a key to check tokens
    /// with, the first start makes one, keeps it there, and each start prints
    /// links with tokens for two users.
    #[command(after_help = SETTINGS)]
    Standalone,
    /// Run a gateway of a cluster: clients connect to it
    ///
    /// Needs dispatcher_url, nats_url, redis_url, and one of jwt_secret, jwks_url
    /// and jwt_public_key_file. Run as many as you like behind a load balancer.
    #[command(after_help = SETTINGS)]
    Gateway,
    /// Run a dispatcher of a cluster: it decides and stores
    ///
    /// Needs database_url (see `migrate`) and nats_url. Run as many as you like.
    #[command(after_help = SETTINGS)]
    Dispatcher,
    /// Bring the schema of PostgreSQL up to date
    ///
    /// May run while dispatchers of the previous version work.
    #[command(after_help = SETTINGS)]
    Migrate,
    /// Print a token for a user, signed with jwt_secret or the key in data_dir
    #[command(after_help = SETTINGS)]
    Token(TokenArgs),
    /// Check the configuration, and show what counts and where it was said
    ///
    /// Prints every mistake at once, and then exits with 1.
    #[command(after_help = SETTINGS)]
    CheckConfig {
        /// Whose configuration
        #[arg(value_enum, default_value = "standalone")]
        role: Role,
    },
    /// Show what a running cluster does, node by node
    ///
    /// Asks the admin addresses of its nodes for their metrics. Keys: q quits, s
    /// sorts by the next column, p pauses, the arrows scroll.
    Top(TopArgs),
}

/// Whom to watch, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct TopArgs {
    /// Where nodes show their metrics: http://host:9090/metrics, or host:9090 for short.
    /// A name with several addresses stands for all of them
    #[arg(value_name = "URL", required = true)]
    pub urls: Vec<Address>,
    /// How often to ask, and the time that rates are of: 500ms, 1s, 1m
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// Print one table after one interval, and exit: with 1 if no node answers
    #[arg(long)]
    pub once: bool,
    /// The same as JSON
    #[arg(long)]
    pub json: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    crate::config::parse_time(text, Duration::from_millis(100)..=Duration::from_secs(60 * 60))
}

/// Whom a token is for.
#[derive(Debug, Clone, clap::Args)]
pub struct TokenArgs {
    /// The user's id: 1 to 64 of A-Z a-z 0-9 _ . : @ -
    #[arg(long, value_name = "ID")]
    pub user: UserId,
    /// The user's display name
    #[arg(long)]
    pub name: Option<String>,
    /// Make it a token of a server of the application, which may notify and disconnect users
    #[arg(long)]
    pub service: bool,
    /// How long it is valid: 30m, 12h, 7d
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = lifetime)]
    pub expires: Duration,
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let longest = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    crate::config::parse_time(text, Duration::from_secs(1)..=longest)
}

/// What is asked for.
#[derive(Debug)]
pub enum Task {
    /// Run everything.
    Standalone,
    /// Run a gateway.
    Gateway,
    /// Run a dispatcher.
    Dispatcher,
    /// Update the schema.
    Migrate,
    /// Print a token.
    Token(TokenArgs),
    /// Check the configuration of this role.
    CheckConfig(Role),
    /// Show what a cluster does.
    Top(TopArgs),
}

/// Reads the command line and the configuration that it leads to. Ends the
/// process for `--help`, `--version` and what it does not understand.
pub fn parse() -> (Task, Layers) {
    let matches = command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    // The flags stand behind the subcommand, if there is one.
    let matches = matches.subcommand().map_or(&matches, |(_, matches)| matches);
    let mut flags = std::collections::BTreeMap::new();
    for setting in settings() {
        // `top` takes none.
        if let Ok(Some(value)) = matches.try_get_one::<String>(setting.name) {
            flags.insert(setting.name.to_owned(), value.clone());
        }
    }
    let layers = Layers::read(flags, matches.try_get_one::<PathBuf>("config").ok().flatten().cloned());
    let task = match cli.command {
        None | Some(Subcommands::Standalone) => Task::Standalone,
        Some(Subcommands::Gateway) => Task::Gateway,
        Some(Subcommands::Dispatcher) => Task::Dispatcher,
        Some(Subcommands::Migrate) => Task::Migrate,
        Some(Subcommands::Token(args)) => Task::Token(args),
        Some(Subcommands::CheckConfig { role }) => Task::CheckConfig(role),
        Some(Subcommands::Top(args)) => Task::Top(args),
    };
    (task, layers)
}

/// The subcommands with the flags of all settings. Every role takes them all,
/// so that a misplaced one is reported with everything else that is wrong; its
/// help shows those that it reads.
fn command() -> Command {
    let mut command = with_settings(Cli::command(), Some(Role::Standalone));
    let subcommands = [
        ("standalone", Some(Role::Standalone)),
        ("gateway", Some(Role::Gateway)),
        ("dispatcher", Some(Role::Dispatcher)),
        ("migrate", Some(Role::Migrate)),
        ("token", Some(Role::Token)),
        ("check-config", None),
    ];
    for (name, role) in subcommands {
        command = command.mut_subcommand(name, |subcommand| with_settings(subcommand, role));
    }
    command
}

fn with_settings(command: Command, role: Option<Role>) -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("Read settings from this file [default: carillon.toml, if it is there]");
    command.arg(config).args(settings().iter().map(|setting| {
        let default = role.and_then(|role| setting.default_of(role));
        let default = default.map(|default| format!(" [default: {default}]"));
        Arg::new(setting.name)
            .long(setting.flag.as_str())
            .value_name(setting.value)
            .value_parser(NonEmptyStringValueParser::new())
            .allow_hyphen_values(true)
            .hide(role.is_none_or(|role| !setting.is_of(role)))
            .help_heading(setting.group)
            .help(format!("{}{}", setting.help, default.unwrap_or_default()))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn help_shows_a_role_its_own_settings_only() {
        let help = |name: &str| {
            let mut command = command();
            command.find_subcommand_mut(name).unwrap().render_long_help().to_string()
        };
        assert!(help("gateway").contains("--nats-url") && !help("gateway").contains("--database-url"));
        assert!(help("dispatcher").contains("--database-url") && !help("dispatcher").contains("--listen "));
        assert!(help("standalone").contains("--data-dir") && !help("standalone").contains("--nats-url"));
    }
}
