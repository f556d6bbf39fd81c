//! Properties of a request's method and headers, read in one call into JavaScript. Reading each header
//! separately would cost a call each, and the decoding of the header's name in JavaScript.

use js_sys::Array;
use web_sys::Request;

use super::helpers;
use crate::core::http::Method;

/// Number of bits below the length.
const BITS: u32 = 16;

/// The flags as one number, made by `helpers.js`: bits, and above them the announced length plus one.
#[derive(Clone, Copy)]
pub(super) struct RequestFlags(u64);

impl RequestFlags {
    /// `credentials`: the names of all headers that are credentials on some route, beside the two that
    /// always are.
    pub(super) fn of(request: &Request, credentials: &Array) -> Self {
        Self(helpers::request_flags(request, credentials) as u64)
    }

    /// The flags without the announced length, which is not needed once the body has been read.
    #[cfg(feature = "handler")]
    pub(super) fn bits(self) -> u16 {
        self.0 as u16
    }

    #[cfg(feature = "handler")]
    pub(super) fn from_bits(bits: u16) -> Self {
        Self(u64::from(bits))
    }

    fn has(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }

    /// The method, if it is one that can be cached; `HEAD` counts as `GET`.
    pub(super) fn method(self) -> Option<Method> {
        if self.is_post() {
            return Some(Method::Post);
        }
        if self.is_get_or_head() {
            return Some(Method::Get);
        }
        self.is_query().then_some(Method::Query)
    }

    pub(super) fn is_get_or_head(self) -> bool {
        self.is_get() || self.is_head()
    }

    fn is_post(self) -> bool {
        self.has(0)
    }

    pub(super) fn is_options(self) -> bool {
        self.has(1)
    }

    fn is_get(self) -> bool {
        self.has(2)
    }

    fn is_query(self) -> bool {
        self.has(4)
    }

    pub(super) fn is_head(self) -> bool {
        self.has(3)
    }

    /// Whether the content type is exactly `application/json`; other values may be acceptable too.
    pub(super) fn has_json_type(self) -> bool {
        self.has(5)
    }

    pub(super) fn has_content_encoding(self) -> bool {
        self.has(6)
    }

    /// Whether there is `Authorization`, `Cookie`, or another header that is a credential on some route.
    pub(super) fn has_credentials(self) -> bool {
        self.has(7)
    }

    pub(super) fn has_loop(self) -> bool {
        self.has(8)
    }

    pub(super) fn has_none_match(self) -> bool {
        self.has(9)
    }

    /// Whether a `GET` or `HEAD` has `If-Modified-Since`.
    pub(super) fn has_modified_since(self) -> bool {
        self.has(10)
    }

    /// Whether a `GET` or `HEAD` has `Range`.
    pub(super) fn has_range(self) -> bool {
        self.has(11)
    }

    /// The announced length of the body, in bytes.
    pub(super) fn length(self) -> Option<u64> {
        (self.0 >> BITS).checked_sub(1)
    }
}
