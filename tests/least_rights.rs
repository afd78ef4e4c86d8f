//! docs/security.md is true: its blocks make accounts with which Carillon does
//! its daily work and nobody does more, and the tests that it names exist.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use proto::Encoding;
use proto::v1::server_frame::Body;
use serde_json::json;
use testkit::client::Client;
use testkit::eventually;
use testkit::ports::free_port;
use testkit::process::{Process, temp_dir};
use testkit::rest::Rest;
use testkit::servers::{self, PostgresServer};
use testkit::token::{TokenOptions, mint};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PROGRAM: &str = env!("CARGO_BIN_EXE_carillon");
const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &str = "a secret of the tests, long enough for HS256";

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security.md");
    std::fs::read_to_string(path).expect("the page is there")
}

/// The blocks of this kind on the page.
fn blocks(kind: &str) -> Vec<String> {
    let page = page();
    let fence = format!("\n```{kind}\n");
    let starts = page.split(&fence).skip(1);
    starts.map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// The one block of this kind.
fn block(kind: &str) -> String {
    let mut blocks = blocks(kind);
    assert_eq!(blocks.len(), 1, "one block of {kind}");
    blocks.remove(0)
}

#[test]
fn every_test_that_the_page_names_exists() {
    let page = page();
    let words = page.split('`').skip(1).step_by(2);
    let named: Vec<_> = words.filter_map(|word| word.split_once(".rs::")).collect();
    assert!(named.len() > 30, "{named:?}");
    for (file, test) in named {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("{file}.rs"));
        let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}.rs: {error}"));
        assert!(source.contains(&format!("fn {test}(")), "{file}.rs has no test {test}");
    }
}

/// A program in the background that is up when it takes connections.
async fn serve(
    name: &str,
    port: u16,
    folder: &Path,
    command: impl Fn() -> Command + Send + Sync + 'static,
) -> Process {
    let process = Process::new(name, folder.join(format!("{name}.log")), "TERM", command);
    let up = async || TcpStream::connect(("127.0.0.1", port)).await.is_ok();
    process.start(PATIENCE, up).await.expect("it starts");
    process
}

async fn nats(folder: &Path) -> (Process, u16) {
    let (port, file) = (free_port().expect("a port"), folder.join("nats.conf"));
    std::fs::write(&file, format!("listen: \"127.0.0.1:{port}\"\n{}", block("conf"))).expect("a file");
    let process = serve("nats", port, folder, move || {
        let mut command = Command::new("nats-server");
        command.arg("-c").arg(&file);
        command
    });
    (process.await, port)
}

async fn redis(folder: &Path) -> (Process, u16) {
    let (port, file) = (free_port().expect("a port"), folder.join("users.acl"));
    std::fs::write(&file, block("acl")).expect("a file");
    let folder_of_it = folder.to_owned();
    let process = serve("redis", port, folder, move || {
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--aclfile"])
            .arg(&file);
        command.arg("--dir").arg(&folder_of_it);
        command
    });
    (process.await, port)
}

/// Runs statements in a database of the server as this user; what went wrong, else.
fn psql(postgres: &PostgresServer, user: &str, database: &str, statements: &str) -> Result<(), String> {
    let url = as_user(postgres, user, database);
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-", "--dbname", &url]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("psql is installed");
    child.stdin.take().expect("it has an input").write_all(statements.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn as_user(postgres: &PostgresServer, user: &str, database: &str) -> String {
    let host = postgres.url().split('@').nth(1).and_then(|rest| rest.split('/').next()).expect("a host");
    format!("postgres://{user}@{host}/{database}")
}

/// The program with these settings, and no others.
fn carillon(folder: &Path, role: &str, settings: &[(&str, String)]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg(role).current_dir(folder);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARILLON_")) {
        command.env_remove(name);
    }
    command.envs(settings.iter().map(|(name, value)| (format!("CARILLON_{name}"), value)));
    command
}

fn migrate(folder: &Path, url: String) -> Result<(), String> {
    let output = carillon(folder, "migrate", &[("DATABASE_URL", url)]).output().expect("it runs");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// A server of ours that is ready.
async fn start(folder: &Path, role: &'static str, settings: &[(&'static str, String)]) -> (Process, Rest) {
    let admin = format!("127.0.0.1:{}", free_port().expect("a port"));
    let mut settings = settings.to_vec();
    settings.push(("ADMIN_LISTEN", admin.clone()));
    let of_it = folder.to_owned();
    let process = Process::new(role, folder.join(format!("{role}.log")), "TERM", move || {
        carillon(&of_it, role, &settings)
    });
    let admin = Rest::new(format!("http://{admin}"), "");
    let ready = async || admin.get("/readyz").await.is_ok_and(|answer| answer.status == 200);
    process.start(PATIENCE, ready).await.expect("it is ready");
    (process, admin)
}

/// Says something to a server, and hears what it says to that.
async fn say(port: u16, what: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    stream.write_all(what.as_bytes()).await.expect("it reads");
    let mut heard = Vec::new();
    let end = async {
        // NATS and Redis hang up, or answer QUIT and PING, which comes last.
        let mut piece = [0; 4096];
        while !heard.ends_with(b"PONG\r\n") && !heard.ends_with(b"+OK\r\n") {
            match stream.read(&mut piece).await {
                Ok(1..) if heard.len() > 1 << 20 => break,
                Ok(count @ 1..) => heard.extend_from_slice(&piece[..count]),
                _ => break,
            }
        }
    };
    tokio::time::timeout(PATIENCE, end).await.expect("it answers");
    String::from_utf8_lossy(&heard).into_owned()
}

async fn metric(admin: &Rest, name: &str) -> f64 {
    let page = admin.get("/metrics").await.expect("an answer").body;
    let page = page.as_str().expect("a text");
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("{name} is not in\n{page}"))
}

/// What people and their application do all day.
async fn a_day(gateway: &str) {
    let token = |user: &str| mint(SECRET, user, user, &TokenOptions::default());
    let rest = Rest::new(gateway, token("ana"));
    let room = rest.create_group("Ringers", &["ben"]).await.expect("a room");
    let ana = Client::connect(gateway, &token("ana"), Encoding::Json).await.expect("a connection");
    let ben = Client::connect(gateway, &token("ben"), Encoding::Json).await.expect("a connection");
    ana.join(&room).await.expect("a join");
    ben.join(&room).await.expect("a join");
    let sent = ana.send(&room, "hi").await.expect("a send");
    ana.edit(&room, &sent.message, "hello").await.expect("an edit");
    ana.typing(&room, false).await.expect("a sign");
    ben.read(&room, sent.seq).await.expect("a read mark");
    let edited = ben.expect_event("the edit", |frame| match &frame.body {
        Some(Body::Message(message)) if message.text == "hello" => Some(()),
        _ => None,
    });
    edited.await.expect("it is heard");
    let typing =
        ben.expect_event("typing", |frame| matches!(frame.body, Some(Body::Typing(_))).then_some(()));
    typing.await.expect("it is heard");
    eventually("ben to be online for ana", PATIENCE, async || {
        let presence = ana.presence(&room, &[]).await.ok()?;
        presence.users.iter().any(|user| user.user == "ben").then_some(())
    })
    .await;
    ana.delete(&room, &sent.message).await.expect("a deletion");
    let service = Rest::new(gateway, mint(SECRET, "app", "app", &TokenOptions::service()));
    let notice = json!({ "user": "ben", "type": "LIKE", "data": { "post": 7 } });
    service.post("/v1/notifications", notice).await.expect("an answer").ok().expect("a notice");
    let noticed = ben.expect_event("the notice", |frame| match &frame.body {
        Some(Body::Notification(notice)) => Some(notice.id.clone()),
        _ => None,
    });
    let notice = noticed.await.expect("it is heard");
    ben.read_notification(&notice).await.expect("it is read");
    rest.get(&format!("/v1/rooms/{room}/search?q=hello")).await.expect("an answer").ok().expect("found");
    service.post("/v1/users/ben/disconnect", json!({})).await.expect("an answer").ok().expect("done");
    ben.closed().await;
    rest.delete(&format!("/v1/rooms/{room}/members/ben")).await.expect("an answer").ok().expect("removed");
    rest.delete(&format!("/v1/rooms/{room}")).await.expect("an answer").ok().expect("deleted");
    ana.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_accounts_of_the_page_can_do_their_work_and_no_more() {
    let folder = temp_dir().expect("a folder");
    let folder = folder.path();
    let postgres = servers::postgres().await.expect("a server");
    if postgres.is_external() {
        return eprintln!("DATABASE_URL names a server: no roles are made on it");
    }
    let ((nats, nats_port), (redis, redis_port)) = tokio::join!(nats(folder), redis(folder));
    let sql = blocks("sql");
    let [accounts, afterwards] = &sql[..] else { panic!("two blocks of SQL: {sql:?}") };
    psql(&postgres, "postgres", "postgres", accounts).expect("accounts");
    let refused = migrate(folder, as_user(&postgres, "carillon", "carillon")).expect_err("not its work");
    assert!(refused.contains("permission denied"), "{refused}");
    migrate(folder, as_user(&postgres, "carillon_owner", "carillon")).expect("migrated");
    psql(&postgres, "carillon_owner", "carillon", afterwards).expect("rights");

    let grpc = format!("127.0.0.1:{}", free_port().expect("a port"));
    let listen = format!("127.0.0.1:{}", free_port().expect("a port"));
    let nats_url = |user: &str| format!("nats://{user}:{user}-password@127.0.0.1:{nats_port}");
    let (dispatcher, dispatcher_admin) = start(
        folder,
        "dispatcher",
        &[
            ("GRPC_LISTEN", grpc.clone()),
            ("NATS_URL", nats_url("dispatcher")),
            ("DATABASE_URL", as_user(&postgres, "carillon", "carillon")),
        ],
    )
    .await;
    let (gateway, gateway_admin) = start(
        folder,
        "gateway",
        &[
            ("LISTEN", listen.clone()),
            ("DISPATCHER_URL", format!("http://{grpc}")),
            ("NATS_URL", nats_url("gateway")),
            ("REDIS_URL", format!("redis://carillon:redis-password@127.0.0.1:{redis_port}")),
            ("JWT_SECRET", SECRET.to_owned()),
        ],
    )
    .await;
    for admin in [&dispatcher_admin, &gateway_admin] {
        eventually("the broker", PATIENCE, async || {
            (metric(admin, "carillon_broker_link_up").await == 1.0).then_some(())
        })
        .await;
    }
    a_day(&format!("http://{listen}")).await;
    assert_eq!(metric(&gateway_admin, "carillon_presence_errors_total").await, 0.0);
    for admin in [&dispatcher_admin, &gateway_admin] {
        assert_eq!(metric(admin, "carillon_broker_publish_errors_total").await, 0.0);
    }
    let log = std::fs::read_to_string(nats.log()).expect("a log");
    assert!(!log.contains("Violation"), "{log}");
    for process in [&gateway, &dispatcher] {
        assert!(process.stop(PATIENCE).await.expect("it stops").success(), "{}", process.log_tail());
        let log = std::fs::read_to_string(process.log()).expect("a log");
        assert!(!log.contains("NOPERM") && !log.contains("permission"), "{log}");
    }

    no_more_in_postgres(&postgres);
    no_more_in_nats(nats_port).await;
    no_more_in_redis(redis_port).await;
    drop((nats, redis));
}

fn no_more_in_postgres(postgres: &PostgresServer) {
    for statement in [
        "DELETE FROM messages",
        "TRUNCATE messages",
        "DROP TABLE messages",
        "ALTER TABLE messages ADD COLUMN extra text",
        "CREATE TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "UPDATE _sqlx_migrations SET version = 9",
        "CREATE ROLE mine",
        "COPY messages TO '/tmp/messages'",
    ] {
        let refused = psql(postgres, "carillon", "carillon", statement).expect_err(statement);
        assert!(
            ["permission denied", "must be owner", "must be superuser"]
                .iter()
                .any(|why| refused.contains(why)),
            "{refused}"
        );
    }
    psql(postgres, "postgres", "postgres", "CREATE ROLE neighbour LOGIN").expect("a role");
    let refused = psql(postgres, "neighbour", "carillon", "SELECT 1").expect_err("a neighbour");
    assert!(refused.contains("permission denied for database"), "{refused}");
}

async fn no_more_in_nats(port: u16) {
    let login = |user: &str| {
        format!("CONNECT {{\"verbose\":false,\"user\":\"{user}\",\"pass\":\"{user}-password\"}}\r\n")
    };
    for (user, line) in [
        ("gateway", "PUB carillon.room.a.feed 1\r\nx\r\n"),
        ("gateway", "PUB carillon.heads 1\r\nx\r\n"),
        ("gateway", "SUB > 1\r\n"),
        ("gateway", "SUB other.subject 1\r\n"),
        ("dispatcher", "SUB carillon.room.a.feed 1\r\n"),
        ("dispatcher", "PUB other.subject 1\r\nx\r\n"),
    ] {
        let said = say(port, &format!("{}{line}PING\r\n", login(user))).await;
        assert!(said.contains("Permissions Violation"), "{user} {line}: {said}");
    }
    for subject in ["carillon.room.a.now", "carillon.gateway.a"] {
        let said = say(port, &format!("{}PUB {subject} 1\r\nx\r\nPING\r\n", login("gateway"))).await;
        assert!(said.ends_with("PONG\r\n") && !said.contains("-ERR"), "{said}");
    }
    let said = say(port, "CONNECT {\"verbose\":false}\r\nPING\r\n").await;
    assert!(said.contains("Authorization Violation"), "{said}");
}

async fn no_more_in_redis(port: u16) {
    let login = "AUTH carillon redis-password\r\n";
    for line in [
        "KEYS *",
        "SCAN 0",
        "FLUSHALL",
        "CONFIG GET *",
        "ACL LIST",
        "MONITOR",
        "GET carillon:{p0}:users",
        "ZSCORE other:users a",
        "SUBSCRIBE news",
        "EVAL \"return redis.call('FLUSHALL')\" 0",
    ] {
        let said = say(port, &format!("{login}{line}\r\nPING\r\n")).await;
        assert!(said.contains("NOPERM") || said.contains("can't run this command"), "{line}: {said}");
    }
    let said = say(port, "PING\r\nQUIT\r\n").await;
    assert!(said.contains("NOAUTH"), "{said}");
}
