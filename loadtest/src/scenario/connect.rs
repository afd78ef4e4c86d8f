//! Many connect and are idle: how fast, how long each takes, and what they cost.

use std::time::Duration;

use super::crowd::Crowd;
use crate::clock;
use crate::part::{Connect, Counted, Part};
use crate::plan::{self, Plan};
use crate::process::{self, Used};
use crate::stage::Point;
use crate::timeline::{self, Phase};

/// All are connected by then.
const CONNECTED: Duration = Duration::from_secs(300);
/// A message is not coming any more when nothing came for this long.
const QUIET: Duration = Duration::from_secs(5);

/// Runs the scenario.
pub async fn run(plan: &Plan, of: &plan::Crowd) -> anyhow::Result<Part> {
    let stage = &plan.stage;
    let mut crowd = stage.prepare(Crowd::gather(plan, of, Duration::ZERO)).await?;
    stage.meet(Point::Gathered).await?;
    let memory_before = process::memory(&plan.metrics, &plan.pids).await?;
    stage.meet(Point::Weighed).await?;
    let (start, before) = (clock::now(), Used::now(&plan.pids));
    crowd.connect(CONNECTED).await?;
    let seconds = (crowd.board().last_event - start) as f64 / 1e6;
    let connections = crowd.connections;
    stage.meet(Point::Ready).await?;
    // Only now are those of all processes connected.
    let connect_costs = Used::now(&plan.pids).since(&before);
    timeline::say(format_args!("idle for {:?} after {:?}", plan.duration, plan.warmup));
    stage.live().begin(Phase::WarmUp, Some(plan.warmup));
    stage.sleep_until(clock::now() + plan.warmup.as_micros() as u64).await;
    let memory_after = process::memory(&plan.metrics, &plan.pids).await?;
    let before = Used::now(&plan.pids);
    let idle = clock::now();
    stage.live().begin(Phase::Measuring, Some(plan.duration));
    stage.sleep_until(idle + plan.duration.as_micros() as u64).await;
    let costs = Used::now(&plan.pids).since(&before);
    let idle_seconds = (clock::now() - idle) as f64 / 1e6;
    timeline::say("saying something in each room");
    stage.live().begin(Phase::Drain, None);
    crowd.say(1).await?;
    crowd.until_heard(QUIET, plan.drain).await;
    stage.meet(Point::Drained).await?;
    let missed = crowd.board().missed(crowd.sent);
    let due = crowd.due();
    let result = {
        let mut board = crowd.board();
        if missed > 0 {
            board.violations.wrong.lost += missed;
            board.violations.push(format!("{missed} of {due} deliveries did not come"));
        }
        if board.closed > 0 || board.failed_attempts > 0 {
            let (closed, failed) = (board.closed, board.failed_attempts);
            board.violations.push(format!("{closed} connections were closed, {failed} attempts failed"));
        }
        Connect {
            connections,
            members: of.members,
            seconds,
            authenticated: std::mem::take(&mut board.authenticated),
            joined: std::mem::take(&mut board.joined),
            memory_before,
            memory_after,
            connect_costs,
            idle_seconds,
        }
    };
    Ok(Part::new(plan, Counted::Connect(result), costs, crowd.end().await?))
}
