//! Timers, and futures that give up.

use futures_util::future::{Either, select};
use js_sys::Promise;
use wasm_bindgen_futures::JsFuture;

use super::{glue, platform::Task};
use crate::time::Millis;

/// A timer that goes with whoever waits for it.
struct Sleeping(Promise);

impl Drop for Sleeping {
    fn drop(&mut self) {
        glue::forget(&self.0);
    }
}

/// Sleeps.
pub(super) async fn sleep(time: Millis) {
    let sleeping = Sleeping(glue::sleep(time.0 as f64));
    let _ = JsFuture::from(sleeping.0.clone()).await;
}

/// The future's output, or the future itself when it has not ended in time.
pub(super) async fn within<T>(time: Millis, future: Task<T>) -> Result<T, Task<T>> {
    match select(future, Box::pin(sleep(time))).await {
        Either::Left((output, _)) => Ok(output),
        Either::Right(((), future)) => Err(future),
    }
}
