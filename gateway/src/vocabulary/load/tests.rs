//! What is right, and what is told of what is wrong.

use super::*;
use crate::page;
use crate::vocabulary::load::routes::OWN_PATHS;

#[test]
fn everything_that_ships_is_right() {
    for (name, text) in SHIPPED {
        let vocabulary = Vocabulary::parse(text).unwrap_or_else(|mistakes| panic!("{name}: {mistakes:#?}"));
        assert_eq!(vocabulary.name, name);
        assert!(!vocabulary.client.is_empty() && vocabulary.server.all().next().is_some());
    }
}

/// What is said of this text, with places, behind what every file needs.
fn mistakes(text: &str) -> Vec<String> {
    let text = format!("name = \"x\"\n{text}\n[shape.error]\nwhy = \"$error.message\"");
    let mistakes = Vocabulary::parse(&text).err().unwrap_or_default();
    mistakes.iter().map(Mistake::to_string).collect()
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(mistakes(text), expected, "{text}");
}

#[test]
fn what_a_file_needs() {
    assert_eq!(
        Vocabulary::parse("").unwrap_err().iter().map(Mistake::to_string).collect::<Vec<_>>(),
        [
            "1:1: `[shape] error` is missing: what a client is told when something is refused",
            "1:1: `name` is missing"
        ]
    );
    check("", &[]);
    // What is no TOML is told in the parser's words, with our places.
    let not_toml = [
        ("a = ", "2:5: "),
        ("times = \"iso\"\ntimes = \"ms\"", "3:1: duplicate key"),
        (
            "[client.x]\ndo = \"subscribe\"\n[client.x]\ndo = \"rooms\"",
            "4:1: invalid table header; duplicate",
        ),
    ];
    for (text, expected) in not_toml {
        let found = mistakes(text);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{text}: {found:?}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_place() {
    let text = r#"
tiems = "iso"
times = "ISO"
guests = "no"
typing_expiry = "90s"
[roles]
OWNER = 1
[rooms]
hear = "some"
fixed = "a b"
"#;
    check(
        text,
        &[
            "3:1: no such key: `tiems`; do you mean `times`?",
            "4:9: `times` is \"iso\" or \"ms\"",
            "5:10: `guests` is true or false",
            "6:17: `typing_expiry` is like \"3s\" or \"1500ms\", 100ms to 60s",
            "8:9: `OWNER` is a text that is not empty",
            "10:8: `hear` is \"all\" or \"joined\"",
            "11:9: `fixed`: an id is 1 to 64 characters out of A-Z, a-z, 0-9 and _ . : @ -",
        ],
    );
}

#[test]
fn rooms_are_joined_one_or_one_of_each_pair() {
    let rooms = |text: &str| {
        let text = format!("name = \"x\"\n[shape.error]\n[rooms]\n{text}");
        Vocabulary::parse(&text).map(|vocabulary| vocabulary.rooms)
    };
    assert_eq!(rooms("").unwrap(), Rooms { hear_all: false, fixed: None, pair: None });
    assert_eq!(rooms("fixed = \"hall\"").unwrap().fixed.unwrap().as_str(), "hall");
    let pair = rooms("hear = \"all\"\npair = \"{a}:{b}.x\"").unwrap();
    let parts = |before: &str, between: &str, after: &str| PairPattern {
        before: before.into(),
        between: between.into(),
        after: after.into(),
    };
    assert_eq!(pair, Rooms { hear_all: true, fixed: None, pair: Some(parts("", ":", ".x")) });
    for bad in ["{a}{b}", "{b}_{a}", "{a}", "c_{a} {b}", "x"] {
        assert!(rooms(&format!("pair = \"{bad}\"")).unwrap_err()[0].what.contains("`pair` is like"), "{bad}");
    }
    check(
        "[rooms]\nfixed = \"hall\"\npair = \"{a}_{b}\"",
        &["4:8: there is one room (`fixed`) or one of each pair (`pair`)"],
    );
}

#[test]
fn what_is_asked_for_is_complete_and_known() {
    check("[client.say]\ndo = \"sned\"", &["3:6: no such action: `sned`; do you mean `send`?"]);
    check("[client.say]\nwith = { room = \"r\" }", &["2:9: `do` is missing: what is asked for"]);
    check(
        "[client.say]\ndo = \"send\"",
        &["2:9: `with` does not say where `room` is", "2:9: `with` does not say where `text` is"],
    );
    check("[client.say]\ndo = \"send\"\nwith = { to = \"user\", text = \".\" }", &[]);
    check(
        "[client.say]\ndo = \"send\"\nwith = { room = [\"chat.id\", \".\"], text = 7, txet = \"a\" }",
        &[
            "4:42: a place in the payload: \"chatId\", \"chat.id\", \".\" for the payload itself, or several of them: \
         [\"chatId\", \".\"]",
            "4:52: no such input of this action: `txet`; do you mean `text`?",
        ],
    );
    for bad in ["[]", "\"\"", "\"a..b\"", "[\"a\", 1]", "{ a = \"b\" }"] {
        let found = mistakes(&format!("[client.say]\ndo = \"unread\"\nwith = {{ room = {bad} }}"));
        assert!(found.len() == 1 && found[0].starts_with("4:17: a place in the payload"), "{bad}: {found:?}");
    }
    check(
        "[client.say]\ndo = \"typing\"\nwith = { room = \"r\", active = \"a\" }\nset = { active = true }",
        &["5:18: `active` is in `with` already"],
    );
    check(
        "[client.say]\ndo = \"rooms\"\nhistory = 5\nannounce = true",
        &["4:11: `rooms` has no `history`", "5:12: `rooms` has no `announce`"],
    );
    check(
        "[client.connect]\ndo = \"subscribe\"\nanswer = { event = \"error\", payload = {} }",
        &[
            "2:9: `connect` is a name that Socket.IO keeps for itself",
            "4:20: `error` is a name that Socket.IO keeps for itself",
        ],
    );
    check(
        "[rooms]\nfixed = \"hall\"\n[client.say]\ndo = \"send\"\nwith = { room = \"r\", text = \"t\" }",
        &["6:17: `room` says nothing: there is one room (`fixed`)"],
    );
}

#[test]
fn constants_are_checked_as_if_a_client_had_sent_them() {
    for (action, set, expected) in [
        ("typing", "active = true", None),
        ("typing", "active = \"yes\"", Some("`active` is neither true nor false")),
        ("presence", "status = \"away\"", None),
        ("presence", "status = \"happy\"", Some("`status` is none of online")),
        ("create_room", "kind = \"GROUP\"", None),
        ("create_room", "kind = \"SECRET\"", Some("`kind` is none of DIRECT, GROUP, PUBLIC")),
        ("send", "type = \"IMAGE\"", None),
        ("send", "type = \"SONG\"", Some("`type` is none of TEXT, IMAGE, FILE, VOICE")),
        ("history", "limit = 20", None),
        ("history", "limit = -1", Some("`limit` is not a whole number")),
        ("unread", "room = \"hall\"", None),
        ("unread", "room = \"the hall\"", Some("`room` is no id")),
        ("unread", "room = 1979-05-27", Some("`room` is a text, a number, true or false")),
    ] {
        let found = mistakes(&format!("[client.x]\ndo = \"{action}\"\nset = {{ {set} }}"));
        let found: Vec<_> = found.iter().filter(|told| !told.contains("`with` does not say")).collect();
        match expected {
            None => assert!(found.is_empty(), "{set}: {found:?}"),
            Some(why) => assert!(found.len() == 1 && found[0].contains(why), "{set}: {found:?}"),
        }
    }
}

#[test]
fn payloads_say_only_what_is_known_where_they_stand() {
    check(
        "[server.typing]\nevent = \"t\"\npayload = { room = \"$room\", text = \"$message.text\" }",
        &["4:36: `server.typing` has no `$message.text`; it has $room, $user.id, $user.name, $typing"],
    );
    check(
        "[server.read]\nevent = \"r\"\npayload = \"$user.nmae\"",
        &["4:11: no such value: `$user.nmae`; do you mean `$user.id`?"],
    );
    check(
        "[server.notification]\nevent = \"n\"\npayload = \"$room\"",
        &["4:11: `server.notification` has no `$room`; it has $notification.id, $notification.type, \
         $notification.data, $notification.time, $notification.read, $notification.read_at"],
    );
    check(
        "[client.x]\ndo = \"leave\"\nwith = { room = \"r\" }\nack = \"$unread\"",
        &["5:7: the acknowledgement of `x` has no `$unread`; it has $room, $user.id, $user.name"],
    );
    check(
        "[client.x]\ndo = \"rooms\"\nack = \"$rooms\"",
        &["4:7: `$rooms` needs `[shape] room`, which is not there"],
    );
    check(
        "[client.x]\ndo = \"rooms\"\nack = { rooms = \"$rooms\" }\n[shape.room]\nwho = \"$user.id\"",
        &[
            "6:7: each of `$rooms` has no `$user.id`; it has $room, $room.kind, $room.name, $room.created_at, \
         $room.created_by, $room.members, $room.unread, $room.role, $room.participants, $room.last_message",
        ],
    );
    check(
        "[shape]\na = \"$shape.b\"\nb = { inner = \"$shape.a\" }",
        &["3:5: the shape `b` holds itself", "4:15: the shape `a` holds itself"],
    );
    check(
        "[shape.x]\nat = 2026-11-21\nn = nan\np = \"$$5\"",
        &["3:6: a time in a payload would always be the same", "4:5: JSON has no such number"],
    );
}

#[test]
fn events_of_the_server_are_known_and_whole() {
    check(
        "[server.mesage]\nevent = \"m\"\npayload = {}",
        &["2:9: no such thing that happens: `mesage`; do you mean `message`?"],
    );
    check("[server.message]", &["2:1: `event` is missing: its name", "2:1: `payload` is missing"]);
    check(
        "[[server.message]]\nevent = \"a\"\npayload = {}\n[[server.message]]\nevent = \"b\"\npayload = {}",
        &[],
    );
    check(
        "[server.edited]\nevent = \"e\"\nto = \"others\"\npayload = {}",
        &[
            "4:6: `to` counts for `message` alone: changes are heard by everybody, and what passes is never heard by \
         the one who does it",
        ],
    );
    check(
        "[server.message]\nevent = \"e\"\nto = \"me\"\npayload = {}",
        &["4:6: `to` is \"all\" or \"others\""],
    );
}

#[test]
fn guests_and_late_tokens_need_a_way_in() {
    check(
        "guests = true",
        &["2:10: guests come by an event with `do = \"join\"` that says where `name` is; there is none"],
    );
    check(
        "late_token = true",
        &["2:14: late tokens come by an event with `do = \"authenticate\"`; there is none"],
    );
}

#[test]
fn routes_are_not_ours_and_not_there_twice() {
    let route = |text: &str| format!("[[rest]]\nroute = \"{text}\"\ndo = \"rooms\"\n");
    for (text, expected) in [
        ("GET /api/rooms", None),
        ("get /api/rooms", Some("3:9: `route` is like")),
        ("/api/rooms", Some("3:9: `route` is like")),
        ("GET api", Some("3:9: a path is of letters")),
        ("GET /a//b", Some("3:9: a path is of letters")),
        ("GET /a/../b", Some("3:9: a path is of letters")),
        ("GET /a/{*rest}", Some("3:9: a path is of letters")),
        ("GET /a/x{b}", Some("3:9: a path is of letters")),
        ("GET /a/{b}/{b}", Some("3:9: two parts of the path are called {b}")),
        ("GET /a/{b}", Some("3:9: `with` does not say what {b} is")),
        ("GET /", Some("3:9: / is Carillon's own")),
        ("GET /v1/rooms", Some("3:9: /v1 is Carillon's own")),
        ("GET /v1x/rooms", None),
        ("POST /health", Some("3:9: /health is Carillon's own")),
        ("GET /socket.io/", Some("3:9: /socket.io is Carillon's own")),
        ("GET /asyncapi.json", Some("3:9: /asyncapi is Carillon's own")),
        ("GET /carillon.js", Some("3:9: /carillon.js is Carillon's own")),
    ] {
        let found = mistakes(&route(text));
        match expected {
            None => assert!(found.is_empty(), "{text}: {found:?}"),
            Some(why) => assert!(found.len() == 1 && found[0].starts_with(why), "{text}: {found:?}"),
        }
    }
    check(&(route("GET /a") + &route("POST /a") + &route("GET /a")), &["9:9: this route is there twice"]);
    let one = "[[rest]]\nroute = \"GET /a/{b}\"\ndo = \"room\"\nwith = { room = \"b\" }\n";
    check(
        &(one.to_owned() + &one.replace("GET", "PUT").replace("{b}", "{c}").replace("\"b\"", "\"c\"")),
        &["7:9: `/a/{b}` names the parts of this path otherwise"],
    );
    check("[[rest]]\nroute = \"POST /a\"\ndo = \"typing\"", &["4:6: `typing` needs a connection"]);
    check(
        "[[rest]]\nroute = \"POST /a\"\ndo = \"rooms\"\nstatus = 404",
        &["5:10: `status` is a number from 200 to 299"],
    );
    check("[rest]\nroute = \"POST /a\"", &["2:1: routes are written as [[rest]]"]);
    check(
        "[rooms]\nfixed = \"r\"\n[[rest]]\nroute = \"POST /a\"\ndo = \"send\"\nguests = true\nwith = { text = \"t\" }",
        &["4:1: `with` does not say where `name` is: what a guest is called"],
    );
}

/// Two routes on one path end the program, so that no file may add one.
#[test]
fn every_path_of_the_page_is_known_as_our_own() {
    for (path, ..) in page::FILES {
        assert!(OWN_PATHS.contains(&path), "{path}");
    }
}

/// What is taken here, the router takes: it would panic where paths clash.
#[test]
fn routes_that_are_right_can_be_routed() {
    let route = |path: &str, name: &str| {
        format!("[[rest]]\nroute = \"GET {path}\"\ndo = \"room\"\nwith = {{ room = \"{name}\" }}\n")
    };
    let odd =
        [("/{a}", "a"), ("/{b}/x", "b"), ("/z/{c}", "c"), ("/x/{d}", "d"), ("/x/{e}/y", "e"), ("/x/y", "q")];
    let odd: String = odd.iter().map(|(path, name)| route(path, name)).collect();
    let odd = format!("name = \"odd\"\n{odd}[shape.error]\n");
    for text in SHIPPED.iter().map(|(_, text)| *text).chain([&*odd]) {
        let vocabulary = Vocabulary::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        let router = vocabulary.routes.iter().fold(page::router(), |router, route| {
            let filter = axum::routing::MethodFilter::try_from(route.method.clone()).unwrap();
            router.route(&route.path, axum::routing::on(filter, async || ()))
        });
        assert!(router.has_routes());
    }
}
