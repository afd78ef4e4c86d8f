//! Configuration: flags, environment and `carillon.toml` become plain, checked
//! values, or a list of everything that is wrong with them.
//!
//! The way through the files: [`layers`] holds what was said and where,
//! [`mod@settings`] lists what can be said, [`reader`] looks one setting up and
//! notes what is wrong with it, [`roles`] puts together what a role needs.
//! This is the only reader of the environment.

mod layers;
mod reader;
mod roles;
mod settings;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;

pub use layers::{Layers, Source};
pub use reader::{Checked, Effective};
pub use roles::{
    Dispatcher, Edge, Gateway, Log, LogFormat, Migrate, Process, Standalone, Token, dispatcher, gateway,
    migrate, standalone, token,
};
pub use settings::settings;
pub use value::time as parse_time;

/// What a process is there for; decides which settings it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Everything in one process.
    Standalone,
    /// Clients' connections.
    Gateway,
    /// Rules and the store.
    Dispatcher,
    /// The database's schema.
    Migrate,
    /// Making a token.
    Token,
}

impl Role {
    /// The subcommand.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Standalone => "standalone",
            Role::Gateway => "gateway",
            Role::Dispatcher => "dispatcher",
            Role::Migrate => "migrate",
            Role::Token => "token",
        }
    }
}

/// Text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for whoever has to use it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Something wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The setting, or the file.
    pub about: String,
    /// Where it came from; `None` for what is missing.
    pub source: Option<Source>,
    /// What is wrong, and what would be right. Never holds a secret.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{} ({source}): {}", self.about, self.text),
            None => write!(f, "{}: {}", self.about, self.text),
        }
    }
}

/// Everything that is wrong, at once.
#[derive(Debug)]
pub struct Mistakes {
    /// Which role could not be configured.
    pub role: Role,
    /// At least one.
    pub list: Vec<Mistake>,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (role, count) = (self.role.name(), self.list.len());
        let noun = if count == 1 { "mistake" } else { "mistakes" };
        write!(f, "{count} {noun} in the configuration of `{role}`")?;
        for mistake in &self.list {
            write!(f, "\n  - {mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
