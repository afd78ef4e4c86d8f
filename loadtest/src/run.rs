//! One run: connect, join, warm up, measure, wait for the last delivery, check.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::bail;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hdrhistogram::Histogram;
use proto::v1::{ClientFrame, Join, Send, ServerFrame, client_frame::Request, server_frame::Body};
use tokio::task::{JoinSet, LocalSet};

use crate::check::{self, Heard};
use crate::clock;
use crate::plan::Plan;
use crate::report::Report;
use crate::rooms::{self, Room};
use crate::wire::{self, Reader, Received, Writer};

/// Connections opened at once.
const CONNECT_AT_ONCE: usize = 64;
/// Longer latencies count as this: a minute.
const LONGEST_MICROS: u64 = 60_000_000;
/// Violations kept.
const MAX_VIOLATIONS: usize = 20;
/// How long the last deliveries may take.
const DRAIN: Duration = Duration::from_secs(15);

/// What everyone writes down.
struct Tally {
    from: u64,
    to: u64,
    answers: Histogram<u64>,
    deliveries: Histogram<u64>,
    answered: u64,
    delivered: u64,
    refused: u64,
    answered_in_time: u64,
    delivered_in_time: u64,
    /// By room and member.
    heard: Vec<Vec<Heard>>,
    violations: Vec<String>,
}

impl Tally {
    fn measures(&self, at: u64) -> bool {
        (self.from..self.to).contains(&at)
    }

    fn violation(&mut self, what: String) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(what);
        }
    }
}

struct Client {
    room: usize,
    member: usize,
    reader: Reader,
    writer: Writer,
}

/// Runs the plan.
pub async fn run(plan: Plan) -> anyhow::Result<Report> {
    LocalSet::new().run_until(run_local(plan)).await
}

async fn run_local(plan: Plan) -> anyhow::Result<Report> {
    eprintln!("creating {} rooms", plan.rooms);
    let rooms = rooms::create(&plan).await?;
    eprintln!("connecting {} clients", plan.rooms * plan.members);
    let clients = connect(&plan, &rooms).await?;

    let from = clock::now() + plan.warmup.as_micros() as u64;
    let tally = Rc::new(RefCell::new(Tally {
        from,
        to: from + plan.duration.as_micros() as u64,
        answers: Histogram::new_with_max(LONGEST_MICROS, 3)?,
        deliveries: Histogram::new_with_max(LONGEST_MICROS, 3)?,
        answered: 0,
        delivered: 0,
        refused: 0,
        answered_in_time: 0,
        delivered_in_time: 0,
        heard: (0..plan.rooms).map(|_| (0..plan.members).map(|_| Heard::default()).collect()).collect(),
        violations: Vec::new(),
    }));
    let senders = plan.rooms * plan.senders;
    eprintln!("sending for {:?} after {:?}", plan.duration, plan.warmup);
    let mut tasks = JoinSet::new();
    let start = clock::now();
    for client in clients {
        let pace = (client.member < plan.senders).then(|| Pace {
            sender: client.room * plan.senders + client.member,
            senders,
            rate: plan.rate,
            window: plan.window,
            start,
            until: tally.borrow().to,
            sent: 0,
        });
        let room = rooms[client.room].id.clone();
        let tally = tally.clone();
        tasks.spawn_local(async move {
            let (number, member) = (client.room, client.member);
            if let Err(error) = talk(client, &room, pace, &tally).await {
                tally.borrow_mut().violation(format!("room {number}, member {member}: {error:#}"));
            }
        });
    }
    finish(&plan, &tally).await;
    tasks.abort_all();
    while tasks.join_next().await.is_some() {}

    let mut tally = Rc::try_unwrap(tally).map_err(|_| anyhow::anyhow!("a client goes on"))?.into_inner();
    compare(&plan, &rooms, &mut tally).await?;
    let seconds = plan.duration.as_secs_f64();
    Ok(Report {
        rooms: plan.rooms,
        members: plan.members,
        senders,
        rate: plan.rate,
        answered: tally.answered,
        delivered: tally.delivered,
        refused: tally.refused,
        answered_per_second: tally.answered_in_time as f64 / seconds,
        delivered_per_second: tally.delivered_in_time as f64 / seconds,
        answer_ms: (&tally.answers).into(),
        delivery_ms: (&tally.deliveries).into(),
        violations: tally.violations,
    })
}

/// When a sender sends.
struct Pace {
    /// Counts the senders of the run.
    sender: usize,
    senders: usize,
    rate: u64,
    window: usize,
    start: u64,
    until: u64,
    sent: u64,
}

impl Pace {
    /// When the next message is to leave, with this many on the way; `None`: not
    /// before something is answered, or never.
    fn next(&self, on_the_way: usize, now: u64) -> Option<u64> {
        let turn = self.sent * self.senders as u64 + self.sender as u64;
        let at = match (turn * 1_000_000).checked_div(self.rate) {
            // Open loop: on time, whatever became of the others.
            Some(due) => self.start + due,
            None if on_the_way < self.window => now,
            None => return None,
        };
        (at < self.until).then_some(at)
    }
}

async fn connect(plan: &Plan, rooms: &[Room]) -> anyhow::Result<Vec<Client>> {
    let places = rooms
        .iter()
        .enumerate()
        .flat_map(|(room, of)| (0..of.members.len()).map(move |member| (room, member)));
    stream::iter(places)
        .map(|(room, member)| async move {
            // Neighbours sit at different gateways.
            let target = &plan.targets[(room + member) % plan.targets.len()];
            let token = rooms::token(&plan.secret, &rooms[room].members[member], false)?;
            let (mut reader, mut writer) = wire::connect(target, &token, plan.encoding).await?;
            expect(&mut reader, |body| matches!(body, Body::Ready(_))).await?;
            let join = Join { room: rooms[room].id.clone(), since: String::new() };
            writer.send(&ClientFrame { id: 1, request: Some(Request::Join(join)) }).await?;
            expect(&mut reader, |body| matches!(body, Body::Joined(_))).await?;
            anyhow::Ok(Client { room, member, reader, writer })
        })
        .buffer_unordered(CONNECT_AT_ONCE)
        .try_collect()
        .await
}

async fn expect(reader: &mut Reader, what: impl Fn(&Body) -> bool) -> anyhow::Result<()> {
    loop {
        match reader.next().await? {
            Received::Frame(frame) => match frame.body {
                Some(body) if what(&body) => return Ok(()),
                Some(Body::Error(error)) => bail!("{}: {}", error.code, error.message),
                _ => {}
            },
            Received::Ping => {}
            Received::Closed(code, reason) => bail!("closed with {code}: {reason}"),
        }
    }
}

/// Sends what is due and hears what comes, until it is aborted.
async fn talk(
    mut client: Client,
    room: &str,
    mut pace: Option<Pace>,
    tally: &RefCell<Tally>,
) -> anyhow::Result<()> {
    let mut on_the_way: HashMap<u64, u64> = HashMap::new();
    loop {
        let now = clock::now();
        let due = pace.as_ref().and_then(|pace| pace.next(on_the_way.len(), now));
        if let (Some(at), Some(pace)) = (due.filter(|at| *at <= now), &mut pace) {
            let number = pace.sent;
            pace.sent += 1;
            let key = format!("{}-{number}", pace.sender);
            let send = Send {
                room: room.to_owned(),
                key,
                text: check::text(pace.sender, number, at),
                ..Send::default()
            };
            // Request 1 was the join.
            on_the_way.insert(number + 2, at);
            client.writer.send(&ClientFrame { id: number + 2, request: Some(Request::Send(send)) }).await?;
            continue;
        }
        let received = tokio::select! {
            received = client.reader.next() => received?,
            () = tokio::time::sleep_until(clock::at(due.unwrap_or(0))), if due.is_some() => continue,
        };
        match received {
            Received::Frame(frame) => {
                hear(*frame, client.room, client.member, &mut on_the_way, &mut tally.borrow_mut())
            }
            Received::Ping => client.writer.pong().await?,
            Received::Closed(code, reason) => {
                let _ = client.writer.close().await;
                bail!("closed with {code}: {reason}");
            }
        }
    }
}

fn hear(
    frame: ServerFrame,
    room: usize,
    member: usize,
    on_the_way: &mut HashMap<u64, u64>,
    tally: &mut Tally,
) {
    let now = clock::now();
    match frame.body {
        Some(Body::Sent(_)) => {
            tally.answered += 1;
            if let Some(at) = on_the_way.remove(&frame.re)
                && tally.measures(now)
            {
                tally.answered_in_time += 1;
                tally.answers.saturating_record(now.saturating_sub(at));
            }
        }
        Some(Body::Error(error)) => {
            on_the_way.remove(&frame.re);
            tally.refused += 1;
            tally.violation(format!("refused: {}: {}", error.code, error.message));
        }
        Some(Body::Message(message)) => {
            let Some((sender, number, at)) = check::parse(&message.text) else {
                return tally.violation(format!("a text that nobody sent: {}", message.text));
            };
            tally.delivered += 1;
            if tally.measures(now) {
                tally.delivered_in_time += 1;
                tally.deliveries.saturating_record(now.saturating_sub(at));
            }
            if let Err(why) = tally.heard[room][member].take(frame.seq, sender, number) {
                tally.violation(format!("room {room}, member {member}: {why}"));
            }
        }
        _ => {}
    }
}

/// Waits for the end of measuring, and then for the last delivery.
async fn finish(plan: &Plan, tally: &RefCell<Tally>) {
    let to = tally.borrow().to;
    while clock::now() < to {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let tally = tally.borrow();
        eprintln!("{} answered, {} delivered", tally.answered, tally.delivered);
    }
    let deadline = clock::now() + DRAIN.as_micros() as u64;
    let mut before = 0;
    while clock::now() < deadline {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let tally = tally.borrow();
        // All heard, and nothing on its way that nobody has heard of yet.
        if tally.delivered == tally.answered * plan.members as u64 && tally.answered == before {
            return;
        }
        before = tally.answered;
    }
}

/// Members with each other, and with the store.
async fn compare(plan: &Plan, rooms: &[Room], tally: &mut Tally) -> anyhow::Result<()> {
    eprintln!("comparing with the store");
    let expected = tally.answered * plan.members as u64;
    if tally.delivered != expected {
        tally.violation(format!("{} deliveries instead of {expected}", tally.delivered));
    }
    for (number, room) in rooms.iter().enumerate() {
        let mut stored = Heard::default();
        for (at, text) in rooms::stored(plan, room).await?.iter().enumerate() {
            match check::parse(text) {
                Some((sender, message, _)) => {
                    if let Err(why) = stored.take(at as u64 + 1, sender, message) {
                        tally.violation(format!("room {number} in the store: {why}"));
                    }
                }
                None => tally.violation(format!("room {number} in the store: a text that nobody sent")),
            }
        }
        for member in 0..plan.members {
            let heard = &tally.heard[number][member];
            let (order, count) = (heard.order, heard.count);
            if (order, count) != (stored.order, stored.count) {
                tally.violation(format!(
                    "room {number}, member {member}: heard {count} messages, the store has {} in its order",
                    stored.count
                ));
            }
        }
    }
    Ok(())
}
