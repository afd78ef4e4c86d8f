//! Ports for servers that have to be told theirs.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

/// Below the range from which systems take the ports of outgoing connections.
/// A port out of that range can be taken while its server is down, and a client
/// that keeps trying to reconnect over loopback can even connect to itself.
const PORTS: Range<u16> = 15_000..32_000;

/// A port of 127.0.0.1 on which nobody listens now. Random, so that tests that
/// run side by side hardly ever choose alike.
pub fn free_port() -> io::Result<u16> {
    for _ in 0..200 {
        let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
        let port = PORTS.start + (random % PORTS.len() as u64) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free port found"))
}
