//! Attacks S4, S5 and S6 on tokens, and what honest issuers send.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{self as signing, KeyPair as _};
use axum::Router;
use axum::body::Body;
use axum::http::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use super::*;

const SECRET: &[u8] = b"a secret of the issuer, long enough";

/// An issuer's key pair.
struct Issuer {
    algorithm: Algorithm,
    private: EncodingKey,
    pem: String,
    jwk: Value,
}

impl Issuer {
    fn new(algorithm: Algorithm, private: EncodingKey, public_der: &[u8]) -> Self {
        let body = STANDARD.encode(public_der);
        let lines: Vec<_> =
            body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
        let jwk = serde_json::to_value(Jwk::from_encoding_key(&private, algorithm).unwrap()).unwrap();
        Self { algorithm, private, pem, jwk }
    }

    fn rsa() -> Self {
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let private: aws_lc_rs::encoding::Pkcs8V1Der = pair.as_der().unwrap();
        let private = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
            STANDARD.encode(private.as_ref())
        );
        let public: aws_lc_rs::encoding::PublicKeyX509Der = pair.public_key().as_der().unwrap();
        Self::new(Algorithm::RS256, EncodingKey::from_rsa_pem(private.as_bytes()).unwrap(), public.as_ref())
    }

    fn ec() -> Self {
        let pair = signing::EcdsaKeyPair::generate(&signing::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let public: aws_lc_rs::encoding::PublicKeyX509Der = pair.public_key().as_der().unwrap();
        let private = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
        Self::new(Algorithm::ES256, private, public.as_ref())
    }

    fn ed() -> Self {
        let pair = signing::Ed25519KeyPair::generate().unwrap();
        let public: aws_lc_rs::encoding::PublicKeyX509Der = pair.public_key().as_der().unwrap();
        let private = EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref());
        Self::new(Algorithm::EdDSA, private, public.as_ref())
    }

    fn token(&self, kid: Option<&str>) -> String {
        self.sign(Header { kid: kid.map(str::to_owned), ..Header::new(self.algorithm) })
    }

    fn sign(&self, header: Header) -> String {
        encode(&header, &json!({"sub": "ada", "exp": now() + 600}), &self.private).unwrap()
    }

    /// The key as it stands in a set.
    fn listed(&self, kid: &str) -> Value {
        let mut jwk = self.jwk.clone();
        jwk["kid"] = json!(kid);
        jwk["use"] = json!("sig");
        jwk
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn hs256() -> Authenticator {
    Authenticator::new(Keys::Hs256(SECRET.to_vec())).unwrap()
}

fn by_pem(issuer: &Issuer) -> Authenticator {
    Authenticator::new(Keys::PublicKey(issuer.pem.clone())).unwrap()
}

fn signed(claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

/// A token put together by hand, signed with HS256 and `secret`.
fn by_hand(header: &Value, claims: &str, secret: &[u8]) -> String {
    let message =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &EncodingKey::from_secret(secret), Algorithm::HS256)
            .unwrap();
    format!("{message}.{signature}")
}

async fn refused(authenticator: &Authenticator, token: &str) {
    let found = authenticator.identify(token).await;
    assert!(matches!(found, Err(AuthError::Refused(_))), "{found:?} for {token:.200}");
}

#[tokio::test]
async fn a_good_token_says_who_it_is() {
    let exp = now() + 600;
    let token = signed(&json!({"userId": 7, "username": "Ada", "role": "service", "iat": 5, "exp": exp}));
    let identity = hs256().identify(&token).await.unwrap();
    let expected = Identity {
        user: UserId::new("7").unwrap(),
        name: "Ada".to_owned(),
        service: true,
        issued_at: Some(5),
        expires_at: Some(exp as i64),
    };
    assert_eq!(identity, expected);
    assert!(hs256().identify(&signed(&json!({"sub": "a"}))).await.unwrap().expires_at.is_none());
}

#[tokio::test]
async fn each_kind_of_public_key_checks_its_own_tokens() {
    let issuers = [Issuer::rsa(), Issuer::ec(), Issuer::ed()];
    for issuer in &issuers {
        let authenticator = by_pem(issuer);
        assert_eq!(authenticator.identify(&issuer.token(None)).await.unwrap().user.as_str(), "ada");
        for other in &issuers {
            if other.algorithm != issuer.algorithm {
                refused(&authenticator, &other.token(None)).await;
            }
        }
        refused(&authenticator, &signed(&json!({"sub": "ada"}))).await;
    }
    refused(&by_pem(&issuers[0]), &Issuer::rsa().token(None)).await;
}

#[test]
fn keys_that_check_nothing_are_refused_at_the_start() {
    let rsa = Issuer::rsa();
    let truncated: String = rsa.pem.lines().filter(|line| !line.contains("AQAB")).take(3).collect();
    for keys in [
        Keys::Hs256(Vec::new()),
        Keys::PublicKey(String::new()),
        Keys::PublicKey("secret".to_owned()),
        Keys::PublicKey(truncated),
        Keys::PublicKey("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----".to_owned()),
        Keys::Jwks { url: "keys.json".to_owned() },
        Keys::Jwks { url: "file:///etc/passwd".to_owned() },
    ] {
        let kind = format!("{keys:?}");
        assert!(Authenticator::new(keys).is_err(), "{kind}");
    }
}

/// Attack S4.
#[tokio::test]
async fn the_header_does_not_choose_the_algorithm() {
    let rsa = Issuer::rsa();
    let claims = json!({"sub": "ada"}).to_string();
    for authenticator in [hs256(), by_pem(&rsa)] {
        for none in ["none", "None", "NONE", "nOnE", "", "HS1", "hs256"] {
            for end in ["", "AAAA"] {
                let header = URL_SAFE_NO_PAD.encode(json!({"alg": none, "typ": "JWT"}).to_string());
                let token = format!("{header}.{}.{end}", URL_SAFE_NO_PAD.encode(&claims));
                refused(&authenticator, &token).await;
            }
        }
    }
    // The public key as an HMAC secret, in the forms in which one might have it.
    for secret in [rsa.pem.as_bytes(), rsa.pem.trim().as_bytes(), rsa.jwk["n"].as_str().unwrap().as_bytes()] {
        refused(&by_pem(&rsa), &by_hand(&json!({"alg": "HS256"}), &claims, secret)).await;
    }
    // One algorithm, not the family.
    let hs512 =
        encode(&Header::new(Algorithm::HS512), &json!({"sub": "a"}), &EncodingKey::from_secret(SECRET));
    refused(&hs256(), &hs512.unwrap()).await;
}

/// Attack S4.
#[tokio::test]
async fn damaged_tokens_are_refused() {
    let token = signed(&json!({"sub": "ada"}));
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    let other = URL_SAFE_NO_PAD.encode(json!({"sub": "eve"}).to_string());
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        message.to_owned(),
        format!("{message}."),
        format!("{message}.{}", &signature[..signature.len() - 4]),
        format!("{message}.{signature}="),
        format!("{message}.{signature}.{signature}"),
        format!("{header}.{other}.{signature}"),
        format!("{header}..{signature}"),
        format!(".{claims}.{signature}"),
        format!(" {token}"),
        format!("{token}\n"),
        "a".repeat(100_000),
        format!("{token}{}", "A".repeat(10_000)),
        by_hand(&json!({"alg": "HS256"}), &json!({"sub": "ada"}).to_string(), b"another secret"),
        by_hand(&json!({"alg": "HS256", "crit": ["exp"]}), &json!({"sub": "ada"}).to_string(), SECRET),
        by_hand(&json!({"alg": "HS256"}), "null", SECRET),
        by_hand(&json!({"alg": "HS256"}), "[]", SECRET),
        by_hand(&json!({"alg": "HS256"}), "{\"sub\":\"ada\",\"sub\":\"eve\"}", SECRET),
        by_hand(&json!({"alg": "HS256"}), &"[".repeat(4000), SECRET),
    ] {
        refused(&hs256(), &bad).await;
    }
}

/// Attack S4: what the header points to is not looked at.
#[tokio::test]
async fn keys_in_the_header_are_ignored() {
    let (ours, theirs) = (Issuer::rsa(), Issuer::rsa());
    let header = |issuer: &Issuer| Header {
        kid: Some("../../dev/null".to_owned()),
        jku: Some("http://127.0.0.1:1/keys".to_owned()),
        x5u: Some("http://127.0.0.1:1/chain".to_owned()),
        x5c: Some(vec!["AAAA".to_owned()]),
        jwk: serde_json::from_value(issuer.jwk.clone()).unwrap(),
        ..Header::new(Algorithm::RS256)
    };
    refused(&by_pem(&ours), &theirs.sign(header(&theirs))).await;
    assert!(by_pem(&ours).identify(&ours.sign(header(&theirs))).await.is_ok());
}

/// Attack S6.
#[tokio::test]
async fn claims_of_odd_forms_are_refused() {
    for claim in ["exp", "nbf"] {
        for value in ["\"9999999999\"", "9999999999.5", "-1", "1e308", "1e999", "null", "{}"] {
            let claims = format!("{{\"sub\":\"ada\",\"{claim}\":{value}}}");
            refused(&hs256(), &by_hand(&json!({"alg": "HS256"}), &claims, SECRET)).await;
        }
    }
    for claims in [json!({}), json!({"sub": "a/b"}), json!({"name": "ada"})] {
        refused(&hs256(), &signed(&claims)).await;
    }
    let expired = hs256().identify(&signed(&json!({"sub": "ada", "exp": now() - 60}))).await;
    assert_eq!(expired, Err(AuthError::Expired));
    refused(&hs256(), &signed(&json!({"sub": "ada", "nbf": now() + 600}))).await;
}

/// Attack S6.
#[tokio::test]
async fn issuer_and_audience_count_when_configured() {
    let strict = || hs256().issuer("https://issuer").audience("chat");
    let claims = |iss: Value, aud: Value| signed(&json!({"sub": "ada", "iss": iss, "aud": aud}));
    assert!(strict().identify(&claims(json!("https://issuer"), json!("chat"))).await.is_ok());
    assert!(strict().identify(&claims(json!("https://issuer"), json!(["x", "chat"]))).await.is_ok());
    for (iss, aud) in [
        (json!("https://other"), json!("chat")),
        (json!(null), json!("chat")),
        (json!(7), json!("chat")),
        (json!("https://issuer"), json!("mail")),
        (json!("https://issuer"), json!([])),
        (json!("https://issuer"), json!(["mail"])),
        (json!("https://issuer"), json!(null)),
        (json!("https://issuer"), json!({"chat": 1})),
    ] {
        refused(&strict(), &claims(iss, aud)).await;
    }
    refused(&strict(), &signed(&json!({"sub": "ada"}))).await;
    // Not configured: not looked at.
    assert!(hs256().identify(&claims(json!("https://other"), json!("mail"))).await.is_ok());
}

/// An issuer's server, with an answer that can be changed.
struct KeyServer {
    url: String,
    fetches: Arc<AtomicUsize>,
    answer: tokio::sync::watch::Sender<Answer>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Clone)]
enum Answer {
    Keys(Vec<Value>),
    Bytes(usize),
    Redirect,
    Status(u16),
    Never,
}

impl KeyServer {
    async fn start(answer: Answer) -> Self {
        let (sender, answer) = tokio::sync::watch::channel(answer);
        let fetches = Arc::new(AtomicUsize::new(0));
        let counter = fetches.clone();
        let handler = move |uri: axum::http::Uri| async move {
            assert_ne!(uri.path(), "/elsewhere", "redirects are not followed");
            counter.fetch_add(1, SeqCst);
            let answer = answer.borrow().clone();
            let response = Response::builder();
            match answer {
                Answer::Keys(keys) => response.body(Body::from(json!({"keys": keys}).to_string())),
                Answer::Bytes(count) => response.body(Body::from(vec![b' '; count])),
                Answer::Redirect => response.status(302).header("location", "/elsewhere").body(Body::empty()),
                Answer::Status(status) => response.status(status).body(Body::empty()),
                Answer::Never => std::future::pending().await,
            }
            .unwrap()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let serve = async move { axum::serve(listener, Router::new().fallback(handler)).await.unwrap() };
        Self { url, fetches, answer: sender, _task: AbortOnDropHandle::new(tokio::spawn(serve)) }
    }

    fn authenticator(&self, times: Times) -> Authenticator {
        Authenticator::with_times(Keys::Jwks { url: self.url.clone() }, times).unwrap()
    }
}

#[tokio::test]
async fn keys_of_a_set_are_used_by_their_id() {
    let (rsa, ec, ed) = (Issuer::rsa(), Issuer::ec(), Issuer::ed());
    let secret = json!({"kty": "oct", "kid": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET)});
    let mut encryption = rsa.listed("enc");
    encryption["use"] = json!("enc");
    let unknown = json!({"kty": "PQC", "kid": "new"});
    let keys = vec![secret, encryption, unknown, json!(7), rsa.listed("r"), ec.listed("e"), ed.listed("d")];
    let server = KeyServer::start(Answer::Keys(keys)).await;
    let authenticator = server.authenticator(Times::default());

    for (issuer, kid) in [(&rsa, "r"), (&ec, "e"), (&ed, "d")] {
        assert!(authenticator.identify(&issuer.token(Some(kid))).await.is_ok(), "{kid}");
        // Without an id there is one key that fits.
        assert!(authenticator.identify(&issuer.token(None)).await.is_ok(), "{kid}");
    }
    refused(&authenticator, &rsa.token(Some("enc"))).await;
    refused(&authenticator, &rsa.token(Some("e"))).await;
    refused(&authenticator, &Issuer::rsa().token(Some("r"))).await;
    for kid in ["oct", "r"] {
        let header = json!({"alg": "HS256", "kid": kid});
        refused(&authenticator, &by_hand(&header, &json!({"sub": "ada"}).to_string(), SECRET)).await;
    }
    let odd = ["../../etc/passwd", "' OR 1=1 --", "", "\0", &"k".repeat(5000), &"k".repeat(10_000)];
    for kid in odd {
        refused(&authenticator, &rsa.token(Some(kid))).await;
    }
}

/// Attack S5, fault F18.
#[tokio::test]
async fn a_flood_of_unknown_keys_fetches_once() {
    let ours = Issuer::ec();
    let theirs = Issuer::ec();
    let server = KeyServer::start(Answer::Keys(vec![ours.listed("a")])).await;
    let authenticator = Arc::new(server.authenticator(Times::default()));
    assert!(authenticator.identify(&ours.token(Some("a"))).await.is_ok());
    assert_eq!(server.fetches.load(SeqCst), 1);

    let mut floods = tokio::task::JoinSet::new();
    for flood in 0..100 {
        let authenticator = authenticator.clone();
        let tokens: Vec<_> = (0..10).map(|i| theirs.token(Some(&format!("{flood}-{i}")))).collect();
        floods.spawn(async move {
            for token in tokens {
                refused(&authenticator, &token).await;
            }
        });
    }
    floods.join_all().await;
    assert_eq!(server.fetches.load(SeqCst), 2);
    assert!(authenticator.identify(&ours.token(Some("a"))).await.is_ok());
}

/// Attack S5.
#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it() {
    let (old, new) = (Issuer::ec(), Issuer::ec());
    let server = KeyServer::start(Answer::Keys(vec![old.listed("old")])).await;
    let authenticator = server.authenticator(Times::default());
    assert!(authenticator.identify(&old.token(Some("old"))).await.is_ok());

    server.answer.send_replace(Answer::Keys(vec![new.listed("new")]));
    assert!(authenticator.identify(&new.token(Some("new"))).await.is_ok());
    refused(&authenticator, &old.token(Some("old"))).await;
    assert_eq!(server.fetches.load(SeqCst), 2);
}

/// Attack S5.
#[tokio::test]
async fn the_last_good_set_survives_a_bad_server() {
    let issuer = Issuer::ec();
    let bad = [
        Answer::Status(500),
        Answer::Redirect,
        Answer::Bytes(10 << 20),
        Answer::Bytes(10),
        Answer::Keys(Vec::new()),
        Answer::Never,
    ];
    for bad in bad {
        let server = KeyServer::start(Answer::Keys(vec![issuer.listed("a")])).await;
        let times = Times { timeout: Duration::from_secs(1), ..Times::default() };
        let authenticator = server.authenticator(times);
        assert!(authenticator.identify(&issuer.token(Some("a"))).await.is_ok());
        server.answer.send_replace(bad);
        // The fetch for an unknown key fails: it may exist.
        let unknown = authenticator.identify(&issuer.token(Some("b"))).await;
        assert_eq!(unknown, Err(AuthError::Unavailable));
        assert!(authenticator.identify(&issuer.token(Some("a"))).await.is_ok());
    }
}

#[tokio::test]
async fn without_any_keys_nobody_knows_and_fetching_goes_on() {
    let issuer = Issuer::ec();
    let server = KeyServer::start(Answer::Status(503)).await;
    let times = Times { retry: Duration::from_millis(10), ..Times::default() };
    let authenticator = server.authenticator(times);
    let token = issuer.token(Some("a"));
    assert_eq!(authenticator.identify(&token).await, Err(AuthError::Unavailable));

    server.answer.send_replace(Answer::Keys(vec![issuer.listed("a")]));
    let recovered = async {
        while authenticator.identify(&token).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), recovered).await.expect("the keys arrive by themselves");
}

#[tokio::test]
async fn the_set_is_fetched_again_from_time_to_time() {
    let (old, new) = (Issuer::ec(), Issuer::ec());
    let server = KeyServer::start(Answer::Keys(vec![old.listed("old")])).await;
    let authenticator =
        server.authenticator(Times { refresh: Duration::from_millis(10), ..Times::default() });
    assert!(authenticator.identify(&old.token(Some("old"))).await.is_ok());
    server.answer.send_replace(Answer::Keys(vec![new.listed("new")]));
    // A key that was withdrawn stops counting without anybody asking for another.
    let withdrawn = async {
        while authenticator.identify(&old.token(Some("old"))).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), withdrawn).await.expect("the old key goes");
}
