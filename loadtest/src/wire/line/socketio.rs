//! Socket.IO's side of a [line](super).

use std::time::Duration;

use anyhow::{Context as _, bail};
use proto::Cursor;

use super::{Change, Done, Ears, Heard, Mouth, Refusal, Request};
use crate::wire::packet::{self, Packet};
use crate::wire::websocket::{self, ENDED, Frame};
use crate::wire::words::{self, InRoom};
use crate::wire::{Ping, Wire};

/// Connects, and waits until the server has accepted the token.
pub async fn open(
    wire: Wire,
    target: &str,
    token: &str,
    positions: &[&str],
) -> anyhow::Result<(Ears, Mouth)> {
    let (source, sink) = websocket::open(target, "/socket.io/?EIO=4&transport=websocket", "").await?;
    let (mut ears, mut mouth) = (Ears { source, wire }, Mouth { sink, wire });
    loop {
        match ears.source.next().await? {
            Frame::Message(payload) => match packet::read(std::str::from_utf8(&payload)?)? {
                Packet::Open => {
                    let auth = words::Auth { token, positions };
                    mouth.sink.text(packet::connect(&auth)?.as_bytes()).await?;
                }
                Packet::Connected => return Ok((ears, mouth)),
                Packet::Refused(why) => bail!("refused: {why}"),
                Packet::Ended => bail!("ended before it was connected"),
                Packet::Ping => mouth.pong(Ping::Engine).await?,
                packet => bail!("{packet:?} before the session is connected"),
            },
            Frame::Ping => mouth.pong(Ping::Socket).await?,
            Frame::Pong => {}
            Frame::Close(code, reason) => bail!("closed with {code}: {reason}"),
        }
    }
}

/// The request as an event.
pub fn event(number: u64, request: Request<'_>) -> anyhow::Result<String> {
    match request {
        Request::Send { room, key, text } => {
            packet::send(number, &words::Send { room, text, kind: "TEXT", key: Some(key) })
        }
        Request::Edit { message, text, .. } => {
            packet::emit(number, words::EDIT, &words::Edit { message, text })
        }
        Request::Typing { room } => packet::emit(number, words::TYPE, &InRoom { room }),
        Request::Read { room, .. } => packet::emit(number, words::READ, &InRoom { room }),
        Request::Online { room } => packet::emit(number, words::ONLINE, &InRoom { room }),
        Request::Status(status) => packet::emit(number, words::STATUS, &words::Status { status }),
        Request::Join { .. } | Request::History { .. } => bail!("Socket.IO has no event for {request:?}"),
    }
}

/// What a packet says.
pub fn heard(text: &str) -> anyhow::Result<Heard> {
    Ok(match packet::read(text)? {
        Packet::Message(message, position) | Packet::Edited(message, position) => {
            let position = position.context("a change without its position")?.into_owned();
            Heard::Change(Change {
                seq: seq(&position).with_context(|| format!("the position {position}"))?,
                room: message.room.into_owned(),
                position,
                text: message.text.into_owned(),
            })
        }
        Packet::Answer(number, Ok(message)) => {
            Heard::Answer(number, Ok(Done { message: message.into_owned(), ..Done::default() }))
        }
        Packet::Answer(number, Err(error)) => Heard::Answer(
            number,
            Err(Refusal {
                retryable: error["retryable"].as_bool().unwrap_or(false),
                why: error.to_string(),
                after: Duration::ZERO,
            }),
        ),
        Packet::Typing => Heard::Typing,
        Packet::Error(why) => Heard::Refused(why),
        Packet::Ping => Heard::Ping(Ping::Engine),
        Packet::Ended => Heard::Closed(ENDED, "the session was ended".to_owned()),
        Packet::Refused(why) => bail!("refused: {why}"),
        Packet::Open | Packet::Connected | Packet::Other => Heard::Other,
    })
}

/// The seq in a position: clients do not look inside, but a checker has to, for
/// there is no other order in what it hears.
fn seq(position: &str) -> Option<u64> {
    let cursor = position.split_once('|')?.1;
    let cursor = cursor.split_once('@').map_or(cursor, |(cursor, _)| cursor);
    Some(cursor.parse::<Cursor>().ok()?.seq)
}

/// The texts of the newest page of a room, in their order, over REST.
pub async fn page(
    http: &reqwest::Client,
    target: &str,
    token: &str,
    room: &str,
) -> anyhow::Result<Vec<String>> {
    let url = format!("{target}{}{room}{}?limit=50", words::ROOMS, words::PAGE);
    let body = http.get(url).bearer_auth(token).send().await?.error_for_status()?.text().await?;
    let page: words::Page<'_> = serde_json::from_str(&body).context("a page of history")?;
    Ok(page.messages.into_iter().map(|message| message.text.into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_has_the_seq_of_its_position() {
        for (text, said) in [
            (r#"42["message_received",{"chatId":"r","content":"a"},"r|5-0000000a@17"]"#, (5, "a")),
            (r#"42["message_edited",{"chatId":"r","content":"b"},"r|6-0000000b"]"#, (6, "b")),
        ] {
            let Heard::Change(change) = heard(text).unwrap() else { panic!("{text} is a change") };
            assert_eq!((change.seq, &*change.text), said);
        }
        assert!(heard(r#"42["message_edited",{"chatId":"r","content":"b"}]"#).is_err());
        assert!(heard(r#"42["message_edited",{"chatId":"r","content":"b"},"r|x"]"#).is_err());
    }

    #[test]
    fn an_answer_says_whether_to_try_again() {
        let refused = r#"437[{"ok":false,"error":{"code":"unavailable","message":"no","retryable":true}}]"#;
        assert!(matches!(heard(refused).unwrap(), Heard::Answer(7, Err(Refusal { retryable: true, .. }))));
        let done = r#"438[{"ok":true,"messageId":"m"}]"#;
        assert!(matches!(heard(done).unwrap(), Heard::Answer(8, Ok(done)) if done.message == "m"));
    }
}
