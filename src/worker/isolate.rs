//! What one isolate keeps between requests: plain data only, as promises and streams cannot be shared.
//! All of it may vanish at any moment, and nothing of it is needed to be correct.

use std::{cell::RefCell, rc::Rc};

use js_sys::Array;
use serde_json::{Map, Value};
use wasm_bindgen::JsValue;
use worker::Env;

use super::{
    metrics_sender::{self, Flusher},
    object_stub,
    platform::bindings,
    prepared::Known,
    together::Sleeper,
};
use crate::{
    core::{
        canonical_json,
        config::{Config, ConfigError, SETTINGS},
    },
    isolate::{
        coalesce::Coalesce,
        key_memo::KeyMemo,
        metrics::{Call, Gauges, MetricEvent},
        state::IsolateState,
    },
    worker::platform::{clock, rng::IsolateRng},
};

/// The most keys in memory, whatever they weigh.
const MAX_KEYS: usize = 10_000;

pub(super) struct Isolate {
    config: Option<Result<Rc<Config>, ConfigError>>,
    pub(super) local: IsolateState,
    pub(super) recent: KeyMemo<Known>,
    /// Those who look a key up in the colo.
    pub(super) looking: Coalesce<Rc<Sleeper>>,
    /// Those who sleep at a key's object.
    pub(super) waiting: Coalesce<Rc<Sleeper>>,
    /// The names of the headers that are credentials on some route.
    pub(super) credentials: Array,
    pub(super) dice: IsolateRng,
    pub(super) flusher: Flusher,
    pub(super) has_no_cache: bool,
}

thread_local! {
    static ISOLATE: RefCell<Option<Isolate>> = const { RefCell::new(None) };
}

/// Runs on the isolate's state. Never across an await, so it is never borrowed twice.
pub(super) fn with<T>(run: impl FnOnce(&mut Isolate) -> T) -> T {
    ISOLATE.with_borrow_mut(|slot| run(slot.get_or_insert_with(Isolate::new)))
}

/// The configuration, parsed at the first request of the isolate.
pub(super) fn config(env: &Env) -> Result<Rc<Config>, ConfigError> {
    with(|isolate| {
        if isolate.config.is_none() {
            let config = read(env).map(Rc::new);
            let memory_bytes = config.as_ref().map_or(0, |config| config.memory_bytes);
            isolate.local = IsolateState::new(memory_bytes, MAX_KEYS);
            let routes = config.iter().flat_map(|config| &config.routes);
            isolate.credentials = routes
                .flat_map(|route| &route.credential_headers)
                .map(|name| JsValue::from_str(name))
                .collect();
            isolate.config = Some(config);
        }
        isolate.config.clone().unwrap_or_else(|| read(env).map(Rc::new))
    })
}

/// Counts a fact.
pub(super) fn count(fact: MetricEvent) {
    with(|isolate| isolate.flusher.fold(fact));
}

impl Isolate {
    fn new() -> Self {
        Self {
            config: None,
            local: IsolateState::new(0, MAX_KEYS),
            recent: KeyMemo::default(),
            looking: Coalesce::default(),
            waiting: Coalesce::default(),
            credentials: Array::new(),
            dice: IsolateRng::default(),
            flusher: Flusher::default(),
            has_no_cache: false,
        }
    }

    /// Counts what was cut off, and tells what the isolate holds.
    pub(super) fn gauges(&mut self) -> Gauges {
        for purpose in self.local.calls.sweep(clock::now()) {
            self.flusher.fold(MetricEvent::Called { purpose, call: Call::Abandoned });
        }
        Gauges {
            computations_in_flight: self.local.calls.under_way() as u64,
            memory_entries: self.local.memory.entries() as u64,
            memory_bytes: self.local.memory.bytes() as u64,
        }
    }
}

fn read(env: &Env) -> Result<Config, ConfigError> {
    let get = |name: &str| bindings::binding(env, name);
    let mut vars = Map::new();
    for name in SETTINGS {
        let value = get(name);
        let value = match value.as_string() {
            Some(text) => Value::String(text),
            None if value.is_undefined() => continue,
            // A table of the TOML arrives as an object.
            None => js_sys::JSON::stringify(&value)
                .ok()
                .and_then(|text| text.as_string())
                .and_then(|text| canonical_json::parse(&text).ok())
                .unwrap_or(Value::Null),
        };
        vars.insert(name.to_owned(), value);
    }
    for binding in [object_stub::BINDING, metrics_sender::BINDING] {
        if !get(binding).is_object() {
            return Err(ConfigError {
                setting: binding.to_owned(),
                value: "missing".to_owned(),
                allowed: "a Durable Object binding, as in the wrangler.toml of this project".to_owned(),
            });
        }
    }
    Config::parse(&vars, get("ORIGIN").is_object())
}
