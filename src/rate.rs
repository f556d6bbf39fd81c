//! How often a key is asked for, as one isolate has seen it: what `beta = "auto"` is chosen from.
//!
//! Arrivals and time are both weighted by `exp(-age / memory)`; their quotient is the rate. It needs
//! no history, forgets at the pace of `memory`, and is unbiased from the second arrival on.

use crate::time::Millis;

/// A decaying estimate of one key's request rate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    last: Option<Millis>,
    arrivals: f64,
    seconds: f64,
}

impl Rate {
    /// Notes an arrival. `memory` is how far back the estimate looks.
    pub fn arrived(&mut self, now: Millis, memory: Millis) {
        if let Some(last) = self.last {
            let memory = memory.max(Millis::SECOND).as_seconds();
            let kept = (-now.minus(last).as_seconds() / memory).exp();
            self.arrivals = self.arrivals * kept + 1.0;
            self.seconds = self.seconds * kept + memory * (1.0 - kept);
        }
        self.last = Some(now);
    }

    /// Requests per second; `None` before the second arrival, or while the clock has not moved.
    #[must_use]
    pub fn per_second(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.arrivals / self.seconds)
    }
}
