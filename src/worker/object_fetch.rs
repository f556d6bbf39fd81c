//! The `fetch` of both Durable Objects: bytes in, bytes out.

use js_sys::Promise;
use wasm_bindgen::JsValue;
use web_sys::Request;

use super::{
    platform::{background, bindings},
    response,
};

/// Answers a message with bytes, or with an empty 400 if the request's body is not a message.
pub(super) fn answer<F>(request: Request, answer: impl FnOnce(Vec<u8>) -> F + 'static) -> Promise
where
    F: Future<Output = Result<Option<Vec<u8>>, JsValue>> + 'static,
{
    background::promise(Box::pin(async move {
        let bytes = bindings::bytes_of(request.array_buffer()).await?;
        let headers = response::headers(&[]);
        Ok(match answer(bytes).await? {
            Some(bytes) => response::with_bytes(200, &headers, &bytes),
            None => response::empty(400, &headers),
        }
        .into())
    }))
}
