//! Work that may outlast the response, in `waitUntil`.

use std::{future::Future, pin::Pin};

use futures_channel::oneshot;
use js_sys::{Object, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::future_to_promise;
use worker::Context;

#[wasm_bindgen]
extern "C" {
    /// The context of a request, as its handler gets it.
    #[derive(Clone)]
    pub type ExecutionContext;

    /// The platform ignores `is_housekeeping`. The npm package's entrypoint waits for the other promises, as
    /// long as another Worker's function may still be called.
    #[wasm_bindgen(method, catch, js_name = waitUntil)]
    fn wait_until(this: &ExecutionContext, promise: &Promise, is_housekeeping: bool) -> Result<(), JsValue>;
}

/// A text among the `props` of a context, which the operator of a service binding sets.
fn property(context: &JsValue, name: &str) -> Option<String> {
    let props = Reflect::get(context, &JsValue::from_str("props")).ok()?;
    // Only what was set: every object has a `constructor`.
    let props: Object = props.dyn_into().ok()?;
    let is_own = Object::has_own(&props, &JsValue::from_str(name));
    is_own.then(|| Reflect::get(&props, &JsValue::from_str(name)).ok()?.as_string()).flatten()
}

/// A type-erased future, so that the wasm holds one copy of the code that runs futures.
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// The context of a request: the `worker` crate's wrapper, or the platform's own object.
pub(crate) trait Background {
    /// Keeps the request alive until the future has ended. `is_housekeeping`: no answer or entry depends on it.
    fn wait_until(&self, future: BoxFuture<()>, is_housekeeping: bool);

    /// A text among the properties of the service binding that the request came through.
    fn property(&self, name: &str) -> Option<String>;
}

impl Background for Context {
    fn wait_until(&self, future: BoxFuture<()>, _: bool) {
        Self::wait_until(self, future);
    }

    fn property(&self, name: &str) -> Option<String> {
        property(self.as_ref(), name)
    }
}

impl Background for ExecutionContext {
    fn wait_until(&self, future: BoxFuture<()>, is_housekeeping: bool) {
        let promise = promise(Box::pin(async move {
            future.await;
            Ok(JsValue::UNDEFINED)
        }));
        keep(self, &promise, is_housekeeping);
    }

    fn property(&self, name: &str) -> Option<String> {
        property(self.as_ref(), name)
    }
}

/// Keeps a request alive until the promise has settled, even if the client disconnects. Without this, the
/// platform cancels the request: its futures are never polled again, and what they hold is never freed.
pub(crate) fn keep(context: &ExecutionContext, promise: &Promise, is_housekeeping: bool) {
    // It fails only for a request that has already ended, which need not be kept alive.
    let _ = context.wait_until(promise, is_housekeeping);
}

/// Runs a future in the background, in `waitUntil`.
pub(crate) fn spawn(context: &dyn Background, future: impl Future<Output = ()> + 'static) {
    context.wait_until(Box::pin(future), false);
}

/// Runs a future in the background on which no answer or entry depends.
pub(crate) fn spawn_housekeeping(context: &dyn Background, future: impl Future<Output = ()> + 'static) {
    context.wait_until(Box::pin(future), true);
}

/// Runs a future in the background, so that it continues when the client disconnects, and sends its output
/// to the request that awaits it.
pub(crate) fn spawn_detached<T: 'static>(
    context: &dyn Background,
    future: impl Future<Output = T> + 'static,
) -> oneshot::Receiver<T> {
    let (sender, output) = oneshot::channel();
    spawn(context, async move {
        // A client that has disconnected needs no answer.
        let _ = sender.send(future.await);
    });
    output
}

/// Converts a future into a promise.
pub(crate) fn promise(future: BoxFuture<Result<JsValue, JsValue>>) -> Promise {
    future_to_promise(future)
}
