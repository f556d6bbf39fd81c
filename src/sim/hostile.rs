//! Hostile worlds: each seed determines the faults, the traffic and all else of one world.

use super::{
    faults::{Faults, OriginFault},
    invariants::Violation,
    report::Report,
    rng::SimRng,
    scenario::{Outage, Scenario, Strategy},
    world::run,
};
use crate::core::{entry::Lifetime, time::Span};

/// How long a run goes on without faults, so that the end of all tasks can be checked.
const AFTERMATH: Span = Span(150_000);

impl Scenario {
    /// The hostile world of this seed. It is small, so that faults and requests often coincide.
    #[must_use]
    pub fn hostile(seed: u64) -> Self {
        let mut rng = SimRng::new(seed, 4);
        let mut between = |least: u64, most: u64| least + rng.below(most - least + 1);
        let until = Span(between(10_000, 60_000));
        let mut scenario = Self {
            seed,
            duration: until.plus(AFTERMATH),
            colos: between(1, 3) as u32,
            isolates: between(1, 3) as u32,
            keys: between(1, 3) as u32,
            rate: between(1, 12) as f64,
            lifetime: Lifetime {
                ttl: Span(between(500, 6_000)),
                stale_while_revalidate: Span(between(0, 60_000)),
                stale_if_error: Span(between(0, 60_000)),
                kept: Span::ZERO,
            },
            origin_timeout: Span(between(500, 8_000)),
            delta: Span(between(50, 2_000)),
            object_delay: Span(between(1, 60)),
            colo_delay: Span(between(1, 20)),
            ..Self::default()
        };
        scenario.strategy = if rng.happens(0.5) { Strategy::LeaseBetaAuto } else { Strategy::LeaseBetaOne };
        scenario.spread = if rng.happens(0.5) { rng.share() } else { 0.0 };
        scenario.failing = if rng.happens(0.5) { 0.7 * rng.share() } else { 0.0 };
        let from = Span(rng.below(until.0));
        let outage = Outage { from, until: from.plus(Span(rng.below(15_000))) };
        scenario.outage = rng.happens(0.3).then_some(outage);
        scenario.faults = Faults::drawn(&mut rng, until).drawn_later(&mut SimRng::new(seed, 6));
        // They were introduced later, so that they have a random stream of their own.
        let mut later = SimRng::new(seed, 7);
        if later.happens(0.4) {
            scenario.variants = 1 + later.below(3) as u32;
        }
        let mut later = SimRng::new(seed, 8);
        if later.happens(0.4) {
            scenario.tenants = 1 + later.below(3) as u32;
            scenario.keys *= scenario.tenants;
        }
        if scenario.faults.origin_faults.is_empty() {
            scenario.faults.origin_faults = vec![OriginFault::Error];
        }
        scenario
    }
}

/// Runs the hostile world of a seed.
///
/// # Errors
/// The first violated invariant.
pub fn hostile(seed: u64) -> Result<Report, Violation> {
    run(Scenario::hostile(seed))
}
