//! Rooms: creating, renaming, deleting.

use async_trait::async_trait;
use proto::node::{self, outcome};
use proto::v1::{self, Done as Nothing, Role, RoomKind, change::Thing};
use proto::{ErrorCode, FeedId, RoomId, UserId};

use super::check::{self, Actor, Checked};
use super::member::{Changes, Tell, lock_members, new_member};
use super::{Act, Attempt, Done, Refusal, again, rule};
use crate::clock;
use crate::raise::Raise;
use crate::settings::Settings;
use crate::store::{MemberRow, RoomRow, Transaction};

/// Creating a room, or finding the one that this command created before.
pub(super) struct CreateRoom {
    kind: RoomKind,
    name: String,
    /// All of them, sorted.
    members: Vec<UserId>,
    owner: Option<UserId>,
    key: String,
    /// Given, or made up before the first attempt: a repeat after a commit of
    /// unknown outcome finds the room by it.
    id: RoomId,
    given: bool,
}

impl CreateRoom {
    /// Clients do not choose ids: the gateway passes on those of service tokens
    /// and those that a vocabulary derives.
    pub(super) fn check(create: node::CreateRoom, actor: &Actor, settings: &Settings) -> Checked<Self> {
        let invalid = |what: &str| Err(ErrorCode::Invalid.with(what));
        let Ok(kind) = RoomKind::try_from(create.kind) else {
            return invalid("kind is none of GROUP, DIRECT, PUBLIC");
        };
        check::room_name(&create.name, false)?;
        check::optional_key(&create.key)?;
        if create.members.len() > settings.max_members {
            return Err(ErrorCode::TooLarge.with(format!("more than {} members", settings.max_members)));
        }
        let creator = (!actor.service).then(|| actor.user.clone());
        let first = create.members.first().map(|id| check::user(id)).transpose()?;
        let mut members = check::users(&create.members)?;
        members.extend(creator.clone());
        members.sort();
        members.dedup();
        match kind {
            RoomKind::Direct if members.len() != 2 => return invalid("a direct room is with one other user"),
            RoomKind::Group if members.is_empty() => return invalid("a group has members"),
            RoomKind::Group if members.len() > settings.max_members => {
                let limit = settings.max_members;
                return Err(ErrorCode::TooLarge.with(format!("a group has at most {limit} members")));
            }
            _ => {}
        }
        let given = !create.id.is_empty();
        let id = if given { create.id } else { clock::new_id() };
        Ok(Self {
            kind,
            name: if kind == RoomKind::Direct { String::new() } else { create.name },
            members,
            owner: if kind == RoomKind::Direct { None } else { creator.or(first) },
            key: if kind == RoomKind::Direct { String::new() } else { create.key },
            id: check::room(&id)?,
            given,
        })
    }

    fn pair(&self) -> Option<(&UserId, &UserId)> {
        match (self.kind, self.members.as_slice()) {
            (RoomKind::Direct, [a, b]) => Some((a, b)),
            _ => None,
        }
    }

    /// The room that this command stands for, if it is there already.
    async fn existing(&self, tx: &mut dyn Transaction, actor: &Actor) -> Result<Option<RoomRow>, Refusal> {
        let mut found = None;
        if let Some((a, b)) = self.pair() {
            found = tx.direct_room(a, b).await?;
        } else if !self.key.is_empty() {
            found = tx.room_by_key(&actor.user, &self.key).await?;
        }
        if let Some(id) = found {
            let row = tx.lock_room(&id).await?.ok_or_else(|| again("a room found by its key is gone"))?;
            if row.kind != self.kind {
                return Err(ErrorCode::KeyConflict.with("the key was used for another kind of room").into());
            }
            return usable(row).map(Some);
        }
        let Some(row) = tx.lock_room(&self.id).await? else { return Ok(None) };
        let own = tx.members(&self.id, std::slice::from_ref(&actor.user)).await?;
        let known = row.created_by == actor.user
            || row.kind == RoomKind::Public
            || rule::active(own.first()).is_some();
        if row.kind == self.kind && known && self.pair().is_none() {
            return usable(row).map(Some);
        }
        Err(ErrorCode::Conflict.with("the id is taken").into())
    }
}

fn usable(row: RoomRow) -> Result<RoomRow, Refusal> {
    if row.deleted_at != 0 {
        return Err(ErrorCode::Conflict.with("the room of this id or key was deleted").into());
    }
    Ok(row)
}

#[async_trait]
impl Act for CreateRoom {
    fn name(&self) -> &'static str {
        "create_room"
    }

    fn key(&self) -> &str {
        match self.pair() {
            Some((a, _)) => a.as_str(),
            None if self.given || self.key.is_empty() => self.id.as_str(),
            None => &self.key,
        }
    }

    async fn run(&self, at: &Attempt<'_>) -> Result<Done, Refusal> {
        let mut tx = at.store.begin().await?;
        if let Some(row) = self.existing(&mut *tx, at.actor).await? {
            return Ok(Done::unchanged(outcome::Result::Room(row.details())));
        }
        let mut room = RoomRow {
            id: self.id.clone(),
            kind: self.kind,
            name: self.name.clone(),
            created_at: at.now,
            created_by: at.actor.user.clone(),
            deleted_at: 0,
            members: 0,
            head: 0,
            head_check: 0,
            messages: 0,
            changed: 0,
            check: 0,
        };
        if !tx.insert_room(&room, self.pair(), &self.key).await? {
            return Err(again("another room took the id, the pair or the key"));
        }
        let users = tx.lock_users(&self.members).await?;
        let members: Vec<MemberRow> = users
            .iter()
            .map(|user| {
                let role = if self.owner.as_ref() == Some(&user.id) { Role::Owner } else { Role::Member };
                MemberRow { role, ..new_member(&room.id, user) }
            })
            .collect();
        room.members = members.len() as u32;
        let result = outcome::Result::Room(room.details());
        let events = Changes { room, users, members, tell: Tell::RoomAndMembers }.commit(tx).await?;
        Ok(Done::changed(result, events))
    }
}

/// Giving a room another name.
pub(super) struct RenameRoom {
    room: RoomId,
    name: String,
}

impl RenameRoom {
    pub(super) fn check(rename: node::RenameRoom) -> Checked<Self> {
        check::room_name(&rename.name, true)?;
        Ok(Self { room: check::room(&rename.room)?, name: rename.name })
    }
}

#[async_trait]
impl Act for RenameRoom {
    fn name(&self) -> &'static str {
        "rename_room"
    }

    fn key(&self) -> &str {
        self.room.as_str()
    }

    async fn run(&self, at: &Attempt<'_>) -> Result<Done, Refusal> {
        let mut tx = at.store.begin().await?;
        let room = tx.lock_room(&self.room).await?;
        let own = tx.members(&self.room, std::slice::from_ref(&at.actor.user)).await?;
        let by = rule::standing(at.actor, room.as_ref(), own.first())?;
        let mut room = room.ok_or_else(rule::not_member)?;
        rule::rename(&room, by)?;
        if room.name == self.name {
            return Ok(Done::unchanged(outcome::Result::Room(room.details())));
        }
        room.name.clone_from(&self.name);
        let event = commit_details(tx, &mut room).await?;
        Ok(Done::changed(outcome::Result::Room(room.details()), vec![event]))
    }
}

/// Writes a room whose only change is of itself.
async fn commit_details(
    mut tx: Box<dyn Transaction>,
    room: &mut RoomRow,
) -> crate::store::Result<(FeedId, Vec<v1::Change>)> {
    let mut feed = Raise::new(FeedId::Room(room.id.clone()), room.head);
    let place = feed.next();
    (room.changed, room.check) = place;
    (room.head, room.head_check) = place;
    feed.note(place, Thing::Details(room.details()));
    tx.update_room(room, feed.first(), feed.checks()).await?;
    tx.commit().await?;
    Ok(feed.into_event())
}

/// Deleting a room. Its rows stay, nobody reads them.
pub(super) struct DeleteRoom {
    room: RoomId,
}

impl DeleteRoom {
    pub(super) fn check(delete: node::DeleteRoom) -> Checked<Self> {
        Ok(Self { room: check::room(&delete.room)? })
    }
}

#[async_trait]
impl Act for DeleteRoom {
    fn name(&self) -> &'static str {
        "delete_room"
    }

    fn key(&self) -> &str {
        self.room.as_str()
    }

    async fn run(&self, at: &Attempt<'_>) -> Result<Done, Refusal> {
        let result = outcome::Result::Done(Nothing {});
        let mut tx = at.store.begin().await?;
        let room = tx.lock_room(&self.room).await?;
        let own = tx.members(&self.room, std::slice::from_ref(&at.actor.user)).await?;
        if room.as_ref().is_some_and(|room| room.deleted_at != 0)
            && (at.actor.service || own.first().is_some_and(|row| row.role == Role::Owner))
        {
            // A repeat whose first answer was lost.
            return Ok(Done::unchanged(result));
        }
        let by = rule::standing(at.actor, room.as_ref(), own.first())?;
        let mut room = room.ok_or_else(rule::not_member)?;
        rule::delete_room(&room, by)?;
        room.deleted_at = at.now;
        if room.members as usize > at.settings.max_members {
            // Too many to tell each: the room's own feed says it, and no read
            // shows a deleted room.
            let event = commit_details(tx, &mut room).await?;
            return Ok(Done::changed(result, vec![event]));
        }
        let members = tx.active_members(&self.room).await?;
        let members = members.into_iter().map(|row| row.user).collect();
        let (users, mut members) = lock_members(&mut *tx, &self.room, members).await?;
        for row in &mut members {
            row.active = false;
        }
        room.members = 0;
        let events = Changes { room, users, members, tell: Tell::Room }.commit(tx).await?;
        Ok(Done::changed(result, events))
    }
}
