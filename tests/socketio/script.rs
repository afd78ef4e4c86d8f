//! Runs a script with Node.js and the official client, both as they are.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testkit::cluster::SECRET;
use testkit::token::{TokenOptions, mint, now};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, Command};

/// Scripts end by themselves much sooner, each step for itself.
const HUNG: Duration = Duration::from_secs(120);
/// The origin whose pages may call.
pub const ORIGIN: &str = "https://app.example";
/// A line with which a script asks for something that only the test can do.
const REQUEST: &str = "please ";

/// A script, and whom it is to talk to.
pub struct Script<'a> {
    /// Its file, without the ending.
    pub name: &'a str,
    /// "polling", "websocket" or "upgrade".
    pub transport: &'a str,
    /// Gateways. Users of one script are on different ones.
    pub urls: [String; 2],
    /// Whether a REST request needs no token.
    pub guests: bool,
    /// Whether the gateways are two, and may be killed.
    pub cluster: bool,
}

impl Script<'_> {
    /// Runs it, and does what it asks for: "kill 0". An error shows what it has
    /// printed.
    pub async fn run(&self, act: impl AsyncFn(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let folder = installed()?;
        let mut child = Command::new("node")
            .arg(folder.join(format!("{}.mjs", self.name)))
            .env("CARILLON_GIVEN", self.given().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("start node")?;
        let stdin = child.stdin.take().context("the script's input")?;
        let stdout = child.stdout.take().context("the script's output")?;
        let mut stderr = BufReader::new(child.stderr.take().context("the script's errors")?);
        let mut said = String::new();
        let mut complaints = Vec::new();
        let ended = tokio::time::timeout(HUNG, async {
            let hear = listen(stdout, stdin, &mut said, &act);
            let complain = tokio::io::AsyncReadExt::read_to_end(&mut stderr, &mut complaints);
            let (heard, _) = tokio::join!(hear, complain);
            heard?;
            child.wait().await.context("wait for the script")
        });
        let ended = ended.await;
        let shown = format!("{}.mjs said:\n{said}{}", self.name, String::from_utf8_lossy(&complaints));
        let status = ended.with_context(|| format!("hangs. {shown}"))?.with_context(|| shown.clone())?;
        ensure!(status.success(), "{status}. {shown}");
        // Shown only with --nocapture.
        println!("{shown}");
        Ok(())
    }

    fn given(&self) -> Value {
        let tag = &uuid::Uuid::new_v4().simple().to_string()[..8];
        let users = ["ana", "ben", "cleo", "eve", "ida", "nora", "otto", "zoe"];
        let ids: serde_json::Map<_, _> =
            users.iter().map(|user| ((*user).to_owned(), json!(format!("{user}-{tag}")))).collect();
        let id = |user: &str| ids[user].as_str().unwrap_or_default().to_owned();
        let usual = |user: &str| mint(SECRET, &id(user), user, &TokenOptions::default());
        let expired = TokenOptions { expires_at: Some(now() - 3600), ..TokenOptions::default() };
        let mut tokens: serde_json::Map<_, _> =
            users.iter().map(|user| ((*user).to_owned(), json!(usual(user)))).collect();
        for (name, token) in [
            // Applications have called these claims otherwise.
            ("cleo", signed(&json!({ "userId": id("cleo"), "username": "cleo" }))),
            ("nora", signed(&json!({ "id": id("nora"), "username": "nora" }))),
            ("service", mint(SECRET, "service", "service", &TokenOptions::service())),
            (
                "forged",
                mint("another key, which is long enough too", &id("ana"), "ana", &TokenOptions::default()),
            ),
            ("expired", mint(SECRET, &id("ana"), "ana", &expired)),
        ] {
            tokens.insert(name.to_owned(), json!(token));
        }
        json!({
            "urls": self.urls,
            "transport": self.transport,
            "guests": self.guests,
            "cluster": self.cluster,
            "tag": tag,
            "origin": ORIGIN,
            "tokens": tokens,
            "ids": ids,
        })
    }
}

fn signed(claims: &Value) -> String {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};

    let mut claims = claims.clone();
    claims["exp"] = json!(now() + 3600);
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key).expect("JSON values can be signed")
}

async fn listen(
    stdout: tokio::process::ChildStdout,
    mut stdin: ChildStdin,
    said: &mut String,
    act: &impl AsyncFn(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await.context("read the script's output")? {
        if let Some(request) = line.strip_prefix(REQUEST) {
            act(request).await.with_context(|| format!("the script asks to {request}"))?;
            stdin.write_all(b"done\n").await.context("answer the script")?;
        }
        said.push_str(&line);
        said.push('\n');
    }
    Ok(())
}

/// The folder with the scripts and what they import: below target/, installed
/// once for all tests as the lock file says, and again when that has changed.
fn installed() -> anyhow::Result<&'static Path> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();

    let folder = FOLDER.get_or_init(|| install().map_err(|error| format!("{error:#}")));
    folder.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn install() -> anyhow::Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/socketio");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("socketio");
    testkit::npm::install(&source, &folder)?;
    Ok(folder)
}
