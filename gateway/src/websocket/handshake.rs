//! The opening handshake (RFC 6455, section 4.2), from a request's head to a
//! decision; and who may connect from which web page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode, Version};
use proto::Encoding;
use sha1::{Digest as _, Sha1};

const VERSION: HeaderValue = HeaderValue::from_static("13");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADE: HeaderValue = HeaderValue::from_static("Upgrade");
/// Section 1.3: what a server appends to the key to show that it means WebSocket.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A request that becomes a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    /// Value of `Sec-WebSocket-Accept`.
    pub accept_key: String,
    /// How this connection's frames are written.
    pub encoding: Encoding,
    /// Value of `Sec-WebSocket-Protocol`, if the client offered one of ours.
    pub subprotocol: Option<&'static str>,
}

impl Accept {
    /// The head of the answer, 101.
    pub fn response(&self) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, WEBSOCKET);
        headers.insert(header::CONNECTION, UPGRADE);
        let key = HeaderValue::from_str(&self.accept_key).expect("base64 is visible ASCII");
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
        if let Some(subprotocol) = self.subprotocol {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
        }
        response
    }
}

/// Why a request does not become a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a GET.
    #[error("a WebSocket is opened with GET")]
    Method,
    /// No `Upgrade: websocket`, or no `Connection: Upgrade`, or not HTTP/1.1.
    #[error("this path speaks WebSocket: `Connection: Upgrade` and `Upgrade: websocket` are needed")]
    NotUpgrade,
    /// Another version than 13.
    #[error("Sec-WebSocket-Version 13 is needed")]
    Version,
    /// The key is not base64 of 16 bytes, or there is not exactly one.
    #[error("Sec-WebSocket-Key must be base64 of 16 bytes")]
    Key,
}

impl Refusal {
    /// The HTTP status to answer with.
    pub fn status(self) -> StatusCode {
        match self {
            Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::NotUpgrade | Refusal::Key => StatusCode::BAD_REQUEST,
            Refusal::Version => StatusCode::UPGRADE_REQUIRED,
        }
    }

    /// The header that says what would have been right.
    pub fn header(self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Refusal::Method => Some((header::ALLOW, HeaderValue::from_static("GET"))),
            Refusal::Version => Some((header::SEC_WEBSOCKET_VERSION, VERSION)),
            Refusal::NotUpgrade | Refusal::Key => None,
        }
    }
}

/// Decides whether a request becomes a WebSocket, and in which encoding.
pub fn accept(request: &Parts) -> Result<Accept, Refusal> {
    let headers = &request.headers;
    if request.method != Method::GET {
        return Err(Refusal::Method);
    }
    if request.version != Version::HTTP_11
        || !has_token(headers, header::CONNECTION, "upgrade")
        || !has_token(headers, header::UPGRADE, "websocket")
    {
        return Err(Refusal::NotUpgrade);
    }
    if only(headers, header::SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(Refusal::Version);
    }
    let key = only(headers, header::SEC_WEBSOCKET_KEY).ok_or(Refusal::Key)?;
    if !STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16) {
        return Err(Refusal::Key);
    }
    // Extensions are not looked at: silence declines them.
    let encoding = tokens(headers, header::SEC_WEBSOCKET_PROTOCOL).find_map(Encoding::from_subprotocol);
    Ok(Accept {
        accept_key: accept_key(key),
        encoding: encoding.unwrap_or(Encoding::Json),
        subprotocol: encoding.map(Encoding::subprotocol),
    })
}

fn accept_key(key: &str) -> String {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    STANDARD.encode(digest)
}

/// The value of a header that must stand exactly once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.to_str().ok()?.trim()),
        _ => None,
    }
}

/// The elements of a header that is a list, over all its lines.
fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token))
}

/// Whether a connection may be opened by the page that it says it comes from.
///
/// Browsers tell the page's origin and scripts cannot change it, so this keeps
/// other sites' pages out. It proves nothing of other clients, who may leave
/// `Origin` out: the caller then asks for a bearer token in the request.
///
/// `allowed` is compared whole, and the page that this host served itself is
/// always allowed.
pub fn origin_allowed(origin: Option<&str>, host: Option<&str>, allowed: &[String]) -> bool {
    let Some(origin) = origin else { return true };
    if origin == "null" {
        return false;
    }
    if allowed.iter().any(|allowed| allowed == origin) {
        return true;
    }
    let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    match (authority, host) {
        (Some(authority), Some(host)) => !host.is_empty() && authority.eq_ignore_ascii_case(host),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn request(change: impl FnOnce(&mut Parts)) -> Parts {
        let (mut parts, ()) = Request::builder()
            .uri("/v1/ws")
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", KEY)
            .body(())
            .unwrap()
            .into_parts();
        change(&mut parts);
        parts
    }

    fn with(name: &'static str, value: &'static str) -> Parts {
        request(|parts| {
            parts.headers.insert(name, HeaderValue::from_static(value));
        })
    }

    #[test]
    fn example_of_the_rfc() {
        let accepted = accept(&request(|_| {})).unwrap();
        assert_eq!(accepted.accept_key, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!((accepted.encoding, accepted.subprotocol), (Encoding::Json, None));
        let response = accepted.response();
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()["upgrade"], "websocket");
        assert_eq!(response.headers()["connection"], "Upgrade");
        assert!(!response.headers().contains_key("sec-websocket-protocol"));
    }

    #[test]
    fn what_is_not_a_websocket_is_refused() {
        let without = |name: &'static str| {
            request(|parts| {
                parts.headers.remove(name);
            })
        };
        let twice = request(|parts| {
            parts.headers.append("sec-websocket-key", HeaderValue::from_static(KEY));
        });
        let cases = [
            (request(|parts| parts.method = Method::POST), Refusal::Method),
            (request(|parts| parts.version = Version::HTTP_10), Refusal::NotUpgrade),
            (without("upgrade"), Refusal::NotUpgrade),
            (without("connection"), Refusal::NotUpgrade),
            (with("upgrade", "h2c"), Refusal::NotUpgrade),
            (with("connection", "keep-alive"), Refusal::NotUpgrade),
            (without("sec-websocket-version"), Refusal::Version),
            (with("sec-websocket-version", "8"), Refusal::Version),
            (without("sec-websocket-key"), Refusal::Key),
            (with("sec-websocket-key", ""), Refusal::Key),
            (with("sec-websocket-key", "not base64!"), Refusal::Key),
            (with("sec-websocket-key", "c2hvcnQ="), Refusal::Key),
            (twice, Refusal::Key),
        ];
        for (request, refusal) in cases {
            assert_eq!(accept(&request), Err(refusal), "{:?}", request.headers);
        }
        assert_eq!(Refusal::Version.status(), 426);
        assert_eq!(Refusal::Version.header().unwrap().1, "13");
    }

    #[test]
    fn the_first_subprotocol_of_ours_is_taken() {
        let cases = [
            ("carillon.v1.json", Encoding::Json, Some("carillon.v1.json")),
            ("carillon.v1.proto", Encoding::Protobuf, Some("carillon.v1.proto")),
            ("graphql-ws, carillon.v1.proto,carillon.v1.json", Encoding::Protobuf, Some("carillon.v1.proto")),
            ("graphql-ws", Encoding::Json, None),
            ("CARILLON.V1.PROTO", Encoding::Json, None),
        ];
        for (offered, encoding, subprotocol) in cases {
            let accepted = accept(&with("sec-websocket-protocol", offered)).unwrap();
            assert_eq!((accepted.encoding, accepted.subprotocol), (encoding, subprotocol), "{offered}");
        }
        let lines = request(|parts| {
            for line in ["graphql-ws", "carillon.v1.proto"] {
                parts.headers.append("sec-websocket-protocol", HeaderValue::from_static(line));
            }
        });
        assert_eq!(accept(&lines).unwrap().encoding, Encoding::Protobuf);
    }

    #[test]
    fn compression_is_never_negotiated() {
        let offered = with("sec-websocket-extensions", "permessage-deflate; client_max_window_bits");
        let response = accept(&offered).unwrap().response();
        assert!(!response.headers().contains_key("sec-websocket-extensions"));
    }

    #[test]
    fn only_listed_and_own_origins_are_allowed() {
        let allowed = ["https://chat.example.com".to_owned(), "http://localhost:5173".to_owned()];
        let host = Some("api.example.com:8443");
        let cases = [
            (None, true),
            (Some("https://chat.example.com"), true),
            (Some("http://localhost:5173"), true),
            (Some("https://api.example.com:8443"), true),
            (Some("http://API.example.com:8443"), true),
            (Some("null"), false),
            (Some(""), false),
            (Some("http://chat.example.com"), false),
            (Some("https://chat.example.com:444"), false),
            (Some("https://chat.example.com."), false),
            (Some("https://chat.example.com.evil.org"), false),
            (Some("https://chat.example.com@evil.org"), false),
            (Some("https://evilchat.example.com"), false),
            (Some("https://chat.example.com/"), false),
            (Some("https://chat-example.com"), false),
            (Some("https://api.example.com"), false),
            (Some("https://api.example.com:8443.evil.org"), false),
            (Some("ftp://api.example.com:8443"), false),
            (Some("api.example.com:8443"), false),
            (Some("https://chat.example.com https://evil.org"), false),
        ];
        for (origin, expected) in cases {
            assert_eq!(origin_allowed(origin, host, &allowed), expected, "{origin:?}");
        }
        assert!(!origin_allowed(Some("https://"), Some(""), &allowed));
        assert!(!origin_allowed(Some("https://evil.org"), None, &allowed));
        assert!(!origin_allowed(Some("null"), Some("null"), &["null".to_owned()]));
    }
}
