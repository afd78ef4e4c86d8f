//! Carillon: chat, presence and notifications, in one process or a cluster.
//!
//! The one binary, and composition only: configuration becomes adapters, which
//! become a running role. This package alone names an adapter, and knows no
//! rule of chat. The life of a process is this page: read the configuration,
//! run what was asked for ([`cmd`], [`life`]), say in one line what went wrong.

mod cli;
mod cmd;
mod config;
mod key;
mod life;
mod telemetry;
mod top;

use std::process::ExitCode;

use cli::Task;
use config::{Layers, Role};

/// Made for many small, short-lived allocations on many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Fails only if there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (task, layers) = cli::parse();
    match run(task, &layers) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("carillon: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Configuration first, with all its mistakes at once; then the task.
fn run(task: Task, layers: &Layers) -> anyhow::Result<()> {
    match task {
        Task::Standalone => {
            let checked = config::standalone(layers)?;
            let process = checked.config.process.clone();
            life::live(Role::Standalone, &process, &checked.warnings, async |life| {
                cmd::standalone::run(checked.config, life).await
            })
        }
        Task::Gateway => {
            let checked = config::gateway(layers)?;
            let process = checked.config.process.clone();
            life::live(Role::Gateway, &process, &checked.warnings, async |life| {
                cmd::gateway::run(checked.config, life).await
            })
        }
        Task::Dispatcher => {
            let checked = config::dispatcher(layers)?;
            let process = checked.config.process.clone();
            life::live(Role::Dispatcher, &process, &checked.warnings, async |life| {
                cmd::dispatcher::run(checked.config, life).await
            })
        }
        Task::Migrate => cmd::migrate::run(config::migrate(layers)?.config),
        Task::Token(args) => cmd::token::run(config::token(layers)?.config, &args),
        Task::CheckConfig(role) => cmd::check_config::run(layers, role),
        Task::Top(args) => cmd::top::run(&args),
    }
}
