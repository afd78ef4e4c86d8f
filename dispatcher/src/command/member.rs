//! Who is in a room, and as what.

use async_trait::async_trait;
use proto::node::{self, outcome};
use proto::v1::{Change, Done as Nothing, Role, RoomKind, change::Thing};
use proto::{ErrorCode, FeedId, RoomId, UserId};

use super::check::{self, Checked};
use super::{Act, Attempt, Done, Refusal, member, membership, rule};
use crate::raise::Raise;
use crate::settings::Settings;
use crate::store::{self, MemberRow, RoomRow, Transaction, UserRow};

/// Adding members; joining a public room.
pub(crate) struct AddMembers {
    room: RoomId,
    users: Vec<UserId>,
}

impl AddMembers {
    pub(crate) fn check(add: node::AddMembers, settings: &Settings) -> Checked<Self> {
        if add.users.is_empty() {
            return Err(ErrorCode::Invalid.with("users are required"));
        }
        if add.users.len() > settings.max_members {
            return Err(ErrorCode::TooLarge.with(format!("more than {} users", settings.max_members)));
        }
        Ok(Self { room: check::room(&add.room)?, users: check::users(&add.users)? })
    }

    /// A user's way into a public room.
    pub(crate) fn join(room: RoomId, user: UserId) -> Self {
        Self { room, users: vec![user] }
    }
}

#[async_trait]
impl Act for AddMembers {
    fn name(&self) -> &'static str {
        "add_members"
    }

    fn key(&self) -> &str {
        self.room.as_str()
    }

    async fn run(&self, at: &Attempt<'_>) -> Result<Done, Refusal> {
        let mut tx = at.store.begin().await?;
        let room = tx.lock_room(&self.room).await?;
        let users = tx.lock_users(&self.users).await?;
        let mut rows = tx.members(&self.room, &with(&self.users, &at.actor.user)).await?;
        let own = rows.iter().find(|row| row.user == at.actor.user);
        rule::add(at.actor, room.as_ref(), own, &self.users)?;
        let mut room = room.ok_or_else(rule::not_member)?;

        rows.retain(|row| self.users.contains(&row.user));
        let known = |user: &UserId| rows.iter().position(|row| row.user == *user);
        let joining: Vec<&UserRow> =
            users.iter().filter(|user| known(&user.id).is_none_or(|place| !rows[place].active)).collect();
        let result = outcome::Result::Done(Nothing {});
        if joining.is_empty() {
            return Ok(Done::unchanged(result));
        }
        let members = room.members as usize + joining.len();
        if room.kind == RoomKind::Group && members > at.settings.max_members {
            let limit = at.settings.max_members;
            return Err(ErrorCode::TooLarge.with(format!("a group has at most {limit} members")).into());
        }
        // Who joins has read everything that was said before.
        let newest = tx.message_at(&self.room, 0, &at.actor.user).await?;
        let (read_seq, read_ordinal) = newest.map_or((0, 0), |(seq, ordinal, _)| (seq, ordinal));
        let joined: Vec<MemberRow> = joining
            .into_iter()
            .map(|user| {
                let sent = known(&user.id).map_or(0, |place| rows[place].sent);
                MemberRow { read_seq, read_ordinal, read_sent: sent, sent, ..new_member(&room.id, user) }
            })
            .collect();
        room.members += joined.len() as u32;
        let events = Changes { room, users, members: joined, tell: Tell::MembersAndCount }.commit(tx).await?;
        Ok(Done::changed(result, events))
    }
}

/// Removing a member; leaving.
pub(crate) struct RemoveMember {
    room: RoomId,
    user: UserId,
}

impl RemoveMember {
    pub(crate) fn check(remove: node::RemoveMember) -> Checked<Self> {
        Ok(Self { room: check::room(&remove.room)?, user: check::user(&remove.user)? })
    }
}

#[async_trait]
impl Act for RemoveMember {
    fn name(&self) -> &'static str {
        "remove_member"
    }

    fn key(&self) -> &str {
        self.room.as_str()
    }

    async fn run(&self, at: &Attempt<'_>) -> Result<Done, Refusal> {
        let result = outcome::Result::Done(Nothing {});
        let leaves = self.user == at.actor.user && !at.actor.service;
        let mut tx = at.store.begin().await?;
        let room = tx.lock_room(&self.room).await?;
        let concerned = with(std::slice::from_ref(&self.user), &at.actor.user);
        let rows = tx.members(&self.room, &concerned).await?;
        let row = |user: &UserId| rows.iter().find(|row| row.user == *user);
        let target = row(&self.user);
        if leaves
            && target.is_some_and(|row| !row.active)
            && room.as_ref().is_some_and(|room| room.deleted_at == 0)
        {
            // A repeat of a leave whose answer was lost.
            return Ok(Done::unchanged(result));
        }
        let by = rule::standing(at.actor, room.as_ref(), row(&at.actor.user))?;
        let mut room = room.ok_or_else(rule::not_member)?;
        if leaves {
            rule::leave(&room)?;
        } else {
            rule::remove(&room, by, rule::active(target))?;
        }
        let Some(target) = target.filter(|row| row.active) else {
            return Ok(Done::unchanged(result));
        };

        let mut changing = vec![target.user.clone()];
        let owned = target.role == Role::Owner;
        if owned && room.members > 1 {
            if room.members as usize > at.settings.max_members {
                let reason = "the room is too large to choose the next owner: make a member the owner first";
                return Err(ErrorCode::Conflict.with(reason).into());
            }
            let others = tx.active_members(&self.room).await?;
            changing.extend(rule::successor(&others, &self.user).map(|row| row.user.clone()));
        }
        let (users, mut members) = lock_members(&mut *tx, &self.room, changing).await?;
        for row in &mut members {
            if row.user == self.user {
                row.active = false;
                // Whoever comes back is a member like any other.
                row.role = Role::Member;
            } else {
                row.role = Role::Owner;
            }
        }
        room.members = room.members.saturating_sub(1);
        let events = Changes { room, users, members, tell: Tell::MembersAndCount }.commit(tx).await?;
        Ok(Done::changed(result, events))
    }
}

/// Changing a member's role; handing over a room.
pub(crate) struct ChangeRole {
    room: RoomId,
    user: UserId,
    role: Role,
}

impl ChangeRole {
    pub(crate) fn check(change: node::ChangeRole) -> Checked<Self> {
        let role = Role::try_from(change.role)
            .map_err(|_| ErrorCode::Invalid.with("role is none of MEMBER, MODERATOR, ADMIN, OWNER"))?;
        Ok(Self { room: check::room(&change.room)?, user: check::user(&change.user)?, role })
    }
}

#[async_trait]
impl Act for ChangeRole {
    fn name(&self) -> &'static str {
        "change_role"
    }

    fn key(&self) -> &str {
        self.room.as_str()
    }

    async fn run(&self, at: &Attempt<'_>) -> Result<Done, Refusal> {
        let mut tx = at.store.begin().await?;
        let room = tx.lock_room(&self.room).await?;
        let concerned = with(std::slice::from_ref(&self.user), &at.actor.user);
        let rows = tx.members(&self.room, &concerned).await?;
        let row = |user: &UserId| rows.iter().find(|row| row.user == *user);
        let by = rule::standing(at.actor, room.as_ref(), row(&at.actor.user))?;
        let room = room.ok_or_else(rule::not_member)?;
        let role = rule::active(row(&self.user)).ok_or_else(|| rule::not_found("member"))?;
        let result = outcome::Result::Done(Nothing {});
        if role == self.role {
            return Ok(Done::unchanged(result));
        }
        rule::change_role(&room, by, self.user == at.actor.user, role, self.role)?;

        let mut changing = vec![self.user.clone()];
        if self.role == Role::Owner {
            // There is one owner: the one before becomes an admin.
            if by == rule::Standing::Member(Role::Owner) {
                changing.push(at.actor.user.clone());
            } else if room.members as usize <= at.settings.max_members {
                let members = tx.active_members(&self.room).await?;
                changing.extend(members.into_iter().filter(|m| m.role == Role::Owner).map(|m| m.user));
            } else {
                return Err(ErrorCode::Conflict.with("only the owner hands over a room this large").into());
            }
        }
        let (users, mut members) = lock_members(&mut *tx, &self.room, changing).await?;
        for row in &mut members {
            row.role = if row.user == self.user { self.role } else { Role::Admin };
        }
        let events = Changes { room, users, members, tell: Tell::Members }.commit(tx).await?;
        Ok(Done::changed(result, events))
    }
}

/// These users and the actor, each once, sorted.
fn with(users: &[UserId], actor: &UserId) -> Vec<UserId> {
    let mut all = users.to_vec();
    all.push(actor.clone());
    all.sort();
    all.dedup();
    all
}

/// Locks users of a locked room and reads their rows after that: read marks
/// move under the lock of the user alone.
pub(super) async fn lock_members(
    tx: &mut dyn Transaction,
    room: &RoomId,
    mut users: Vec<UserId>,
) -> store::Result<(Vec<UserRow>, Vec<MemberRow>)> {
    users.sort();
    users.dedup();
    let locked = tx.lock_users(&users).await?;
    Ok((locked, tx.members(room, &users).await?))
}

/// A member as they are on joining an empty room.
pub(super) fn new_member(room: &RoomId, user: &UserRow) -> MemberRow {
    MemberRow {
        room: room.clone(),
        user: user.id.clone(),
        name: user.name.clone(),
        role: Role::Member,
        active: true,
        sent: 0,
        read_seq: 0,
        read_ordinal: 0,
        read_sent: 0,
        changed: 0,
        check: 0,
        user_changed: 0,
        user_check: 0,
    }
}

/// What the room's feed is told of changed members.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tell {
    /// The members.
    Members,
    /// The members, then the room itself, of which they change the count: who
    /// is removed hears of that and no more.
    MembersAndCount,
    /// The room itself, then the members.
    RoomAndMembers,
    /// The room itself, which says it all: it is gone.
    Room,
}

/// A room and members of it, to be written together.
pub(super) struct Changes {
    pub(super) room: RoomRow,
    /// The users of `members`, locked; others are left alone.
    pub(super) users: Vec<UserRow>,
    pub(super) members: Vec<MemberRow>,
    pub(super) tell: Tell,
}

impl Changes {
    /// Raises the room's feed and that of each member changed, writes, commits.
    pub(super) async fn commit(
        self,
        mut tx: Box<dyn Transaction>,
    ) -> store::Result<Vec<(FeedId, Vec<Change>)>> {
        let Self { mut room, users, mut members, tell } = self;
        let mut feed = Raise::new(FeedId::Room(room.id.clone()), room.head);
        if matches!(tell, Tell::RoomAndMembers | Tell::Room) {
            note_room(&mut feed, &mut room);
        }
        let mut events = Vec::with_capacity(1 + members.len());
        let mut raised = Vec::with_capacity(members.len());
        for row in &mut members {
            if tell != Tell::Room {
                let place = feed.next();
                (row.changed, row.check) = place;
                feed.note(place, member(row));
            }
            let Some(user) = users.iter().find(|user| user.id == row.user) else { continue };
            let mut own = Raise::new(FeedId::User(user.id.clone()), user.head);
            let place = own.next();
            (row.user_changed, row.user_check) = place;
            own.note(place, membership(row, row.unread(room.messages)));
            raised.push((UserRow { head: own.head(), head_check: own.head_check(), ..user.clone() }, own));
        }
        if tell == Tell::MembersAndCount {
            note_room(&mut feed, &mut room);
        }
        (room.head, room.head_check) = (feed.head(), feed.head_check());

        tx.put_members(&members).await?;
        tx.update_room(&room, feed.first(), feed.checks()).await?;
        events.push(feed.into_event());
        for (user, own) in raised {
            tx.update_user(&user, own.first(), own.checks()).await?;
            events.push(own.into_event());
        }
        tx.commit().await?;
        Ok(events)
    }
}

fn note_room(feed: &mut Raise, room: &mut RoomRow) {
    let place = feed.next();
    (room.changed, room.check) = place;
    feed.note(place, Thing::Details(room.details()));
}
