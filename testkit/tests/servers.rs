//! The real servers start, stop, hang, die and come back as tests ask.

use std::time::Duration;

use testkit::{eventually, servers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(10);

fn address(url: &str) -> String {
    let rest = url.split_once("://").expect("a URL").1;
    let host = rest.split('/').next().expect("a host");
    host.rsplit('@').next().expect("a host").to_owned()
}

/// Redis tells what a key holds, or nothing while it does not answer.
async fn redis_get(url: &str) -> Option<String> {
    let ask = async {
        let mut stream = TcpStream::connect(address(url)).await?;
        stream.write_all(b"GET key\r\n").await?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).await?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    };
    tokio::time::timeout(Duration::from_millis(200), ask).await.ok()?.ok()
}

#[tokio::test]
async fn nats_stops_and_starts_on_the_same_port() {
    let nats = servers::nats().await.expect("start NATS");
    if nats.is_external() {
        assert!(nats.stop().await.unwrap_err().to_string().contains("external"));
        return;
    }
    nats.stop().await.unwrap();
    TcpStream::connect(address(nats.url())).await.unwrap_err();
    nats.start().await.unwrap();
    nats.kill().await.unwrap();
    TcpStream::connect(address(nats.url())).await.unwrap_err();
    nats.start().await.unwrap();
    TcpStream::connect(address(nats.url())).await.unwrap();
}

#[tokio::test]
async fn redis_hangs_while_paused_and_comes_back_empty() {
    let redis = servers::redis().await.expect("start Redis");
    if redis.is_external() {
        return;
    }
    let mut stream = TcpStream::connect(address(redis.url())).await.unwrap();
    stream.write_all(b"SET key 1\r\n").await.unwrap();
    eventually("the value", SOON, async || redis_get(redis.url()).await.filter(|seen| seen == "$1\r\n1\r\n"))
        .await;
    redis.pause().unwrap();
    assert_eq!(redis_get(redis.url()).await, None);
    redis.resume().unwrap();
    eventually("the value", SOON, async || redis_get(redis.url()).await.filter(|seen| seen == "$1\r\n1\r\n"))
        .await;
    redis.restart().await.unwrap();
    assert_eq!(redis_get(redis.url()).await.as_deref(), Some("$-1\r\n"));
}

#[tokio::test]
async fn postgres_keeps_its_data_through_stop_kill_and_pause() {
    let postgres = servers::postgres().await.expect("start PostgreSQL");
    if postgres.is_external() {
        return;
    }
    postgres.execute("CREATE TABLE kept (n int)").await.unwrap();
    postgres.execute("INSERT INTO kept VALUES (1)").await.unwrap();
    postgres.kill().await.unwrap();
    postgres.start().await.unwrap();
    postgres.execute("INSERT INTO kept SELECT n / (SELECT count(*) FROM kept) FROM kept").await.unwrap();
    postgres.pause().unwrap();
    let hung = postgres.execute("SELECT 1");
    assert!(tokio::time::timeout(Duration::from_millis(300), hung).await.is_err());
    postgres.resume().unwrap();
    postgres.restart().await.unwrap();
    postgres.execute("DO $$ BEGIN ASSERT (SELECT count(*) FROM kept) = 2; END $$").await.unwrap();
}

#[tokio::test]
async fn each_test_has_its_own_database() {
    let postgres = servers::shared_postgres().await.expect("start PostgreSQL");
    let (one, two) = (postgres.create_database().await.unwrap(), postgres.create_database().await.unwrap());
    assert_ne!(one, two);
    assert!(one.starts_with("postgres"), "{one}");
}
