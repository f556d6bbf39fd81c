//! The page's bindings, run in a real browser by `wasm-pack test --headless`.
#![cfg(all(target_arch = "wasm32", feature = "demo"))]
#![allow(missing_docs, reason = "names and module headers document tests")]

use js_sys::{Array, Object, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use xfetch_edge::page::{Run, auto_beta, auto_window, cycles, fields, laws, probability, strategies};

wasm_bindgen_test_configure!(run_in_browser);

fn settings(strategy: &str, values: &[(&str, f64)]) -> JsValue {
    let object = Object::new();
    Reflect::set(&object, &"strategy".into(), &strategy.into()).expect("a plain object");
    for (name, value) in values {
        Reflect::set(&object, &(*name).into(), &(*value).into()).expect("a plain object");
    }
    object.into()
}

fn get(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).expect("an object")
}

fn number(object: &JsValue, name: &str) -> f64 {
    get(object, name).as_f64().unwrap_or_else(|| panic!("{name} is no number"))
}

fn run(strategy: &str, values: &[(&str, f64)]) -> JsValue {
    let mut run = Run::new(settings(strategy, values)).unwrap_or_else(|_| panic!("{strategy} is refused"));
    let mut share = 0.0;
    while share < 1.0 {
        let next = run.advance(1_000).unwrap_or_else(|_| panic!("a promise is broken"));
        assert!(next >= share && next <= 1.0, "{share}, then {next}");
        share = next;
    }
    run.figures().unwrap_or_else(|_| panic!("no figures"))
}

#[wasm_bindgen_test]
fn every_field_has_a_default_in_its_range_and_all_its_texts() {
    let fields: Array = fields().unwrap_or_else(|_| panic!("no fields")).unchecked_into();
    assert!(fields.length() > 20);
    for field in fields.iter() {
        let value = number(&field, "value");
        assert!(number(&field, "least") <= value && value <= number(&field, "most"));
        for name in ["name", "label", "help", "group"] {
            assert!(!get(&field, name).as_string().unwrap_or_default().is_empty(), "{name}");
        }
    }
}

#[wasm_bindgen_test]
fn every_strategy_runs_on_the_same_requests_and_a_seed_repeats_its_figures() {
    let values = [("duration", 30.0), ("keys", 5.0)];
    let requests: Vec<f64> = strategies().iter().map(|it| number(&run(it, &values), "requests")).collect();
    assert_eq!(requests.len(), 7);
    assert!(requests.iter().all(|it| *it == requests[0] && *it > 1_000.0), "{requests:?}");
    let text = |figures: &JsValue| js_sys::JSON::stringify(figures).ok().and_then(|it| it.as_string());
    let (one, other) = (run("xfetch_lease_auto", &values), run("xfetch_lease_auto", &values));
    assert!(text(&one).is_some_and(|it| it.len() > 1_000));
    assert_eq!(text(&one), text(&other));
    assert_ne!(
        text(&one),
        text(&run("xfetch_lease_auto", &[("duration", 30.0), ("keys", 5.0), ("seed", 2.0)]))
    );
}

#[wasm_bindgen_test]
fn with_the_lease_one_computation_runs_at_a_time_and_the_figures_say_so() {
    let ours = run("xfetch_lease_auto", &[("duration", 60.0)]);
    assert_eq!(number(&ours, "most_in_flight"), 1.0);
    assert!(number(&ours, "calls") * 5.0 < number(&run("no_protection", &[("duration", 60.0)]), "calls"));
    assert!(number(&ours, "p50") <= number(&ours, "p999"));
}

#[wasm_bindgen_test]
fn a_wrong_setting_is_refused_with_a_sentence() {
    for (strategy, values, words) in [
        (
            "xfetch_lease_auto",
            vec![("ttl", -1.0)],
            "Time to live is -1, but must be a number from 0.5 to 600.",
        ),
        ("xfetch_lease_auto", vec![("keys", 1.5)], "Keys is 1.5, but must be a whole number from 1 to 5000."),
        ("xfetch_lease_auto", vec![("colour", 1.0)], "There is no setting colour."),
        (
            "xfetch_lease_auto",
            vec![("rate", f64::NAN)],
            "Requests is NaN, but must be a number from 0.05 to 2000.",
        ),
        ("magic", vec![], "There is no strategy magic."),
    ] {
        let Err(refused) = Run::new(settings(strategy, &values)) else { panic!("{words}") };
        let message = get(&JsValue::from(refused), "message").as_string();
        assert_eq!(message.as_deref(), Some(words));
    }
    assert!(Run::new(JsValue::NULL).is_err());
}

#[wasm_bindgen_test]
fn the_laws_are_those_of_the_theory() {
    let law = laws(100.0, 1.0, 1.0, 50.0).unwrap_or_else(|_| panic!("no laws"));
    assert!((number(&law, "mean_gap") - (100.0_f64.ln() + 0.5772)).abs() < 0.01);
    assert!((number(&law, "mean_triggers") - 1.0_f64.exp()).abs() < 0.01);
    // A cycle whose first trigger is close to expiry has fewer triggers: those after expiry are not counted.
    let rare = laws(0.5, 1.0, 1.0, 5.0).unwrap_or_else(|_| panic!("no laws"));
    let seen: Array =
        cycles(0.5, 1.0, 1.0, 5.0, 4_000, 7.0).unwrap_or_else(|_| panic!("no cycles")).unchecked_into();
    let early: Vec<JsValue> = seen.iter().filter(|it| number(it, "gap") > 0.0).collect();
    let mean = early.iter().map(|it| number(it, "triggers")).sum::<f64>() / early.len() as f64;
    assert!((mean - number(&rare, "mean_triggers")).abs() < 0.06, "{mean}");
    let late = laws(3.0, 1.0, 1.0, 50.0).unwrap_or_else(|_| panic!("no laws"));
    assert!((number(&late, "late") - (-3.0 * (-1.0_f64).exp()).exp()).abs() < 0.001);
    let first = get(&get(&law, "triggers"), "0").as_f64().unwrap_or_default();
    assert!((first - (-1.0_f64).exp()).abs() < 0.005, "{first}");
    assert!((probability(1.0, 1.0, 1.0, 10.0) - (-1.0_f64).exp()).abs() < 1e-9);
    assert!((auto_beta(10.0, 1.0, 1_000.0, 0.01, 6.0) - 1.12).abs() < 0.02);
    assert!((auto_window(10.0, 1.0, 1_000.0, 0.01, 6.0) - 2.5).abs() < 1e-9);
    assert!((auto_window(1.0, 1.0, 1_000.0, 0.01, 6.0) - 1_000.0).abs() < 1e-9);
}
