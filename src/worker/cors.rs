//! Cross-origin requests: which pages may read the answers.

use web_sys::Response;

use super::{context::RequestHead, response};

/// Adds the headers that let pages of the allowed origins read a response.
pub(super) fn with_cors(head: &RequestHead, response: Response) -> Response {
    if !head.config.cors_origins.is_empty() {
        let headers = response.headers();
        let _ = headers.append("vary", "Origin");
        if let Some(origin) = allowed_origin(head) {
            response::set(&headers, "access-control-allow-origin", &origin);
            response::set(&headers, "access-control-expose-headers", "Age, Cache-Status, ETag, Retry-After");
        }
    }
    response
}

/// The page's origin, in the sense of CORS, if it is allowed.
pub(super) fn allowed_origin(head: &RequestHead) -> Option<String> {
    let origin = head.header("origin")?;
    head.config.cors_origins.iter().any(|allowed| *allowed == origin || allowed == "*").then_some(origin)
}
