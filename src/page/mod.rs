//! The Rust half of the demo page: thin bindings over [`crate::sim`] and [`crate::core::theory`], for a Web
//! Worker. It is compiled to a wasm file of its own, without the code of the edge Worker.

#![allow(missing_docs, reason = "the macro exports undocumented glue")]

mod settings;

use serde::Serialize;
use serde_wasm_bindgen::Serializer;
use wasm_bindgen::prelude::{JsError, JsValue, wasm_bindgen};

use crate::{
    core::{
        theory::RuleParameters,
        time::Span,
        xfetch::{self, Rule},
    },
    isolate::metrics::{COUNTERS, Counter},
    sim::{self, Report, Strategy, World},
};
use settings::Settings;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** A setting of the laboratory: what a control needs to know. */
export interface Field {
  name: string; label: string; unit: string; help: string; group: string;
  least: number; most: number; value: number; whole: boolean;
}
/** Values by the fields' names, and the strategy. */
export type Settings = Record<string, number | string>;
export interface Second { requests: number; calls: number; slow: number; stale: number; slowest: number }
export interface Cycle { gap: number; triggers: number; late: boolean }
export interface Report {
  strategy: string; requests: number; answers: number; errors: number; slow: number; past_ttl_share: number;
  mean_age: number; calls: number; least_calls: number; most_in_flight: number; messages: number;
  p50: number; p99: number; p999: number; seconds: Second[]; cycles: Cycle[]; contention: number;
  hot_rate: number; beta: number;
}
export interface Laws {
  gap: { x: number; below: number }[]; mean_gap: number; late: number; mean_triggers: number; triggers: number[];
}
"#;

/// Logs the message of a panic to the browser's console. (The edge Worker does not need this: the `worker`
/// crate sets a hook of its own, which also marks the instance as broken.)
#[wasm_bindgen(start)]
fn start() {
    console_error_panic_hook::set_once();
}

/// One run of a simulated world, performed in steps.
#[wasm_bindgen]
pub struct Run {
    world: World,
    strategy: Strategy,
    beta: f64,
    duration: Span,
    is_over: bool,
}

#[wasm_bindgen]
impl Run {
    /// A world that has not begun.
    ///
    /// # Errors
    /// A sentence for a setting that is missing or out of its range.
    #[wasm_bindgen(constructor)]
    pub fn new(#[wasm_bindgen(unchecked_param_type = "Settings")] settings: JsValue) -> Result<Run, JsError> {
        let settings = Settings::read(settings)?;
        let scenario = settings.scenario()?;
        let (strategy, duration) = (scenario.strategy, scenario.duration);
        let world = World::new(scenario);
        let beta = settings.beta(world.hot_rate());
        Ok(Self { world, strategy, beta, duration, is_over: false })
    }

    /// Performs at most `events` events. Returns the share of the run that is done: 1 at its end.
    ///
    /// # Errors
    /// A violated invariant of the protocol.
    pub fn advance(&mut self, events: u32) -> Result<f64, JsError> {
        for _ in 0..events {
            if !self.world.step().map_err(|broken| JsError::new(&broken.to_string()))? {
                self.is_over = true;
                break;
            }
        }
        let share = self.world.elapsed().0 as f64 / self.duration.0.max(1) as f64;
        Ok(if self.is_over { 1.0 } else { share.min(0.999) })
    }

    /// The figures until now.
    ///
    /// # Errors
    /// None that a caller can cause.
    #[wasm_bindgen(unchecked_return_type = "Figures")]
    pub fn figures(&self) -> Result<JsValue, JsError> {
        let figures = self.world.report();
        to_js(&Shown::of(&figures, self))
    }
}

#[derive(Serialize)]
struct ShownSecond {
    requests: u32,
    calls: u32,
    slow: u32,
    stale: u32,
    slowest: f64,
}

#[derive(Serialize)]
struct ShownCycle {
    gap: f64,
    triggers: u32,
    late: bool,
}

impl ShownCycle {
    fn of(cycle: &sim::Cycle) -> Self {
        Self { gap: cycle.gap, triggers: cycle.triggers, late: cycle.late }
    }
}

/// [`Report`] as the page reads them; times of answers in milliseconds, the others in seconds.
#[derive(Serialize)]
struct Shown {
    strategy: &'static str,
    requests: f64,
    answers: f64,
    errors: f64,
    slow: f64,
    past_ttl_share: f64,
    mean_age: f64,
    calls: f64,
    least_calls: f64,
    most_in_flight: u32,
    messages: f64,
    p50: f64,
    p99: f64,
    p999: f64,
    seconds: Vec<ShownSecond>,
    cycles: Vec<ShownCycle>,
    contention: f64,
    hot_rate: f64,
    beta: f64,
}

impl Shown {
    fn of(figures: &Report, run: &Run) -> Self {
        let second = |it: &sim::Second| ShownSecond {
            requests: it.requests,
            calls: it.calls,
            slow: it.slow,
            stale: it.stale,
            slowest: it.slowest.0 as f64,
        };
        Self {
            strategy: run.strategy.as_str(),
            requests: figures.seconds.iter().map(|it| f64::from(it.requests)).sum(),
            answers: figures.answers as f64,
            errors: figures.errors as f64,
            slow: figures.slow as f64,
            past_ttl_share: figures.past_ttl_share(),
            mean_age: figures.mean_age(),
            calls: figures.calls as f64,
            least_calls: figures.least_calls as f64,
            most_in_flight: figures.most_in_flight,
            messages: figures.messages as f64,
            p50: figures.quantile(0.5),
            p99: figures.quantile(0.99),
            p999: figures.quantile(0.999),
            seconds: figures.seconds.iter().map(second).collect(),
            cycles: figures.cycles.iter().map(ShownCycle::of).collect(),
            contention: figures.counters.get(Counter::XfetchLockContentionTotal) as f64,
            hot_rate: run.world.hot_rate(),
            beta: run.beta,
        }
    }
}

/// The laboratory's settings, from which the page makes its controls.
///
/// # Errors
/// None that a caller can cause.
#[wasm_bindgen(unchecked_return_type = "Field[]")]
pub fn fields() -> Result<JsValue, JsError> {
    to_js(&settings::FIELDS)
}

/// The strategies' names, the simplest first.
#[wasm_bindgen]
#[must_use]
pub fn strategies() -> Vec<String> {
    Strategy::ALL.iter().map(|it| it.as_str().to_owned()).collect()
}

/// The counters' names and what they count, as pairs.
///
/// # Errors
/// None that a caller can cause.
#[wasm_bindgen(unchecked_return_type = "[string, string][]")]
pub fn counters() -> Result<JsValue, JsError> {
    to_js(&COUNTERS)
}

#[derive(Serialize)]
struct GapPoint {
    x: f64,
    below: f64,
}

#[derive(Serialize)]
struct Laws {
    gap: Vec<GapPoint>,
    mean_gap: f64,
    late: f64,
    mean_triggers: f64,
    triggers: Vec<f64>,
}

/// The predictions of the theory. `rate` is in requests per second, `delta` and `window` are in seconds.
///
/// # Errors
/// None that a caller can cause.
#[wasm_bindgen(unchecked_return_type = "Laws")]
pub fn laws(rate: f64, delta: f64, beta: f64, window: f64) -> Result<JsValue, JsError> {
    const POINTS: u32 = 100;
    let law = RuleParameters { rate, delta, beta, window };
    // The range of all but 0.4 % of the cycles.
    let (least, most) = (law.gap_at(0.002), law.gap_at(0.998));
    let point = |it: u32| {
        let x = least + (most - least) * f64::from(it) / f64::from(POINTS);
        GapPoint { x, below: law.gap_below(x) }
    };
    to_js(&Laws {
        gap: (0..=POINTS).map(point).collect(),
        mean_gap: law.mean_gap(),
        late: law.late(),
        mean_triggers: law.mean_triggers(),
        triggers: law.triggers(300),
    })
}

/// Simulated cycles of the rule at one place without a lock; `delta` and `window` are in seconds.
///
/// # Errors
/// None that a caller can cause.
#[wasm_bindgen(unchecked_return_type = "Cycle[]")]
pub fn cycles(
    rate: f64,
    delta: f64,
    beta: f64,
    window: f64,
    count: u32,
    seed: f64,
) -> Result<JsValue, JsError> {
    let cycles = sim::rule_cycles(RuleParameters { rate, delta, beta, window }, count, seed as u64);
    to_js(&cycles.iter().map(ShownCycle::of).collect::<Vec<_>>())
}

/// The beta that "auto" chooses in an early window; times in seconds.
#[wasm_bindgen]
#[must_use]
pub fn auto_beta(rate: f64, delta: f64, window: f64, late_share: f64, max_beta: f64) -> f64 {
    let (delta, window) = (Span::from_seconds(delta), Span::from_seconds(window));
    xfetch::auto_beta(rate, delta, window, late_share, max_beta)
}

/// The early window that "auto" chooses; times in seconds.
#[wasm_bindgen]
#[must_use]
pub fn auto_window(rate: f64, delta: f64, window: f64, late_share: f64, max_beta: f64) -> f64 {
    let (delta, window) = (Span::from_seconds(delta), Span::from_seconds(window));
    xfetch::auto(rate, delta, window, late_share, max_beta).1.as_seconds()
}

/// The probability that one request triggers a refresh, at a given time in seconds before expiry.
#[wasm_bindgen]
#[must_use]
pub fn probability(remaining: f64, delta: f64, beta: f64, window: f64) -> f64 {
    let rule = Rule { delta: Span::from_seconds(delta), beta, window: Span::from_seconds(window) };
    xfetch::probability(Span::from_seconds(remaining), rule)
}

fn to_js<T: Serialize + ?Sized>(value: &T) -> Result<JsValue, JsError> {
    // Objects, not maps: the page reads them by name.
    value.serialize(&Serializer::json_compatible()).map_err(|error| JsError::new(&error.to_string()))
}
