//! Scenario files: TOML whose keys are the flags' names.

use std::path::Path;

use anyhow::Context as _;

use crate::args::Settings;

/// Reads one. An error names the key and the line.
pub fn read(file: &Path) -> anyhow::Result<Settings> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    parse(&text).with_context(|| format!("in {}", file.display()))
}

fn parse(text: &str) -> anyhow::Result<Settings> {
    Ok(toml::from_str(text)?)
}

/// Writes filled settings as such a file; without the secret, which has no key.
pub fn write(settings: &Settings) -> anyhow::Result<String> {
    Ok(toml::to_string_pretty(settings)?)
}
