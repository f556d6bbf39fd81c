//! The Durable Object `Metrics`: a single object that adds up the counts of all isolates.

use std::rc::Rc;

use js_sys::Promise;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use web_sys::Request;

use super::{
    object_fetch,
    platform::{clock, object_state::ObjectState, rng::IsolateRng},
};
use crate::{
    isolate::metrics::{FORMAT, Ledger, MetricsReply, MetricsRequest},
    protocol::codec,
};

/// The counters' object. Class name and binding are part of the deployment's contract.
#[wasm_bindgen]
pub struct Metrics(Rc<ObjectState>);

#[wasm_bindgen]
impl Metrics {
    /// Called by the platform.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(state: ObjectState) -> Self {
        Self(Rc::new(state))
    }

    /// Called by the platform.
    pub fn fetch(&self, request: Request) -> Promise {
        let state = Rc::clone(&self.0);
        object_fetch::answer(request, async move |bytes| {
            let Some((request, _)) = codec::split(FORMAT, &bytes) else {
                return Ok(None);
            };
            Ok(Some(codec::join(FORMAT, &answer(&state, request)?, &[])))
        })
    }
}

fn answer(state: &ObjectState, request: MetricsRequest) -> Result<MetricsReply, JsValue> {
    let now = clock::now();
    let mut ledger = load(state)?;
    match request {
        MetricsRequest::Flush { batch, show } => {
            if let Some(batch) = batch {
                ledger.take(&batch, now);
                save(state, &ledger)?;
            }
            Ok(MetricsReply::new(&ledger, show, now))
        }
        MetricsRequest::Reset => {
            ledger.reset(new_epoch(), now);
            save(state, &ledger)?;
            Ok(MetricsReply::new(&ledger, false, now))
        }
    }
}

fn new_epoch() -> String {
    IsolateRng::default().unique_name().unwrap_or_else(|| clock::now().0.to_string())
}

/// Loads the ledger. If it is missing or unreadable, begins a new epoch and saves it at once, so that every
/// reader gets the same epoch.
fn load(state: &ObjectState) -> Result<Ledger, JsValue> {
    state.run(
        "CREATE TABLE IF NOT EXISTS ledger (id INTEGER PRIMARY KEY CHECK (id = 1), counts BLOB NOT NULL)",
        &[],
    )?;
    let bytes = state.first_bytes("SELECT counts FROM ledger", &[])?;
    match bytes.and_then(|bytes| codec::split(FORMAT, &bytes).map(|(ledger, _)| ledger)) {
        Some(ledger) => Ok(ledger),
        None => {
            let ledger = Ledger::new(new_epoch(), clock::now());
            save(state, &ledger)?;
            Ok(ledger)
        }
    }
}

fn save(state: &ObjectState, ledger: &Ledger) -> Result<(), JsValue> {
    let counts = js_sys::Uint8Array::from(&codec::join(FORMAT, ledger, &[])[..]);
    state.run("INSERT OR REPLACE INTO ledger (id, counts) VALUES (1, ?)", &[counts.into()])
}
