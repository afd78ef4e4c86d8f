//! A load balancer of TCP connections: each goes to the backend that has the
//! fewest, or to the next one if that is not there. It knows nothing of HTTP, so
//! it keeps no session at one backend.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::task::{AbortHandle, JoinSet};

/// Pause after a failed accept, mostly for want of descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Listens until it is dropped.
pub struct Balancer {
    address: SocketAddr,
    accepting: AbortHandle,
}

struct Backend {
    address: String,
    connections: AtomicUsize,
}

impl Balancer {
    /// Listens on `listen` for connections to any of `backends` (`host:port`).
    pub async fn start(listen: impl ToSocketAddrs, backends: Vec<String>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let backend = |address| Arc::new(Backend { address, connections: AtomicUsize::new(0) });
        let backends: Vec<_> = backends.into_iter().map(backend).collect();
        let accepting = tokio::spawn(accept(listener, backends)).abort_handle();
        Ok(Self { address, accepting })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, backends: Vec<Arc<Backend>>) {
    // Aborted with this task.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(carry(stream, backends.clone()))),
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(mut client: TcpStream, mut backends: Vec<Arc<Backend>>) {
    backends.sort_by_key(|backend| backend.connections.load(Ordering::Relaxed));
    for backend in backends {
        // Counted before it is there, or all that arrive at once choose alike.
        backend.connections.fetch_add(1, Ordering::Relaxed);
        let connected = TcpStream::connect(&backend.address).await;
        if let Ok(mut server) = connected {
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            // Either side may break off; the other one sees that its stream ends.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            backend.connections.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        backend.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Says its name to everyone, and keeps the connection.
    async fn server(name: u8) -> (String, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let task = tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(&[name]).await.unwrap();
                kept.push(stream);
            }
        });
        (address, task)
    }

    #[tokio::test]
    async fn connections_go_to_whoever_has_the_fewest_and_is_there() {
        let ((one, _one), (two, two_task)) = (server(b'1').await, server(b'2').await);
        let balancer = Balancer::start("127.0.0.1:0", vec![one, two]).await.unwrap();
        let mut kept = Vec::new();
        let mut connect = async || {
            let mut stream = TcpStream::connect(balancer.address).await.unwrap();
            let name = stream.read_u8().await.unwrap();
            kept.push(stream);
            name
        };
        let mut names = vec![connect().await, connect().await, connect().await, connect().await];
        names.sort();
        assert_eq!(names, b"1122");
        two_task.abort();
        assert!(two_task.await.is_err());
        assert_eq!(vec![connect().await, connect().await, connect().await], b"111");
    }
}
