//! The static files that are deployed with the Worker: the demo page and the OpenAPI document.

use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::Response;

use super::{context::RequestContext, platform::bindings};

/// The static file at the request's path; `None` if there is none.
pub(super) async fn file(context: &RequestContext) -> Option<Response> {
    let found = bindings::fetch(&context.env, Some("ASSETS"), &context.request).ok()?;
    let found: Response = JsFuture::from(found).await.ok()?.unchecked_into();
    // A missing file is answered like any other unknown path.
    (found.status() != 404).then_some(found)
}
