//! How a computation fails: the reasons, what a client is told of each, and what the key's object
//! remembers so that a failing origin gets one call per window and not one per request.

use serde::{Deserialize, Serialize};

use crate::core::time::Span;

/// Why the origin's answer could not be used. The words are stable: clients and dashboards see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No connection, or it broke before the headers.
    OriginUnreachable,
    /// No complete body within `origin_timeout`.
    OriginTimeout,
    /// A 5xx status.
    OriginError,
    /// 408, 425 or 429: the same request may succeed later.
    OriginBusy,
    /// 401, 403 or 407: the origin refuses this cache's credentials, which is not the client's fault.
    OriginUnauthorized,
    /// A redirect; redirects are not followed.
    OriginRedirect,
    /// A status without a complete body, or an unknown one: 1xx, 204, 205, 206, 304, 600 and above.
    OriginUnexpectedStatus,
    /// The body ended before its announced length, or the connection broke in it.
    OriginTruncated,
    /// More than `max_response` bytes after decoding.
    OriginBodyTooLarge,
    /// Not `application/json`, not UTF-8, or not JSON.
    OriginNotJson,
    /// The isolate already has `max_origin_calls` under way.
    TooManyOriginCalls,
}

impl Reason {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 11] = [
        Self::OriginUnreachable,
        Self::OriginTimeout,
        Self::OriginError,
        Self::OriginBusy,
        Self::OriginUnauthorized,
        Self::OriginRedirect,
        Self::OriginUnexpectedStatus,
        Self::OriginTruncated,
        Self::OriginBodyTooLarge,
        Self::OriginNotJson,
        Self::TooManyOriginCalls,
    ];

    /// The word in problem documents, logs and counters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OriginUnreachable => "origin_unreachable",
            Self::OriginTimeout => "origin_timeout",
            Self::OriginError => "origin_error",
            Self::OriginBusy => "origin_busy",
            Self::OriginUnauthorized => "origin_unauthorized",
            Self::OriginRedirect => "origin_redirect",
            Self::OriginUnexpectedStatus => "origin_unexpected_status",
            Self::OriginTruncated => "origin_truncated",
            Self::OriginBodyTooLarge => "origin_body_too_large",
            Self::OriginNotJson => "origin_not_json",
            Self::TooManyOriginCalls => "too_many_origin_calls",
        }
    }

    /// The status of the client's answer if there is no older entry to serve.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::OriginTimeout => 504,
            Self::TooManyOriginCalls => 503,
            Self::OriginUnreachable
            | Self::OriginError
            | Self::OriginBusy
            | Self::OriginUnauthorized
            | Self::OriginRedirect
            | Self::OriginUnexpectedStatus
            | Self::OriginTruncated
            | Self::OriginBodyTooLarge
            | Self::OriginNotJson => 502,
        }
    }

    /// One sentence for a person. It contains nothing from the origin's response.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::OriginUnreachable => "The origin could not be reached.",
            Self::OriginTimeout => "The origin did not answer in time.",
            Self::OriginError => "The origin failed.",
            Self::OriginBusy => "The origin asks for patience.",
            Self::OriginUnauthorized => "The origin refuses this cache's own credentials.",
            Self::OriginRedirect => "The origin redirects, which a cached route does not follow.",
            Self::OriginUnexpectedStatus => "The origin answered with a status that has no complete body.",
            Self::OriginTruncated => "The origin's answer broke off.",
            Self::OriginBodyTooLarge => "The origin's answer is larger than this route allows.",
            Self::OriginNotJson => "The origin's answer is not JSON.",
            Self::TooManyOriginCalls => "Too many computations are under way here.",
        }
    }
}

/// A failed computation, as the lease's holder reports it to the object and the object to the waiters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// A later call may succeed: the key backs off.
    Transient {
        /// Why.
        reason: Reason,
        /// What the origin asked for by `Retry-After`.
        retry_after: Option<Span>,
    },
    /// The origin's refusal (another 4xx): relayed, remembered for `negative_ttl`, without a back-off.
    Negative {
        /// The origin's status.
        status: u16,
        /// The origin's content type.
        content_type: String,
        /// The origin's body, a UTF-8 text.
        body: String,
        /// How long it is remembered.
        ttl: Span,
    },
    /// An answer that must not be stored: requests go uncached for a while.
    Pass {
        /// For how long.
        ttl: Span,
    },
    /// Nothing was computed: the grant came too late, or there was no room for the call.
    GivenBack,
}

impl Failure {
    /// The word for it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Transient { reason, .. } => reason.as_str(),
            Self::Negative { .. } => "negative",
            Self::Pass { .. } => "pass",
            Self::GivenBack => "given_back",
        }
    }
}

/// The default of `pass_ttl`.
pub const PASS_TTL: Span = Span(10_000);
/// The first back-off; doubled by each further failure in a row.
pub const BACKOFF_FIRST: Span = Span(1_000);
/// The longest back-off without a `Retry-After`.
pub const MAX_BACKOFF: Span = Span(30_000);
/// A key with a TTL below [`MAX_BACKOFF`] backs off for at most its TTL or this, whichever is longer: one
/// call per TTL is the origin's normal load, and a longer back-off would outlast a short outage.
pub const MIN_BACKOFF_CAP: Span = Span(10_000);
/// The longest back-off by `Retry-After`.
pub const MAX_RETRY_AFTER: Span = Span(120_000);

/// How long the next call has to wait after the `in_a_row`th consecutive transient failure (1 is the first).
/// `ttl` is that of the key's entry, if there is one.
///
/// `spread` in (0, 1] is the jitter: it shortens our own back-off to half at most. A `retry_after`, limited
/// to 1 to 120 s, is not shortened but lengthened, by a tenth at most.
#[must_use]
pub fn backoff(in_a_row: u32, retry_after: Option<Span>, ttl: Option<Span>, spread: f64) -> Span {
    match retry_after {
        Some(asked) => asked.clamp(BACKOFF_FIRST, MAX_RETRY_AFTER).share(1.0 + 0.1 * spread),
        None => {
            let doublings = in_a_row.saturating_sub(1).min(16);
            let most = ttl.map_or(MAX_BACKOFF, |ttl| ttl.clamp(MIN_BACKOFF_CAP, MAX_BACKOFF));
            let window = Span(BACKOFF_FIRST.0 << doublings).min(most);
            window.share(0.5 + 0.5 * spread)
        }
    }
}
