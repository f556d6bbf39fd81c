//! Passes an answer of the origin on as it comes, without a copy of its body.

use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Headers, Response};

use super::{problem::Problem, response, timer};
use crate::core::{
    failure::Reason,
    http::{CacheStatus, HOP_BY_HOP},
    time::Span,
};

/// How long an origin may take to send its response headers.
const MAX_HEADERS_TIME: Span = Span(60_000);

/// The answer to a request that was sent, passed on as it comes. `without_body`: only its head.
pub(super) async fn answer(sent: Result<js_sys::Promise, JsValue>, without_body: bool) -> Response {
    let unreachable =
        || Problem::of(Reason::OriginUnreachable, Span::SECOND).cache_status(CacheStatus::Bypass).response();
    let Ok(promise) = sent else {
        return unreachable();
    };
    let answered = Box::pin(async move { JsFuture::from(promise).await });
    let Ok(answered) = timer::within(MAX_HEADERS_TIME, answered).await else {
        return Problem::of(Reason::OriginTimeout, Span::SECOND).cache_status(CacheStatus::Bypass).response();
    };
    let Some(response) = answered.ok().and_then(|it| it.dyn_into::<Response>().ok()) else {
        return unreachable();
    };
    // Headers of a fetched answer cannot be changed; those of a copy can.
    let mut body = response.body();
    if without_body && let Some(unwanted) = body.take() {
        let _ = unwanted.cancel();
    }
    let Ok(copy) = Response::new_with_opt_readable_stream_and_init(body.as_ref(), &response.unchecked_into())
    else {
        return unreachable();
    };
    strip(&copy.headers());
    let _ = copy.headers().append("cache-status", &CacheStatus::Bypass.value());
    copy
}

/// Removes the headers that belong to one connection.
pub(super) fn strip(headers: &Headers) {
    let named = response::get(headers, "connection").unwrap_or_default();
    let named = named.split(',').map(str::trim).filter(|name| !name.is_empty());
    for name in HOP_BY_HOP.into_iter().chain(named) {
        let _ = headers.delete(name);
    }
}
