//! Reports as they are told: read back, compared, and put into pages.

use super::compare::Change;
use super::*;
use crate::timeline::{Begin, Mark, Node, Phase, Sample, Second};

/// What somebody could have put into a name, a setting or a reason.
const HOSTILE: &str = "</script><script>alert('&\"\u{0}')</script>";

fn talk(per_second: f64, p99: f64) -> Talk {
    let latency = Latency {
        p50: 1.0,
        p90: 2.0,
        p99,
        p999: 20.0,
        max: 30.0,
        curve: vec![(0.0, 0.5), (50.0, 1.0), (99.0, p99)],
        ..Latency::default()
    };
    Talk {
        rooms: 5,
        members: 2,
        senders: 10,
        rate: 0,
        answered: 100,
        delivered: 200,
        refused: 0,
        answered_per_second: per_second,
        delivered_per_second: 2.0 * per_second,
        answer_ms: latency.clone(),
        delivery_ms: latency,
    }
}

fn chat() -> Chat {
    let fault = Injected {
        name: HOSTILE.to_owned(),
        run: "true".to_owned(),
        begun: 1.0,
        ended: Some(1.5),
        status: Some(0),
    };
    Chat {
        is_tolerant: true,
        users: 5,
        devices: 9,
        rooms: 2,
        largest_room: 4,
        rate: 10,
        seed: 1,
        answered: 100,
        delivered: 200,
        answered_per_second: 10.0,
        delivered_per_second: 20.0,
        answer_ms: Latency::default(),
        delivery_ms: Latency::default(),
        history_ms: Latency::default(),
        caught_up_ms: Latency::default(),
        actions: Actions { edited: 3, ..Actions::default() },
        connections: Connections { closes: [("4000 away".to_owned(), 2)].into(), ..Connections::default() },
        memory: vec![Memory { second: 0.0, servers: Some(1), generator: None }],
        faults: vec![fault],
    }
}

fn second(at: u64) -> Second {
    let micros = || "900:3 4000:1".parse().unwrap();
    Second {
        at,
        answered: 4,
        delivered: 8,
        connections: 10,
        answer_us: micros(),
        delivery_us: micros(),
        ..Second::default()
    }
}

fn record(result: Outcome, violations: &[&str]) -> Record {
    let mut all = Violations::default();
    violations.iter().for_each(|violation| all.push((*violation).to_owned()));
    let begin = |at, phase| Begin { at, phase };
    let sample = |at, cpu| Sample { at, memory: Some(5e6), cpu: Some(cpu), connections: Some(3.0) };
    let timeline = Timeline {
        phases: vec![
            begin(100.2, Phase::Preparing),
            begin(101.0, Phase::Connecting),
            begin(103.0, Phase::Measuring),
        ],
        marks: vec![Mark { at: 104.5, name: HOSTILE.to_owned() }],
        seconds: (100..110).map(second).collect(),
        nodes: vec![Node {
            name: format!("gateway {HOSTILE}"),
            version: Some("1.2".to_owned()),
            samples: vec![sample(101.0, 1.0), sample(102.0, 1.5), sample(103.0, 0.1)],
        }],
    };
    let cost = |process: &str, cpu_seconds| Cost {
        process: process.to_owned(),
        cpu_seconds,
        micros_per_message: Some(5.0),
        micros_per_delivery: None,
    };
    let costs = vec![cost("one", 1.0), cost("all", 3.0)];
    let settings =
        serde_json::json!({ "scenario": "pairs", "pairs": 5, "user-prefix": HOSTILE, "json": "a" });
    Record::new(settings, Report { wire: "json".to_owned(), result, costs, violations: all }, timeline)
}

/// The page as a tree; its style and script, which are ours and no XML, set aside.
fn tree(html: &str) -> String {
    let mut left = html.strip_prefix("<!DOCTYPE html>").expect("a page").to_owned();
    for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
        let from = left.find(open).expect("our own") + open.len();
        let to = from + left[from..].find(close).expect("it ends");
        left.replace_range(from..to, "");
    }
    assert_eq!(left.matches("<script").count(), 1, "nothing else is run");
    left
}

#[test]
fn a_page_is_well_formed_and_shows_hostile_texts_as_texts() {
    let record = record(Outcome::Talk(talk(50.0, 9.0)), &[HOSTILE]);
    let html = page(&record);
    let left = tree(&html);
    let tree = roxmltree::Document::parse(&left).expect("well-formed");
    let shown = HOSTILE.replace('\0', "\u{fffd}");
    let holds =
        |tag: &str| tree.descendants().any(|node| node.has_tag_name(tag) && node.text() == Some(&shown));
    assert!(holds("li") && holds("td") && holds("title"), "the violation, the setting, the mark");
    let ids: Vec<_> = tree
        .descendants()
        .filter(|node| node.has_tag_name("figure"))
        .filter_map(|node| node.attribute("id"))
        .collect();
    assert_eq!(
        ids,
        [
            "percentiles",
            "answered",
            "delivered",
            "answer-latency",
            "delivery-latency",
            "connections",
            "reconnects",
            "memory",
            "processor",
            "node-connections"
        ]
    );
    for outside in ["http://", "https://", "@import", "url("] {
        assert!(!html.contains(outside), "something comes from elsewhere: {outside}");
    }
    let good = page(&self::record(Outcome::Talk(talk(50.0, 9.0)), &[]));
    assert!(good.contains("the store agrees") && !good.contains("verdict bad\""));
}

#[test]
fn a_process_that_began_anew_is_a_gap_and_not_a_negative_load() {
    let html = page(&record(Outcome::Talk(talk(50.0, 9.0)), &[]));
    let processor = html.split("id=\"processor\"").nth(1).unwrap();
    let path = processor.split("class=\"line c").nth(1).unwrap().split(" d=\"").nth(1).unwrap();
    assert_eq!(path.split('"').next().unwrap().matches(['M', 'L']).count(), 1, "{path:.200}");
}

#[test]
fn json_is_read_back_whatever_was_measured() {
    let connect = Connect {
        connections: 9,
        members: 3,
        seconds: 1.5,
        per_second: 6.0,
        authenticated_ms: Latency::default(),
        joined_ms: Latency::default(),
        memory_before: Some(1),
        memory_after: Some(2),
        memory_per_connection: None,
        connect_costs: vec![Cost::of("all".to_owned(), 9)],
        idle_seconds: 3.0,
    };
    let storm = Storm {
        connections: 9,
        members: 3,
        lost: 9,
        closed: 0,
        failed_attempts: 0,
        back_seconds: 1.0,
        back_ms: Latency::default(),
        caught_up: 9,
        caught_up_seconds: 1.0,
        due: 27,
        missed: 0,
    };
    let chat = Outcome::Chat(Box::new(chat()));
    for result in [Outcome::Talk(talk(50.0, 9.0)), Outcome::Connect(connect), Outcome::Storm(storm), chat] {
        let record = record(result, &["wrong"]);
        let file = tempfile::NamedTempFile::new().unwrap();
        record.write(file.path()).unwrap();
        let read = Record::read(file.path()).unwrap();
        assert_eq!(read.report.to_string(), record.report.to_string());
        assert_eq!(read.timeline, record.timeline);
        assert_eq!(page(&read), page(&record));
        assert_eq!(read.report.result.name(), record.report.result.name());
    }
}

#[test]
fn results_of_before_there_were_timelines_are_read_too() {
    let mut old = serde_json::to_value(record(Outcome::Talk(talk(50.0, 9.0)), &[])).unwrap();
    for new in ["format", "version", "started", "started_at", "settings", "timeline"] {
        old.as_object_mut().unwrap().remove(new);
    }
    let old: Record = serde_json::from_value(old).unwrap();
    assert_eq!(old.scenario(), "talk");
    let html = page(&old);
    assert!(roxmltree::Document::parse(&tree(&html)).is_ok() && !html.contains("Over time"));
}

#[test]
fn what_somebody_newer_wrote_is_refused() {
    let mut record = record(Outcome::Talk(talk(50.0, 9.0)), &[]);
    record.format = FORMAT + 1;
    let file = tempfile::NamedTempFile::new().unwrap();
    record.write(file.path()).unwrap();
    assert!(Record::read(file.path()).is_err_and(|error| error.to_string().contains("newer")));
}

#[test]
fn a_comparison_says_how_much_and_whether_it_is_better() {
    let before = record(Outcome::Talk(talk(100.0, 10.0)), &[]);
    let mut after = record(Outcome::Talk(talk(150.0, 20.0)), &[HOSTILE]);
    after.settings["pairs"] = 7.into();
    after.settings["json"] = "b".into();
    after.report.costs.clear();
    let comparison = Comparison::new(&before, &after, false).unwrap();
    let row = |name: &str| comparison.rows.iter().find(|row| row.name == name).unwrap();
    assert_eq!((row("answered").ratio(), row("answered").change()), (Some(1.5), Change::Better));
    assert_eq!((row("answer p99").ratio(), row("answer p99").change()), (Some(2.0), Change::Worse));
    assert_eq!((row("answer p50").ratio(), row("answer p50").change()), (Some(1.0), Change::None));
    assert_eq!((row("refused").ratio(), row("refused").change()), (Some(1.0), Change::None));
    assert_eq!((row("processor time").before, row("processor time").ratio()), (Some(3.0), None));
    assert_eq!(comparison.settings, [("pairs".to_owned(), "5".to_owned(), "7".to_owned())]);
    let text = comparison.to_string();
    assert!(
        text.contains("1.50  better") && text.contains("pairs: 5 -> 7") && text.contains("WRONG"),
        "{text}"
    );
    let left = tree(&compared(&comparison));
    let tree = roxmltree::Document::parse(&left).expect("well-formed");
    let dashed = tree
        .descendants()
        .filter(|node| node.attribute("class").is_some_and(|class| class.ends_with(" dashed")));
    assert!(dashed.count() >= 10, "the second run's lines are drawn too");
}

#[test]
fn different_scenarios_are_compared_only_if_forced_to() {
    let before = record(Outcome::Talk(talk(100.0, 10.0)), &[]);
    let mut after = record(Outcome::Talk(talk(100.0, 10.0)), &[]);
    after.settings["scenario"] = "fanout".into();
    assert!(
        Comparison::new(&before, &after, false).is_err_and(|error| error.to_string().contains("--force"))
    );
    assert!(Comparison::new(&before, &after, true).is_ok());
}
