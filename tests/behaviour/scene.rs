//! Where attacks take place, and how to see that nothing has come of them.

use serde_json::json;
use testkit::client::Client;

use super::hear::{deliveries, history, settled, up_to};
use super::raw::Raw;
use super::world::{Deployment, World};

/// A room, its member who only listens, and a place from which it is attacked.
pub struct Scene {
    pub world: World,
    pub user: String,
    pub room: String,
    listener: Client,
}

impl Scene {
    /// In the shared system.
    pub async fn new(deployment: Deployment) -> Self {
        let world = deployment.shared().await;
        let [user, other] = world.names(["user", "other"]);
        let room = world.group(&user, &[&other]).await;
        let listener = world.member(1, &other, &room).await;
        Self { world, user, room, listener }
    }

    /// A connection of the attacker that is ready.
    pub async fn raw(&self) -> Raw {
        Raw::ready(&self.world, &self.user).await
    }

    /// Nothing came of it, and all goes on.
    pub async fn assert_unharmed(&self) {
        let client = self.world.client(0, &self.user).await;
        assert_eq!(history(&client, &self.room).await, []);
        let sent = client.send(&self.room, "good").await.expect("good sends are taken");
        assert_eq!(sent.ordinal, 1);
        up_to(&self.listener, &self.room, sent.seq).await;
        settled(&self.listener).await;
        assert_eq!(deliveries(&self.listener, &self.room).len(), 1);
        let rest = self.world.rest(0, &self.user);
        let room = rest.get(&format!("/v1/rooms/{}", self.room)).await.expect("an answer").ok();
        assert_eq!(room.expect("the room")["details"]["name"], json!("Ringers"));
    }
}
