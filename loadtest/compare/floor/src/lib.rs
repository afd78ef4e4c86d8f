//! The floor of the benchmark: a server that hands each frame to the sockets of
//! its room, and does nothing else. It looks at no token, checks no rule, stores
//! nothing. What Carillon costs above it is what its promises cost.
//!
//! It speaks as much of the native protocol, in JSON, as the load generator does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

mod cork;
mod frame;
mod http;
mod hub;
mod plain;
mod talk;

use hub::{Hub, Listener};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;
/// Before accepting again when it failed: all descriptors are in use.
const PAUSE: Duration = Duration::from_millis(50);

/// How sockets are written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sockets {
    /// By tokio-tungstenite: a queue per socket, and one write per message.
    Tungstenite,
    /// Framed by hand: one write per socket and turn, of all that waits.
    Corked,
}

/// Opens a port, with room for many who come at once.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves whoever comes, until it is dropped; its connections live on until the
/// runtime ends.
pub async fn run(listener: TcpListener, sockets: Sockets) -> anyhow::Result<()> {
    match sockets {
        Sockets::Tungstenite => accept(listener, Arc::new(Hub::<plain::Queue>::default())).await,
        Sockets::Corked => accept(listener, Arc::new(Hub::<cork::Outbox>::default())).await,
    }
}

async fn accept<L: Listener>(listener: TcpListener, hub: Arc<Hub<L>>) -> anyhow::Result<()> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                stream.set_nodelay(true)?;
                // A client that breaks off, or speaks nonsense, is gone; nobody asks why.
                tokio::spawn(http::serve(stream, hub.clone()));
            }
            Err(error) => {
                eprintln!("accepting: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
