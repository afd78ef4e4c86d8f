//! Looks settings up for one role, and keeps a list of what is wrong with them
//! instead of giving up at the first.

use super::settings::{Setting, Shown, settings};
use super::value::{Parsed, mask_url};
use super::{Layers, Mistake, Mistakes, Role, Source};

/// A role's configuration with what an operator should hear about it.
#[derive(Debug)]
pub struct Checked<T> {
    /// The values.
    pub config: T,
    /// What works, but should not stay as it is.
    pub warnings: Vec<String>,
    /// Every setting of the role as it counts, in the order of the help.
    pub effective: Vec<Effective>,
}

/// A setting as it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// Its name.
    pub name: &'static str,
    /// Its value without secrets; `None`: not set.
    pub value: Option<String>,
    /// Where it was said.
    pub source: Source,
}

/// Reads the settings of one role.
pub struct Reader<'a> {
    role: Role,
    layers: &'a Layers,
    mistakes: Vec<Mistake>,
    warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    pub fn new(role: Role, layers: &'a Layers) -> Self {
        Self { role, layers, mistakes: layers.mistakes(role), warnings: Vec::new() }
    }

    /// A setting that has a default.
    pub fn given<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> T {
        let setting = self.setting(name);
        let default = setting.default_of(self.role).expect("the list of settings gives a default");
        let default = || parse(default).expect("defaults are right");
        let Some((text, source)) = self.layers.find(name) else { return default() };
        match parse(text) {
            Ok(value) => value,
            Err(right) => {
                self.wrong(setting, text, source, right);
                default()
            }
        }
    }

    /// A setting without a default; `None` if it is not set, or wrong.
    pub fn optional<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        let setting = self.setting(name);
        let (text, source) = self.layers.find(name)?;
        parse(text).map_err(|right| self.wrong(setting, text, source, right)).ok()
    }

    /// A setting that must be set; `None` only together with a mistake.
    pub fn required<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        if self.layers.find(name).is_none() {
            let setting = self.setting(name);
            let help = setting.help;
            self.mistake(
                name,
                None,
                format!("is needed and not set. {help} (--{}, {})", setting.flag, variable(name)),
            );
        }
        self.optional(name, parse)
    }

    /// Where a setting was said, if it was.
    pub fn source(&self, name: &str) -> Option<Source> {
        self.layers.find(name).map(|(_, source)| source)
    }

    /// Notes a mistake that concerns more than one setting's form.
    pub fn mistake(&mut self, about: &str, source: Option<Source>, text: String) {
        self.mistakes.push(Mistake { about: about.to_owned(), source, text });
    }

    /// Notes what works, but should not stay as it is.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// The configuration, if nothing is wrong with it.
    pub fn finish<T>(self, config: Option<T>) -> Result<Checked<T>, Mistakes> {
        match config {
            Some(config) if self.mistakes.is_empty() => {
                let of_role = settings().iter().filter(|setting| setting.is_of(self.role));
                let effective = of_role.map(|setting| effective(setting, self.role, self.layers)).collect();
                Ok(Checked { config, warnings: self.warnings, effective })
            }
            _ => Err(Mistakes { role: self.role, list: self.mistakes }),
        }
    }

    fn setting(&self, name: &str) -> &'static Setting {
        let setting = settings().iter().find(|setting| setting.name == name);
        let setting = setting.expect("a setting that is read is in the list");
        debug_assert!(setting.is_of(self.role), "{name} is not listed for {:?}", self.role);
        setting
    }

    fn wrong(&mut self, setting: &Setting, text: &str, source: Source, right: String) {
        let text = match setting.shown {
            Shown::Whole => format!("{text:?} {right}"),
            Shown::Masked | Shown::MaskedUrl => right,
        };
        self.mistake(setting.name, Some(source), text);
    }
}

/// The variable of a setting.
fn variable(name: &str) -> String {
    format!("CARILLON_{}", name.to_ascii_uppercase())
}

fn effective(setting: &'static Setting, role: Role, layers: &Layers) -> Effective {
    let (value, source) = match layers.find(setting.name) {
        Some((text, source)) => (Some(text.to_owned()), source),
        None => (setting.default_of(role).map(str::to_owned), Source::Default),
    };
    let value = value.map(|value| match setting.shown {
        Shown::Whole => value,
        Shown::MaskedUrl => mask_url(&value),
        Shown::Masked => "***".to_owned(),
    });
    Effective { name: setting.name, value, source }
}
