//! `Cache-Status` (RFC 9211): how an answer came about.

/// The name of this cache in `Cache-Status` and `CDN-Loop`.
pub const CACHE_NAME: &str = "xfetch-edge";

/// How an answer came about, for `Cache-Status`. In the field's grammar `hit` and `fwd` exclude each
/// other (RFC 9211, section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// An existing entry, not a new computation.
    Hit {
        /// Remaining freshness in whole seconds; negative after expiry.
        ttl: i64,
        /// Whether it was judged stale.
        is_stale: bool,
    },
    /// This request's own computation, stored.
    Stored,
    /// This request's own computation or its failure, not stored.
    Miss,
    /// The result of another request's computation, for which this request waited.
    Collapsed,
    /// An old entry, because no new one could be computed in time.
    FellBack {
        /// Remaining freshness in whole seconds, negative.
        ttl: i64,
    },
    /// Not cached at all.
    Bypass,
}

impl CacheStatus {
    /// The field's value. Every part of it is a token or an integer of at most 15 digits, so there is
    /// nothing to escape; a test reads each form back with a parser of structured fields.
    #[must_use]
    pub fn value(self) -> String {
        let what = match self {
            Self::Hit { ttl, is_stale: false } => return format!("{CACHE_NAME}; hit; ttl={}", digits(ttl)),
            Self::Hit { ttl, is_stale: true } => {
                return format!("{CACHE_NAME}; hit; ttl={}; detail=stale", digits(ttl));
            }
            Self::FellBack { ttl } => return format!("{CACHE_NAME}; fwd=stale; ttl={}", digits(ttl)),
            Self::Stored => "fwd=miss; stored",
            Self::Miss => "fwd=miss",
            Self::Collapsed => "fwd=miss; collapsed",
            Self::Bypass => "fwd=bypass",
        };
        format!("{CACHE_NAME}; {what}")
    }
}

/// Within the range of a structured field's integers (RFC 8941, section 3.3.1).
fn digits(seconds: i64) -> i64 {
    const MAX_SECONDS: i64 = 999_999_999_999_999;
    seconds.clamp(-MAX_SECONDS, MAX_SECONDS)
}
