//! The answer to a client as values, from which the world makes an HTTP response.

use std::sync::Arc;

use super::{computation::Computed, metrics::ServedAs};
use crate::core::{
    entry::Entry,
    failure::{Failure, Reason},
    http::CacheStatus,
    time::{Instant, Span},
};

/// An answer to a client, and how it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Served {
    /// How it counts.
    pub class: ServedAs,
    /// The answer.
    pub answer: Answered,
}

/// The answer itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Answered {
    /// An entry.
    Entry {
        /// The entry.
        entry: Arc<Entry>,
        /// How it came about.
        status: CacheStatus,
    },
    /// An answer of the origin that is not stored.
    Uncached(Computed),
    /// A 4xx of the origin, relayed.
    Refusal {
        /// The origin's status.
        status: u16,
        /// The origin's content type.
        content_type: String,
        /// The origin's body.
        body: String,
    },
    /// The computation failed or was not allowed.
    Failed {
        /// Why.
        reason: Reason,
        /// When it is worth trying again.
        retry_after: Span,
    },
    /// Too many requests wait for this key.
    TooManyWaiters,
    /// The object was out of reach, and no computation landed in time.
    Unavailable,
    /// Nothing is stored that the client accepts, and it wants no computation.
    NotCached,
}

impl Answered {
    /// The entry that answers, and how it came about; `None` for an answer without one.
    #[must_use]
    pub fn entry(&self) -> Option<(&Arc<Entry>, CacheStatus)> {
        match self {
            Self::Entry { entry, status } => Some((entry, *status)),
            Self::Uncached(_)
            | Self::Refusal { .. }
            | Self::Failed { .. }
            | Self::TooManyWaiters
            | Self::Unavailable
            | Self::NotCached => None,
        }
    }
}

impl Served {
    /// An entry that was there. `is_stale` as it was judged: a clock step can make an entry stale before
    /// its expiry.
    #[must_use]
    pub fn hit(entry: Arc<Entry>, is_stale: bool, now: Instant) -> Self {
        let ttl = remaining(&entry, now);
        let ttl = if is_stale { ttl.min(-1) } else { ttl };
        let class = if is_stale { ServedAs::HitStale } else { ServedAs::HitFresh };
        Self { class, answer: Answered::Entry { entry, status: CacheStatus::Hit { ttl, is_stale } } }
    }

    /// A new entry, this request's own or another's.
    #[must_use]
    pub fn computed(entry: Arc<Entry>, status: CacheStatus) -> Self {
        Self { class: ServedAs::Miss, answer: Answered::Entry { entry, status } }
    }

    /// The old entry, within `stale_if_error`.
    #[must_use]
    pub fn fallback(entry: Arc<Entry>, now: Instant) -> Self {
        let status = CacheStatus::FellBack { ttl: remaining(&entry, now).min(-1) };
        Self { class: ServedAs::HitStale, answer: Answered::Entry { entry, status } }
    }

    /// An answer of the origin that is not stored.
    #[must_use]
    pub fn uncached(computed: Computed) -> Self {
        Self { class: ServedAs::Miss, answer: Answered::Uncached(computed) }
    }

    /// A failure. If there was no room for another origin call, this cache has refused the request, so it
    /// does not count as a miss.
    #[must_use]
    pub fn failed(reason: Reason, retry_after: Span) -> Self {
        let class = if reason == Reason::TooManyOriginCalls { ServedAs::Rejected } else { ServedAs::Miss };
        Self { class, answer: Answered::Failed { reason, retry_after } }
    }

    /// The answer to a client whose own origin call failed.
    #[must_use]
    pub fn failure(failure: Failure) -> Self {
        match failure {
            Failure::Transient { reason, retry_after } => {
                Self::failed(reason, retry_after.unwrap_or(Span::SECOND))
            }
            Failure::Negative { status, content_type, body, .. } => {
                Self { class: ServedAs::Miss, answer: Answered::Refusal { status, content_type, body } }
            }
            Failure::Pass { .. } | Failure::GivenBack => {
                Self::failed(Reason::TooManyOriginCalls, Span::SECOND)
            }
        }
    }

    /// The computation did not end within the request's patience.
    #[must_use]
    pub fn timed_out() -> Self {
        Self::failed(Reason::OriginTimeout, Span::SECOND)
    }

    /// Too many requests wait for this key.
    #[must_use]
    pub fn too_many_waiters() -> Self {
        Self { class: ServedAs::Rejected, answer: Answered::TooManyWaiters }
    }

    /// Nothing is stored that the client accepts, and it wants no computation.
    #[must_use]
    pub fn not_cached() -> Self {
        Self { class: ServedAs::Rejected, answer: Answered::NotCached }
    }

    /// The object was out of reach, and no computation landed in time.
    #[must_use]
    pub fn unavailable() -> Self {
        Self { class: ServedAs::Miss, answer: Answered::Unavailable }
    }
}

/// Whole seconds until expiry, negative after it.
fn remaining(entry: &Entry, now: Instant) -> i64 {
    let expiry = entry.expiry();
    if now < expiry {
        i64::try_from(expiry.since(now).0 / 1_000).unwrap_or(i64::MAX)
    } else {
        -i64::try_from(now.since(expiry).whole_seconds_up()).unwrap_or(i64::MAX)
    }
}
