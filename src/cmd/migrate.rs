//! `migrate`: brings the database to this version.

use ::dispatcher::store::postgres;
use anyhow::Context;

use crate::config::Migrate;

/// Applies what is missing, and prints it.
pub fn run(config: Migrate) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let migrated = runtime.block_on(postgres::migrate(config.database_url.reveal()));
    let report = migrated.map_err(super::of_store).context("migrating the database")?;
    for name in &report.applied {
        println!("applied {name}");
    }
    println!("the schema has version {}", report.version);
    Ok(())
}
