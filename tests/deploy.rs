//! What `deploy/` says is what the program does: its names of settings, its
//! versions, its copies of files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The only variable that is no setting.
const CONFIG: &str = "config";

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn chart() -> PathBuf {
    deploy().join("helm/carillon")
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// All files below a folder that are text.
fn texts(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut texts = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts.extend(self::texts(&path));
        } else if let Ok(text) = fs::read_to_string(&path) {
            texts.push((path, text));
        }
    }
    texts
}

/// Settings named by a text in the form of variables.
fn variables(text: &str) -> BTreeSet<String> {
    let name_of = |rest: &str| -> String {
        rest.chars().take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_').collect()
    };
    let names = text.split("CARILLON_").skip(1).map(name_of);
    // Without a name: text about variables, and templates that put one together.
    names.filter(|name| !name.is_empty()).map(|name| name.to_ascii_lowercase()).collect()
}

/// Every setting that a role has, set or not.
fn settings_of(role: &str) -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_carillon"))
        .args(["check-config", role])
        .current_dir(folder.path())
        .env_clear()
        .envs(CLUSTER.iter().copied().filter(|_| role != "standalone"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    let lines = table.lines().skip(1);
    let settings: BTreeSet<_> = lines
        .map(|line| line.trim_start_matches("# ").split(' ').next().unwrap_or_default().to_owned())
        .collect();
    assert!(settings.contains("log_level"), "not understood:\n{table}");
    settings
}

/// What a role of a cluster does not start without.
const CLUSTER: &[(&str, &str)] = &[
    ("CARILLON_DATABASE_URL", "postgres://host/database"),
    ("CARILLON_DISPATCHER_URL", "http://host:7070"),
    ("CARILLON_JWT_SECRET", "a secret of the tests, long enough for HS256"),
    ("CARILLON_NATS_URL", "nats://host"),
    ("CARILLON_REDIS_URL", "redis://host"),
];

fn schema() -> Value {
    serde_json::from_str(&read(&chart().join("values.schema.json"))).unwrap()
}

/// What the chart takes as `<component>.settings`.
fn settings_in_schema(schema: &Value, component: &str) -> BTreeSet<String> {
    let settings = &schema["properties"][component]["properties"]["settings"]["properties"];
    settings.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn every_variable_is_a_setting() {
    let mut known: BTreeSet<_> =
        ["standalone", "gateway", "dispatcher"].into_iter().flat_map(settings_of).collect();
    known.insert(CONFIG.to_owned());
    let texts = texts(&deploy());
    assert!(texts.len() > 10, "deploy/ is not found");
    for (file, text) in texts {
        let unknown: Vec<_> = variables(&text).difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{} names what is no setting: {unknown:?}", file.display());
    }
}

#[test]
fn the_chart_takes_every_setting_in_one_place() {
    let schema = schema();
    let own: BTreeSet<_> =
        texts(&chart().join("templates")).iter().flat_map(|(_, text)| variables(text)).collect();
    let (gateway, dispatcher) =
        (settings_in_schema(&schema, "gateway"), settings_in_schema(&schema, "dispatcher"));
    for (role, free) in [
        ("gateway", gateway.clone()),
        ("dispatcher", dispatcher.clone()),
        ("standalone", gateway.union(&dispatcher).cloned().collect()),
    ] {
        let settings = settings_of(role);
        for setting in &settings {
            let (in_schema, in_templates) = (free.contains(setting), own.contains(setting));
            assert!(
                in_schema != in_templates,
                "{setting} of {role} has to be either in values.schema.json ({in_schema}), as one of the \
                 component's `settings`, or in templates/ ({in_templates}), with a value of its own"
            );
        }
        let more: Vec<_> = free.difference(&settings).collect();
        assert!(more.is_empty(), "no settings of {role}: {more:?}");
    }
}

#[test]
fn the_schema_is_closed() {
    // Helm's own; and what only Kubernetes knows the form of.
    const OPEN: [&str; 4] = ["global", "nodeAffinity", "podAffinity", "podAntiAffinity"];

    fn check(name: &str, schema: &Value) {
        match schema {
            Value::Object(parts) => {
                if parts.get("type").is_some_and(|kind| kind == "object") && !OPEN.contains(&name) {
                    let rest = parts.get("additionalProperties");
                    let closed = rest.is_some_and(|rest| rest == false || rest.is_object());
                    assert!(closed, "{name} takes any key");
                }
                parts.iter().for_each(|(name, part)| check(name, part));
            }
            Value::Array(parts) => parts.iter().for_each(|part| check(name, part)),
            _ => {}
        }
    }
    check("values", &schema());
}

#[test]
fn the_chart_has_the_same_rules_and_dashboards() {
    let same = |original: &Path, copy: &Path| {
        let hint = format!("cp {} {}", original.display(), copy.display());
        assert!(fs::read(original).ok() == fs::read(copy).ok(), "the copy differs: {hint}");
    };
    same(&deploy().join("prometheus/rules.yml"), &chart().join("files/rules.yml"));
    let (originals, copies) = (deploy().join("grafana/dashboards"), chart().join("files/dashboards"));
    let names = |folder: &Path| -> BTreeSet<_> {
        texts(folder).into_iter().map(|(path, _)| path.file_name().unwrap().to_owned()).collect()
    };
    let names = &names(&originals) | &names(&copies);
    assert!(!names.is_empty(), "there are no dashboards");
    for name in &names {
        same(&originals.join(name), &copies.join(name));
    }
}

#[test]
fn versions_agree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let toolchain: toml::Table = read(&root.join("rust-toolchain.toml")).parse().unwrap();
    let compiler = toolchain["toolchain"]["channel"].as_str().unwrap();
    let containerfile = read(&deploy().join("container/Containerfile"));
    assert!(containerfile.contains(&format!("ARG RUST_VERSION={compiler}\n")), "{compiler} builds the image");

    let version = env!("CARGO_PKG_VERSION");
    assert!(containerfile.contains(&format!("ARG VERSION={version}\n")), "{version} is the image's");
    let chart_file = read(&chart().join("Chart.yaml"));
    assert!(chart_file.contains(&format!("appVersion: \"{version}\"\n")), "{version} is the chart's");

    let compose = read(&deploy().join("compose/compose.yaml"));
    let values = read(&chart().join("values.yaml"));
    let images = |text: &str| -> Vec<String> {
        let images = text.lines().filter_map(|line| line.trim().strip_prefix("image: docker.io/"));
        images.map(str::to_owned).collect()
    };
    let servers = images(&values);
    assert!(servers.len() == 3, "NATS, Redis, PostgreSQL: {servers:?}");
    for image in servers {
        assert!(images(&compose).contains(&image), "the compose file has another {image}");
    }
}
