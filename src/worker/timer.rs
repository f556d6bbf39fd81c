//! Timers, and futures that give up.

use futures_util::future::{Either, select};
use js_sys::Promise;
use wasm_bindgen_futures::JsFuture;

use super::{helpers, platform::bindings::Task};
use crate::core::time::Span;

/// A timer that goes with whoever waits for it.
pub(super) struct Sleeping(Promise);

impl Sleeping {
    pub(super) fn new(time: Span) -> Self {
        Self(helpers::sleep(time.0 as f64))
    }

    /// What ends it early.
    pub(super) fn alarm(&self) -> Alarm {
        Alarm(self.0.clone())
    }

    /// Its end.
    pub(super) async fn end(self) {
        let _ = JsFuture::from(self.0.clone()).await;
    }
}

/// Wakes a sleeper, also one of another request: a promise carries the request that it was made in, and what
/// waits for it goes on there. A task of Rust alone would go on in the request that wakes it.
pub(super) struct Alarm(Promise);

impl Alarm {
    pub(super) fn ring(&self) {
        helpers::wake(&self.0);
    }
}

impl Drop for Sleeping {
    fn drop(&mut self) {
        helpers::forget(&self.0);
    }
}

/// Sleeps.
pub(super) async fn sleep(time: Span) {
    Sleeping::new(time).end().await;
}

/// The future's output, or the future itself when it has not ended in time.
pub(super) async fn within<T>(time: Span, future: Task<T>) -> Result<T, Task<T>> {
    match select(future, Box::pin(sleep(time))).await {
        Either::Left((output, _)) => Ok(output),
        Either::Right(((), future)) => Err(future),
    }
}
