//! Timers, and futures that give up.

use std::time::Duration;

use futures_util::future::{Either, select};
use worker::Delay;

use super::platform::Task;
use crate::time::Millis;

/// Sleeps.
pub(super) async fn sleep(time: Millis) {
    Delay::from(Duration::from_millis(time.0)).await;
}

/// The future's output, or the future itself when it has not ended in time.
pub(super) async fn within<T>(time: Millis, future: Task<T>) -> Result<T, Task<T>> {
    match select(future, Box::pin(sleep(time))).await {
        Either::Left((output, _)) => Ok(output),
        Either::Right(((), future)) => Err(future),
    }
}
