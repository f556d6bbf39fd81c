//! The values that describe a computation: its purpose, the outcome of its trigger, and its result.

use std::sync::Arc;

use crate::core::time::{Instant, Span};

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

/// A complete, valid answer of the origin, or a refusal (4xx) that must not be stored for other clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Computed {
    /// 2xx; 4xx for a refusal, which is never storable.
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
}

impl Computed {
    /// Whether it is the origin's refusal.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.status >= 400
    }
}
