//! A key's request rate as one isolate observes it, from which `beta = "auto"` is derived.
//!
//! Arrivals and time are both weighted by `exp(-age / memory)`; their quotient is the rate. The estimate
//! stores no history and forgets at the pace of `memory`. The divisor is at least 0.39 of `memory`, 3.9 s at
//! most, so that a few requests at the same instant do not give a high rate. The first estimates are
//! therefore too low, and a rate that is too low only refreshes too early.

use crate::core::time::{Instant, Span};

/// Least divisor of the rate, as a share of `memory`: the weighted time after half a memory is
/// `1 - exp(-1/2)` of `memory`.
const MIN_SEEN: f64 = 0.39;
/// A longer `memory` counts as this long for [`MIN_SEEN`].
const MAX_SEEN: Span = Span(10_000);

/// A decaying estimate of one key's request rate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ArrivalRate {
    last: Option<Instant>,
    arrivals: f64,
    seconds: f64,
}

impl ArrivalRate {
    /// Notes an arrival. `memory` is how far back the estimate looks.
    pub fn arrived(&mut self, now: Instant, memory: Span) {
        if let Some(last) = self.last {
            let memory = memory.max(Span::SECOND).as_seconds();
            let kept = (-now.since(last).as_seconds() / memory).exp();
            self.arrivals = self.arrivals * kept + 1.0;
            self.seconds = self.seconds * kept + memory * (1.0 - kept);
        }
        self.last = Some(now);
    }

    /// Requests per second; `None` before the second arrival, or while the clock has not moved.
    #[must_use]
    pub fn per_second(&self, memory: Span) -> Option<f64> {
        let enough = MIN_SEEN * memory.clamp(Span::SECOND, MAX_SEEN).as_seconds();
        (self.seconds > 0.0).then(|| self.arrivals / self.seconds.max(enough))
    }
}
