//! Probabilistic early expiration: when a request should refresh an entry that has not expired yet.
//!
//! Source: A. Vattani, F. Chierichetti, K. Lowenstein, *Optimal Probabilistic Cache Stampede
//! Prevention*, PVLDB 8(8), 2015, doi 10.14778/2757807.2757813. With expiry `e`, measured computation
//! time `delta`, and `u` uniform in (0, 1], a request at `now` refreshes when
//! `now - delta * beta * ln(u) >= e`. The larger `beta`, the earlier.
//!
//! Two things are added to the paper. No refresh begins earlier than the *early window* before expiry. And
//! `beta` may be chosen ([`auto_beta`]): the paper uses 1 because every extra trigger costs a computation.
//! Behind a lease an extra trigger costs one message at most, so the remaining cost of an early refresh is
//! the unused part of the TTL. So the best beta is the smallest with which the new value arrives in time.

use crate::core::time::Span;

/// A draw from the uniform distribution on (0, 1]: never zero, so its logarithm is finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw(f64);

impl Draw {
    /// The draw that never triggers before expiry: plain TTL behaviour, for when there is no entropy.
    pub const NEVER_EARLY: Self = Self(1.0);

    /// From 64 random bits. The upper 53 give one of 2^53 equally spaced values `2^-53, …, 1`.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
        Self(((bits >> 11) + 1) as f64 * STEP)
    }

    /// The value, in (0, 1].
    #[must_use]
    pub fn value(self) -> f64 {
        self.0
    }
}

/// The randomness of one step: 64 random bits, or none while the entropy source fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chance(pub Option<u64>);

impl Chance {
    /// No entropy: nothing refreshes early, and no message carries a nonce.
    pub const NONE: Self = Self(None);

    /// A uniform draw on (0, 1]; [`Draw::NEVER_EARLY`] without entropy.
    #[must_use]
    pub fn draw(self) -> Draw {
        self.0.map_or(Draw::NEVER_EARLY, Draw::from_bits)
    }

    /// A number that makes a repeated message recognisable; `None` without entropy.
    #[must_use]
    pub fn nonce(self) -> Option<u64> {
        self.0
    }
}

/// By its bits: a draw is never NaN, nor a negative zero.
impl std::hash::Hash for Draw {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// What the rule needs to know of an entry and its route.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Measured cost of the computation.
    pub delta: Span,
    /// Eagerness; 1 is the paper's.
    pub beta: f64,
    /// No refresh begins earlier than this before expiry.
    pub window: Span,
}

/// Whether a request with this draw refreshes now, `remaining` before expiry.
/// At expiry (`remaining` zero) always.
///
/// ```
/// use xfetch_edge::core::{time::Span, xfetch::{Draw, Rule, probability, triggers}};
///
/// // A computation of 2 s, beta 1: three seconds before expiry, 22 % of the requests refresh.
/// let rule = Rule { delta: Span(2_000), beta: 1.0, window: Span(30_000) };
/// assert!((probability(Span(3_000), rule) - (-3.0_f64 / 2.0).exp()).abs() < 1e-12);
/// assert!(!triggers(Span(3_000), rule, Draw::NEVER_EARLY));
/// assert!(triggers(Span(3_000), rule, Draw::from_bits(0)), "the smallest draw, 2^-53");
/// assert!(triggers(Span::ZERO, rule, Draw::NEVER_EARLY), "at expiry");
/// ```
#[must_use]
pub fn triggers(remaining: Span, rule: Rule, draw: Draw) -> bool {
    if remaining == Span::ZERO {
        return true;
    }
    remaining <= rule.window && -(rule.delta.0 as f64) * rule.beta * draw.value().ln() >= remaining.0 as f64
}

/// The probability that [`triggers`] says yes: `exp(-remaining / (beta * delta))` inside the window.
#[must_use]
pub fn probability(remaining: Span, rule: Rule) -> f64 {
    if remaining == Span::ZERO {
        1.0
    } else if remaining > rule.window {
        0.0
    } else {
        (-(remaining.0 as f64) / (rule.beta * rule.delta.0 as f64)).exp()
    }
}

/// The smallest cost: with a mocked origin or a clock that stands still, the measured cost is zero.
pub const MIN_DELTA: Span = Span(1);
/// The largest share of the TTL that the rule uses as cost: beyond it every request would refresh.
pub const MAX_DELTA_SHARE: f64 = 0.5;
/// Weight of the newest sample in the smoothed cost.
const NEWEST: f64 = 0.3;

/// The smoothed cost after a new sample: an exponentially weighted mean of the logarithm, so that neither one
/// very fast nor one very slow computation changes much how early the key is refreshed.
#[must_use]
pub fn smooth_delta(previous: Option<Span>, sample: Span) -> Span {
    let sample = sample.max(MIN_DELTA);
    let Some(previous) = previous else {
        return sample;
    };
    let log = |delta: Span| (delta.max(MIN_DELTA).0 as f64).ln();
    let mean = (1.0 - NEWEST) * log(previous) + NEWEST * log(sample);
    Span(mean.exp().round() as u64).max(MIN_DELTA)
}

/// The cost as the rule may use it: at least [`MIN_DELTA`], at most [`MAX_DELTA_SHARE`] of the TTL.
#[must_use]
pub fn clamp_delta(delta: Span, ttl: Span) -> Span {
    delta.min(ttl.share(MAX_DELTA_SHARE)).max(MIN_DELTA)
}

/// The narrow early window of `auto`, in multiples of the computation's cost: one for the computation itself,
/// the rest for computations slower than the last ones.
const AUTO_WINDOW: f64 = 2.5;

/// The beta and the early window of `auto`: 2.5 computation costs where that is enough, `window` at most.
///
/// A few cycles have a first trigger long before expiry, and so lose much of their TTL. A narrow window
/// prevents this, and the share of late cycles stays `late_share` as long as [`auto_beta`] has a solution in
/// that window. If it has none, because the key has too few requests, the key gets the whole `window`.
#[must_use]
pub fn auto(rate: f64, delta: Span, window: Span, late_share: f64, max_beta: f64) -> (f64, Span) {
    let narrow = Span((delta.max(MIN_DELTA).0 as f64 * AUTO_WINDOW) as u64).min(window);
    let beta = auto_beta(rate, delta, narrow, late_share, max_beta);
    if beta < max_beta {
        (beta, narrow)
    } else {
        (auto_beta(rate, delta, window, late_share, max_beta), window)
    }
}

/// The smallest beta for which the new value arrives before expiry in all but `late_share` of the
/// cycles: the solution of
/// `rate * beta * delta * (exp(-1/beta) - exp(-window/(beta * delta))) = ln(1/late_share)`,
/// or `max_beta` if there is no solution (the key has too few requests) or the solution is larger.
///
/// `rate` is in requests per second, `late_share` in (0, 1). The left side is
/// `rate * delta * integral of exp(-s/beta) for s from 1 to window/delta`, so it grows with beta and
/// bisection finds the only root.
#[must_use]
pub fn auto_beta(rate: f64, delta: Span, window: Span, late_share: f64, max_beta: f64) -> f64 {
    let seconds = delta.max(MIN_DELTA).as_seconds();
    let width = window.as_seconds() / seconds;
    let wanted = (1.0 / late_share).ln();
    let reached = |beta: f64| rate * seconds * beta * ((-1.0 / beta).exp() - (-width / beta).exp());
    // Negated, so that a comparison with NaN also gives `max_beta`.
    if !(width > 1.0 && reached(max_beta) >= wanted) {
        return max_beta;
    }
    let (mut low, mut high) = (0.0, max_beta);
    for _ in 0..48 {
        let middle = 0.5 * (low + high);
        if reached(middle) >= wanted {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}
