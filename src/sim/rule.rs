//! The rule alone: cycles of one key at one place, without a lock, as the closed forms of
//! [`crate::core::theory`] describe them.

use super::{report::Cycle, rng::SimRng};
use crate::core::{
    theory::RuleParameters,
    time::Span,
    xfetch::{self, Draw, Rule},
};

/// The unit of time: a millionth of a computation, so that rounding is far below chance.
const DELTA: Span = Span(1_000_000);
/// The greatest number of arrivals drawn, over all cycles.
const MAX_ARRIVALS: f64 = 2_000_000.0;

/// Cycles of the rule: `count` of them, or fewer where each takes very many arrivals.
#[must_use]
pub fn rule_cycles(law: RuleParameters, count: u32, seed: u64) -> Vec<Cycle> {
    let mut chance = SimRng::new(seed, 5);
    // In units of one computation.
    let (rate, window) = (law.rate * law.delta, law.window / law.delta);
    // Earlier than this a trigger has a negligible probability.
    let start = (law.beta * ((rate * law.beta).max(1.0).ln() + 25.0)).min(window);
    let count = f64::from(count).min((MAX_ARRIVALS / (rate * start).max(1.0)).max(20.0)) as u32;
    let rule = Rule { delta: DELTA, beta: law.beta, window: DELTA.share(window) };
    (0..count).map(|_| cycle(&mut chance, rule, rate, start, law.delta)).collect()
}

fn cycle(chance: &mut SimRng, rule: Rule, rate: f64, start: f64, delta: f64) -> Cycle {
    let mut at = -start;
    let mut first: Option<f64> = None;
    let mut triggers = 0;
    loop {
        at += chance.exponential(1.0 / rate);
        if let Some(first) = first.filter(|first| at >= first + 1.0 || at >= 0.0 || *first >= 0.0) {
            return Cycle { gap: -first * delta, triggers, late: first + 1.0 > 0.0 };
        }
        let remaining = DELTA.share((-at).max(0.0));
        if xfetch::triggers(remaining, rule, Draw::from_bits(chance.bits())) {
            first.get_or_insert(at);
            triggers += u32::from(at < 0.0);
        }
    }
}
