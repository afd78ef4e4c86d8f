//! Everything that people do, for as long as it is wanted: several devices,
//! several rooms, reading, typing, editing, leaving and coming back; and the
//! same while servers fail. At the end every device must have heard every
//! change of its rooms once, in order, and the store must agree.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::pace::Opening;
use crate::clock;
use crate::part::{Chat, Counted, Part};
use crate::plan::{self, Plan};
use crate::process::{self, Cost, Used};
use crate::report::{Injected, Memory};
use crate::rooms;
use crate::scenario;
use crate::stage::Point;
use crate::timeline::{self, Phase};

mod device;
mod faults;
mod happenings;
mod ledger;
mod population;
mod talk;
mod verify;
mod world;

use device::{Device, Order};
use faults::Faults;
use happenings::{Deed, Happenings};
use ledger::View;
use population::Population;
use world::{Board, World};

/// All are connected by then.
const CONNECTED: Duration = Duration::from_secs(300);
/// Times at which memory is looked at.
const LOOKS: u32 = 60;
/// One request over REST may take this long.
const REQUEST: Duration = Duration::from_secs(30);

/// To whom happenings are handed.
type Orders = Vec<mpsc::UnboundedSender<Order>>;

/// Runs the scenario.
pub async fn run(plan: &Plan, chat: &plan::Chat) -> anyhow::Result<Part> {
    let (stage, live) = (&plan.stage, plan.stage.live());
    let world = Rc::new(stage.prepare(gather(plan, chat)).await?);
    stage.meet(Point::Gathered).await?;
    let devices = world.population.devices.len();
    timeline::say(format_args!("connecting {devices} devices of {} users", chat.users));
    live.begin(Phase::Connecting, None);
    let mut tasks = JoinSet::new();
    let mut orders = Orders::with_capacity(devices);
    for number in 0..devices {
        #[expect(
            clippy::disallowed_methods,
            reason = "it holds no more than what is due while a device is away"
        )]
        let (to, from) = mpsc::unbounded_channel();
        orders.push(to);
        tasks.spawn_local(Device::new(world.clone(), number, from).live());
    }
    stage.prepare(connected(&world)).await?;
    // One message in each room, so that everybody has somewhere to go on from.
    for (room, devices) in world.population.heard_by.iter().enumerate() {
        let _ = orders[devices[0]].send((clock::now(), Deed::Send(room)));
    }
    ensure!(
        stage.prepare(settle(&world, CONNECTED)).await?,
        "the first messages were not heard: {:?}",
        world.board.borrow().violations
    );
    stage.meet(Point::Ready).await?;

    let start = clock::now();
    let from = start + (plan.ramp + plan.warmup).as_micros() as u64;
    {
        let board = &mut *world.board.borrow_mut();
        (board.from, board.to) = (from, from + plan.duration.as_micros() as u64);
    }
    timeline::say(format_args!(
        "{} messages/s for {:?} after {:?}",
        chat.rate,
        plan.duration,
        plan.ramp + plan.warmup
    ));
    world.cutting.set(true);
    let faults = Faults::start(&chat.faults, from, live);
    let (measured, ()) = tokio::join!(measure(plan, &world), happen(plan, chat, &world, &orders, start));
    world.cutting.set(false);
    let (costs, memory) = measured;
    live.begin(Phase::Drain, Some(plan.drain));
    let is_settled = settle(&world, plan.drain).await;
    let faults = faults.end().await;
    stage.meet(Point::Drained).await?;
    if !matches!(is_settled, Ok(true)) {
        unsettled(&world, plan.drain);
    }
    for fault in faults.iter().filter(|fault| fault.ended.is_none() || fault.status.is_some_and(|s| s != 0)) {
        world.violation(format!("a fault did not go as told: {fault}"));
    }
    timeline::say("comparing with the store");
    live.begin(Phase::Checking, None);
    if let Err(error) = verify::verify(&world).await {
        world.violation(format!("the store could not be compared: {error:#}"));
    }
    scenario::stop(tasks).await?;
    let world = Rc::try_unwrap(world).map_err(|_| anyhow!("a device goes on"))?;
    Ok(part(plan, chat, world, memory, faults, costs))
}

/// Makes the users and rooms; nobody is connected yet.
async fn gather(plan: &Plan, chat: &plan::Chat) -> anyhow::Result<World> {
    let population = Population::new(chat);
    timeline::say(format_args!("creating {} rooms", population.members.len()));
    let http = reqwest::Client::builder().timeout(REQUEST).build()?;
    let prefix = rooms::prefix(plan);
    let name = |user: &usize| format!("{prefix}-{user}");
    let all: Vec<_> = stream::iter(population.members.iter().enumerate())
        .map(|(number, members)| {
            rooms::create_one(plan, &http, number, members.iter().map(name).collect(), false)
        })
        .buffered(rooms::CREATE_AT_ONCE)
        .try_collect()
        .await?;
    let tokens = (0..chat.users).map(|user| rooms::token(plan, &name(&user))).collect::<Result<_, _>>()?;
    let mut world = World {
        wire: plan.wire,
        targets: plan.targets.clone(),
        http,
        by_id: all.iter().enumerate().map(|(number, room)| (room.id.clone(), number)).collect(),
        rooms: all,
        tokens,
        tolerant: chat.tolerant,
        seed: chat.seed,
        life: chat.life,
        away: chat.away,
        cutting: Cell::new(false),
        gate: Semaphore::new(plan.at_once),
        opening: Opening::new(plan.connect_rate),
        stage: plan.stage.clone(),
        board: Board::new(&[], plan.stage.live().clone()).into(),
        records: Vec::new(),
        population,
    };
    let bases = verify::heads(&world).await?;
    world.board = Board::new(&bases, plan.stage.live().clone()).into();
    world.records = (0..world.population.devices.len())
        .map(|device| {
            let rooms = world.rooms_of(device).iter();
            World::record(rooms.map(|room| View::after(bases[*room])).collect())
        })
        .collect();
    Ok(world)
}

/// Waits until all are connected.
async fn connected(world: &World) -> anyhow::Result<()> {
    let begun = clock::now();
    while !world.is_quiet() {
        let now = clock::now();
        if now > begun + CONNECTED.as_micros() as u64 {
            let board = world.board.borrow();
            let failed = board.connections.failed_attempts;
            return Err(anyhow!(
                "{} of {} connected; {failed} attempts failed: {:?}",
                world.records.iter().filter(|record| record.borrow().is_here).count(),
                world.records.len(),
                board.violations
            ));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Waits until everybody is here and has heard all that is stored; false: it
/// takes too long.
async fn settle(world: &World, limit: Duration) -> anyhow::Result<bool> {
    let deadline = clock::now() + limit.as_micros() as u64;
    let mut heads = None;
    while clock::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if !world.is_quiet() {
            continue;
        }
        let heads = match &heads {
            Some(heads) => heads,
            // Nothing is on its way any more: these are the last ones.
            None => heads.insert(verify::heads(world).await?),
        };
        if world.has_heard(heads) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Says who was waited for in vain.
fn unsettled(world: &World, limit: Duration) {
    let (mut gone, mut sends, mut edits) = (0, 0, 0);
    for record in &world.records {
        let record = record.borrow();
        gone += usize::from(!record.is_here);
        sends += record.open.len();
        edits += record.open_edits;
    }
    world.violation(format!(
        "after {limit:?} of waiting {gone} devices were not back, {sends} sends and {edits} edits not \
         answered, or something not heard"
    ));
}

/// Lets happen what is due, until measuring ends.
async fn happen(plan: &Plan, chat: &plan::Chat, world: &World, orders: &Orders, start: u64) {
    let to = world.board.borrow().to;
    for one in Happenings::new(chat, &world.population, plan.ramp) {
        let at = start + one.at;
        if at >= to || plan.stage.is_stopped() {
            return;
        }
        if at > clock::now() {
            plan.stage.sleep_until(at).await;
        }
        let by = world.somebody_here(one.device, one.deed.room());
        let actions = &mut world.board.borrow_mut().actions;
        let device = match (by, one.deed) {
            (Some(device), _) => device,
            // When all are away, it waits for one to come back.
            (None, Deed::Send(_)) => one.device,
            (None, _) => {
                actions.skipped += 1;
                continue;
            }
        };
        actions.handed_on += u64::from(device != one.device);
        // An error: it has ended by a panic, which shows at the end.
        let _ = orders[device].send((at, one.deed));
    }
}

/// Waits for the end of measuring; says what it cost the servers, and what
/// memory they took meanwhile.
async fn measure(plan: &Plan, world: &World) -> (Vec<Cost>, Vec<Memory>) {
    let stage = &plan.stage;
    let (from, to) = (world.board.borrow().from, world.board.borrow().to);
    if !plan.ramp.is_zero() {
        stage.live().begin(Phase::Ramp, Some(plan.ramp));
        stage.sleep_until(from - plan.warmup.as_micros() as u64).await;
    }
    stage.live().begin(Phase::WarmUp, Some(plan.warmup));
    stage.sleep_until(from).await;
    {
        let board = &mut *world.board.borrow_mut();
        // Ended before time, the phase that was not reached has no length.
        board.from = from.min(clock::now());
        board.to = to.max(board.from);
    }
    stage.live().begin(Phase::Measuring, Some(plan.duration));
    let mut memory = vec![remember(plan, from).await];
    let before = Used::now(&plan.pids);
    let every = (plan.duration / LOOKS).max(Duration::from_secs(1)).as_micros() as u64;
    let mut next_look = from + every;
    while clock::now() < to && !stage.is_stopped() {
        stage.sleep_until(to.min(clock::now() + 1_000_000)).await;
        if clock::now() >= next_look {
            next_look += every;
            memory.push(remember(plan, from).await);
        }
    }
    world.board.borrow_mut().to = to.min(clock::now());
    (Used::now(&plan.pids).since(&before), memory)
}

/// How much memory is taken now. A server that does not say is left out: it may
/// be down, as it is told to be.
async fn remember(plan: &Plan, from: u64) -> Memory {
    let servers =
        tokio::time::timeout(Duration::from_millis(500), process::memory(&plan.metrics, &plan.pids));
    Memory {
        second: clock::now().saturating_sub(from) as f64 / 1e6,
        servers: servers.await.ok().and_then(Result::ok).flatten(),
        generator: process::memory(&[], &[std::process::id()]).await.ok().flatten(),
    }
}

fn part(
    plan: &Plan,
    chat: &plan::Chat,
    world: World,
    memory: Vec<Memory>,
    faults: Vec<Injected>,
    costs: Vec<Cost>,
) -> Part {
    let World { population, board, .. } = world;
    let board = board.into_inner();
    let counted = Counted::Chat(Box::new(Chat {
        is_tolerant: chat.tolerant,
        users: chat.users,
        devices: population.devices.len(),
        rooms: chat.rooms,
        largest_room: population.members.iter().map(Vec::len).max().unwrap_or_default(),
        rate: chat.rate,
        seed: chat.seed,
        answered: board.answered,
        delivered: board.delivered,
        micros: board.to.saturating_sub(board.from),
        answered_in_time: board.answered_in_time,
        delivered_in_time: board.delivered_in_time,
        answers: board.answers,
        deliveries: board.deliveries,
        pages: board.pages,
        caught_up: board.caught_up,
        actions: board.actions,
        connections: board.connections,
        memory,
        faults,
    }));
    Part::new(plan, counted, costs, board.violations)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plan to try pure parts with.
    pub fn chat() -> plan::Chat {
        plan::Chat {
            users: 60,
            devices: 3,
            rooms: 8,
            rooms_per_user: 3,
            zipf: 1.0,
            seed: 1,
            rate: 50,
            mix: plan::Mix { typing: 0.3, reads: 1.5, presence: 0.1, history: 0.05, edits: 0.05 },
            life: None,
            away: Duration::ZERO,
            tolerant: false,
            faults: Vec::new(),
        }
    }
}
