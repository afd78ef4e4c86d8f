//! What this process needs of its machine to open many connections: file
//! descriptors, and addresses to come from.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, ensure};
use rlimit::Resource;
use tokio::net::{TcpSocket, TcpStream, lookup_host};

/// Descriptors for everything but the clients' connections.
const OTHER_DESCRIPTORS: u64 = 128;

/// Where connections come from, in turn; for all of this process.
static SOURCES: OnceLock<Vec<IpAddr>> = OnceLock::new();
static TURN: AtomicUsize = AtomicUsize::new(0);

/// Makes room for so many connections, from these addresses (none: as the
/// system chooses); says so if there is too little.
pub fn prepare(connections: usize, sources: &[IpAddr]) -> anyhow::Result<()> {
    let needed = connections as u64 + OTHER_DESCRIPTORS;
    let (soft, hard) = Resource::NOFILE.get().context("reading the limit of descriptors")?;
    if soft < needed {
        Resource::NOFILE.set(hard, hard).context("raising the limit of descriptors")?;
        ensure!(
            hard >= needed,
            "{connections} connections need {needed} file descriptors, and this process may open {hard} \
             (ulimit -Hn); raise the limit or spread the load over more processes or machines"
        );
    }
    for source in sources {
        // Now rather than in the middle of connecting.
        std::net::TcpListener::bind((*source, 0))
            .with_context(|| format!("{source} is not an address of this machine"))?;
    }
    if SOURCES.set(sources.to_vec()).is_err() {
        // Set already by an earlier run of this process, which has the same settings.
    }
    Ok(())
}

/// Connects from the next source address. Every address of the host is tried.
pub async fn connect(address: &str) -> io::Result<TcpStream> {
    let sources = SOURCES.get().map(Vec::as_slice).unwrap_or_default();
    if sources.is_empty() {
        return TcpStream::connect(address).await;
    }
    let mut last = None;
    for to in lookup_host(address).await? {
        match connect_from(next_source(sources, to), to).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address")))
}

/// The next one of the same kind as the target.
fn next_source(sources: &[IpAddr], to: SocketAddr) -> Option<IpAddr> {
    let alike = sources.iter().filter(|source| source.is_ipv4() == to.is_ipv4()).count();
    let turn = TURN.fetch_add(1, Ordering::Relaxed).checked_rem(alike)?;
    sources.iter().filter(|source| source.is_ipv4() == to.is_ipv4()).nth(turn).copied()
}

async fn connect_from(source: Option<IpAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        // Ports of connections that have just ended can be taken again.
        socket.set_reuseaddr(true)?;
        socket.bind((source, 0).into())?;
    }
    socket.connect(to).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_take_turns_and_are_of_the_targets_kind() {
        let sources: Vec<IpAddr> =
            ["127.0.0.1", "::1", "127.0.0.2"].iter().map(|source| source.parse().unwrap()).collect();
        let to = "127.0.0.1:80".parse().unwrap();
        let mut seen: Vec<_> = (0..4).map(|_| next_source(&sources, to).unwrap().to_string()).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen, ["127.0.0.1", "127.0.0.2"]);
        assert_eq!(next_source(&sources[..1], "[::1]:80".parse().unwrap()), None);
    }

    #[tokio::test]
    async fn a_connection_comes_from_its_source() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source: IpAddr = "127.0.0.9".parse().unwrap();
        let (stream, accepted) =
            tokio::join!(connect_from(Some(source), listener.local_addr().unwrap()), listener.accept());
        assert_eq!(stream.unwrap().local_addr().unwrap().ip(), source);
        assert_eq!(accepted.unwrap().1.ip(), source);
    }

    #[test]
    fn too_many_connections_are_refused_before_the_first() {
        let error = prepare(usize::MAX / 2, &[]).unwrap_err().to_string();
        assert!(error.contains("file descriptors"), "{error}");
        let elsewhere = ["192.0.2.1".parse().unwrap()];
        assert!(prepare(1, &elsewhere).unwrap_err().to_string().contains("192.0.2.1"));
    }
}
