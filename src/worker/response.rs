//! Builds responses.

use serde_json::Value;
use wasm_bindgen::JsValue;
use web_sys::{Headers, Response, ResponseInit};

use crate::{
    core::{
        canonical_json,
        config::Route,
        entry::Entry,
        http::{self, CacheStatus},
        time::Instant,
    },
    isolate::computation::Computed,
};

/// New headers.
pub(super) fn headers(pairs: &[(&str, &str)]) -> Headers {
    // The constructor fails for an initialiser only, and there is none.
    let headers = Headers::new().unwrap_or_else(|_| JsValue::UNDEFINED.into());
    for (name, value) in pairs {
        set(&headers, name, value);
    }
    headers
}

/// Sets a header. A value that the platform rejects is ignored: only an origin can send such a value.
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

/// A cache behind this one must not give a client's answer to another.
pub(super) fn vary_by_credentials(headers: &Headers, route: &Route) {
    for name in route.credential_fields().filter(|_| route.tells_clients_apart()) {
        let _ = headers.append("vary", name);
    }
}

/// An answer of the origin as it was, to the client that has asked for it alone.
pub(super) fn passed(route: &Route, computed: &Computed) -> Response {
    let headers = headers(&[]);
    for (name, value) in &computed.headers {
        let _ = headers.append(name, value);
    }
    let _ = headers.append("cache-status", &CacheStatus::Miss.value());
    vary_by_credentials(&headers, route);
    if !http::has_body(computed.status) {
        return empty(computed.status, &headers);
    }
    with_bytes(computed.status, &headers, &computed.body)
}

/// An entry as an answer.
pub(super) fn of_entry(route: &Route, entry: &Entry, status: CacheStatus, now: Instant) -> Response {
    if !http::has_body(entry.status) {
        return empty(entry.status, &headers_of_entry(route, entry, status, now));
    }
    let bytes = js_sys::Uint8Array::from(&*entry.body);
    Response::new_with_opt_js_u8_array_and_init(Some(&bytes), &init_of_entry(route, entry, status, now))
        .unwrap_or_else(|_| Response::error())
}

/// The answer to `HEAD`: an entry without its body, but with its length.
pub(super) fn head_of_entry(route: &Route, entry: &Entry, status: CacheStatus, now: Instant) -> Response {
    let headers = headers_of_entry(route, entry, status, now);
    if http::has_body(entry.status) {
        set(&headers, "content-length", &entry.body.len().to_string());
    }
    empty(entry.status, &headers)
}

/// `206`: parts of an entry, one as it is, several as `multipart/byteranges` (RFC 9110, section 15.3.7).
pub(super) fn parts_of_entry(
    route: &Route,
    entry: &Entry,
    parts: &[std::ops::Range<usize>],
    status: CacheStatus,
    now: Instant,
) -> Response {
    let headers = headers_of_entry(route, entry, status, now);
    let place =
        |part: &std::ops::Range<usize>| format!("bytes {}-{}/{}", part.start, part.end - 1, entry.body.len());
    if let [part] = parts {
        set(&headers, "content-range", &place(part));
        return with_bytes(206, &headers, &entry.body[part.clone()]);
    }
    // The validator is a digest of the body, so the body cannot contain it by chance.
    let boundary = format!("xfetch-{}", entry.etag.trim_matches('"'));
    let content_type = entry.header("content-type").unwrap_or("application/octet-stream");
    let mut bytes = Vec::new();
    for part in parts {
        let head =
            format!("--{boundary}\r\ncontent-type: {content_type}\r\ncontent-range: {}\r\n\r\n", place(part));
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(&entry.body[part.clone()]);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    set(&headers, "content-type", &format!("multipart/byteranges; boundary={boundary}"));
    with_bytes(206, &headers, &bytes)
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
    set(&headers, "etag", entry.validator());
    if let Some(cache_control) = &route.cache_control {
        set(&headers, "cache-control", cache_control);
    }
    // After what caches behind this one have said (RFC 9211, section 2).
    let _ = headers.append("cache-status", &status.value());
    vary_by_credentials(&headers, route);
    if route.methods.get && entry.status == 200 {
        set(&headers, "accept-ranges", "bytes");
    }
    headers
}
