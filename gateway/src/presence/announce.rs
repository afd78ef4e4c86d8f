//! Tells rooms who of their members came and went.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bus::{Seen, Status};
use proto::UserId;
use proto::node::{
    Actor, Ephemeral, LastSeen, PresenceRooms, RecordLastSeen, answer, command, ephemeral, query,
};
use proto::v1::{self, UserPresence};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::MAX_EVENTS;
use super::ask::shown;
use crate::hub::Hub;

/// Updates of one room and user are merged over this time under load.
const ROUND: Duration = Duration::from_millis(250);
/// Users whose rooms are asked for at once.
const ROOMS_OF_AT_ONCE: usize = 200;

/// Tells rooms of their members' changes, merged by room and round.
pub(super) async fn announce(
    hub: Arc<Hub>,
    mut changed: mpsc::Receiver<Seen>,
    room_limit: u32,
    stop: CancellationToken,
) {
    let mut changes = Vec::new();
    while let Some(1..) = stop.run_until_cancelled(changed.recv_many(&mut changes, MAX_EVENTS)).await {
        // The newest of each user.
        let latest: HashMap<UserId, Seen> = changes.drain(..).map(|seen| (seen.user.clone(), seen)).collect();
        let latest: Vec<_> = latest.into_values().collect();
        for some in latest.chunks(ROOMS_OF_AT_ONCE) {
            if let Err(error) = announce_some(&hub, some, room_limit).await {
                tracing::debug!(code = error.code, "rooms were not told of presence");
            }
        }
        stop.run_until_cancelled(tokio::time::sleep(ROUND)).await;
    }
}

async fn announce_some(hub: &Arc<Hub>, seen: &[Seen], room_limit: u32) -> Result<(), v1::Error> {
    let users = seen.iter().map(|seen| (&seen.user).into()).collect();
    let question = query::Question::PresenceRooms(PresenceRooms { users, max_members: room_limit });
    let service = Actor { service: true, ..Actor::default() };
    let answer::Result::PresenceRooms(rooms) = hub.link().ask(service.clone(), question).await? else {
        return Ok(());
    };
    let mut updates: HashMap<String, Vec<UserPresence>> = HashMap::new();
    for (seen, rooms) in seen.iter().zip(rooms.users) {
        for room in rooms.rooms {
            updates.entry(room).or_default().push(shown(seen));
        }
    }
    for (room, users) in updates {
        hub.publish(Ephemeral { room, kind: Some(ephemeral::Kind::Presence(v1::Presence { users })) });
    }
    let gone: Vec<_> = seen
        .iter()
        .filter(|seen| seen.status == Status::Offline)
        .filter_map(|seen| Some(LastSeen { user: (&seen.user).into(), time: seen.last_seen? }))
        .collect();
    if !gone.is_empty() {
        hub.link().command(service, command::Action::RecordLastSeen(RecordLastSeen { users: gone })).await?;
    }
    Ok(())
}
