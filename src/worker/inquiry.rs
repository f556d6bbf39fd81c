//! Questions of the cache's own: to an identity provider for its keys, and to the origin about a credential. Their
//! answers are entries like any other, with the same tiers, lease and early refresh.

use std::{rc::Rc, sync::Arc};

use serde_json::Value;

use super::{
    context::RequestContext,
    driver, globals,
    keyed_request::{CacheRequest, KeyedRequest, RequestBody},
    platform::clock,
};
use crate::{
    core::{
        access::Identity,
        canonical_json,
        config::{Inquiry, InquiryAbout, Route},
        entry::Entry,
        http::Method,
        key::KeyParts,
        time::Span,
    },
    isolate::{
        computation::Purpose,
        step::{Background, Done, Event, RefreshOrder},
        task::Task,
    },
};

/// What stands in the place of a body. No request of a client has this key, and no question that is put, answered or
/// remembered in another way.
fn in_place_of_body(inquiry: &Inquiry) -> String {
    let milliseconds = |span: Span| span.0 as f64;
    let how = match &inquiry.about {
        InquiryAbout::KeySet => vec![],
        InquiryAbout::Credential { is_head, refused_ttl, tenant_header } => vec![
            (*is_head).into(),
            milliseconds(*refused_ttl).into(),
            tenant_header.as_deref().unwrap_or_default().into(),
        ],
    };
    let times = [inquiry.ttl, inquiry.stale_if_error].map(|span| milliseconds(span).into());
    format!("inquiry:{}", canonical_json::text(&Value::Array(times.into_iter().chain(how).collect())))
}

/// The request of a question; `None` if its client has no partition.
pub(super) fn keyed(
    context: &Rc<RequestContext>,
    route: &Rc<Route>,
    identity: &Identity,
) -> Option<Rc<KeyedRequest>> {
    let (config, inquiry) = (&context.config, route.inquiry.as_ref()?);
    let scoped = route.scoped(identity)?;
    let parts = KeyParts {
        version: &config.cache_version,
        origin: config.origin_of(Some(route)).map_or("ORIGIN", |origin| origin.as_str()),
        method: Method::Get.as_str(),
        path: &inquiry.target,
        headers: &[],
    };
    let key = scoped.key(&parts, &in_place_of_body(inquiry));
    let request = CacheRequest {
        key,
        partition: scoped.partition().clone(),
        method: Method::Get,
        target: inquiry.target.clone(),
        body: RequestBody::Json("".into()),
        headers: Vec::new(),
    };
    Some(Rc::new(KeyedRequest::new(Rc::clone(context), Rc::clone(route), Rc::new(request), None)))
}

/// Asks anew, and waits for the answer; what was answered before stays good. Not where somebody asks already, and not
/// shortly after a failure.
pub(super) async fn renew(keyed: &Rc<KeyedRequest>, entry: &Entry) {
    let (hash, now) = (keyed.request.key.hash, clock::now());
    let begun = globals::with(|globals| globals.state.trigger(hash, &keyed.route, now));
    if let Ok(owner) = begun {
        let order = RefreshOrder {
            purpose: Purpose::Early,
            seen: entry.generation,
            delta: Some(entry.delta),
            has_looked: false,
            owner,
            for_whom: None,
        };
        driver::run(Rc::clone(keyed), Task::new(Background::Refresh(order)), Event::Started).await;
    }
}

/// Asks, or returns what was answered before; `None` if there is no answer that may still be used.
pub(super) async fn ask(keyed: &Rc<KeyedRequest>) -> Option<Arc<Entry>> {
    match driver::run(Rc::clone(keyed), Task::request(), Event::Started).await {
        Done::Served(served) => served.answer.entry().map(|(entry, _)| Arc::clone(entry)),
        Done::Nothing | Done::Purged(_) | Done::Varies(_) | Done::Forward => None,
    }
}
