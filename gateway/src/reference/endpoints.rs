//! Descriptions of what is served beside the REST handlers: where sockets begin,
//! and the reference itself. The functions are never called; the annotations are
//! for [`super::openapi`], and a test holds them to the routes that there are.
#![allow(dead_code)]

/// Under which heads they are described.
pub mod tag {
    /// Where sockets begin.
    pub const SOCKETS: &str = "Sockets";
    /// The reference itself.
    pub const REFERENCE: &str = "Reference";
}

/// A native connection
///
/// The handshake of a WebSocket (RFC 6455, version 13, HTTP/1.1); what is said
/// on it is in `/asyncapi.json`. A browser's `Origin` has to be this server's
/// own or one of the allowed ones. The token comes here as a bearer token, or
/// as the connection's first frame.
#[utoipa::path(
    get, path = "/v1/ws", operation_id = "connect", tag = tag::SOCKETS,
    params(
        ("Sec-WebSocket-Protocol" = Option<String>, Header, example = "carillon.v1.json",
            description = "`carillon.v1.json`, also when none is asked for, or `carillon.v1.proto`."),
        ("token" = Option<String>, Query, example = "eyJhbGciOi...",
            description = "The token, where the server is told to accept it here: addresses end up in logs."),
    ),
    responses((status = 101, description = "The connection is a WebSocket from here on.")),
    security((), ("token" = [])),
    extensions(("x-error-codes" = json!([
        "malformed", "forbidden", "malformed@405", "malformed@426", "unavailable",
    ]))),
)]
fn websocket() {}

/// A Socket.IO connection
///
/// The endpoint of Engine.IO 4, for Socket.IO 5 by long-polling and WebSocket:
/// a handshake, a poll, or a WebSocket. What is said on it is in the AsyncAPI
/// document of the vocabulary. Engine.IO's own refusals are its own JSON.
#[utoipa::path(
    get, path = "/socket.io/", operation_id = "openSocketIo", tag = tag::SOCKETS,
    params(
        ("EIO" = String, Query, description = "The version of Engine.IO: 4.", example = "4"),
        ("transport" = String, Query, description = "`polling` or `websocket`.", example = "polling"),
        ("sid" = Option<String>, Query, description = "The session; without it, one begins.",
            example = "0199f300aa107c4e8f1b2c3d4e5f6071"),
    ),
    responses(
        (status = 101, description = "The connection is a WebSocket from here on."),
        (status = 200, description = "Packets of Engine.IO.", body = String, content_type = "text/plain",
            example = json!(
                r#"0{"sid":"0199f300aa107c4e8f1b2c3d4e5f6071","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":65536}"#
            )),
        (status = 400, description = "Engine.IO's own refusal: no such session, transport or version.", body = serde_json::Value,
            example = json!({ "code": 1, "message": "Session ID unknown" })),
        (status = 403, description = "Another site's page, or another user's session.", body = serde_json::Value,
            example = json!({ "code": 4, "message": "Forbidden" })),
    ),
    security((), ("token" = [])),
    extensions(("x-error-codes" = json!(["unavailable"]))),
)]
fn open_socket_io() {}

/// Packets of a Socket.IO client
///
/// What a client that polls has to say.
#[utoipa::path(
    post, path = "/socket.io/", operation_id = "sendSocketIo", tag = tag::SOCKETS,
    params(
        ("EIO" = String, Query, description = "The version of Engine.IO: 4.", example = "4"),
        ("transport" = String, Query, description = "`polling`.", example = "polling"),
        ("sid" = String, Query, description = "The session.", example = "0199f300aa107c4e8f1b2c3d4e5f6071"),
    ),
    request_body(content = String, content_type = "text/plain", example = json!("40{\"token\":\"eyJhbGciOi...\"}")),
    responses(
        (status = 200, description = "They are taken.", body = String, content_type = "text/html",
            example = json!("ok")),
        (status = 400, description = "Engine.IO's own refusal: no such session, transport or version.", body = serde_json::Value,
            example = json!({ "code": 1, "message": "Session ID unknown" })),
        (status = 403, description = "Another site's page, or another user's session.", body = serde_json::Value,
            example = json!({ "code": 4, "message": "Forbidden" })),
        (status = 408, description = "The body did not arrive in time.", body = serde_json::Value,
            example = json!({ "code": 3, "message": "The body did not arrive in time" })),
        (status = 413, description = "The body is larger than allowed.", body = serde_json::Value,
            example = json!({ "code": 3, "message": "Payload too large" })),
    ),
    security((), ("token" = [])),
)]
fn send_socket_io() {}

/// The REST interface, as OpenAPI
///
/// With the routes of the vocabulary that this server speaks.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "getOpenApi", tag = tag::REFERENCE,
    responses((status = 200, description = "This document.", body = serde_json::Value, example = json!({ "openapi": "3.1.0" }))),
    security(()),
)]
fn openapi() {}

/// The native protocol, as AsyncAPI
///
/// Every frame with examples in both encodings, error codes and close codes.
#[utoipa::path(
    get, path = "/asyncapi.json", operation_id = "getAsyncApi", tag = tag::REFERENCE,
    responses((status = 200, description = "The document.", body = serde_json::Value, example = json!({ "asyncapi": "3.0.0" }))),
    security(()),
)]
fn asyncapi() {}

/// The vocabulary's events, as AsyncAPI
///
/// What Socket.IO clients and this server say to each other.
#[utoipa::path(
    get, path = "/asyncapi/{vocabulary}", operation_id = "getVocabulary", tag = tag::REFERENCE,
    params(("vocabulary" = String, Path, description = "Name of the server's vocabulary, and `.json`.",
        example = "sessions.json")),
    responses((status = 200, description = "The document.", body = serde_json::Value, example = json!({ "asyncapi": "3.0.0" }))),
    security(()),
    extensions(("x-error-codes" = json!(["not_found"]))),
)]
fn vocabulary() {}

/// The reference as a page
///
/// These documents, for people.
#[utoipa::path(
    get, path = "/docs", operation_id = "getReference", tag = tag::REFERENCE,
    responses((status = 200, description = "The page.", body = String, content_type = "text/html",
        example = json!("<!doctype html>"))),
    security(()),
)]
fn page() {}

/// The schema of the native protocol
///
/// As protobuf has it, for generators of code.
#[utoipa::path(
    get, path = "/docs/client.proto", operation_id = "getClientProto", tag = tag::REFERENCE,
    responses((status = 200, description = "The schema.", body = String, content_type = "text/plain",
        example = json!("syntax = \"proto3\";"))),
    security(()),
)]
fn client_proto() {}
