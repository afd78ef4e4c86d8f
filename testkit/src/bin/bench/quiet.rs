//! Rooms that are open, and in which nobody says anything.

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use proto::Encoding;
use testkit::client::{Client, ConnectOptions};
use testkit::cluster::System;

/// Of each owner; far below what one connection may follow.
const ROOMS_OF_ONE: usize = 200;
/// At once: each waits for a flush, and one flush serves many.
const AT_ONCE: usize = 32;

/// Those who sit in the rooms.
pub struct Quiet {
    owners: Vec<Client>,
}

impl Quiet {
    /// Makes so many rooms, over REST as anybody would, and has their owners
    /// follow them.
    pub async fn open(system: &System, rooms: usize) -> anyhow::Result<Self> {
        let owners = (0..rooms.div_ceil(ROOMS_OF_ONE)).map(|owner| async move {
            let user = format!("quiet-{owner}");
            let rest = &system.rest(0, &user);
            let client = system.client_with(0, &user, ConnectOptions::new(Encoding::Json)).await;
            let client = client.with_context(|| format!("connect {user}"))?;
            let own = ROOMS_OF_ONE.min(rooms - owner * ROOMS_OF_ONE);
            for room in 0..own {
                let room = rest.create_group(&format!("Quiet {room}"), &[]).await?;
                let joined = client.join(&room).await;
                joined.map_err(|error| anyhow::anyhow!("join: {}: {}", error.code, error.message))?;
            }
            anyhow::Ok(client)
        });
        let owners = stream::iter(owners).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(Self { owners })
    }

    /// Whether all of them are still there.
    pub fn all_there(&self) -> bool {
        self.owners.iter().all(|owner| owner.end().is_none())
    }
}
