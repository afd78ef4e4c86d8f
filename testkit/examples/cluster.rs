//! Starts a cluster of real processes on servers of its own, says where it
//! listens, and stops it on Ctrl-C: something to point the load generator at.
//!
//!     cargo build --release
//!     cargo run --release -p testkit --example cluster -- target/release/carillon 3 2
//!
//! Arguments: the program, how many gateways, how many dispatchers. PostgreSQL
//! flushes for real.

use anyhow::Context as _;
use testkit::cluster::{ClusterOptions, SECRET, binary};
use testkit::servers::PostgresOptions;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let program = args.next().unwrap_or_else(|| "target/release/carillon".to_owned());
    // The nodes run in folders of their own.
    let program = std::path::absolute(&program)?;
    let mut count = |default| args.next().map_or(Ok(default), |count| count.parse());
    let options = ClusterOptions {
        gateways: count(3).context("how many gateways")?,
        dispatchers: count(2).context("how many dispatchers")?,
        postgres: PostgresOptions { fsync: true, ..Default::default() },
        ..Default::default()
    };
    let system = binary(program).cluster(options).await?;
    println!("CARILLON_JWT_SECRET='{SECRET}'");
    println!("--target {}", system.gateway_urls().join(","));
    println!("--database {}", system.database_url());
    for node in system.gateways().iter().chain(system.dispatchers()) {
        println!(
            "{} is process {} and shows its metrics at {}/metrics",
            node.name(),
            node.pid().unwrap_or(0),
            node.admin().base()
        );
    }
    tokio::signal::ctrl_c().await?;
    drop(system);
    Ok(())
}
