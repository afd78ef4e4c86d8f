//! The benchmark does what it says: the smallest row, put on a real server, ends
//! up as a table in a copy of the page; and the page has a place for every table.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use testkit::process::temp_dir;

const CARILLON: &str = env!("CARGO_BIN_EXE_carillon");
const PAGE: &str = "docs/performance.md";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program of another package. `cargo test --workspace` has built it; alone,
/// this test builds it if its sources are newer.
fn program(package: &str, name: &str) -> PathBuf {
    let program = Path::new(CARILLON).parent().expect("it is in a folder").join(name);
    let built = fs::metadata(&program).and_then(|program| program.modified());
    if !built.is_ok_and(|built| newest(&root().join(package).join("src")) <= built) {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", package, "--bin", name]).current_dir(root());
        let status = cargo.stdin(Stdio::null()).status().expect("cargo runs");
        assert!(status.success(), "cargo build ended with {status}");
    }
    program
}

/// When a file in this folder was last changed.
fn newest(folder: &Path) -> SystemTime {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let changed = |path: PathBuf| match path.is_dir() {
        true => newest(&path),
        false => fs::metadata(&path).and_then(|file| file.modified()).expect("when it was changed"),
    };
    entries.map(changed).max().unwrap_or(SystemTime::UNIX_EPOCH)
}

#[test]
fn the_smallest_row_rewrites_a_copy_of_the_page() {
    let (generator, bench) = (program("loadtest", "carillon-loadtest"), program("testkit", "bench"));
    let folder = temp_dir().expect("a folder");
    let page = folder.path().join("performance.md");
    fs::copy(root().join(PAGE), &page).expect("a copy of the page");
    let before = fs::read_to_string(&page).expect("the page");

    let mut bench = Command::new(bench);
    bench.args(["--quick", "--only", "rooms-latency", "--contestants", "standalone", "--write"]);
    bench.args(["--carillon", CARILLON]).arg("--loadtest").arg(generator);
    bench.arg("--out").arg(folder.path().join("out")).arg("--page").arg(&page);
    bench.arg("--pictures").arg(folder.path().join("pictures"));
    let output = bench.stdin(Stdio::null()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    let results = fs::read_to_string(folder.path().join("out/results.json")).expect("results");
    let results: serde_json::Value = serde_json::from_str(&results).expect("JSON");
    let figures = &results["runs"][0]["figures"];
    assert!(figures["delivery_ms_p99"].as_f64().is_some_and(|p99| p99 > 0.0), "{results}");
    assert!(figures["delivery_us_all"].as_f64().is_some(), "{results}");
    assert!(folder.path().join("out/report.html").is_file());
    // The table has this one line; the rest of the page is as it was.
    let after = fs::read_to_string(&page).expect("the page");
    let place = |text: &str| {
        let (above, rest) = text.split_once("<!-- bench:rooms-latency -->").expect("its place");
        let (table, below) = rest.split_once("<!-- /bench -->").expect("its end");
        (above.to_owned(), table.to_owned(), below.to_owned())
    };
    let ((above, _, below), (above_after, table, below_after)) = (place(&before), place(&after));
    assert!(table.contains("| **Carillon standalone** |"), "{table}");
    assert_eq!(table.trim().lines().count(), 3, "{table}");
    assert!(above == above_after && below == below_after);
}
