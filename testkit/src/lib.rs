//! What the project's tests stand on: real servers as child processes, a fault
//! proxy, a client of the native protocol, whole systems of real processes, and
//! the checker that decides whether a history kept the promises.
//!
//! Only ever a dev-dependency.

pub mod balancer;
pub mod checker;
pub mod client;
pub mod cluster;
pub mod crowd;
pub mod deliveries;
pub mod hints;
pub mod npm;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod rest;
pub mod rolling;
pub mod servers;
pub mod tamper;
pub mod token;
mod wait;

pub use wait::{eventually, try_eventually};
