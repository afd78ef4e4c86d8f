//! A TCP proxy between two parts of a system that does what networks do: cut,
//! hang (also in one direction only), lose answers, be slow.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// How much is read at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server behind the proxy.
    Upstream,
    /// From that server to the client.
    Downstream,
    /// Both ways.
    Both,
}

impl Direction {
    fn includes(self, one: Direction) -> bool {
        self == Direction::Both || self == one
    }
}

/// What the proxy does to its connections now.
#[derive(Debug, Clone, Copy, Default)]
struct Fault {
    cut: bool,
    /// Connections older than this are reset.
    generation: u64,
    stall: Option<Direction>,
    swallow: bool,
    delay: Duration,
}

/// Bytes and connections so far: a fault that never touched any proves nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed on to the server.
    pub upstream_bytes: u64,
    /// Passed on to the client.
    pub downstream_bytes: u64,
    /// Taken from the server and thrown away.
    pub swallowed_bytes: u64,
    /// Opened, those refused by a cut included.
    pub connections: u64,
    /// Reset by the proxy.
    pub resets: u64,
}

#[derive(Default)]
struct Counters {
    upstream: AtomicU64,
    downstream: AtomicU64,
    swallowed: AtomicU64,
    connections: AtomicU64,
    resets: AtomicU64,
}

/// A proxy to one server. Dropping it closes its connections.
pub struct FaultProxy {
    url: String,
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    counters: Arc<Counters>,
    accepting: AbortHandle,
}

impl FaultProxy {
    /// A proxy in front of the server that `url` names; `host:port` is a URL, too.
    pub async fn start(url: &str) -> anyhow::Result<Self> {
        let (before, upstream, after) = split(url)?;
        let listener = TcpListener::bind("127.0.0.1:0").await.context("bind the proxy")?;
        let address = listener.local_addr()?;
        let counters = Arc::<Counters>::default();
        let (fault, faults) = watch::channel(Fault::default());
        let accepting = tokio::spawn(accept(listener, upstream, faults, counters.clone())).abort_handle();
        Ok(Self { url: format!("{before}{address}{after}"), address, fault, counters, accepting })
    }

    /// The server's URL, by way of the proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the proxy listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets all connections, and every new one, until [`heal`](Self::heal).
    pub fn cut(&self) {
        self.fault.send_modify(|fault| fault.cut = true);
    }

    /// Resets all connections; new ones are welcome.
    pub fn reset(&self) {
        self.fault.send_modify(|fault| fault.generation += 1);
    }

    /// Passes nothing on any more in this direction; connections stay open.
    pub fn stall(&self, direction: Direction) {
        self.fault.send_modify(|fault| fault.stall = Some(direction));
    }

    /// Loses what the server sends. [`heal`](Self::heal) resets the connections
    /// on which something was lost: TCP has no holes.
    pub fn swallow(&self) {
        self.fault.send_modify(|fault| fault.swallow = true);
    }

    /// Keeps everything back for at least this long, both ways.
    pub fn delay(&self, delay: Duration) {
        self.fault.send_modify(|fault| fault.delay = delay);
    }

    /// Ends every fault.
    pub fn heal(&self) {
        self.fault.send_modify(|fault| {
            *fault = Fault { generation: fault.generation, ..Fault::default() };
        });
    }

    /// What went through so far.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            upstream_bytes: read(&self.counters.upstream),
            downstream_bytes: read(&self.counters.downstream),
            swallowed_bytes: read(&self.counters.swallowed),
            connections: read(&self.counters.connections),
            resets: read(&self.counters.resets),
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Cuts a URL around its authority's host and port.
pub(crate) fn split(url: &str) -> anyhow::Result<(String, String, String)> {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
    let port = match scheme {
        _ if host.contains(':') => "",
        "nats" => ":4222",
        "redis" => ":6379",
        "postgres" | "postgresql" => ":5432",
        "http" | "ws" => ":80",
        _ => anyhow::bail!("no port in {url}"),
    };
    let mut before = String::new();
    if !scheme.is_empty() {
        before += &format!("{scheme}://");
    }
    if !user.is_empty() {
        before += &format!("{user}@");
    }
    Ok((before, format!("{host}{port}"), after.to_owned()))
}

async fn accept(
    listener: TcpListener,
    upstream: String,
    faults: watch::Receiver<Fault>,
    counters: Arc<Counters>,
) {
    // Aborted with this task.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Only the client of this one is concerned.
                let Ok((client, _)) = accepted else { continue };
                counters.connections.fetch_add(1, Ordering::Relaxed);
                connections.spawn(carry(client, upstream.clone(), faults.clone(), counters.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, from its first byte to its last.
async fn carry(
    mut client: TcpStream,
    upstream: String,
    mut faults: watch::Receiver<Fault>,
    counters: Arc<Counters>,
) {
    let generation = faults.borrow().generation;
    let pump_faults = faults.clone();
    let cut = async {
        // Ends also with the proxy itself.
        let _ = faults.wait_for(|fault| fault.cut || fault.generation != generation).await;
    };
    tokio::pin!(cut);
    let server = tokio::select! {
        biased;
        () = &mut cut => None,
        connected = TcpStream::connect(&upstream) => connected.ok(),
    };
    let Some(mut server) = server else {
        counters.resets.fetch_add(1, Ordering::Relaxed);
        return reset(&client);
    };
    let _ = (server.set_nodelay(true), client.set_nodelay(true));
    let over = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let pumps = async {
            tokio::try_join!(
                pump(Direction::Upstream, from_client, to_server, pump_faults.clone(), &counters),
                pump(Direction::Downstream, from_server, to_client, pump_faults.clone(), &counters),
            )
        };
        tokio::select! {
            biased;
            () = cut => None,
            pumped = pumps => Some(pumped),
        }
    };
    match over {
        // Both sides have closed in order.
        Some(Ok(_)) => {}
        // One was reset: so shall be the other.
        Some(Err(_)) => {
            reset(&client);
            reset(&server);
        }
        None => {
            counters.resets.fetch_add(1, Ordering::Relaxed);
            reset(&client);
            reset(&server);
        }
    }
}

/// Makes the coming close an RST that throws away what is under way.
fn reset(stream: &TcpStream) {
    // Fails only where the connection is gone anyway.
    let _ = stream.set_zero_linger();
}

async fn pump(
    direction: Direction,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut faults: watch::Receiver<Fault>,
    counters: &Counters,
) -> io::Result<()> {
    let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut lost = false;
    loop {
        let length = tokio::select! {
            length = from.read(&mut buffer) => length?,
            _ = faults.wait_for(|fault| !fault.swallow), if lost => return Err(reset()),
        };
        let delay = faults.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let stalled = |fault: &Fault| fault.stall.is_some_and(|stalled| stalled.includes(direction));
        let Ok(swallow) = faults.wait_for(|fault| !stalled(fault)).await.map(|fault| fault.swallow) else {
            return Err(reset());
        };
        if lost && !swallow {
            return Err(reset());
        }
        let counter = if swallow && direction == Direction::Downstream && length > 0 {
            lost = true;
            &counters.swallowed
        } else if length == 0 {
            return to.shutdown().await;
        } else {
            to.write_all(&buffer[..length]).await?;
            if direction == Direction::Upstream { &counters.upstream } else { &counters.downstream }
        };
        counter.fetch_add(length as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventually;

    const SOON: Duration = Duration::from_secs(10);

    /// A server that sends back what it gets, on each connection by itself.
    async fn echo() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address.to_string()
    }

    async fn say(stream: &mut TcpStream, word: &[u8]) -> io::Result<Vec<u8>> {
        stream.write_all(word).await?;
        let mut answer = vec![0; word.len()];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[test]
    fn a_url_is_cut_around_its_host() {
        for (url, expected) in [
            ("127.0.0.1:1", ["", "127.0.0.1:1", ""]),
            ("nats://h", ["nats://", "h:4222", ""]),
            ("nats://me:secret@broker/", ["nats://me:secret@", "broker:4222", "/"]),
            ("postgres://u:p@h:1/db?x=y@z", ["postgres://u:p@", "h:1", "/db?x=y@z"]),
        ] {
            let (before, host, after) = split(url).unwrap();
            assert_eq!([before.as_str(), host.as_str(), after.as_str()], expected);
        }
        assert!(split("h").is_err());
    }

    #[tokio::test]
    async fn without_a_fault_everything_passes_to_the_end() {
        let proxy = FaultProxy::start(&echo().await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        let sent: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
        let (mut from, mut to) = stream.split();
        let mut received = Vec::new();
        let (written, read) = tokio::join!(
            async {
                to.write_all(&sent).await?;
                to.shutdown().await
            },
            from.read_to_end(&mut received)
        );
        written.unwrap();
        read.unwrap();
        assert!(sent == received);
        let counts = proxy.counts();
        assert_eq!((counts.upstream_bytes, counts.downstream_bytes), (1_000_000, 1_000_000));
    }

    #[tokio::test]
    async fn a_cut_resets_old_and_new_connections_until_healed() {
        let proxy = FaultProxy::start(&echo().await).await.unwrap();
        let mut old = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut old, b"one").await.unwrap(), b"one");
        proxy.cut();
        assert_eq!(old.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(say(&mut refused, b"two").await.is_err());
        proxy.heal();
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut new, b"three").await.unwrap(), b"three");
        proxy.reset();
        assert!(say(&mut new, b"four").await.is_err());
        eventually("three counted resets", SOON, async || (proxy.counts().resets == 3).then_some(())).await;
    }

    #[tokio::test]
    async fn a_stall_holds_one_direction_back_and_loses_nothing() {
        let proxy = FaultProxy::start(&echo().await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.stall(Direction::Downstream);
        stream.write_all(b"late").await.unwrap();
        eventually("the upstream bytes", SOON, async || (proxy.counts().upstream_bytes == 4).then_some(()))
            .await;
        assert_eq!(proxy.counts().downstream_bytes, 0);
        proxy.heal();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"late");
    }

    #[tokio::test]
    async fn swallowed_answers_are_lost_and_healing_resets_the_connection() {
        let proxy = FaultProxy::start(&echo().await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.swallow();
        stream.write_all(b"lost").await.unwrap();
        eventually("swallowed bytes", SOON, async || (proxy.counts().swallowed_bytes == 4).then_some(()))
            .await;
        proxy.heal();
        assert!(stream.read_u8().await.is_err());
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.delay(Duration::from_millis(20));
        let start = std::time::Instant::now();
        assert_eq!(say(&mut stream, b"slow").await.unwrap(), b"slow");
        assert!(start.elapsed() >= Duration::from_millis(40), "held back both ways");
    }
}
