//! The conformance suite of the `Store` port, run once per adapter (P9): what
//! one store does, every store does.
//!
//! An adapter joins by one module here with a function that opens an empty
//! store, and one line that runs the suite over it.

#[macro_use]
#[path = "store/suite.rs"]
mod suite;

mod sqlite {
    use std::sync::Arc;

    use dispatcher::store::{Store, sqlite};
    use tempfile::TempDir;

    /// An empty store in a folder that goes with the guard.
    async fn open() -> (Arc<dyn Store>, TempDir) {
        let folder = tempfile::tempdir().expect("a folder for the store");
        let store = sqlite::open(&folder.path().join("new/carillon.db")).await.expect("open the store");
        (Arc::new(store), folder)
    }

    store_suite!(open);
}

mod postgres {
    use std::sync::Arc;

    use dispatcher::store::{Store, postgres};
    use testkit::servers::shared_postgres;

    /// A database of its own on the server that the tests share.
    async fn open() -> (Arc<dyn Store>, ()) {
        let server = shared_postgres().await.expect("a PostgreSQL server");
        let url = server.create_database().await.expect("a database");
        postgres::migrate(&url).await.expect("migrate");
        let store = postgres::connect(&url, 4).await.expect("connect");
        (Arc::new(store), ())
    }

    store_suite!(open);
}
