//! The rules of Engine.IO 4 and Socket.IO 5, one by one, against real processes
//! and over bare sockets: what a well-behaved client relies on, and what one
//! that is not gets to hear. The official client's own tests are elsewhere.

mod socketio_protocol {
    pub mod close;
    pub mod handshake;
    pub mod limits;
    pub mod packets;
    pub mod polling;
    pub mod relay;
    pub mod upgrade;
    pub mod wire;
}
