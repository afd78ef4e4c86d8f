//! Does what was asked for, whoever asked and however: the same commands and
//! questions as the native protocol's, and an [`Answer`] to write from.

use std::sync::Arc;

use futures_util::future::join_all;
use proto::node::{self, Actor, answer, command::Action, outcome, query::Question};
use proto::v1::{self, Message, RoomKind, UserPresence};
use proto::{ErrorCode, RoomId, UserId};
use tokio::sync::OnceCell;

use super::{Answer, Ask, RoomRef, RoomView, Vocabulary};
use crate::link::Link;
use crate::presence;

/// Largest page that a dispatcher answers with.
const PAGE: u32 = 100;
/// Messages that a page may skip; further back one pages by message.
const MAX_SKIP: u32 = 10_000;
/// Members of a room that are shown.
const MAX_SHOWN_MEMBERS: usize = 1000;

/// What an answer has to hold beyond what comes by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wants {
    /// The members of each room.
    pub members: bool,
    /// How far each member has read.
    pub read_marks: bool,
    /// All of a message that was changed.
    pub whole_message: bool,
}

impl Wants {
    /// What either needs.
    pub fn and(self, other: Self) -> Self {
        Self {
            members: self.members || other.members,
            read_marks: self.read_marks || other.read_marks,
            whole_message: self.whole_message || other.whole_message,
        }
    }
}

/// Where asks are taken.
pub struct Desk {
    link: Link,
    presence: Arc<dyn bus::Presence>,
    vocabulary: Arc<Vocabulary>,
    /// The one room of a vocabulary that has one is there.
    fixed: OnceCell<()>,
}

type Result<T> = std::result::Result<T, v1::Error>;

impl Desk {
    /// A desk that speaks this vocabulary.
    pub fn new(link: Link, presence: Arc<dyn bus::Presence>, vocabulary: Arc<Vocabulary>) -> Self {
        Self { link, presence, vocabulary, fixed: OnceCell::new() }
    }

    /// The words spoken here.
    pub fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    /// The id of a room. Where ids do not follow from the two users, a room with
    /// another user is created if it is not there.
    pub async fn room_id(&self, actor: &Actor, room: &RoomRef) -> Result<RoomId> {
        match (room, &self.vocabulary.rooms.pair) {
            (RoomRef::Id(id), _) => Ok(id.clone()),
            (RoomRef::With(other), Some(pair)) => pair.id(&actor.user, other.as_str()),
            (RoomRef::With(other), None) => self.direct(actor, other, None).await,
        }
    }

    /// Whether this vocabulary promises rooms that may not be there yet.
    pub fn promises_rooms(&self) -> bool {
        self.vocabulary.rooms.pair.is_some() || self.vocabulary.rooms.fixed.is_some()
    }

    /// Makes sure that a room which the vocabulary promises is there, with the
    /// actor in it. `false`: it promises no such room to this actor.
    pub async fn ensure(&self, actor: &Actor, room: &RoomId) -> Result<bool> {
        let rooms = &self.vocabulary.rooms;
        if let Some(pair) = &rooms.pair {
            let Some(other) = pair.other(room, &actor.user) else { return Ok(false) };
            return Ok(self.direct(actor, &other, Some(room)).await? == *room);
        }
        if rooms.fixed.as_ref() != Some(room) {
            return Ok(false);
        }
        self.fixed.get_or_try_init(|| self.create_fixed(room)).await?;
        let add = node::AddMembers { room: room.into(), users: vec![actor.user.clone()] };
        self.link.command(actor.clone(), Action::AddMembers(add)).await?;
        Ok(true)
    }

    async fn direct(&self, actor: &Actor, other: &UserId, id: Option<&RoomId>) -> Result<RoomId> {
        let create = node::CreateRoom {
            kind: RoomKind::Direct.into(),
            members: vec![other.into()],
            id: id.map(String::from).unwrap_or_default(),
            ..Default::default()
        };
        self.create(actor.clone(), create).await
    }

    async fn create_fixed(&self, id: &RoomId) -> Result<()> {
        let create = node::CreateRoom {
            kind: RoomKind::Public.into(),
            name: id.to_string(),
            id: id.into(),
            ..Default::default()
        };
        let service = Actor { user: "carillon".to_owned(), service: true, ..Actor::default() };
        self.create(service, create).await.map(drop)
    }

    async fn create(&self, actor: Actor, create: node::CreateRoom) -> Result<RoomId> {
        match self.link.command(actor, Action::CreateRoom(create)).await? {
            outcome::Result::Room(details) => RoomId::new(&details.id).map_err(|_| unexpected()),
            _ => Err(unexpected()),
        }
    }

    /// Does it. What only a connection can do is refused.
    pub async fn perform(&self, actor: &Actor, ask: Ask, wants: Wants) -> Result<Answer> {
        let room = ask.room().filter(|_| self.promises_rooms()).cloned();
        let Some(room) = room else { return self.perform_once(actor, ask, wants).await };
        match self.perform_once(actor, ask.clone(), wants).await {
            Err(error) if error.code == ErrorCode::NotMember.name() => {
                let room = self.room_id(actor, &room).await?;
                if self.ensure(actor, &room).await? {
                    self.perform_once(actor, ask, wants).await
                } else {
                    Err(error)
                }
            }
            other => other,
        }
    }

    async fn perform_once(&self, actor: &Actor, ask: Ask, wants: Wants) -> Result<Answer> {
        let mut answer = Answer { user: (actor.user.clone(), actor.name.clone()), ..Answer::default() };
        match ask {
            Ask::Send { room, r#type, text, data, key, name: _ } => {
                let room = self.room_id(actor, &room).await?;
                let key = if key.is_empty() { uuid::Uuid::new_v4().to_string() } else { key };
                let send = v1::Send { room: (&room).into(), key, r#type: r#type.into(), text, data };
                let outcome = self.link.command(actor.clone(), Action::Send(send.clone())).await?;
                let outcome::Result::Sent(stored) = outcome else { return Err(unexpected()) };
                return Ok(sent(actor, send, stored));
            }
            Ask::Edit { message, text } => {
                let edit = v1::Edit { message, text: text.clone(), ..Default::default() };
                let changed = self.changed(actor, Action::Edit(edit)).await?;
                self.change_shown(actor, &mut answer, changed, text, wants).await?;
                if let Some(message) = &mut answer.message
                    && !wants.whole_message
                {
                    message.edited_at = message.time;
                }
            }
            Ask::Delete { message } => {
                let delete = v1::Delete { message, ..Default::default() };
                let changed = self.changed(actor, Action::Delete(delete)).await?;
                self.change_shown(actor, &mut answer, changed, String::new(), wants).await?;
            }
            Ask::History { room, limit, skip, before } => {
                let room = self.room_id(actor, &room).await?;
                let before = self.seq_of(actor, &room, &before).await?;
                (answer.messages, answer.more) = self.history(actor, &room, before, limit, skip).await?;
                answer.room = room.to_string();
                if wants.read_marks {
                    answer.read_marks = self.summary(actor, &room).await?.read_marks;
                }
            }
            Ask::Search { room, text, limit } => {
                let room = self.room_id(actor, &room).await?;
                answer.room = room.to_string();
                let search = node::Search { room: (&room).into(), text, before: 0, limit };
                let answer::Result::Search(found) =
                    self.link.ask(actor.clone(), Question::Search(search)).await?
                else {
                    return Err(unexpected());
                };
                (answer.messages, answer.more) = (found.messages, found.more);
            }
            Ask::Read { room, message } => {
                let room = self.room_id(actor, &room).await?;
                let seq = self.seq_of(actor, &room, &message).await?;
                let read = v1::Read { room: (&room).into(), seq };
                let outcome::Result::ReadMark(mark) =
                    self.link.command(actor.clone(), Action::Read(read)).await?
                else {
                    return Err(unexpected());
                };
                answer.room = room.to_string();
                answer.unread = mark.unread;
                answer.read = Some(mark);
            }
            Ask::Unread { room } => {
                let room = self.room_id(actor, &room).await?;
                answer.unread = Some(self.summary(actor, &room).await?.unread);
                answer.room = room.to_string();
            }
            Ask::Online { room } => {
                let room = self.room_id(actor, &room).await?;
                answer.presences = self.online(actor, &room).await?;
                answer.online = Some(answer.presences.len() as u64);
                answer.room = room.to_string();
            }
            Ask::CreateRoom { kind, users, name } => {
                let create = node::CreateRoom {
                    kind: kind.into(),
                    name,
                    members: users.iter().map(String::from).collect(),
                    id: match (&self.vocabulary.rooms.pair, users.as_slice()) {
                        (Some(pair), [other]) => pair.id(&actor.user, other.as_str())?.to_string(),
                        _ => String::new(),
                    },
                    ..Default::default()
                };
                let room = self.create(actor.clone(), create).await?;
                self.view_shown(actor, &mut answer, room, wants).await?;
            }
            Ask::Room { room } => {
                let room = self.room_id(actor, &room).await?;
                self.view_shown(actor, &mut answer, room, wants).await?;
            }
            Ask::RenameRoom { room, name } => {
                let room = self.room_id(actor, &room).await?;
                let rename = node::RenameRoom { room: (&room).into(), name };
                self.link.command(actor.clone(), Action::RenameRoom(rename)).await?;
                self.view_shown(actor, &mut answer, room, wants).await?;
            }
            Ask::RemoveRoom { room } => {
                let room = self.room_id(actor, &room).await?;
                self.remove(actor, &room).await?;
                answer.room = room.to_string();
            }
            Ask::Rooms { limit, skip } => {
                let list = Question::ListRooms(node::ListRooms { limit, skip });
                let answer::Result::ListRooms(page) = self.link.ask(actor.clone(), list).await? else {
                    return Err(unexpected());
                };
                answer.more = page.more;
                let views = page.rooms.into_iter().map(|summary| self.view(actor, summary, wants.members));
                answer.rooms = join_all(views).await.into_iter().collect::<Result<_>>()?;
            }
            Ask::Notifications { limit } => {
                let list = node::ListNotifications { limit, ..Default::default() };
                (answer.notifications, answer.more) = self.notifications(actor, list).await?;
            }
            Ask::Authenticate { .. }
            | Ask::Join { .. }
            | Ask::Leave { .. }
            | Ask::Typing { .. }
            | Ask::Presence { .. }
            | Ask::Subscribe => return Err(ErrorCode::Invalid.with("this needs a connection")),
        }
        Ok(answer)
    }

    async fn changed(&self, actor: &Actor, action: Action) -> Result<v1::Changed> {
        match self.link.command(actor.clone(), action).await? {
            outcome::Result::Changed(changed) => Ok(changed),
            _ => Err(unexpected()),
        }
    }

    async fn change_shown(
        &self,
        actor: &Actor,
        answer: &mut Answer,
        changed: v1::Changed,
        text: String,
        wants: Wants,
    ) -> Result<()> {
        let message = if wants.whole_message {
            self.message(actor, &changed.message).await?.1
        } else {
            Message { id: changed.message, text, time: changed.time, ..Message::default() }
        };
        answer.room = changed.room;
        answer.message = Some(message);
        Ok(())
    }

    /// A message and its room.
    async fn message(&self, actor: &Actor, id: &str) -> Result<(String, Message)> {
        let question = Question::GetMessage(node::GetMessage { message: id.to_owned() });
        match self.link.ask(actor.clone(), question).await? {
            answer::Result::GetMessage(found) => Ok((found.room, found.message.unwrap_or_default())),
            _ => Err(unexpected()),
        }
    }

    /// The seq of a message of this room; 0 without one.
    async fn seq_of(&self, actor: &Actor, room: &RoomId, message: &str) -> Result<u64> {
        if message.is_empty() {
            return Ok(0);
        }
        let (found, message) = self.message(actor, message).await?;
        if found != room.as_str() {
            return Err(ErrorCode::NotFound.with("no such message"));
        }
        Ok(message.seq)
    }

    /// A page of messages, oldest first, the newest `skip` left out.
    pub async fn history(
        &self,
        actor: &Actor,
        room: &RoomId,
        mut before: u64,
        limit: u32,
        skip: u32,
    ) -> Result<(Vec<Message>, bool)> {
        if skip > MAX_SKIP {
            return Err(ErrorCode::TooLarge.with(format!("at most {MAX_SKIP} messages can be skipped")));
        }
        let mut left = skip;
        loop {
            let ask = if left == 0 { limit } else { left.min(PAGE) };
            let request = v1::HistoryRequest { room: room.into(), before, limit: ask };
            let answer::Result::History(page) =
                self.link.ask(actor.clone(), Question::History(request)).await?
            else {
                return Err(unexpected());
            };
            if left == 0 {
                return Ok((page.messages, page.more));
            }
            match page.messages.first() {
                Some(oldest) if page.more => before = oldest.seq,
                _ => return Ok((Vec::new(), false)),
            }
            left -= ask;
        }
    }

    /// The room as the actor sees it.
    pub async fn summary(&self, actor: &Actor, room: &RoomId) -> Result<v1::RoomSummary> {
        let question = Question::GetRoom(node::GetRoom { room: room.into() });
        match self.link.ask(actor.clone(), question).await? {
            answer::Result::GetRoom(summary) => Ok(summary),
            _ => Err(unexpected()),
        }
    }

    /// The room with its members.
    pub async fn view(&self, actor: &Actor, summary: v1::RoomSummary, members: bool) -> Result<RoomView> {
        let id = summary.details.as_ref().map(|details| details.id.clone()).unwrap_or_default();
        let members = if members { self.members(actor, &id).await? } else { Vec::new() };
        Ok(RoomView { summary, members })
    }

    async fn view_shown(&self, actor: &Actor, answer: &mut Answer, room: RoomId, wants: Wants) -> Result<()> {
        let summary = self.summary(actor, &room).await?;
        answer.view = Some(self.view(actor, summary, wants.members).await?);
        answer.room = room.to_string();
        Ok(())
    }

    async fn members(&self, actor: &Actor, room: &str) -> Result<Vec<v1::Member>> {
        let mut members: Vec<v1::Member> = Vec::new();
        loop {
            let after = members.last().map(|last| last.user.clone()).unwrap_or_default();
            let list = node::ListMembers { room: room.to_owned(), after, limit: PAGE };
            let answer::Result::ListMembers(page) =
                self.link.ask(actor.clone(), Question::ListMembers(list)).await?
            else {
                return Err(unexpected());
            };
            members.extend(page.members);
            if !page.more || members.len() >= MAX_SHOWN_MEMBERS {
                return Ok(members);
            }
        }
    }

    /// Deletes a room of one's own, else leaves it.
    async fn remove(&self, actor: &Actor, room: &RoomId) -> Result<()> {
        let delete = Action::DeleteRoom(node::DeleteRoom { room: room.into() });
        match self.link.command(actor.clone(), delete).await {
            Err(error) if error.code == ErrorCode::Forbidden.name() => {
                let leave = node::RemoveMember { room: room.into(), user: actor.user.clone() };
                self.link.command(actor.clone(), Action::RemoveMember(leave)).await.map(drop)
            }
            other => other.map(drop),
        }
    }

    /// Who of the room is online.
    pub async fn online(&self, actor: &Actor, room: &RoomId) -> Result<Vec<UserPresence>> {
        presence::of_room(&self.link, self.presence.as_ref(), actor.clone(), room).await
    }

    /// A page of notifications, newest first.
    pub async fn notifications(
        &self,
        actor: &Actor,
        list: node::ListNotifications,
    ) -> Result<(Vec<v1::Notification>, bool)> {
        match self.link.ask(actor.clone(), Question::ListNotifications(list)).await? {
            answer::Result::ListNotifications(page) => Ok((page.notifications, page.more)),
            _ => Err(unexpected()),
        }
    }
}

/// What a stored send is shown as.
pub fn sent(actor: &Actor, send: v1::Send, sent: v1::Sent) -> Answer {
    let message = Message {
        id: sent.message,
        seq: sent.seq,
        ordinal: sent.ordinal,
        sender: actor.user.clone(),
        name: actor.name.clone(),
        r#type: send.r#type,
        text: send.text,
        data: send.data,
        time: sent.time,
        key: send.key,
        ..Message::default()
    };
    Answer {
        room: send.room,
        user: (actor.user.clone(), actor.name.clone()),
        message: Some(message),
        ..Answer::default()
    }
}

fn unexpected() -> v1::Error {
    ErrorCode::Internal.with("a dispatcher answered something else")
}
