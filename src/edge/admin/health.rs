//! `GET /_xfetch/health`: without a token only whether it runs; with it, what works and what does not.
//! Always within two seconds.

use std::{cell::RefCell, rc::Rc};

use futures_util::future::join3;
use serde_json::json;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, Request, RequestInit, RequestRedirect, Response};
use worker::Env;

use crate::{
    config::{Config, OBJECT_TIMEOUT},
    edge::{colo, flush, origin, reply, stub, timer},
    host,
    message::Message,
    time::Millis,
};

const CHECK_MOST: Millis = Millis(1_000);
const REMEMBERED: Millis = Millis(10_000);

thread_local! {
    static ORIGIN: RefCell<Option<(Millis, bool)>> = const { RefCell::new(None) };
}

/// It runs, and its configuration is not refused: a refused one does not get here.
pub(super) fn brief() -> Response {
    reply::json(200, &json!({ "status": "ok" }))
}

/// Every part, tried now.
pub(super) async fn answer(env: &Env, config: &Rc<Config>, host: &str) -> Response {
    let checks = join3(check(colo_works(host.to_owned())), objects(env), origin_answers(env, config));
    let (cache, (lease, metrics), origin) = checks.await;
    let is_well = lease && metrics && origin;
    let word = |works: bool| if works { "ok" } else { "failing" };
    let routes: Vec<_> = config
        .routes
        .iter()
        .map(|route| {
            json!({
                "path": route.path,
                "ttl": route.lifetime.ttl.as_seconds(),
                "stale_while_revalidate": route.lifetime.stale_while_revalidate.as_seconds(),
                "stale_if_error": route.lifetime.stale_if_error.as_seconds(),
                "early_window": route.early_window,
                "origin_timeout": route.origin_timeout.as_seconds(),
                "lease": route.lease().as_seconds(),
                "delta_near_ttl": route.origin_timeout > route.lifetime.ttl,
            })
        })
        .collect();
    reply::json(
        200,
        &json!({
            "status": if is_well { "ok" } else { "degraded" },
            "service": "xfetch-edge",
            "version": env!("CARGO_PKG_VERSION"),
            "checks": {
                "configuration": "ok",
                "cache_api": word(cache),
                "refresh_lease": word(lease),
                "metrics": word(metrics),
                "origin": word(origin),
            },
            "routes": routes,
        }),
    )
}

async fn check(works: impl Future<Output = bool> + 'static) -> bool {
    timer::within(CHECK_MOST, Box::pin(works)).await.unwrap_or(false)
}

async fn colo_works(host: String) -> bool {
    colo::works(&host).await
}

/// Both objects, each asked something that changes nothing.
async fn objects(env: &Env) -> (bool, bool) {
    let (lease_env, metrics_env) = (env.clone(), env.clone());
    let lease = check(async move {
        stub::send(lease_env, "health".to_owned(), None, Message::Inspect, Vec::new()).await.is_ok()
    });
    let metrics = check(async move { flush::flush(&metrics_env, true).await.is_some() });
    debug_assert!(CHECK_MOST < OBJECT_TIMEOUT);
    futures_util::future::join(lease, metrics).await
}

/// Any status counts; the answer is remembered for ten seconds.
async fn origin_answers(env: &Env, config: &Rc<Config>) -> bool {
    let now = host::now();
    let known = ORIGIN.with_borrow(|known| *known);
    if let Some((_, works)) = known.filter(|(at, _)| at.covers(REMEMBERED, now)) {
        return works;
    }
    let (env, config) = (env.clone(), Rc::clone(config));
    let works = check(async move { head(&env, &config).await.unwrap_or(false) }).await;
    ORIGIN.set(Some((now, works)));
    works
}

async fn head(env: &Env, config: &Config) -> Result<bool, wasm_bindgen::JsValue> {
    let abort = AbortController::new()?;
    let init = RequestInit::new();
    init.set_method("HEAD");
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(&abort.signal()));
    let origin = config.origin_of(None);
    let request = Request::new_with_str_and_init(&origin::url(origin, "/"), &init)?;
    let promise = origin::fetch(env, origin, &request)?;
    Ok(JsFuture::from(promise).await.is_ok())
}
