//! What `deploy/` says is what the program does: its names of settings, its
//! versions, its copies of files. What needs tools of others is checked by
//! `cargo xtask deploy-check`.

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
        // Its store has one writer, and the chart leaves the dispatchers' lanes out.
        ("standalone", gateway.union(&dispatcher).filter(|name| *name != "lanes").cloned().collect()),
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

#[test]
fn every_value_has_a_default_and_is_tried() {
    let values = read(&chart().join("values.yaml"));
    let sets = texts(&chart().join("ci"));
    assert!(sets.len() >= 8, "there are {} sets of values", sets.len());
    let schema = schema();
    for (name, part) in schema["properties"].as_object().unwrap() {
        // Helm's own.
        if name == "global" {
            continue;
        }
        assert!(values.contains(&format!("\n{name}:")), "{name} is not in values.yaml");
        let tried = sets.iter().any(|(_, set)| set.lines().any(|line| line.starts_with(&format!("{name}:"))));
        // These only move to other places what is tried with its defaults.
        let passive = ["podSecurityContext", "containerSecurityContext", "probes"].contains(&name.as_str());
        assert!(tried || passive, "no set of values in ci/ has {name}");
        for inner in part["properties"].as_object().into_iter().flat_map(|inner| inner.keys()) {
            // Unset, they are the image's.
            let optional = ["supplementalGroups", "seLinuxOptions", "privileged"].contains(&inner.as_str())
                || name == "containerSecurityContext";
            assert!(
                optional || values.contains(&format!("  {inner}:")),
                "{name}.{inner} is not in values.yaml"
            );
        }
    }
}

#[test]
fn whatever_is_to_be_refused_says_why() {
    let sets = texts(&deploy().join("checks/refused"));
    assert!(!sets.is_empty(), "nothing is refused");
    for (file, text) in sets {
        assert!(text.starts_with("# says: "), "{} does not say what it is refused with", file.display());
    }
}

#[test]
fn the_load_test_of_the_chart_has_flags_that_there_are() {
    let sources = texts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("loadtest/src"));
    let own =
        ["values.yaml", "templates/loadtest.yaml"].map(|file| (PathBuf::new(), read(&chart().join(file))));
    let lines: Vec<_> = [own.to_vec(), texts(&chart().join("ci"))].concat();
    let is_args = |line: &&str| line.contains("args: [--") || line.trim_start().starts_with("- --");
    let args = lines.iter().flat_map(|(_, text)| text.lines()).filter(is_args);
    let flags: BTreeSet<_> = args
        .flat_map(|line| line.split(['[', ' ', ',', ']', '=']))
        .filter_map(|word| word.strip_prefix("--"))
        .map(|flag| flag.replace('-', "_"))
        .collect();
    assert!(flags.contains("pairs") && flags.contains("expect"), "not understood: {flags:?}");
    for flag in flags {
        let is_field = |(_, text): &(PathBuf, String)| text.contains(&format!("    {flag}: "));
        assert!(sources.iter().any(is_field), "carillon-loadtest has no --{flag}");
    }
}

#[test]
fn the_image_is_reproducible_and_not_root() {
    let file = read(&deploy().join("container/Containerfile"));
    let mut stages = BTreeSet::new();
    for line in file.lines().filter_map(|line| line.strip_prefix("FROM ")) {
        let (base, name) = line.split_once(" AS ").unwrap_or((line, ""));
        let variable = base.trim_start_matches("${").trim_end_matches('}');
        let argument = file.lines().find_map(|line| line.strip_prefix(&format!("ARG {variable}=")));
        let pinned =
            argument.is_some_and(|value| value.contains("@sha256:")) || base.ends_with("@${RUST_DIGEST}");
        assert!(pinned || stages.contains(base), "{base} may be another one tomorrow");
        stages.insert(name);
    }
    assert!(file.contains("ARG RUST_DIGEST=sha256:") && file.contains("SOURCE_DATE_EPOCH"), "times get in");
    for build in file.lines().filter(|line| line.contains("cargo build")) {
        assert!(build.contains("--release --locked"), "another Cargo.lock gets in: {build}");
    }
    let last = file.rsplit("\nFROM ").next().unwrap();
    assert!(last.starts_with("runtime\n"), "the image has a compiler in it");
    assert!(file.contains("\nUSER 65532:65532\n"), "the image runs as root");
}

#[test]
fn the_compose_set_mounts_what_is_there() {
    let folder = deploy().join("compose");
    let compose = read(&folder.join("compose.yaml"));
    let words = compose.split(|c: char| c.is_whitespace() || "[]\",".contains(c));
    let hosts: BTreeSet<_> =
        words.filter(|word| word.starts_with('.')).filter_map(|word| Some(word.split_once(':')?.0)).collect();
    assert!(hosts.len() >= 4, "not understood: {hosts:?}");
    for host in hosts {
        assert!(folder.join(host).exists(), "compose.yaml mounts {host}");
    }
}

/// The compose set starts without anything being set up by hand.
#[test]
fn the_compose_set_makes_secrets_that_the_program_takes() {
    let folder = tempfile::tempdir().unwrap();
    for part in ["gateway", "dispatcher", "postgres", "nats", "redis", "grafana"] {
        fs::create_dir(folder.path().join(part)).unwrap();
    }
    let make = || {
        let script = deploy().join("compose/make-secrets.sh");
        let status =
            Command::new("sh").arg(script).arg(folder.path()).env_remove("CARILLON_JWT_SECRET").status();
        assert!(status.unwrap().success());
        let secrets: BTreeSet<_> = texts(folder.path()).into_iter().collect();
        secrets
    };
    let first = make();
    assert!(first == make(), "a second start changes secrets");
    for (file, text) in &first {
        assert!(!text.is_empty(), "{} is empty", file.display());
    }

    let run = |part: &str, args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_carillon"))
            .args(args)
            .current_dir(folder.path())
            .env_clear()
            .env("CARILLON_CONFIG", folder.path().join(part).join("carillon.toml"))
            .env("CARILLON_DISPATCHER_URL", "http://dispatcher:7070")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run("gateway", &["check-config", "gateway"]);
    run("dispatcher", &["check-config", "dispatcher"]);
    // Signed with the key of the gateways, without another word.
    assert_eq!(run("gateway", &["token", "--user", "ana"]).trim().split('.').count(), 3);
}
