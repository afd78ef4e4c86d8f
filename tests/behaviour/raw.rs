//! A WebSocket client of a few lines that says whatever it is told to say, also
//! what no library would.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::world::World;

/// Final text, binary, continuation; FIN is the highest bit.
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const FIN: u8 = 0x80;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;

const PATIENCE: Duration = Duration::from_secs(20);
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What the server says, or that it says nothing more.
#[derive(Debug, PartialEq)]
pub enum Said {
    Text(String),
    Binary(Vec<u8>),
    /// Code and reason.
    Close(u16, String),
    /// The socket's end.
    End,
}

/// One connection.
pub struct Raw {
    stream: TcpStream,
    /// The head of the server's answer to the handshake.
    pub head: String,
    next_id: u64,
}

impl Raw {
    /// The handshake, with further header lines.
    pub async fn open(world: &World, headers: &[&str]) -> Self {
        let url = world.url(0);
        let address = url.strip_prefix("http://").expect("an http URL");
        let mut stream = TcpStream::connect(address).await.expect("connect");
        let mut request = format!(
            "GET /v1/ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        );
        for header in headers {
            request += &format!("{header}\r\n");
        }
        request += "\r\n";
        stream.write_all(request.as_bytes()).await.expect("write");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer to the handshake"));
        }
        let head = String::from_utf8(head).expect("a head is text");
        Self { stream, head, next_id: 1000 }
    }

    /// A connection of this user that is ready.
    pub async fn ready(world: &World, user: &str) -> Self {
        let mut raw = Self::open(world, &[&format!("Authorization: Bearer {}", world.token(user))]).await;
        assert!(raw.head.starts_with("HTTP/1.1 101 "), "{}", raw.head);
        let ready = raw.json().await;
        assert_eq!(ready["ready"]["user"], json!(user), "{ready}");
        raw
    }

    /// Bytes as they are. `false`: the server takes no more.
    pub async fn bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// A masked frame with this first byte.
    pub async fn frame(&mut self, first: u8, payload: &[u8]) -> bool {
        self.bytes(&frame(first, payload)).await
    }

    /// A text frame.
    pub async fn text(&mut self, text: &str) {
        assert!(self.frame(TEXT, text.as_bytes()).await, "the connection is gone before {text:.80}");
    }

    /// What the server says next; its pings are passed over.
    pub async fn said(&mut self) -> Said {
        loop {
            let reading = tokio::time::timeout(PATIENCE, self.read_frame()).await;
            let Ok((opcode, payload)) = reading.expect("the server says something in time") else {
                return Said::End;
            };
            return match opcode {
                0x1 => Said::Text(String::from_utf8(payload).expect("text is UTF-8")),
                0x2 => Said::Binary(payload),
                0x8 if payload.len() >= 2 => {
                    let code = u16::from_be_bytes([payload[0], payload[1]]);
                    Said::Close(code, String::from_utf8_lossy(&payload[2..]).into_owned())
                }
                0x8 => Said::Close(1005, String::new()),
                0x9 | 0xa => continue,
                other => panic!("a server does not say {other:#x}"),
            };
        }
    }

    async fn read_frame(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let (first, second) = (self.stream.read_u8().await?, self.stream.read_u8().await?);
        assert_eq!(first & 0x70, 0, "no extension was negotiated");
        assert_eq!(second & 0x80, 0, "servers do not mask");
        let length = match second {
            126 => u64::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await?,
            short => u64::from(short),
        };
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).await?;
        Ok((first & 0x0f, payload))
    }

    /// The next frame, which is JSON.
    pub async fn json(&mut self) -> Value {
        match self.said().await {
            Said::Text(text) => serde_json::from_str(&text).expect("frames are JSON"),
            other => panic!("expected a frame, got {other:?}"),
        }
    }

    /// The next error's code; everything else is passed over.
    pub async fn refusal(&mut self) -> String {
        loop {
            if let Some(code) = self.json().await["error"]["code"].as_str() {
                return code.to_owned();
            }
        }
    }

    /// Asks whether the connection lives, and waits for the answer. Refusals
    /// that came before it.
    pub async fn alive(&mut self) -> Vec<String> {
        self.next_id += 1;
        let id = self.next_id;
        self.text(&json!({ "id": id, "ping": {} }).to_string()).await;
        let mut refusals = Vec::new();
        loop {
            let frame = self.json().await;
            refusals.extend(frame["error"]["code"].as_str().map(str::to_owned));
            if frame["re"] == json!(id) {
                assert!(frame["pong"].is_object(), "{frame}");
                return refusals;
            }
        }
    }

    /// Waits for the close, whatever is said before it.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match self.said().await {
                Said::Close(code, _) => return code,
                Said::End => panic!("the socket ended without a close frame"),
                Said::Text(_) | Said::Binary(_) => {}
            }
        }
    }

    /// Sends pieces until the server closes, and answers with its code. More
    /// than `most`, and it never will.
    pub async fn endless(&mut self, most: usize, piece: impl Fn(usize) -> Vec<u8>) -> u16 {
        let (mut reading, mut writing) = self.stream.split();
        let writing = async {
            for number in 0..most {
                if writing.write_all(&piece(number)).await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await
        };
        let reading = async {
            let mut said = Vec::new();
            // Nothing but the close is said here.
            while said.len() < 4 {
                said.push(reading.read_u8().await.expect("a close frame"));
            }
            assert_eq!(said[0], CLOSE, "{said:?}");
            u16::from_be_bytes([said[2], said[3]])
        };
        tokio::select! {
            () = writing => unreachable!("it does not end"),
            code = tokio::time::timeout(PATIENCE, reading) => code.expect("a close in time"),
        }
    }
}

/// A masked frame with this first byte.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ ..=125 => frame.push(0x80 | short as u8),
        medium @ ..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
