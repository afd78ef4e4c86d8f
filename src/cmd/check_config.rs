//! `check-config`: what counts, and where it was said; or everything that is wrong.

use std::fmt::Write;

use crate::config::{self, Checked, Effective, Layers, Mistakes, Role};

/// Prints the settings of a role as lines of a `carillon.toml`.
pub fn run(layers: &Layers, role: Role) -> anyhow::Result<()> {
    let (effective, warnings) = match role {
        Role::Standalone => shown(config::standalone(layers)),
        Role::Gateway => shown(config::gateway(layers)),
        Role::Dispatcher => shown(config::dispatcher(layers)),
        Role::Migrate => shown(config::migrate(layers)),
        Role::Token => shown(config::token(layers)),
    }?;
    print!("{}", table(role, &effective));
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    Ok(())
}

fn shown<T>(checked: Result<Checked<T>, Mistakes>) -> Result<(Vec<Effective>, Vec<String>), Mistakes> {
    checked.map(|checked| (checked.effective, checked.warnings))
}

/// Numbers and booleans as they are, the rest as text.
fn in_toml(value: &str) -> String {
    if value.parse::<i64>().is_ok() || value.parse::<bool>().is_ok() {
        return value.to_owned();
    }
    serde_json::Value::from(value).to_string()
}

fn table(role: Role, effective: &[Effective]) -> String {
    let mut table = format!("# The configuration of `{}`: good\n", role.name());
    for Effective { name, value, source } in effective {
        let line = match value {
            Some(value) => format!("{name} = {}", in_toml(value)),
            None => format!("# {name} is not set"),
        };
        match value {
            Some(_) => writeln!(table, "{line:<60} # {source}"),
            None => writeln!(table, "{line}"),
        }
        .expect("a string takes everything");
    }
    table
}
