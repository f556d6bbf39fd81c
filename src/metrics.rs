//! The facts worth counting, as a fold over events.
//!
//! One event moves both sides of a sum and is folded when its outcome is known, so the sums hold at
//! every moment; what is lost is missing on both sides:
//! - `total_requests = cache_hit_fresh + cache_hit_stale + cache_miss + bypass + rejected`
//! - `xfetch_triggers = xfetch_early_triggers + xfetch_stale_triggers = refreshes_started +
//!   xfetch_lock_contention_total + xfetch_recheck_skips_total + refresh_lock_errors +
//!   refresh_backoffs`
//! - `compute_calls = compute_calls_cold + compute_calls_refresh = compute_ok + compute_failed +
//!   compute_abandoned`

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    failure::Reason,
    refresh::{Purpose, Trigger},
    time::Millis,
};

/// How a request was answered: by what was *served*, from whatever tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// An entry before its expiry; an early refresh behind it changes nothing.
    HitFresh,
    /// An entry past its expiry, `stale_if_error` included.
    HitStale,
    /// A new computation, its own or another's, or the failure of one.
    Miss,
    /// Forwarded uncached.
    Bypass,
    /// Refused: the client's fault, or the configuration's.
    Rejected,
}

impl Class {
    fn name(self) -> &'static str {
        match self {
            Self::HitFresh => "cache_hit_fresh",
            Self::HitStale => "cache_hit_stale",
            Self::Miss => "cache_miss",
            Self::Bypass => "bypass",
            Self::Rejected => "rejected",
        }
    }
}

/// How an origin call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A valid answer, committed or not, after this long.
    Ok(Millis),
    /// A failure; `None` for the origin's considered no.
    Failed(Option<Reason>),
    /// Unsettled at the end of its lease.
    Abandoned,
}

/// A fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A request was answered.
    Answered {
        /// With what.
        class: Class,
        /// After how long, by the isolate's clock.
        took: Millis,
    },
    /// A request triggered a refresh.
    Triggered {
        /// Early or stale.
        purpose: Purpose,
        /// With what result.
        trigger: Trigger,
    },
    /// An origin call of the cache has ended.
    Called {
        /// What it was for.
        purpose: Purpose,
        /// How it ended.
        call: Call,
    },
    /// A computed entry was refused by the object.
    CommitRejected,
    /// A grant came too late and was given back.
    GrantGivenBack,
    /// The Cache API's `put` or `match` failed.
    CacheFailed,
    /// A stored entry could not be read.
    EntryUnreadable,
    /// A panic, or an exception of the runtime, answered with 500.
    InternalError,
    /// The entropy source failed.
    NoEntropy,
}

/// Upper bounds of the histograms' buckets, in milliseconds; beyond the last is `+Inf`.
pub const BUCKETS: [u64; 14] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000];

/// A histogram of milliseconds. The buckets are not cumulative here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// One count per bucket, and one beyond the last.
    pub counts: [u64; BUCKETS.len() + 1],
    /// Sum of all observations, in milliseconds.
    pub sum: u64,
}

impl Histogram {
    fn observe(&mut self, value: Millis) {
        let bucket = BUCKETS.iter().position(|bound| value.0 <= *bound).unwrap_or(BUCKETS.len());
        self.counts[bucket] += 1;
        self.sum = self.sum.saturating_add(value.0);
    }

    /// How many observations it holds.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Counters and histograms by name. The set of names is fixed: keys never become labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Counters that are not zero.
    pub counters: BTreeMap<String, u64>,
    /// Histograms that are not empty.
    pub histograms: BTreeMap<String, Histogram>,
}

/// How long answers took.
pub const ANSWER_TIME: &str = "answer_milliseconds";
/// What computations cost.
pub const DELTA: &str = "delta_milliseconds";

/// Every counter, with what it counts.
pub const COUNTERS: [(&str, &str); 38] = [
    ("total_requests", "Requests to configured and forwarded routes."),
    ("cache_hit_fresh", "Answered from an entry before its expiry."),
    ("cache_hit_stale", "Answered from an entry past its expiry."),
    ("cache_miss", "Answered by a new computation or its failure."),
    ("bypass", "Forwarded uncached."),
    ("rejected", "Refused: a bad request, or a refused configuration."),
    ("xfetch_triggers", "Requests that triggered a refresh."),
    ("xfetch_early_triggers", "Triggers before expiry."),
    ("xfetch_stale_triggers", "Triggers after expiry."),
    ("refreshes_started", "Triggers that were granted the lease."),
    ("xfetch_lock_contention_total", "Triggers that found a refresh under way."),
    ("xfetch_lock_contention_early", "The same, before expiry."),
    ("xfetch_lock_contention_stale", "The same, after expiry."),
    ("xfetch_recheck_skips_total", "Triggers that found a newer generation."),
    ("refresh_lock_errors", "Triggers that could not reach the object."),
    ("refresh_backoffs", "Triggers held back after a failure."),
    ("compute_calls", "Origin calls of the cache that have ended."),
    ("compute_calls_cold", "Of these, calls that a request waited for."),
    ("compute_calls_refresh", "Of these, refreshes."),
    ("compute_ok", "Of these, calls with a valid answer."),
    ("compute_failed", "Of these, calls that failed."),
    ("compute_abandoned", "Of these, calls unsettled at the end of their lease."),
    ("commits_rejected", "Computed entries that the object refused."),
    ("grants_given_back", "Leases granted too late, and given back."),
    ("cache_api_errors", "Failures of the Cache API."),
    ("entries_unreadable", "Stored entries that could not be read."),
    ("internal_errors", "Requests answered with 500."),
    ("entropy_errors", "Failures of the entropy source."),
    ("failed_origin_unreachable", "Failed calls: no connection."),
    ("failed_origin_timeout", "Failed calls: time-out."),
    ("failed_origin_error", "Failed calls: 5xx."),
    ("failed_origin_busy", "Failed calls: 408, 425, 429."),
    ("failed_origin_unauthorized", "Failed calls: 401, 403."),
    ("failed_origin_redirect", "Failed calls: redirect."),
    ("failed_origin_unexpected_status", "Failed calls: a status without a complete body."),
    ("failed_origin_truncated", "Failed calls: broken body."),
    ("failed_origin_body_too_large", "Failed calls: body above max_response."),
    ("failed_origin_not_json", "Failed calls: not JSON."),
];

impl Tally {
    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counters.is_empty() && self.histograms.is_empty()
    }

    /// Folds a fact in.
    pub fn fold(&mut self, fact: Fact) {
        match fact {
            Fact::Answered { class, took } => {
                self.add("total_requests");
                self.add(class.name());
                self.observe(ANSWER_TIME, took);
            }
            Fact::Triggered { purpose, trigger } => self.triggered(purpose, trigger),
            Fact::Called { purpose, call } => self.called(purpose, call),
            Fact::CommitRejected => self.add("commits_rejected"),
            Fact::GrantGivenBack => self.add("grants_given_back"),
            Fact::CacheFailed => self.add("cache_api_errors"),
            Fact::EntryUnreadable => self.add("entries_unreadable"),
            Fact::InternalError => self.add("internal_errors"),
            Fact::NoEntropy => self.add("entropy_errors"),
        }
    }

    /// Adds everything of another tally.
    pub fn merge(&mut self, other: &Self) {
        for (name, count) in &other.counters {
            *self.counters.entry(name.clone()).or_default() += count;
        }
        for (name, histogram) in &other.histograms {
            let into = self.histograms.entry(name.clone()).or_default();
            into.sum = into.sum.saturating_add(histogram.sum);
            for (into, count) in into.counts.iter_mut().zip(histogram.counts) {
                *into += count;
            }
        }
    }

    /// A counter's value.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }

    fn triggered(&mut self, purpose: Purpose, trigger: Trigger) {
        let is_early = match purpose {
            Purpose::Early => true,
            Purpose::Stale => false,
            // Nobody triggers a cold computation: it is asked for.
            Purpose::Cold => return,
        };
        self.add("xfetch_triggers");
        self.add(if is_early { "xfetch_early_triggers" } else { "xfetch_stale_triggers" });
        self.add(trigger.as_str());
        if trigger == Trigger::Contention {
            self.add(if is_early { "xfetch_lock_contention_early" } else { "xfetch_lock_contention_stale" });
        }
    }

    fn called(&mut self, purpose: Purpose, call: Call) {
        self.add("compute_calls");
        self.add(match purpose {
            Purpose::Early | Purpose::Stale => "compute_calls_refresh",
            Purpose::Cold => "compute_calls_cold",
        });
        match call {
            Call::Ok(delta) => {
                self.add("compute_ok");
                self.observe(DELTA, delta);
            }
            Call::Failed(reason) => {
                self.add("compute_failed");
                if let Some(reason) = reason {
                    self.add(&format!("failed_{}", reason.as_str()));
                }
            }
            Call::Abandoned => self.add("compute_abandoned"),
        }
    }

    fn add(&mut self, name: &str) {
        match self.counters.get_mut(name) {
            Some(count) => *count += 1,
            None => {
                self.counters.insert(name.to_owned(), 1);
            }
        }
    }

    fn observe(&mut self, name: &str, value: Millis) {
        match self.histograms.get_mut(name) {
            Some(histogram) => histogram.observe(value),
            None => {
                let mut histogram = Histogram::default();
                histogram.observe(value);
                self.histograms.insert(name.to_owned(), histogram);
            }
        }
    }
}

/// What one isolate holds right now. Not counted, only shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauges {
    /// Origin calls under way.
    pub computations_in_flight: u64,
    /// Keys in memory.
    pub memory_entries: u64,
    /// Bytes they take, near enough.
    pub memory_bytes: u64,
}

/// What one isolate sends at once. A batch that is sent again is the same batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// The isolate's own name.
    pub isolate: String,
    /// Counts its batches from 1.
    pub sequence: u64,
    /// The epoch that the counts belong to; `None` from an isolate that knows of none yet.
    pub epoch: Option<String>,
    /// The counts.
    pub tally: Tally,
    /// The isolate's gauges.
    pub gauges: Gauges,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Isolate {
    sequence: u64,
    seen: Millis,
    gauges: Gauges,
}

/// All counts of all isolates, since an instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Book {
    /// Names this run of counters: it changes whenever they start from zero.
    pub epoch: String,
    /// When they did.
    pub since: Millis,
    /// The counts.
    pub tally: Tally,
    isolates: BTreeMap<String, Isolate>,
}

/// Gauges of an isolate that has not been heard of for so long are forgotten.
const GAUGES_KEPT: Millis = Millis(60_000);
/// So many isolates are remembered, to know their batches again.
const ISOLATES_MOST: usize = 2_000;

impl Book {
    /// A book that begins now. The epoch's name must be new.
    #[must_use]
    pub fn new(epoch: String, now: Millis) -> Self {
        Self { epoch, since: now, tally: Tally::default(), isolates: BTreeMap::new() }
    }

    /// Takes a batch once, however often it is sent. Counts of another epoch are dropped whole: they
    /// belong to a run that has been reset.
    pub fn take(&mut self, batch: &Batch, now: Millis) {
        let known = self.isolates.get(&batch.isolate).map_or(0, |isolate| isolate.sequence);
        let is_ours = batch.epoch.as_ref().is_none_or(|epoch| *epoch == self.epoch);
        if batch.sequence > known && is_ours {
            self.tally.merge(&batch.tally);
        }
        let sequence = known.max(batch.sequence);
        self.isolates.insert(batch.isolate.clone(), Isolate { sequence, seen: now, gauges: batch.gauges });
        while self.isolates.len() > ISOLATES_MOST {
            let oldest = self.isolates.iter().min_by_key(|(_, isolate)| isolate.seen);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else { break };
            self.isolates.remove(&oldest);
        }
    }

    /// Starts a new epoch from zero. The batches' sequence numbers go on.
    pub fn reset(&mut self, epoch: String, now: Millis) {
        self.epoch = epoch;
        self.since = now;
        self.tally = Tally::default();
    }

    /// The sum of the gauges of the isolates that are alive.
    #[must_use]
    pub fn gauges(&self, now: Millis) -> Gauges {
        let alive = self.isolates.values().filter(|it| it.seen.covers(GAUGES_KEPT, now));
        alive.fold(Gauges::default(), |sum, isolate| Gauges {
            computations_in_flight: sum.computations_in_flight + isolate.gauges.computations_in_flight,
            memory_entries: sum.memory_entries + isolate.gauges.memory_entries,
            memory_bytes: sum.memory_bytes + isolate.gauges.memory_bytes,
        })
    }
}
