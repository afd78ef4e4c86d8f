//! The scenarios, each in a file of its own.

use hdrhistogram::Histogram;

use crate::plan::{Plan, Scenario};
use crate::report::Report;

mod chance;
mod chat;
mod connect;
mod crowd;
mod pace;
mod storm;
mod talk;

/// Longer latencies count as this: two minutes.
const LONGEST_MICROS: u64 = 120_000_000;

/// Runs the plan.
pub async fn run(plan: Plan) -> anyhow::Result<Report> {
    tokio::task::LocalSet::new()
        .run_until(async {
            match &plan.scenario {
                Scenario::Talk(talk) => talk::run(&plan, talk).await,
                Scenario::Connect(crowd) => connect::run(&plan, crowd).await,
                Scenario::Storm(crowd, storm) => storm::run(&plan, crowd, storm).await,
                Scenario::Chat(chat) => chat::run(&plan, chat).await,
            }
        })
        .await
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(LONGEST_MICROS, 3).expect("three digits up to two minutes are allowed")
}
