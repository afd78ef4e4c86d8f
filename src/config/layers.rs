//! What was said, layer by layer: flags over environment over file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::settings::{is_known, nearest};
use super::{Mistake, Role};

/// Settings by name, as text.
pub type Layer = BTreeMap<String, String>;

/// What every variable of ours begins with.
const PREFIX: &str = "CARILLON_";
/// Names the configuration file; the only variable that is no setting.
const CONFIG: &str = "CARILLON_CONFIG";
/// The file that is read if it is there.
const DEFAULT_FILE: &str = "carillon.toml";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag,
    /// The environment.
    Environment,
    /// The configuration file.
    File(PathBuf),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Flag => f.write_str("flag"),
            Source::Environment => f.write_str("environment"),
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Default => f.write_str("default"),
        }
    }
}

/// The three layers, and what is wrong with their form.
#[derive(Debug, Default)]
pub struct Layers {
    flags: Layer,
    environment: Layer,
    file: Layer,
    path: PathBuf,
    mistakes: Vec<Mistake>,
}

impl Layers {
    /// Reads the process's environment, and the file that `file`, else the
    /// environment names, else the one in the working directory.
    pub fn read(flags: Layer, file: Option<PathBuf>) -> Self {
        let environment: Vec<_> = std::env::vars_os().collect();
        let named = file.or_else(|| {
            let of_environment = environment.iter().find(|(name, value)| name == CONFIG && !value.is_empty());
            of_environment.map(|(_, value)| value.into())
        });
        let mut layers = Self::default().with_flags(flags).with_environment(environment);
        let path = named.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        match std::fs::read_to_string(&path) {
            Ok(text) => layers = layers.with_file(&path, &text),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => layers.mistakes.push(Mistake {
                about: path.display().to_string(),
                source: None,
                text: format!("the configuration file cannot be read: {error}"),
            }),
        }
        layers
    }

    /// Adds flags.
    pub fn with_flags(mut self, flags: Layer) -> Self {
        self.flags = flags;
        self
    }

    /// Adds variables; those that are not ours are passed over. An empty
    /// variable is one that is not set.
    pub fn with_environment<N: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        for (name, value) in variables {
            let (name, value) = (name.into(), value.into());
            let Some(variable) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            if variable == CONFIG || value.is_empty() || is_of_kubernetes(variable) {
                continue;
            }
            let setting = variable[PREFIX.len()..].to_ascii_lowercase();
            let known = is_known(&setting) && !variable[PREFIX.len()..].contains(|c: char| c.is_lowercase());
            match value.into_string() {
                Ok(value) if known => drop(self.environment.insert(setting, value)),
                Ok(_) => {
                    let near = nearest(&setting).map(|near| format!("{PREFIX}{}", near.to_ascii_uppercase()));
                    self.unknown(variable, Source::Environment, near);
                }
                Err(_) => self.mistake(variable, Source::Environment, "is not valid UTF-8".to_owned()),
            }
        }
        self
    }

    /// Adds the file's text, which was read from `path`.
    pub fn with_file(mut self, path: &Path, text: &str) -> Self {
        self.path = path.to_owned();
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => {
                // Without the excerpt that the error's own display shows: it may hold a secret.
                let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
                let text = format!("line {line} is not TOML: {}", error.message());
                self.mistakes.push(Mistake { about: path.display().to_string(), source: None, text });
                return self;
            }
        };
        for (name, value) in table {
            let source = Source::File(path.to_owned());
            if !is_known(&name) {
                let near = nearest(&name).map(str::to_owned);
                self.unknown(&name, source, near);
                continue;
            }
            match text_of(&value) {
                Some(text) => drop(self.file.insert(name, text)),
                None => self.mistake(
                    &name,
                    source,
                    "must be a text, a number, a boolean or a list of these".into(),
                ),
            }
        }
        self
    }

    /// What counts for this setting, and where it was said.
    pub fn find(&self, name: &str) -> Option<(&str, Source)> {
        let layers = [
            (&self.flags, Source::Flag),
            (&self.environment, Source::Environment),
            (&self.file, Source::File(self.path.clone())),
        ];
        layers.into_iter().find_map(|(layer, source)| Some((layer.get(name)?.as_str(), source)))
    }

    /// What is wrong whatever the role's settings say: unknown names, and
    /// settings that the role does not have. The environment and the file may be
    /// shared with other roles; a flag is meant for this process alone. In
    /// standalone nothing may suggest a cluster that is not there.
    pub fn mistakes(&self, role: Role) -> Vec<Mistake> {
        let mut mistakes = self.mistakes.clone();
        for setting in super::settings().iter().filter(|setting| !setting.is_of(role)) {
            let Some((_, source)) = self.find(setting.name) else { continue };
            if source != Source::Flag && role != Role::Standalone {
                continue;
            }
            let owners: Vec<_> = setting.roles.iter().map(|role| format!("`{}`", role.name())).collect();
            let why = match role {
                Role::Standalone => "`standalone` has its store, broker and presence built in",
                _ => "it has no meaning here",
            };
            let text = format!("belongs to {}; {why}. Remove it", owners.join(" and "));
            mistakes.push(Mistake { about: setting.name.to_owned(), source: Some(source), text });
        }
        mistakes
    }

    fn mistake(&mut self, about: &str, source: Source, text: String) {
        self.mistakes.push(Mistake { about: about.to_owned(), source: Some(source), text });
    }

    fn unknown(&mut self, name: &str, source: Source, near: Option<String>) {
        let text = match near {
            Some(near) => format!("no setting has this name; did you mean `{near}`?"),
            None => "no setting has this name; `carillon check-config` lists all of them".to_owned(),
        };
        self.mistake(name, source, text);
    }
}

/// Lists become their items, separated by commas, as on the command line.
fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(is) => Some(is.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<_>> =
                items.iter().map(|item| text_of(item).filter(|_| !item.is_array())).collect();
            items.map(|items| items.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

/// Kubernetes gives every pod variables for every service beside it: one called
/// `carillon-gateway` sets `CARILLON_GATEWAY_SERVICE_HOST` and the like.
fn is_of_kubernetes(variable: &str) -> bool {
    let of_port = |rest: &str| {
        let mut parts = rest.split('_');
        parts.next().is_some_and(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
            && parts.next().is_some_and(|protocol| matches!(protocol, "TCP" | "UDP" | "SCTP"))
    };
    variable.ends_with("_SERVICE_HOST")
        || variable.contains("_SERVICE_PORT")
        || variable.ends_with("_PORT")
        || variable.match_indices("_PORT_").any(|(at, matched)| of_port(&variable[at + matched.len()..]))
}
