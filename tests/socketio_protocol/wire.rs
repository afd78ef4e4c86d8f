//! A client that says whatever it is told to say, and does nothing by itself.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::cluster::{System, binary};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Generous: tests share two busy cores.
pub const PATIENCE: Duration = Duration::from_secs(30);
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const PING: u8 = 0x89;

/// A standalone process with further settings.
pub async fn standalone(settings: &[(&str, &str)]) -> System {
    binary(env!("CARGO_BIN_EXE_carillon")).standalone(settings).await.expect("it starts")
}

/// The result, or a failed test if it does not come.
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: nothing in time"))
}

/// The answer to a request.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Reply {
    /// Whether it is this error of Engine.IO.
    pub fn is(&self, status: u16, code: u64) -> bool {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        self.status.as_u16() == status && body["code"] == code && body["message"].is_string()
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// One gateway's endpoint.
#[derive(Clone)]
pub struct Server {
    base: String,
    http: reqwest::Client,
}

impl Server {
    pub fn of(system: &System, gateway: usize) -> Self {
        // Each request on a connection of its own: one that is kept may just be ended.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client");
        Self { base: system.gateway(gateway).url(), http }
    }

    /// A request with this query behind `EIO=4&transport=polling`.
    pub fn request(&self, method: Method, more: &str) -> reqwest::RequestBuilder {
        self.bare(method, &format!("EIO=4&transport=polling{more}"))
    }

    /// A request with this query.
    pub fn bare(&self, method: Method, query: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}/socket.io/?{query}", self.base))
    }

    pub async fn get(&self, query: &str) -> Reply {
        send(self.bare(Method::GET, query)).await
    }

    pub async fn poll(&self, sid: &str) -> Reply {
        send(self.request(Method::GET, &format!("&sid={sid}"))).await
    }

    pub async fn post(&self, sid: &str, body: impl Into<reqwest::Body>) -> Reply {
        send(self.request(Method::POST, &format!("&sid={sid}")).body(body)).await
    }

    /// A session that polls.
    pub async fn open(&self) -> String {
        let reply = send(self.request(Method::GET, "")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        opened(&reply.body)["sid"].as_str().expect("a session has an id").to_owned()
    }

    /// Waits until the session is over, with polls.
    pub async fn is_over(&self, sid: &str) {
        in_time("the end of a session", async {
            while !self.poll(sid).await.is(400, 1) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    fn address(&self) -> &str {
        self.base.strip_prefix("http://").expect("an http URL")
    }
}

/// What the first packet says.
pub fn opened(packet: &str) -> Value {
    let json = packet.strip_prefix('0').unwrap_or_else(|| panic!("not an open packet: {packet}"));
    serde_json::from_str(json).expect("an open packet is JSON")
}

pub async fn send(request: reqwest::RequestBuilder) -> Reply {
    in_time("an answer", async {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        Reply { status, headers, body: response.text().await.expect("a body") }
    })
    .await
}

/// What comes over a WebSocket.
#[derive(Debug, PartialEq)]
pub enum Heard {
    Text(String),
    Pong,
    Close(u16),
    End,
}

/// A WebSocket.
pub struct Line {
    stream: TcpStream,
}

impl Line {
    /// A session that begins on a WebSocket; its first packet is read.
    pub async fn open(server: &Server) -> Self {
        let mut line = Self::connect(server, "").await.expect("a WebSocket");
        opened(&line.text().await);
        line
    }

    /// The upgrade of this session.
    pub async fn upgrade(server: &Server, sid: &str) -> Self {
        Self::connect(server, &format!("&sid={sid}")).await.expect("an upgrade")
    }

    /// The handshake alone. `Err`: status and body of a refusal.
    pub async fn connect(server: &Server, more: &str) -> Result<Self, (u16, String)> {
        Self::connect_with(server, more, &[]).await
    }

    pub async fn connect_with(server: &Server, more: &str, headers: &[&str]) -> Result<Self, (u16, String)> {
        let address = server.address();
        let mut request = format!(
            "GET /socket.io/?EIO=4&transport=websocket{more} HTTP/1.1\r\nHost: {address}\r\nConnection: \
             Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
             dGhlIHNhbXBsZSBub25jZQ==\r\n"
        );
        for header in headers {
            request += &format!("{header}\r\n");
        }
        let mut stream = TcpStream::connect(address).await.expect("connect");
        stream.write_all(format!("{request}\r\n").as_bytes()).await.expect("write");
        let head = in_time("an answer to the handshake", head(&mut stream)).await;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        if status == 101 {
            return Ok(Self { stream });
        }
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await.expect("a body");
        Err((status, String::from_utf8_lossy(&body).into_owned()))
    }

    pub async fn say(&mut self, text: &str) {
        self.frame(TEXT, text.as_bytes()).await;
    }

    /// A masked frame with this first byte. Whether it still arrives shows in what is heard.
    pub async fn frame(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length @ 126..0x1_0000 => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        let _ = self.stream.write_all(&frame).await;
    }

    /// The next thing.
    pub async fn hear(&mut self) -> Heard {
        in_time("something on a WebSocket", self.read()).await.unwrap_or(Heard::End)
    }

    async fn read(&mut self) -> Option<Heard> {
        let first = self.stream.read_u8().await.ok()?;
        let length = match self.stream.read_u8().await.ok()? {
            126 => self.stream.read_u16().await.ok()?.into(),
            127 => self.stream.read_u64().await.ok()?,
            length => length.into(),
        };
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some(match first {
            TEXT => Heard::Text(String::from_utf8(payload).expect("text is UTF-8")),
            0x8a => Heard::Pong,
            0x88 => Heard::Close(payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code))),
            other => panic!("a frame of {other:#x}"),
        })
    }

    /// The next packet.
    pub async fn text(&mut self) -> String {
        match self.hear().await {
            Heard::Text(text) => text,
            other => panic!("{other:?} instead of a packet"),
        }
    }

    /// The next packet that begins so, with pings answered and others left out.
    pub async fn next(&mut self, begins: &str) -> String {
        loop {
            match self.text().await {
                text if text.starts_with(begins) => return text,
                ping if ping == "2" => self.say("3").await,
                _ => {}
            }
        }
    }

    /// Waits for the end, whatever comes before. The code of the close frame.
    pub async fn is_closed(&mut self) -> Option<u16> {
        let mut code = None;
        loop {
            match self.hear().await {
                Heard::Text(_) | Heard::Pong => {}
                Heard::Close(closed) => code = Some(closed),
                Heard::End => return code,
            }
        }
    }
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer to the handshake"));
    }
    String::from_utf8(head).expect("a head is text")
}

/// A bare connection that has said this much of a request.
pub async fn begin(server: &Server, said: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).await.expect("connect");
    stream.write_all(said.replace("HOST", server.address()).as_bytes()).await.expect("write");
    stream
}

/// A client that polls, at several gateways in turn.
pub struct Polling {
    pub servers: Vec<Server>,
    pub sid: String,
    turn: usize,
    waiting: VecDeque<String>,
}

impl Polling {
    pub async fn open(servers: Vec<Server>) -> Self {
        let sid = servers[0].open().await;
        Self { servers, sid, turn: 0, waiting: VecDeque::new() }
    }

    /// Each request goes to the next one.
    fn server(&mut self) -> Server {
        self.turn += 1;
        self.servers[self.turn % self.servers.len()].clone()
    }

    pub async fn say(&mut self, packets: &str) {
        let reply = self.server().post(&self.sid, packets.to_owned()).await;
        assert_eq!((reply.status.as_u16(), reply.body.as_str()), (200, "ok"), "{packets}");
    }

    pub async fn text(&mut self) -> String {
        while self.waiting.is_empty() {
            let reply = self.server().poll(&self.sid).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            self.waiting.extend(reply.body.split('\x1e').map(str::to_owned));
        }
        self.waiting.pop_front().expect("something waits")
    }

    /// The next packet that begins so, with pings answered and others left out.
    pub async fn next(&mut self, begins: &str) -> String {
        loop {
            match self.text().await {
                text if text.starts_with(begins) => return text,
                ping if ping == "2" => self.say("3").await,
                _ => {}
            }
        }
    }
}

/// CONNECT of this user.
pub fn connect(system: &System, user: &str) -> String {
    format!("40{}", json!({ "token": system.token(user) }))
}

/// A send in the words of the vocabulary `sessions`, to be acknowledged.
pub fn message(ack: u64, room: &str, text: &str) -> String {
    format!("42{ack}{}", json!(["send_message", { "chatId": room, "content": text, "type": "TEXT" }]))
}

/// The first argument of an event or an acknowledgement.
pub fn argument(packet: &str) -> Value {
    let json = packet.trim_start_matches(|character: char| character.is_ascii_digit());
    let parts: Vec<Value> = serde_json::from_str(json).unwrap_or_else(|_| panic!("{packet}"));
    let event = parts.first().is_some_and(Value::is_string);
    parts.into_iter().nth(usize::from(event)).unwrap_or_default()
}
