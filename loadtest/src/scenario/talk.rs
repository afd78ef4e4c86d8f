//! Some talk and all hear: connect, join, warm up, measure, wait for the last
//! delivery, check.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{bail, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::task::JoinSet;

use super::pace::{Opening, Pace};
use crate::check::{self, Fault, Heard};
use crate::clock;
use crate::part::{Counted, Micros, Part, Talk};
use crate::plan::{self, Plan};
use crate::process::{Cost, Used};
use crate::report::Violations;
use crate::rooms::{self, Room};
use crate::stage::Point;
use crate::timeline::{self, Live, Phase};
use crate::wire::{self, Delivery, Entered, Received, Visit};

/// A message to members whose room others send to as well is not coming any
/// more when nothing came for this long.
const QUIET: Duration = Duration::from_secs(3);

/// Between two looks at whether all was heard.
const LOOK: Duration = Duration::from_millis(300);

/// What everyone writes down.
struct Tally {
    from: u64,
    to: u64,
    answers: Micros,
    deliveries: Micros,
    /// Senders that have something to send yet.
    talking: usize,
    /// Messages that are not answered yet.
    on_the_way: u64,
    answered: u64,
    delivered: u64,
    refused: u64,
    answered_in_time: u64,
    delivered_in_time: u64,
    /// By room and member.
    heard: Vec<Vec<Heard>>,
    talk: plan::Talk,
    violations: Violations,
}

impl Tally {
    fn measures(&self, at: u64) -> bool {
        (self.from..self.to).contains(&at)
    }
}

struct Client {
    room: usize,
    member: usize,
    entered: Entered,
}

/// Runs the scenario.
pub async fn run(plan: &Plan, talk: &plan::Talk) -> anyhow::Result<Part> {
    timeline::say(format_args!("creating {} rooms", talk.rooms));
    let (stage, live) = (&plan.stage, plan.stage.live());
    let rooms = stage.prepare(gather(plan, talk)).await?;
    stage.meet(Point::Gathered).await?;
    timeline::say(format_args!("connecting {} clients", plan.scenario.connections()));
    live.begin(Phase::Connecting, None);
    let clients = stage.prepare(connect(plan, talk, &rooms)).await?;
    stage.meet(Point::Ready).await?;

    let start = clock::now();
    let from = start + (plan.ramp + plan.warmup).as_micros() as u64;
    let tally = Rc::new(RefCell::new(Tally {
        from,
        to: from + plan.duration.as_micros() as u64,
        answers: Micros::default(),
        deliveries: Micros::default(),
        talking: clients.iter().filter(|client| client.member < talk.senders).count(),
        on_the_way: 0,
        answered: 0,
        delivered: 0,
        refused: 0,
        answered_in_time: 0,
        delivered_in_time: 0,
        heard: (0..talk.rooms).map(|_| (0..talk.members).map(|_| Heard::default()).collect()).collect(),
        talk: talk.clone(),
        violations: Violations::default(),
    }));
    let senders = talk.rooms * talk.senders;
    timeline::say(format_args!("sending for {:?} after {:?}", plan.duration, plan.ramp + plan.warmup));
    let mut tasks = JoinSet::new();
    for client in clients {
        let pace = (client.member < talk.senders).then(|| Pace {
            sender: sender(talk, client.room, client.member),
            senders,
            rate: talk.rate,
            window: talk.window,
            ramp: plan.ramp,
            start,
            sent: 0,
        });
        let room = rooms[client.room].id.clone();
        let (tally, live) = (tally.clone(), live.clone());
        tasks.spawn_local(async move {
            let (number, member) = (client.room, client.member);
            if let Err(error) = speak(client, &room, pace, &tally, &live).await {
                live.lost();
                tally.borrow_mut().violations.push(format!("room {number}, member {member}: {error:#}"));
            }
        });
    }
    let costs = measure(plan, &tally).await;
    live.begin(Phase::Drain, None);
    drain(plan, talk, &tally).await;
    super::stop(tasks).await?;
    stage.meet(Point::Drained).await?;

    let mut tally = Rc::try_unwrap(tally).map_err(|_| anyhow::anyhow!("a client goes on"))?.into_inner();
    live.begin(Phase::Checking, None);
    compare(plan, talk, &rooms, &mut tally).await?;
    let counted = Counted::Talk(Talk {
        rooms: talk.rooms,
        members: talk.members,
        senders: talk.rooms * talk.own().filter(|member| *member < talk.senders).count(),
        rate: talk.rate,
        spans: talk.slice.is_some(),
        answered: tally.answered,
        delivered: tally.delivered,
        refused: tally.refused,
        // Less than was asked for if the run was ended before time.
        micros: tally.to.saturating_sub(tally.from),
        answered_in_time: tally.answered_in_time,
        delivered_in_time: tally.delivered_in_time,
        answers: tally.answers,
        deliveries: tally.deliveries,
    });
    Ok(Part::new(plan, counted, costs, tally.violations))
}

/// Makes the rooms; those that all workers share are made by the first one,
/// and the others learn their ids.
async fn gather(plan: &Plan, talk: &plan::Talk) -> anyhow::Result<Vec<Room>> {
    let sizes = vec![talk.members; talk.rooms];
    let Some(slice) = &talk.slice else { return rooms::create(plan, &sizes, talk.direct).await };
    let prefix = format!("{}-{}", plan.user_prefix, slice.run);
    if slice.worker == 0 {
        let rooms = rooms::create_as(plan, &prefix, &sizes, talk.direct).await?;
        plan.stage.hand_out(rooms.iter().map(|room| room.id.clone()).collect()).await?;
        return Ok(rooms);
    }
    let ids = plan.stage.handed_out().await?;
    ensure!(ids.len() == talk.rooms, "{} rooms are shared instead of {}", ids.len(), talk.rooms);
    let room = |(number, id)| Room { id, members: rooms::members(&prefix, number, talk.members) };
    Ok(ids.into_iter().enumerate().map(room).collect())
}

/// Counts the senders of the run.
fn sender(talk: &plan::Talk, room: usize, member: usize) -> usize {
    room * talk.senders + member
}

async fn connect(plan: &Plan, talk: &plan::Talk, rooms: &[Room]) -> anyhow::Result<Vec<Client>> {
    let opening = &Opening::new(plan.connect_rate);
    let places = (0..rooms.len()).flat_map(|room| talk.own().map(move |member| (room, member)));
    stream::iter(places)
        .map(|(room, member)| async move {
            opening.turn().await;
            let began = clock::now();
            let visit = Visit {
                // Neighbours sit at different gateways.
                target: &plan.targets[(room + member) % plan.targets.len()],
                token: &rooms::token(plan, &rooms[room].members[member])?,
                room: &rooms[room].id,
                position: "",
            };
            let entered = wire::enter(plan.wire, &visit).await?;
            plan.stage.live().connected(clock::now() - began);
            anyhow::Ok(Client { room, member, entered })
        })
        .buffer_unordered(plan.at_once)
        .try_collect()
        .await
}

/// Sends what is due and hears what comes, until it is aborted.
async fn speak(
    client: Client,
    room: &str,
    mut pace: Option<Pace>,
    tally: &RefCell<Tally>,
    live: &Live,
) -> anyhow::Result<()> {
    let Entered { mut reader, mut writer, .. } = client.entered;
    let mut on_the_way: HashMap<u64, u64> = HashMap::new();
    loop {
        let (now, to) = (clock::now(), tally.borrow().to);
        if pace.take_if(|pace| pace.is_over(now, to)).is_some() {
            tally.borrow_mut().talking -= 1;
        }
        let due = pace.as_ref().and_then(|pace| pace.next(on_the_way.len(), now, to));
        if let (Some(at), Some(pace)) = (due.filter(|at| *at <= now), &mut pace) {
            let number = pace.sent;
            pace.sent += 1;
            let key = format!("{}-{number}", pace.sender);
            on_the_way.insert(number, at);
            tally.borrow_mut().on_the_way += 1;
            writer.send(number, room, &key, check::text(pace.sender, number, at)).await?;
            continue;
        }
        let received = tokio::select! {
            received = reader.next() => received?,
            () = tokio::time::sleep_until(clock::at(due.unwrap_or(0))), if due.is_some() => continue,
        };
        match received {
            Received::Message(delivery) => {
                hear(&delivery, client.room, client.member, &mut tally.borrow_mut(), live);
            }
            Received::Answer(number, result) => {
                answer(on_the_way.remove(&number), result, &mut tally.borrow_mut(), live);
            }
            Received::Error(why) => tally.borrow_mut().violations.push(format!("refused: {why}")),
            Received::Ping(ping) => writer.pong(ping).await?,
            Received::Closed(code, reason) => {
                let _ = writer.close().await;
                bail!("closed with {code}: {reason}");
            }
            Received::Other => {}
        }
    }
}

fn answer(at: Option<u64>, result: Result<(), String>, tally: &mut Tally, live: &Live) {
    tally.on_the_way = tally.on_the_way.saturating_sub(1);
    if let Err(why) = result {
        live.failed();
        tally.refused += 1;
        return tally.violations.push(format!("refused: {why}"));
    }
    let now = clock::now();
    tally.answered += 1;
    let Some(at) = at else { return };
    let micros = now.saturating_sub(at);
    live.answered(micros);
    if tally.measures(now) {
        tally.answered_in_time += 1;
        tally.answers.record(micros);
    }
}

fn hear(delivery: &Delivery, room: usize, member: usize, tally: &mut Tally, live: &Live) {
    let now = clock::now();
    let Some((sender, number, at)) = check::parse(&delivery.text) else {
        let why = format!("room {room}, member {member}: a text that nobody sent: {}", delivery.text);
        return tally.violations.push(why);
    };
    tally.delivered += 1;
    // What another worker has sent has the time of another clock.
    let micros = tally.talk.owns(sender % tally.talk.senders.max(1)).then(|| now.saturating_sub(at));
    live.delivered(micros);
    if tally.measures(now) {
        tally.delivered_in_time += 1;
        if let Some(micros) = micros {
            tally.deliveries.record(micros);
        }
    }
    if let Err(why) = tally.heard[room][member].take(delivery.seq, sender, number) {
        tally.violations.count(&why);
        tally.violations.push(format!("room {room}, member {member}: {why}"));
    }
}

/// Waits for the end of measuring; says what it cost the servers.
async fn measure(plan: &Plan, tally: &RefCell<Tally>) -> Vec<Cost> {
    let stage = &plan.stage;
    // In a statement of its own: borrowed over the wait, nobody could write down anything.
    let from = tally.borrow().from;
    if !plan.ramp.is_zero() {
        stage.live().begin(Phase::Ramp, Some(plan.ramp));
        stage.sleep_until(from - plan.warmup.as_micros() as u64).await;
    }
    stage.live().begin(Phase::WarmUp, Some(plan.warmup));
    stage.sleep_until(from).await;
    {
        let tally = &mut *tally.borrow_mut();
        // Ended before time, the phase that was not reached has no length.
        tally.from = tally.from.min(clock::now());
        tally.to = tally.to.max(tally.from);
    }
    let before = Used::now(&plan.pids);
    stage.live().begin(Phase::Measuring, Some(plan.duration));
    let to = tally.borrow().to;
    stage.sleep_until(to).await;
    if stage.is_stopped() {
        stage.live().mark("ended before time");
    }
    tally.borrow_mut().to = to.min(clock::now());
    Used::now(&plan.pids).since(&before)
}

/// Waits for the last delivery.
async fn drain(plan: &Plan, talk: &plan::Talk, tally: &RefCell<Tally>) {
    let deadline = clock::now() + plan.drain.as_micros() as u64;
    if talk.slice.is_some() {
        return quiet(deadline, tally).await;
    }
    let mut was_settled = false;
    while clock::now() < deadline {
        tokio::time::sleep(LOOK).await;
        let tally = tally.borrow();
        let all = tally.delivered == tally.answered * talk.members as u64
            || plan.wire.may_spare_the_sender()
                && tally.delivered == tally.answered * (talk.members as u64 - 1);
        // Who waits for a turn of theirs when the run is ended does not take it.
        let said = tally.talking == 0 || plan.stage.is_stopped();
        let is_settled = all && said && tally.on_the_way == 0;
        // Twice: what comes a second time comes a little later.
        if is_settled && was_settled {
            return;
        }
        was_settled = is_settled;
    }
}

/// Waits until nothing was heard or answered for a while. How much is due is
/// not known here: others send to the same members.
async fn quiet(deadline: u64, tally: &RefCell<Tally>) {
    let count = || {
        let tally = tally.borrow();
        tally.answered + tally.delivered
    };
    let (mut before, mut since) = (count(), clock::now());
    while clock::now() < deadline.min(since + QUIET.as_micros() as u64) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = count();
        if now != before {
            (before, since) = (now, clock::now());
        }
    }
}

/// Members with the store, which has the one order for those of all workers.
async fn compare(plan: &Plan, talk: &plan::Talk, rooms: &[Room], tally: &mut Tally) -> anyhow::Result<()> {
    timeline::say("comparing with the store");
    // One for all: each new one reads the system's certificates.
    let http = reqwest::Client::new();
    let mut all = 0;
    for (number, room) in rooms.iter().enumerate() {
        let (mut stored, mut messages) = (Heard::default(), Vec::new());
        for text in rooms::stored(&http, plan, room).await? {
            match check::parse(&text) {
                Some((sender, message, _)) => {
                    messages.push((sender, message));
                    if let Err(why) = stored.take(None, sender, message) {
                        // What a gap leaves out is late, or missing in the end.
                        tally.violations.wrong.not_as_sent += u64::from(!matches!(why, Fault::Gap(..)));
                        tally.violations.push(format!("room {number} in the store: {why}"));
                    }
                }
                None => {
                    tally.violations.wrong.not_as_sent += 1;
                    tally.violations.push(format!("room {number} in the store: a text that nobody sent"));
                }
            }
        }
        let own = |sender: usize| talk.owns(sender % talk.senders.max(1));
        all += messages.iter().filter(|(sender, _)| own(*sender)).count() as u64;
        for member in talk.own() {
            let heard = &tally.heard[number][member];
            let own = (member < talk.senders).then(|| sender(talk, number, member));
            let spared = own.filter(|own| plan.wire.may_spare_the_sender() && !heard.knows(*own));
            let due = Heard::of(&messages, spared);
            if (heard.order, heard.count) != (due.order, due.count) {
                tally.violations.wrong.not_as_stored += 1;
                tally.violations.wrong.lost += due.count.saturating_sub(heard.count);
                tally.violations.push(if heard.count == due.count {
                    format!("room {number}, member {member}: heard another order than the store's")
                } else {
                    format!("room {number}, member {member}: heard {} of {}", heard.count, due.count)
                });
            }
        }
    }
    if all != tally.answered {
        tally.violations.wrong.not_as_sent += tally.answered.saturating_sub(all);
        tally.violations.push(format!("{all} messages in the store, {} were answered", tally.answered));
    }
    Ok(())
}
