//! The other wire: Socket.IO 5 over Engine.IO 4, by long-polling and WebSocket,
//! for front ends that were written for it.
//!
//! It stands on the same connections, outbound queues and feeds as the native
//! protocol. `http` is the endpoint, `session` the task of one session whatever
//! its transport, `sessions` how polls find it, `relay` how they do from another
//! gateway; `engine` and `packet` are the two packet formats; `talk` is the
//! conversation, in the words of the [vocabulary](crate::vocabulary).

mod engine;
mod http;
pub mod packet;
mod relay;
mod session;
mod sessions;
mod talk;

pub use http::{Polls, router};
pub use relay::Relay;
pub use sessions::Sessions;
pub use talk::SocketIoWire;
pub(crate) use talk::guest_id;
