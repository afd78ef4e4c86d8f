//! What `carillon top` shows, from the nodes' `/metrics`.
//!
//! The way through the files: [`target`] asks the nodes, [`exposition`] reads
//! what they answer, [`figures`] makes rates of two answers, [`mod@column`] says
//! what is shown and how, [`report`] and [`screen`] show it. Only `target` does
//! I/O, and only [`watch`] remembers anything.

mod column;
mod exposition;
mod figures;
pub mod report;
pub mod screen;
mod target;
mod watch;

pub use target::Address;
pub use watch::{View, Watch};
