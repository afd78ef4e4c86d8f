//! The other wire: Socket.IO 5 over Engine.IO 4, by long-polling and WebSocket,
//! for front ends that were written for it.
//!
//! It stands on the same connections, outbound queues and feeds as the native
//! protocol. `packet` reads and writes Socket.IO packets, `talk` is the
//! conversation over one session; the [vocabulary](crate::vocabulary) gives
//! it its words.

pub mod packet;
mod talk;

pub(crate) use talk::guest_id;
pub use talk::{SocketIoWire, Step, Talk};
