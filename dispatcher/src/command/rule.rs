//! Who may do what: pure functions of rows, without a store or a clock.

use proto::v1::{self, Role, RoomKind};
use proto::{ErrorCode, UserId};

use super::check::{Actor, Checked};
use crate::store::{MemberRow, MessageRow, RoomRow};

/// What the actor is to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// An active member of this role.
    Member(Role),
    /// A server-to-server token: above every role.
    Service,
}

/// The refusal for rooms: whether the room is absent or the actor is not in it
/// is not told.
pub(crate) fn not_member() -> v1::Error {
    ErrorCode::NotMember.with("no such room, or not a member of it")
}

/// The refusal for other things: absent or not theirs is not told.
pub(crate) fn not_found(what: &str) -> v1::Error {
    ErrorCode::NotFound.with(format!("no such {what}"))
}

fn forbidden(message: &str) -> v1::Error {
    ErrorCode::Forbidden.with(message)
}

fn conflict(message: &str) -> v1::Error {
    ErrorCode::Conflict.with(message)
}

/// The role of a row, if it is of an active member.
pub(crate) fn active(row: Option<&MemberRow>) -> Option<Role> {
    row.filter(|row| row.active).map(|row| row.role)
}

/// What the actor with this row is to the room, or the refusal for rooms.
pub(crate) fn standing(actor: &Actor, room: Option<&RoomRow>, row: Option<&MemberRow>) -> Checked<Standing> {
    match room {
        Some(room) if room.deleted_at == 0 => {}
        _ => return Err(not_member()),
    }
    if actor.service {
        return Ok(Standing::Service);
    }
    active(row).map(Standing::Member).ok_or_else(not_member)
}

fn not_direct(room: &RoomRow) -> Checked<()> {
    if room.kind == RoomKind::Direct {
        return Err(conflict("a direct room stays as it is"));
    }
    Ok(())
}

/// Renaming: admins and above.
pub(crate) fn rename(room: &RoomRow, by: Standing) -> Checked<()> {
    not_direct(room)?;
    if by < Standing::Member(Role::Admin) {
        return Err(forbidden("only admins and the owner rename a room"));
    }
    Ok(())
}

/// Deleting a room: the owner.
pub(crate) fn delete_room(room: &RoomRow, by: Standing) -> Checked<()> {
    not_direct(room)?;
    if by < Standing::Member(Role::Owner) {
        return Err(forbidden("only the owner deletes a room"));
    }
    Ok(())
}

/// Adding members: to a public room everybody themselves and nobody else, to a
/// group by admins and above.
pub(crate) fn add(
    actor: &Actor,
    room: Option<&RoomRow>,
    row: Option<&MemberRow>,
    users: &[UserId],
) -> Checked<()> {
    let joins = users.iter().all(|user| *user == actor.user);
    match room {
        Some(room) if room.deleted_at == 0 && room.kind == RoomKind::Public && joins => return Ok(()),
        _ => {}
    }
    let by = standing(actor, room, row)?;
    let room = room.ok_or_else(not_member)?;
    not_direct(room)?;
    match room.kind {
        _ if by == Standing::Service => Ok(()),
        RoomKind::Public => Err(forbidden("everybody joins a public room themselves")),
        _ if by < Standing::Member(Role::Admin) => Err(forbidden("only admins and the owner add members")),
        _ => Ok(()),
    }
}

/// Removing another member: those of a strictly higher role.
pub(crate) fn remove(room: &RoomRow, by: Standing, target: Option<Role>) -> Checked<()> {
    not_direct(room)?;
    if by < Standing::Member(Role::Moderator) {
        return Err(forbidden("only moderators and above remove members"));
    }
    if target.is_some_and(|target| by <= Standing::Member(target)) {
        return Err(forbidden("only members of a lower role can be removed"));
    }
    Ok(())
}

/// Leaving.
pub(crate) fn leave(room: &RoomRow) -> Checked<()> {
    not_direct(room)
}

/// Who owns a room after its owner has left: the highest role, among equals the
/// one whose row has not changed for longest (who was there first, unless their
/// role changed since).
pub(crate) fn successor<'a>(
    members: impl IntoIterator<Item = &'a MemberRow>,
    leaving: &UserId,
) -> Option<&'a MemberRow> {
    members
        .into_iter()
        .filter(|row| row.active && row.user != *leaving)
        .min_by(|a, b| b.role.cmp(&a.role).then(a.changed.cmp(&b.changed)))
}

/// Changing a role: the owner to anything, admins among those below admins.
pub(crate) fn change_role(
    room: &RoomRow,
    by: Standing,
    themselves: bool,
    target: Role,
    wanted: Role,
) -> Checked<()> {
    not_direct(room)?;
    if themselves && by == Standing::Member(Role::Owner) {
        return Err(conflict("make another member the owner instead"));
    }
    if target == Role::Owner && by == Standing::Service {
        return Err(conflict("make another member the owner instead"));
    }
    let allowed = match by {
        Standing::Service | Standing::Member(Role::Owner) => true,
        Standing::Member(Role::Admin) => target < Role::Admin && wanted < Role::Admin,
        Standing::Member(_) => false,
    };
    if allowed { Ok(()) } else { Err(forbidden("this role cannot be given by you")) }
}

/// Editing: `Ok(false)` where the text is what it was. A repeat is answered
/// like the first also when the time to edit has passed since.
pub(crate) fn edit(
    actor: &UserId,
    row: &MessageRow,
    text: &str,
    now: i64,
    window: std::time::Duration,
) -> Checked<bool> {
    let message = &row.message;
    if message.sender != actor.as_str() {
        return Err(forbidden("only the author edits a message"));
    }
    if message.deleted_at != 0 {
        return Err(conflict("the message is deleted"));
    }
    if message.text == text {
        return Ok(false);
    }
    let age = now.saturating_sub(message.time).max(0) as u128;
    if age >= window.as_millis() {
        return Err(ErrorCode::EditExpired.with("the time to edit this message is over"));
    }
    super::check::body(message.r#type(), text)?;
    Ok(true)
}

/// Deleting a message: its author, moderators and above.
/// `Ok(false)` where it is deleted already.
pub(crate) fn delete_message(actor: &UserId, by: Standing, row: &MessageRow) -> Checked<bool> {
    if row.message.sender != actor.as_str() && by < Standing::Member(Role::Moderator) {
        return Err(forbidden("only the author and moderators delete a message"));
    }
    Ok(row.message.deleted_at == 0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proto::RoomId;
    use proto::v1::MessageType;

    use super::*;

    fn actor(user: &str) -> Actor {
        Actor { user: UserId::new(user).unwrap(), name: String::new(), service: false }
    }

    fn room(kind: RoomKind) -> RoomRow {
        RoomRow {
            id: RoomId::new("r").unwrap(),
            kind,
            name: String::new(),
            created_at: 0,
            created_by: UserId::new("a").unwrap(),
            deleted_at: 0,
            members: 2,
            head: 3,
            head_check: 0,
            messages: 0,
            changed: 1,
            check: 0,
        }
    }

    fn member(user: &str, role: Role, changed: u64) -> MemberRow {
        MemberRow {
            room: RoomId::new("r").unwrap(),
            user: UserId::new(user).unwrap(),
            name: String::new(),
            role,
            active: true,
            sent: 0,
            read_seq: 0,
            read_ordinal: 0,
            read_sent: 0,
            changed,
            check: 0,
            user_changed: 0,
            user_check: 0,
        }
    }

    fn code(result: Checked<impl Sized>) -> String {
        result.err().map_or_else(|| "ok".to_owned(), |error| error.code)
    }

    const ROLES: [Role; 4] = [Role::Member, Role::Moderator, Role::Admin, Role::Owner];

    #[test]
    fn roles_rise_and_the_service_is_above() {
        assert!(ROLES.is_sorted());
        assert!(Standing::Service > Standing::Member(Role::Owner));
    }

    #[test]
    fn p5_absent_deleted_and_foreign_rooms_answer_alike() {
        let group = room(RoomKind::Group);
        let deleted = RoomRow { deleted_at: 1, ..group.clone() };
        let left = MemberRow { active: false, ..member("a", Role::Owner, 1) };
        let here = member("a", Role::Owner, 1);
        let refusal = not_member();
        for (room, row) in
            [(None, None), (Some(&group), None), (Some(&group), Some(&left)), (Some(&deleted), Some(&here))]
        {
            assert_eq!(standing(&actor("a"), room, row), Err(refusal.clone()));
        }
        assert_eq!(standing(&actor("a"), Some(&group), Some(&here)), Ok(Standing::Member(Role::Owner)));
    }

    #[test]
    fn rooms_are_renamed_and_deleted_by_rank() {
        let (group, direct) = (room(RoomKind::Group), room(RoomKind::Direct));
        let by = |role| Standing::Member(role);
        assert_eq!(ROLES.map(|r| code(rename(&group, by(r)))), ["forbidden", "forbidden", "ok", "ok"]);
        assert_eq!(
            ROLES.map(|r| code(delete_room(&group, by(r)))),
            ["forbidden", "forbidden", "forbidden", "ok"]
        );
        assert_eq!(code(rename(&group, Standing::Service)), "ok");
        assert_eq!(code(delete_room(&direct, Standing::Service)), "conflict");
    }

    #[test]
    fn members_are_added_by_kind_and_rank() {
        let (group, public, direct) = (room(RoomKind::Group), room(RoomKind::Public), room(RoomKind::Direct));
        let (me, other) = ([UserId::new("a").unwrap()], [UserId::new("b").unwrap()]);
        let admin = member("a", Role::Admin, 1);
        let plain = member("a", Role::Member, 1);
        let owner = member("a", Role::Owner, 1);
        let cases = [
            (Some(&public), None, &me, "ok"),
            (Some(&public), None, &other, "not_member"),
            (Some(&public), Some(&owner), &other, "forbidden"),
            (Some(&group), None, &me, "not_member"),
            (None, None, &me, "not_member"),
            (Some(&group), Some(&plain), &other, "forbidden"),
            (Some(&group), Some(&admin), &other, "ok"),
            (Some(&direct), Some(&plain), &other, "conflict"),
        ];
        for (room, row, users, expected) in cases {
            assert_eq!(code(add(&actor("a"), room, row, users)), expected, "{room:?} {row:?} {users:?}");
        }
        let service = Actor { service: true, ..actor("s") };
        assert_eq!(code(add(&service, Some(&public), None, &other)), "ok");
        assert_eq!(code(add(&service, None, None, &other)), "not_member");
    }

    #[test]
    fn members_are_removed_by_a_strictly_higher_role() {
        let group = room(RoomKind::Group);
        for by in ROLES {
            for target in ROLES {
                let allowed = by > target && by >= Role::Moderator;
                let result = remove(&group, Standing::Member(by), Some(target));
                assert_eq!(result.is_ok(), allowed, "{by:?} {target:?}");
            }
        }
        assert!(remove(&group, Standing::Service, Some(Role::Owner)).is_ok());
        assert_eq!(code(leave(&room(RoomKind::Direct))), "conflict");
    }

    #[test]
    fn roles_are_changed_by_rank() {
        let group = room(RoomKind::Group);
        let change = |by, target, wanted| code(change_role(&group, by, false, target, wanted));
        let admin = Standing::Member(Role::Admin);
        assert_eq!(change(admin, Role::Member, Role::Moderator), "ok");
        assert_eq!(change(admin, Role::Member, Role::Admin), "forbidden");
        assert_eq!(change(admin, Role::Admin, Role::Member), "forbidden");
        assert_eq!(change(Standing::Member(Role::Moderator), Role::Member, Role::Member), "forbidden");
        assert_eq!(change(Standing::Member(Role::Owner), Role::Admin, Role::Owner), "ok");
        let own = change_role(&group, Standing::Member(Role::Owner), true, Role::Owner, Role::Member);
        assert_eq!(code(own), "conflict");
    }

    #[test]
    fn an_owner_is_followed_by_the_highest_then_the_first() {
        let members = [
            member("a", Role::Owner, 2),
            member("b", Role::Member, 3),
            member("c", Role::Moderator, 9),
            member("d", Role::Moderator, 5),
        ];
        let leaving = UserId::new("a").unwrap();
        assert_eq!(successor(&members, &leaving).unwrap().user.as_str(), "d");
        assert_eq!(successor(&members[..2], &leaving).unwrap().user.as_str(), "b");
        assert_eq!(successor(&members[..1], &leaving), None);
    }

    #[test]
    fn messages_are_edited_by_their_author_in_time() {
        let message = v1::Message {
            sender: "a".into(),
            text: "old".into(),
            time: 1000,
            r#type: MessageType::Text.into(),
            ..Default::default()
        };
        let row = MessageRow { room: RoomId::new("r").unwrap(), message, changed: 1, check: 0 };
        let window = Duration::from_secs(60);
        let edit = |user: &str, row: &MessageRow, text, now| {
            super::edit(&UserId::new(user).unwrap(), row, text, now, window).map_err(|e| e.code)
        };
        assert_eq!(edit("a", &row, "new", 2000), Ok(true));
        assert_eq!(edit("a", &row, "old", 100_000), Ok(false));
        assert_eq!(edit("a", &row, "new", 61_000), Err("edit_expired".into()));
        assert_eq!(edit("a", &row, " ", 2000), Err("invalid".into()));
        assert_eq!(edit("b", &row, "new", 2000), Err("forbidden".into()));
        let mut gone = row.clone();
        gone.message.deleted_at = 5;
        assert_eq!(edit("a", &gone, "new", 2000), Err("conflict".into()));

        let user = |id| UserId::new(id).unwrap();
        let plain = Standing::Member(Role::Member);
        assert_eq!(delete_message(&user("a"), plain, &row), Ok(true));
        assert_eq!(delete_message(&user("a"), plain, &gone), Ok(false));
        assert_eq!(code(delete_message(&user("b"), plain, &row)), "forbidden");
        assert_eq!(delete_message(&user("b"), Standing::Member(Role::Moderator), &row), Ok(true));
    }
}
