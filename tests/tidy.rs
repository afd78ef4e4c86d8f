//! What the project promises of itself: which crate may know which, that every
//! file says what it is for, that the documentation's tables are the code's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use proto::{CloseCode, ErrorCode};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files under version control, or about to be, with this ending.
fn files(ending: &str) -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git is installed");
    let listed = String::from_utf8(listed.stdout).expect("file names are UTF-8");
    let files: Vec<_> =
        listed.lines().filter(|name| name.ends_with(ending)).map(|name| root().join(name)).collect();
    assert!(!files.is_empty(), "no {ending} file is under version control");
    files.into_iter().filter(|file| file.exists()).collect()
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Who may depend on whom. Dependencies of tests are their own affair.
const MAY_KNOW: [(&str, &[&str]); 10] = [
    ("carillon", &["gateway", "dispatcher", "bus", "proto"]),
    ("gateway", &["bus", "proto"]),
    ("dispatcher", &["bus", "proto"]),
    ("bus", &["proto"]),
    ("proto", &[]),
    ("chart", &[]),
    ("testkit", &["proto", "chart"]),
    ("loadtest", &["proto", "chart"]),
    ("floor", &[]),
    ("xtask", &[]),
];

#[test]
fn crates_know_only_what_is_below_them() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value =
        serde_json::from_slice(&metadata.stdout).expect("cargo's metadata is JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    let names: BTreeSet<_> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    assert_eq!(names, MAY_KNOW.iter().map(|(name, _)| *name).collect(), "the list above names every crate");
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let (_, allowed) = MAY_KNOW.iter().find(|(known, _)| *known == name).unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let on = dependency["name"].as_str().unwrap();
            if dependency["kind"] != "dev" && names.contains(on) {
                assert!(allowed.contains(&on), "{name} must not know {on}");
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> = files(".rs").into_iter().filter(|file| !read(file).starts_with("//!")).collect();
    assert!(silent.is_empty(), "without a `//!` at the top: {silent:?}");
}

#[test]
fn no_file_is_endless() {
    const LIMIT: usize = 600;
    let long: Vec<_> = files(".rs").into_iter().filter(|file| read(file).lines().count() > LIMIT).collect();
    assert!(long.is_empty(), "more than {LIMIT} lines, so perhaps two files: {long:?}");
}

#[test]
fn sql_is_in_the_store_alone() {
    let store = root().join("dispatcher/src/store");
    for file in
        files(".rs").into_iter().filter(|file| !file.starts_with(&store) && !file.ends_with("tests/tidy.rs"))
    {
        let source =
            !file.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "testkit");
        assert!(!(source && read(&file).contains("sqlx::")), "{} uses sqlx", file.display());
    }
}

#[test]
fn the_session_and_the_follower_do_nothing_but_decide() {
    for file in ["gateway/src/session.rs", "gateway/src/feed/follower.rs", "gateway/src/link/routing.rs"] {
        let source = read(&root().join(file));
        for effect in ["async ", ".await", "spawn(", "SystemTime", "tokio::time", "tokio::net"] {
            assert!(!source.contains(effect), "{file} has an effect: {effect}");
        }
    }
}

#[test]
fn the_protocol_page_lists_every_code() {
    let page = read(&root().join("docs/protocol.md"));
    let rows: Vec<Vec<_>> = page
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect())
        .collect();
    let row = |first: &str| {
        rows.iter().find(|cells| cells[0] == first).unwrap_or_else(|| panic!("{first} is not listed"))
    };
    for code in ErrorCode::ALL {
        let cells = row(code.name());
        assert_eq!(cells[1], code.status().to_string(), "status of {code}");
        assert_eq!(cells[2], if code.retryable() { "yes" } else { "no" }, "is {code} retryable");
    }
    for code in CloseCode::ALL {
        let cells = row(&code.number().to_string());
        assert_eq!(cells[1], code.name(), "name of {}", code.number());
        assert_eq!(cells[2], if code.resume() { "resume" } else { "stop" }, "advice of {}", code.name());
    }
}

#[test]
fn the_page_needs_nothing_from_outside() {
    for file in ["index.html", "style.css", "app.js", "carillon.js"] {
        let text = read(&root().join("web").join(file));
        for outside in ["src=\"http", "href=\"http", "@import", "from \"http", "url(http"] {
            assert!(!text.contains(outside), "{file} loads something from outside: {outside}");
        }
    }
}

#[test]
fn no_file_names_the_place_of_a_checkout() {
    let here = root().to_str().expect("a path in UTF-8");
    for ending in [".rs", ".md", ".toml", ".sql", ".js", ".proto", ".lua", ".yaml", ".json"] {
        for file in files(ending) {
            assert!(!read(&file).contains(here), "{} names the folder of one machine", file.display());
        }
    }
}
