//! The program as people start it: its words, its exit status, its end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use proto::{CloseCode, Encoding};
use testkit::client::Client;
use testkit::eventually;
use testkit::ports::free_port;
use testkit::process::{Process, temp_dir};
use testkit::rest::Rest;
use testkit::servers;

/// Generous: a loaded machine starts several tests at once.
const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &str = "a secret of the tests, long enough for HS256";

/// The program in a folder of its own, without settings of the surroundings.
fn carillon(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carillon"));
    command.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARILLON_") {
            command.env_remove(name);
        }
    }
    command
}

async fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = carillon(folder);
    command.args(arguments);
    output(command).await
}

/// A program that goes on where it should end fails the test, and ends with it.
async fn output(command: Command) -> Output {
    let mut command = tokio::process::Command::from(command);
    let output = command.kill_on_drop(true).output();
    tokio::time::timeout(PATIENCE, output).await.expect("it ends by itself").unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// It failed, and said so in one line of its own.
#[track_caller]
fn check_failure(output: &Output, said: &str) {
    let errors = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    let own: Vec<_> = errors.lines().filter(|line| line.starts_with("carillon: ")).collect();
    assert!(own.len() == 1 && own[0].contains(said), "{said:?} is not in\n{errors}");
    assert!(errors.ends_with(&format!("{}\n", own[0])), "more follows:\n{errors}");
    assert!(!errors.contains("panic"), "{errors}");
}

/// A server in the background.
struct Server {
    process: Process,
    rest: String,
    admin: Rest,
}

impl Server {
    fn new(folder: &Path, role: &'static str, arguments: &[&str]) -> Self {
        let (port, admin) = (free_port().unwrap(), free_port().unwrap());
        let listen = if role == "dispatcher" { "--grpc-listen" } else { "--listen" };
        let mut all = vec![role.to_owned(), listen.to_owned(), format!("127.0.0.1:{port}")];
        all.extend(["--admin-listen".to_owned(), format!("127.0.0.1:{admin}")]);
        all.extend(arguments.iter().map(ToString::to_string));
        let (owned, log) = (folder.to_owned(), folder.join(format!("{role}-{port}.log")));
        let process = Process::new(role, log, "TERM", move || {
            let mut command = carillon(&owned);
            command.args(&all);
            command
        });
        let admin = Rest::new(format!("http://127.0.0.1:{admin}"), "");
        Self { process, rest: format!("http://127.0.0.1:{port}"), admin }
    }

    async fn start(&self) {
        let ready = async || self.admin.get("/readyz").await.is_ok_and(|answer| answer.status == 200);
        self.process.start(PATIENCE, ready).await.unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.process.log()).unwrap()
    }

    /// What `/readyz` complains of, once it complains of this.
    async fn not_ready_because(&self, why: &str) {
        eventually(format!("/readyz to say {why:?}"), PATIENCE, async || {
            let answer = self.admin.get("/readyz").await.ok()?;
            (answer.status == 503 && answer.body.to_string().contains(why)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn it_explains_itself() {
    let folder = temp_dir().unwrap();
    let help = stdout(&run(folder.path(), &["--help"]).await);
    for word in [
        "standalone",
        "gateway",
        "dispatcher",
        "migrate",
        "token",
        "check-config",
        "--listen",
        "127.0.0.1:8080",
    ] {
        assert!(help.contains(word), "{word} is missing in\n{help}");
    }
    assert!(stdout(&run(folder.path(), &["--version"]).await).starts_with("carillon "));
    let wrong = run(folder.path(), &["--listn", "x"]).await;
    assert!(wrong.status.code() == Some(2) && stderr(&wrong).contains("--listen"), "{}", stderr(&wrong));
}

#[tokio::test]
async fn mistakes_are_all_reported_before_anything_happens() {
    let folder = temp_dir().unwrap();
    fs::write(folder.path().join("carillon.toml"), "listen = \"nowhere\"\ndata_dri = \"x\"").unwrap();
    let mut command = carillon(folder.path());
    command.env("CARILLON_HEARTBEAT", "soon");
    let output = self::output(command).await;
    check_failure_of_many(
        &output,
        &["carillon: 3 mistakes", "data_dir`?", "listen (carillon.toml)", "heartbeat (env"],
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is created");

    let missing = run(folder.path(), &["--config", "other.toml"]).await;
    check_failure_of_many(&missing, &["other.toml: the configuration file cannot be read"]);
    let gateway = run(folder.path(), &["gateway", "--listen", "127.0.0.1:1", "--config", "/dev/null"]).await;
    check_failure_of_many(
        &gateway,
        &["4 mistakes", "jwt_secret | jwks", "nats_url", "redis_url", "dispatcher_url"],
    );
}

#[track_caller]
fn check_failure_of_many(output: &Output, said: &[&str]) {
    let errors = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    for said in said {
        assert!(errors.contains(said), "{said:?} is not in\n{errors}");
    }
}

#[tokio::test]
async fn check_config_shows_what_counts_and_where_it_was_said() {
    let folder = temp_dir().unwrap();
    let file = "nats_url = \"nats://bell:hunter2@host\"\nredis_url = \"redis://host\"\nmax_connections = 7\n";
    fs::write(folder.path().join("cluster.toml"), file).unwrap();
    let mut command = carillon(folder.path());
    command
        .args([
            "check-config",
            "gateway",
            "--config",
            "cluster.toml",
            "--dispatcher-url",
            "http://a:1,http://b:2",
        ])
        .env("CARILLON_JWT_SECRET", SECRET);
    let output = self::output(command).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let shown = stdout(&output);
    let line = |name: &str| {
        let line = shown.lines().find(|line| line.starts_with(&format!("{name} = ")));
        line.unwrap_or_else(|| panic!("{name} is missing in\n{shown}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("nats_url"), "nats_url = \"nats://bell:***@host\" # cluster.toml");
    assert_eq!(line("jwt_secret"), "jwt_secret = \"***\" # environment");
    assert_eq!(line("dispatcher_url"), "dispatcher_url = \"http://a:1,http://b:2\" # flag");
    assert_eq!(line("max_connections"), "max_connections = 7 # cluster.toml");
    assert_eq!(line("guests"), "guests = false # default");
    assert!(!shown.contains("database_url"), "{shown}");

    // What it prints is a file that it reads.
    let again = folder.path().join("again.toml");
    fs::write(&again, shown.replace("\"***\"", &format!("\"{SECRET}\""))).unwrap();
    let output = run(folder.path(), &["check-config", "gateway", "--config", again.to_str().unwrap()]).await;
    assert!(output.status.success(), "{}", stderr(&output));
}

#[tokio::test]
async fn a_token_is_all_that_is_printed() {
    let folder = temp_dir().unwrap();
    check_failure(
        &run(folder.path(), &["token", "--user", "ana"]).await,
        "no key to sign with: set jwt_secret",
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is created");

    let output =
        run(folder.path(), &["token", "--user", "ana", "--jwt-secret", SECRET, "--expires", "30m"]).await;
    let token = stdout(&output);
    assert!(
        output.status.success() && token.ends_with('\n') && token.trim().split('.').count() == 3,
        "{token}"
    );
    assert_eq!(token.lines().count(), 1);
    for wrong in [&["--user", "a b"][..], &["--user", "ana", "--expires", "soon"]] {
        assert_eq!(run(folder.path(), &[&["token"], wrong].concat()).await.status.code(), Some(2));
    }
}

/// P1 and P8, as the first evening with it goes.
#[tokio::test]
async fn standalone_starts_from_nothing_talks_and_stops() {
    let folder = temp_dir().unwrap();
    let server = Server::new(folder.path(), "standalone", &["--drain-spread", "0s"]);
    server.start().await;

    let data = folder.path().join("carillon-data");
    let key = fs::read_to_string(data.join("jwt-secret")).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&data), mode(&data.join("jwt-secret"))), (0o700, 0o600));
    assert!(!server.log().contains(key.trim()), "the key is in the log");

    let token = |user: &str| {
        let start = format!("  {user}: {}/#token=", server.rest);
        let log = server.log();
        log.lines().find_map(|line| line.strip_prefix(&start)).expect("a link is printed").to_owned()
    };
    let (ana, ben) = (token("Ana"), token("Ben"));
    let room = Rest::new(&server.rest, &ana).create_direct("ben").await.unwrap();
    let client = Client::connect(&server.rest, &ben, Encoding::Json).await.unwrap();
    client.join(&room).await.unwrap();
    let by_hand = stdout(&run(folder.path(), &["token", "--user", "ana"]).await);
    let sender = Client::connect(&server.rest, by_hand.trim(), Encoding::Json).await.unwrap();
    sender.send(&room, "hi").await.unwrap();
    assert_eq!(server.admin.get("/metrics").await.unwrap().status, 200);
    let public = Rest::new(&server.rest, "");
    assert_eq!(public.get("/metrics").await.unwrap().status, 404, "metrics are not for the public");

    assert!(server.process.stop(PATIENCE).await.unwrap().success(), "{}", server.log());
    assert_eq!(client.closed().await.close_code(), Some(CloseCode::Drain));

    server.start().await;
    assert_eq!(fs::read_to_string(data.join("jwt-secret")).unwrap(), key);
    let client = Client::connect(&server.rest, &ben, Encoding::Json).await.unwrap();
    assert_eq!(client.history(&room, 0, 10).await.unwrap().messages.len(), 1);

    // A second process would not know what the first one changes.
    let (listen, admin) = (free_port().unwrap(), free_port().unwrap());
    let (listen, admin) = (format!("127.0.0.1:{listen}"), format!("127.0.0.1:{admin}"));
    check_failure(
        &run(folder.path(), &["--listen", &listen, "--admin-listen", &admin]).await,
        "another process works in ./carillon-data (data_dir)",
    );
    // A port in use.
    let taken = server.rest.strip_prefix("http://").unwrap();
    check_failure(
        &run(folder.path(), &["--listen", taken, "--admin-listen", &admin, "--data-dir", "other"]).await,
        &format!("cannot listen on {taken} (listen): Address already in use"),
    );
    assert!(server.process.stop(PATIENCE).await.unwrap().success());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let folder = temp_dir().unwrap();
    let server = Server::new(folder.path(), "standalone", &["--drain-delay", "1h", "--log-format", "json"]);
    server.start().await;
    server.process.signal("TERM").unwrap();
    server.not_ready_because("process: it is stopping").await;
    assert_eq!(server.admin.get("/livez").await.unwrap().status, 200);
    // Clients are still served until the load balancers have noticed.
    assert_eq!(Rest::new(&server.rest, "").get("/health").await.unwrap().status, 200);
    server.process.signal("INT").unwrap();
    assert_eq!(server.process.ended(PATIENCE).await.unwrap().code(), Some(130));
    let log = server.log();
    assert!(log.lines().any(|line| line.starts_with('{') && line.contains("\"signal\":\"SIGINT\"")), "{log}");
}

#[tokio::test]
async fn what_cannot_be_reached_is_one_line() {
    let folder = temp_dir().unwrap();
    let database = format!("postgres://bell:hunter2@127.0.0.1:{}/carillon", free_port().unwrap());
    let nobody = format!("nats://127.0.0.1:{}", free_port().unwrap());
    let migrate = run(folder.path(), &["migrate", "--database-url", &database]).await;
    check_failure(&migrate, "migrating the database: cannot connect to PostgreSQL at 127.0.0.1:");
    let listen = ["--grpc-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let urls = ["--database-url", &database, "--nats-url", &nobody];
    let dispatcher = run(folder.path(), &[&["dispatcher"], &listen[..], &urls].concat()).await;
    check_failure(&dispatcher, "opening the store: cannot connect to PostgreSQL at 127.0.0.1:");
    assert!(!stderr(&dispatcher).contains("hunter2"));
}

/// P7: a gateway and a dispatcher start in any order, also without broker and presence.
#[tokio::test]
async fn p7_the_roles_of_a_cluster_wait_for_each_other() {
    let folder = temp_dir().unwrap();
    let postgres = servers::shared_postgres().await.unwrap();
    let database = postgres.create_database().await.unwrap();
    let nats = format!("nats://127.0.0.1:{}", free_port().unwrap());
    let redis = format!("redis://127.0.0.1:{}", free_port().unwrap());

    let dispatcher =
        Server::new(folder.path(), "dispatcher", &["--database-url", &database, "--nats-url", &nats]);
    let gateway = Server::new(
        folder.path(),
        "gateway",
        &[
            "--dispatcher-url",
            &dispatcher.rest,
            "--nats-url",
            &nats,
            "--redis-url",
            &redis,
            "--jwt-secret",
            SECRET,
        ],
    );
    let unready = async || gateway.admin.get("/readyz").await.is_ok_and(|answer| answer.status == 503);
    gateway.process.start(PATIENCE, unready).await.unwrap();
    gateway.not_ready_because("dispatcher: none is connected").await;

    let listen = ["--grpc-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let urls = ["--database-url", &database, "--nats-url", &nats];
    let early = run(folder.path(), &[&["dispatcher"], &listen[..], &urls].concat()).await;
    check_failure(&early, "run `carillon migrate`");
    let migrate = run(folder.path(), &["migrate", "--database-url", &database]).await;
    assert!(stdout(&migrate).starts_with("applied 0001_"), "{}{}", stdout(&migrate), stderr(&migrate));
    let again = stdout(&run(folder.path(), &["migrate", "--database-url", &database]).await);
    assert!(again.lines().count() == 1 && again.starts_with("the schema has version "), "{again}");

    dispatcher.start().await;
    eventually("the gateway to be ready", PATIENCE, async || {
        gateway.admin.get("/readyz").await.ok().filter(|answer| answer.status == 200)
    })
    .await;
    let token = stdout(&run(folder.path(), &["token", "--user", "ana", "--jwt-secret", SECRET]).await);
    let room = Rest::new(&gateway.rest, token.trim()).create_group("Ringers", &[]).await.unwrap();
    let client = Client::connect(&gateway.rest, token.trim(), Encoding::Protobuf).await.unwrap();
    client.send(&room, "hi").await.unwrap();

    // The dispatcher lets go of its gateway, and the gateway of its client.
    assert!(dispatcher.process.stop(PATIENCE).await.unwrap().success(), "{}", dispatcher.log());
    gateway.not_ready_because("dispatcher: none is connected").await;
    assert!(gateway.process.stop(PATIENCE).await.unwrap().success(), "{}", gateway.log());
    assert_eq!(client.closed().await.close_code(), Some(CloseCode::Drain));
}
