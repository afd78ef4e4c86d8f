//! What PostgreSQL adds to the promises of the `Store` port: migrations, faults
//! of a server, several dispatchers on one database, plans that stay good.
//! What every store does is in `store.rs`.

mod contention;
mod faults;
mod plans;
mod rates;
mod schema;
mod world;
