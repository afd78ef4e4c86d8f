//! The authority: decides commands, commits them to the store, publishes what
//! changed. It holds no end user's socket and no state that another dispatcher
//! could not rebuild.

pub mod store;
