//! The scenarios, each in a file of its own.

use hdrhistogram::Histogram;

use crate::plan::{Plan, Scenario};
use crate::report::Report;
use crate::timeline;

mod connect;
mod crowd;
mod pace;
mod storm;
mod talk;

/// Longer latencies count as this: two minutes.
const LONGEST_MICROS: u64 = 120_000_000;

/// Runs the plan; its [stage](crate::stage::Stage::live) holds the timeline.
pub async fn run(plan: Plan) -> anyhow::Result<Report> {
    tokio::task::LocalSet::new()
        .run_until(async {
            let (stage, metrics, pids) = (plan.stage.clone(), plan.metrics.clone(), plan.pids.clone());
            let recorder = tokio::task::spawn_local(timeline::record(stage, metrics, pids));
            let report = match &plan.scenario {
                Scenario::Talk(talk) => talk::run(&plan, talk).await,
                Scenario::Connect(crowd) => connect::run(&plan, crowd).await,
                Scenario::Storm(crowd, storm) => storm::run(&plan, crowd, storm).await,
            };
            recorder.abort();
            timeline::finish(plan.stage.live());
            report
        })
        .await
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(LONGEST_MICROS, 3).expect("three digits up to two minutes are allowed")
}
