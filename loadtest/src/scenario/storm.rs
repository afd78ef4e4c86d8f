//! Many lose their connections at once and come back at once: how long it
//! takes until all are back and have what was said meanwhile.

use std::time::Duration;

use anyhow::ensure;

use super::crowd::Crowd;
use crate::clock;
use crate::part::{Counted, Part, Storm};
use crate::plan::{self, Plan};
use crate::process::Used;
use crate::stage::Point;
use crate::timeline::{self, Phase};

/// All are connected, and back, by then.
const CONNECTED: Duration = Duration::from_secs(300);
/// A message is not coming any more, and nobody is lost any more, when nothing
/// happened for this long.
const QUIET: Duration = Duration::from_secs(5);

/// Runs the scenario.
pub async fn run(plan: &Plan, of: &plan::Crowd, storm: &plan::Storm) -> anyhow::Result<Part> {
    let stage = &plan.stage;
    let mut crowd = stage.prepare(Crowd::gather(plan, of, storm.spread)).await?;
    stage.meet(Point::Gathered).await?;
    crowd.connect(CONNECTED).await?;
    let all = crowd.connections;
    // So that everybody has somewhere to go on from.
    crowd.say(1).await?;
    if !crowd.until_heard(QUIET, plan.drain).await {
        let missed = crowd.board().missed(1);
        crowd.board().violations.push(format!("{missed} clients heard nothing before the storm"));
    }
    stage.meet(Point::Ready).await?;
    stage.live().begin(Phase::WarmUp, Some(plan.warmup));
    stage.sleep_until(clock::now() + plan.warmup.as_micros() as u64).await;

    crowd.board().due = Some(crowd.sent + storm.messages);
    if storm.by_server {
        timeline::say(format_args!("waiting {:?} for a server to end", plan.duration));
        stage.live().begin(Phase::Measuring, Some(plan.duration));
        crowd.until(plan.duration, |board| board.lost > 0 || stage.is_stopped()).await;
        ensure!(crowd.board().lost > 0, "no connection was lost within {:?}", plan.duration);
    } else {
        stage.live().mark("all connections were reset");
        stage.live().begin(Phase::Away, None);
        crowd.send_away().await;
    }
    timeline::say(format_args!("saying {} messages in each room", storm.messages));
    let before;
    if storm.by_server {
        stage.live().begin(Phase::Returning, None);
        before = Used::now(&plan.pids);
        crowd.say(storm.messages).await?;
    } else {
        crowd.say(storm.messages).await?;
        stage.meet(Point::Away).await?;
        before = Used::now(&plan.pids);
        stage.live().begin(Phase::Returning, None);
        crowd.let_go();
    }
    let quiet = if storm.by_server { QUIET.as_micros() as u64 } else { 0 };
    let back =
        crowd.until(CONNECTED, |board| board.connected == all && clock::now() >= board.last_event + quiet);
    if !back.await {
        let connected = crowd.board().connected;
        crowd.board().violations.push(format!("only {connected} of {all} came back"));
    }
    let costs = Used::now(&plan.pids).since(&before);
    stage.live().begin(Phase::Drain, None);
    crowd.until_heard(QUIET, plan.drain).await;
    crowd.board().due = None;
    // Who hears this has heard whatever still was to come before it.
    crowd.say(1).await?;
    crowd.until_heard(QUIET, plan.drain).await;
    stage.meet(Point::Drained).await?;

    let (due, missed) = (crowd.due(), crowd.board().missed(crowd.sent));
    let result = {
        let mut board = crowd.board();
        if missed > 0 {
            board.violations.wrong.lost += missed;
            board.violations.push(format!("{missed} of {due} deliveries did not come"));
        }
        let from = board.from;
        let since = |at: u64| at.saturating_sub(from.unwrap_or(at)) as f64 / 1e6;
        Storm {
            connections: all,
            members: of.members,
            lost: board.lost,
            closed: board.closed,
            failed_attempts: board.failed_attempts,
            back_seconds: since(board.last_back),
            back: std::mem::take(&mut board.back),
            caught_up: board.caught_up,
            caught_up_seconds: since(board.last_caught_up),
            due,
            missed,
        }
    };
    Ok(Part::new(plan, Counted::Storm(result), costs, crowd.end().await?))
}
