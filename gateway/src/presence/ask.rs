//! Answers who is connected, as far as the one who asks may know.

use std::collections::HashMap;

use bus::{Seen, Status};
use proto::node::{Acquainted, Actor, ListMembers, answer, query};
use proto::v1::{self, UserPresence};
use proto::{ErrorCode, RoomId, UserId};

use crate::link::Link;

/// Members of a room that presence looks at.
const MAX_MEMBERS: usize = 1000;
const MEMBERS_PAGE: u32 = 100;

/// What `actor` may know of these users: the unacquainted are `unknown`, and
/// all are while presence is away (P5, P7).
pub async fn of_users(
    link: &Link,
    port: &dyn bus::Presence,
    actor: Actor,
    users: &[UserId],
) -> Result<Vec<UserPresence>, v1::Error> {
    let names = users.iter().map(String::from).collect();
    let question = query::Question::Acquainted(Acquainted { users: names });
    let answer::Result::Acquainted(known) = link.ask(actor, question).await? else { return Ok(Vec::new()) };
    let stored: HashMap<_, _> =
        known.users.iter().map(String::as_str).zip(known.last_seen.iter().copied()).collect();
    let mut presences = look(port, users).await;
    for presence in &mut presences {
        match stored.get(presence.user.as_str()) {
            Some(last_seen) => presence.last_seen = presence.last_seen.max(*last_seen),
            None => *presence = unknown(&presence.user),
        }
    }
    Ok(presences)
}

/// The members of a room who are connected. Refused to those who are not members.
pub async fn of_room(
    link: &Link,
    port: &dyn bus::Presence,
    actor: Actor,
    room: &RoomId,
) -> Result<Vec<UserPresence>, v1::Error> {
    let members = member_ids(link, actor, room).await?;
    let mut presences = look(port, &members).await;
    presences.retain(|presence| presence.status != Status::Offline.name());
    Ok(presences)
}

async fn look(port: &dyn bus::Presence, users: &[UserId]) -> Vec<UserPresence> {
    match port.look(users).await {
        Ok(seen) => seen.iter().map(shown).collect(),
        Err(error) => {
            tracing::debug!(%error, "presence does not answer");
            users.iter().map(|user| unknown(user.as_str())).collect()
        }
    }
}

fn unknown(user: &str) -> UserPresence {
    UserPresence { user: user.to_owned(), status: "unknown".to_owned(), last_seen: 0 }
}

/// The ids of a room's members, as many as presence looks at.
async fn member_ids(link: &Link, actor: Actor, room: &RoomId) -> Result<Vec<UserId>, v1::Error> {
    let mut users = Vec::new();
    let mut after = String::new();
    loop {
        let page = ListMembers { room: room.into(), after, limit: MEMBERS_PAGE };
        let answer::Result::ListMembers(page) =
            link.ask(actor.clone(), query::Question::ListMembers(page)).await?
        else {
            return Err(ErrorCode::Internal.with("a dispatcher answered something else"));
        };
        users.extend(page.members.iter().filter_map(|member| UserId::new(&member.user).ok()));
        match page.members.last() {
            Some(last) if page.more && users.len() < MAX_MEMBERS => after = last.user.clone(),
            _ => return Ok(users),
        }
    }
}

/// Presence as clients see it.
pub(super) fn shown(seen: &Seen) -> UserPresence {
    UserPresence {
        user: (&seen.user).into(),
        status: seen.status.name().to_owned(),
        last_seen: seen.last_seen.unwrap_or(0),
    }
}
