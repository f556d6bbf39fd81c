//! Forwards requests without caching: those under a path prefix in `FORWARD`, and those with credentials.

use wasm_bindgen::JsValue;
use web_sys::{Headers, Request, RequestInit, RequestRedirect, Response};

use super::{context::RequestContext, origin, relay};
use crate::core::{config::OriginUrl, http::CACHE_NAME};

/// Forwards the request with its method, headers and body, and returns the origin's response. Headers that
/// belong to one connection are removed from both.
pub(super) async fn forward(
    context: &RequestContext,
    origin: Option<&OriginUrl>,
    path_and_query: &str,
) -> Response {
    let sent = outgoing(context, origin, path_and_query)
        .and_then(|outgoing| origin::fetch(&context.env, origin, &outgoing));
    relay::answer(sent, false).await
}

fn outgoing(
    context: &RequestContext,
    origin: Option<&OriginUrl>,
    path_and_query: &str,
) -> Result<Request, JsValue> {
    let headers = Headers::new_with_headers(&context.request.headers())?;
    relay::strip(&headers);
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
