//! Many connect and are idle: how fast, how long each takes, and what they cost.

use std::time::Duration;

use super::crowd::Crowd;
use crate::clock;
use crate::plan::{self, Plan};
use crate::process::{self, Used};
use crate::report::{Connect, Outcome, Report};

/// All are connected by then.
const CONNECTED: Duration = Duration::from_secs(300);
/// A message is not coming any more when nothing came for this long.
const QUIET: Duration = Duration::from_secs(5);

/// Runs the scenario.
pub async fn run(plan: &Plan, of: &plan::Crowd) -> anyhow::Result<Report> {
    let mut crowd = plan.stage.prepare(Crowd::gather(plan, of, Duration::ZERO)).await?;
    let memory_before = process::memory(&plan.metrics, &plan.pids).await?;
    let start = clock::now();
    crowd.connect(CONNECTED).await?;
    let seconds = (crowd.board().last_event - start) as f64 / 1e6;
    eprintln!("idle for {:?} after {:?}", plan.duration, plan.warmup);
    tokio::time::sleep(plan.warmup).await;
    let memory_after = process::memory(&plan.metrics, &plan.pids).await?;
    let before = Used::now(&plan.pids);
    tokio::time::sleep(plan.duration).await;
    let costs = Used::now(&plan.pids).since(&before, 0, 0);
    eprintln!("saying something in each room");
    crowd.say(1).await?;
    crowd.until_heard(QUIET).await;
    let missed = crowd.board().missed(crowd.sent);
    let due = crowd.due();
    let result = {
        let mut board = crowd.board();
        if missed > 0 {
            board.violations.push(format!("{missed} of {due} deliveries did not come"));
        }
        if board.closed > 0 || board.failed_attempts > 0 {
            let (closed, failed) = (board.closed, board.failed_attempts);
            board.violations.push(format!("{closed} connections were closed, {failed} attempts failed"));
        }
        Connect {
            connections: of.connections,
            members: of.members,
            seconds,
            per_second: of.connections as f64 / seconds,
            authenticated_ms: (&board.authenticated).into(),
            joined_ms: (&board.joined).into(),
            memory_before,
            memory_after,
            memory_per_connection: memory_before
                .zip(memory_after)
                .map(|(before, after)| (after as f64 - before as f64) / of.connections as f64),
            idle_seconds: plan.duration.as_secs_f64(),
        }
    };
    Ok(Report {
        wire: plan.wire.to_string(),
        result: Outcome::Connect(result),
        costs,
        violations: crowd.end().await,
    })
}
