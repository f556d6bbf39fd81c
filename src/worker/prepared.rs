//! Answers kept ready: for questions asked a moment ago their keys, and the response that was last made from
//! the key's entry, as the JavaScript objects that it is made of.

use std::{
    rc::Rc,
    sync::{Arc, Weak},
};

use js_sys::Uint8Array;
use web_sys::{Response, ResponseInit};

use super::{driver::Asked, helpers, response};
use crate::core::{config::Route, entry::Entry, http::CacheStatus, time::Instant};

/// A larger body is not kept a second time: copying it costs less than the memory is worth.
const MAX_BODY: usize = 8_192;

/// A question's key, and the answer it was last given.
pub(super) struct Known {
    pub(super) asked: Rc<Asked>,
    ready: Option<Ready>,
}

struct Ready {
    /// The entry it was made from: alive or not, its address is nobody else's as long as this stands.
    entry: Weak<Entry>,
    status: CacheStatus,
    seconds: u64,
    init: ResponseInit,
    body: Uint8Array,
}

impl Known {
    pub(super) fn new(asked: Rc<Asked>) -> Self {
        Self { asked, ready: None }
    }

    /// The entry as a response. Age and time to live stand in whole seconds: within one the headers stay.
    pub(super) fn response(
        &mut self,
        route: &Route,
        entry: &Arc<Entry>,
        status: CacheStatus,
        now: Instant,
    ) -> Response {
        if entry.body.len() > MAX_BODY {
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
