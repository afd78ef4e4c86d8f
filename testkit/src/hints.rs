//! A proxy in front of a NATS server that understands what the server says, and
//! does to single messages what the broker may do to hints: loses, doubles and
//! reorders them. Everything else passes untouched.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// Longer than any `INFO`; a server that says more on one line is none of ours.
const MAX_LINE_BYTES: usize = 1 << 20;
/// More than any server lets through.
const MAX_PAYLOAD_BYTES: usize = 64 << 20;
const READ_BYTES: usize = 64 << 10;

/// What happens to messages on their way from the server to its clients. Counts
/// are of messages over all connections; 0 is never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HintFaults {
    /// Every n-th message is lost.
    pub drop_every: u64,
    /// Every n-th message comes twice.
    pub repeat_every: u64,
    /// Every n-th message comes after the next one of its connection.
    pub swap_every: u64,
}

/// What was done so far: a fault that never happened proves nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HintCounts {
    /// Messages that came from the server.
    pub messages: u64,
    /// Lost.
    pub dropped: u64,
    /// Passed on twice.
    pub repeated: u64,
    /// Passed on after their successor.
    pub swapped: u64,
}

#[derive(Default)]
struct Counters {
    messages: AtomicU64,
    dropped: AtomicU64,
    repeated: AtomicU64,
    swapped: AtomicU64,
}

/// A proxy to one NATS server. Dropping it closes its connections.
pub struct HintProxy {
    url: String,
    faults: watch::Sender<HintFaults>,
    counters: Arc<Counters>,
    accepting: AbortHandle,
}

impl HintProxy {
    /// A proxy in front of the server that `nats_url` names. Nothing is done to
    /// messages before [`set`](Self::set).
    pub async fn start(nats_url: &str) -> anyhow::Result<Self> {
        let (before, upstream) = split(nats_url);
        let listener = TcpListener::bind("127.0.0.1:0").await.context("bind the proxy")?;
        let address: SocketAddr = listener.local_addr()?;
        let counters = Arc::<Counters>::default();
        let (faults, watching) = watch::channel(HintFaults::default());
        let accepting = tokio::spawn(accept(listener, upstream, watching, counters.clone())).abort_handle();
        Ok(Self { url: format!("{before}{address}"), faults, counters, accepting })
    }

    /// The server's URL, by way of the proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Changes what happens to messages from now on.
    pub fn set(&self, faults: HintFaults) {
        self.faults.send_replace(faults);
    }

    /// Nothing happens to messages any more, and what is held back goes on.
    pub fn heal(&self) {
        self.set(HintFaults::default());
    }

    /// What was done so far.
    pub fn counts(&self) -> HintCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HintCounts {
            messages: read(&self.counters.messages),
            dropped: read(&self.counters.dropped),
            repeated: read(&self.counters.repeated),
            swapped: read(&self.counters.swapped),
        }
    }
}

impl Drop for HintProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A URL's beginning up to its host, and host and port.
fn split(url: &str) -> (String, String) {
    let start = url.rfind('@').or_else(|| url.find("://").map(|at| at + 2)).map_or(0, |at| at + 1);
    let host = url[start..].trim_end_matches('/');
    let port = if host.contains(':') { "" } else { ":4222" };
    (url[..start].to_owned(), format!("{host}{port}"))
}

async fn accept(
    listener: TcpListener,
    upstream: String,
    faults: watch::Receiver<HintFaults>,
    counters: Arc<Counters>,
) {
    // Aborted with this task.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Only the client of this one is concerned.
                let Ok((client, _)) = accepted else { continue };
                connections.spawn(carry(client, upstream.clone(), faults.clone(), counters.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection; it ends for both when either side ends it.
async fn carry(
    mut client: TcpStream,
    upstream: String,
    faults: watch::Receiver<HintFaults>,
    counters: Arc<Counters>,
) -> io::Result<()> {
    let mut server = TcpStream::connect(&upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, to_client) = client.split();
    let (from_server, mut to_server) = server.split();
    tokio::select! {
        copied = tokio::io::copy(&mut from_client, &mut to_server) => copied.map(drop),
        pumped = pump(from_server, to_client, faults, &counters) => pumped,
    }
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut faults: watch::Receiver<HintFaults>,
    counters: &Counters,
) -> io::Result<()> {
    let mut input = BytesMut::new();
    let mut output = Vec::new();
    let mut held = None;
    loop {
        let now = *faults.borrow_and_update();
        if now.swap_every == 0 {
            output.extend(held.take().into_iter().flat_map(Bytes::into_iter));
        }
        while let Some(said) = next(&mut input)? {
            match said {
                Said::Message(message) => apply(now, message, &mut held, counters, &mut output),
                Said::Other(line) => output.extend_from_slice(&line),
            }
        }
        to.write_all(&output).await?;
        output.clear();
        input.reserve(READ_BYTES);
        tokio::select! {
            read = from.read_buf(&mut input) => if read? == 0 { return to.shutdown().await },
            changed = faults.changed() => if changed.is_err() { return Ok(()) },
        }
    }
}

/// One message's way into the output.
fn apply(
    faults: HintFaults,
    message: Bytes,
    held: &mut Option<Bytes>,
    counters: &Counters,
    output: &mut Vec<u8>,
) {
    let number = counters.messages.fetch_add(1, Ordering::Relaxed) + 1;
    let every = |n: u64| n > 0 && number.is_multiple_of(n);
    let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
    if every(faults.drop_every) {
        count(&counters.dropped);
        return;
    }
    if every(faults.swap_every) && held.is_none() {
        *held = Some(message);
        return;
    }
    output.extend_from_slice(&message);
    if every(faults.repeat_every) {
        count(&counters.repeated);
        output.extend_from_slice(&message);
    }
    if let Some(held) = held.take() {
        count(&counters.swapped);
        output.extend_from_slice(&held);
    }
}

/// One thing that the server said, with its line end.
enum Said {
    Message(Bytes),
    Other(Bytes),
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

    use tokio::io::{AsyncBufReadExt, BufReader};

    use super::*;
    use crate::servers;

    const SOON: Duration = Duration::from_secs(10);

    /// A client of a few lines: what it hears is shown as it is on the wire.
    struct Nats(BufReader<TcpStream>);

    impl Nats {
        async fn connect(url: &str) -> Self {
            let (_, address) = split(url);
            let mut nats = Self(BufReader::new(TcpStream::connect(address).await.expect("connect")));
            assert!(nats.line().await.starts_with("INFO "));
            nats.say("CONNECT {\"verbose\":false,\"headers\":true}\r\n").await;
            nats
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
        publisher: Nats,
        subscriber: Nats,
        next: u32,
    }

    impl Rig {
        async fn new() -> Self {
            let server = servers::shared_nats().await.expect("nats-server");
            let proxy = HintProxy::start(server.url()).await.expect("a proxy");
            let publisher = Nats::connect(server.url()).await;
            let mut subscriber = Nats::connect(proxy.url()).await;
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
    fn a_url_is_cut_before_its_host() {
        for (url, expected) in [
            ("nats://127.0.0.1:4111", ("nats://", "127.0.0.1:4111")),
            ("nats://me:secret@broker/", ("nats://me:secret@", "broker:4222")),
            ("broker:1", ("", "broker:1")),
        ] {
            assert_eq!(split(url), (expected.0.to_owned(), expected.1.to_owned()));
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
        assert_eq!(rig.proxy.counts(), HintCounts { messages: 104, ..HintCounts::default() });
    }

    #[tokio::test]
    async fn messages_are_lost_doubled_and_swapped_and_counted() {
        let mut rig = Rig::new().await;
        rig.proxy.set(HintFaults { drop_every: 5, ..HintFaults::default() });
        rig.publish(10).await;
        assert_eq!(rig.heard(8).await, [1, 2, 3, 4, 6, 7, 8, 9]);
        rig.proxy.set(HintFaults { repeat_every: 4, ..HintFaults::default() });
        rig.publish(10).await;
        assert_eq!(rig.heard(13).await, [11, 12, 12, 13, 14, 15, 16, 16, 17, 18, 19, 20, 20]);
        rig.proxy.set(HintFaults { swap_every: 3, ..HintFaults::default() });
        rig.publish(10).await;
        assert_eq!(rig.heard(9).await, [22, 21, 23, 25, 24, 26, 28, 27, 29]);
        // The last one waits for its successor, or for the end of the fault.
        rig.proxy.heal();
        assert_eq!(rig.heard(1).await, [30]);
        rig.publish(10).await;
        assert_eq!(rig.heard(10).await, (31..=40).collect::<Vec<_>>());
        rig.subscriber.flush().await;
        let counts = HintCounts { messages: 40, dropped: 2, repeated: 3, swapped: 3 };
        assert_eq!(rig.proxy.counts(), counts);
    }
}
