//! The floor as a process: it says where it is, answers, and ends when it is told to.

use std::fs;
use std::process::Command;
use std::time::Duration;

use testkit::process::{Process, temp_dir};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(30);
const READY: &str = "listening on http://";

async fn check(flags: &'static [&'static str]) {
    let folder = temp_dir().unwrap();
    let floor = Process::new("the floor", folder.path().join("log"), "TERM", move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_carillon-floor"));
        command.args(["--port", "0", "--threads", "1"]).args(flags);
        command
    });
    let said = || fs::read_to_string(floor.log()).unwrap_or_default();
    floor.start(SOON, async || said().ends_with('\n')).await.unwrap();
    let said = said();
    let address = said.trim().strip_prefix(READY).unwrap_or_else(|| panic!("{said:?}"));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: floor\r\n\r\n").await.unwrap();
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    assert!(floor.stop(SOON).await.unwrap().success());
}

#[tokio::test]
async fn it_starts_answers_and_ends() {
    check(&[]).await;
    check(&["--cork"]).await;
}
