//! What handlers take out of a request: who asks, ids out of the path, the
//! query, the body. Each refuses with a problem.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode, header};
use proto::json::Object;
use proto::node::{Actor, Follow};
use proto::text::MAX_KEY_BYTES;
use proto::{ErrorCode, MessageId, RoomId, UserId, v1};
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{Required, Schema};

use crate::reference::examples;

use super::{Problem, RestState};

/// A key for a request whose body has none.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Largest page of anything.
const MAX_PAGE: u32 = 100;

/// Who asks: the bearer of a token that is valid and not revoked.
pub(super) struct Caller(pub Actor);

impl FromRequestParts<Arc<RestState>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<RestState>) -> Result<Self, Problem> {
        let token = bearer(&parts.headers)?;
        let identity = state
            .authenticator
            .identify(token)
            .await
            .map_err(|error| error.code().with(error.to_string()))?;
        let actor = identity.actor();
        // Only the store knows of revocations. It says so to whoever starts to
        // hear their own feed, and starting without a cursor costs it little.
        if !identity.service {
            let issued_at = identity.issued_at.unwrap_or(0);
            let own = Follow { actor: Some(actor.clone()), issued_at, ..Default::default() };
            state.link.follow(own).await?;
        }
        Ok(Self(actor))
    }
}

/// The token that the request shows.
fn bearer(headers: &HeaderMap) -> Result<&str, v1::Error> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values
        .next()
        .ok_or_else(|| ErrorCode::Unauthenticated.with("a token is needed: Authorization: Bearer <token>"))?;
    if values.next().is_some() {
        return Err(ErrorCode::TokenRefused.with("more than one Authorization header"));
    }
    match value.to_str().ok().and_then(|value| value.split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(ErrorCode::TokenRefused.with("Authorization is not \"Bearer <token>\"")),
    }
}

/// Takes an id out of the path. One that cannot exist is answered as one that does not.
macro_rules! path_id {
    (
        $(#[doc = $doc:literal])* $extractor:ident($id:ty) = $name:literal, $code:ident, $why:literal,
        $example:expr
    ) => {
        $(#[doc = $doc])*
        pub(super) struct $extractor(pub $id);

        impl IntoParams for $extractor {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                vec![parameter($name, ParameterIn::Path, concat!($($doc),*), id(), $example)]
            }
        }

        impl FromRequestParts<Arc<RestState>> for $extractor {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, state: &Arc<RestState>) -> Result<Self, Problem> {
                let absent = || Problem::from(ErrorCode::$code.with($why));
                let params =
                    RawPathParams::from_request_parts(parts, state).await.map_err(|_| absent())?;
                let value = params.iter().find(|(name, _)| *name == $name).map(|(_, value)| value);
                value.and_then(|value| <$id>::new(value).ok()).map(Self).ok_or_else(absent)
            }
        }
    };
}

path_id!(
    /// Id of the room.
    InRoom(RoomId) = "room", NotMember, "no such room, or not a member of it", examples::ROOM
);
path_id!(
    /// Id of the message.
    OfMessage(MessageId) = "message", NotFound, "no such message", examples::MESSAGE
);
path_id!(
    /// Id of the user.
    OfUser(UserId) = "user", NotFound, "no such user", examples::BEN
);

/// What an id looks like.
fn id() -> Schema {
    let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
    text.pattern(Some("^[A-Za-z0-9_.:@-]{1,64}$")).into()
}

fn parameter(name: &str, at: ParameterIn, about: &str, schema: Schema, example: &str) -> Parameter {
    let required = if at == ParameterIn::Path { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(at)
        .required(required)
        .description(Some(about.trim()))
        .schema(Some(schema))
        .example(Some(example.into()))
        .build()
}

/// The header that an idempotency key may be in, for descriptions.
pub(super) struct IdempotencyKey;

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let about = "The idempotency key, unless the body has a `key`. A repeat with the same key is answered \
                     with what came of the first; without a key it does the same thing twice.";
        let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
        let text = text.min_length(Some(1)).max_length(Some(MAX_KEY_BYTES));
        vec![parameter("Idempotency-Key", ParameterIn::Header, about, text.into(), examples::KEY)]
    }
}

/// The query.
pub(super) struct Params<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<RestState>> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<RestState>) -> Result<Self, Problem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(ErrorCode::Malformed.with(rejection.body_text()).into()),
        }
    }
}

/// A page's size: what was asked for within what is allowed; 0 leaves it to the dispatcher.
pub(super) fn page(limit: Option<u32>) -> u32 {
    limit.unwrap_or(0).min(MAX_PAGE)
}

/// A JSON body.
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<RestState>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Arc<RestState>) -> Result<Self, Problem> {
        let (json, bytes) = read(request, state).await?;
        if !json {
            let needed = ErrorCode::Malformed.with("Content-Type must be application/json");
            return Err(Problem::from(needed).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        parse(&bytes).map(Self)
    }
}

/// A JSON body that may be left out.
pub(super) struct OptionalBody<T>(pub T);

impl<T: DeserializeOwned + Default> FromRequest<Arc<RestState>> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Arc<RestState>) -> Result<Self, Problem> {
        let length = request.headers().get(header::CONTENT_LENGTH);
        let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        if !chunked && length.is_none_or(|length| length == "0") {
            return Ok(Self(T::default()));
        }
        let Body(body) = Body::from_request(request, state).await?;
        Ok(Self(body))
    }
}

/// The body's bytes, and whether they are said to be JSON.
async fn read(request: Request, state: &Arc<RestState>) -> Result<(bool, Bytes), Problem> {
    let json = is_json(request.headers());
    let reading = Bytes::from_request(request, state);
    match tokio::time::timeout(state.settings.http_timeout, reading).await {
        Ok(Ok(bytes)) => Ok((json, bytes)),
        Ok(Err(BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)))) => {
            Err(ErrorCode::TooLarge.with("the body is larger than allowed").into())
        }
        Ok(Err(rejection)) => Err(ErrorCode::Malformed.with(rejection.body_text()).into()),
        Err(_) => {
            let slow = ErrorCode::Timeout.with("the body did not arrive in time");
            Err(Problem::from(slow).with_status(StatusCode::REQUEST_TIMEOUT))
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
        || (kind.len() > 17
            && kind.is_char_boundary(12)
            && kind[..12].eq_ignore_ascii_case("application/")
            && kind.to_ascii_lowercase().ends_with("+json"))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let parsed: Result<Object<T>, _> = serde_json::from_slice(bytes);
    parsed.map(|Object(body)| body).map_err(|error| ErrorCode::Malformed.with(error.to_string()).into())
}

/// The request's idempotency key: of the body, else of the header, else none.
pub(super) fn key(of_body: String, headers: &HeaderMap) -> Result<String, Problem> {
    if !of_body.is_empty() {
        return Ok(of_body);
    }
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(String::new()) };
    let value =
        value.to_str().map_err(|_| ErrorCode::Invalid.with("Idempotency-Key is not visible ASCII"))?;
    // It is drafted as a string in quotes; many send it without.
    let value = value.trim();
    let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    if bare.is_empty() {
        return Err(ErrorCode::Invalid.with("Idempotency-Key is empty").into());
    }
    Ok(bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_token_is_behind_bearer() {
        let token = |values: &[&str]| {
            bearer(&headers(header::AUTHORIZATION, values)).map(str::to_owned).map_err(|error| error.code)
        };
        assert_eq!(token(&["Bearer a.b.c"]), Ok("a.b.c".to_owned()));
        assert_eq!(token(&["bearer  a.b.c"]), Ok("a.b.c".to_owned()));
        assert_eq!(token(&[]), Err("unauthenticated".to_owned()));
        for refused in [&["a.b.c"][..], &["Basic a"], &["Bearer"], &["Bearer a", "Bearer b"]] {
            assert_eq!(token(refused), Err("token_refused".to_owned()), "{refused:?}");
        }
    }

    #[test]
    fn json_is_known_by_its_media_type() {
        for yes in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.api+json"] {
            assert!(is_json(&headers(header::CONTENT_TYPE, &[yes])), "{yes}");
        }
        for no in ["", "text/json", "text/plain", "application/x-www-form-urlencoded", "application/+json"] {
            assert!(!is_json(&headers(header::CONTENT_TYPE, &[no])), "{no}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }

    #[test]
    fn the_key_is_the_bodys_else_the_headers() {
        let found = |body: &str, header: &[&str]| {
            key(body.to_owned(), &headers(IDEMPOTENCY_KEY, header)).map_err(|_| "refused")
        };
        assert_eq!(found("b", &["h"]), Ok("b".to_owned()));
        assert_eq!(found("", &["h"]), Ok("h".to_owned()));
        assert_eq!(found("", &["\"h\""]), Ok("h".to_owned()));
        assert_eq!(found("", &[]), Ok(String::new()));
        assert_eq!(found("", &["\"\""]), Err("refused"));
    }
}
