//! What a run has shown: counts, times and cycles, as data.

use crate::{core::time::Span, isolate::metrics::Counters};

/// One second of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// Requests that arrived.
    pub requests: u32,
    /// The number of origin calls.
    pub calls: u32,
    /// Answers that took longer than [`SLOW`].
    pub slow: u32,
    /// Answers past their TTL.
    pub stale: u32,
    /// The slowest answer.
    pub slowest: Span,
}

/// The life of one entry, from its commit to that of its successor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cycle {
    /// From the first trigger to expiry, in seconds; negative when it came after expiry.
    pub gap: f64,
    /// Triggers before expiry, the first one included.
    pub triggers: u32,
    /// Whether the successor landed after expiry.
    pub late: bool,
}

/// An answer that takes longer counts as slow.
pub const SLOW: Span = Span(100);

/// Upper bounds of the histogram of answer times grow by a tenth from one millisecond.
const GROWTH: f64 = 1.1;

fn bound(bucket: usize) -> f64 {
    GROWTH.powf(bucket as f64)
}

/// The figures of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The deployed counters, as the isolates counted them.
    pub counters: Counters,
    /// Requests that were answered with a body.
    pub answers: u64,
    /// Requests that were answered with an error.
    pub errors: u64,
    /// Requests without an answer, because their isolate restarted.
    pub lost: u64,
    /// Alarms at which an object dropped its entry, or forgot everything.
    pub cleaned_up: (u64, u64),
    /// Answers that took longer than [`SLOW`].
    pub slow: u64,
    /// Answers older than the TTL.
    pub past_ttl: u64,
    /// The sum of the ages of all answers, in milliseconds.
    pub age_sum: u64,
    /// The number of origin calls, counted by the origin.
    pub calls: u64,
    /// Lower bound on origin calls for this arrival trace if no answer may exceed its TTL: a call serves the
    /// requests that arrive during it, and those within a TTL after it.
    pub least_calls: u64,
    /// The most calls for one key at once.
    pub most_in_flight: u32,
    /// Messages to objects.
    pub messages: u64,
    /// Events that have happened.
    pub steps: u64,
    /// Each second.
    pub seconds: Vec<Second>,
    /// Each cycle of the most wanted key.
    pub cycles: Vec<Cycle>,
    pub(super) times: Vec<u64>,
    pub(super) slowest: Span,
}

impl Report {
    pub(super) fn second(&mut self, at: Span) -> &mut Second {
        let index = (at.0 / 1_000) as usize;
        if self.seconds.len() <= index {
            self.seconds.resize(index + 1, Second::default());
        }
        &mut self.seconds[index]
    }

    pub(super) fn answered(&mut self, at: Span, took: Span, age: Option<Span>, ttl: Span) {
        let Some(age) = age else {
            self.errors += 1;
            return;
        };
        self.answers += 1;
        self.age_sum += age.0;
        let (is_slow, is_stale) = (took > SLOW, age > ttl);
        self.slow += u64::from(is_slow);
        self.past_ttl += u64::from(is_stale);
        let second = self.second(at);
        second.slow += u32::from(is_slow);
        second.stale += u32::from(is_stale);
        second.slowest = second.slowest.max(took);
        self.slowest = self.slowest.max(took);
        let bucket = if took.0 <= 1 { 0 } else { (took.0 as f64).log(GROWTH).ceil() as usize };
        if self.times.len() <= bucket {
            self.times.resize(bucket + 1, 0);
        }
        self.times[bucket] += 1;
    }

    /// The time within which this share of the answers came, in milliseconds; a tenth too high at most.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        let wanted = (share * self.answers as f64).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.times.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return bound(bucket).min(self.slowest.0 as f64);
            }
        }
        0.0
    }

    /// The histogram of answer times: upper bounds in milliseconds, and counts.
    #[must_use]
    pub fn times(&self) -> Vec<(f64, u64)> {
        let bounds = (0..self.times.len()).map(bound);
        bounds.zip(self.times.iter().copied()).collect()
    }

    /// The mean age of the answers, in seconds.
    #[must_use]
    pub fn mean_age(&self) -> f64 {
        if self.answers == 0 { 0.0 } else { self.age_sum as f64 / self.answers as f64 / 1_000.0 }
    }

    /// The share of the answers that were older than their TTL.
    #[must_use]
    pub fn past_ttl_share(&self) -> f64 {
        if self.answers == 0 { 0.0 } else { self.past_ttl as f64 / self.answers as f64 }
    }
}
