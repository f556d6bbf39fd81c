//! A random number generator with a seed, and the distributions that the simulation draws from, by inversion.

use fastrand::Rng;

use crate::core::time::Span;

/// One stream of random numbers. Each part of the simulation has its own, so that a change of strategy does not
/// change the arrivals.
#[derive(Clone, Debug)]
pub(super) struct SimRng(Rng);

impl SimRng {
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        // Two seeds that differ in one bit give unrelated streams.
        let mut rng = Rng::with_seed(seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        rng.u64(..);
        Self(rng)
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// Uniform on [0, 1).
    pub(super) fn share(&mut self) -> f64 {
        self.0.f64()
    }

    pub(super) fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && self.share() < share
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0.u64(0..end.max(1))
    }

    /// Exponential with this mean, in its unit.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.share()).ln()
    }

    /// Lognormal with this mean; `spread` is the standard deviation of the logarithm.
    pub(super) fn lognormal(&mut self, mean: Span, spread: f64) -> Span {
        if spread == 0.0 {
            return mean;
        }
        // Box and Muller.
        let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.share()).cos();
        mean.share((spread * normal - 0.5 * spread * spread).exp())
    }
}

/// Zipf's law over the keys `0..count`: key k gets requests in proportion to `1 / (k + 1)^exponent`.
#[derive(Clone, Debug)]
pub(super) struct Zipf(Vec<f64>);

impl Zipf {
    pub(super) fn new(count: u32, exponent: f64) -> Self {
        let mut sum = 0.0;
        let mut sums = Vec::with_capacity(count as usize);
        for rank in 1..=count.max(1) {
            sum += f64::from(rank).powf(-exponent);
            sums.push(sum);
        }
        for it in &mut sums {
            *it /= sum;
        }
        Self(sums)
    }

    pub(super) fn draw(&self, rng: &mut SimRng) -> usize {
        let share = rng.share();
        self.0.partition_point(|sum| *sum <= share).min(self.0.len() - 1)
    }

    /// The share of the requests that ask for this one.
    pub(super) fn share(&self, rank: usize) -> f64 {
        self.0[rank] - if rank == 0 { 0.0 } else { self.0[rank - 1] }
    }
}
