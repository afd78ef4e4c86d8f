//! The reference: what there is to call and to hear, written down by the code
//! that answers and tells it. `/openapi.json` is put together from what handlers
//! say of themselves, `/asyncapi.json` from the table of frames, and what the
//! vocabulary adds to both from the vocabulary; `/docs` shows them to people.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::{StatusCode, header};
use serde_json::Value;

use crate::page;
use crate::rest::problem;
use crate::vocabulary::Vocabulary;

mod asyncapi;
mod channel;
mod endpoints;
pub(crate) mod examples;
mod frames;
mod openapi;
mod schema;
mod spoken;
pub(crate) mod wire;

/// Files of the page, each with its path below `/docs`.
const FILES: [(&str, &str, &str); 3] = [
    ("/docs", "text/html; charset=utf-8", include_str!("../../../web/reference/index.html")),
    ("/docs/style.css", "text/css; charset=utf-8", include_str!("../../../web/reference/style.css")),
    (
        "/docs/reference.js",
        "text/javascript; charset=utf-8",
        include_str!("../../../web/reference/reference.js"),
    ),
];

/// Routes of the documents and of the page, for a server that speaks this vocabulary.
pub fn router(vocabulary: &Vocabulary) -> Router {
    let spoken: Arc<str> = file_name(vocabulary).into();
    let mut index = asyncapi::document();
    // The page learns from it which other document there is.
    index["x-vocabulary"] = format!("asyncapi/{spoken}").into();
    let events = bytes(&spoken::events(vocabulary));
    let vocabulary_document = move |axum::extract::Path(name): axum::extract::Path<String>| async move {
        if *name == *spoken { json(events) } else { absent() }
    };
    let mut router = Router::new()
        .route("/openapi.json", document(&openapi::document(vocabulary)))
        .route("/asyncapi.json", document(&index))
        .route("/asyncapi/{vocabulary}", get(vocabulary_document))
        // Below another path behind a proxy, too: relative.
        .route("/docs/", get(|| async { (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "../docs")]) }))
        .route(
            "/docs/client.proto",
            get(|| async { page::file("text/plain; charset=utf-8", proto::CLIENT_PROTO) }),
        );
    for (path, kind, text) in FILES {
        router = router.route(path, get(move || async move { page::file(kind, text) }));
    }
    router
}

fn document(document: &Value) -> axum::routing::MethodRouter {
    let bytes = bytes(document);
    get(move || async move { json(bytes) })
}

fn bytes(document: &Value) -> Bytes {
    document.to_string().into()
}

/// Public, and the same for everybody: tools of other origins may read it.
fn json(document: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, document).into_response()
}

fn absent() -> Response {
    problem(proto::ErrorCode::NotFound.with("this server speaks another vocabulary"))
}

/// Where the vocabulary's document is, below `/asyncapi/`.
pub(crate) fn file_name(vocabulary: &Vocabulary) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' };
    format!("{}.json", vocabulary.name.chars().map(plain).collect::<String>())
}

#[cfg(test)]
mod tests;
