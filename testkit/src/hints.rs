//! A proxy in front of a NATS server that understands what the server says, and
//! does to single messages what the broker may do to hints: loses, doubles and
//! reorders them. Everything else passes untouched.

use std::io;

use anyhow::Context;
use bytes::BytesMut;
use tokio::net::TcpListener;

use crate::proxy::split;
use crate::tamper::{Counts, Faults, Said, Speech, Tamper};

/// Longer than any `INFO`; a server that says more on one line is none of ours.
const MAX_LINE_BYTES: usize = 1 << 20;
/// More than any server lets through.
const MAX_PAYLOAD_BYTES: usize = 64 << 20;

/// A proxy to one NATS server. Dropping it closes its connections.
pub struct HintProxy {
    url: String,
    tamper: Tamper,
}

impl HintProxy {
    /// A proxy in front of the server that `nats_url` names. Nothing is done to
    /// messages before [`set`](Self::set).
    pub async fn start(nats_url: &str) -> anyhow::Result<Self> {
        let (before, upstream, after) = split(nats_url)?;
        let listener = TcpListener::bind("127.0.0.1:0").await.context("bind the proxy")?;
        let tamper = Tamper::start::<Nats>(listener, upstream)?;
        Ok(Self { url: format!("{before}{}{after}", tamper.address()), tamper })
    }

    /// The server's URL, by way of the proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Changes what happens to messages from now on.
    pub fn set(&self, faults: Faults) {
        self.tamper.set(faults);
    }

    /// Nothing happens to messages any more, and what is held back goes on.
    pub fn heal(&self) {
        self.set(Faults::default());
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        self.tamper.counts()
    }
}

/// What a NATS server says, with its line ends.
#[derive(Default)]
struct Nats;

impl Speech for Nats {
    fn next(&mut self, input: &mut BytesMut) -> io::Result<Option<Said>> {
        next(input)
    }

    fn altered(message: &[u8], number: u64) -> Option<Vec<u8>> {
        let start = message.windows(2).position(|pair| pair == b"\r\n")? + 2;
        let mut altered = message.to_vec();
        let end = altered.len() - 2;
        let payload = &mut altered[start..end];
        let place = (number % payload.len().max(1) as u64) as usize;
        *payload.get_mut(place)? ^= 1;
        Some(altered)
    }
}

/// Takes the next thing out of the input; `None`: it is not complete yet.
fn next(input: &mut BytesMut) -> io::Result<Option<Said>> {
    let Some(end) = input.windows(2).position(|pair| pair == b"\r\n") else {
        return if input.len() > MAX_LINE_BYTES { Err(not_nats("a line without end")) } else { Ok(None) };
    };
    let line = std::str::from_utf8(&input[..end]).map_err(|_| not_nats("a line that is not text"))?;
    let mut words = line.split_ascii_whitespace();
    let verb = words.next().unwrap_or_default().to_ascii_uppercase();
    match verb.as_str() {
        "MSG" | "HMSG" => {
            // The last number is that of all bytes that follow, headers included.
            let size = words.next_back().and_then(|size| size.parse::<usize>().ok());
            let size = size.filter(|size| *size <= MAX_PAYLOAD_BYTES).ok_or_else(|| not_nats(line))?;
            let whole = end + 2 + size + 2;
            if input.len() < whole {
                input.reserve(whole - input.len());
                return Ok(None);
            }
            Ok(Some(Said::Message(input.split_to(whole).freeze())))
        }
        "INFO" | "PING" | "PONG" | "+OK" | "-ERR" => Ok(Some(Said::Other(input.split_to(end + 2).freeze()))),
        _ => Err(not_nats(line)),
    }
}

fn not_nats(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("this is not what a NATS server says: {what:.80}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpStream;

    use super::*;
    use crate::servers;

    const SOON: Duration = Duration::from_secs(10);

    /// A client of a few lines: what it hears is shown as it is on the wire.
    struct Client(BufReader<TcpStream>);

    impl Client {
        async fn connect(url: &str) -> Self {
            let (_, address, _) = split(url).expect("a URL");
            let mut client = Self(BufReader::new(TcpStream::connect(address).await.expect("connect")));
            assert!(client.line().await.starts_with("INFO "));
            client.say("CONNECT {\"verbose\":false,\"headers\":true}\r\n").await;
            client
        }

        async fn say(&mut self, what: &str) {
            self.0.get_mut().write_all(what.as_bytes()).await.expect("write");
        }

        /// Until the server has handled all that was said.
        async fn flush(&mut self) {
            self.say("PING\r\n").await;
            assert_eq!(self.line().await, "PONG");
        }

        async fn line(&mut self) -> String {
            let mut line = String::new();
            let read = tokio::time::timeout(SOON, self.0.read_line(&mut line)).await.expect("in time");
            read.expect("a line");
            line.trim_end().to_owned()
        }

        /// The payload of the next message, headers included.
        async fn message(&mut self) -> String {
            let line = self.line().await;
            assert!(line.contains("MSG "), "{line}");
            let size: usize = line.rsplit(' ').next().and_then(|size| size.parse().ok()).expect("a size");
            let mut payload = vec![0; size + 2];
            self.0.read_exact(&mut payload).await.expect("a payload");
            payload.truncate(size);
            String::from_utf8(payload).expect("text")
        }
    }

    struct Rig {
        proxy: HintProxy,
        publisher: Client,
        subscriber: Client,
        next: u32,
    }

    impl Rig {
        async fn new() -> Self {
            let server = servers::shared_nats().await.expect("nats-server");
            let proxy = HintProxy::start(server.url()).await.expect("a proxy");
            let publisher = Client::connect(server.url()).await;
            let mut subscriber = Client::connect(proxy.url()).await;
            let subject = proxy.url().rsplit(':').next().expect("a port").to_owned();
            subscriber.say(&format!("SUB hints.{subject} 1\r\n")).await;
            subscriber.flush().await;
            Self { proxy, publisher, subscriber, next: 1 }
        }

        fn subject(&self) -> String {
            format!("hints.{}", self.proxy.url().rsplit(':').next().expect("a port"))
        }

        /// Publishes so many, numbered on.
        async fn publish(&mut self, count: u32) {
            let subject = self.subject();
            let mut said = String::new();
            for number in self.next..self.next + count {
                let payload = number.to_string();
                said += &format!("PUB {subject} {}\r\n{payload}\r\n", payload.len());
            }
            self.next += count;
            self.publisher.say(&said).await;
            self.publisher.flush().await;
        }

        async fn heard(&mut self, count: usize) -> Vec<u32> {
            let mut heard = Vec::new();
            for _ in 0..count {
                heard.push(self.subscriber.message().await.parse().expect("a number"));
            }
            heard
        }
    }

    #[test]
    fn what_is_not_complete_waits_and_what_is_not_nats_ends_it() {
        let whole = b"HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\nMSG a 1 r 0\r\n\r\nPING\r\n";
        let mut kinds = Vec::new();
        let mut input = BytesMut::new();
        for byte in whole {
            input.extend_from_slice(&[*byte]);
            while let Some(said) = next(&mut input).unwrap() {
                kinds.push(match said {
                    Said::Message(message) => message.len(),
                    Said::Other(_) => 0,
                });
            }
        }
        assert_eq!(kinds, [32, 15, 0]);
        for bad in ["HELLO\r\n", "MSG a 1 many\r\n", "MSG a 1 99999999999\r\n", "\r\n"] {
            assert!(next(&mut BytesMut::from(bad)).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn without_faults_everything_passes_byte_for_byte() {
        let mut rig = Rig::new().await;
        rig.publish(100).await;
        assert_eq!(rig.heard(100).await, (1..=100).collect::<Vec<_>>());
        // What looks like the protocol is still payload; so are headers and 300 KiB.
        let subject = rig.subject();
        let trick = format!("x\r\nMSG {subject} 1 3\r\nPING\r\n");
        let large = "é".repeat(150 * 1024);
        for payload in [trick.as_str(), "", &large] {
            rig.publisher.say(&format!("PUB {subject} {}\r\n{payload}\r\n", payload.len())).await;
            assert!(rig.subscriber.message().await == payload);
        }
        rig.publisher.say(&format!("HPUB {subject} 22 24\r\nNATS/1.0\r\nBell: 12\r\n\r\nhi\r\n")).await;
        assert_eq!(rig.subscriber.message().await, "NATS/1.0\r\nBell: 12\r\n\r\nhi");
        rig.subscriber.flush().await;
        assert_eq!(rig.proxy.counts(), Counts { messages: 104, ..Counts::default() });
    }

    #[tokio::test]
    async fn messages_are_lost_doubled_and_swapped_and_counted() {
        let mut rig = Rig::new().await;
        rig.proxy.set(Faults { drop_every: 5, ..Faults::default() });
        rig.publish(10).await;
        assert_eq!(rig.heard(8).await, [1, 2, 3, 4, 6, 7, 8, 9]);
        rig.proxy.set(Faults { repeat_every: 4, ..Faults::default() });
        rig.publish(10).await;
        assert_eq!(rig.heard(13).await, [11, 12, 12, 13, 14, 15, 16, 16, 17, 18, 19, 20, 20]);
        rig.proxy.set(Faults { swap_every: 3, ..Faults::default() });
        rig.publish(10).await;
        assert_eq!(rig.heard(9).await, [22, 21, 23, 25, 24, 26, 28, 27, 29]);
        // The last one waits for its successor, or for the end of the fault.
        rig.proxy.heal();
        assert_eq!(rig.heard(1).await, [30]);
        rig.publish(10).await;
        assert_eq!(rig.heard(10).await, (31..=40).collect::<Vec<_>>());
        rig.subscriber.flush().await;
        rig.proxy.set(Faults { alter_every: 5, ..Faults::default() });
        rig.publish(5).await;
        // The 45th: its second byte, 5 before.
        assert_eq!(rig.heard(5).await, [41, 42, 43, 44, 44]);
        let counts = Counts { messages: 45, dropped: 2, repeated: 3, swapped: 3, altered: 1 };
        assert_eq!(rig.proxy.counts(), counts);
    }
}
