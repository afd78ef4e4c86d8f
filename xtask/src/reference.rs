//! What the reference is worth, found out with the tools that others read it
//! with: the documents of a running server, for each vocabulary that ships, held
//! against linters, and the page looked at in a browser.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::{announce, cargo};

/// Findings that are let pass: a rule, where, and why.
const ACCEPTED: [(&str, &str, &str); 7] = [
    (
        "operation-2xx-response",
        "#/paths/~1v1~1ws/get/responses",
        "a handshake that succeeds is answered with 101",
    ),
    ("no-path-trailing-slash", "#/paths/~1socket.io~1", "clients of Socket.IO ask for it so"),
    ("operation-4xx-response", "#/paths/~1health/get/responses", "it takes nothing that could be wrong"),
    (
        "operation-4xx-response",
        "#/paths/~1openapi.json/get/responses",
        "it takes nothing that could be wrong",
    ),
    (
        "operation-4xx-response",
        "#/paths/~1asyncapi.json/get/responses",
        "it takes nothing that could be wrong",
    ),
    ("operation-4xx-response", "#/paths/~1docs/get/responses", "it takes nothing that could be wrong"),
    (
        "operation-4xx-response",
        "#/paths/~1docs~1client.proto/get/responses",
        "it takes nothing that could be wrong",
    ),
];

/// A server that has just started answers after this at the latest.
const PATIENCE: Duration = Duration::from_secs(30);

/// What has been found wrong; nothing, if nothing is.
type Findings = Vec<String>;

/// Runs all checks, and answers whether all passed.
pub fn run() -> anyhow::Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the repository")?;
    let folder = root.join("target/reference-check");
    let checks = Checks { tools: install(&root.join("xtask/reference"), &folder)?, folder };
    announce("cargo build --package carillon");
    let status = cargo(&["build", "--package", "carillon"]).stdin(Stdio::null()).status()?;
    ensure!(status.success(), "carillon does not build");
    let program = root.join("target/debug/carillon");
    let mut failed = 0;
    for name in vocabularies(&root.join("gateway/vocabularies"))? {
        announce(&format!("the vocabulary {name}"));
        let documents = checks.folder.join("documents");
        let server = Server::start(&program, &checks.folder.join("data"), &name)?;
        failed += told("the page in a browser", &checks.page(&server, &documents, &name)?);
        drop(server);
        let of = |kind: &str| documents.join(format!("{kind}-{name}.json"));
        failed += told("OpenAPI: redocly", &checks.redocly(&of("openapi"), true)?);
        for kind in ["asyncapi", "vocabulary"] {
            failed += told(&format!("AsyncAPI, {kind}: redocly"), &checks.redocly(&of(kind), false)?);
            failed += told(&format!("AsyncAPI, {kind}: spectral"), &checks.spectral(&of(kind))?);
        }
    }
    println!(
        "\n{failed} findings; documents and pictures are in {}",
        checks.folder.join("documents").display()
    );
    Ok(failed == 0)
}

fn told(what: &str, findings: &Findings) -> usize {
    println!("  {}  {what}", if findings.is_empty() { "passed" } else { "FAILED" });
    for finding in findings {
        println!("      {finding}");
    }
    findings.len()
}

/// Installs the tools, in the versions of the lock file, and answers where they are.
fn install(checks: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let tools = folder.join("tools");
    let files = ["package.json", "package-lock.json"];
    let wanted = files.iter().map(|file| read(&checks.join(file))).collect::<Result<String, _>>()?;
    // Written last: half an installation is none.
    let stamp = tools.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        copy(checks, &tools, &["redocly.yaml", "spectral.yaml", "page.mjs"])?;
        return Ok(tools);
    }
    announce(&format!("installing the tools of xtask/reference/ into {}", tools.display()));
    if tools.exists() {
        fs::remove_dir_all(&tools).with_context(|| format!("empty {}", tools.display()))?;
    }
    fs::create_dir_all(&tools).with_context(|| format!("make {}", tools.display()))?;
    copy(
        checks,
        &tools,
        &["package.json", "package-lock.json", "redocly.yaml", "spectral.yaml", "page.mjs"],
    )?;
    // Nothing that a package brings runs before it is asked for.
    let args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    let status = Command::new("npm").args(args).current_dir(&tools).stdin(Stdio::null()).status();
    let status = status.context("run npm: this needs Node.js 20 or newer")?;
    ensure!(status.success(), "npm ended with {status}");
    fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))?;
    Ok(tools)
}

fn copy(from: &Path, to: &Path, files: &[&str]) -> anyhow::Result<()> {
    for file in files {
        fs::copy(from.join(file), to.join(file)).with_context(|| format!("copy {file}"))?;
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("read {}", file.display()))
}

/// The names of those that ship.
fn vocabularies(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("look into {}", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    let named = |path: &PathBuf| Some(path.file_stem()?.to_string_lossy().into_owned());
    let mut names: Vec<String> = paths.iter().filter_map(named).collect();
    names.sort();
    ensure!(!names.is_empty(), "{} is empty", folder.display());
    Ok(names)
}

/// A server of our own, killed on drop.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(program: &Path, data: &Path, vocabulary: &str) -> anyhow::Result<Self> {
        if data.exists() {
            fs::remove_dir_all(data).with_context(|| format!("empty {}", data.display()))?;
        }
        let (listen, admin) = (free_address()?, free_address()?);
        let mut command = Command::new(program);
        command.args([
            "standalone",
            "--vocabulary",
            vocabulary,
            "--listen",
            &listen,
            "--admin-listen",
            &admin,
        ]);
        command.arg("--data-dir").arg(data);
        if vocabulary == "lobby" {
            command.args(["--guests", "true"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().with_context(|| format!("run {}", program.display()))?;
        let mut server = Self { process, url: format!("http://{listen}") };
        let begin = Instant::now();
        while std::net::TcpStream::connect(&listen).is_err() {
            if let Some(status) = server.process.try_wait()? {
                bail!("{} ended with {status}", program.display());
            }
            ensure!(begin.elapsed() < PATIENCE, "{} does not listen", program.display());
            std::thread::yield_now();
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_address() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr()?.to_string())
}

struct Checks {
    folder: PathBuf,
    tools: PathBuf,
}

impl Checks {
    fn node(&self, script: &str) -> Command {
        let mut command = Command::new("node");
        command.arg(script).current_dir(&self.tools).stdin(Stdio::null());
        command.env("REDOCLY_TELEMETRY", "off").env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
        command
    }

    /// Takes the documents, too.
    fn page(&self, server: &Server, documents: &Path, name: &str) -> anyhow::Result<Findings> {
        let browser = browser().context("the page is looked at in chromium: apt-get install chromium")?;
        let output = self.node("page.mjs").arg(&server.url).arg(browser).arg(documents).arg(name).output()?;
        ensure!(output.status.success(), "page.mjs: {}", text(&output.stderr));
        Ok(lines(&output))
    }

    fn redocly(&self, document: &Path, accept: bool) -> anyhow::Result<Findings> {
        let mut redocly = self.node("node_modules/@redocly/cli/bin/cli.js");
        let output =
            redocly.args(["lint", "--config", "redocly.yaml", "--format", "json"]).arg(document).output()?;
        let report: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("redocly's report: {}", text(&output.stderr)))?;
        let problems = report["problems"].as_array().context("redocly's problems")?;
        let mut unused = if accept { ACCEPTED.to_vec() } else { Vec::new() };
        let mut findings = Findings::new();
        for problem in problems {
            let rule = problem["ruleId"].as_str().unwrap_or_default();
            let place = problem["location"][0]["pointer"].as_str().unwrap_or_default();
            match unused.iter().position(|(known, at, _)| *known == rule && *at == place) {
                Some(found) => drop(unused.remove(found)),
                None => {
                    findings.push(format!("{rule}: {} at {place}", problem["message"].as_str().unwrap_or("")))
                }
            }
        }
        findings.extend(
            unused.iter().map(|(rule, at, why)| format!("{rule} is let pass at {at} ({why}), for nothing")),
        );
        Ok(findings)
    }

    fn spectral(&self, document: &Path) -> anyhow::Result<Findings> {
        let mut spectral = self.node("node_modules/@stoplight/spectral-cli/dist/index.js");
        spectral.args([
            "lint",
            "--ruleset",
            "spectral.yaml",
            "--fail-severity",
            "hint",
            "--format",
            "json",
            "--quiet",
        ]);
        let output = spectral.arg(document).output()?;
        let report: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("spectral's report: {}", text(&output.stderr)))?;
        let problems = report.as_array().context("spectral's problems")?.iter();
        Ok(problems
            .map(|problem| format!("{}: {} at {}", problem["code"], problem["message"], problem["path"]))
            .collect())
    }
}

/// The first of these that is installed.
fn browser() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = |folder: PathBuf| names.iter().map(move |name| folder.join(name)).find(|path| path.is_file());
    std::env::split_paths(&folders).find_map(found)
}

fn lines(output: &Output) -> Findings {
    text(&output.stdout).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
