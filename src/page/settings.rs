//! The laboratory's settings: one table, from which the page makes its controls and by which every value
//! is checked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsError, JsValue};

use crate::{
    core::{entry::Lifetime, time::Span, xfetch},
    sim::{Burst, Faults, Outage, Scenario, Strategy},
};

/// One setting: what a control needs to know.
#[derive(Serialize)]
pub(super) struct Field {
    name: &'static str,
    label: &'static str,
    unit: &'static str,
    group: &'static str,
    least: f64,
    most: f64,
    value: f64,
    whole: bool,
    help: &'static str,
}

/// `whole` and `real` say whether a setting takes whole numbers only; the macro compares the word's length, because a
/// constant cannot compare texts.
macro_rules! fields {
    ($($name:literal $label:literal $unit:literal $group:literal $least:literal..$most:literal = $value:literal $whole:ident $help:literal,)*) => {
        /// Every setting, the essential ones first.
        pub(super) const FIELDS: &[Field] = &[$(Field {
            name: $name, label: $label, unit: $unit, group: $group,
            least: $least, most: $most, value: $value, whole: stringify!($whole).len() == 5, help: $help,
        },)*];
    };
}

fields! {
    "rate" "Requests" "per second" "essential" 0.05..2_000.0 = 60.0 real "The rate of all keys together; arrivals are random.",
    "ttl" "Time to live" "s" "essential" 0.5..600.0 = 10.0 real "How long an answer is fresh.",
    "delta" "Computation" "s" "essential" 0.02..20.0 = 1.0 real "The origin's average computation time.",
    "duration" "Run" "s" "essential" 10.0..3_600.0 = 120.0 whole "For how long requests arrive, in simulated time.",
    "spread" "Spread of the computation" "of the logarithm" "origin" 0.0..1.5 = 0.2 real "0 makes every computation take the average; 0.5 varies it by about half.",
    "failing" "Failing calls" "share" "origin" 0.0..1.0 = 0.0 real "The share of the origin's calls that fail.",
    "outage_from" "Outage begins" "s" "origin" 0.0..3_600.0 = 0.0 real "From this time every call fails.",
    "outage_for" "Outage lasts" "s" "origin" 0.0..3_600.0 = 0.0 real "0 means no outage.",
    "origin_timeout" "Origin time-out" "s" "origin" 0.1..20.0 = 15.0 real "A call that takes longer counts as failed.",
    "keys" "Keys" "" "traffic" 1.0..5_000.0 = 1.0 whole "The number of different requests.",
    "zipf" "Zipf's exponent" "" "traffic" 0.0..2.0 = 1.0 real "0 requests all keys equally often; 1 is typical of web traffic.",
    "burst_size" "Burst" "requests" "traffic" 0.0..2_000.0 = 0.0 whole "Requests for the first key at the same instant.",
    "burst_every" "Bursts every" "s" "traffic" 1.0..600.0 = 10.0 real "The interval between bursts.",
    "colos" "Data centres" "" "places" 1.0..50.0 = 3.0 whole "Each has a cache of its own.",
    "isolates" "Isolates in each" "" "places" 1.0..20.0 = 2.0 whole "Each has a memory of its own.",
    "object_delay" "To the lock" "ms one way" "places" 0.0..500.0 = 20.0 real "Between a data centre and the key's lock.",
    "colo_delay" "To the colo's cache" "ms" "places" 0.0..100.0 = 2.0 real "One lookup in the data centre's cache.",
    "skew" "Clocks off by" "s at most" "places" 0.0..5.0 = 0.0 real "The greatest error of each data centre's clock, in either direction.",
    "loss" "Lost messages" "share" "faults" 0.0..1.0 = 0.0 real "Between a data centre and the key's lock.",
    "duplication" "Repeated messages" "share" "faults" 0.0..1.0 = 0.0 real "The same message arrives twice.",
    "late_messages" "Late messages" "share" "faults" 0.0..1.0 = 0.0 real "By up to a second, so that others overtake them.",
    "cache_loss" "Cache forgets" "share" "faults" 0.0..1.0 = 0.0 real "The share of lookups in a data centre's cache that find nothing.",
    "crash" "Refreshes cut off" "share of steps" "faults" 0.0..0.5 = 0.0 real "The background work is cut off at that step, and its lease must expire.",
    "beta" "Beta" "where it is fixed" "rule" 0.05..20.0 = 1.0 real "How early a refresh begins; the paper uses 1. The deployed cache chooses beta itself.",
    "early_window" "Early window" "share of the TTL" "rule" 0.01..1.0 = 0.5 real "A refresh begins only within this last part of the TTL.",
    "late_share" "Late at most" "share of cycles" "rule" 0.0001..0.5 = 0.01 real "The share of cycles in which \"auto\" accepts that a new entry arrives after expiry.",
    "max_beta" "Largest auto beta" "" "rule" 0.1..100.0 = 6.0 real "The upper bound of \"auto\", reached for rare keys.",
    "threshold" "Fixed threshold" "s before expiry" "rule" 0.0..600.0 = 2.0 real "For the strategy with a fixed threshold.",
    "swr" "Stale while revalidate" "s" "rule" 0.0..86_400.0 = 3_600.0 real "How long after expiry a stale answer is served at once.",
    "sie" "Stale if error" "s" "rule" 0.0..604_800.0 = 86_400.0 real "How long after expiry a stale answer is served when the origin fails.",
    "seed" "Seed" "" "rule" 0.0..4_294_967_295.0 = 1.0 whole "The same seed gives the same run.",
}

/// Values by name.
#[derive(Deserialize)]
pub(super) struct Settings {
    strategy: String,
    #[serde(flatten)]
    values: BTreeMap<String, f64>,
}

impl Settings {
    pub(super) fn read(value: JsValue) -> Result<Self, JsError> {
        let settings: Self =
            serde_wasm_bindgen::from_value(value).map_err(|error| JsError::new(&error.to_string()))?;
        for (name, value) in &settings.values {
            let field = FIELDS.iter().find(|field| field.name == name);
            let field = field.ok_or_else(|| JsError::new(&format!("There is no setting {name}.")))?;
            let is_in_range = (field.least..=field.most).contains(value);
            if !is_in_range || (field.whole && value.fract() != 0.0) {
                let kind = if field.whole { "a whole number" } else { "a number" };
                let Field { label, least, most, .. } = field;
                return Err(JsError::new(&format!(
                    "{label} is {value}, but must be {kind} from {least} to {most}."
                )));
            }
        }
        Ok(settings)
    }

    fn get(&self, name: &str) -> f64 {
        let default = || FIELDS.iter().find(|field| field.name == name).map_or(0.0, |field| field.value);
        self.values.get(name).copied().unwrap_or_else(default)
    }

    fn seconds(&self, name: &str) -> Span {
        Span::from_seconds(self.get(name))
    }

    pub(super) fn scenario(&self) -> Result<Scenario, JsError> {
        let strategy = Strategy::ALL.into_iter().find(|it| it.as_str() == self.strategy);
        let strategy =
            strategy.ok_or_else(|| JsError::new(&format!("There is no strategy {}.", self.strategy)))?;
        let (from, length) = (self.seconds("outage_from"), self.seconds("outage_for"));
        let burst = Burst { every: self.seconds("burst_every"), size: self.get("burst_size") as u32 };
        let duration = self.seconds("duration");
        let faults = Faults {
            skew: self.seconds("skew"),
            loss: self.get("loss"),
            duplication: self.get("duplication"),
            delay: self.get("late_messages"),
            max_delay: Span::SECOND,
            cache_loss: self.get("cache_loss"),
            crash: self.get("crash"),
            ..Faults::default()
        };
        let is_kind = Faults { max_delay: Span::ZERO, ..faults.clone() } == Faults::default();
        let faults = if is_kind { Faults::default() } else { Faults { until: duration, ..faults } };
        Ok(Scenario {
            seed: self.get("seed") as u64,
            duration,
            strategy,
            colos: self.get("colos") as u32,
            isolates: self.get("isolates") as u32,
            keys: self.get("keys") as u32,
            zipf: self.get("zipf"),
            rate: self.get("rate"),
            burst: (burst.size > 0).then_some(burst),
            lifetime: Lifetime {
                ttl: self.seconds("ttl"),
                stale_while_revalidate: self.seconds("swr"),
                stale_if_error: self.seconds("sie"),
                kept: Span::ZERO,
            },
            variants: 0,
            tenants: 0,
            beta: self.get("beta"),
            late_share: self.get("late_share"),
            max_beta: self.get("max_beta"),
            early_window: self.get("early_window"),
            threshold: self.seconds("threshold"),
            origin_timeout: self.seconds("origin_timeout"),
            delta: self.seconds("delta"),
            spread: self.get("spread"),
            failing: self.get("failing"),
            outage: (length > Span::ZERO).then(|| Outage { from, until: from.plus(length) }),
            object_delay: Span::from_seconds(self.get("object_delay") / 1_000.0),
            colo_delay: Span::from_seconds(self.get("colo_delay") / 1_000.0),
            faults,
        })
    }

    /// The beta for the hottest key. For "auto" it assumes that the key's object knows the rates of one
    /// isolate per colo.
    pub(super) fn beta(&self, hot_rate: f64) -> f64 {
        if self.strategy != Strategy::LeaseBetaAuto.as_str() {
            return self.get("beta");
        }
        let rate = hot_rate / self.get("isolates");
        let window = self.seconds("ttl").share(self.get("early_window"));
        let delta = xfetch::clamp_delta(self.seconds("delta"), self.seconds("ttl"));
        xfetch::auto(rate, delta, window, self.get("late_share"), self.get("max_beta")).0
    }
}
