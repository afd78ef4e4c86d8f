//! As much of HTTP/1.1 as the load generator uses: making rooms, sending,
//! reading what was said, and the handshake of a WebSocket.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::hub::{Hub, Listener};

const LONGEST_HEAD: usize = 16 * 1024;
const LONGEST_BODY: usize = 1024 * 1024;
const LONGEST_PAGE: usize = 100;

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    method: String,
    path: String,
    query: String,
    /// Bytes of the body.
    body: usize,
    /// Of a WebSocket's handshake.
    key: Option<String>,
}

impl Head {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut lines = text.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (mut body, mut key) = (0, None);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                body = value.parse().context("the length of the body")?;
            } else if name.eq_ignore_ascii_case("sec-websocket-key") {
                key = Some(value.to_owned());
            } else {
                ensure!(!name.eq_ignore_ascii_case("transfer-encoding"), "a body of unknown length");
            }
        }
        ensure!(body <= LONGEST_BODY, "a body of {body} bytes");
        Ok(Self { method: method.to_owned(), path: path.to_owned(), query: query.to_owned(), body, key })
    }

    /// A number of the query.
    fn number(&self, name: &str) -> Option<usize> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name)?.1.parse().ok()
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    key: &'a RawValue,
    #[serde(borrow)]
    text: &'a RawValue,
}

/// Serves a connection until it ends.
pub async fn serve<L: Listener>(mut stream: TcpStream, hub: Arc<Hub<L>>) -> anyhow::Result<()> {
    let mut read = Vec::new();
    loop {
        let Some(head) = head(&mut stream, &mut read).await? else { return Ok(()) };
        if head.path == "/v1/ws"
            && let Some(key) = &head.key
        {
            let accept = derive_accept_key(key.as_bytes());
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Protocol: carillon.v1.json\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await?;
            // A task of its own, which is no larger than what a socket needs.
            tokio::spawn(L::serve(hub, stream, read));
            return Ok(());
        }
        while read.len() < head.body {
            ensure!(stream.read_buf(&mut read).await? > 0, "it ended in a body");
        }
        let body: Vec<u8> = read.drain(..head.body).collect();
        let (status, answer) = match act(&head, std::str::from_utf8(&body)?, &hub) {
            Some(answer) => ("200 OK", answer),
            None => ("404 Not Found", r#"{"code":"not_found"}"#.to_owned()),
        };
        let length = answer.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{answer}"
        );
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// The next request's head; `None`: there is none any more.
async fn head(stream: &mut TcpStream, read: &mut Vec<u8>) -> anyhow::Result<Option<Head>> {
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = read.drain(..end + 4).collect();
            return Head::parse(std::str::from_utf8(&head)?).map(Some);
        }
        ensure!(read.len() < LONGEST_HEAD, "a head without an end");
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}

/// Does it; `None`: there is nothing there, or nothing to be understood.
fn act<L: Listener>(head: &Head, body: &str, hub: &Hub<L>) -> Option<String> {
    let parts: Vec<_> = head.path.split('/').skip(1).collect();
    match (&*head.method, &parts[..]) {
        ("GET", ["health"]) => Some(r#"{"status":"ok"}"#.to_owned()),
        ("POST", ["v1", "rooms"]) => {
            let room = hub.open();
            Some(format!(
                r#"{{"id":"{}","kind":"GROUP","name":"","createdAt":0,"createdBy":"","members":0}}"#,
                room.id
            ))
        }
        ("POST", ["v1", "rooms", id, "messages"]) => {
            let room = hub.find(id)?;
            let message: Message = serde_json::from_str(body).ok()?;
            let (seq, time) = {
                let sent = room.say(0, message.key, message.text);
                (sent.seq, sent.time)
            };
            Some(format!(
                r#"{{"message":"{id}-{seq}","seq":{seq},"ordinal":{seq},"time":{time},"room":"{id}"}}"#
            ))
        }
        ("GET", ["v1", "rooms", id, "messages"]) => {
            let limit = head.number("limit").unwrap_or(50).min(LONGEST_PAGE);
            Some(hub.find(id)?.page(head.number("before").unwrap_or(0), limit))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_what_is_asked_for() {
        let head = Head::parse(
            "GET /v1/rooms/a/messages?limit=7&before=9 HTTP/1.1\r\nHost: x\r\ncontent-length: 3\r\n\r\n",
        );
        let head = head.unwrap();
        assert_eq!((&*head.method, &*head.path, head.body), ("GET", "/v1/rooms/a/messages", 3));
        assert_eq!(
            (head.number("limit"), head.number("before"), head.number("after")),
            (Some(7), Some(9), None)
        );
    }

    #[test]
    fn a_body_that_cannot_be_measured_is_refused() {
        for line in ["Content-Length: many", "Content-Length: 99999999", "Transfer-Encoding: chunked"] {
            assert!(Head::parse(&format!("POST / HTTP/1.1\r\n{line}\r\n\r\n")).is_err(), "{line}");
        }
    }
}
