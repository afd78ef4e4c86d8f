//! Migrations, and what is said where they or the server are missing.

use std::error::Error as _;

use dispatcher::store::{StoreError, postgres};
use sqlx::Connection as _;
use testkit::ports::free_port;
use testkit::servers::shared_postgres;

use crate::world::{shared_database, store};

fn cause(error: &StoreError) -> String {
    error.source().expect("a cause").to_string()
}

#[tokio::test]
async fn migrations_are_applied_once_also_by_several_at_once() {
    let server = shared_postgres().await.expect("a PostgreSQL server");
    let url = server.create_database().await.expect("a database");
    let migrations = (0..3).map(|_| postgres::migrate(&url));
    let reports: Vec<_> = futures_util::future::join_all(migrations)
        .await
        .into_iter()
        .map(|report| report.expect("migrate"))
        .collect();
    let applied: Vec<_> = reports.iter().flat_map(|report| report.applied.iter()).collect();
    assert_eq!(applied.len() as i64, reports[0].version, "{reports:?}");
    assert!(reports.iter().all(|report| report.version == reports[0].version));
    assert_eq!(postgres::migrate(&url).await.expect("migrate").applied, Vec::<&str>::new());
    store(&url, 1).await.check_schema().await.expect("all there");
}

#[tokio::test]
async fn a_database_without_our_tables_is_told_what_to_run() {
    let server = shared_postgres().await.expect("a PostgreSQL server");
    let url = server.create_database().await.expect("a database");
    let error = store(&url, 1).await.check_schema().await.expect_err("nothing there");
    assert!(!error.is_transient());
    assert!(cause(&error).contains("carillon migrate"), "{}", cause(&error));
}

#[tokio::test]
async fn a_database_ahead_of_us_is_fine_and_one_behind_or_altered_is_not() {
    let url = shared_database().await;
    let mut connection = sqlx::PgConnection::connect(&url).await.expect("connect");
    let mut execute = async |sql: &'static str| {
        sqlx::raw_sql(sql).execute(&mut connection).await.expect("execute");
    };
    let store = store(&url, 1).await;

    execute("INSERT INTO _sqlx_migrations SELECT 9999, 'later', now(), true, '', 0").await;
    store.check_schema().await.expect("a newer release was here");
    assert_eq!(postgres::migrate(&url).await.expect("nothing to do").version, 9999);

    execute("UPDATE _sqlx_migrations SET checksum = 'x' WHERE version = 2").await;
    let error = store.check_schema().await.expect_err("altered");
    assert!(cause(&error).contains("is not the one of this version"), "{}", cause(&error));

    execute("DELETE FROM _sqlx_migrations WHERE version = 2").await;
    let error = store.check_schema().await.expect_err("behind");
    assert!(cause(&error).contains("lacks migration 0002"), "{}", cause(&error));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let port = free_port().expect("a port");
    let url = format!("postgres://postgres@127.0.0.1:{port}/chat");
    let error = postgres::connect(&url, 2).await.err().expect("nothing there");
    assert!(error.is_transient());
    assert!(cause(&error).contains(&format!("127.0.0.1:{port}, database chat")), "{}", cause(&error));

    let error = postgres::connect("no url", 2).await.err().expect("no url");
    assert!(!error.is_transient());
}
