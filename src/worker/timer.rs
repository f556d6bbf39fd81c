//! Timers, and futures with a time limit.

use futures_util::future::{Either, select};
use js_sys::Promise;
use wasm_bindgen_futures::JsFuture;

use super::{helpers, platform::background::BoxFuture};
use crate::core::time::Span;

/// A sleep that ends by its timer or by its alarm, and whose timer is cleared when the sleep is dropped.
pub(super) struct Sleep(Promise);

impl Sleep {
    pub(super) fn new(time: Span) -> Self {
        Self(helpers::sleep(time.0 as f64))
    }

    /// Returns a handle that can end the sleep early.
    pub(super) fn alarm(&self) -> Alarm {
        Alarm(self.0.clone())
    }

    /// Waits for its end.
    pub(super) async fn end(self) {
        let _ = JsFuture::from(self.0.clone()).await;
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        helpers::forget(&self.0);
    }
}

/// Ends a sleep early, even a sleep of another request. Code that awaits a promise continues in the request
/// that created the promise; a Rust future alone would continue in the request that wakes it.
pub(super) struct Alarm(Promise);

impl Alarm {
    pub(super) fn ring(&self) {
        helpers::wake(&self.0);
    }
}

/// Sleeps.
pub(super) async fn sleep(time: Span) {
    Sleep::new(time).end().await;
}

/// The future's output, or the future itself when it has not ended in time.
pub(super) async fn within<T>(time: Span, future: BoxFuture<T>) -> Result<T, BoxFuture<T>> {
    match select(future, Box::pin(sleep(time))).await {
        Either::Left((output, _)) => Ok(output),
        Either::Right(((), future)) => Err(future),
    }
}
