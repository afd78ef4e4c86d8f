//! About how many members a room has: enough to tell rooms in which everybody
//! hears of everybody from those that are too large for it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proto::{RoomId, UserId};
use tokio::time::Instant;

use crate::store::Store;

/// Rooms remembered at once.
const MOST: usize = 10_000;
/// After this a room is looked up again.
const FRESH: Duration = Duration::from_secs(60);

/// Remembers rooms' sizes for a while.
#[derive(Default)]
pub(crate) struct Sizes {
    known: Mutex<HashMap<RoomId, (u32, Instant)>>,
}

impl Sizes {
    /// How many members the room had a while ago; `None` where `user` is not
    /// one of them or the store does not answer.
    pub(crate) async fn of(&self, store: &dyn Store, room: &RoomId, user: &UserId) -> Option<u32> {
        let now = Instant::now();
        if let Some((members, since)) = self.lock().get(room)
            && now.duration_since(*since) < FRESH
        {
            return Some(*members);
        }
        let members = store.room(user, room, 0).await.ok()??.details?.members;
        let mut known = self.lock();
        if known.len() >= MOST {
            known.retain(|_, (_, since)| now.duration_since(*since) < FRESH);
        }
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(room.clone(), (members, now));
        Some(members)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RoomId, (u32, Instant)>> {
        // Every state of the map is a good one.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
