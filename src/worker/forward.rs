//! Forwards requests without caching: those under a path prefix in `FORWARD`, and those with credentials.

use wasm_bindgen::JsValue;
use web_sys::{Headers, Request, RequestInit, RequestRedirect, Response};

use super::{context::RequestContext, origin, relay, response};
use crate::core::{
    access::Identity,
    config::{OriginUrl, Route, Verify},
    http::CACHE_NAME,
};

/// Forwards the request with its method, headers and body, and returns the origin's response. Headers that
/// belong to one connection are removed from both. On a route of tenants, the origin gets this client's tenant.
pub(super) async fn forward(
    context: &RequestContext,
    route: Option<&Route>,
    identity: &Identity,
) -> Response {
    let origin = context.config.origin_of(route);
    let sent = outgoing(context, route, origin, identity)
        .and_then(|outgoing| origin::fetch(&context.env, origin, &outgoing));
    let answer = relay::answer(sent, false).await;
    if let Some(route) = route {
        response::vary_by_credentials(&answer.headers(), route);
    }
    answer
}

fn outgoing(
    context: &RequestContext,
    route: Option<&Route>,
    origin: Option<&OriginUrl>,
    identity: &Identity,
) -> Result<Request, JsValue> {
    let headers = Headers::new_with_headers(&context.request.headers())?;
    relay::strip(&headers);
    headers.delete("host")?;
    headers.append("cdn-loop", CACHE_NAME)?;
    for (name, value) in &context.config.secrets.origin_headers {
        headers.set(name, value)?;
    }
    if let Some(Verify::Proxy { token_header, .. }) = route.and_then(|route| route.verify.as_ref()) {
        headers.delete(token_header)?;
    }
    if let Some(name) = route.and_then(|route| route.send_tenant.as_deref()) {
        headers.delete(name)?;
        headers.delete(&name.replace('-', "_"))?;
        if let Some(tenant) = &identity.tenant {
            headers.set(name, tenant)?;
        }
    }
    let init = RequestInit::new();
    init.set_method(&context.request.method());
    init.set_headers(&headers);
    init.set_redirect(RequestRedirect::Manual);
    if let Some(body) = context.request.body().filter(|_| !context.flags.is_get_or_head()) {
        init.set_body(&body);
    }
    Request::new_with_str_and_init(&origin::url(origin, context.target().path_and_query()), &init)
}
