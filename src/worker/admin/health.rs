//! `GET /_xfetch/health`: without the admin token, only that the Worker runs; with the token, the state of
//! each part that it depends on. Always answers within two seconds.

use std::{cell::RefCell, rc::Rc};

use futures_util::future::join3;
use serde_json::Value;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, Request, RequestInit, RequestRedirect, Response};
use worker::Env;

use crate::{
    core::{
        canonical_json,
        config::{OBJECT_TIMEOUT, OriginPolicy, Route},
        entry::Lifetime,
        time::{Instant, Span},
        xfetch::MAX_DELTA_SHARE,
    },
    protocol::message::{self, Message},
    worker::{
        cache_api,
        context::RequestContext,
        globals, metrics_sender,
        object_stub::{self, Address, LEASE_BINDING},
        origin,
        platform::clock,
        response, timer,
    },
};

const MAX_CHECK: Span = Span(1_000);
const REMEMBERED: Span = Span(10_000);

thread_local! {
    static ORIGIN: RefCell<Option<(Instant, bool)>> = const { RefCell::new(None) };
}

/// The answer without the admin token. A request is answered earlier if the configuration is refused.
pub(super) fn brief() -> Response {
    response::json(200, &canonical_json::object([("status", "ok".into())]))
}

/// The answer with the admin token: checks every part that the Worker depends on.
pub(super) async fn answer(context: &Rc<RequestContext>) -> Response {
    let (config, at) = (&context.config, Rc::clone(context));
    let colo = check(async move { cache_api::works(at.target().host()).await });
    let checks = join3(colo, objects(&context.env), origin_answers(context));
    let (cache, (lease, metrics), origin) = checks.await;
    let is_well = lease && metrics && origin;
    let word = |works: bool| if works { "ok" } else { "failing" }.into();
    let checks = canonical_json::object([
        ("configuration", word(true)),
        ("cache_api", word(cache)),
        ("refresh_lease", word(lease)),
        ("metrics", word(metrics)),
        ("origin", word(origin)),
    ]);
    let routes: Vec<_> = config
        .routes
        .iter()
        .map(|route| {
            let (delta, forbidden) = globals::with(|globals| {
                (globals.state.measured_delta(route), globals.state.stale_forbidden_by(route))
            });
            let policy = route.origin_policy();
            // Where the origin decides, a route has only the bounds that it names.
            let seconds = |own: Span, named: fn(&OriginPolicy) -> Option<Span>| -> Value {
                policy.map_or(Some(own), named).map(Span::as_seconds).into()
            };
            let Lifetime { ttl, stale_while_revalidate, stale_if_error, .. } = route.lifetime;
            canonical_json::object([
                ("path", route.path.as_str().into()),
                ("methods", route.methods.names().into()),
                ("credentials", route.credentials.as_str().into()),
                ("scope", route.scope.as_str().into()),
                ("policy", if policy.is_some() { "origin" } else { "route" }.into()),
                ("ttl", seconds(ttl, |it| it.most_fresh)),
                ("stale_while_revalidate", seconds(stale_while_revalidate, |it| it.stale_while_revalidate)),
                ("stale_if_error", seconds(stale_if_error, |it| it.stale_if_error)),
                ("stale_forbidden_by", forbidden.into()),
                ("early_window", route.early_window.into()),
                ("origin_timeout", route.origin_timeout.as_seconds().into()),
                ("lease", route.lease().as_seconds().into()),
                ("delta", delta.map(Span::as_seconds).into()),
                ("delta_near_ttl", delta.is_some_and(|delta| is_near_ttl(route, delta)).into()),
            ])
        })
        .collect();
    response::json(
        200,
        &canonical_json::object([
            ("status", if is_well { "ok" } else { "degraded" }.into()),
            ("service", "xfetch-edge".into()),
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("checks", checks),
            ("routes", routes.into()),
        ]),
    )
}

async fn check(works: impl Future<Output = bool> + 'static) -> bool {
    timer::within(MAX_CHECK, Box::pin(works)).await.unwrap_or(false)
}

/// Whether a key's object and the metrics object reply. Neither message changes an entry or a lease.
async fn objects(env: &Env) -> (bool, bool) {
    let (lease_env, metrics_env) = (env.clone(), env.clone());
    let to = Address { binding: LEASE_BINDING, name: "health".to_owned(), location_hint: None };
    let lease = check(async move {
        let bytes = message::encode_message(&Message::Inspect, &[]);
        let replied = object_stub::send(&lease_env, to, bytes, OBJECT_TIMEOUT).await;
        replied.is_ok_and(|reply| reply.is_ok_and(|bytes| message::decode_reply(&bytes).is_some()))
    });
    let metrics = check(async move { metrics_sender::flush(&metrics_env, true).await.is_some() });
    futures_util::future::join(lease, metrics).await
}

/// Whether the cost that this isolate has measured exceeds [`MAX_DELTA_SHARE`] of the TTL, the largest cost
/// that the rule uses. A request is then in the early window nearly all the time.
fn is_near_ttl(route: &Route, delta: Span) -> bool {
    route.origin_policy().is_none() && delta > route.lifetime.ttl.share(MAX_DELTA_SHARE)
}

/// Whether the origin answers, with any status. The result is remembered for ten seconds.
async fn origin_answers(context: &Rc<RequestContext>) -> bool {
    let now = clock::now();
    let known = ORIGIN.with_borrow(|known| *known);
    if let Some((_, works)) = known.filter(|(at, _)| at.covers(REMEMBERED, now)) {
        return works;
    }
    let context = Rc::clone(context);
    let works = check(async move { head(&context).await.unwrap_or(false) }).await;
    ORIGIN.set(Some((now, works)));
    works
}

async fn head(context: &RequestContext) -> Result<bool, wasm_bindgen::JsValue> {
    let abort = AbortController::new()?;
    let init = RequestInit::new();
    init.set_method("HEAD");
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(&abort.signal()));
    let origin = context.config.origin_of(None);
    let request = Request::new_with_str_and_init(&origin::url(origin, "/"), &init)?;
    let promise = origin::fetch(&context.env, origin, &request)?;
    Ok(JsFuture::from(promise).await.is_ok())
}
