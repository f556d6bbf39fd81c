//! What goes wrong beside the origin: which faults, and how often.

use super::rng::SimRng;
use crate::core::time::Span;

/// The faults of a world. Shares are in [0, 1]; a mean interval of zero means never.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// The share of the messages, and of the answers, that are lost.
    pub loss: f64,
    /// The share of the messages that arrive twice.
    pub duplication: f64,
    /// The share of the messages and answers that are late, so that later ones may overtake them.
    pub delay: f64,
    /// The longest additional delay of a late message.
    pub max_delay: Span,
    /// The share of the steps of a background task at which it is cut off.
    pub crash: f64,
    /// The share of the draws for which there is no entropy.
    pub no_entropy: f64,
    /// The share of the lookups in a colo's cache that find nothing, and of the writes that fail.
    pub cache_loss: f64,
    /// The share of the committed entries that cannot be read again.
    pub unreadable: f64,
    /// The share of the messages that the object refuses, as code of another version would.
    pub refusal: f64,
    /// The greatest error of each colo's clock and of the object's clock.
    pub skew: Span,
    /// Mean interval between steps of a random clock.
    pub steps_every: Span,
    /// The greatest clock step, in either direction.
    pub max_step: Span,
    /// Mean interval between restarts of a random isolate.
    pub restarts_every: Span,
    /// Mean interval between evictions of a random object.
    pub evictions_every: Span,
    /// Mean interval between alarms of a random object, due or not.
    pub alarms_every: Span,
    /// Mean interval between leaps of the objects' clock.
    pub leaps_every: Span,
    /// The greatest clock leap, in either direction: longer than every lifetime.
    pub max_leap: Span,
    /// Mean interval between purges of a random key, hard or soft.
    pub purges_every: Span,
    /// Mean interval between periods in which no object can be reached.
    pub unreachable_every: Span,
    /// The length of such a period.
    pub unreachable_for: Span,
    /// The ways in which the origin fails, one at random for each failing call. If empty, it answers 500.
    pub origin_faults: Vec<OriginFault>,
    /// Faults end this long after the begin of the run, so that the end of all tasks can be checked.
    pub until: Span,
}

impl Faults {
    /// Whether any fault is set.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }

    /// A random choice of faults, with random frequencies.
    pub(super) fn drawn(rng: &mut SimRng, until: Span) -> Self {
        let mut share = |most: f64| if rng.happens(0.5) { rng.share() * most } else { 0.0 };
        let mut faults = Self {
            loss: share(0.3),
            duplication: share(0.3),
            delay: share(0.4),
            crash: share(0.2),
            no_entropy: share(0.3),
            cache_loss: share(0.5),
            unreadable: share(0.2),
            refusal: share(0.2),
            until,
            ..Self::default()
        };
        let mut every = |least: u64, most: u64| {
            if rng.happens(0.5) { Span(least + rng.below(most - least)) } else { Span::ZERO }
        };
        faults.max_delay = every(100, 8_000);
        faults.skew = every(1, 4_000);
        faults.steps_every = every(2_000, 20_000);
        faults.max_step = every(1_000, 3_600_000);
        faults.restarts_every = every(2_000, 20_000);
        faults.evictions_every = every(1_000, 20_000);
        faults.purges_every = every(1_000, 20_000);
        faults.unreachable_every = every(3_000, 20_000);
        faults.unreachable_for = every(500, 8_000);
        faults.origin_faults = OriginFault::ALL.into_iter().filter(|_| rng.happens(0.5)).collect();
        faults
    }

    /// Adds the faults that were introduced later. They have a random stream of their own, so that all else
    /// in the world of a seed stays as it was.
    pub(super) fn drawn_later(mut self, rng: &mut SimRng) -> Self {
        if rng.happens(0.4) {
            self.alarms_every = Span(500 + rng.below(10_000));
        }
        if rng.happens(0.2) {
            self.leaps_every = Span(5_000 + rng.below(30_000));
            self.max_leap = Span::DAY.plus(Span(rng.below(4 * Span::DAY.0)));
        }
        self
    }

    /// These faults with one removed, for each fault: the candidates when a failing case is shrunk.
    pub(super) fn lesser(&self) -> Vec<Self> {
        let zero = Span::ZERO;
        let without = |change: &dyn Fn(&mut Self)| {
            let mut lesser = self.clone();
            change(&mut lesser);
            lesser
        };
        let mut all = vec![
            without(&|it| it.loss = 0.0),
            without(&|it| it.duplication = 0.0),
            without(&|it| it.delay = 0.0),
            without(&|it| it.crash = 0.0),
            without(&|it| it.no_entropy = 0.0),
            without(&|it| it.cache_loss = 0.0),
            without(&|it| it.unreadable = 0.0),
            without(&|it| it.refusal = 0.0),
            without(&|it| it.skew = zero),
            without(&|it| it.steps_every = zero),
            without(&|it| it.restarts_every = zero),
            without(&|it| it.evictions_every = zero),
            without(&|it| it.alarms_every = zero),
            without(&|it| it.leaps_every = zero),
            without(&|it| it.purges_every = zero),
            without(&|it| it.unreachable_every = zero),
            without(&|it| it.origin_faults = Vec::new()),
        ];
        all.retain(|lesser| lesser != self);
        all
    }
}

/// A way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginFault {
    /// 500.
    Error,
    /// 503 with `Retry-After`.
    Busy,
    /// No answer at all.
    Hang,
    /// The connection breaks.
    Reset,
    /// A body that breaks off.
    Truncate,
    /// Not JSON.
    Garbage,
    /// 404, with a body of its own.
    Refuse,
    /// A good answer that must not be stored.
    Private,
}

impl OriginFault {
    /// Every way.
    pub const ALL: [Self; 8] = [
        Self::Error,
        Self::Busy,
        Self::Hang,
        Self::Reset,
        Self::Truncate,
        Self::Garbage,
        Self::Refuse,
        Self::Private,
    ];
}
