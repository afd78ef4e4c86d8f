//! What the router refuses by itself: no dispatcher is needed to say no.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::routing::get;
use http::{Request, Response};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::*;
use crate::auth::Keys;
use crate::link::Endpoints;
use crate::vocabulary::{Desk, Vocabulary};

const SECRET: &[u8] = b"a secret of the issuer, long enough";
const ORIGIN: &str = "https://chat.example.com";

/// Routes of a gateway that is connected to no dispatcher: commands time out.
/// One that is stopping does not even wait with its questions.
fn routes(stopping: bool) -> Router {
    let settings = Settings {
        allowed_origins: vec!["*".to_owned(), ORIGIN.to_owned()],
        max_frame_bytes: 1000,
        http_timeout: Duration::from_millis(50),
        command_timeout: Duration::from_millis(50),
        ..Settings::default()
    };
    let stop = CancellationToken::new();
    if stopping {
        stop.cancel();
    }
    let link = Link::start(
        Endpoints::Remote(Vec::new()),
        settings.command_timeout,
        Default::default(),
        Arc::default(),
        TaskTracker::new(),
        stop,
    );
    let presence = Arc::new(bus::local::LocalPresence::new("node", bus::PresenceTimes::default()));
    let authenticator = Arc::new(Authenticator::new(Keys::Hs256(SECRET.to_vec())).unwrap());
    let words = Vocabulary::shipped("sessions").expect("it ships");
    let words = Arc::new(Vocabulary::parse(words).expect("it is right"));
    let desk = Arc::new(Desk::new(link.clone(), presence.clone(), words));
    router(RestState { link, authenticator, presence, desk, settings })
        .merge(Router::new().route("/elsewhere", get(|| async { "merged" })))
}

fn token(claims: Value) -> String {
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

/// A request of a server of the application, which no revocation concerns.
fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    let service = token(json!({"sub": "server", "role": "service"}));
    Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {service}"))
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

async fn answer(request: Request<Body>) -> Response<Body> {
    let asks = request.method() == "GET";
    routes(asks).oneshot(request).await.unwrap()
}

/// The status and code of a problem; everything refused is one.
async fn refused(request: Request<Body>) -> (u16, String) {
    let (parts, body) = answer(request).await.into_parts();
    assert_eq!(parts.headers["content-type"], "application/problem+json");
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["status"], parts.status.as_u16());
    (parts.status.as_u16(), problem["code"].as_str().unwrap().to_owned())
}

async fn check(request: Request<Body>, status: u16, code: &str) {
    let what = format!("{} {}", request.method(), request.uri());
    assert_eq!(refused(request).await, (status, code.to_owned()), "{what}");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    check(request("GET", "/v2/rooms", ""), 404, "not_found").await;
    check(request("GET", "/v1/rooms/", ""), 404, "not_found").await;
    check(request("GET", "/metrics", ""), 404, "not_found").await;
    check(request("PUT", "/v1/rooms", ""), 405, "method_not_allowed").await;
    check(request("DELETE", "/v1/snapshot", ""), 405, "method_not_allowed").await;
    let allow = answer(request("PUT", "/v1/rooms", "")).await.headers()["allow"].clone();
    assert_eq!(allow, "GET,HEAD,POST");
}

#[tokio::test]
async fn without_a_good_token_nothing_is_said() {
    let with = |value: Option<&str>| {
        let mut request = request("GET", "/v1/rooms", "");
        request.headers_mut().remove("authorization");
        if let Some(value) = value {
            request.headers_mut().insert("authorization", value.parse().unwrap());
        }
        request
    };
    check(with(None), 401, "unauthenticated").await;
    check(with(Some("Basic YTpi")), 401, "token_refused").await;
    check(with(Some("Bearer x.y.z")), 401, "token_refused").await;
    let expired = token(json!({"sub": "ada", "exp": 1000}));
    check(with(Some(&format!("Bearer {expired}"))), 401, "token_expired").await;
    assert_eq!(answer(with(None)).await.headers()["www-authenticate"], "Bearer");
    // The token comes before everything else that may be wrong.
    for (method, path) in [
        ("POST", "/v1/rooms"),
        ("GET", "/v1/rooms/a%20b"),
        ("GET", "/v1/rooms?limit=x"),
        ("GET", "/v1/messages/m"),
        ("POST", "/v1/notifications"),
        ("POST", "/v1/users/u/disconnect"),
    ] {
        let mut request = request(method, path, "not JSON");
        request.headers_mut().remove("authorization");
        check(request, 401, "unauthenticated").await;
    }
}

/// Promise P5: whoever's token might be revoked waits until the store can say.
#[tokio::test]
async fn a_user_is_not_let_in_unseen_by_the_store() {
    let mut request = request("GET", "/v1/presence", "");
    let user = token(json!({"sub": "ada", "iat": 1000}));
    request.headers_mut().insert("authorization", format!("Bearer {user}").parse().unwrap());
    check(request, 503, "unavailable").await;
}

/// Attack S8: the same as for an id that does not exist.
#[tokio::test]
async fn ids_that_cannot_exist_are_answered_as_absent() {
    for id in ["a%20b", "a%2Fb", "*", "%3E", "%0D%0A", "%C3%A4", &"a".repeat(65)] {
        check(request("GET", &format!("/v1/rooms/{id}"), ""), 403, "not_member").await;
        check(request("POST", &format!("/v1/rooms/{id}/messages"), "{}"), 403, "not_member").await;
        check(request("GET", &format!("/v1/messages/{id}"), ""), 404, "not_found").await;
        check(request("DELETE", &format!("/v1/rooms/r/members/{id}"), ""), 404, "not_found").await;
        check(request("POST", &format!("/v1/users/{id}/disconnect"), ""), 404, "not_found").await;
        check(request("GET", &format!("/v1/presence?room={id}"), ""), 403, "not_member").await;
    }
    check(request("GET", "/v1/rooms/%FF", ""), 403, "not_member").await;
}

/// Attacks S15 and S17, fault F22.
#[tokio::test]
async fn bodies_and_queries_of_bad_form_are_refused() {
    let deep = format!("{{\"data\":{}", "[".repeat(900));
    for body in [
        "",
        "null",
        "[]",
        "{",
        "{\"kind\":\"party\"}",
        "{\"kind\":7}",
        "{\"members\":\"ada\"}",
        "{\"name\":\"\\ud800\"}",
        "{\"name\":\"a\",\"name\":\"b\"}",
        &deep,
    ] {
        check(request("POST", "/v1/rooms", body.to_owned()), 400, "malformed").await;
    }
    check(request("POST", "/v1/rooms", &b"{\"name\":\"\xff\"}"[..]), 400, "malformed").await;
    check(request("POST", "/v1/rooms/r/messages", "{\"type\":\"SMELL\"}"), 400, "malformed").await;
    check(request("POST", "/v1/rooms/r/messages", deep), 400, "malformed").await;
    check(request("PATCH", "/v1/rooms/r/members/u", "{\"role\":\"KING\"}"), 400, "malformed").await;
    check(request("POST", "/v1/rooms", "x".repeat(1001)), 413, "too_large").await;

    for query in ["limit=x", "limit=-1", "limit=10000000000", "before=-1", "before=1e9", "limit=1&limit=2"] {
        check(request("GET", &format!("/v1/rooms/r/messages?{query}"), ""), 400, "malformed").await;
    }
    check(request("GET", "/v1/rooms/r/search", ""), 400, "malformed").await;
    check(request("GET", "/v1/presence", ""), 422, "invalid").await;
    let crowd = vec!["u"; 101].join(",");
    check(request("GET", &format!("/v1/presence?users={crowd}"), ""), 413, "too_large").await;
}

#[tokio::test]
async fn only_json_is_taken() {
    for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        let mut request = request("POST", "/v1/rooms", "{}");
        match kind {
            Some(kind) => request.headers_mut().insert("content-type", kind.parse().unwrap()),
            None => request.headers_mut().remove("content-type"),
        };
        check(request, 415, "malformed").await;
    }
}

/// Attack S13.
#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let never = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    check(request("POST", "/v1/rooms", never), 408, "timeout").await;
}

#[tokio::test]
async fn a_body_that_may_be_left_out_is_checked_when_it_is_there() {
    let with_length = |body: &'static str| {
        let mut request = request("POST", "/v1/rooms/r/read", body);
        request.headers_mut().insert("content-length", body.len().to_string().parse().unwrap());
        request
    };
    check(with_length("{\"seq\":-1}"), 400, "malformed").await;
    // Nobody is there to run what is well formed.
    check(with_length("{\"seq\":7}"), 504, "timeout").await;
    check(request("POST", "/v1/rooms/r/read", ""), 504, "timeout").await;
}

#[tokio::test]
async fn well_formed_commands_go_to_a_dispatcher() {
    for (method, path, body) in [
        ("POST", "/v1/rooms", r#"{"kind":"direct","user":"ben"}"#),
        ("POST", "/v1/rooms", r#"{"kind":"GROUP","name":"Bells","members":["ben"],"id":"bells"}"#),
        ("PATCH", "/v1/rooms/r", r#"{"name":"Bells"}"#),
        ("DELETE", "/v1/rooms/r", ""),
        ("POST", "/v1/rooms/r/members", r#"{"users":["ben"]}"#),
        ("POST", "/v1/rooms/r/members", "{}"),
        ("PATCH", "/v1/rooms/r/members/ben", r#"{"role":"admin"}"#),
        ("DELETE", "/v1/rooms/r/members/ben", ""),
        ("POST", "/v1/rooms/r/messages", r#"{"type":"image","data":{"url":"x"},"later":1}"#),
        ("PATCH", "/v1/messages/m", r#"{"text":"hi"}"#),
        ("PUT", "/v1/messages/m", r#"{"text":"hi"}"#),
        ("DELETE", "/v1/messages/m", ""),
        ("POST", "/v1/notifications", r#"{"user":"ben","type":"LIKE","data":{"post":7}}"#),
        ("POST", "/v1/notifications/read", ""),
        ("POST", "/v1/users/ben/disconnect", ""),
    ] {
        check(request(method, path, body), 504, "timeout").await;
    }
    for path in [
        "/v1/snapshot?rooms=5",
        "/v1/rooms?limit=5&skip=5",
        "/v1/rooms/r",
        "/v1/rooms/r/members?after=ben",
        "/v1/rooms/r/messages?before=7&limit=1000",
        "/v1/rooms/r/search?q=bell%20tower",
        "/v1/messages/m",
        "/v1/notifications?unread=true",
        "/v1/presence?room=r",
        "/v1/presence?users=ben,eva",
    ] {
        check(request("GET", path, ""), 503, "unavailable").await;
    }
}

#[tokio::test]
async fn health_says_when_nothing_works() {
    let response = answer(Request::get("/health").body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), 503);
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body, json!({"status": "unavailable", "database": "down"}));
}

/// Attack S1: pages of configured origins only.
#[tokio::test]
async fn other_sites_pages_may_not_read_answers() {
    let preflight = |origin: &'static str| {
        Request::builder()
            .method("OPTIONS")
            .uri("/v1/rooms")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type,idempotency-key")
            .body(Body::empty())
            .unwrap()
    };
    let response = answer(preflight(ORIGIN)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["access-control-allow-origin"], ORIGIN);
    assert!(!response.headers().contains_key("access-control-allow-credentials"));
    for other in ["https://evil.example", "null", "https://chat.example.com.evil.example"] {
        assert!(!answer(preflight(other)).await.headers().contains_key("access-control-allow-origin"));
    }
    let mut plain = request("GET", "/v2", "");
    plain.headers_mut().insert("origin", ORIGIN.parse().unwrap());
    assert_eq!(answer(plain).await.headers()["access-control-allow-origin"], ORIGIN);
}

#[tokio::test]
async fn a_panic_is_an_internal_error() {
    async fn panics() {
        panic!("on purpose")
    }
    let router: Router = Router::new().route("/panic", get(panics)).layer(CatchPanicLayer::custom(panicked));
    let response = router.oneshot(Request::get("/panic").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 500);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn other_routers_are_merged_into_it() {
    let response = answer(Request::get("/elsewhere").body(Body::empty()).unwrap()).await;
    assert_eq!(to_bytes(response.into_body(), 100).await.unwrap(), "merged");
}
