//! Tests that `wasm-pack test --headless` runs in a real browser: the platform's clock and random numbers,
//! and the promises that are also tested natively, from the same source.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, reason = "names and module headers document tests")]

#[path = "shared/promises.rs"]
mod promises;

use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use xfetch_edge::{
    core::{
        entry,
        time::{Instant, Span},
        xfetch::{self, Rule},
    },
    protocol::entry_format,
    worker::platform::{clock, rng::IsolateRng},
};

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test]
fn the_clock_is_in_this_century_and_does_not_go_back() {
    let first = clock::now();
    assert!(first > Instant(1_700_000_000_000) && first < Instant(4_100_000_000_000));
    assert!(clock::now() >= first);
}

#[wasm_bindgen_test]
fn draws_are_uniform_on_the_half_open_interval() {
    let mut rng = IsolateRng::default();
    let count = 40_000;
    let draws: Vec<f64> = (0..count).map(|_| rng.chance().draw().value()).collect();
    assert!(draws.iter().all(|it| *it > 0.0 && *it <= 1.0));
    let mean = draws.iter().sum::<f64>() / f64::from(count);
    // Four standard errors of a uniform mean.
    assert!((mean - 0.5).abs() < 4.0 * (1.0_f64 / 12.0 / f64::from(count)).sqrt(), "{mean}");
}

#[wasm_bindgen_test]
fn no_two_isolates_share_a_name_or_a_sequence() {
    let (mut one, mut two) = (IsolateRng::default(), IsolateRng::default());
    assert_ne!(one.unique_name(), two.unique_name());
    assert_eq!(one.unique_name().map(|it| it.len()), Some(16));
    assert_ne!(one.name(), two.name());
    assert_ne!(one.name(), 0);
    assert_eq!(one.name(), one.name(), "its name does not change");
    let draws =
        |rng: &mut IsolateRng| (0..8).map(|_| rng.chance().draw().value().to_bits()).collect::<Vec<_>>();
    assert_ne!(draws(&mut one), draws(&mut two));
}

#[wasm_bindgen_test]
fn the_rule_with_the_browsers_random_numbers_follows_its_closed_form() {
    let rule = Rule { delta: Span(1_000), beta: 1.0, window: Span(10_000) };
    let mut rng = IsolateRng::default();
    let count = 40_000;
    let hits = (0..count).filter(|_| xfetch::triggers(Span(700), rule, rng.chance().draw())).count();
    let law = xfetch::probability(Span(700), rule);
    let error = (law * (1.0 - law) / f64::from(count)).sqrt();
    assert!((hits as f64 / f64::from(count) - law).abs() < 4.0 * error);
}

#[wasm_bindgen_test]
fn values_beyond_32_bits_survive_the_conversions_of_this_target() {
    let whole = promises::entry(1 << 52, 1_795_000_000_123);
    assert_eq!(entry_format::decode(&entry_format::encode(&whole), "key"), Ok(whole));
    assert_eq!(Span::from_seconds(f64::NAN), Span::ZERO);
    assert_eq!(Span::from_seconds(-1.0), Span::ZERO);
    assert_eq!(Span::from_seconds(f64::INFINITY), Span(u64::MAX));
}
