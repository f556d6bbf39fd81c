//! The closed forms of the theory, with fixed seeds and tolerances from the sample size: four standard
//! errors, so that a right program fails once in sixteen thousand seeds, and a wrong one always.

use fastrand::Rng;
use xfetch_edge::core::{
    time::Span,
    xfetch::{self, Draw, Rule},
};

/// Milliseconds in the unit of delta: fine enough that rounding is far below the tolerances.
const DELTA: Span = Span(1_000_000);

/// One cycle of Poisson arrivals at `rate` per delta, without a lock: the gap between the first trigger
/// and expiry, and the number of triggers before the new value is visible, one delta after the first.
struct Cycle {
    gap: f64,
    triggers: u32,
    is_late: bool,
}

fn cycle(rng: &mut Rng, rate: f64, beta: f64, window: f64, start: f64) -> Cycle {
    let rule = Rule { delta: DELTA, beta, window: Span((window * DELTA.0 as f64) as u64) };
    let mut at = -start;
    let mut first: Option<f64> = None;
    let mut triggers = 0;
    loop {
        at += -(1.0 - rng.f64()).ln() / rate;
        if first.is_some_and(|first| at >= first + 1.0) {
            break;
        }
        let remaining = Span(((-at).max(0.0) * DELTA.0 as f64) as u64);
        if xfetch::triggers(remaining, rule, Draw::from_bits(rng.u64(..))) {
            first.get_or_insert(at);
            triggers += 1;
        }
    }
    let first = first.expect("the loop ends after a trigger");
    Cycle { gap: -first, triggers, is_late: first + 1.0 > 0.0 }
}

fn run(seed: u64, cycles: usize, rate: f64, beta: f64, window: f64) -> Vec<Cycle> {
    let mut rng = Rng::with_seed(seed);
    // Early enough that a trigger before the start is practically impossible.
    let start = (beta * (rate * beta).max(1.0).ln() + 20.0 * beta).min(window) + 1.0;
    (0..cycles).map(|_| cycle(&mut rng, rate, beta, window, start)).collect()
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|it| (it - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}

/// A mean agrees with its law within four standard errors and the discretisation.
fn agrees(what: &str, (mean, error): (f64, f64), law: f64) {
    assert!((mean - law).abs() <= 4.0 * error + 1e-3, "{what}: {mean} ± {error}, law {law}");
}

const ENDLESS: f64 = 1e6;
const EULER: f64 = 0.577_215_664_9;

#[test]
fn the_gap_before_expiry_is_a_gumbel_distribution() {
    for (rate, beta) in [(10.0, 1.0), (100.0, 1.0), (100.0, 2.0)] {
        let cycles = run(1, 20_000, rate, beta, ENDLESS);
        let law = beta * ((rate * beta).ln() + EULER);
        agrees("mean gap", mean(cycles.iter().map(|it| it.gap)), law);
        let (_, error) = mean(cycles.iter().map(|it| it.gap));
        let sd = error * (cycles.len() as f64).sqrt();
        assert!((sd / (1.2825 * beta) - 1.0).abs() < 0.03, "sd {sd} at rate {rate}, beta {beta}");
        for quantile in [0.05, 0.25, 0.5, 0.75, 0.95] {
            let at = beta * ((rate * beta).ln() - (-f64::ln(quantile)).ln());
            let share = cycles.iter().filter(|it| it.gap <= at).count() as f64 / cycles.len() as f64;
            let error = (quantile * (1.0 - quantile) / cycles.len() as f64).sqrt();
            assert!((share - quantile).abs() < 4.0 * error, "F({at}) = {share}, law {quantile}");
        }
    }
}

#[test]
fn triggers_per_cycle_are_geometric_at_every_rate() {
    for (rate, beta) in [(100.0, 1.0), (1_000.0, 1.0), (100.0, 2.0), (100.0, 0.5)] {
        let cycles = run(2, 20_000, rate, beta, ENDLESS);
        let law = (1.0_f64 / beta).exp();
        agrees("triggers", mean(cycles.iter().map(|it| f64::from(it.triggers))), law);
        let p = (-1.0_f64 / beta).exp();
        for count in 1..=4 {
            let share = cycles.iter().filter(|it| it.triggers == count).count() as f64 / cycles.len() as f64;
            let law = p * (1.0 - p).powi(count.cast_signed() - 1);
            let error = (law * (1.0 - law) / cycles.len() as f64).sqrt();
            assert!((share - law).abs() < 4.0 * error + 2e-3, "P(S={count}) = {share}, law {law}");
        }
    }
}

#[test]
fn a_rare_key_expires_before_anybody_triggers() {
    for rate in [0.1, 1.0, 3.0] {
        let cycles = run(3, 20_000, rate, 1.0, ENDLESS);
        let never = cycles.iter().map(|it| f64::from(u8::from(it.gap <= 0.0)));
        agrees("no early refresh", mean(never), (-rate).exp());
        let late = cycles.iter().map(|it| f64::from(u8::from(it.is_late)));
        agrees("lands late", mean(late), (-rate * (-1.0_f64).exp()).exp());
    }
}

#[test]
fn with_an_early_window_triggers_follow_their_law() {
    for (rate, beta, window) in [(60.0, 1.0, 2.5), (10.0, 1.0, 3.0), (100.0, 0.5, 2.0)] {
        let cycles = run(4, 20_000, rate, beta, window);
        let c = rate * beta * (-window / beta).exp();
        let law = 1.0 + ((1.0_f64 / beta).exp() - 1.0) * (1.0 + c);
        let (mean, error) = mean(cycles.iter().map(|it| f64::from(it.triggers)));
        // The law is the first order in c.
        assert!((mean - law).abs() < 4.0 * error + 0.03 * law, "{mean}, law {law}");
    }
}

#[test]
fn auto_beta_lands_late_in_the_requested_share_of_cycles() {
    for (rate, beta, gap) in [
        (1.0, 5.52, 12.62),
        (3.0, 2.35, 5.94),
        (10.0, 1.12, 3.36),
        (100.0, 0.442, 1.93),
        (1_000.0, 0.25, 1.53),
    ] {
        // Delta is one second here, so the rate per second is the rate per delta.
        let chosen = xfetch::auto_beta(rate, Span(1_000), Span(1_000_000_000), 0.01, 100.0);
        assert!((chosen / beta - 1.0).abs() < 0.01, "beta {chosen} at rate {rate}, table {beta}");
        let cycles = run(5, 20_000, rate, chosen, ENDLESS);
        let late = cycles.iter().filter(|it| it.is_late).count() as f64 / cycles.len() as f64;
        let error = (0.01_f64 * 0.99 / cycles.len() as f64).sqrt();
        assert!((late - 0.01).abs() < 4.0 * error + 0.003, "late {late} at rate {rate}");
        let (mean, _) = mean(cycles.iter().map(|it| it.gap));
        assert!((mean / gap - 1.0).abs() < 0.03, "gap {mean} at rate {rate}, table {gap}");
    }
}

#[test]
fn auto_beta_solves_the_windowed_equation_or_takes_its_bound() {
    for (rate, window) in [(10.0, 3_000), (60.0, 2_500), (4.0, 6_000)] {
        let beta = xfetch::auto_beta(rate, Span(1_000), Span(window), 0.01, 50.0);
        let left = rate * beta * ((-1.0 / beta).exp() - (-(window as f64 / 1_000.0) / beta).exp());
        assert!((left - 100.0_f64.ln()).abs() < 1e-6, "beta {beta} gives {left}");
        // The share of late cycles with this window is also as requested.
        let cycles = run(6, 20_000, rate, beta, window as f64 / 1_000.0);
        let late = cycles.iter().filter(|it| it.is_late).count() as f64 / cycles.len() as f64;
        assert!((late - 0.01).abs() < 0.005, "late {late}");
    }
    // n (W - delta) below ln(1/eps): no beta is large enough.
    assert!(xfetch::auto_beta(1.0, Span(1_000), Span(2_500), 0.01, 6.0) >= 6.0);
    assert!(xfetch::auto_beta(100.0, Span(1_000), Span(900), 0.01, 6.0) >= 6.0);
    assert!(xfetch::auto_beta(f64::NAN, Span(1_000), Span(2_500), 0.01, 6.0) >= 6.0);
}

/// Very early refreshes waste freshness: `auto` prevents them, and the share of late cycles stays the same.
#[test]
fn the_auto_window_cuts_only_the_early_tail() {
    let (delta, widest) = (Span(1_000), Span(30_000));
    for (rate, least_gain) in [(5.0, 2.0), (10.0, 1.2), (30.0, 0.3), (100.0, 0.0), (1_000.0, 0.0)] {
        let chosen = |window: Span| {
            let beta = xfetch::auto_beta(rate, delta, window, 0.01, 6.0);
            let cycles = run(7, 20_000, rate, beta, window.as_seconds());
            let late = cycles.iter().filter(|it| it.is_late).count() as f64 / cycles.len() as f64;
            assert!((late - 0.01).abs() < 0.004, "late {late} at rate {rate}, window {window:?}");
            (cycles.iter().map(|it| it.gap).fold(0.0, f64::max), mean(cycles.iter().map(|it| it.gap)).0)
        };
        let window = xfetch::auto(rate, delta, widest, 0.01, 6.0).1;
        assert_eq!(window, Span(2_500), "two and a half computations, at rate {rate}");
        let ((largest, gap), (_, gap_before)) = (chosen(window), chosen(widest));
        assert!(largest <= 2.5, "{largest} at rate {rate}");
        assert!(gap_before - gap >= least_gain, "{gap} instead of {gap_before} at rate {rate}");
    }
    for (rate, widest) in [(1.0, 30_000), (0.01, 30_000), (100.0, 2_000), (100.0, 900), (f64::NAN, 30_000)] {
        let widest = Span(widest);
        assert_eq!(xfetch::auto(rate, delta, widest, 0.01, 6.0).1, widest, "all of it, at rate {rate}");
    }
}

#[test]
fn the_probability_is_the_share_of_draws_that_trigger() {
    let rule = Rule { delta: Span(800), beta: 1.5, window: Span(4_000) };
    let mut rng = Rng::with_seed(7);
    for remaining in [0, 1, 200, 1_200, 3_999, 4_000, 4_001] {
        let law = xfetch::probability(Span(remaining), rule);
        let draws = 40_000;
        let hits = (0..draws)
            .filter(|_| xfetch::triggers(Span(remaining), rule, Draw::from_bits(rng.u64(..))))
            .count();
        let error = (law * (1.0 - law) / f64::from(draws)).sqrt();
        let share = hits as f64 / f64::from(draws);
        assert!((share - law).abs() <= 4.0 * error, "at {remaining}: {share}, law {law}");
    }
}
