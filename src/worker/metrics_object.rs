//! The Durable Object `Metrics`: one for all, it adds up what the isolates send.

use std::rc::Rc;

use js_sys::Promise;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use web_sys::Request as WebRequest;

use super::{
    metrics_sender::{Answer, FORMAT, Request},
    platform::bindings::{self, ObjectState},
};
use crate::{
    isolate::metrics::Ledger,
    protocol::codec,
    worker::platform::{clock, rng::IsolateRng},
};

/// The counters' object. ServedAs name and binding are part of the deployment's contract.
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
    pub fn fetch(&self, request: WebRequest) -> Promise {
        let state = Rc::clone(&self.0);
        bindings::answer(request, async move |bytes| {
            let Some((request, _)) = codec::split(FORMAT, &bytes) else {
                return Ok(None);
            };
            Ok(Some(codec::join(FORMAT, &answer(&state, request)?, &[])))
        })
    }
}

fn answer(state: &ObjectState, request: Request) -> Result<Answer, JsValue> {
    let now = clock::now();
    let mut book = load(state)?;
    match request {
        Request::Flush { batch, show } => {
            if let Some(batch) = batch {
                book.take(&batch, now);
                save(state, &book)?;
            }
            Ok(Answer::of(&book, show, now))
        }
        Request::Reset => {
            book.reset(new_epoch(), now);
            save(state, &book)?;
            Ok(Answer::of(&book, false, now))
        }
    }
}

fn new_epoch() -> String {
    IsolateRng::default().nonce().unwrap_or_else(|| clock::now().0.to_string())
}

/// Loads the book; one that is missing or cannot be read begins a new epoch, and is saved at once, so
/// that everybody hears the same name.
fn load(state: &ObjectState) -> Result<Ledger, JsValue> {
    state.run(
        "CREATE TABLE IF NOT EXISTS book (id INTEGER PRIMARY KEY CHECK (id = 1), counts BLOB NOT NULL)",
        &[],
    )?;
    let bytes = state.first_bytes("SELECT counts FROM book", &[])?;
    match bytes.and_then(|bytes| codec::split(FORMAT, &bytes).map(|(book, _)| book)) {
        Some(book) => Ok(book),
        None => {
            let book = Ledger::new(new_epoch(), clock::now());
            save(state, &book)?;
            Ok(book)
        }
    }
}

fn save(state: &ObjectState, book: &Ledger) -> Result<(), JsValue> {
    let counts = js_sys::Uint8Array::from(&codec::join(FORMAT, book, &[])[..]);
    state.run("INSERT OR REPLACE INTO book (id, counts) VALUES (1, ?)", &[counts.into()])
}
