//! What a client says over its socket, and what becomes of it: the same however
//! sockets are read and written.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::hub::{Hub, Listener, Room};

/// Numbers connections, for as long as the process lives.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A request. What the floor does not know is answered with an error.
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(default)]
    id: u64,
    #[serde(borrow)]
    auth: Option<&'a RawValue>,
    #[serde(borrow)]
    join: Option<Join<'a>>,
    #[serde(borrow)]
    send: Option<Send<'a>>,
    #[serde(borrow)]
    ping: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Join<'a> {
    #[serde(borrow)]
    room: Cow<'a, str>,
    #[serde(borrow, default)]
    since: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Send<'a> {
    #[serde(borrow)]
    room: Cow<'a, str>,
    #[serde(borrow)]
    key: &'a RawValue,
    #[serde(borrow)]
    text: &'a RawValue,
}

/// One client.
pub struct Talk<L: Listener> {
    hub: Arc<Hub<L>>,
    number: u64,
    listener: L,
    joined: Vec<Arc<Room<L>>>,
}

impl<L: Listener> Talk<L> {
    /// Greets a client that has just come.
    pub fn new(hub: Arc<Hub<L>>, listener: L) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let talk = Self { hub, number, listener, joined: Vec::new() };
        talk.say(format!(r#"{{"ready":{}}}"#, talk.ready()));
        talk
    }

    fn ready(&self) -> String {
        let number = self.number;
        format!(r#"{{"user":"connection-{number}","name":"connection-{number}","connection":"{number}"}}"#)
    }

    fn say(&self, text: String) {
        self.listener.push(L::frame(text));
    }

    /// Does what is asked.
    pub fn hear(&mut self, text: &str) {
        let Ok(request) = serde_json::from_str::<Request>(text) else {
            return self.refuse(0, "malformed");
        };
        let re = request.id;
        if let Some(send) = request.send {
            match self.room(&send.room) {
                Some(room) => {
                    let sent = room.say(self.number, send.key, send.text);
                    let (id, seq, time) = (&room.id, sent.seq, sent.time);
                    self.say(format!(
                        r#"{{"re":{re},"sent":{{"message":"{id}-{seq}","seq":{seq},"ordinal":{seq},"time":{time},"room":"{id}"}}}}"#
                    ));
                }
                None => self.refuse(re, "not_joined"),
            }
        } else if let Some(join) = request.join {
            self.join(re, &join);
        } else if request.auth.is_some() {
            self.say(format!(r#"{{"re":{re},"ready":{}}}"#, self.ready()));
        } else if request.ping.is_some() {
            self.say(format!(r#"{{"re":{re},"pong":{{}}}}"#));
        } else {
            self.refuse(re, "malformed");
        }
    }

    fn room(&self, id: &str) -> Option<&Arc<Room<L>>> {
        self.joined.iter().find(|room| room.id == id)
    }

    fn join(&mut self, re: u64, join: &Join<'_>) {
        let Some(room) = self.hub.find(&join.room) else { return self.refuse(re, "not_member") };
        let since = match &*join.since {
            "" => None,
            seq => match seq.parse() {
                Ok(seq) => Some(seq),
                Err(_) => return self.refuse(re, "invalid"),
            },
        };
        room.join(self.number, self.listener.clone(), since, |joined| {
            self.say(format!(r#"{{"re":{re},"joined":{joined}}}"#));
        });
        if self.room(&room.id).is_none() {
            self.joined.push(room);
        }
    }

    fn refuse(&self, re: u64, code: &str) {
        self.say(format!(
            r#"{{"re":{re},"error":{{"code":"{code}","message":"the floor does not do this","retryable":false}}}}"#
        ));
    }
}

impl<L: Listener> Drop for Talk<L> {
    fn drop(&mut self) {
        for room in &self.joined {
            room.leave(self.number);
        }
    }
}
