//! The scenarios, each in a file of its own.

use crate::part::Part;
use crate::plan::{Plan, Scenario};

mod chance;
mod chat;
mod connect;
mod crowd;
mod pace;
mod storm;
mod talk;

/// Runs the plan.
pub async fn run(plan: Plan) -> anyhow::Result<Part> {
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
