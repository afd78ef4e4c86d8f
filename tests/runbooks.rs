//! docs/operations.md can be followed: its blocks are run as they stand there,
//! with other paths and names, on real servers.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use proto::Encoding;
use testkit::client::Client;
use testkit::cluster::{ClusterOptions, System, binary};
use testkit::eventually;
use testkit::ports::free_port;
use testkit::process::{Process, temp_dir};

const PROGRAM: &str = env!("CARGO_BIN_EXE_carillon");
const PATIENCE: Duration = Duration::from_secs(60);

/// The only block of the page that holds this, with other words in it.
fn block(holds: &str, instead: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let blocks = page.split("\n```").skip(1).step_by(2);
    let found: Vec<_> = blocks.filter(|block| block.contains(holds)).collect();
    assert_eq!(found.len(), 1, "blocks with {holds:?}");
    let block = found[0].split_once('\n').map_or("", |(_, block)| block).to_owned();
    instead.iter().fold(block, |block, (word, other)| {
        assert!(block.contains(word), "{word:?} is not in\n{block}");
        block.replace(word, other)
    })
}

/// Runs a block as a shell would, the program on its path.
fn shell(block: &str, variables: &[(&str, &str)]) {
    let program = Path::new(PROGRAM).parent().expect("it is in a folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command.args(["-e", "-c", block]).env("PATH", path).envs(variables.iter().copied()).stdin(Stdio::null());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARILLON_")) {
        command.env_remove(name);
    }
    let output = command.output().expect("a shell");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{block}\n{}", String::from_utf8_lossy(&said));
}

/// The only file in a folder.
fn only_file(folder: &Path) -> PathBuf {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files: Vec<_> = entries.collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.into_iter().next().expect("one")
}

/// Ana's, in a room of her own: what was there before the backup, and after it.
struct Story {
    system: System,
    room: String,
    /// Behind the last message before the backup.
    kept: String,
    /// Behind one that the backup does not have.
    lost: String,
}

impl Story {
    async fn begin(system: System) -> Self {
        let room = system.rest(0, "ana").create_group("Ringers", &[]).await.expect("a room");
        let mut story = Self { system, room, kept: String::new(), lost: String::new() };
        story.kept = story.say("before").await;
        story
    }

    /// Sends, and answers with the cursor behind it.
    async fn say(&self, text: &str) -> String {
        let ana = self.ana().await;
        ana.join(&self.room).await.expect("a join");
        let sent = ana.send(&self.room, text).await.expect("a send");
        eventually("its delivery", PATIENCE, async || {
            let cursor = ana.cursor(&self.room);
            cursor.starts_with(&format!("{}-", sent.seq)).then_some(cursor)
        })
        .await
    }

    async fn ana(&self) -> Client {
        self.system.client(0, "ana").await.expect("a connection")
    }

    /// After it was restored: what was kept is there, what was not is known not to be.
    async fn assert_set_back(&self) {
        let ana = self.ana().await;
        let texts = ana.history(&self.room, 0, 10).await.expect("history").messages;
        let texts: Vec<_> = texts.into_iter().map(|message| message.text).collect();
        assert_eq!(texts, ["before"]);
        let joined = ana.join_since(&self.room, &self.kept).await.expect("a join");
        assert!(!joined.reset && joined.changes.is_empty(), "{joined:?}");
        // In the place of the message that was lost.
        ana.send(&self.room, "after").await.expect("a send");
        let other = self.ana().await;
        assert!(other.join_since(&self.room, &self.lost).await.expect("a join").reset);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_a_backup_of_sqlite_is_taken_while_it_runs_and_restored() {
    let folder = temp_dir().expect("a folder");
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    std::fs::create_dir(&backup).expect("a folder");
    let (data, backup_path) = (data.to_str().expect("UTF-8"), backup.to_str().expect("UTF-8"));
    let system = binary(PROGRAM).standalone(&[("CARILLON_DATA_DIR", data)]).await.expect("it runs");
    let mut story = Story::begin(system).await;
    let places = [("/var/lib/carillon", data), ("/backup", backup_path)];
    shell(&block("VACUUM INTO", &places), &[]);
    story.lost = story.say("lost").await;

    let copy = only_file(&backup);
    let copy = copy.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    let others = [
        ("/var/lib/carillon", data),
        ("/backup", backup_path),
        ("carillon-2026-01-31.db", copy),
        ("-o carillon -g carillon ", ""),
    ];
    let restore = block("install -o carillon", &others);
    let lines: Vec<_> = restore.lines().collect();
    let [stop, steps @ .., start] = &lines[..] else { panic!("{restore}") };
    assert_eq!((*stop, *start), ("systemctl stop carillon", "systemctl start carillon"));
    story.system.gateway(0).stop().await.expect("it stops");
    shell(&steps.join("\n"), &[]);
    let mode = std::fs::metadata(Path::new(data).join("carillon.db")).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    story.system.gateway(0).start().await.expect("it starts");
    story.assert_set_back().await;
}

fn psql(url: &str, statements: &str) -> String {
    let output = Command::new("psql")
        .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
        .args(statements.lines().filter(|line| !line.is_empty()).flat_map(|line| ["--command", line]))
        .args(["--dbname", url])
        .stdin(Stdio::null())
        .output()
        .expect("psql is installed");
    assert!(output.status.success(), "{statements}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The same server's database of this name, as this user.
fn database(url: &str, user: &str, name: &str) -> String {
    let host = url.split('@').nth(1).and_then(|rest| rest.split('/').next()).expect("a host");
    format!("postgres://{user}@{host}/{name}")
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_a_dump_of_postgresql_is_taken_while_it_runs_and_restored() {
    let folder = temp_dir().expect("a folder");
    let backup = folder.path().to_str().expect("UTF-8");
    let system = binary(PROGRAM).cluster(ClusterOptions { gateways: 1, ..Default::default() }).await;
    let mut story = Story::begin(system.expect("a cluster")).await;
    let url = story.system.database_url().to_owned();
    let name = url.rsplit('/').next().expect("a name").to_owned();
    if story.system.postgres().is_external() {
        return eprintln!("DATABASE_URL names a server: no roles are made on it");
    }
    psql(&url, "CREATE ROLE carillon_owner LOGIN\nCREATE ROLE carillon LOGIN\n");
    // The testkit's database belongs to its superuser; as in security.md, the owner has it.
    let give = format!("GRANT ALL ON DATABASE {name} TO carillon_owner");
    psql(&url, &give);
    let variables = [
        ("OWNER_URL", url.clone()),
        ("SUPERUSER_URL", database(&url, "postgres", "postgres")),
        ("RESTORED_OWNER_URL", database(&url, "carillon_owner", "carillon_restored")),
    ];
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    shell(&block("pg_dump --format", &[("/backup", backup)]), &variables);
    story.lost = story.say("lost").await;

    for node in story.system.gateways().iter().chain(story.system.dispatchers()) {
        node.stop().await.expect("it stops");
    }
    let copy = only_file(folder.path());
    let copy = copy.to_str().expect("UTF-8");
    shell(&block("pg_restore", &[("/backup/carillon-2026-01-31.dump", copy)]), &variables);
    let before = format!("DATABASE {name} RENAME TO {name}_before");
    let after = format!("RENAME TO {name};");
    let names =
        [("DATABASE carillon RENAME TO carillon_before", &before[..]), ("RENAME TO carillon;", &after)];
    shell(&block("ALTER DATABASE", &names), &variables);
    for node in story.system.dispatchers().iter().chain(story.system.gateways()) {
        node.start().await.expect("it starts");
    }
    story.assert_set_back().await;
}

/// A command of PostgreSQL's newest version, as the user that it runs as.
fn postgres_command(program: &str) -> Command {
    let folders = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folder = folders.map(|folder| folder.path().join("bin")).max();
    let program = folder.map_or(PathBuf::from(program), |folder| folder.join(program));
    if std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        return command;
    }
    Command::new(program)
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_an_answered_send_survives_the_loss_of_the_primary_behind_a_synchronous_standby() {
    let options = ClusterOptions { gateways: 2, ..Default::default() };
    let story = Story::begin(binary(PROGRAM).cluster(options).await.expect("a cluster")).await;
    let system = &story.system;
    if system.postgres().is_external() {
        return eprintln!("DATABASE_URL names a server: it is not killed");
    }
    let primary = database(system.database_url(), "postgres", "postgres");
    psql(&primary, &block("CREATE ROLE standby", &[]));

    let folder = temp_dir().expect("a folder");
    let data = folder.path().join("data");
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open).expect("a folder for everybody");
    let standby_url = format!("{}?application_name=standby", database(&primary, "standby", "postgres"));
    let data_text = data.to_str().expect("UTF-8").to_owned();
    let words = [("\"$STANDBY_URL\"", standby_url.as_str()), ("\"$STANDBY_DATA\"", &data_text)];
    let copy = block("pg_basebackup --dbname", &words);
    let mut words = copy.split_whitespace();
    let output = postgres_command(words.next().expect("a command")).args(words).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let port = free_port().expect("a port");
    let standby = Process::new("standby", folder.path().join("log"), "INT", move || {
        let mut command = postgres_command("postgres");
        command.arg("-D").arg(&data).args(["-p", &port.to_string(), "-c", "unix_socket_directories="]);
        command
    });
    let streams =
        async || psql(&primary, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == "1";
    standby.start(PATIENCE, streams).await.expect("it follows");
    psql(&primary, &block("SET synchronous_standby_names", &[]));
    eventually("synchronous commits", PATIENCE, async || {
        (psql(&primary, "SELECT sync_state FROM pg_stat_replication") == "sync").then_some(())
    })
    .await;

    // Until the primary is killed amid sends: what was answered, by seq.
    let ana = story.ana().await;
    let sends = async {
        let mut answered = Vec::new();
        for number in 0.. {
            let text = format!("message {number}");
            let send = ana.send(&story.room, &text);
            let sent = match number {
                200 => {
                    let (sent, killed) = tokio::join!(send, system.postgres().kill());
                    killed.expect("it is killed");
                    sent
                }
                _ => send.await,
            };
            match sent {
                Ok(sent) => answered.push((sent.seq, text)),
                Err(_) => break,
            }
        }
        answered
    };
    let answered = tokio::time::timeout(PATIENCE, sends).await.expect("an error in time");
    assert!(answered.len() >= 200);

    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
    assert_eq!(psql(&url, &block("pg_promote", &[])), "t");
    let name = system.database_url().rsplit('/').next().expect("a name");
    for node in system.dispatchers() {
        node.set("CARILLON_DATABASE_URL", &database(&url, "postgres", name));
        node.restart().await.expect("it starts");
    }
    let rest = system.rest(0, "ana");
    eventually("the room", PATIENCE, async || {
        rest.get(&format!("/v1/rooms/{}", story.room)).await.ok().filter(|answer| answer.status == 200)
    })
    .await;
    let ben = Client::connect(&system.gateway(1).url(), &system.token("ana"), Encoding::Json).await;
    let ben = ben.expect("a connection");
    let (mut stored, mut before) = (Vec::new(), 0);
    loop {
        let page = ben.history(&story.room, before, 100).await.expect("history");
        before = page.messages.first().map_or(0, |message| message.seq);
        stored.extend(page.messages.into_iter().map(|message| (message.seq, message.text)));
        if !page.more {
            break;
        }
    }
    for message in answered {
        assert_eq!(stored.iter().filter(|known| **known == message).count(), 1, "{message:?}");
    }
    ben.send(&story.room, "and on it goes").await.expect("a send");
}

#[test]
fn keys_are_made_as_the_page_says() {
    let folder = temp_dir().expect("a folder");
    let folder = folder.path().to_str().expect("UTF-8");
    shell(&format!("cd {folder}\n{}", block("openssl genpkey", &[])), &[]);
}
