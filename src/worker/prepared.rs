//! Prepared answers: the keys of recent requests, and the JavaScript objects from which the last response was
//! built.

use std::{
    rc::Rc,
    sync::{Arc, Weak},
};

use js_sys::Uint8Array;
use web_sys::{Response, ResponseInit};

use super::{helpers, keyed_request::CacheRequest, response};
use crate::core::{config::Route, entry::Entry, http::CacheStatus, time::Instant};

/// The largest body, in bytes, of which a copy is kept as a JavaScript array. For a larger one the memory
/// costs more than a copy per response.
const MAX_BODY: usize = 8_192;

/// A request's key, and the JavaScript objects from which its last response was built.
pub(super) struct Prepared {
    pub(super) request: Rc<CacheRequest>,
    ready: Option<Ready>,
}

struct Ready {
    /// The entry it was built from. While this weak reference exists, the address is not reused.
    entry: Weak<Entry>,
    status: CacheStatus,
    seconds: u64,
    init: ResponseInit,
    body: Uint8Array,
}

impl Prepared {
    pub(super) fn new(request: Rc<CacheRequest>) -> Self {
        Self { request, ready: None }
    }

    /// Builds a response from the entry. The headers give the age and the remaining TTL in whole seconds, so
    /// they are reused within one second.
    pub(super) fn response(
        &mut self,
        route: &Route,
        entry: &Arc<Entry>,
        status: CacheStatus,
        now: Instant,
    ) -> Response {
        if entry.body.len() > MAX_BODY || entry.body.is_empty() {
            return response::of_entry(route, entry, status, now);
        }
        let seconds = entry.age(now).0 / 1_000;
        let ready = match self.ready.take() {
            Some(ready) if ready.entry.as_ptr() == Arc::as_ptr(entry) => {
                if ready.status == status && ready.seconds == seconds {
                    ready
                } else {
                    Ready {
                        status,
                        seconds,
                        init: response::init_of_entry(route, entry, status, now),
                        ..ready
                    }
                }
            }
            _ => Ready {
                entry: Arc::downgrade(entry),
                status,
                seconds,
                init: response::init_of_entry(route, entry, status, now),
                body: Uint8Array::from(&*entry.body),
            },
        };
        let response = helpers::respond(&ready.body, &ready.init).unwrap_or_else(|_| Response::error());
        self.ready = Some(ready);
        response
    }
}
