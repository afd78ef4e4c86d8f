//! What operators lean on is what the program does: the metrics it exports are
//! those of docs/operations.md, rules and dashboards ask for nothing else, every
//! alert says what to do, and the pages name settings that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use proto::{CloseCode, ErrorCode};
use serde_json::Value;
use testkit::cluster::binary;
use testkit::try_eventually;

const PATIENCE: Duration = Duration::from_secs(30);
const PROGRAM: &str = env!("CARGO_BIN_EXE_carillon");

/// Not exported by a healthy process that stands alone.
const RARE: [&str; 5] = [
    "carillon_presence_call_seconds",
    "carillon_presence_errors_total",
    "carillon_presence_leases_total",
    "carillon_presence_link_up",
    "carillon_presence_reconnects_total",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files below a folder with this ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    let found = paths.flat_map(|path| match path.is_dir() {
        true => files(&path, ending),
        false => vec![path],
    });
    let mut found: Vec<_> = found.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    found.sort();
    found
}

// ---- metrics -----------------------------------------------------------------

#[derive(Debug, Default, PartialEq, Eq)]
struct Metric {
    kind: String,
    labels: BTreeSet<String>,
}

type Metrics = BTreeMap<String, Metric>;

/// The tables of docs/operations.md.
fn documented() -> Metrics {
    let page = read("docs/operations.md");
    let rows = page.lines().filter(|line| line.starts_with("| `carillon_"));
    let metrics = rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let labels = cells[2].split(',').map(|label| label.trim().trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        (cells[0].trim_matches('`').to_owned(), Metric { kind: cells[1].to_owned(), labels })
    });
    metrics.collect()
}

/// What `/metrics` says.
fn exported(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            metrics.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if let Some((series, labels)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            let name = family(series, &metrics);
            let labels = without_strings(labels.split('}').next().unwrap_or_default());
            let labels = labels.split(',').map(|label| label.trim_matches('=').to_owned());
            let labels = labels.filter(|label| label != "le");
            metrics.entry(name).or_default().labels.extend(labels);
        }
    }
    metrics.retain(|name, _| name.starts_with("carillon_"));
    metrics
}

/// The metric of a series: histograms have three for each.
fn family(series: &str, known: &Metrics) -> String {
    let parts = ["_bucket", "_sum", "_count"].into_iter().filter_map(|part| series.strip_suffix(part));
    let histogram = parts.into_iter().find(|name| known.get(*name).is_some_and(|m| m.kind == "histogram"));
    histogram.unwrap_or(series).to_owned()
}

/// Without what stands between quotes, and the quotes.
fn without_strings(text: &str) -> String {
    text.split('"').step_by(2).collect()
}

/// Every name of a metric in the sources, tests aside.
fn in_sources() -> BTreeSet<String> {
    let folders = ["src", "gateway/src", "dispatcher/src", "bus/src"];
    let sources = folders.iter().flat_map(|folder| files(&root().join(folder), ".rs"));
    let strings = sources.flat_map(|file| {
        let source = std::fs::read_to_string(file).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        source.split('"').map(str::to_owned).collect::<Vec<_>>()
    });
    let is_name = |text: &String| {
        text.starts_with("carillon_") && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    strings.filter(is_name).collect()
}

/// The metrics of a process that has talked a little.
async fn of_a_busy_process() -> String {
    let system = binary(PROGRAM).standalone(&[]).await.unwrap();
    let room = system.rest(0, "ana").create_group("Ringers", &["ben"]).await.unwrap();
    let (ana, ben) = (system.client(0, "ana").await.unwrap(), system.client(0, "ben").await.unwrap());
    ben.join(&room).await.unwrap();
    ana.send(&room, "hi").await.unwrap();
    ben.read(&room, 0).await.unwrap();
    let no_websocket = system.rest(0, "ana").get("/v1/ws").await.unwrap();
    assert_eq!(no_websocket.status, 400);
    ana.close().await;
    // Heads are announced within a second.
    let mut seen = String::new();
    let complete = try_eventually("every metric", PATIENCE, async || {
        let answer = system.gateway(0).admin().get("/metrics").await.ok()?;
        seen = answer.body.as_str()?.to_owned();
        let exported = exported(&seen);
        let is_there = |name: &String| RARE.contains(&name.as_str()) || exported.contains_key(name);
        documented().keys().all(is_there).then_some(())
    });
    assert!(complete.await.is_ok(), "not all that is documented is exported:\n{seen}");
    seen
}

#[tokio::test]
async fn metrics_are_exported_as_the_page_lists_them() {
    let documented = documented();
    let sources = in_sources();
    assert_eq!(documented.keys().cloned().collect::<BTreeSet<_>>(), sources, "the page against the sources");
    let text = of_a_busy_process().await;
    for (name, metric) in exported(&text) {
        assert_eq!(documented.get(&name), Some(&metric), "{name}: the page against what is exported");
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help");
    }
    let page = read("docs/operations.md");
    for line in text.lines().filter(|line| line.starts_with("# TYPE process_")) {
        let name = line.split(' ').nth(2).unwrap();
        assert!(page.contains(&format!("`{name}`")), "{name} is not on the page");
    }
}

// ---- rules and dashboards ----------------------------------------------------

#[derive(Debug, Default)]
struct Rule {
    /// Of an alert.
    alert: Option<String>,
    /// Of a recording rule.
    record: Option<String>,
    expr: String,
    /// `severity`, `summary`, `description`, `runbook_url`.
    fields: BTreeMap<String, String>,
}

/// Reads deploy/prometheus/rules.yml, which is as simple as YAML can be.
fn rules() -> Vec<Rule> {
    let text = read("deploy/prometheus/rules.yml");
    let mut rules: Vec<Rule> = Vec::new();
    let mut in_expr = false;
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let indent = line.len() - line.trim_start().len();
        if in_expr && indent > 8 {
            let rule = rules.last_mut().expect("an expression is a rule's");
            rule.expr.push_str(line.trim_start());
            rule.expr.push('\n');
            continue;
        }
        in_expr = false;
        let Some((key, value)) = line.trim_start_matches([' ', '-']).split_once(':') else { continue };
        let value = value.trim().trim_matches('"').to_owned();
        match key {
            "alert" => rules.push(Rule { alert: Some(value), ..Rule::default() }),
            "record" => rules.push(Rule { record: Some(value), ..Rule::default() }),
            "expr" if value == "|" => in_expr = true,
            "expr" => rules.last_mut().expect("an expression is a rule's").expr = value,
            "severity" | "summary" | "description" | "runbook_url" => {
                let rule = rules.last_mut().expect("a field is a rule's");
                rule.fields.insert(key.to_owned(), value);
            }
            _ => {}
        }
    }
    assert!(rules.len() > 20 && rules.iter().all(|rule| !rule.expr.is_empty()), "{rules:?}");
    rules
}

fn dashboards() -> Vec<(String, Value)> {
    let files = files(&root().join("deploy/grafana/dashboards"), ".json");
    let read = |file: PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        (name, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
    };
    files.into_iter().map(read).collect()
}

/// The queries of a dashboard's panels, with values for its variables.
fn panel_queries(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries = targets.map(|target| target["expr"].as_str().unwrap());
    let filled = queries
        .map(|query| query.replace("$__rate_interval", "5m").replace("$job", "a").replace("$instance", "b"));
    filled.collect()
}

/// Metrics in a query, each with the labels that it is selected by.
fn selected(query: &str) -> Vec<(String, Vec<String>)> {
    let query = without_strings(query);
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let mut rest = query.as_str();
    let mut found = Vec::new();
    while let Some(start) = rest.find(part_of_name) {
        let end = rest[start..].find(|c| !part_of_name(c)).map_or(rest.len(), |length| start + length);
        let (name, after) = (&rest[start..end], &rest[end..]);
        rest = after;
        if name.starts_with("carillon_") || name.starts_with("process_") || name.contains(':') {
            let labels = after.strip_prefix('{').and_then(|labels| labels.split_once('}'));
            let labels = labels.map_or("", |(labels, _)| labels).split(',');
            let labels = labels.map(|label| label.trim().trim_end_matches(['=', '~', '!']).to_owned());
            found.push((name.to_owned(), labels.filter(|label| !label.is_empty()).collect()));
        }
    }
    found
}

#[test]
fn rules_and_dashboards_ask_for_metrics_that_exist() {
    let metrics = documented();
    let page = read("docs/operations.md");
    let rules = rules();
    let recorded: BTreeSet<_> = rules.iter().filter_map(|rule| rule.record.clone()).collect();
    let mut queries: Vec<_> = rules.iter().map(|rule| ("rules.yml".to_owned(), rule.expr.clone())).collect();
    for (name, dashboard) in dashboards() {
        queries.extend(panel_queries(&dashboard).into_iter().map(|query| (name.clone(), query)));
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let asked = variables.iter().filter_map(|variable| variable["definition"].as_str());
        queries.extend(asked.map(|query| (name.clone(), query.to_owned())));
    }
    for (place, query) in queries {
        let selected = selected(&query);
        assert!(
            !selected.is_empty() || query.contains("up{") || query.contains("ALERTS"),
            "{place}: {query}"
        );
        for (series, labels) in selected {
            let known = metrics.get(&family(&series, &metrics));
            let other = recorded.contains(&series) || page.contains(&format!("`{series}`"));
            assert!(known.is_some() || other, "{place} asks for {series}, which nobody exports: {query}");
            for label in labels {
                let always = ["job", "instance", "le"].contains(&label.as_str());
                let has = known.is_some_and(|metric| metric.labels.contains(&label));
                assert!(always || has, "{place}: {series} has no label {label}: {query}");
            }
        }
    }
}

#[test]
fn dashboards_are_whole() {
    let dashboards = dashboards();
    let uids: BTreeSet<_> = dashboards.iter().map(|(_, dashboard)| dashboard["uid"].to_string()).collect();
    assert_eq!((dashboards.len(), uids.len()), (4, 4));
    for (name, dashboard) in &dashboards {
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let variables: Vec<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
        assert_eq!(variables, ["datasource", "job", "instance"], "{name}");
        let mut ids = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = &panel["title"];
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {title} has another one's id");
            if panel["type"] == "row" {
                continue;
            }
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name}: {title}");
            let unit = [&panel["fieldConfig"]["defaults"]["unit"], &panel["options"]["yAxis"]["unit"]];
            assert!(unit.iter().any(|unit| unit.is_string()), "{name}: {title} has no unit");
            assert!(
                panel["targets"].as_array().is_some_and(|targets| !targets.is_empty()),
                "{name}: {title}"
            );
        }
        assert!(panel_queries(dashboard).iter().all(|query| !query.contains('$')), "{name}: a variable");
    }
}

#[test]
fn every_alert_says_what_to_do_and_is_tried() {
    let page = read("docs/operations.md");
    let tried = read("deploy/prometheus/rules_test.yml");
    let rules = rules();
    let alerts: Vec<_> =
        rules.iter().filter_map(|rule| Some((rule.alert.as_deref()?, &rule.fields))).collect();
    for (name, fields) in &alerts {
        let field = |key: &str| fields.get(key).unwrap_or_else(|| panic!("{name} has no {key}")).as_str();
        assert!(!field("summary").is_empty() && !field("description").is_empty(), "{name}");
        assert_eq!(field("runbook_url"), format!("docs/operations.md#{}", name.to_lowercase()));
        let severity = field("severity");
        assert!(["critical", "warning"].contains(&severity), "{name} is {severity}");
        let section = format!("\n### {name}\n\n{severity}. ");
        assert!(page.contains(&section), "{name} has no section that begins with its severity");
        let fires = format!("alertname=\"{name}\", alertstate=\"firing\", severity=\"{severity}\"");
        assert!(tried.contains(&fires), "no test has {name} fire");
    }
    let sections = page.lines().filter_map(|line| line.strip_prefix("### Carillon")).count();
    assert_eq!(sections, alerts.len(), "a section of an alert that is not there");
}

// ---- settings ----------------------------------------------------------------

/// Every setting of a server with its default, as `check-config` prints them.
fn settings() -> BTreeMap<String, String> {
    let gateway = "gateway --jwt-secret 0123456789abcdef0123456789abcdef --dispatcher-url http://a:1 \
                   --nats-url nats://a --redis-url redis://a";
    let dispatcher = "dispatcher --nats-url nats://a --database-url postgres://a";
    let folder = tempfile::tempdir().unwrap();
    let mut settings = BTreeMap::new();
    for arguments in ["standalone", gateway, dispatcher] {
        let mut command = Command::new(PROGRAM);
        command.arg("check-config").args(arguments.split(' ').filter(|word| !word.is_empty()));
        let surroundings =
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARILLON_"));
        for (name, _) in surroundings {
            command.env_remove(name);
        }
        let output = command.current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            if let Some((name, value)) = line.split_once(" = ") {
                let value = value.split(" #").next().unwrap_or_default().trim().trim_matches('"');
                settings.insert(name.to_owned(), value.to_owned());
            } else if let Some(name) = line.strip_suffix(" is not set") {
                settings.entry(name.trim_start_matches("# ").to_owned()).or_default();
            }
        }
    }
    settings
}

/// Words in code style that look like a setting and are something else.
const NO_SETTINGS: [&str; 6] = [
    "fan_out",
    "max_payload",
    "pg_basebackup",
    "synchronous_commit",
    "synchronous_standby_names",
    "runbook_url",
];

#[test]
fn pages_name_settings_that_exist() {
    let settings = settings();
    let metrics = documented();
    let is_code = |word: &str| {
        ErrorCode::from_name(word).is_some() || CloseCode::ALL.iter().any(|code| code.name() == word)
    };
    let is_word = |word: &str| {
        word.contains('_') && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    for name in ["README.md", "docs/protocol.md", "docs/operations.md"] {
        let page = read(name);
        for word in page.split('`').skip(1).step_by(2).filter(|word| is_word(word)) {
            let metric = metrics.contains_key(word) || word.starts_with("process_");
            let other = metric || is_code(word) || NO_SETTINGS.contains(&word);
            // A PostgreSQL setting of the same name as ours is ours too, which does no harm.
            assert!(other || settings.contains_key(word), "{name}: `{word}` is no setting");
        }
        let variables = page.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        for variable in variables.filter_map(|word| word.strip_prefix("CARILLON_")) {
            let known = settings.contains_key(&variable.to_lowercase()) || ["", "CONFIG"].contains(&variable);
            assert!(known, "{name}: CARILLON_{variable} is no setting");
        }
    }
    let page = read("docs/operations.md");
    for row in page.lines().filter(|line| line.starts_with("| `") && !line.starts_with("| `carillon_")) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let names: Vec<_> = cells[0].split(", ").map(|name| name.trim_matches('`')).collect();
        let defaults: Vec<_> = cells[1].split(", ").collect();
        for (name, default) in names.iter().zip(&defaults).filter(|_| names.len() == defaults.len()) {
            if let Some(right) =
                settings.get(*name).filter(|_| default.starts_with(|c: char| c.is_ascii_digit()))
            {
                assert_eq!(default, right, "the default of {name}");
            }
        }
    }
}

// ---- promtool ----------------------------------------------------------------

/// Runs promtool beside the rules; `false`: it is not installed.
fn promtool(arguments: &[&str], input: &str) -> bool {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(root().join("deploy/prometheus"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => return false,
        Err(error) => panic!("promtool: {error}"),
    };
    // It may have had enough before the end.
    let _ = child.stdin.take().expect("it has an input").write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {arguments:?}: {}", String::from_utf8_lossy(&said));
    true
}

/// Skipped, and said so, where promtool is not installed: the tests need Rust only.
#[tokio::test]
async fn promtool_finds_nothing_wrong() {
    if !promtool(&["check", "config", "prometheus.yml"], "") {
        return eprintln!("promtool is not installed (Debian: prometheus): rules and queries are not run");
    }
    promtool(&["check", "rules", "rules.yml"], "");
    promtool(&["test", "rules", "rules_test.yml"], "");
    promtool(&["check", "metrics"], &of_a_busy_process().await);

    // Queries of dashboards are rules as far as their grammar goes. JSON is YAML.
    let queries = dashboards().into_iter().flat_map(|(_, dashboard)| panel_queries(&dashboard));
    let rules: Vec<_> = queries
        .enumerate()
        .map(|(number, expr)| serde_json::json!({ "record": format!("panel:{number}"), "expr": expr }))
        .collect();
    let file = serde_json::json!({ "groups": [{ "name": "panels", "rules": rules }] });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("panels.yml");
    std::fs::write(&path, file.to_string()).unwrap();
    promtool(&["check", "rules", path.to_str().unwrap()], "");
}
