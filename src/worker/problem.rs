//! Error responses: `application/problem+json` (RFC 9457) with a stable `code`, without internal details.

use std::borrow::Cow;

use web_sys::Response;

use super::response;
use crate::core::{canonical_json, failure::Reason, http::CacheStatus, time::Span};

/// An error answer.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: u16,
    code: &'static str,
    detail: Cow<'static, str>,
    headers: Vec<(&'static str, String)>,
}

impl Problem {
    pub(super) fn new(status: u16, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, detail: detail.into(), headers: Vec::new() }
    }

    pub(super) fn of(reason: Reason, retry_after: Span) -> Self {
        Self::new(reason.status(), reason.as_str(), reason.detail()).retry_after(retry_after)
    }

    pub(super) fn unavailable() -> Self {
        Self::new(503, "coordination_unavailable", "The cache cannot coordinate now.")
            .retry_after(Span::SECOND)
    }

    pub(super) fn retry_after(self, time: Span) -> Self {
        self.header("retry-after", time.whole_seconds_up().max(1).to_string())
    }

    pub(super) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn cache_status(self, status: CacheStatus) -> Self {
        self.header("cache-status", status.value())
    }

    pub(super) fn response(&self) -> Response {
        let body = canonical_json::object([
            ("type", "about:blank".into()),
            ("title", title(self.status).into()),
            ("status", self.status.into()),
            ("code", self.code.into()),
            ("detail", (*self.detail).into()),
        ]);
        let headers = response::headers(&[
            ("content-type", "application/problem+json"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ]);
        for (name, value) in &self.headers {
            response::set(&headers, name, value);
        }
        response::with_text(self.status, &headers, &canonical_json::text(&body))
    }
}

fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        508 => "Loop Detected",
        402 | 406 | 407 | 409..=412 | 414 | 416..=428 | 430 | 432..=499 => "Client Error",
        _ => "Internal Server Error",
    }
}

/// The answer to a path that does not exist.
pub(super) fn not_found() -> Response {
    Problem::new(404, "not_found", "There is nothing here.").response()
}
