//! Answers to clients.

use std::borrow::Cow;

use serde_json::Value;
use wasm_bindgen::JsValue;
use web_sys::{Headers, Response, ResponseInit};

use crate::core::{
    canonical_json,
    config::Route,
    entry::Entry,
    failure::Reason,
    http::CacheStatus,
    time::{Instant, Span},
};

/// An error answer: `application/problem+json` (RFC 9457) with a stable `code`, and never anything of
/// the inside.
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
        let headers = headers(&[
            ("content-type", "application/problem+json"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ]);
        for (name, value) in &self.headers {
            set(&headers, name, value);
        }
        with_text(self.status, &headers, &canonical_json::text(&body))
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
        431 => "Request Header Fields Too Large",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        508 => "Loop Detected",
        402 | 406 | 407 | 409..=412 | 414 | 416..=499 => "Client Error",
        _ => "Internal Server Error",
    }
}

/// New headers.
pub(super) fn headers(pairs: &[(&str, &str)]) -> Headers {
    // The constructor fails for an initialiser only, and there is none.
    let headers = Headers::new().unwrap_or_else(|_| JsValue::UNDEFINED.into());
    for (name, value) in pairs {
        set(&headers, name, value);
    }
    headers
}

/// Sets a header. A value that the platform refuses is left out: it can only come from an origin.
pub(super) fn set(headers: &Headers, name: &str, value: &str) {
    let _ = headers.set(name, value);
}

/// Reads a header.
pub(super) fn get(headers: &Headers, name: &str) -> Option<String> {
    headers.get(name).ok().flatten()
}

fn init(status: u16, headers: &Headers) -> ResponseInit {
    let init = ResponseInit::new();
    init.set_status(status);
    init.set_headers(headers);
    init
}

/// An answer without a body.
pub(super) fn empty(status: u16, headers: &Headers) -> Response {
    Response::new_with_opt_str_and_init(None, &init(status, headers)).unwrap_or_else(|_| Response::error())
}

/// An answer with a text.
pub(super) fn with_text(status: u16, headers: &Headers, text: &str) -> Response {
    Response::new_with_opt_str_and_init(Some(text), &init(status, headers))
        .unwrap_or_else(|_| Response::error())
}

/// An answer with bytes, which are copied out of the Worker's memory.
pub(super) fn with_bytes(status: u16, headers: &Headers, bytes: &[u8]) -> Response {
    let bytes = js_sys::Uint8Array::from(bytes);
    Response::new_with_opt_js_u8_array_and_init(Some(&bytes), &init(status, headers))
        .unwrap_or_else(|_| Response::error())
}

/// A JSON answer of the cache's own.
pub(super) fn json(status: u16, value: &Value) -> Response {
    let headers = headers(&[
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ]);
    with_text(status, &headers, &canonical_json::text(value))
}

/// An entry as an answer.
pub(super) fn of_entry(route: &Route, entry: &Entry, status: CacheStatus, now: Instant) -> Response {
    let bytes = js_sys::Uint8Array::from(&*entry.body);
    Response::new_with_opt_js_u8_array_and_init(Some(&bytes), &init_of_entry(route, entry, status, now))
        .unwrap_or_else(|_| Response::error())
}

/// Status and headers of an entry.
pub(super) fn init_of_entry(route: &Route, entry: &Entry, status: CacheStatus, now: Instant) -> ResponseInit {
    init(entry.status, &headers_of_entry(route, entry, status, now))
}

/// `304`: the client holds this entry.
pub(super) fn not_modified(route: &Route, entry: &Entry, status: CacheStatus, now: Instant) -> Response {
    empty(304, &headers_of_entry(route, entry, status, now))
}

fn headers_of_entry(route: &Route, entry: &Entry, status: CacheStatus, now: Instant) -> Headers {
    let headers = headers(&[]);
    for (name, value) in &entry.headers {
        set(&headers, name, value);
    }
    set(&headers, "age", &(entry.age(now).0 / 1_000).to_string());
    set(&headers, "etag", &entry.etag);
    set(&headers, "cache-control", &route.cache_control);
    set(&headers, "cache-status", &status.value());
    headers
}
