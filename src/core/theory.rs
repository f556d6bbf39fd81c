//! Closed forms for the rule of [`super::xfetch`]: Poisson arrivals at one place without a lock, where the
//! new value is visible one computation after the first trigger. Times are in seconds.
//! `docs/internals/theory.md` derives the formulas, and simulations check them.
//!
//! The distribution of the gap between the first trigger and expiry can be inverted, so every mean is taken
//! over its quantiles. This converges wherever the mass of the distribution lies.

/// The parameters of the closed forms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RuleParameters {
    /// Requests per second.
    pub rate: f64,
    /// Cost of a computation, in seconds.
    pub delta: f64,
    /// The rule's factor beta.
    pub beta: f64,
    /// The early window, in seconds.
    pub window: f64,
}

/// The number of quantiles in each mean.
const QUANTILES: u32 = 4_000;

impl RuleParameters {
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

    /// The gap, in seconds, below which this share of the cycles lies: the inverse of [`RuleParameters::gap_below`].
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

    /// The mean gap between the first trigger and expiry, in seconds.
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

    /// Equally likely gaps of the cycles whose first trigger comes before expiry.
    fn early_gaps(&self) -> impl Iterator<Item = f64> + '_ {
        let late = self.gap_below(0.0);
        (0..QUANTILES)
            .map(move |it| self.gap_at(late + (1.0 - late) * (f64::from(it) + 0.5) / f64::from(QUANTILES)))
    }

    /// The expected number of triggers after a first one at this gap, until the new value arrives or the old
    /// one expires.
    fn further(&self, gap: f64) -> f64 {
        self.expected(gap, (gap - self.delta).max(0.0))
    }

    /// The mean number of triggers before expiry, the first included, in a cycle that has any. With a wide
    /// window and a first trigger long before expiry it is `exp(1/beta)`.
    #[must_use]
    pub fn mean_triggers(&self) -> f64 {
        1.0 + self.early_gaps().map(|gap| self.further(gap)).sum::<f64>() / f64::from(QUANTILES)
    }

    /// The probabilities of 1, 2, …, `most` triggers in such a cycle. With a wide window and a first trigger
    /// long before expiry the distribution is geometric with the parameter `exp(-1/beta)`.
    #[must_use]
    pub fn triggers(&self, most: usize) -> Vec<f64> {
        let mut probabilities = vec![0.0; most];
        for gap in self.early_gaps() {
            let further = self.further(gap);
            // Each Poisson term follows from the one before; as logarithms, because the first may underflow.
            let mut term = -further;
            for (count, probability) in probabilities.iter_mut().enumerate() {
                *probability += term.exp() / f64::from(QUANTILES);
                term += (further / (count + 1) as f64).ln();
            }
        }
        probabilities
    }
}
