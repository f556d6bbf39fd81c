//! The values that describe a computation: its purpose, the outcome of its trigger, and its result.

use std::sync::Arc;

use crate::core::{
    entry::{Lifetime, Variant},
    failure::{Failure, Reason},
    http,
    time::{Instant, Span},
};

/// Why a computation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To replace an entry before its expiry.
    Early,
    /// To replace an entry that has expired and is being served.
    Stale,
    /// For a client that waits, because there is no entry to serve.
    Cold,
}

impl Purpose {
    /// The word for it in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Early => "early",
            Self::Stale => "stale",
            Self::Cold => "cold",
        }
    }
}

/// What a trigger led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TriggerOutcome {
    /// The lease was granted.
    Started,
    /// Another refresh is running, in this isolate or in another one.
    Contention,
    /// A newer generation was found before or inside the lock.
    RecheckSkip,
    /// The object was out of reach.
    LockError,
    /// The origin failed shortly before and the back-off is not over, or `max_origin_calls` are in progress.
    Backoff,
}

impl TriggerOutcome {
    /// The name of its counter.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "refreshes_started",
            Self::Contention => "xfetch_lock_contention_total",
            Self::RecheckSkip => "xfetch_recheck_skips_total",
            Self::LockError => "refresh_lock_errors",
            Self::Backoff => "refresh_backoffs",
        }
    }
}

/// A complete answer of the origin. Where the route's own policy counts, it is valid, or a refusal (4xx) that must not
/// be stored for other clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Computed {
    /// The origin's status.
    pub status: u16,
    /// The headers that are kept.
    pub headers: Vec<(String, String)>,
    /// The decoded body.
    pub body: Arc<[u8]>,
    /// From just before the call to the last byte.
    pub delta: Span,
    /// Whether the origin allows it to be stored.
    pub storable: bool,
    /// The instant of the last byte.
    pub at: Instant,
    /// How old it was at that instant.
    pub age: Span,
    /// How long the origin lets it be served; `None` if the route says so.
    pub lifetime: Option<Lifetime>,
    /// The request's header fields by which it varies.
    pub variant: Variant,
    /// The directive of the origin that forbids to serve it stale, if there is one.
    pub stale_forbidden_by: Option<&'static str>,
    /// Whether the origin has only confirmed the entry held (304), so that the cost is not that of a computation.
    pub is_renewal: bool,
}

impl Computed {
    /// Whether it is the origin's refusal.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        (400..500).contains(&self.status)
    }

    /// Whether it says that the origin failed (RFC 5861, section 4).
    #[must_use]
    pub fn says_failure(&self) -> bool {
        matches!(self.status, 500 | 502..=504)
    }

    /// Whether an older entry is the better answer.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        !self.storable && self.says_failure()
    }

    /// What the key's object remembers of a failed call whose answer is passed on.
    #[must_use]
    pub fn as_failure(&self) -> Failure {
        let field = http::value(&self.headers, "retry-after");
        let retry_after = field.and_then(|field| http::retry_after(field, self.at));
        Failure::Transient { reason: Reason::OriginError, retry_after }
    }
}
