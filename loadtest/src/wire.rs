//! A WebSocket client just large enough for this tool (RFC 6455), so that
//! generating load costs little beside serving it. Its frames are masked with
//! zero, which the RFC's masking leaves as they are.

use anyhow::{Context as _, bail, ensure};
use bytes::{Buf as _, BytesMut};
use http::Uri;
use proto::Encoding;
use proto::v1::{ClientFrame, ServerFrame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The half that reads.
pub struct Reader {
    stream: OwnedReadHalf,
    buffer: BytesMut,
    encoding: Encoding,
}

/// The half that writes.
pub struct Writer {
    stream: OwnedWriteHalf,
    encoding: Encoding,
}

/// What the server sent.
pub enum Received {
    /// A frame of the protocol.
    Frame(Box<ServerFrame>),
    /// To be answered with [`Writer::pong`].
    Ping,
    /// The server closes, with this code and reason.
    Closed(u16, String),
}

/// Opens a WebSocket that has authenticated by its handshake.
pub async fn connect(target: &str, token: &str, encoding: Encoding) -> anyhow::Result<(Reader, Writer)> {
    let uri: Uri = target.parse().with_context(|| format!("{target} is not a URL"))?;
    let authority = uri.authority().with_context(|| format!("{target} names no host"))?.as_str();
    let address = if uri.port().is_some() { authority.to_owned() } else { format!("{authority}:80") };
    let stream = TcpStream::connect(&address).await.with_context(|| format!("connecting to {address}"))?;
    stream.set_nodelay(true)?;
    let (mut read, mut write) = stream.into_split();
    let request = format!(
        "GET /v1/ws HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {}\r\nAuthorization: Bearer {token}\r\n\r\n",
        encoding.subprotocol()
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
    Ok((Reader { stream: read, buffer, encoding }, Writer { stream: write, encoding }))
}

impl Reader {
    /// The next frame.
    pub async fn next(&mut self) -> anyhow::Result<Received> {
        loop {
            if let Some(received) = self.parse()? {
                return Ok(received);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(Received::Closed(1006, "the connection ended without a close".to_owned()));
            }
        }
    }

    fn parse(&mut self) -> anyhow::Result<Option<Received>> {
        let Some(&[first, second]) = self.buffer.first_chunk() else { return Ok(None) };
        let (header, len) = match second {
            126 => match self.buffer.get(2..4) {
                Some(len) => (4, u16::from_be_bytes([len[0], len[1]]) as usize),
                None => return Ok(None),
            },
            127 => match self.buffer.get(2..10).and_then(|len| len.try_into().ok()) {
                Some(len) => (10, u64::from_be_bytes(len) as usize),
                None => return Ok(None),
            },
            len => (2, len as usize),
        };
        if self.buffer.len() < header + len {
            self.buffer.reserve(header + len - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(header);
        let payload = self.buffer.split_to(len);
        Ok(Some(match first & 0x0f {
            TEXT | BINARY => Received::Frame(Box::new(self.encoding.decode_server(&payload)?)),
            PING => Received::Ping,
            CLOSE => {
                let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                Received::Closed(code, String::from_utf8_lossy(payload.get(2..).unwrap_or(b"")).into_owned())
            }
            opcode => bail!("the server sent a frame with opcode {opcode}"),
        }))
    }
}

impl Writer {
    /// Sends one frame.
    pub async fn send(&mut self, frame: &ClientFrame) -> anyhow::Result<()> {
        let opcode = match self.encoding {
            Encoding::Json => TEXT,
            Encoding::Protobuf => BINARY,
        };
        self.write(opcode, &self.encoding.encode_client(frame)).await
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
        Ok(self.stream.write_all(&frame).await?)
    }
}
