//! `GET /_xfetch/health`: without a token only whether it runs; with it, what works and what does not.
//! Always within two seconds.

use std::{cell::RefCell, rc::Rc};

use futures_util::future::join3;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, Request, RequestInit, RequestRedirect, Response};
use worker::Env;

use crate::{
    core::{
        canonical_json,
        config::OBJECT_TIMEOUT,
        time::{Instant, Span},
    },
    protocol::message::Message,
    worker::{
        cache_api, metrics_sender, object_stub, origin, platform::clock, response, router::Visit, timer,
    },
};

const MAX_CHECK: Span = Span(1_000);
const REMEMBERED: Span = Span(10_000);

thread_local! {
    static ORIGIN: RefCell<Option<(Instant, bool)>> = const { RefCell::new(None) };
}

/// It runs, and its configuration is not refused: a refused one does not get here.
pub(super) fn brief() -> Response {
    response::json(200, &canonical_json::object([("status", "ok".into())]))
}

/// Every part, tried now.
pub(super) async fn answer(visit: &Rc<Visit>) -> Response {
    let (config, at) = (&visit.config, Rc::clone(visit));
    let colo = check(async move { cache_api::works(at.target().host()).await });
    let checks = join3(colo, objects(&visit.env), origin_answers(visit));
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
            canonical_json::object([
                ("path", route.path.as_str().into()),
                ("ttl", route.lifetime.ttl.as_seconds().into()),
                ("stale_while_revalidate", route.lifetime.stale_while_revalidate.as_seconds().into()),
                ("stale_if_error", route.lifetime.stale_if_error.as_seconds().into()),
                ("early_window", route.early_window.into()),
                ("origin_timeout", route.origin_timeout.as_seconds().into()),
                ("lease", route.lease().as_seconds().into()),
                ("delta_near_ttl", (route.origin_timeout > route.lifetime.ttl).into()),
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

/// Both objects, each asked something that changes nothing.
async fn objects(env: &Env) -> (bool, bool) {
    let (lease_env, metrics_env) = (env.clone(), env.clone());
    let lease = check(async move {
        object_stub::send(lease_env, "health".to_owned(), None, Message::Inspect, Vec::new()).await.is_ok()
    });
    let metrics = check(async move { metrics_sender::flush(&metrics_env, true).await.is_some() });
    debug_assert!(MAX_CHECK < OBJECT_TIMEOUT);
    futures_util::future::join(lease, metrics).await
}

/// Any status counts; the answer is remembered for ten seconds.
async fn origin_answers(visit: &Rc<Visit>) -> bool {
    let now = clock::now();
    let known = ORIGIN.with_borrow(|known| *known);
    if let Some((_, works)) = known.filter(|(at, _)| at.covers(REMEMBERED, now)) {
        return works;
    }
    let visit = Rc::clone(visit);
    let works = check(async move { head(&visit).await.unwrap_or(false) }).await;
    ORIGIN.set(Some((now, works)));
    works
}

async fn head(visit: &Visit) -> Result<bool, wasm_bindgen::JsValue> {
    let abort = AbortController::new()?;
    let init = RequestInit::new();
    init.set_method("HEAD");
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(&abort.signal()));
    let origin = visit.config.origin_of(None);
    let request = Request::new_with_str_and_init(&origin::url(origin, "/"), &init)?;
    let promise = origin::fetch(&visit.env, origin, &request)?;
    Ok(JsFuture::from(promise).await.is_ok())
}
