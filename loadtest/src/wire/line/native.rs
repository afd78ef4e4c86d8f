//! The native protocol's side of a [line](super).

use std::time::Duration;

use anyhow::bail;
use proto::Encoding;
use proto::v1::client_frame::Request as Asked;
use proto::v1::server_frame::Body;
use proto::v1::{self, ServerFrame, change};

use super::{Change, Done, Ears, Heard, Joined, Mouth, Refusal, Request};
use crate::wire::websocket::{self, Frame};
use crate::wire::{Ping, Wire};

/// Messages in a page of history.
const PAGE: u32 = 50;

/// Connects, and waits until the server has accepted the token.
pub async fn open(
    wire: Wire,
    encoding: Encoding,
    target: &str,
    token: &str,
) -> anyhow::Result<(Ears, Mouth)> {
    let headers =
        format!("Sec-WebSocket-Protocol: {}\r\nAuthorization: Bearer {token}\r\n", encoding.subprotocol());
    let (source, sink) = websocket::open(target, "/v1/ws", &headers).await?;
    let (mut ears, mut mouth) = (Ears { source, wire }, Mouth { sink, wire });
    loop {
        match ears.source.next().await? {
            Frame::Message(payload) => match encoding.decode_server(&payload)?.body {
                Some(Body::Ready(_)) => return Ok((ears, mouth)),
                Some(Body::Error(error)) => bail!("{}: {}", error.code, error.message),
                _ => {}
            },
            Frame::Ping => mouth.pong(Ping::Socket).await?,
            Frame::Pong => {}
            Frame::Close(code, reason) => bail!("closed with {code}: {reason}"),
        }
    }
}

/// The request as the protocol says it.
pub fn request(request: Request<'_>) -> Asked {
    match request {
        Request::Join { room, since } => Asked::Join(v1::Join { room: room.into(), since: since.into() }),
        Request::Send { room, key, text } => Asked::Send(v1::Send {
            room: room.into(),
            key: key.into(),
            text: text.into(),
            ..v1::Send::default()
        }),
        Request::Edit { room, message, text } => {
            Asked::Edit(v1::Edit { room: room.into(), message: message.into(), text: text.into() })
        }
        Request::Typing { room } => Asked::Typing(v1::Typing { room: room.into(), stopped: false }),
        Request::Read { room, seq } => Asked::Read(v1::Read { room: room.into(), seq }),
        Request::Online { room } => {
            Asked::Presence(v1::PresenceRequest { room: room.into(), ..Default::default() })
        }
        Request::Status(status) => {
            Asked::Presence(v1::PresenceRequest { status: status.into(), ..Default::default() })
        }
        Request::History { room, before } => {
            Asked::History(v1::HistoryRequest { room: room.into(), before, limit: PAGE })
        }
    }
}

/// What a frame says.
pub fn heard(frame: ServerFrame) -> Heard {
    let ServerFrame { re, room, seq, cursor, body } = frame;
    let done = |done| Heard::Answer(re, Ok(done));
    match body {
        Some(Body::Message(message)) => {
            Heard::Change(Change { room, seq, position: cursor, text: message.text })
        }
        Some(Body::Joined(joined)) => Heard::Joined(
            re,
            Joined {
                to: joined.to,
                cursor: joined.cursor,
                changes: joined.changes.into_iter().filter_map(text).collect(),
                more: joined.more,
                reset: joined.reset,
            },
        ),
        Some(Body::Sent(sent)) => {
            done(Done { message: sent.message, seq: Some(sent.seq), ..Done::default() })
        }
        Some(Body::Changed(changed)) => {
            done(Done { message: changed.message, seq: Some(changed.seq), ..Done::default() })
        }
        Some(Body::History(history)) => done(Done {
            page: history.messages.into_iter().map(|message| (message.seq, message.text)).collect(),
            ..Done::default()
        }),
        Some(Body::Error(error)) => {
            let refusal = Refusal {
                why: format!("{}: {}", error.code, error.message),
                retryable: error.retryable,
                after: Duration::from_millis(error.retry_after),
            };
            if re == 0 { Heard::Refused(refusal.why) } else { Heard::Answer(re, Err(refusal)) }
        }
        Some(Body::Typing(_)) => Heard::Typing,
        // Done, a read mark, who is online: it was asked for, or else it passes by.
        _ if re != 0 => done(Done::default()),
        _ => Heard::Other,
    }
}

fn text(change: v1::Change) -> Option<(u64, String)> {
    match change.thing {
        Some(change::Thing::Message(message)) => Some((change.seq, message.text)),
        _ => None,
    }
}
