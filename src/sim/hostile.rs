//! Hostile worlds, one for each seed: which faults there are, and everything else, is drawn from it. A
//! world that breaks a promise is made smaller until nothing can be left out.

use super::{
    Faults, Report, Scenario, Strategy, Violation, World,
    origin::{OriginFault, Outage},
    rng::Chance,
    run,
};
use crate::core::{entry::Lifetime, time::Span};

/// How long the world is kind again before the end, so that what should end can be seen to end.
const AFTERMATH: Span = Span(150_000);

impl Scenario {
    /// The hostile world of this seed: small, so that everything meets everything.
    #[must_use]
    pub fn hostile(seed: u64) -> Self {
        let mut chance = Chance::new(seed, 4);
        let mut between = |least: u64, most: u64| least + chance.below(most - least + 1);
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
            },
            origin_timeout: Span(between(500, 8_000)),
            delta: Span(between(50, 2_000)),
            object_delay: Span(between(1, 60)),
            colo_delay: Span(between(1, 20)),
            ..Self::default()
        };
        scenario.strategy =
            if chance.happens(0.5) { Strategy::LeaseBetaAuto } else { Strategy::LeaseBetaOne };
        scenario.spread = if chance.happens(0.5) { chance.share() } else { 0.0 };
        scenario.failing = if chance.happens(0.5) { 0.7 * chance.share() } else { 0.0 };
        let from = Span(chance.below(until.0));
        let outage = Outage { from, until: from.plus(Span(chance.below(15_000))) };
        scenario.outage = chance.happens(0.3).then_some(outage);
        scenario.faults = Faults::drawn(&mut chance, until).drawn_later(&mut Chance::new(seed, 6));
        if scenario.faults.moods.is_empty() {
            scenario.faults.moods = vec![OriginFault::Error];
        }
        scenario
    }

    /// Smaller worlds, each by one thing.
    fn smaller(&self) -> Vec<Self> {
        let with = |change: &dyn Fn(&mut Self)| {
            let mut smaller = self.clone();
            change(&mut smaller);
            smaller
        };
        let mut all = vec![
            with(&|it| it.colos = 1),
            with(&|it| it.isolates = 1),
            with(&|it| it.keys = 1),
            with(&|it| it.rate = (it.rate / 2.0).max(0.5)),
            with(&|it| it.duration = it.duration.share(0.5)),
            with(&|it| it.spread = 0.0),
            with(&|it| it.failing = 0.0),
            with(&|it| it.outage = None),
        ];
        for faults in self.faults.lesser() {
            all.push(with(&|it| it.faults = faults.clone()));
        }
        all.retain(|smaller| smaller != self);
        all
    }
}

/// Runs the hostile world of a seed.
///
/// # Errors
/// The first broken promise.
pub fn hostile(seed: u64) -> Result<Report, Violation> {
    run(Scenario::hostile(seed))
}

/// A smaller world that breaks the same promise; the given one where nothing can be left out.
#[must_use]
pub fn shrunk(scenario: Scenario, broken: &Violation) -> Scenario {
    let mut best = scenario;
    loop {
        let is_like =
            |smaller: &Scenario| run(smaller.clone()).is_err_and(|other| other.promise == broken.promise);
        match best.smaller().into_iter().find(is_like) {
            Some(smaller) => best = smaller,
            None => return best,
        }
    }
}

/// The transcript of a world up to its end or its broken promise: a line for each event.
#[must_use]
pub fn transcript(scenario: Scenario) -> Vec<String> {
    let mut world = World::new(scenario).with_log();
    while matches!(world.step(), Ok(true)) {}
    world.log().to_vec()
}
