//! What goes wrong beside the origin: which faults, and how often.

use super::rng::SimRng;
use crate::core::time::Span;

/// The faults of a world. Shares are in [0, 1]; a mean distance of zero means never.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// The share of the messages, and of the answers, that are lost.
    pub loss: f64,
    /// The share of the messages that arrive twice.
    pub duplication: f64,
    /// The share of the messages and answers that are late, and may be overtaken by others.
    pub delay: f64,
    /// How late, at most.
    pub delay_most: Span,
    /// The share of the actions at which a computation's background work is cut off.
    pub crash: f64,
    /// The share of the draws for which there is no entropy.
    pub no_entropy: f64,
    /// The share of the looks into a colo's cache that find nothing, and of the writes that fail.
    pub cache_loss: f64,
    /// The share of the committed entries that cannot be read again.
    pub unreadable: f64,
    /// The share of the messages that the object refuses, as code of another version would.
    pub refusal: f64,
    /// The greatest error of each colo's clock and of the object's clock.
    pub skew: Span,
    /// Mean distance between steps of some clock.
    pub steps_every: Span,
    /// The greatest clock step, in either direction.
    pub step_most: Span,
    /// Mean distance between restarts of some isolate.
    pub restarts_every: Span,
    /// Mean distance between evictions of some object.
    pub evictions_every: Span,
    /// Mean distance between alarms of some object, whatever time it is.
    pub alarms_every: Span,
    /// Mean distance between leaps of the objects' clock.
    pub leaps_every: Span,
    /// The greatest clock leap, in either direction: longer than every lifetime.
    pub leap_most: Span,
    /// Mean distance between purges of some key, hard ones and soft ones.
    pub purges_every: Span,
    /// Mean distance between times in which no object can be reached.
    pub unreachable_every: Span,
    /// How long such a time is.
    pub unreachable_for: Span,
    /// The ways in which the origin fails, one of them at random each time; none: it answers 500.
    pub origin_faults: Vec<OriginFault>,
    /// After this the world is kind again, so that what should end can be seen to end.
    pub until: Span,
}

impl Faults {
    /// Whether there are any: then the promises are checked.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }

    /// Some faults, each there or not, as a seed has it.
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
        faults.delay_most = every(100, 8_000);
        faults.skew = every(1, 4_000);
        faults.steps_every = every(2_000, 20_000);
        faults.step_most = every(1_000, 3_600_000);
        faults.restarts_every = every(2_000, 20_000);
        faults.evictions_every = every(1_000, 20_000);
        faults.purges_every = every(1_000, 20_000);
        faults.unreachable_every = every(3_000, 20_000);
        faults.unreachable_for = every(500, 8_000);
        faults.origin_faults = OriginFault::ALL.into_iter().filter(|_| rng.happens(0.5)).collect();
        faults
    }

    /// What came later is drawn apart: the worlds of the seeds before stay as they were.
    pub(super) fn drawn_later(mut self, rng: &mut SimRng) -> Self {
        if rng.happens(0.4) {
            self.alarms_every = Span(500 + rng.below(10_000));
        }
        if rng.happens(0.2) {
            self.leaps_every = Span(5_000 + rng.below(30_000));
            self.leap_most = Span::DAY.plus(Span(rng.below(4 * Span::DAY.0)));
        }
        self
    }

    /// Each fault by itself taken away: what a shrunk case tries.
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
