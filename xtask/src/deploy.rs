//! What `deploy/` is worth, found out with the tools that others judge it by:
//! the chart rendered by Helm 3 and Helm 4, and everything that comes out held
//! against schemas, policies and the chart's own promises.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::announce;

mod policies;
mod program;
mod promises;
mod release;
mod tools;

use program::Program;
use release::Release;
use tools::Tools;

/// What the chart is held against: the oldest version that it takes, and the
/// newest that the schemas know.
const KUBERNETES: [&str; 2] = ["1.27.0", "1.37.0"];

/// What a check has found wrong; nothing, if it passed.
type Findings = Vec<String>;

/// Runs all checks, and answers whether all passed.
pub fn run() -> anyhow::Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the repository")?;
    let checks = Checks {
        deploy: root.join("deploy"),
        tools: Tools::install(&root.join("deploy/checks"), &root.join("target/deploy-check"))?,
    };
    let mut summary = Summary::default();
    let chart = checks.chart();
    let cases = files(&chart.join("ci"))?;
    let refused = files(&checks.deploy.join("checks/refused"))?;

    summary.add("helm lint --strict, every set of values", || checks.lint(&cases))?;
    let rendered = checks.render("rendered", &cases)?;
    let releases = release::load(&rendered)?;
    summary.add("Helm 4 and Helm 3 render every set of values, and the same", || Ok(same(&releases)))?;
    summary.add("what is wrong with values is refused", || checks.refusals(&refused))?;
    for version in KUBERNETES {
        summary.add(&format!("kubernetes-validate --strict, Kubernetes {version}"), || {
            checks.schemas(&rendered, version)
        })?;
    }
    summary.add("custom resources against the models of their definitions", || checks.models(&rendered))?;
    summary.add("checkov, but for deploy/checks/accepted.toml", || checks.policies(&rendered))?;
    let rendered = || releases.iter().filter_map(|(_, release)| release.as_ref().ok());
    summary.add("what the chart promises", || Ok(rendered().flat_map(promises::broken).collect()))?;
    summary.add("the program takes the settings that it is given", || {
        let program = Program::build(&root.join("target"), checks.tools.folder())?;
        let refusals =
            rendered().map(|release| program.refusals(release)).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(refusals.concat())
    })?;
    summary.add("values.schema.json is a schema", || checks.schema_of_values())?;
    summary.add("hadolint", || checks.container_file())?;
    summary.add("compose schema", || checks.compose_file())?;

    Ok(summary.print(cases.len(), refused.len()))
}

/// Which checks there were, and how they went.
#[derive(Default)]
struct Summary {
    lines: Vec<(String, usize)>,
}

impl Summary {
    fn add(&mut self, name: &str, check: impl FnOnce() -> anyhow::Result<Findings>) -> anyhow::Result<()> {
        announce(name);
        let begin = Instant::now();
        let findings = check().with_context(|| name.to_owned())?;
        for finding in &findings {
            println!("    {}", finding.trim_end().replace('\n', "\n    "));
        }
        let how = if findings.is_empty() { "passed" } else { "FAILED" };
        println!("    {how}, {:.1} s", begin.elapsed().as_secs_f64());
        self.lines.push((name.to_owned(), findings.len()));
        Ok(())
    }

    /// Whether everything passed.
    fn print(&self, cases: usize, refused: usize) -> bool {
        println!("\n{cases} sets of values to render, {refused} to refuse\n");
        for (name, findings) in &self.lines {
            match findings {
                0 => println!("  passed  {name}"),
                n => println!("  FAILED  {name}: {n}"),
            }
        }
        let failed = self.lines.iter().filter(|(_, findings)| *findings > 0).count();
        println!("\n{} passed, {failed} failed", self.lines.len() - failed);
        failed == 0
    }
}

struct Checks {
    deploy: PathBuf,
    tools: Tools,
}

impl Checks {
    fn chart(&self) -> PathBuf {
        self.deploy.join("helm/carillon")
    }

    fn lint(&self, cases: &[PathBuf]) -> anyhow::Result<Findings> {
        let mut findings = Findings::new();
        for case in cases {
            let mut helm = Command::new(self.tools.helm3());
            helm.args(["lint", "--strict"]).arg(self.chart()).arg("--values").arg(case);
            let output = run_to_end(&mut helm)?;
            if !output.status.success() {
                findings.push(format!("{}: {}", stem(case), text(&output.stdout)));
            }
        }
        Ok(findings)
    }

    /// Renders the chart with each of these files, and answers the folder with
    /// what came out.
    fn render(&self, name: &str, values: &[PathBuf]) -> anyhow::Result<PathBuf> {
        ensure!(!values.is_empty(), "there are no values to render");
        let out = self.tools.folder().join(name);
        if out.exists() {
            fs::remove_dir_all(&out).with_context(|| format!("empty {}", out.display()))?;
        }
        let mut render = self.tools.python("render.py");
        render.arg(self.chart()).arg(self.tools.helm3()).arg(KUBERNETES[0]).arg(&out).args(values);
        let output = run_to_end(&mut render)?;
        ensure!(output.status.success(), "render.py: {}", text(&output.stderr));
        Ok(out)
    }

    /// Each file says in its first line what it has to be refused with.
    fn refusals(&self, refused: &[PathBuf]) -> anyhow::Result<Findings> {
        let rendered = self.render("refused", refused)?;
        let mut findings = Findings::new();
        for file in refused {
            let name = stem(file);
            let first = read(file)?.lines().next().unwrap_or_default().to_owned();
            let reason =
                first.strip_prefix("# says: ").with_context(|| format!("{name} does not say why"))?;
            let result: Value = serde_json::from_str(&read(&rendered.join(format!("{name}.json")))?)?;
            for helm in ["helm4", "helm3"] {
                match result["errors"][helm].as_str() {
                    Some(error) if error.contains(reason) => {}
                    Some(error) => findings.push(format!("{name}: {helm} says nothing of {reason}: {error}")),
                    None => findings.push(format!("{name}: {helm} takes it")),
                }
            }
        }
        Ok(findings)
    }

    fn schemas(&self, rendered: &Path, version: &str) -> anyhow::Result<Findings> {
        let manifests = files(&rendered.join("core"))?;
        let mut validate = Command::new(self.tools.in_python("kubernetes-validate"));
        validate.args(["--strict", "--quiet", "--kubernetes-version", version]).args(manifests);
        let output = run_to_end(&mut validate)?;
        // A kind that it does not know is only a warning to it.
        Ok(lines_of(&output))
    }

    fn models(&self, rendered: &Path) -> anyhow::Result<Findings> {
        let output = run_to_end(self.tools.node("models.mjs").args(files(rendered)?))?;
        println!("    looked at: {}", text(&output.stderr).trim());
        let findings: Findings = text(&output.stdout).lines().map(str::to_owned).collect();
        ensure!(output.status.success() || !findings.is_empty(), "models.mjs: {}", text(&output.stderr));
        Ok(findings)
    }

    fn policies(&self, rendered: &Path) -> anyhow::Result<Findings> {
        let mut checkov = Command::new(self.tools.in_python("checkov"));
        checkov.args(["--framework", "kubernetes", "--skip-download", "--compact", "--quiet"]);
        checkov.args(["--output", "json", "--directory"]).arg(rendered.join("core"));
        let output = run_to_end(&mut checkov)?;
        let report = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("checkov's report: {}", text(&output.stderr)))?;
        let accepted = policies::accepted(&read(&self.deploy.join("checks/accepted.toml"))?)?;
        let (findings, looked_at) = policies::judge(&report, &accepted)?;
        println!("    {looked_at}");
        Ok(findings)
    }

    fn schema_of_values(&self) -> anyhow::Result<Findings> {
        let mut check = Command::new(self.tools.in_python("check-jsonschema"));
        let output =
            run_to_end(check.arg("--check-metaschema").arg(self.chart().join("values.schema.json")))?;
        Ok(unless_passed(&output))
    }

    fn compose_file(&self) -> anyhow::Result<Findings> {
        let mut check = Command::new(self.tools.in_python("check-jsonschema"));
        check.args(["--builtin-schema", "vendor.compose-spec"]);
        let output = run_to_end(check.arg(self.deploy.join("compose/compose.yaml")))?;
        Ok(unless_passed(&output))
    }

    fn container_file(&self) -> anyhow::Result<Findings> {
        let mut hadolint = Command::new(self.tools.in_python("hadolint"));
        hadolint.arg("--config").arg(self.deploy.join("checks/hadolint.yaml"));
        let output = run_to_end(hadolint.arg(self.deploy.join("container/Containerfile")))?;
        Ok(unless_passed(&output))
    }
}

/// Every release that did not come out of both Helms alike.
fn same(releases: &[(String, anyhow::Result<Release>)]) -> Findings {
    let mut findings = Findings::new();
    for (name, release) in releases {
        match release {
            Err(error) => findings.push(format!("{name}: {error:#}")),
            Ok(release) => findings.extend(release.differences()),
        }
    }
    findings
}

/// A program that ends in an error has to have said something else than that.
fn run_to_end(command: &mut Command) -> anyhow::Result<Output> {
    let program = command.get_program().to_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("run {}", program.display()))?;
    if output.status.code().is_none() {
        bail!("{} died: {}", program.display(), output.status);
    }
    Ok(output)
}

/// All that a program said, if it was not silent.
fn lines_of(output: &Output) -> Findings {
    let mut lines: BTreeSet<String> = [&output.stdout, &output.stderr]
        .iter()
        .flat_map(|out| text(out).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    lines.retain(|line| !line.trim().is_empty());
    if lines.is_empty() && !output.status.success() {
        lines.insert(format!("ended with {}", output.status));
    }
    lines.into_iter().collect()
}

fn unless_passed(output: &Output) -> Findings {
    if output.status.success() { Findings::new() } else { lines_of(output) }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn read(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("read {}", file.display()))
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The files in a folder, in the order of their names.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("look into {}", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    let mut files: Vec<_> = paths.into_iter().filter(|path| path.is_file()).collect();
    files.sort();
    ensure!(!files.is_empty(), "{} is empty", folder.display());
    Ok(files)
}
