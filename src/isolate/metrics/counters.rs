//! Counters and histograms, as a fold over events.
//!
//! An event is counted when its outcome is known, and then changes both sides of a sum. So the sums hold at
//! every moment, and a lost event is missing on both sides:
//! - `total_requests = cache_hit_fresh + cache_hit_stale + cache_miss + bypass + rejected`
//! - `xfetch_triggers = xfetch_early_triggers + xfetch_stale_triggers = refreshes_started +
//!   xfetch_lock_contention_total + xfetch_recheck_skips_total + refresh_lock_errors +
//!   refresh_backoffs`
//! - `compute_calls = compute_calls_cold + compute_calls_refresh = compute_ok + compute_failed +
//!   compute_abandoned`

use serde::{Deserialize, Serialize};

use super::{
    event::{CallOutcome, MetricEvent, Refusal, ServedAs},
    top::{Spent, TopList},
};
use crate::{
    core::{failure::Reason, time::Span},
    isolate::computation::{Purpose, TriggerOutcome},
};

/// Upper bounds of the histograms' buckets, in milliseconds; beyond the last is `+Inf`.
pub const BUCKETS: [u64; 14] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000];

/// A histogram of milliseconds. The buckets are not cumulative here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// One count per bucket, and one beyond the last; empty before the first observation. Not an array: the
    /// code that decodes one is larger than all other of this type.
    counts: Vec<u64>,
    /// Sum of all observations, in milliseconds.
    pub sum: u64,
}

impl Histogram {
    fn observe(&mut self, value: Span) {
        let bucket = BUCKETS.iter().position(|bound| value.0 <= *bound).unwrap_or(BUCKETS.len());
        match self.counts.get_mut(bucket) {
            Some(count) => *count += 1,
            None => self.begin(bucket),
        }
        self.sum = self.sum.saturating_add(value.0);
    }

    /// Makes room for the first observation.
    #[cold]
    fn begin(&mut self, bucket: usize) {
        self.counts.resize(BUCKETS.len() + 1, 0);
        self.counts[bucket] = 1;
    }

    fn merge(&mut self, other: &Self) {
        self.sum = self.sum.saturating_add(other.sum);
        if !other.counts.is_empty() {
            self.counts.resize(BUCKETS.len() + 1, 0);
        }
        for (into, count) in self.counts.iter_mut().zip(&other.counts) {
            *into += count;
        }
    }

    /// The counts of all buckets, and of what lies beyond the last, in their order.
    pub fn counts(&self) -> impl Iterator<Item = u64> {
        (0..=BUCKETS.len()).map(|place| self.counts.get(place).copied().unwrap_or(0))
    }

    /// How many observations it holds.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Counters and histograms. Their set is fixed: keys never become labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    counters: Vec<u64>,
    /// How long answers took, in milliseconds.
    pub answer_time: Histogram,
    /// What computations cost, in milliseconds.
    pub delta: Histogram,
    /// What each route has cost.
    pub routes: TopList,
    /// What each tenant has cost, over all routes.
    pub tenants: TopList,
}

macro_rules! counters {
    ($($variant:ident $name:literal $help:literal,)*) => {
        /// Every counter. Batches and the stored ledger refer to them by position: a new one comes last.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter {
            $(#[doc = $help] $variant,)*
        }

        /// Every counter's name, and what it counts.
        pub const COUNTERS: &[(&str, &str)] = &[$(($name, $help),)*];
    };
}

counters! {
    TotalRequests "total_requests" "Requests to routes.",
    CacheHitFresh "cache_hit_fresh" "Answered from an entry before its expiry.",
    CacheHitStale "cache_hit_stale" "Answered from an entry past its expiry.",
    CacheMiss "cache_miss" "Answered by a computation.",
    Bypass "bypass" "Forwarded uncached.",
    Rejected "rejected" "Refused: bad request, refused configuration, or no room.",
    XfetchTriggers "xfetch_triggers" "Requests that triggered a refresh.",
    XfetchEarlyTriggers "xfetch_early_triggers" "Triggers before expiry.",
    XfetchStaleTriggers "xfetch_stale_triggers" "Triggers after expiry.",
    RefreshesStarted "refreshes_started" "Triggers that were granted the lease.",
    XfetchLockContentionTotal "xfetch_lock_contention_total" "Triggers that found a refresh under way.",
    XfetchLockContentionEarly "xfetch_lock_contention_early" "The same, before expiry.",
    XfetchLockContentionStale "xfetch_lock_contention_stale" "The same, after expiry.",
    XfetchRecheckSkipsTotal "xfetch_recheck_skips_total" "Triggers that found a newer generation.",
    RefreshLockErrors "refresh_lock_errors" "Triggers without the object.",
    RefreshBackoffs "refresh_backoffs" "Triggers held back after a failure.",
    ComputeCalls "compute_calls" "Origin calls of the cache that have ended.",
    ComputeCallsCold "compute_calls_cold" "Of these, for a waiting request.",
    ComputeCallsRefresh "compute_calls_refresh" "Of these, refreshes.",
    ComputeOk "compute_ok" "Of these, valid answers.",
    ComputeFailed "compute_failed" "Of these, calls that failed.",
    ComputeAbandoned "compute_abandoned" "Of these, calls cut off.",
    CommitsRejected "commits_rejected" "Entries that the object refused.",
    GrantsGivenBack "grants_given_back" "Leases granted too late.",
    CacheApiErrors "cache_api_errors" "Failures of the Cache API.",
    EntriesUnreadable "entries_unreadable" "Unreadable entries.",
    EntropyErrors "entropy_errors" "Entropy failures.",
    FailedOriginUnreachable "failed_origin_unreachable" "Failed calls: no connection.",
    FailedOriginTimeout "failed_origin_timeout" "Failed calls: time-out.",
    FailedOriginError "failed_origin_error" "Failed calls: 5xx.",
    FailedOriginBusy "failed_origin_busy" "Failed calls: 408, 425, 429.",
    FailedOriginUnauthorized "failed_origin_unauthorized" "Failed calls: 401, 403, 407.",
    FailedOriginRedirect "failed_origin_redirect" "Failed calls: redirect.",
    FailedOriginUnexpectedStatus "failed_origin_unexpected_status" "Failed calls: unexpected status.",
    FailedOriginTruncated "failed_origin_truncated" "Failed calls: broken body.",
    FailedOriginBodyTooLarge "failed_origin_body_too_large" "Failed calls: body above max_response.",
    FailedOriginNotJson "failed_origin_not_json" "Failed calls: not JSON.",
    RejectedUnauthorized "rejected_unauthorized" "Rejected: no valid credential.",
    RejectedRateLimit "rejected_rate_limit" "Rejected: above the rate limit.",
    RejectedNewKeys "rejected_new_keys" "Rejected: too many new keys.",
    VerificationCalls "verification_calls" "Questions to identity providers, and to origins about credentials.",
}

impl Counter {
    /// The name in every answer.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        COUNTERS[self as usize].0
    }
}

impl Counters {
    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counters.is_empty()
    }

    /// Adds an event to the counters it concerns.
    pub fn fold(&mut self, event: MetricEvent) {
        match event {
            MetricEvent::Answered { class, took } => {
                self.add(Counter::TotalRequests);
                self.add(served_as(class));
                self.answer_time.observe(took);
            }
            MetricEvent::Triggered { purpose, trigger } => self.triggered(purpose, trigger),
            MetricEvent::Called { purpose, call } => self.called(purpose, call),
            MetricEvent::CommitRejected => self.add(Counter::CommitsRejected),
            MetricEvent::GrantGivenBack => self.add(Counter::GrantsGivenBack),
            MetricEvent::CacheFailed => self.add(Counter::CacheApiErrors),
            MetricEvent::EntryUnreadable => self.add(Counter::EntriesUnreadable),
            MetricEvent::NoEntropy => self.add(Counter::EntropyErrors),
            MetricEvent::Refused(refusal) => self.add(match refusal {
                Refusal::Unauthorized => Counter::RejectedUnauthorized,
                Refusal::RateLimited => Counter::RejectedRateLimit,
                Refusal::TooManyNewKeys => Counter::RejectedNewKeys,
            }),
            MetricEvent::Inquired => self.add(Counter::VerificationCalls),
        }
    }

    /// Adds all counts of another isolate.
    pub fn merge(&mut self, other: &Self) {
        for (place, count) in other.counters.iter().enumerate() {
            self.raise(place, *count);
        }
        self.answer_time.merge(&other.answer_time);
        self.delta.merge(&other.delta);
        self.routes.merge(&other.routes);
        self.tenants.merge(&other.tenants);
    }

    /// Adds what was done on a route, for a tenant if it has tenants.
    pub fn spend(&mut self, route: &str, tenant: Option<&str>, spent: Spent) {
        self.routes.add(route, spent);
        if let Some(tenant) = tenant {
            self.tenants.add(tenant, spent);
        }
    }

    /// A counter's value.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.at(counter as usize)
    }

    /// The value of the counter in this place of [`COUNTERS`].
    #[must_use]
    pub fn at(&self, place: usize) -> u64 {
        self.counters.get(place).copied().unwrap_or(0)
    }

    #[inline(never)]
    fn triggered(&mut self, purpose: Purpose, trigger: TriggerOutcome) {
        let is_early = match purpose {
            Purpose::Early => true,
            Purpose::Stale => false,
            // The computation of a miss is no XFetch trigger.
            Purpose::Cold => return,
        };
        self.add(Counter::XfetchTriggers);
        self.add(if is_early { Counter::XfetchEarlyTriggers } else { Counter::XfetchStaleTriggers });
        self.add(match trigger {
            TriggerOutcome::Started => Counter::RefreshesStarted,
            TriggerOutcome::Contention => Counter::XfetchLockContentionTotal,
            TriggerOutcome::RecheckSkip => Counter::XfetchRecheckSkipsTotal,
            TriggerOutcome::LockError => Counter::RefreshLockErrors,
            TriggerOutcome::Backoff => Counter::RefreshBackoffs,
        });
        if trigger == TriggerOutcome::Contention {
            self.add(if is_early {
                Counter::XfetchLockContentionEarly
            } else {
                Counter::XfetchLockContentionStale
            });
        }
    }

    #[inline(never)]
    fn called(&mut self, purpose: Purpose, call: CallOutcome) {
        self.add(Counter::ComputeCalls);
        self.add(match purpose {
            Purpose::Early | Purpose::Stale => Counter::ComputeCallsRefresh,
            Purpose::Cold => Counter::ComputeCallsCold,
        });
        match call {
            CallOutcome::Ok(delta) => {
                self.add(Counter::ComputeOk);
                self.delta.observe(delta);
            }
            CallOutcome::Failed(reason) => {
                self.add(Counter::ComputeFailed);
                if let Some(counter) = reason.and_then(failed) {
                    self.add(counter);
                }
            }
            CallOutcome::Abandoned => self.add(Counter::ComputeAbandoned),
        }
    }

    fn add(&mut self, counter: Counter) {
        self.raise(counter as usize, 1);
    }

    fn raise(&mut self, place: usize, by: u64) {
        match self.counters.get_mut(place) {
            Some(count) => *count += by,
            None => self.grow(place, by),
        }
    }

    /// Grows the table for a first count. Separate from `raise`, whose frequent path allocates nothing.
    #[cold]
    fn grow(&mut self, place: usize, by: u64) {
        self.counters.resize(place + 1, 0);
        self.counters[place] = by;
    }
}

/// The counter of a class of answers.
fn served_as(class: ServedAs) -> Counter {
    match class {
        ServedAs::HitFresh => Counter::CacheHitFresh,
        ServedAs::HitStale => Counter::CacheHitStale,
        ServedAs::Miss => Counter::CacheMiss,
        ServedAs::Bypass => Counter::Bypass,
        ServedAs::Rejected => Counter::Rejected,
    }
}

/// The counter of a reason; `None` for a call that was never made.
fn failed(reason: Reason) -> Option<Counter> {
    Some(match reason {
        Reason::OriginUnreachable => Counter::FailedOriginUnreachable,
        Reason::OriginTimeout => Counter::FailedOriginTimeout,
        Reason::OriginError => Counter::FailedOriginError,
        Reason::OriginBusy => Counter::FailedOriginBusy,
        Reason::OriginUnauthorized => Counter::FailedOriginUnauthorized,
        Reason::OriginRedirect => Counter::FailedOriginRedirect,
        Reason::OriginUnexpectedStatus => Counter::FailedOriginUnexpectedStatus,
        Reason::OriginTruncated => Counter::FailedOriginTruncated,
        Reason::OriginBodyTooLarge => Counter::FailedOriginBodyTooLarge,
        Reason::OriginNotJson => Counter::FailedOriginNotJson,
        Reason::TooManyOriginCalls => return None,
    })
}
