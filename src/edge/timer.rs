//! Timers, and futures that give up.

use std::{future::Future, pin::Pin, time::Duration};

use futures_util::future::{Either, select};
use worker::Delay;

use crate::time::Millis;

/// A future that may be left running after its time-out.
pub(super) type Pending<T> = Pin<Box<dyn Future<Output = T>>>;

/// Sleeps.
pub(super) async fn sleep(time: Millis) {
    Delay::from(Duration::from_millis(time.0)).await;
}

/// The future's output, or the future itself when it has not ended in time.
pub(super) async fn within<T>(time: Millis, future: Pending<T>) -> Result<T, Pending<T>> {
    match select(future, Box::pin(sleep(time))).await {
        Either::Left((output, _)) => Ok(output),
        Either::Right(((), future)) => Err(future),
    }
}
