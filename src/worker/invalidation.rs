//! Invalidation by unsafe methods (RFC 9111, section 4.4): a request that may have changed something purges the entries
//! of its own URI, and of those that the answer names.

use std::rc::Rc;

use web_sys::Response;

use super::{
    context::RequestContext,
    driver,
    keyed_request::{KeyedRequest, RequestBody},
    request, response,
};
use crate::{
    core::{
        access::Identity,
        config::Route,
        http::{self, Method},
    },
    isolate::{
        step::{Done, Event},
        task::Task,
    },
};

/// Purges what an answer to an unsafe request has changed. The purge reaches the key's objects before the client gets
/// the answer, so that its next request sees the change. `route` is the one that has passed the request on, and `identity`
/// whom it has found to ask: what others see stays.
pub(super) async fn invalidate(
    context: &Rc<RequestContext>,
    route: Option<&Rc<Route>>,
    identity: &Identity,
    answer: &Response,
) {
    if !http::invalidates(&context.request.method(), answer.status()) {
        return;
    }
    let own = context.target().path_and_query().to_owned();
    let mut targets = vec![own.clone()];
    for name in ["location", "content-location"] {
        let named = response::get(&answer.headers(), name);
        let named =
            named.and_then(|named| http::same_origin(&named, context.target().scheme_and_host(), &own));
        targets.extend(named.filter(|target| !targets.contains(target)));
    }
    for target in targets {
        if let Some(keyed) = of_target(context, &target, route, identity) {
            let done = driver::run(Rc::new(keyed), Task::purge(true), Event::Started).await;
            if !matches!(done, Done::Purged(Some(_))) {
                web_sys::console::error_1(
                    &format!("not invalidated, because its object cannot be reached: {target}").into(),
                );
            }
        }
    }
}

/// The `GET` request for this path and query, if a route caches it.
fn of_target(
    context: &Rc<RequestContext>,
    target: &str,
    passed_by: Option<&Rc<Route>>,
    identity: &Identity,
) -> Option<KeyedRequest> {
    let path = target.split('?').next().unwrap_or_default();
    let route = context.config.route(path).filter(|route| route.methods.get)?;
    // Another route may know the client by another credential.
    let is_known = passed_by.is_some_and(|it| it.path == route.path);
    let scoped = route.scoped(if is_known { identity } else { &Identity::ANONYMOUS })?;
    let canonical = request::canonical_target(target, route).ok()?;
    let headers = route.headers.iter().map(|name| (name.clone(), context.header(name))).collect();
    let body = RequestBody::Json("".into());
    let asked = request::keyed(&context.config, &scoped, Method::Get, canonical, headers, body);
    Some(KeyedRequest::new(Rc::clone(context), Rc::clone(route), Rc::new(asked), None))
}
