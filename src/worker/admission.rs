//! Who asks, and may they: before a request touches anything of the cache.

use std::rc::Rc;

use super::{
    context::RequestContext,
    globals,
    platform::{background::BoxFuture, bindings, clock},
    presented::Presented,
    problem::Problem,
    verification,
};
use crate::{
    core::{
        access::Identity,
        config::{LimitBy, RateLimit, Route},
        time::Instant,
    },
    isolate::{
        identities::ClientHash,
        metrics::{MetricEvent, Refusal},
    },
};

/// A client whose request may go on.
#[derive(Clone, Debug, Default)]
pub(super) struct Admitted {
    pub(super) identity: Identity,
    /// By which the client is told apart from others in this isolate; 0 on a route that does not tell clients apart.
    pub(super) client: ClientHash,
}

/// Admits a client without waiting, if that can be: on a route that does not tell clients apart, or a client who was
/// verified a short while ago.
pub(super) fn at_once(context: &RequestContext, route: &Route) -> Option<Admitted> {
    if route.rate_limit.is_some() {
        return None;
    }
    if !route.tells_clients_apart() {
        return Some(Admitted::default());
    }
    let client = Presented::of(context, route).client(route);
    known(client, clock::now()).map(|identity| Admitted { identity, client })
}

fn known(client: ClientHash, now: Instant) -> Option<Identity> {
    globals::with(|globals| globals.identities().get(client, now).cloned())
}

/// Admits a client, or refuses it. Boxed, so that the wasm holds its code once.
pub(super) fn admit(context: &Rc<RequestContext>, route: &Rc<Route>) -> BoxFuture<Result<Admitted, Problem>> {
    let (context, route) = (Rc::clone(context), Rc::clone(route));
    Box::pin(async move { admitted(&context, &route).await })
}

async fn admitted(context: &Rc<RequestContext>, route: &Rc<Route>) -> Result<Admitted, Problem> {
    // An address is known at once, so that a flood of bad credentials is bounded too.
    if let Some(limit) = route.rate_limit.as_ref().filter(|limit| limit.by == LimitBy::Address) {
        within_limit(context, limit, &Identity::ANONYMOUS).await?;
    }
    let admitted = if route.tells_clients_apart() {
        let presented = Presented::of(context, route);
        let client = presented.client(route);
        let identity = match known(client, clock::now()) {
            Some(identity) => identity,
            None => {
                let verified = verification::verify(context, route, &presented).await?;
                globals::with(|globals| {
                    globals.identities().put(client, verified.identity.clone(), verified.until);
                });
                verified.identity
            }
        };
        Admitted { identity, client }
    } else {
        Admitted::default()
    };
    if route.scoped(&admitted.identity).is_none() {
        return Err(verification::no_tenant());
    }
    if let Some(limit) = route.rate_limit.as_ref().filter(|limit| limit.by == LimitBy::Tenant) {
        within_limit(context, limit, &admitted.identity).await?;
    }
    Ok(admitted)
}

/// Counts a request at the platform's limiter. A limiter that fails limits nobody: it is no lock.
async fn within_limit(
    context: &RequestContext,
    limit: &RateLimit,
    identity: &Identity,
) -> Result<(), Problem> {
    let key = match limit.by {
        LimitBy::Tenant => identity.tenant.as_deref().unwrap_or_default().to_owned(),
        // The platform sets it; behind a proxy it is the proxy's.
        LimitBy::Address => context.header("cf-connecting-ip").unwrap_or_default(),
    };
    match bindings::within_limit(&context.env, &limit.binding, &key).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            globals::count(MetricEvent::Refused(Refusal::RateLimited));
            let problem = Problem::new(429, "rate_limited", "There are too many requests.");
            Err(problem.retry_after(limit.period))
        }
        Err(_) => {
            web_sys::console::error_1(&format!("the rate limiter {} fails", limit.binding).into());
            Ok(())
        }
    }
}
