//! Stands before a running gateway and does to deliveries what a faulty one
//! would: to see what a client, or the load generator, makes of it.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use testkit::deliveries::DeliveryProxy;
use testkit::tamper::Faults;

/// Loses, doubles, swaps or alters every n-th delivery of a gateway, until Ctrl-C.
#[derive(Parser)]
#[command(max_term_width = 100)]
struct Cli {
    /// The gateway.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    gateway: String,
    /// Where to listen for its clients.
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// Lose every n-th delivery; 0: none.
    #[arg(long, default_value_t = 0, value_name = "N")]
    drop_every: u64,
    /// Double every n-th delivery; 0: none.
    #[arg(long, default_value_t = 0, value_name = "N")]
    repeat_every: u64,
    /// Put every n-th delivery behind the next one of its connection; 0: none.
    #[arg(long, default_value_t = 0, value_name = "N")]
    swap_every: u64,
    /// Alter the text of every n-th delivery; 0: of none.
    #[arg(long, default_value_t = 0, value_name = "N")]
    alter_every: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Cli) -> anyhow::Result<()> {
    let proxy = DeliveryProxy::listen(options.listen, &options.gateway).await?;
    proxy.set(Faults {
        drop_every: options.drop_every,
        repeat_every: options.repeat_every,
        swap_every: options.swap_every,
        alter_every: options.alter_every,
    });
    println!("{} by way of {}", options.gateway, proxy.url());
    tokio::signal::ctrl_c().await?;
    println!("{:?}", proxy.counts());
    Ok(())
}
