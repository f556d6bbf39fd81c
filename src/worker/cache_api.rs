//! The colo's cache: the Cache API. It is per colo, not replicated, and has no compare-and-set.

use std::cell::Cell;

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Cache, Response};

use super::response;
use crate::core::{key::Key, time::Span};

thread_local! {
    /// Whether the runtime has no cache configured: that is not a fault, and no further call is made.
    static HAS_NO_CACHE: Cell<bool> = const { Cell::new(false) };
}

/// A call to the Cache API has failed, for another reason than a missing cache.
pub(super) struct CacheFailed;

/// The synthetic URL of a key. Its host is the request's, because the platform caches only for a zone's own
/// hosts; so each host of a Worker has its own copies. The rest contains no text that a client sent.
fn url(host: &str, name: &str) -> String {
    format!("https://{host}/_xfetch/entry/{name}")
}

fn cache() -> Option<Cache> {
    if HAS_NO_CACHE.get() {
        return None;
    }
    let caches = Reflect::get(&js_sys::global(), &JsValue::from_str("caches")).ok()?;
    let default = Reflect::get(&caches, &JsValue::from_str("default")).ok()?;
    default.is_object().then(|| default.unchecked_into())
}

fn failed(error: &JsValue) -> Result<(), CacheFailed> {
    let message = Reflect::get(error, &JsValue::from_str("message")).ok().and_then(|it| it.as_string());
    if message.is_some_and(|it| it.starts_with("No Cache was configured")) {
        HAS_NO_CACHE.set(true);
        return Ok(());
    }
    Err(CacheFailed)
}

/// Looks a key up: the record's bytes, or `None` where there is none.
pub(super) async fn look_up(host: &str, key: &Key) -> Result<Option<Vec<u8>>, CacheFailed> {
    let Some(cache) = cache() else { return Ok(None) };
    let found = match JsFuture::from(cache.match_with_str(&url(host, &key.name()))).await {
        Ok(found) => found,
        Err(error) => return failed(&error).map(|()| None),
    };
    let Some(bytes) = found.dyn_into::<Response>().ok().and_then(|it| it.array_buffer().ok()) else {
        return Ok(None);
    };
    match JsFuture::from(bytes).await {
        Ok(bytes) => Ok(Some(Uint8Array::new(&bytes).to_vec())),
        Err(error) => failed(&error).map(|()| None),
    }
}

/// Writes a key's record, to be kept this long.
pub(super) async fn write(host: &str, key: &Key, bytes: &[u8], lifetime: Span) -> Result<(), CacheFailed> {
    let Some(cache) = cache() else { return Ok(()) };
    let max_age = format!("max-age={}", lifetime.whole_seconds_up().max(1));
    let headers =
        response::headers(&[("content-type", "application/octet-stream"), ("cache-control", &max_age)]);
    let response = response::with_bytes(200, &headers, bytes);
    match JsFuture::from(cache.put_with_str(&url(host, &key.name()), &response)).await {
        Ok(_) => Ok(()),
        Err(error) => failed(&error),
    }
}

/// Whether a real put and match work, for `health`.
pub(super) async fn works(host: &str) -> bool {
    let Some(cache) = cache() else {
        return false;
    };
    let url = url(host, "health");
    let headers = response::headers(&[("cache-control", "max-age=10")]);
    let response = response::with_text(200, &headers, "ok");
    JsFuture::from(cache.put_with_str(&url, &response)).await.is_ok()
        && JsFuture::from(cache.match_with_str(&url)).await.is_ok_and(|found| found.is_object())
}
