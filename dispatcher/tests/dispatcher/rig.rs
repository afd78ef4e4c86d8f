//! A dispatcher on its feet, and short words for what tests ask of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::local::LocalBroker;
use bus::{Broker, Inbox, Subscription};
use bytes::Bytes;
use dispatcher::store::{Store, sqlite};
use dispatcher::{Dispatcher, Service, Settings};
use prost::Message as _;
use proto::node::command::Action;
use proto::node::dispatcher_client::DispatcherClient;
use proto::node::dispatcher_server::DispatcherServer;
use proto::node::{
    Actor, AddMembers, Command, CreateRoom, Event, FeedChanges, Follow, FollowAll, Outcome, Query, answer,
    follow_result, outcome, query::Question,
};
use proto::v1::{self, Change, Details, RoomKind, Sent, change::Thing};
use proto::{FeedId, RoomId, UserId, subject};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

pub type Client = DispatcherClient<DispatcherServer<Service>>;

/// Patience of the tests: reached only when something is broken.
pub const LONG: Duration = Duration::from_secs(20);

pub struct Rig {
    pub dispatcher: Dispatcher,
    pub broker: Arc<LocalBroker>,
    pub store: Arc<dyn Store>,
    _dir: TempDir,
}

impl Rig {
    pub async fn new() -> Self {
        Self::with(Settings::default(), |store| store).await
    }

    /// Other settings, and a store in front of the real one.
    pub async fn with(settings: Settings, front: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(sqlite::open(&dir.path().join("test.db")).await.unwrap());
        let broker = Arc::new(LocalBroker::new());
        let dispatcher = Dispatcher::start(front(store.clone()), broker.clone(), settings);
        Self { dispatcher, broker, store, _dir: dir }
    }

    pub fn client(&self) -> Client {
        client(&self.dispatcher)
    }

    /// Runs one command on a stream of its own.
    pub async fn run(&self, actor: &Actor, action: Action) -> outcome::Result {
        Stream::open(&mut self.client()).await.run(actor, action).await
    }

    pub async fn refused(&self, actor: &Actor, action: Action) -> String {
        code(self.run(actor, action).await)
    }

    /// The room that comes of it.
    pub async fn create(&self, actor: &Actor, create: CreateRoom) -> Details {
        match self.run(actor, Action::CreateRoom(create)).await {
            outcome::Result::Room(room) => room,
            other => panic!("no room: {other:?}"),
        }
    }

    pub async fn group(&self, owner: &str, members: &[&str]) -> String {
        self.create(&user(owner), group("Group", members)).await.id
    }

    pub async fn send(&self, from: &str, room: &str, key: &str, text: &str) -> Sent {
        match self.run(&user(from), send(room, key, text)).await {
            outcome::Result::Sent(sent) => sent,
            other => panic!("not sent: {other:?}"),
        }
    }

    pub async fn ask(&self, actor: &Actor, question: Question) -> answer::Result {
        let query = Query { actor: Some(actor.clone()), question: Some(question) };
        self.client().ask(query).await.unwrap().into_inner().result.unwrap()
    }

    pub async fn follow(&self, actor: &Actor, room: &str, since: &str) -> Result<FeedChanges, String> {
        let follow = Follow {
            actor: Some(actor.clone()),
            room: room.into(),
            since: since.into(),
            issued_at: 1_000_000_000,
        };
        self.follow_as(follow).await
    }

    pub async fn follow_as(&self, follow: Follow) -> Result<FeedChanges, String> {
        let question = Question::Follow(FollowAll { follows: vec![follow] });
        let answer::Result::Follow(mut followed) = self.ask(&user("nobody"), question).await else {
            panic!("not followed");
        };
        match followed.results.remove(0).result.unwrap() {
            follow_result::Result::Changes(changes) => Ok(changes),
            follow_result::Result::Error(error) => Err(error.code),
        }
    }

    /// Everything that ever changed in a feed, folded, as the store has it.
    pub async fn changes(&self, feed: &FeedId) -> Vec<Change> {
        self.store.changes(feed, proto::Cursor::START, 10_000).await.unwrap().changes
    }

    pub async fn hear(&self, feed: &FeedId) -> Heard {
        hear(&*self.broker, subject::all(feed)).await
    }

    pub async fn member(&self, room: &str, user: &str) -> Option<v1::Member> {
        let feed = FeedId::Room(room_id(room));
        let mut members = self.changes(&feed).await.into_iter().filter_map(|change| match change.thing {
            Some(Thing::Member(member)) if member.user == user => Some(member),
            _ => None,
        });
        members.next_back()
    }

    /// (role, active), the newest of the room's feed.
    pub async fn role(&self, room: &str, user: &str) -> Option<(v1::Role, bool)> {
        self.member(room, user).await.map(|member| (member.role(), member.active))
    }
}

pub fn client(dispatcher: &Dispatcher) -> Client {
    DispatcherClient::new(dispatcher.service())
}

/// A gateway's stream of commands.
pub struct Stream {
    commands: mpsc::Sender<Command>,
    outcomes: tonic::Streaming<Outcome>,
    next: u64,
    early: HashMap<u64, outcome::Result>,
}

impl Stream {
    pub async fn open(client: &mut Client) -> Self {
        let (commands, stream) = mpsc::channel(10_000);
        let outcomes = client.commands(ReceiverStream::new(stream)).await.unwrap().into_inner();
        Self { commands, outcomes, next: 1, early: HashMap::new() }
    }

    /// Puts a command on its way.
    pub async fn push(&mut self, actor: &Actor, action: Action) -> u64 {
        let id = self.next;
        self.next += 1;
        let command = Command { id, actor: Some(actor.clone()), trace: None, action: Some(action) };
        self.commands.send(command).await.unwrap();
        id
    }

    /// The outcome of a command, of which there is one.
    pub async fn outcome(&mut self, id: u64) -> outcome::Result {
        loop {
            if let Some(result) = self.early.remove(&id) {
                return result;
            }
            let next = tokio::time::timeout(LONG, self.outcomes.message());
            let outcome = next.await.expect("an outcome").unwrap().expect("the stream goes on");
            let twice = self.early.insert(outcome.id, outcome.result.unwrap());
            assert!(twice.is_none(), "two outcomes of command {}", outcome.id);
        }
    }

    pub async fn run(&mut self, actor: &Actor, action: Action) -> outcome::Result {
        let id = self.push(actor, action).await;
        self.outcome(id).await
    }

    /// Whether the dispatcher has let go of its end.
    pub fn dropped(&self) -> bool {
        self.commands.is_closed()
    }

    /// Whether the dispatcher has ended the stream; outcomes before are skipped.
    pub async fn ended(&mut self) -> bool {
        loop {
            match tokio::time::timeout(LONG, self.outcomes.message()).await {
                Ok(Ok(Some(_))) => {}
                Ok(_) => return true,
                Err(_) => return false,
            }
        }
    }
}

/// What a subscription has heard.
pub struct Heard {
    payloads: Arc<Mutex<Vec<(String, Bytes)>>>,
    _subscription: Subscription,
}

struct Ear(Arc<Mutex<Vec<(String, Bytes)>>>);

impl Inbox for Ear {
    fn receive(&self, subject: &str, payload: Bytes) {
        self.0.lock().unwrap().push((subject.to_owned(), payload));
    }
}

pub async fn hear(broker: &dyn Broker, subject: String) -> Heard {
    let payloads = Arc::new(Mutex::new(Vec::new()));
    let subscription = broker.subscribe(subject, Arc::new(Ear(payloads.clone()))).await.unwrap();
    Heard { payloads, _subscription: subscription }
}

impl Heard {
    /// Payloads of subjects that end like this.
    pub fn of(&self, ending: &str) -> Vec<Bytes> {
        let payloads = self.payloads.lock().unwrap();
        payloads
            .iter()
            .filter(|(subject, _)| subject.ends_with(ending))
            .map(|(_, payload)| payload.clone())
            .collect()
    }

    /// The changes of all events so far, in the order they came.
    pub fn changes(&self) -> Vec<Change> {
        self.of(".feed").into_iter().flat_map(|payload| Event::decode(payload).unwrap().changes).collect()
    }

    /// The changes, once this one is among them.
    pub async fn up_to(&self, seq: u64) -> Vec<Change> {
        testkit::eventually(format!("the event of seq {seq}"), LONG, async || {
            let changes = self.changes();
            changes.iter().any(|change| change.seq == seq).then_some(changes)
        })
        .await
    }
}

// ---- words ---------------------------------------------------------------------

pub fn user(id: &str) -> Actor {
    Actor { user: id.into(), name: id.to_uppercase(), service: false }
}

pub fn service() -> Actor {
    Actor { user: "backend".into(), name: String::new(), service: true }
}

pub fn room_id(id: &str) -> RoomId {
    RoomId::new(id).unwrap()
}

pub fn room_feed(id: &str) -> FeedId {
    FeedId::Room(room_id(id))
}

pub fn user_feed(id: &str) -> FeedId {
    FeedId::User(UserId::new(id).unwrap())
}

pub fn names(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

pub fn group(name: &str, members: &[&str]) -> CreateRoom {
    CreateRoom {
        kind: RoomKind::Group.into(),
        name: name.into(),
        members: names(members),
        ..Default::default()
    }
}

pub fn direct(with: &str) -> CreateRoom {
    CreateRoom { kind: RoomKind::Direct.into(), members: names(&[with]), ..Default::default() }
}

pub fn public(name: &str) -> CreateRoom {
    CreateRoom { kind: RoomKind::Public.into(), name: name.into(), ..Default::default() }
}

pub fn send(room: &str, key: &str, text: &str) -> Action {
    Action::Send(v1::Send { room: room.into(), key: key.into(), text: text.into(), ..Default::default() })
}

pub fn edit(message: &str, text: &str) -> Action {
    Action::Edit(v1::Edit { room: String::new(), message: message.into(), text: text.into() })
}

pub fn delete(message: &str) -> Action {
    Action::Delete(v1::Delete { room: String::new(), message: message.into() })
}

pub fn add(room: &str, users: &[&str]) -> Action {
    Action::AddMembers(AddMembers { room: room.into(), users: names(users) })
}

pub fn remove(room: &str, user: &str) -> Action {
    Action::RemoveMember(proto::node::RemoveMember { room: room.into(), user: user.into() })
}

pub fn role(room: &str, user: &str, role: v1::Role) -> Action {
    Action::ChangeRole(proto::node::ChangeRole { room: room.into(), user: user.into(), role: role.into() })
}

pub fn rename(room: &str, name: &str) -> Action {
    Action::RenameRoom(proto::node::RenameRoom { room: room.into(), name: name.into() })
}

pub fn read(room: &str, seq: u64) -> Action {
    Action::Read(v1::Read { room: room.into(), seq })
}

/// "ok", or the code of the refusal.
pub fn code(result: outcome::Result) -> String {
    match result {
        outcome::Result::Error(error) => error.code,
        _ => "ok".to_owned(),
    }
}

/// "ok", or the code of the refusal.
pub fn answer_code(result: answer::Result) -> String {
    match result {
        answer::Result::Error(error) => error.code,
        _ => "ok".to_owned(),
    }
}

/// The message that a change is of.
pub fn message(change: &Change) -> Option<&v1::Message> {
    match &change.thing {
        Some(Thing::Message(message)) => Some(message),
        _ => None,
    }
}
