//! The colo's tier: the Cache API. It is per colo, not replicated, and has no compare-and-set; a lost
//! race may put an older entry back until the colo's next word with the object.
//!
//! A record is a purge floor, and an entry where there is one. A record without an entry is the
//! tombstone that a purge leaves, so that a late `put` does not bring back what was purged.

use std::sync::Arc;

use js_sys::Reflect;
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Cache, Response};

use super::{isolate, response};
use crate::{
    core::{
        entry::{self, Entry, Floor},
        key::Key,
        time::Span,
    },
    isolate::metrics::MetricEvent,
    protocol::codec,
    worker::platform::clock,
};

/// The version of the record's head.
const FORMAT: u32 = u32::from_le_bytes(*b"XFC1");

#[derive(Serialize, Deserialize)]
struct Head {
    floor: Floor,
}

/// What the colo holds for a key.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) floor: Floor,
    pub(super) entry: Option<Arc<Entry>>,
}

/// The synthetic URL of a key: on the host that the request came to, as the platform caches for a zone's own hosts
/// only, and beside that of nothing that a client sent. Each host of a Worker has its own copies.
fn url(host: &str, key: &Key) -> String {
    format!("https://{host}/_xfetch/entry/{}", key.name())
}

fn cache() -> Option<Cache> {
    if isolate::with(|isolate| isolate.has_no_cache) {
        return None;
    }
    let caches = Reflect::get(&js_sys::global(), &JsValue::from_str("caches")).ok()?;
    let default = Reflect::get(&caches, &JsValue::from_str("default")).ok()?;
    default.is_object().then(|| default.unchecked_into())
}

fn failed(error: &JsValue) {
    let message = Reflect::get(error, &JsValue::from_str("message")).ok().and_then(|it| it.as_string());
    if message.is_some_and(|it| it.starts_with("No Cache was configured")) {
        // A runtime without a cache: not a fault, and not worth asking again.
        isolate::with(|isolate| isolate.has_no_cache = true);
    } else {
        isolate::count(MetricEvent::CacheFailed);
    }
}

/// Looks a key up. Every failure is an empty record: other tiers will do.
pub(super) async fn look_up(host: &str, key: &Key) -> Record {
    let Some(cache) = cache() else {
        return Record::default();
    };
    let found = match JsFuture::from(cache.match_with_str(&url(host, key))).await {
        Ok(found) => found,
        Err(error) => {
            failed(&error);
            return Record::default();
        }
    };
    let Ok(response) = found.dyn_into::<Response>() else {
        return Record::default();
    };
    let Ok(bytes) = response.array_buffer() else {
        return Record::default();
    };
    match JsFuture::from(bytes).await {
        Ok(bytes) => decode(&js_sys::Uint8Array::new(&bytes).to_vec(), key),
        Err(error) => {
            failed(&error);
            Record::default()
        }
    }
}

fn decode(bytes: &[u8], key: &Key) -> Record {
    let Some((head, rest)) = codec::split::<Head>(FORMAT, bytes) else {
        isolate::count(MetricEvent::EntryUnreadable);
        return Record::default();
    };
    let entry = match rest {
        [] => None,
        bytes => entry::decode(bytes, &key.text)
            .map_err(|_| isolate::count(MetricEvent::EntryUnreadable))
            .ok()
            .and_then(|entry| head.floor.applied(Arc::new(entry), clock::now()))
            .filter(|entry| !entry.is_gone(clock::now())),
    };
    Record { floor: head.floor, entry }
}

/// Stores a committed entry, unless the colo holds something newer or has heard of its purge.
pub(super) async fn accept(host: &str, key: &Key, entry: &Arc<Entry>) {
    let now = clock::now();
    let held = look_up(host, key).await;
    let floor = held.floor.raised(isolate::with(|isolate| isolate.local.memory.floor(&key.hash)));
    let Some(entry) = floor.applied(Arc::clone(entry), now).filter(|entry| !entry.is_gone(now)) else {
        return;
    };
    if held.entry.is_some_and(|held| !entry.supersedes(&held)) {
        return;
    }
    let lifetime = entry.lifetime.physical().minus(entry.age(now));
    put(host, key, floor, Some(&entry), lifetime).await;
}

/// Hears a floor: what lies below is dropped or marked stale, and the floor itself is left for as long
/// as an older entry could still arrive.
pub(super) async fn hear(host: &str, key: &Key, floor: Floor, physical: Span) {
    let held = look_up(host, key).await;
    let raised = held.floor.raised(floor);
    if raised == held.floor {
        return;
    }
    let now = clock::now();
    let left = held.entry.and_then(|entry| raised.applied(entry, now));
    put(host, key, raised, left.as_deref(), physical).await;
}

async fn put(host: &str, key: &Key, floor: Floor, entry: Option<&Entry>, lifetime: Span) {
    let Some(cache) = cache() else {
        return;
    };
    let record = codec::join(FORMAT, &Head { floor }, &entry.map(entry::encode).unwrap_or_default());
    let max_age = format!("max-age={}", lifetime.whole_seconds_up().max(1));
    let headers = response::headers(&[
        ("content-type", "application/octet-stream"),
        ("cache-control", max_age.as_str()),
    ]);
    let response = response::with_bytes(200, &headers, &record);
    if let Err(error) = JsFuture::from(cache.put_with_str(&url(host, key), &response)).await {
        failed(&error);
    }
}

/// Whether a real put and match work, for `health`.
pub(super) async fn works(host: &str) -> bool {
    let Some(cache) = cache() else {
        return false;
    };
    let url = format!("https://{host}/_xfetch/entry/health");
    let headers = response::headers(&[("cache-control", "max-age=10")]);
    let response = response::with_text(200, &headers, "ok");
    JsFuture::from(cache.put_with_str(&url, &response)).await.is_ok()
        && JsFuture::from(cache.match_with_str(&url)).await.is_ok_and(|found| found.is_object())
}
