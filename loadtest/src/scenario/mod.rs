//! The scenarios, each in a file of its own.

use anyhow::bail;
use tokio::task::JoinSet;

use crate::part::Part;
use crate::plan::{Plan, Scenario};
use crate::timeline;

mod chance;
mod chat;
mod connect;
mod crowd;
mod pace;
mod storm;
mod talk;

/// Stops what clients do. An error: one of them has panicked, and has checked
/// nothing since.
async fn stop(mut clients: JoinSet<()>) -> anyhow::Result<()> {
    clients.abort_all();
    while let Some(ended) = clients.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            bail!("a client has panicked: {error}");
        }
    }
    Ok(())
}

/// Runs the plan.
pub async fn run(plan: Plan) -> anyhow::Result<Part> {
    tokio::task::LocalSet::new()
        .run_until(async {
            let (stage, metrics, pids) = (plan.stage.clone(), plan.metrics.clone(), plan.pids.clone());
            let recorder = tokio::task::spawn_local(timeline::record(stage, metrics, pids));
            let part = match &plan.scenario {
                Scenario::Talk(talk) => talk::run(&plan, talk).await,
                Scenario::Connect(crowd) => connect::run(&plan, crowd).await,
                Scenario::Storm(crowd, storm) => storm::run(&plan, crowd, storm).await,
                Scenario::Chat(chat) => chat::run(&plan, chat).await,
            };
            recorder.abort();
            timeline::finish(plan.stage.live());
            let mut part = part?;
            part.timeline = plan.stage.live().timeline();
            Ok(part)
        })
        .await
}
