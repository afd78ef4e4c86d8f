//! The server side of WebSocket (RFC 6455) as pure functions over bytes: no
//! socket, no task, no clock.
//!
//! It is our own for two reasons of memory. A server's frame is not masked, so
//! one encoded frame can be shared by every connection that gets it: [`encode`]
//! gives header and payload as one [`bytes::Bytes`]. And reading goes through a
//! buffer that belongs to the caller and is lent for the time of one read:
//! [`Decoder`] keeps nothing but the bytes of a message that is not complete
//! yet, so an idle connection holds none.
//!
//! Extensions (compression among them) are never negotiated.

mod decoder;
pub mod encode;
mod frame;
pub mod handshake;

pub use decoder::Decoder;
pub use frame::{Incoming, Opcode};
pub use handshake::{Accept, origin_allowed};
