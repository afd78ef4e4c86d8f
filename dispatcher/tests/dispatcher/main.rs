//! The dispatcher through its real gRPC service, without a socket, over SQLite
//! and the broker of one process.

mod delivery;
mod faulty;
mod members;
mod messages;
mod network;
mod queries;
mod rig;
mod rooms;
mod users;
