//! What the theory predicts of the rule: closed forms for Poisson arrivals at one place without a lock, the
//! new value visible one computation after the first trigger. Derived in the project's theory and checked
//! by simulation; times are in seconds.
//!
//! The gap between the first trigger and expiry has a distribution that can be inverted, so every mean is
//! taken over its quantiles: exact in the limit, wherever the mass lies.

/// The arguments of all laws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Law {
    /// Requests per second.
    pub rate: f64,
    /// Cost of a computation, in seconds.
    pub delta: f64,
    /// Eagerness.
    pub beta: f64,
    /// The early window, in seconds.
    pub window: f64,
}

/// The number of quantiles in each mean.
const QUANTILES: u32 = 4_000;

impl Law {
    fn scale(&self) -> f64 {
        self.beta * self.delta
    }

    /// How many triggers are expected from `from` to `to` seconds before expiry.
    fn expected(&self, from: f64, to: f64) -> f64 {
        let scale = self.scale();
        self.rate * scale * ((-to / scale).exp() - (-from.min(self.window) / scale).exp())
    }

    /// The probability that the first trigger comes later than `gap` seconds before expiry; a negative gap
    /// lies after expiry, where the first request triggers for certain.
    #[must_use]
    pub fn gap_below(&self, gap: f64) -> f64 {
        if gap >= self.window {
            return 1.0;
        }
        (-self.expected(self.window, gap.max(0.0)) + self.rate * gap.min(0.0)).exp()
    }

    /// The gap below which this share of the cycles lies: the inverse of [`Law::gap_below`].
    #[must_use]
    pub fn gap_at(&self, share: f64) -> f64 {
        let at_expiry = self.gap_below(0.0);
        if share <= at_expiry {
            return (share / at_expiry).ln() / self.rate;
        }
        let scale = self.scale();
        let inside = -share.ln() / (self.rate * scale) + (-self.window / scale).exp();
        (-scale * inside.ln()).clamp(0.0, self.window)
    }

    /// The mean of that gap.
    #[must_use]
    pub fn mean_gap(&self) -> f64 {
        let quantiles = (0..QUANTILES).map(|it| self.gap_at((f64::from(it) + 0.5) / f64::from(QUANTILES)));
        quantiles.sum::<f64>() / f64::from(QUANTILES)
    }

    /// The probability that the value expires before its successor lands.
    #[must_use]
    pub fn late(&self) -> f64 {
        self.gap_below(self.delta)
    }

    /// Gaps of the cycles whose first trigger comes before expiry, each standing for as many cycles.
    fn early_gaps(&self) -> impl Iterator<Item = f64> + '_ {
        let late = self.gap_below(0.0);
        (0..QUANTILES)
            .map(move |it| self.gap_at(late + (1.0 - late) * (f64::from(it) + 0.5) / f64::from(QUANTILES)))
    }

    /// Further triggers that are expected after a first one at this gap, until its value lands or expiry.
    fn further(&self, gap: f64) -> f64 {
        self.expected(gap, (gap - self.delta).max(0.0))
    }

    /// Triggers before expiry in a cycle that has any, the first one included. Without a window, and where
    /// expiry is far, `exp(1/beta)`.
    #[must_use]
    pub fn mean_triggers(&self) -> f64 {
        1.0 + self.early_gaps().map(|gap| self.further(gap)).sum::<f64>() / f64::from(QUANTILES)
    }

    /// The probabilities of 1, 2, … such triggers, up to `most`: a geometric law with the parameter
    /// `exp(-1/beta)` where the window and expiry are far.
    #[must_use]
    pub fn triggers(&self, most: usize) -> Vec<f64> {
        let mut probabilities = vec![0.0; most];
        for gap in self.early_gaps() {
            let further = self.further(gap);
            // Poisson, from one term to the next; in logarithms, as the first may be tiny.
            let mut term = -further;
            for (count, probability) in probabilities.iter_mut().enumerate() {
                *probability += term.exp() / f64::from(QUANTILES);
                term += (further / (count + 1) as f64).ln();
            }
        }
        probabilities
    }
}
