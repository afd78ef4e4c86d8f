//! From a CONNECT packet to a client that hears what it is meant to hear.

use std::collections::HashMap;

use futures_util::future::join_all;
use proto::node::Follow;
use proto::v1::{self, Membership, Message};
use proto::{CloseCode, Cursor, ErrorCode, RoomId, UserId};
use serde::Deserialize;

use super::reply::{Reply, emit_error};
use super::{MAX_POSITIONS, State, Step, Talk};
use crate::auth::Identity;
use crate::client::Client;
use crate::outbound::Closing;
use crate::requests::{self, Following};
use crate::socketio::SocketIoWire;
use crate::socketio::packet;
use crate::vocabulary::Answer;
use crate::wire::Wire;

/// Ids of guests begin with it; those of tokens may not, where there are guests.
const GUEST: &str = "guest:";

/// Messages looked at together for one that was heard, and how often.
const ANCHOR_PAGE: u32 = 50;
const ANCHOR_PAGES: usize = 20;
/// A lost hint is made up for within this, milliseconds: whatever is older was heard.
const HINT_PATIENCE: i64 = 2000;
/// Length of a connection's id.
const ID_LENGTH: usize = 32;

/// What may stand in a CONNECT packet. Whatever else is there is the front end's own.
#[derive(Deserialize, Default)]
struct Auth {
    #[serde(default)]
    token: Option<serde_json::Value>,
    /// Where the client left off: the last argument of the newest event of each room.
    #[serde(default)]
    positions: Option<serde_json::Value>,
    /// The same from the client's library, which keeps the newest of all.
    #[serde(default)]
    offset: Option<serde_json::Value>,
    /// Which connection it had before, from the library too.
    #[serde(default)]
    pid: Option<serde_json::Value>,
}

impl Talk {
    /// A CONNECT packet has come.
    pub(super) fn connect_asked(&mut self, namespace: &str, data: &str) -> Option<Step> {
        if namespace != "/" {
            let mut out = Vec::new();
            packet::connect_error(&mut out, namespace, &ErrorCode::NotFound.with("Invalid namespace"));
            self.outbound.push(out.into());
            return None;
        }
        if !matches!(self.state, State::Opened) {
            return None;
        }
        let auth: Auth = match data {
            "" => Auth::default(),
            data => serde_json::from_str(data).unwrap_or_default(),
        };
        self.former =
            auth.pid.and_then(|pid| pid.as_str().map(str::to_owned)).filter(|pid| pid.len() == ID_LENGTH);
        (self.positions, self.away_since) = positions(auth.positions, auth.offset);
        self.away_since = self.away_since.or_else(|| began(self.former.as_deref()?));
        let token = auth.token.and_then(|token| match token {
            serde_json::Value::String(token) if !token.is_empty() => Some(token),
            _ => None,
        });
        Some(Step::Connect { token })
    }

    pub(super) async fn connect(&mut self, token: Option<String>) {
        let identity = match (token, self.bearer.take()) {
            (Some(token), _) => self.identify(&token).await.map(Some),
            (None, Some(bearer)) => bearer.map(Some),
            (None, None) if self.vocabulary().late_token || self.vocabulary().guests => Ok(None),
            (None, None) => Err(ErrorCode::Unauthenticated.with("a token is needed: auth: { token }")),
        };
        match identity {
            Ok(None) => {
                self.state = State::Nobody;
                self.say_connected(&uuid::Uuid::now_v7().simple().to_string());
            }
            Ok(Some(identity)) => {
                if let Err(error) = self.enter(&identity, true).await {
                    self.refuse_connect(&error);
                }
            }
            Err(error) => self.refuse_connect(&error),
        }
    }

    /// No session for this one; the engine's stays until the client leaves it.
    fn refuse_connect(&mut self, error: &v1::Error) {
        let mut out = Vec::new();
        packet::connect_error(&mut out, "/", error);
        self.outbound.push(out.into());
        // The client may try again with another token.
        self.state = State::Opened;
    }

    fn say_connected(&self, id: &str) {
        let mut out = Vec::new();
        packet::connected(&mut out, id);
        self.outbound.push(out.into());
    }

    async fn identify(&self, token: &str) -> Result<Identity, v1::Error> {
        let identity = self.app.authenticator.identify(token).await;
        let identity = identity.map_err(|error| error.code().with(error.to_string()))?;
        if self.vocabulary().guests && identity.user.as_str().starts_with(GUEST) {
            return Err(ErrorCode::TokenRefused.with("ids that begin with guest: are of guests"));
        }
        Ok(identity)
    }

    /// `authenticate`: shows a token, or a newer one.
    pub(super) async fn authenticate(&mut self, reply: Reply, token: String) {
        let shown = match self.identify(&token).await {
            Ok(identity) => match self.client() {
                Some(client) if client.user != identity.user => {
                    Err(ErrorCode::TokenRefused.with("the token is of another user"))
                }
                Some(client) => self.renew(client, &identity).await.map(|()| {
                    self.expires_at = identity.expires_at;
                    identity
                }),
                None => self.enter(&identity, false).await.map(|()| identity),
            },
            Err(error) => Err(error),
        };
        match shown {
            Ok(Identity { user, name, .. }) => {
                reply.done(&Answer { user: (user.to_string(), name), ..Answer::default() })
            }
            Err(error) => reply.refused(&error),
        }
    }

    /// Takes a newer token. The store is asked, so that a revoked one renews nothing.
    async fn renew(&self, client: &Client, identity: &Identity) -> Result<(), v1::Error> {
        let issued_at = identity.issued_at.unwrap_or(0);
        let own = Follow { actor: Some(client.actor()), issued_at, ..Follow::default() };
        self.app.hub.link().follow(own).await?;
        client.renewed(issued_at);
        Ok(())
    }

    /// A guest has said a name.
    pub(super) async fn enter_guest(&mut self, name: &str) -> Result<(), v1::Error> {
        let identity = Identity {
            user: guest_id(name)?,
            name: name.to_owned(),
            service: false,
            issued_at: None,
            expires_at: None,
        };
        self.enter(&identity, false).await
    }

    /// Makes somebody of the session: they hear their own feed, and all their
    /// rooms where the vocabulary says so. Nothing that happens from here on is
    /// missed, and nothing comes before the client knows that it is connected.
    async fn enter(&mut self, identity: &Identity, say_connected: bool) -> Result<(), v1::Error> {
        let vocabulary = self.vocabulary().clone();
        let own_position = self.positions.remove("").unwrap_or_default();
        let wire = SocketIoWire::new(vocabulary.clone(), !own_position.is_empty(), self.former.take());
        let client = Client::new(identity, Wire::SocketIo(Box::new(wire)), self.outbound.clone());
        let own = self.follow(&client, None, &own_position).await?;
        let rooms = if vocabulary.rooms.hear_all { self.rooms_of(&client).await? } else { Vec::new() };
        let follows = rooms.into_iter().map(|room| {
            let since = self.positions.remove(room.as_str());
            (room, since)
        });
        let follows: Vec<_> = follows.collect();
        let follows = join_all(follows.iter().map(async |(room, since)| {
            let since = match since {
                Some(since) => since.clone(),
                None => self.anchor(&client, room).await,
            };
            let following = self.follow(&client, Some(room), &since).await;
            (room.clone(), following)
        }));
        let mut heard = Vec::new();
        for (room, following) in follows.await {
            match following {
                Ok(following) => heard.push((room, following)),
                // Removed in between.
                Err(error) if error.code == ErrorCode::NotMember.name() => {}
                Err(error) => return Err(error),
            }
        }
        if say_connected {
            self.say_connected(&client.connection);
        }
        self.attach(&client, None, own).await?;
        for (room, following) in heard {
            self.attach(&client, Some(&room), following).await?;
        }
        self.expires_at = identity.expires_at;
        self.app.hub.enter(&client);
        self.app.presence.entered(&client);
        self.app.strangers.remove(&self.outbound);
        self.state = State::Client(client);
        Ok(())
    }

    /// A cursor of this room from before the client went away, for one whose
    /// position there is not known: the newest message that it must have heard.
    /// Empty where it was not away.
    pub(super) async fn anchor(&self, client: &Client, room: &RoomId) -> String {
        let Some(away_since) = self.away_since else { return String::new() };
        let actor = client.actor();
        let mut before = 0;
        for _ in 0..ANCHOR_PAGES {
            // Refused: whoever follows is told why.
            let Ok((page, more)) = self.app.desk.history(&actor, room, before, ANCHOR_PAGE, 0).await else {
                return String::new();
            };
            let heard = |message: &&Message| {
                message.time <= away_since - HINT_PATIENCE
                    && message.edited_at == 0
                    && message.deleted_at == 0
            };
            if let Some(message) = page.iter().rev().find(heard) {
                return cursor_of(message).map(|cursor| cursor.to_string()).unwrap_or_default();
            }
            match page.first() {
                Some(oldest) if more => before = oldest.seq,
                _ => return Cursor::START.to_string(),
            }
        }
        String::new()
    }

    /// The ids of all rooms of this user, as many as one connection may hear.
    async fn rooms_of(&self, client: &Client) -> Result<Vec<RoomId>, v1::Error> {
        let rooms = self.app.hub.link().rooms_of(&client.user).await?.into_iter();
        Ok(rooms
            .filter_map(|room| RoomId::new(&room).ok())
            .take(self.app.settings.max_joined_rooms)
            .collect())
    }

    /// Starts to hear a feed. A position that is not one of this feed is as good as none.
    pub(super) async fn follow(
        &self,
        client: &Client,
        room: Option<&RoomId>,
        since: &str,
    ) -> Result<Following, v1::Error> {
        let since = if since.parse::<proto::Cursor>().is_ok() { since.to_owned() } else { String::new() };
        requests::follow(&self.app, client, room.cloned(), since, client.issued_at()).await
    }

    /// New memberships: where all rooms are heard, new ones are too, from the
    /// first message on that the user has not read.
    pub(super) async fn hear(&mut self, memberships: Vec<Membership>) {
        let Some(client) = self.client().cloned() else { return };
        let latest: HashMap<_, _> =
            memberships.into_iter().map(|membership| (membership.room.clone(), membership)).collect();
        for (room, membership) in latest {
            let Ok(room) = RoomId::new(&room) else { continue };
            if !membership.active || client.joined(&room).is_some() {
                continue;
            }
            if let Err(error) = self.hear_new(&client, &room, membership.read_seq).await
                && error.code != ErrorCode::NotMember.name()
            {
                // It would be a hole: the client comes back, and hears all its rooms.
                emit_error(&self.outbound, self.vocabulary(), &error);
                self.outbound.close(Closing::with(CloseCode::Resync));
                return;
            }
        }
    }
}

/// The id of the guest of this name: names are not kept apart any further.
pub(crate) fn guest_id(name: &str) -> Result<UserId, v1::Error> {
    // A name has no dots, so that different names have different ids.
    UserId::new(&format!("{GUEST}{}", name.replace(' ', ".")))
        .map_err(|why| ErrorCode::Invalid.with(format!("username: {why}")))
}

/// The cursor that names a message's creation: its check value is the end of its id.
fn cursor_of(message: &Message) -> Option<Cursor> {
    let check = u32::from_str_radix(message.id.get(message.id.len().checked_sub(8)?..)?, 16).ok()?;
    Some(Cursor { seq: message.seq, check })
}

/// When the connection of this id began, milliseconds since the Unix epoch.
fn began(connection: &str) -> Option<i64> {
    let id = uuid::Uuid::try_parse(connection).ok()?;
    let (seconds, nanoseconds) = id.get_timestamp()?.to_unix();
    Some(seconds as i64 * 1000 + i64::from(nanoseconds) / 1_000_000)
}

/// Cursors by room, out of `"<room>|<cursor>@<time>"`, and the time of the newest.
fn positions(
    listed: Option<serde_json::Value>,
    newest: Option<serde_json::Value>,
) -> (HashMap<String, String>, Option<i64>) {
    use serde_json::Value;

    let listed = match listed {
        Some(Value::Array(listed)) => listed,
        Some(one @ Value::String(_)) => vec![one],
        _ => Vec::new(),
    };
    let time = |text: &Value| text.as_str()?.rsplit_once('@')?.1.parse().ok();
    let away_since = newest.as_ref().and_then(time);
    let texts = newest.into_iter().chain(listed).take(MAX_POSITIONS + 1);
    let cursors = texts.filter_map(|text| {
        let (room, cursor) = text.as_str()?.split_once('|')?;
        let cursor = cursor.split_once('@').map_or(cursor, |(cursor, _)| cursor);
        Some((room.to_owned(), cursor.to_owned()))
    });
    (cursors.collect(), away_since)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn positions_are_taken_from_wherever_they_come_and_nonsense_is_none() {
        let listed = Some(json!(["r|5-0000000a@17", "|2-00000001", 7, "x"]));
        let (found, away_since) = positions(listed, Some(json!("q|1-00000002@1795242076519")));
        assert_eq!(away_since, Some(1_795_242_076_519));
        assert_eq!(found["r"], "5-0000000a");
        assert_eq!(found[""], "2-00000001");
        assert_eq!(found["q"], "1-00000002");
        assert_eq!(found.len(), 3);
        let (found, away_since) = positions(Some(json!({"r": 1})), Some(json!(null)));
        assert!(found.is_empty() && away_since.is_none());
    }

    #[test]
    fn a_connections_id_says_when_it_began() {
        let before = crate::now_ms();
        let began = began(&uuid::Uuid::now_v7().simple().to_string()).unwrap();
        assert!((before..=crate::now_ms()).contains(&began));
        assert_eq!(super::began("00000000000000000000000000000000"), None);
    }

    #[test]
    fn different_names_are_different_guests() {
        assert_eq!(guest_id("Ana B").unwrap().as_str(), "guest:Ana.B");
        assert_ne!(guest_id("Ana B").unwrap(), guest_id("Ana_B").unwrap());
        assert!(guest_id("Ana\n").is_err());
    }
}
