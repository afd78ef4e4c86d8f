//! Configuration from maps: no test touches the environment or the working directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway::auth::Keys;

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn layers(flags: &[(&str, &str)], environment: &[(&str, &str)], file: &str) -> Layers {
    let flags = flags.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Layers::default()
        .with_flags(flags)
        .with_environment(environment.iter().copied())
        .with_file(Path::new("carillon.toml"), file)
}

/// What is needed, and nothing more.
const GATEWAY: &str = "
    jwt_secret = \"0123456789abcdef0123456789abcdef\"
    nats_url = \"nats://127.0.0.1:4222\"
    redis_url = \"redis://127.0.0.1:6379\"
    dispatcher_url = \"http://127.0.0.1:7070\"
";

/// The mistakes, one a line.
fn mistakes<T: fmt::Debug>(checked: Result<Checked<T>, Mistakes>) -> Vec<String> {
    checked.unwrap_err().list.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn check_mistake<T: fmt::Debug>(checked: Result<Checked<T>, Mistakes>, expected: &str) {
    let found = mistakes(checked);
    assert!(found.len() == 1 && found[0].contains(expected), "{expected:?} is not in {found:#?}");
}

#[test]
fn without_a_word_standalone_has_every_default() {
    let checked = standalone(&Layers::default()).unwrap();
    let Standalone { process, edge, rules, data_dir } = checked.config;
    assert_eq!((edge.listen.as_str(), process.admin_listen.as_str()), ("127.0.0.1:8080", "127.0.0.1:9090"));
    assert_eq!(data_dir, PathBuf::from("./carillon-data"));
    assert!(edge.keys.is_none() && edge.issuer.is_none() && checked.warnings.is_empty());
    assert_eq!(format!("{:?}", edge.settings), format!("{:?}", gateway::Settings::default()));
    let one_writer = ::dispatcher::Settings::one_writer();
    assert_eq!(format!("{rules:?}"), format!("{one_writer:?}"));
    assert_eq!(edge.presence.grace, bus::PresenceTimes::default().grace);
    assert!(checked.effective.iter().all(|setting| setting.source == Source::Default));
}

#[test]
fn flags_win_then_the_environment_then_the_file() {
    let file = "listen = \"127.0.0.1:1\"\nmax_members = 3\nheartbeat = \"4s\"\ntoken_in_query = true";
    let environment = [("CARILLON_LISTEN", "127.0.0.1:2"), ("CARILLON_HEARTBEAT", "5s"), ("HOME", "/")];
    let checked = standalone(&layers(&[("listen", "127.0.0.1:3")], &environment, file)).unwrap();
    let Standalone { edge, rules, .. } = checked.config;
    assert_eq!((edge.listen.as_str(), edge.settings.heartbeat), ("127.0.0.1:3", Duration::from_secs(5)));
    assert!(rules.max_members == 3 && edge.settings.token_in_query);

    let source = |name| checked.effective.iter().find(|of| of.name == name).unwrap().source.to_string();
    assert_eq!(source("listen"), "flag");
    assert_eq!(source("heartbeat"), "environment");
    assert_eq!(source("max_members"), "carillon.toml");
    assert_eq!(source("max_batch"), "default");
}

#[test]
fn an_empty_variable_is_not_set() {
    let checked = standalone(&layers(&[], &[("CARILLON_JWT_SECRET", ""), ("CARILLON_LISTEN", "")], ""));
    assert!(checked.unwrap().config.edge.keys.is_none());
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let file = "listen = \"8080\"\nheartbeat = \"soon\"\n[gateway]\nlisten = 1";
    let environment =
        [("CARILLON_REDIS_URL", "127.0.0.1:6379"), ("CARILLON_GUESTS", "yes"), ("CARILLON_LISTN", ":1")];
    let found = gateway(&layers(&[("database_url", "postgres://host/db")], &environment, file)).unwrap_err();
    assert_eq!(
        found.to_string(),
        "10 mistakes in the configuration of `gateway`
  - CARILLON_LISTN (environment): no setting has this name; did you mean `CARILLON_LISTEN`?
  - gateway (carillon.toml): no setting has this name; `carillon check-config` lists all of them
  - database_url (flag): belongs to `dispatcher` and `migrate`; it has no meaning here. Remove it
  - listen (carillon.toml): \"8080\" must be host:port, such as 127.0.0.1:8080
  - heartbeat (carillon.toml): \"soon\" must be a time such as 500ms, 5s, 15m, 2h or 7d
  - guests (environment): \"yes\" must be true or false
  - jwt_secret | jwks_url | jwt_public_key_file: one of them is needed to check tokens with, and none is set \
(as in CARILLON_JWT_SECRET)
  - nats_url: is needed and not set. The broker, nats://host:4222 or tls://host:4222; servers of one cluster \
separated by commas (--nats-url, CARILLON_NATS_URL)
  - redis_url (environment): must be a URL such as redis://host
  - dispatcher_url: is needed and not set. The dispatchers, http://host:port: one, several separated by \
commas, or a name that resolves to several addresses (--dispatcher-url, CARILLON_DISPATCHER_URL)"
    );
}

#[test]
fn unknown_names_are_mistakes_with_a_suggestion() {
    let file = |text: &str| standalone(&layers(&[], &[], text));
    check_mistake(file("admin-listen = \"127.0.0.1:1\""), "did you mean `admin_listen`?");
    check_mistake(file("jwt_secert = \"x\""), "did you mean `jwt_secret`?");
    check_mistake(file("colour = \"red\""), "no setting has this name; `carillon check-config` lists");
    let variable = |name: &str| standalone(&layers(&[], &[(name, "1")], ""));
    check_mistake(variable("CARILLON_MAX_CONECTIONS"), "did you mean `CARILLON_MAX_CONNECTIONS`?");
    check_mistake(variable("CARILLON_listen"), "did you mean `CARILLON_LISTEN`?");
}

/// A Service called `carillon-gateway` gives every pod beside it such variables.
#[test]
fn variables_that_kubernetes_sets_are_not_ours() {
    let environment = [
        ("CARILLON_SERVICE_HOST", "10.0.0.1"),
        ("CARILLON_GATEWAY_SERVICE_PORT", "8080"),
        ("CARILLON_GATEWAY_SERVICE_PORT_HTTP", "8080"),
        ("CARILLON_GATEWAY_PORT", "tcp://10.0.0.1:8080"),
        ("CARILLON_GATEWAY_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("CARILLON_GATEWAY_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("CARILLON_CONFIG", "/etc/carillon.toml"),
    ];
    standalone(&layers(&[], &environment, "")).unwrap();
}

#[test]
fn a_file_that_is_no_toml_says_where_and_not_what() {
    let found = mistakes(standalone(&layers(&[], &[], "guests = false\njwt_secret = \"abc")));
    assert!(found.len() == 1 && found[0].starts_with("carillon.toml: line 2 is not TOML"), "{found:?}");
    assert!(!found[0].contains("abc"), "{found:?}");
    check_mistake(standalone(&layers(&[], &[], "listen = 1979-05-27")), "must be a text, a number");
}

#[test]
fn what_belongs_to_a_cluster_is_refused_by_standalone_and_shared_by_the_others() {
    let shared = "database_url = \"postgres://host/db\"\nnats_url = \"nats://host\"";
    let found = mistakes(standalone(&layers(&[], &[], shared)));
    assert!(found.len() == 2, "{found:?}");
    assert!(
        found[0].contains("nats_url (carillon.toml): belongs to `gateway` and `dispatcher`;"),
        "{found:?}"
    );
    assert!(found[1].contains("`standalone` has its store, broker and presence built in"), "{found:?}");

    dispatcher(&layers(&[], &[], &format!("{GATEWAY}\ndatabase_url = \"postgres://host/db\""))).unwrap();
    gateway(&layers(&[("max_batch", "10")], &[], GATEWAY)).unwrap_err();
    migrate(&layers(&[], &[("CARILLON_LISTEN", "127.0.0.1:1")], shared)).unwrap();
}

#[test]
fn a_gateway_has_its_dispatchers() {
    let with = |urls: &str| gateway(&layers(&[("dispatcher_url", urls)], &[], GATEWAY));
    let urls = |urls: &str| with(urls).unwrap().config.dispatcher_urls;
    assert_eq!(urls("http://a:1/, http://b:2"), ["http://a:1", "http://b:2"]);
    assert_eq!(urls("http://[::1]:7070"), ["http://[::1]:7070"]);
    for wrong in ["https://a:1", "http://a", "a:1", "http://a:1/path", "http://u:p@a:1", "http://a:0"] {
        check_mistake(with(wrong), "must be http://host:port");
    }
    check_mistake(with(","), "is empty");
}

#[test]
fn lists_are_text_or_toml() {
    let origins =
        |file: &str| standalone(&layers(&[], &[], file)).unwrap().config.edge.settings.allowed_origins;
    let expected = ["https://a.example", "http://localhost:3000"];
    assert_eq!(origins("allowed_origins = \"https://a.example, http://localhost:3000\""), expected);
    assert_eq!(origins("allowed_origins = [\"https://a.example\", \"http://localhost:3000\"]"), expected);
    assert!(origins("allowed_origins = []").is_empty());
    for (wrong, right) in [
        ("https://a.example/", "such as https://a.example"),
        ("https://a.example:443", "such as https://a.example"),
        ("https://A.example/chat", "such as https://a.example"),
        ("a.example", "such as https://app.example"),
        ("https://*.example", "such as https://app.example"),
        ("*", "must name each site"),
    ] {
        check_mistake(standalone(&layers(&[("allowed_origins", wrong)], &[], "")), right);
    }
}

#[test]
fn one_key_at_most_and_no_weak_one() {
    let with = |name, value| standalone(&layers(&[(name, value)], &[], ""));
    check_mistake(with("jwt_secret", "too-short"), "has 9 bytes and needs 16, better 32");
    let weak = with("jwt_secret", "just-long-enough").unwrap();
    assert!(weak.warnings.len() == 1 && matches!(weak.config.edge.keys, Some(Keys::Hs256(_))));
    assert!(with("jwt_secret", SECRET).unwrap().warnings.is_empty());
    let jwks = with("jwks_url", "https://issuer.example/jwks").unwrap();
    assert!(matches!(jwks.config.edge.keys, Some(Keys::Jwks { .. })));
    check_mistake(with("jwks_url", "ftp://issuer"), "must begin with https:// or http://");

    let both = [("jwt_secret", SECRET), ("jwks_url", "https://issuer")];
    check_mistake(standalone(&layers(&both, &[], "")), "jwt_secret | jwks_url: only one of them");

    check_mistake(with("jwt_public_key_file", "/no/such/file"), "\"/no/such/file\" cannot be read");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    let path = path.to_str().unwrap();
    std::fs::write(path, "no key").unwrap();
    check_mistake(with("jwt_public_key_file", path), "cannot be used: the JWT key file is not PEM");
    let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                  -----END PUBLIC KEY-----\n";
    std::fs::write(path, public).unwrap();
    assert!(matches!(with("jwt_public_key_file", path).unwrap().config.edge.keys, Some(Keys::PublicKey(_))));
}

#[test]
fn values_out_of_range_are_mistakes() {
    let with = |name, value| standalone(&layers(&[(name, value)], &[], ""));
    check_mistake(with("max_connections", "0"), "\"0\" must be a whole number from 1 to 10000000");
    check_mistake(with("max_frame_bytes", "64MB"), "such as 64KiB");
    check_mistake(with("max_frame_bytes", "2MiB"), "must be a size from 1024 to 1048576 bytes");
    check_mistake(with("heartbeat", "0s"), "must be a time from 1s to 3600s");
    check_mistake(with("heartbeat", "99999999999999999999s"), "must be a time such as");
    check_mistake(with("log_level", "info,=="), "must be a level such as info");
    check_mistake(with("log_format", "xml"), "must be text or json");
    check_mistake(with("listen", ":8080"), "0.0.0.0:8080 is every address");
    check_mistake(with("listen", "127.0.0.1:99999"), "must be host:port");
    check_mistake(with("admin_listen", "127.0.0.1:8080"), "must differ from listen");
    check_mistake(
        with("drain_spread", "20s"),
        "must be longer than drain_spread and a quarter, which is 25s",
    );
    let cluster = format!("{GATEWAY}\ndatabase_url = \"postgres://h/d\"");
    check_mistake(
        dispatcher(&layers(&[("database_pool", "4")], &[], &cluster)),
        "4 lanes need a database_pool",
    );
    for good in ["localhost:8080", "[::1]:8080", "0.0.0.0:0"] {
        with("listen", good).unwrap();
    }
}

/// S2 and the house rule: no secret in any output.
#[test]
fn secrets_are_never_shown() {
    let password = "hunter2";
    let file = format!(
        "jwt_secret = \"{password}{SECRET}\"
         nats_url = \"nats://{password}@a:1,nats://bell:{password}@b:2\"
         redis_url = \"redis://:{password}@host:6379/0\"
         dispatcher_url = \"http://127.0.0.1:7070\"
         database_url = \"postgres://bell:{password},x/@host/db?sslpassword={password}&sslmode=require\""
    );
    let layers_of = |file: &str| layers(&[], &[], file);
    let gateway_config = gateway(&layers_of(&file)).unwrap();
    let dispatcher_config = dispatcher(&layers_of(&file)).unwrap();
    let shown = format!("{gateway_config:?}{dispatcher_config:?}");
    assert!(!shown.contains(password) && shown.contains("***"), "{shown}");
    let effective: Vec<_> = [gateway_config.effective, dispatcher_config.effective].concat();
    let value = |name| effective.iter().find(|of| of.name == name).unwrap().value.clone().unwrap();
    assert_eq!(value("jwt_secret"), "***");
    assert_eq!(value("nats_url"), "nats://***@a:1,nats://bell:***@b:2");
    assert_eq!(value("redis_url"), "redis://:***@host:6379/0");
    assert_eq!(value("database_url"), "postgres://bell:***@host/db?sslpassword=***&sslmode=require");
    // The secret itself gets where it is needed.
    assert!(dispatcher_config.config.database_url.reveal().contains(password));

    let wrong = file.replace("nats://", "").replace("redis://", "http://").replace("postgres://", "");
    let wrong = wrong.replace(SECRET, "");
    let found = [mistakes(gateway(&layers_of(&wrong))), mistakes(dispatcher(&layers_of(&wrong)))].concat();
    assert!(found.len() == 5 && !found.concat().contains(password), "{found:#?}");
}

#[test]
fn a_token_is_signed_with_what_is_configured() {
    let environment = [("CARILLON_JWT_SECRET", SECRET), ("CARILLON_JWT_ISSUER", "here")];
    let config = token(&layers(&[], &environment, "data_dir = \"/data\"")).unwrap().config;
    assert_eq!(config.secret.unwrap().reveal(), SECRET);
    assert_eq!((config.issuer.as_deref(), config.data_dir), (Some("here"), PathBuf::from("/data")));
}

#[test]
fn a_vocabulary_is_one_that_ships_or_a_file() {
    let named = |name: &str| standalone(&layers(&[("vocabulary", name)], &[], ""));
    let name = |name: &str| named(name).unwrap().config.edge.vocabulary.name.clone();
    for (shipped, _) in gateway::SHIPPED {
        assert_eq!(name(shipped), shipped);
    }
    assert_eq!(standalone(&layers(&[], &[], "")).unwrap().config.edge.vocabulary.name, "sessions");
    check_mistake(
        named("sesions"),
        "must be sessions, rooms, chats, lobby, conversations, or a file: this one",
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "name = \"mine\"\n[shape]\nerror = \"$error.message\"\n").unwrap();
    assert_eq!(name(path), "mine");
    std::fs::write(&file, "nmae = \"mine\"\n[shape]\nerror = \"$error.mesage\"\n").unwrap();
    let found = mistakes(named(path));
    assert_eq!(
        found,
        [format!(
            "vocabulary (flag): \"{path}\" must be a vocabulary:
    {path}:1:1: `name` is missing
    {path}:1:1: no such key: `nmae`; do you mean `name`?
    {path}:3:9: no such value: `$error.mesage`; do you mean `$error.message`?"
        )]
    );
}

#[test]
fn guests_come_where_the_vocabulary_or_the_setting_lets_them() {
    let guests = |vocabulary: &str, guests: &str| {
        let checked =
            standalone(&layers(&[("vocabulary", vocabulary), ("guests", guests)], &[], "")).unwrap();
        let warned = checked.warnings.iter().any(|warning| warning.starts_with("guests: "));
        (checked.config.edge.vocabulary.guests, warned)
    };
    assert_eq!(guests("lobby", "false"), (true, false));
    assert_eq!(guests("sessions", "false"), (false, false));
    assert_eq!(guests("sessions", "true"), (true, true), "nobody can say a name there");
}
