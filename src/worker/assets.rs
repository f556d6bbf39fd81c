//! The files that are deployed with the Worker: the demo page's, and the description of the HTTP surface.

use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::Response;

use super::{context::RequestContext, platform::bindings};

/// The file that a request names; `None` where there is none.
pub(super) async fn file(context: &RequestContext) -> Option<Response> {
    let found = bindings::fetch(&context.env, Some("ASSETS"), &context.request).ok()?;
    let found: Response = JsFuture::from(found).await.ok()?.unchecked_into();
    // What the files do not have is answered like any other unknown path.
    (found.status() != 404).then_some(found)
}
