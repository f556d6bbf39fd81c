//! How often a key is asked for, as one isolate has seen it: what `beta = "auto"` is chosen from.
//!
//! Arrivals and time are both weighted by `exp(-age / memory)`; their quotient is the rate. It needs
//! no history, and forgets at the pace of `memory`. Before half a memory has been seen, but ten seconds at most, the
//! rate is taken to be lower than the quotient: a few requests at the same instant are no rate, and one that is too
//! low errs on the early side.

use crate::core::time::{Instant, Span};

/// The share of a memory that has to be seen, in weighted time: after half a memory it is `1 - exp(-1/2)` of it.
const MIN_SEEN: f64 = 0.39;
/// At most this share of it.
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
