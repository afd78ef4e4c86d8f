//! Runs the floor of the benchmark as a process of its own.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Parser;
use rlimit::Resource;
use tokio::signal::unix::{SignalKind, signal};

// As in `carillon`, so that allocators are not what is compared.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The floor of the benchmark: hands each frame to a room's sockets, and does
/// nothing else. No token is looked at, no rule checked, nothing stored.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1")]
    host: std::net::IpAddr,
    /// 0: any that is free.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Threads that do the work.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// Frame by hand, and write once per socket and turn, instead of once per
    /// message through tokio-tungstenite.
    #[arg(long)]
    cork: bool,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let (_, most) = Resource::NOFILE.get().context("reading the limit of descriptors")?;
    Resource::NOFILE.set(most, most).context("raising the limit of descriptors")?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cli.threads.into())
        .enable_all()
        .build()?
        .block_on(serve(&cli))
}

async fn serve(cli: &Cli) -> anyhow::Result<()> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let address = SocketAddr::new(cli.host, cli.port);
    let listener = floor::listen(address).with_context(|| format!("listening on {address}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    let sockets = if cli.cork { floor::Sockets::Corked } else { floor::Sockets::Tungstenite };
    tokio::select! {
        ended = floor::run(listener, sockets) => ended,
        _ = term.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
