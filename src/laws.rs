//! What the theory predicts of the rule: closed forms for Poisson arrivals, one value at a time, the new
//! value visible one computation after the trigger. Derived in the project's theory and checked by
//! simulation; times are in units of one second.

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

impl Law {
    fn scale(&self) -> f64 {
        self.beta * self.delta
    }

    /// The probability that the first trigger comes later than `gap` seconds before expiry; a negative gap
    /// lies after expiry, where the first request triggers for certain.
    #[must_use]
    pub fn gap_below(&self, gap: f64) -> f64 {
        if gap >= self.window {
            return 1.0;
        }
        let (scale, inside) = (self.scale(), gap.max(0.0));
        let expected = self.rate * scale * ((-inside / scale).exp() - (-self.window / scale).exp());
        (-expected + self.rate * gap.min(0.0)).exp()
    }

    /// The mean of that gap, in seconds.
    #[must_use]
    pub fn mean_gap(&self) -> f64 {
        const STEPS: u32 = 2_000;
        let step = self.window / f64::from(STEPS);
        let above: f64 =
            (0..STEPS).map(|it| 1.0 - self.gap_below((f64::from(it) + 0.5) * step)).sum::<f64>() * step;
        above - self.gap_below(0.0) / self.rate
    }

    /// The probability that the value expires before its successor lands.
    #[must_use]
    pub fn late(&self) -> f64 {
        self.gap_below(self.delta)
    }

    /// Triggers in a cycle, the first one included; the first order in the cut-off by the window.
    #[must_use]
    pub fn mean_triggers(&self) -> f64 {
        let cut_off = self.rate * self.scale() * (-self.window / self.scale()).exp();
        1.0 + ((1.0 / self.beta).exp() - 1.0) * (1.0 + cut_off)
    }

    /// The probability of so many triggers in a cycle, without a window: a geometric law.
    #[must_use]
    pub fn triggers(&self, count: u32) -> f64 {
        let p = (-1.0 / self.beta).exp();
        p * (1.0 - p).powf(f64::from(count) - 1.0)
    }
}
