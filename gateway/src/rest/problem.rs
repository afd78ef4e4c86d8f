//! Refusals as problem documents (RFC 9457).

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use proto::{ErrorCode, v1};
use serde::Serialize;
use utoipa::ToSchema;

use crate::metrics;
use crate::reference::wire;

/// What a handler answers: a JSON body, or a problem.
pub(super) type Answer<T> = Result<Json<T>, Problem>;

/// A refused request.
#[derive(Debug)]
pub(super) struct Problem {
    error: v1::Error,
    /// Where another one than the code's own says it better.
    status: Option<StatusCode>,
}

impl Problem {
    /// With an HTTP status that the code does not have.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// What was refused, and why.
    pub fn error(&self) -> &v1::Error {
        &self.error
    }

    /// A dispatcher has answered something else than was asked.
    pub fn unexpected() -> Self {
        tracing::error!("a dispatcher's answer does not fit the request");
        ErrorCode::Internal.with("a fault of the server's own").into()
    }
}

impl From<v1::Error> for Problem {
    fn from(error: v1::Error) -> Self {
        Self { error, status: None }
    }
}

/// Why a request was refused: a problem document (RFC 9457).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(crate) struct Document<'a> {
    /// Always `about:blank`: what the status says, and `code` more exactly.
    r#type: &'a str,
    /// The status in words.
    title: &'a str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What was wrong, for people. May change.
    detail: &'a str,
    /// What was wrong, for programs. Stable.
    #[schema(value_type = wire::ErrorCode)]
    code: &'a str,
    /// The same request may work later.
    retryable: bool,
    /// Milliseconds to wait first, where that is said.
    #[serde(skip_serializing_if = "proto::json::is_zero")]
    #[schema(required = false)]
    retry_after: u64,
}

impl<'a> Document<'a> {
    /// What is said of this error with this status.
    pub(crate) fn of(error: &'a v1::Error, status: StatusCode) -> Self {
        Self {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: &error.message,
            code: &error.code,
            retryable: error.retryable,
            retry_after: error.retry_after,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Problem { error, status } = self;
        metrics::error(&error.code);
        // A newer dispatcher may know codes that we do not.
        let code = ErrorCode::from_name(&error.code);
        let own = StatusCode::from_u16(code.unwrap_or(ErrorCode::Internal).status());
        let status = status.or(own.ok()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(Document::of(&error, status))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if error.retry_after > 0 {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(error.retry_after.div_ceil(1000)));
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = match code {
                Some(ErrorCode::Unauthenticated) => "Bearer",
                _ => "Bearer error=\"invalid_token\"",
            };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// The answer that says this.
pub fn problem(error: v1::Error) -> Response {
    Problem::from(error).into_response()
}

/// Where an operation's description says which codes it is refused with, beside
/// those that follow from what it takes.
pub(crate) const CODES: &str = "x-error-codes";

/// These codes, as an operation's description has them.
macro_rules! refusals {
    ($($code:ident),* $(,)?) => {
        [$(::proto::ErrorCode::$code.name()),*]
    };
}
pub(super) use refusals;

/// The same under an HTTP status that the code does not have.
pub fn problem_of_status(error: v1::Error, status: StatusCode) -> Response {
    Problem::from(error).with_status(status).into_response()
}

/// The expected kind of answer out of those that a dispatcher can give.
macro_rules! expected {
    ($answer:expr, $kind:path) => {
        match $answer? {
            $kind(body) => body,
            _ => return Err($crate::rest::problem::Problem::unexpected()),
        }
    };
}
pub(super) use expected;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    async fn shown(problem: Problem) -> (http::response::Parts, Value) {
        let (parts, body) = problem.into_response().into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (parts, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn every_code_becomes_a_problem_document() {
        for code in ErrorCode::ALL {
            let (parts, body) = shown(code.with("because").into()).await;
            assert_eq!(parts.status, code.status());
            assert_eq!(parts.headers["content-type"], "application/problem+json");
            assert_eq!(parts.headers.contains_key("www-authenticate"), code.status() == 401);
            let title = parts.status.canonical_reason().unwrap();
            let expected = json!({
                "type": "about:blank", "title": title, "status": code.status(), "detail": "because",
                "code": code.name(), "retryable": code.retryable(),
            });
            assert_eq!(body, expected);
        }
    }

    #[tokio::test]
    async fn a_delay_is_told_in_seconds_rounded_up() {
        let error = v1::Error { retry_after: 1001, ..ErrorCode::RateLimited.with("slowly") };
        let (parts, body) = shown(error.into()).await;
        assert_eq!((parts.status.as_u16(), &parts.headers["retry-after"]), (429, &HeaderValue::from(2)));
        assert_eq!(body["retryAfter"], 1001);
    }

    #[tokio::test]
    async fn a_code_that_is_not_known_here_is_an_internal_error() {
        let error = v1::Error { code: "from_the_future".to_owned(), ..Default::default() };
        let (parts, body) = shown(error.into()).await;
        assert_eq!((parts.status.as_u16(), &body["code"]), (500, &json!("from_the_future")));
    }
}
