//! The functions of `glue.js`: what would be many calls across the border, each made into one.

use js_sys::{Array, Promise, Uint8Array};
use wasm_bindgen::{JsValue, closure::Closure, prelude::wasm_bindgen};
use web_sys::{Request, Response, ResponseInit};
use worker::Env;

use super::platform::ExecutionContext;

/// What [`read_then`] calls with a body: the request and what belongs to it, the place of its route, its head,
/// and the instant at which it came. The body is null when it was too slow, and undefined when it broke.
pub(super) type Answer = dyn Fn(JsValue, Request, Env, ExecutionContext, usize, f64, f64) -> JsValue;

#[wasm_bindgen(module = "/src/edge/glue.js")]
extern "C" {
    /// What a request's head says, in one number.
    pub(super) fn head(request: &Request, credentials: &Array) -> f64;

    /// Reads a body, within so many milliseconds and a tick or two, and has it answered.
    #[wasm_bindgen(js_name = readThen)]
    pub(super) fn read_then(
        answer: &Closure<Answer>,
        limit: f64,
        request: &Request,
        env: &Env,
        context: &ExecutionContext,
        route: usize,
        head: f64,
        started: f64,
    ) -> JsValue;

    /// A response with a body that is kept for the next one.
    #[wasm_bindgen(catch)]
    pub(super) fn respond(body: &Uint8Array, init: &ResponseInit) -> Result<Response, JsValue>;

    /// A promise of the end of so many milliseconds.
    pub(super) fn sleep(milliseconds: f64) -> Promise;

    /// Ends this promise of `sleep`, for whichever request waits for it.
    pub(super) fn wake(sleeping: &Promise);

    /// Nobody waits for this promise of `sleep` any more.
    pub(super) fn forget(sleeping: &Promise);
}
