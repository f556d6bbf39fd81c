//! Makes a world that breaks an invariant smaller, until nothing can be left out.

use super::{
    invariants::Violation,
    scenario::Scenario,
    world::{World, run},
};

impl Scenario {
    /// Worlds that each are smaller in one respect.
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

/// A smaller world that breaks the same invariant; the given one where nothing can be left out.
#[must_use]
pub fn shrunk(scenario: Scenario, violation: &Violation) -> Scenario {
    let mut best = scenario;
    loop {
        let is_like = |smaller: &Scenario| {
            run(smaller.clone()).is_err_and(|other| other.invariant == violation.invariant)
        };
        match best.smaller().into_iter().find(is_like) {
            Some(smaller) => best = smaller,
            None => return best,
        }
    }
}

/// The transcript of a world up to its end or its first violated invariant: a line for each event.
#[must_use]
pub fn transcript(scenario: Scenario) -> Vec<String> {
    let mut world = World::new(scenario).with_log();
    while matches!(world.step(), Ok(true)) {}
    world.log().to_vec()
}
