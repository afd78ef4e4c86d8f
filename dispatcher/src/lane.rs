//! The path of a message: lanes gather what is waiting and append it in one
//! statement, one commit. No timer: while one batch commits, the next fills.
//!
//! All messages of a room go through one lane, in the order they came.

use std::collections::{HashMap, HashSet};
use std::slice::from_ref;
use std::sync::Arc;
use std::time::Duration;

use proto::node::outcome;
use proto::v1::{Change, Message, Sent, change::Thing};
use proto::{ErrorCode, FeedId, MessageId, RoomId};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use crate::command::check::{Actor, Send};
use crate::command::rule;
use crate::publish::{Publication, Publisher};
use crate::queue::{Queues, take};
use crate::reply::Reply;
use crate::retry::{refusal, retry};
use crate::settings::Settings;
use crate::store::{Appended, NewMessage, Store, StoreError, creation_check};
use crate::trace::{Traced, TracedChange};
use crate::{clock, metrics, task};

/// A send that waits for its lane.
pub(crate) struct Item {
    pub(crate) actor: Actor,
    pub(crate) send: Send,
    pub(crate) reply: Reply,
    pub(crate) trace: Option<Traced>,
    /// Since when.
    pub(crate) since: Instant,
}

/// A batch gets at least this long, however long its oldest message has waited.
const LEAST: Duration = Duration::from_secs(1);

/// Starts the lanes. They end after `stop`, when their queues are empty.
pub(crate) fn start(
    tasks: &TaskTracker,
    store: &Arc<dyn Store>,
    publisher: &Publisher,
    settings: &Arc<Settings>,
    stop: &CancellationToken,
) -> Queues<Item> {
    Queues::new((0..settings.lanes.max(1)).map(|number| {
        let (sender, queue) = mpsc::channel(settings.queue_per_lane.max(1));
        let lane =
            Lane { store: store.clone(), publisher: publisher.clone(), settings: settings.clone(), number };
        task::spawn(tasks, "lane", lane.run(queue, stop.clone()));
        sender
    }))
}

struct Lane {
    store: Arc<dyn Store>,
    publisher: Publisher,
    settings: Arc<Settings>,
    number: usize,
}

impl Lane {
    async fn run(self, mut queue: mpsc::Receiver<Item>, stop: CancellationToken) {
        let waiting_gauge = ::metrics::gauge!(metrics::LANE_QUEUE, "lane" => self.number.to_string());
        let max_batch = self.settings.max_batch.max(1);
        let mut waiting = Vec::new();
        loop {
            if waiting.is_empty() {
                if !take(&mut queue, &mut waiting, max_batch, &stop).await {
                    return;
                }
            } else {
                // Repeats were held back: they go on with what else is there.
                while waiting.len() < max_batch
                    && let Ok(item) = queue.try_recv()
                {
                    waiting.push(item);
                }
            }
            let (batch, held) = split_repeats(std::mem::take(&mut waiting));
            waiting = held;
            self.commit(batch).await;
            waiting_gauge.set((queue.len() + waiting.len()) as f64);
        }
    }

    /// Stores a batch, answers the senders, publishes.
    async fn commit(&self, batch: Vec<Item>) {
        let now = Instant::now();
        for item in &batch {
            if let Some(traced) = &item.trace {
                traced.taken_up("send", item.since);
            }
        }
        let (batch, late): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|item| now.duration_since(item.since) < self.settings.store_deadline);
        for item in late {
            // Its gateway is about to give up, or has: storing it would only
            // make the others wait longer.
            item.reply.refuse(ErrorCode::Unavailable.with("too many messages are waiting; try again"));
        }
        let Some(oldest) = batch.iter().map(|item| item.since).min() else { return };
        let messages = new_messages(&batch);
        ::metrics::histogram!(metrics::BATCH_SIZE).record(messages.len() as f64);

        let deadline = (oldest + self.settings.store_deadline).max(now + LEAST);
        match self.append(&batch, &messages, deadline).await {
            Ok(appended) => self.finish(batch, messages, appended),
            Err(StoreError::Fault(cause)) if batch.len() > 1 => {
                // One of them is what the store cannot take. The others must
                // not suffer for it.
                error!(error = %cause, messages = batch.len(), "a batch was refused; storing one by one");
                for (item, message) in batch.into_iter().zip(messages) {
                    let deadline = Instant::now() + self.settings.store_deadline;
                    match self.append(from_ref(&item), from_ref(&message), deadline).await {
                        Ok(appended) => self.finish(vec![item], vec![message], appended),
                        Err(error) => item.reply.refuse(refusal(&error, "append")),
                    }
                }
            }
            Err(error) => {
                let refused = refusal(&error, "append");
                for item in batch {
                    item.reply.refuse(refused.clone());
                }
            }
        }
    }

    /// Appends, again and again with the same ids and keys while the store is
    /// away: a commit whose outcome was unknown answers `Repeated` then.
    async fn append(
        &self,
        batch: &[Item],
        messages: &[NewMessage],
        deadline: Instant,
    ) -> crate::store::Result<Vec<Appended>> {
        let began = Instant::now();
        let appended = retry(deadline, || self.store.append(messages)).await;
        for (item, message) in batch.iter().zip(messages) {
            if let Some(traced) = &item.trace {
                traced.appended(&message.id, messages.len(), began.elapsed(), appended.as_ref().err());
            }
        }
        let appended = appended?;
        ::metrics::histogram!(metrics::COMMIT_SECONDS).record(began.elapsed().as_secs_f64());
        if appended.len() != messages.len() {
            return Err(StoreError::Fault("another number of answers than of messages".into()));
        }
        Ok(appended)
    }

    /// Answers first: the answer means durable, not delivered. Then publishes,
    /// one event for each room.
    fn finish(&self, batch: Vec<Item>, messages: Vec<NewMessage>, appended: Vec<Appended>) {
        let mut events = Events::default();
        for ((item, message), appended) in batch.into_iter().zip(messages).zip(appended) {
            let result = match appended {
                Appended::Stored { seq, ordinal } => {
                    let result = sent(&message.room, &message.id, seq, ordinal, message.time);
                    events.push(message, seq, ordinal, item.trace);
                    result
                }
                Appended::Repeated { id, seq, ordinal, time } => {
                    let result = sent(&message.room, &id, seq, ordinal, time);
                    // Our own, from an attempt that committed without telling.
                    if id == message.id {
                        events.push(message, seq, ordinal, item.trace);
                    }
                    result
                }
                Appended::Conflict => {
                    outcome::Result::Error(ErrorCode::KeyConflict.with("the key was used with other content"))
                }
                Appended::NotMember => outcome::Result::Error(rule::not_member()),
            };
            item.reply.send(result);
        }
        for (room, changes, traced) in events.rooms {
            self.publisher.publish(Publication::Feed(FeedId::Room(room), changes, traced));
        }
    }
}

/// Changes by room: rooms in the order in which they came up, changes in theirs.
#[derive(Default)]
struct Events {
    rooms: Vec<(RoomId, Vec<Change>, Vec<TracedChange>)>,
    places: HashMap<RoomId, usize>,
}

impl Events {
    fn push(&mut self, message: NewMessage, seq: u64, ordinal: u64, trace: Option<Traced>) {
        let place = *self.places.entry(message.room.clone()).or_insert_with(|| {
            self.rooms.push((message.room.clone(), Vec::new(), Vec::new()));
            self.rooms.len() - 1
        });
        let check = creation_check(&message.id);
        let message = Message {
            id: (&message.id).into(),
            seq,
            ordinal,
            sender: (&message.sender).into(),
            name: message.name,
            r#type: message.r#type.into(),
            text: message.text,
            data: message.data,
            time: message.time,
            edited_at: 0,
            deleted_at: 0,
            key: message.key,
        };
        let (_, changes, traced) = &mut self.rooms[place];
        changes.push(Change { seq, check, thing: Some(Thing::Message(message)) });
        traced.extend(trace.map(|trace| trace.change(seq)));
    }
}

fn sent(room: &RoomId, message: &MessageId, seq: u64, ordinal: u64, time: i64) -> outcome::Result {
    outcome::Result::Sent(Sent { message: message.into(), seq, ordinal, time, room: room.into() })
}

/// What the store is asked to append.
pub(crate) fn new_messages(batch: &[Item]) -> Vec<NewMessage> {
    let time = clock::now();
    batch.iter().map(|item| new_message(item, time)).collect()
}

fn new_message(item: &Item, time: i64) -> NewMessage {
    let send = &item.send;
    let parts = [send.r#type.as_str_name(), &send.text, &send.data];
    NewMessage {
        room: send.room.clone(),
        id: MessageId::new(&clock::new_id()).expect("a UUID is an id"),
        sender: item.actor.user.clone(),
        name: item.actor.name.clone(),
        key: send.key.clone(),
        r#type: send.r#type,
        text: send.text.clone(),
        data: send.data.clone(),
        digest: clock::stable_hash(parts.map(str::as_bytes)) as i64,
        time,
    }
}

/// Splits off repeats of a key that is in the batch already: the store answers
/// them when the first is stored.
pub(crate) fn split_repeats(items: Vec<Item>) -> (Vec<Item>, Vec<Item>) {
    let mut keys = HashSet::with_capacity(items.len());
    items.into_iter().partition(|item| {
        keys.insert((item.send.room.clone(), item.actor.user.clone(), item.send.key.clone()))
    })
}
