//! Reads. Where a user asks, membership is checked first; absent and forbidden
//! have one answer.

use std::sync::Arc;

use futures_util::future::join_all;
use proto::node::{self, FeedHeads, FoundMessage, FoundMessages, answer, query::Question};
use proto::text;
use proto::v1::{self, History, RoomSummary, Snapshot};
use proto::{Cursor, ErrorCode, FeedId, RoomId};
use tokio::time::Instant;

use crate::command::check::{self, Actor, Checked};
use crate::command::rule;
use crate::follow;
use crate::intake::Intake;
use crate::retry::{refusal, retry};
use crate::settings::Settings;
use crate::store::{self, Store};

/// Rows in a page where the query does not say.
const DEFAULT_PAGE: usize = 50;
/// Messages found in a page where the query does not say.
const DEFAULT_FOUND: usize = 20;
/// Rooms that a list can skip: no scan without end.
const MAX_SKIP: u32 = 100_000;
/// Users in one question of presence or acquaintance.
const MAX_USERS: usize = 10_000;

/// Answers queries.
pub(crate) struct Queries {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) settings: Arc<Settings>,
}

impl Queries {
    /// Answers one query, or says why not.
    pub(crate) async fn answer(
        &self,
        actor: Option<node::Actor>,
        question: Question,
    ) -> Checked<answer::Result> {
        // Questions of gateways for themselves.
        let question = match question {
            Question::Follow(all) => {
                let follow =
                    follow::Follower { store: &self.store, intake: &self.intake, settings: &self.settings };
                return Ok(answer::Result::Follow(follow.answer(all.follows).await?));
            }
            Question::Changes(changes) => return self.changes(changes).await.map(answer::Result::Changes),
            Question::Heads(heads) => return self.heads(&heads.feeds).await.map(answer::Result::Heads),
            Question::PresenceRooms(ask) => return self.presence_rooms(ask).await,
            question => question,
        };
        let actor = Actor::check(actor)?;
        match question {
            Question::Snapshot(ask) => self.snapshot(&actor, ask).await.map(answer::Result::Snapshot),
            Question::History(ask) => self.history(&actor, ask).await.map(answer::Result::History),
            Question::Search(ask) => self.search(&actor, ask).await.map(answer::Result::Search),
            Question::ListRooms(ask) => self.list_rooms(&actor, ask).await.map(answer::Result::ListRooms),
            Question::GetRoom(ask) => self.get_room(&actor, ask).await.map(answer::Result::GetRoom),
            Question::ListMembers(ask) => {
                self.list_members(&actor, ask).await.map(answer::Result::ListMembers)
            }
            Question::GetMessage(ask) => self.get_message(&actor, ask).await.map(answer::Result::GetMessage),
            Question::ListNotifications(ask) => {
                self.list_notifications(&actor, ask).await.map(answer::Result::ListNotifications)
            }
            Question::Acquainted(ask) => self.acquainted(&actor, ask).await.map(answer::Result::Acquainted),
            Question::Follow(_) | Question::Changes(_) | Question::Heads(_) | Question::PresenceRooms(_) => {
                Err(ErrorCode::Internal.with("answered above"))
            }
        }
    }

    /// Reads from the store, repeated while it is away for a moment.
    async fn read<T, F>(&self, what: &'static str, read: impl FnMut() -> F) -> Checked<T>
    where
        F: Future<Output = store::Result<T>>,
    {
        let deadline = Instant::now() + self.settings.store_deadline;
        retry(deadline, read).await.map_err(|error| refusal(&error, what))
    }

    /// How many rows a page has.
    fn page(&self, asked: u32, default: usize) -> usize {
        let wanted = if asked == 0 { default } else { asked as usize };
        wanted.min(self.settings.max_page)
    }

    /// Refuses those who are not in the room; the service sees every room.
    async fn must_be_member(&self, actor: &Actor, room: &RoomId) -> Checked<()> {
        if actor.service {
            return Ok(());
        }
        let row = self.read("member", || self.store.member(room, &actor.user)).await?;
        rule::active(row.as_ref()).map(drop).ok_or_else(rule::not_member)
    }

    async fn changes(&self, ask: node::Changes) -> Checked<node::FeedChanges> {
        let feed = feed(ask.feed.as_ref())?;
        let since = if ask.since.is_empty() { Cursor::START } else { follow::cursor(&ask.since)? };
        let limit = self.settings.max_changes;
        let mut changes = self.read("changes", || self.store.changes(&feed, since, limit)).await?;
        let mut bytes = self.settings.max_answer_bytes;
        follow::cut(&mut changes, since, &mut bytes);
        Ok(changes)
    }

    async fn heads(&self, feeds: &[node::Feed]) -> Checked<FeedHeads> {
        if feeds.len() > self.settings.max_feeds {
            return Err(ErrorCode::TooLarge.with(format!("more than {} feeds", self.settings.max_feeds)));
        }
        let feeds = feeds.iter().map(|of| feed(Some(of))).collect::<Checked<Vec<_>>>()?;
        let heads = self.read("heads", || self.store.heads(&feeds)).await?;
        let heads =
            feeds.iter().zip(heads).map(|(feed, head)| node::FeedHead { feed: Some(feed.into()), head });
        Ok(FeedHeads { heads: heads.collect() })
    }

    async fn presence_rooms(&self, ask: node::PresenceRooms) -> Checked<answer::Result> {
        // In the order asked for, repeats included: one answer for each.
        let users = ask.users.iter().map(|id| check::user(id)).collect::<Checked<Vec<_>>>()?;
        at_most(users.len())?;
        let rooms = self.read("rooms_of", || self.store.rooms_of(&users, ask.max_members)).await?;
        let users =
            rooms.iter().map(|rooms| node::RoomIds { rooms: rooms.iter().map(String::from).collect() });
        Ok(answer::Result::PresenceRooms(node::UserRooms { users: users.collect() }))
    }

    async fn snapshot(&self, actor: &Actor, ask: v1::SnapshotRequest) -> Checked<Snapshot> {
        let rooms = self.page(ask.rooms, self.settings.max_page);
        let limit = self.settings.read_mark_limit;
        self.read("snapshot", || self.store.snapshot(&actor.user, rooms, limit)).await
    }

    async fn history(&self, actor: &Actor, ask: v1::HistoryRequest) -> Checked<History> {
        let room = check::room(&ask.room)?;
        self.must_be_member(actor, &room).await?;
        let limit = self.page(ask.limit, DEFAULT_PAGE);
        let before = below(ask.before);
        let (messages, more) = self.read("history", || self.store.history(&room, before, limit)).await?;
        Ok(History { room: ask.room, messages, more })
    }

    async fn search(&self, actor: &Actor, ask: node::Search) -> Checked<FoundMessages> {
        let room = check::room(&ask.room)?;
        // As long as a name and as harmless: one line with something in it.
        text::check_name(&ask.text).map_err(check::field("text"))?;
        self.must_be_member(actor, &room).await?;
        let limit = self.page(ask.limit, DEFAULT_FOUND);
        let before = below(ask.before);
        let found = self.read("search", || self.store.search(&room, &ask.text, before, limit)).await?;
        Ok(FoundMessages { messages: found.0, more: found.1 })
    }

    async fn list_rooms(&self, actor: &Actor, ask: node::ListRooms) -> Checked<node::Rooms> {
        if ask.skip > MAX_SKIP {
            return Err(ErrorCode::Invalid.with(format!("skip is more than {MAX_SKIP}")));
        }
        let limit = self.page(ask.limit, DEFAULT_PAGE);
        let skip = ask.skip as usize;
        let (rooms, more) = self.read("rooms", || self.store.rooms(&actor.user, limit, skip)).await?;
        Ok(node::Rooms { rooms, more })
    }

    async fn get_room(&self, actor: &Actor, ask: node::GetRoom) -> Checked<RoomSummary> {
        let room = check::room(&ask.room)?;
        let limit = self.settings.read_mark_limit;
        if let Some(room) = self.read("room", || self.store.room(&actor.user, &room, limit)).await? {
            return Ok(room);
        }
        if !actor.service {
            return Err(rule::not_member());
        }
        // From outside: the room itself, without anybody's read mark.
        let row = self.read("room", || async { self.store.begin().await?.lock_room(&room).await }).await?;
        let row = row.filter(|row| row.deleted_at == 0).ok_or_else(rule::not_member)?;
        let (last, _) = self.read("history", || self.store.history(&room, 0, 1)).await?;
        Ok(RoomSummary {
            details: Some(row.details()),
            last_message: last.into_iter().next(),
            cursor: Cursor { seq: row.head, check: row.head_check }.to_string(),
            ..Default::default()
        })
    }

    async fn list_members(&self, actor: &Actor, ask: node::ListMembers) -> Checked<node::Members> {
        let room = check::room(&ask.room)?;
        if !ask.after.is_empty() {
            check::user(&ask.after)?;
        }
        self.must_be_member(actor, &room).await?;
        let limit = self.page(ask.limit, self.settings.max_page);
        let (members, more) = self.read("members", || self.store.members(&room, &ask.after, limit)).await?;
        Ok(node::Members { members, more })
    }

    async fn get_message(&self, actor: &Actor, ask: node::GetMessage) -> Checked<FoundMessage> {
        let not_found = || rule::not_found("message");
        let id = check::message(&ask.message)?;
        let row = self.read("message", || self.store.message(&id)).await?.ok_or_else(not_found)?;
        match self.must_be_member(actor, &row.room).await {
            Ok(()) => Ok(FoundMessage { room: (&row.room).into(), message: Some(row.message) }),
            Err(error) if error.code == ErrorCode::NotMember.name() => Err(not_found()),
            Err(error) => Err(error),
        }
    }

    async fn list_notifications(
        &self,
        actor: &Actor,
        ask: node::ListNotifications,
    ) -> Checked<node::Notifications> {
        if !ask.before.is_empty() {
            check::message(&ask.before).map_err(|_| ErrorCode::Invalid.with("before: not an id"))?;
        }
        let limit = self.page(ask.limit, DEFAULT_PAGE);
        let read = || self.store.notifications(&actor.user, ask.unread_only, &ask.before, limit);
        let (notifications, more, unread) = self.read("notifications", read).await?;
        Ok(node::Notifications { notifications, more, unread })
    }

    async fn acquainted(&self, actor: &Actor, ask: node::Acquainted) -> Checked<node::Users> {
        at_most(ask.users.len())?;
        let users = check::users(&ask.users)?;
        let known = if actor.service {
            // The service may know of everybody. Everybody knows themselves.
            if users.len() > self.settings.max_page {
                return Err(ErrorCode::TooLarge.with(format!("more than {} users", self.settings.max_page)));
            }
            let each = users.iter().map(|user| async move {
                let known =
                    self.read("acquainted", || self.store.acquainted(user, std::slice::from_ref(user)));
                let seen = known.await?.first().map_or(0, |(_, seen)| *seen);
                Ok((user.clone(), seen))
            });
            join_all(each).await.into_iter().collect::<Checked<Vec<_>>>()?
        } else {
            self.read("acquainted", || self.store.acquainted(&actor.user, &users)).await?
        };
        let (users, last_seen) = known.iter().map(|(user, seen)| (String::from(user), *seen)).unzip();
        Ok(node::Users { users, last_seen })
    }
}

fn at_most(users: usize) -> Checked<()> {
    if users > MAX_USERS {
        return Err(ErrorCode::TooLarge.with(format!("more than {MAX_USERS} users")));
    }
    Ok(())
}

/// Stores count in signed 64 bits: below anything above that is everything.
fn below(seq: u64) -> u64 {
    if seq > i64::MAX as u64 { 0 } else { seq }
}

/// The feed that a gateway asks about.
fn feed(feed: Option<&node::Feed>) -> Checked<FeedId> {
    feed.and_then(|feed| FeedId::try_from(feed).ok())
        .ok_or_else(|| ErrorCode::Invalid.with("feed: not a room or user"))
}
