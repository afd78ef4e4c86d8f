//! Ports for servers that have to be told theirs.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{LazyLock, Mutex};

/// Below the range from which systems take the ports of outgoing connections.
/// A port out of that range can be taken while its server is down, and a client
/// that keeps trying to reconnect over loopback can even connect to itself.
const PORTS: Range<u16> = 15_000..32_000;

/// Ports that this process has given out: some of their servers are still on
/// their way, or down for a while.
static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A port of 127.0.0.1 on which nobody listens now, and that this process has
/// not given out before. Random, so that processes that run side by side hardly
/// ever choose alike.
pub fn free_port() -> io::Result<u16> {
    for _ in 0..200 {
        let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
        let port = PORTS.start + (random % PORTS.len() as u64) as u16;
        let is_new = GIVEN.lock().expect("no panic while the ports are locked").insert(port);
        if is_new && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free port found"))
}
