//! Questions of the cache's own: to an identity provider for its keys, and to the origin about a credential. Their
//! answers are entries like any other, with the same tiers, lease and early refresh.

use std::{rc::Rc, sync::Arc};

use super::{
    context::RequestContext,
    driver,
    keyed_request::{CacheRequest, KeyedRequest, RequestBody},
};
use crate::{
    core::{
        access::Identity,
        config::Route,
        entry::Entry,
        http::Method,
        key::{self, KeyParts},
    },
    isolate::{
        served::Answered,
        step::{Done, Event},
        task::Task,
    },
};

/// In the place of a body: no request of a client has this key.
const BODY_IN_KEY: &str = "inquiry";

/// The request of a question; `None` if its client has no partition.
pub(super) fn keyed(
    context: &Rc<RequestContext>,
    route: &Rc<Route>,
    identity: &Identity,
) -> Option<Rc<KeyedRequest>> {
    let (config, inquiry) = (&context.config, route.inquiry.as_ref()?);
    let partition = route.partition(identity)?;
    let parts = KeyParts {
        version: &config.cache_version,
        origin: config.origin_of(Some(route)).map_or("ORIGIN", |origin| origin.as_str()),
        method: Method::Get.as_str(),
        path: &inquiry.target,
        headers: &[],
    };
    let key = key::key(&partition, &parts, BODY_IN_KEY);
    let request = CacheRequest {
        key,
        partition,
        method: Method::Get,
        target: inquiry.target.clone(),
        body: RequestBody::Json("".into()),
        headers: Vec::new(),
    };
    Some(Rc::new(KeyedRequest::new(Rc::clone(context), Rc::clone(route), Rc::new(request), None)))
}

/// Asks, or returns what was answered before; `None` if there is no answer that may still be used.
pub(super) async fn ask(keyed: &Rc<KeyedRequest>) -> Option<Arc<Entry>> {
    match driver::run(Rc::clone(keyed), Task::request(), Event::Started).await {
        Done::Served(served) => match served.answer {
            Answered::Entry { entry, .. } => Some(entry),
            Answered::Uncached(_)
            | Answered::Refusal { .. }
            | Answered::Failed { .. }
            | Answered::TooManyWaiters
            | Answered::Unavailable
            | Answered::NotCached => None,
        },
        Done::Nothing | Done::Purged(_) | Done::Varies(_) | Done::Forward => None,
    }
}
