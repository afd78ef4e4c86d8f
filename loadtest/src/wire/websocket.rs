//! A WebSocket client just large enough for this tool (RFC 6455), so that
//! generating load costs little beside serving it. Its frames are masked with
//! zero, which the RFC's masking leaves as they are.

use crate::network;
use anyhow::{Context as _, bail, ensure};
use bytes::{Buf as _, BytesMut};
use http::Uri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The code of a connection that ended without saying one.
pub const ENDED: u16 = 1006;

/// The half that reads.
pub struct Source {
    stream: OwnedReadHalf,
    buffer: BytesMut,
}

/// The half that writes.
pub struct Sink {
    stream: OwnedWriteHalf,
}

/// What the server sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A message, text or binary.
    Message(BytesMut),
    /// To be answered with [`Sink::pong`].
    Ping,
    /// Needs nothing.
    Pong,
    /// The server closes, with this code and reason.
    Close(u16, String),
}

/// Opens a WebSocket at this path, with further lines in the request's head
/// (each ends with CR LF).
pub async fn open(target: &str, path: &str, headers: &str) -> anyhow::Result<(Source, Sink)> {
    let uri: Uri = target.parse().with_context(|| format!("{target} is not a URL"))?;
    let authority = uri.authority().with_context(|| format!("{target} names no host"))?.as_str();
    let address = if uri.port().is_some() { authority.to_owned() } else { format!("{authority}:80") };
    let stream = network::connect(&address).await.with_context(|| format!("connecting to {address}"))?;
    stream.set_nodelay(true)?;
    let (mut read, mut write) = stream.into_split();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    write.write_all(request.as_bytes()).await?;
    let mut buffer = BytesMut::with_capacity(4096);
    let head = loop {
        ensure!(read.read_buf(&mut buffer).await? > 0, "{address} hung up during the handshake");
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break buffer.split_to(end + 4);
        }
    };
    if !head.starts_with(b"HTTP/1.1 101") {
        bail!(
            "{address} refused the WebSocket: {}",
            String::from_utf8_lossy(&head).lines().next().unwrap_or("")
        );
    }
    Ok((Source { stream: read, buffer }, Sink { stream: write }))
}

impl Source {
    /// The next frame. Cancel-safe.
    pub async fn next(&mut self) -> anyhow::Result<Frame> {
        loop {
            if let Some(frame) = parse(&mut self.buffer)? {
                return Ok(frame);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(Frame::Close(ENDED, "the connection ended without a close".to_owned()));
            }
        }
    }

    /// Ends the connection as a crash or a cut would: with a TCP reset.
    pub fn reset(self, sink: Sink) -> anyhow::Result<()> {
        // Otherwise dropping it would say an orderly goodbye first.
        sink.stream.forget();
        Ok(self.stream.as_ref().set_zero_linger()?)
    }
}

/// Takes the first frame out of the buffer, if all of it is there.
fn parse(buffer: &mut BytesMut) -> anyhow::Result<Option<Frame>> {
    let Some(&[first, second]) = buffer.first_chunk() else { return Ok(None) };
    let (header, len) = match second {
        126 => match buffer.get(2..4) {
            Some(len) => (4, u16::from_be_bytes([len[0], len[1]]) as usize),
            None => return Ok(None),
        },
        127 => match buffer.get(2..10).and_then(|len| len.try_into().ok()) {
            Some(len) => (10, u64::from_be_bytes(len) as usize),
            None => return Ok(None),
        },
        len => (2, len as usize),
    };
    if buffer.len() < header + len {
        buffer.reserve(header + len - buffer.len());
        return Ok(None);
    }
    buffer.advance(header);
    let payload = buffer.split_to(len);
    ensure!(first & 0x80 != 0, "the server sent a fragment of a message");
    Ok(Some(match first & 0x0f {
        TEXT | BINARY => Frame::Message(payload),
        PING => Frame::Ping,
        PONG => Frame::Pong,
        CLOSE => {
            let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
            Frame::Close(code, String::from_utf8_lossy(payload.get(2..).unwrap_or(b"")).into_owned())
        }
        opcode => bail!("the server sent a frame with opcode {opcode}"),
    }))
}

impl Sink {
    /// Sends text.
    pub async fn text(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        self.write(TEXT, payload).await
    }

    /// Sends bytes.
    pub async fn binary(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        self.write(BINARY, payload).await
    }

    /// Answers a ping.
    pub async fn pong(&mut self) -> anyhow::Result<()> {
        self.write(PONG, &[]).await
    }

    /// Says goodbye.
    pub async fn close(&mut self) -> anyhow::Result<()> {
        self.write(CLOSE, &1000u16.to_be_bytes()).await
    }

    async fn write(&mut self, opcode: u8, payload: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(&frame(opcode, payload)).await?)
    }
}

fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 14);
    frame.push(0x80 | opcode);
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame without the mask is a server's.
    fn from_server(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = frame(opcode, payload);
        frame[1] &= 0x7f;
        let mask = frame.len() - payload.len() - 4;
        frame.drain(mask..mask + 4);
        frame
    }

    #[test]
    fn frames_of_every_length_are_read_whole_and_not_before() {
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; len];
            let bytes = from_server(TEXT, &payload);
            let mut buffer = BytesMut::from(&bytes[..bytes.len() - 1]);
            assert_eq!(parse(&mut buffer).unwrap(), None, "{len}");
            buffer.extend_from_slice(&bytes[bytes.len() - 1..]);
            buffer.extend_from_slice(b"\x89");
            assert_eq!(parse(&mut buffer).unwrap(), Some(Frame::Message(BytesMut::from(&*payload))), "{len}");
            assert_eq!(buffer.as_ref(), b"\x89", "{len}");
        }
    }

    #[test]
    fn a_close_says_why_and_nonsense_is_refused() {
        let mut buffer = BytesMut::from(&*from_server(CLOSE, b"\x0f\xa1slow"));
        assert_eq!(parse(&mut buffer).unwrap(), Some(Frame::Close(4001, "slow".to_owned())));
        assert!(parse(&mut BytesMut::from(&[0x83u8, 0][..])).is_err());
        assert!(parse(&mut BytesMut::from(&[0x01u8, 0][..])).is_err());
    }
}
