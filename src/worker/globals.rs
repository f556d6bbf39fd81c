//! The state that one isolate keeps between requests. All of it may be lost at any moment, and correctness
//! does not depend on it.

use std::{cell::RefCell, rc::Rc};

use js_sys::Array;
use serde_json::{Map, Value};
use wasm_bindgen::JsValue;
use worker::Env;

use super::{
    object_stub::{LEASE_BINDING, METRICS_BINDING},
    platform::{bindings, clock, rng::IsolateRng},
    prepared::Prepared,
    waiters::Waiters,
};
use crate::{
    core::{
        canonical_json,
        config::{Config, ConfigError, SETTINGS, Verify},
        xfetch::Chance,
    },
    isolate::{
        identities::Identities,
        key_memo::KeyMemo,
        metrics::{Flusher, Gauges, MetricEvent},
        new_keys::NewKeys,
        state::{IsolateState, MAX_KEYS},
    },
};

pub(super) struct Globals {
    config: Option<Result<Rc<Config>, ConfigError>>,
    pub(super) state: IsolateState,
    pub(super) memo: KeyMemo<Prepared>,
    pub(super) waiters: Waiters,
    /// The names of the headers that are credentials on some route.
    pub(super) credentials: Array,
    pub(super) rng: IsolateRng,
    pub(super) flusher: Flusher,
    pub(super) new_keys: NewKeys,
    identities: Identities,
}

thread_local! {
    static GLOBALS: RefCell<Option<Globals>> = const { RefCell::new(None) };
}

/// Runs a function on the isolate's state. The function cannot await, so the state is never borrowed twice.
pub(super) fn with<T>(run: impl FnOnce(&mut Globals) -> T) -> T {
    GLOBALS.with_borrow_mut(|slot| run(slot.get_or_insert_with(Globals::new)))
}

/// The configuration, parsed at the first request of the isolate.
pub(super) fn config(env: &Env) -> Result<Rc<Config>, ConfigError> {
    with(|globals| {
        if globals.config.is_none() {
            let config = read(env).map(Rc::new);
            let memory_bytes = config.as_ref().map_or(0, |config| config.memory_bytes);
            globals.state = IsolateState::new(memory_bytes, MAX_KEYS);
            let routes = config.iter().flat_map(|config| &config.routes);
            globals.credentials = routes
                .flat_map(|route| {
                    let verified = route.verify.iter().flat_map(Verify::headers);
                    route.credential_headers.iter().map(String::as_str).chain(verified)
                })
                .map(JsValue::from_str)
                .collect();
            globals.config = Some(config);
        }
        globals.config.clone().unwrap_or_else(|| read(env).map(Rc::new))
    })
}

/// Counts an event.
pub(super) fn count(event: MetricEvent) {
    with(|globals| globals.flusher.fold(event));
}

impl Globals {
    fn new() -> Self {
        Self {
            config: None,
            state: IsolateState::new(0, MAX_KEYS),
            memo: KeyMemo::default(),
            waiters: Waiters::default(),
            credentials: Array::new(),
            rng: IsolateRng::default(),
            flusher: Flusher::default(),
            new_keys: NewKeys::default(),
            identities: Identities::default(),
        }
    }

    /// The randomness of one step. The first call also names the isolate, because the name needs entropy too.
    pub(super) fn chance(&mut self) -> Chance {
        if self.state.name == 0 {
            self.state.name = self.rng.name();
        }
        self.rng.chance()
    }

    /// The clients that were verified, under a key that is drawn at the first use.
    pub(super) fn identities(&mut self) -> &mut Identities {
        if !self.identities.has_key() {
            self.identities.set_key(IsolateRng::key());
        }
        &mut self.identities
    }

    /// Counts the origin calls that were abandoned since the last time, and returns the isolate's gauges.
    pub(super) fn gauges(&mut self) -> Gauges {
        let now = clock::now();
        for event in self.state.abandoned(now) {
            self.flusher.fold(event);
        }
        Gauges {
            computations_in_flight: self.state.calls.under_way(now) as u64,
            memory_entries: self.state.memory.keys() as u64,
            memory_bytes: self.state.memory.bytes() as u64,
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
    for binding in [LEASE_BINDING, METRICS_BINDING] {
        if !get(binding).is_object() {
            return Err(ConfigError {
                setting: binding.to_owned(),
                value: "missing".to_owned(),
                allowed: "a Durable Object binding, as in the wrangler.toml of this project".to_owned(),
            });
        }
    }
    let config = Config::parse(&vars, get("ORIGIN").is_object())?;
    for (place, route) in config.routes.iter().enumerate() {
        if let Some(limit) = route.rate_limit.as_ref().filter(|limit| !get(&limit.binding).is_object()) {
            return Err(ConfigError {
                setting: format!("ROUTES[{place}].rate_limit"),
                value: canonical_json::text(&limit.binding.as_str().into()),
                allowed: "the name of a rate-limiting binding of this Worker".to_owned(),
            });
        }
    }
    Ok(config)
}
