//! The functions of `helpers.js`: each does in one call from wasm into JavaScript what would take many.

use js_sys::{Array, ArrayBuffer, Promise, Uint8Array};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use web_sys::{Request, Response, ResponseInit};

#[wasm_bindgen(module = "/src/worker/helpers.js")]
extern "C" {
    /// What a request's head says, in one number.
    #[wasm_bindgen(js_name = requestFlags)]
    pub(super) fn request_flags(request: &Request, credentials: &Array) -> f64;

    /// Copies `length` bytes of a buffer into wasm memory, to this address.
    fn copy(buffer: &ArrayBuffer, length: usize, memory: &JsValue, address: usize);

    /// A response with a body that is kept for the next one.
    #[wasm_bindgen(catch)]
    pub(super) fn respond(body: &Uint8Array, init: &ResponseInit) -> Result<Response, JsValue>;

    /// A promise that resolves after this many milliseconds.
    pub(super) fn sleep(milliseconds: f64) -> Promise;

    /// Ends this promise of `sleep`, for whichever request waits for it.
    pub(super) fn wake(sleeping: &Promise);

    /// Cancels the timer of a `sleep` promise that is no longer awaited.
    pub(super) fn forget(sleeping: &Promise);
}

/// The first bytes of a buffer.
pub(super) fn bytes(buffer: &ArrayBuffer, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    copy(buffer, length, &wasm_bindgen::memory(), bytes.as_mut_ptr() as usize);
    bytes
}
