//! The functions of `helpers.js`: each replaces several calls from wasm into JavaScript by one.

use js_sys::{Array, ArrayBuffer, Promise, Uint8Array};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use web_sys::{Headers, Request, Response, ResponseInit};

#[wasm_bindgen(module = "/src/worker/helpers.js")]
extern "C" {
    /// Encodes a request's method and headers as one number, for `RequestFlags`.
    #[wasm_bindgen(js_name = requestFlags)]
    pub(super) fn request_flags(request: &Request, credentials: &Array) -> f64;

    /// The names and values of all headers, one after the other.
    #[wasm_bindgen(js_name = headerList)]
    fn header_list(headers: &Headers) -> Vec<String>;

    /// Copies `length` bytes of a buffer into wasm memory, to this address.
    fn copy(buffer: &ArrayBuffer, length: usize, memory: &JsValue, address: usize);

    /// Whether a key, a JWK as text, has signed a text by this algorithm of RFC 7518.
    #[wasm_bindgen(js_name = verifySignature)]
    pub(super) fn verify_signature(
        jwk: &str,
        algorithm: &str,
        signature: &Uint8Array,
        signed: &str,
    ) -> Promise;

    /// Creates a response. The caller keeps `body` and `init` for the next response.
    #[wasm_bindgen(catch)]
    pub(super) fn respond(body: &Uint8Array, init: &ResponseInit) -> Result<Response, JsValue>;

    /// A promise that resolves after this many milliseconds.
    pub(super) fn sleep(milliseconds: f64) -> Promise;

    /// Resolves a promise of `sleep`, which may belong to another request.
    pub(super) fn wake(sleeping: &Promise);

    /// Cancels the timer of a `sleep` promise that is no longer awaited.
    pub(super) fn forget(sleeping: &Promise);
}

/// All headers, with names in lower case.
pub(super) fn fields(headers: &Headers) -> Vec<(String, String)> {
    let mut list = header_list(headers).into_iter();
    std::iter::from_fn(|| Some((list.next()?, list.next()?))).collect()
}

/// The first bytes of a buffer.
pub(super) fn bytes(buffer: &ArrayBuffer, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    copy(buffer, length, &wasm_bindgen::memory(), bytes.as_mut_ptr() as usize);
    bytes
}
