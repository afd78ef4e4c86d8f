//! A gateway that is not to be trusted: a proxy in front of a real one, which
//! loses, doubles, swaps or alters every n-th delivery on its way to a client.
//! It shows that whoever checks deliveries would notice.
//!
//! A proxy rather than a gateway that is built wrong on purpose: what stands
//! behind it is the program that ships, byte for byte, and no code that loses
//! messages lies in it, not even behind a switch.
//!
//! It knows deliveries by what they say, on each wire: frames of the native
//! protocol in both encodings, and Socket.IO's events for a new message in the
//! words of the vocabulary `sessions`. Answers, pings, closes, other events and
//! HTTP pass untouched, and with it Socket.IO's long-polling. A WebSocket is the
//! first thing that is asked for on its connection.

use std::io;

use anyhow::Context;
use bytes::BytesMut;
use proto::Encoding;
use proto::v1::server_frame::Body;
use tokio::net::{TcpListener, ToSocketAddrs};

use crate::proxy::split;
use crate::tamper::{Counts, Faults, Said, Speech, Tamper};

/// More than any gateway sends at once.
const MAX_PAYLOAD_BYTES: u64 = 64 << 20;
/// Longer than the head of any answer to an upgrade.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// How the answer begins after which a connection is a WebSocket.
const UPGRADED: &[u8] = b"HTTP/1.1 101";
/// How a Socket.IO event for a new message begins.
const EVENT: &str = r#"42["message_received","#;

/// A proxy to one gateway. Dropping it closes its connections.
pub struct DeliveryProxy {
    url: String,
    tamper: Tamper,
}

impl DeliveryProxy {
    /// A proxy on a free port in front of the gateway at `url`. Nothing is done
    /// to deliveries before [`set`](Self::set).
    pub async fn start(url: &str) -> anyhow::Result<Self> {
        Self::listen("127.0.0.1:0", url).await
    }

    /// The same, on this address.
    pub async fn listen(address: impl ToSocketAddrs, url: &str) -> anyhow::Result<Self> {
        let (before, upstream, after) = split(url)?;
        let listener = TcpListener::bind(address).await.context("bind the proxy")?;
        let tamper = Tamper::start::<Gateway>(listener, upstream)?;
        Ok(Self { url: format!("{before}{}{after}", tamper.address()), tamper })
    }

    /// The gateway's URL, by way of the proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Changes what happens to deliveries from now on.
    pub fn set(&self, faults: Faults) {
        self.tamper.set(faults);
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        self.tamper.counts()
    }
}

/// What a gateway says on one connection.
#[derive(Default)]
enum Gateway {
    /// Nothing yet.
    #[default]
    Begin,
    /// HTTP, to the end.
    Http,
    /// Frames.
    WebSocket,
}

impl Speech for Gateway {
    fn next(&mut self, input: &mut BytesMut) -> io::Result<Option<Said>> {
        loop {
            match self {
                Gateway::Begin if input.starts_with(UPGRADED) => {
                    let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") else {
                        return incomplete(input, MAX_HEAD_BYTES);
                    };
                    *self = Gateway::WebSocket;
                    return Ok(Some(Said::Other(input.split_to(end + 4).freeze())));
                }
                Gateway::Begin if UPGRADED.starts_with(input) => return Ok(None),
                Gateway::Begin => *self = Gateway::Http,
                Gateway::Http if input.is_empty() => return Ok(None),
                Gateway::Http => return Ok(Some(Said::Other(input.split().freeze()))),
                Gateway::WebSocket => {
                    let Some((header, whole)) = frame(input)? else { return Ok(None) };
                    if input.len() < whole {
                        input.reserve(whole - input.len());
                        return Ok(None);
                    }
                    let frame = input.split_to(whole).freeze();
                    let delivery = text(frame[0], &frame[header..]).is_some();
                    return Ok(Some(if delivery { Said::Message(frame) } else { Said::Other(frame) }));
                }
            }
        }
    }

    /// One letter or digit of the text: what is left is a frame of the same
    /// length that any client can read.
    fn altered(message: &[u8], number: u64) -> Option<Vec<u8>> {
        let (header, _) = frame(message).ok()??;
        let payload = &message[header..];
        let text = text(message[0], payload)?;
        // Not there if it is written in another way: escaped.
        let start = payload.windows(text.len().max(1)).position(|bytes| bytes == text.as_bytes())?;
        let from = (number % text.len() as u64) as usize;
        let mut places = (from..text.len()).chain(0..from);
        let place = places.find(|place| text.as_bytes()[*place].is_ascii_alphanumeric())?;
        let mut altered = message.to_vec();
        let byte = &mut altered[header + start + place];
        *byte = match *byte {
            b'9' => b'0',
            b'0'..=b'8' => *byte + 1,
            b'x' => b'y',
            _ => b'x',
        };
        Some(altered)
    }
}

fn incomplete(input: &BytesMut, max: usize) -> io::Result<Option<Said>> {
    if input.len() > max { Err(not_ours("a head without end")) } else { Ok(None) }
}

/// How long the header of a server's frame is, and the whole of it.
fn frame(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let Some(&[_, length]) = bytes.first_chunk() else { return Ok(None) };
    let (header, payload) = match length {
        0..=125 => (2, u64::from(length)),
        126 => match bytes[2..].first_chunk() {
            Some(length) => (4, u64::from(u16::from_be_bytes(*length))),
            None => return Ok(None),
        },
        127 => match bytes[2..].first_chunk() {
            Some(length) => (10, u64::from_be_bytes(*length)),
            None => return Ok(None),
        },
        _ => return Err(not_ours("a frame with a mask")),
    };
    if payload > MAX_PAYLOAD_BYTES {
        return Err(not_ours("an endless frame"));
    }
    Ok(Some((header, header + payload as usize)))
}

/// The text of the message that a frame delivers; `None`: it delivers none.
fn text(first: u8, payload: &[u8]) -> Option<String> {
    const TEXT: u8 = 0x81;
    const BINARY: u8 = 0x82;
    let native = |encoding: Encoding| match encoding.decode_server(payload).ok()?.body? {
        Body::Message(message) => Some(message.text),
        _ => None,
    };
    match (first, payload.first()?) {
        (BINARY, _) => native(Encoding::Protobuf),
        (TEXT, b'{') => native(Encoding::Json),
        (TEXT, b'4') => {
            let event = std::str::from_utf8(payload).ok()?;
            let arguments = &event[event.starts_with(EVENT).then_some(2)?..];
            let arguments: Vec<serde_json::Value> = serde_json::from_str(arguments).ok()?;
            Some(arguments.get(1)?.get("content")?.as_str()?.to_owned())
        }
        _ => None,
    }
}

fn not_ours(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("this is not what a gateway says: {what}"))
}

#[cfg(test)]
mod tests {
    use proto::v1::{Message, Sent, ServerFrame};

    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

    /// A frame as a server writes it.
    fn ws(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..=125 => frame.push(length as u8),
            length => {
                frame.push(126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        frame
    }

    fn native(encoding: Encoding, body: Body) -> Vec<u8> {
        let mut payload = Vec::new();
        let frame = ServerFrame { room: "r".to_owned(), seq: 7, body: Some(body), ..ServerFrame::default() };
        encoding.encode_server(&frame, &mut payload);
        ws(if encoding == Encoding::Json { 0x81 } else { 0x82 }, &payload)
    }

    fn delivery(encoding: Encoding, text: &str) -> Vec<u8> {
        native(encoding, Body::Message(Message { text: text.to_owned(), ..Message::default() }))
    }

    fn event(text: &str) -> Vec<u8> {
        ws(0x81, format!(r#"42["message_received",{{"chatId":"r","content":"{text}"}},"r|5-0a"]"#).as_bytes())
    }

    /// What is understood of bytes that come one by one: whether each thing is a delivery.
    fn understood(bytes: &[u8]) -> io::Result<Vec<bool>> {
        let (mut gateway, mut input, mut passed) = (Gateway::default(), BytesMut::new(), Vec::new());
        let mut kinds = Vec::new();
        for byte in bytes {
            input.extend_from_slice(&[*byte]);
            while let Some(said) = gateway.next(&mut input)? {
                let (delivery, bytes) = match said {
                    Said::Message(bytes) => (true, bytes),
                    Said::Other(bytes) => (false, bytes),
                };
                kinds.push(delivery);
                passed.extend_from_slice(&bytes);
            }
        }
        passed.extend_from_slice(&input);
        assert!(passed == bytes, "everything passes as it came");
        Ok(kinds)
    }

    #[test]
    fn deliveries_are_told_from_everything_else() {
        for (frame, expected) in [
            (delivery(Encoding::Json, "hi"), true),
            (delivery(Encoding::Protobuf, "hi"), true),
            (delivery(Encoding::Json, &"long".repeat(100)), true),
            (event("hi"), true),
            (native(Encoding::Json, Body::Sent(Sent::default())), false),
            (native(Encoding::Protobuf, Body::Sent(Sent::default())), false),
            (ws(0x81, br#"42["user_online",{"content":"hi"}]"#), false),
            (ws(0x81, br#"430[{"ok":true}]"#), false),
            (ws(0x81, b"2"), false),
            (ws(0x89, b""), false),
            (ws(0x88, b"\x03\xe8bye"), false),
        ] {
            let bytes = [HEAD, &frame, &frame].concat();
            assert_eq!(understood(&bytes).unwrap(), [false, expected, expected], "{frame:?}");
        }
    }

    #[test]
    fn http_passes_and_what_is_no_server_ends_it() {
        let http = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 101 \r\n\r\n\x81\x02{}";
        assert!(understood(http).unwrap().iter().all(|delivery| !delivery));
        for bad in [&b"\x81\x80abcd"[..], b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"] {
            assert!(understood(&[HEAD, bad].concat()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_altered_delivery_is_read_and_says_something_else() {
        let said = "1 2 fox";
        for frame in [delivery(Encoding::Json, said), delivery(Encoding::Protobuf, said), event(said)] {
            let mut texts = Vec::new();
            for number in 0..3 {
                let altered = Gateway::altered(&frame, number).unwrap();
                let (header, whole) = super::frame(&altered).unwrap().unwrap();
                assert_eq!(whole, frame.len());
                texts.push(text(altered[0], &altered[header..]).unwrap());
            }
            assert_eq!(texts, ["2 2 fox", "1 3 fox", "1 3 fox"]);
        }
        assert!(Gateway::altered(&delivery(Encoding::Json, "?!"), 1).is_none());
        assert!(Gateway::altered(&delivery(Encoding::Json, ""), 1).is_none());
    }
}
