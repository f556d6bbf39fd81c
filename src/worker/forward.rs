//! Forwards requests without caching: those under a path prefix in `FORWARD`, and those with credentials.

use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Headers, Request, RequestInit, RequestRedirect, Response};

use super::{context::RequestContext, origin, problem::Problem, response, timer};
use crate::core::{
    config::OriginUrl,
    failure::Reason,
    http::{CACHE_NAME, CacheStatus, HOP_BY_HOP},
    time::Span,
};

/// How long an origin may take to send its response headers.
const MAX_HEADERS_TIME: Span = Span(60_000);

/// Forwards the request with its method, headers and body, and returns the origin's response. Headers that
/// belong to one connection are removed from both.
pub(super) async fn forward(
    context: &RequestContext,
    origin: Option<&OriginUrl>,
    path_and_query: &str,
) -> Response {
    let unreachable =
        || Problem::of(Reason::OriginUnreachable, Span::SECOND).cache_status(CacheStatus::Bypass).response();
    let Ok(outgoing) = outgoing(context, origin, path_and_query) else {
        return unreachable();
    };
    let Ok(promise) = origin::fetch(&context.env, origin, &outgoing) else {
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
    let Ok(copy) =
        Response::new_with_opt_readable_stream_and_init(response.body().as_ref(), &response.unchecked_into())
    else {
        return unreachable();
    };
    strip(&copy.headers());
    response::set(&copy.headers(), "cache-status", &CacheStatus::Bypass.value());
    copy
}

fn outgoing(
    context: &RequestContext,
    origin: Option<&OriginUrl>,
    path_and_query: &str,
) -> Result<Request, wasm_bindgen::JsValue> {
    let headers = Headers::new_with_headers(&context.request.headers())?;
    strip(&headers);
    headers.delete("host")?;
    headers.append("cdn-loop", CACHE_NAME)?;
    for (name, value) in &context.config.origin_headers {
        headers.set(name, value)?;
    }
    let init = RequestInit::new();
    init.set_method(&context.request.method());
    init.set_headers(&headers);
    init.set_redirect(RequestRedirect::Manual);
    if let Some(body) = context.request.body().filter(|_| !context.flags.is_get_or_head()) {
        init.set_body(&body);
    }
    Request::new_with_str_and_init(&origin::url(origin, path_and_query), &init)
}

fn strip(headers: &Headers) {
    let named = response::get(headers, "connection").unwrap_or_default();
    let named = named.split(',').map(str::trim).filter(|name| !name.is_empty());
    for name in HOP_BY_HOP.into_iter().chain(named) {
        let _ = headers.delete(name);
    }
}
