//! The Durable Object `RefreshLease`: one per key. It loads the state, makes one call to
//! [`crate::protocol::object::KeyObject`], and applies its outputs, all in one synchronous block.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use futures_channel::oneshot;
use js_sys::{Promise, Uint8Array};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::Request;

use super::{
    object_fetch,
    platform::{background, clock, object_state::ObjectState, rng::IsolateRng},
    timer,
};
use crate::{
    core::time::Span,
    protocol::object::{Incoming, KeyObject, MessageTicket, Output},
};

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS lease (id INTEGER PRIMARY KEY CHECK (id = 1), state BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY CHECK (id = 1), generation INTEGER NOT NULL, bytes BLOB NOT NULL)";

/// A key's object. Class name and binding are part of the deployment's contract.
#[wasm_bindgen]
pub struct RefreshLease(Rc<Object>);

#[wasm_bindgen]
impl RefreshLease {
    /// Called by the platform.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(state: ObjectState) -> Self {
        Self(Rc::new(Object {
            state,
            has_tables: Cell::new(false),
            object: RefCell::default(),
            sleepers: RefCell::default(),
            next_ticket: Cell::new(0),
            rng: RefCell::default(),
        }))
    }

    /// Called by the platform.
    pub fn fetch(&self, request: Request) -> Promise {
        let object = Rc::clone(&self.0);
        object_fetch::answer(request, async move |bytes| object.answer(&bytes).await.map(Some))
    }

    /// Called by the platform.
    pub fn alarm(&self) -> Promise {
        let object = Rc::clone(&self.0);
        background::promise(Box::pin(async move { object.alarm().await.map(|()| JsValue::UNDEFINED) }))
    }
}

struct Object {
    state: ObjectState,
    /// Whether this instance has created the tables, and has not deleted them since.
    has_tables: Cell<bool>,
    object: RefCell<KeyObject>,
    sleepers: RefCell<Sleepers>,
    next_ticket: Cell<MessageTicket>,
    rng: RefCell<IsolateRng>,
}

/// The messages that wait for a reply, each with the channel that wakes it.
type Sleepers = Vec<(MessageTicket, oneshot::Sender<Arc<[u8]>>)>;

/// The work that remains after the synchronous block.
#[derive(Default)]
struct Applied {
    /// The reply to the message at hand.
    reply: Option<Vec<u8>>,
    /// The sleep of the message at hand.
    sleep: Option<(Span, oneshot::Receiver<Arc<[u8]>>)>,
    /// A storage operation that has begun.
    pending: Option<JsFuture>,
}

impl Object {
    async fn answer(&self, bytes: &[u8]) -> Result<Vec<u8>, JsValue> {
        let from = self.next_ticket.replace(self.next_ticket.get() + 1);
        let applied = {
            let stored = self.load()?;
            let spread = self.rng.borrow_mut().chance().draw();
            let incoming = Incoming { from, bytes, now: clock::now(), spread };
            let outputs = self.object.borrow_mut().on(stored.as_deref(), incoming);
            self.apply(outputs, from)?
        };
        if let Some(pending) = applied.pending {
            pending.await?;
        }
        if let Some((at_most, woken)) = applied.sleep {
            return self.sleep(from, at_most, woken).await;
        }
        applied.reply.ok_or(JsValue::UNDEFINED)
    }

    async fn sleep(
        &self,
        from: MessageTicket,
        at_most: Span,
        woken: oneshot::Receiver<Arc<[u8]>>,
    ) -> Result<Vec<u8>, JsValue> {
        let woken = timer::within(at_most, Box::pin(woken)).await;
        self.sleepers.borrow_mut().retain(|(sleeper, _)| *sleeper != from);
        if let Ok(Ok(bytes)) = woken {
            return Ok(bytes.to_vec());
        }
        let stored = self.load()?;
        let output = self.object.borrow_mut().sleep_ended(stored.as_deref(), from);
        self.apply(vec![output], from)?.reply.ok_or(JsValue::UNDEFINED)
    }

    async fn alarm(&self) -> Result<(), JsValue> {
        let applied = {
            let stored = self.load()?;
            let outputs = self.object.borrow().alarm(stored.as_deref(), clock::now());
            self.apply(outputs, MessageTicket::MAX)?
        };
        match applied.pending {
            Some(pending) => pending.await.map(drop),
            None => Ok(()),
        }
    }

    /// Loads the stored state, and before that creates the tables if they may be missing.
    fn load(&self) -> Result<Option<Vec<u8>>, JsValue> {
        if !self.has_tables.replace(true) {
            self.state.run(TABLES, &[]).inspect_err(|_| self.has_tables.set(false))?;
        }
        self.state.first_bytes("SELECT state FROM lease", &[])
    }

    /// Applies the object's outputs. There is no await between the load of the state and the last output.
    fn apply(&self, outputs: Vec<Output>, own: MessageTicket) -> Result<Applied, JsValue> {
        let mut applied = Applied::default();
        for output in outputs {
            match output {
                Output::SaveState(bytes) => {
                    let bytes = Uint8Array::from(&bytes[..]);
                    let query = "INSERT OR REPLACE INTO lease (id, state) VALUES (1, ?)";
                    self.state.run(query, &[bytes.into()])?;
                }
                Output::StoreEntry { generation, bytes } => {
                    let query = "INSERT OR REPLACE INTO entry (id, generation, bytes) VALUES (1, ?, ?)";
                    self.state.run(query, &[number(generation), Uint8Array::from(&bytes[..]).into()])?;
                }
                Output::DropEntry => self.state.run("DELETE FROM entry", &[])?,
                Output::DeleteAll => {
                    self.has_tables.set(false);
                    applied.pending = Some(self.state.delete_all()?);
                }
                Output::SetAlarm(at) => applied.pending = Some(self.state.set_alarm(at.0 as f64)?),
                Output::Reply { to, bytes } if to == own => applied.reply = Some(bytes.to_vec()),
                Output::Reply { to, bytes } => self.wake(to, bytes),
                // Only the current message gets this reply: a woken message gets the entry from the commit.
                Output::ReplyWithEntry { mut bytes, generation, .. } => {
                    let query = "SELECT bytes FROM entry WHERE generation = ?";
                    let entry = self.state.first_bytes(query, &[number(generation)])?;
                    bytes.extend_from_slice(&entry.unwrap_or_default());
                    applied.reply = Some(bytes);
                }
                Output::Sleep { from, at_most } => {
                    let (sender, woken) = oneshot::channel();
                    self.sleepers.borrow_mut().push((from, sender));
                    applied.sleep = Some((at_most, woken));
                }
            }
        }
        Ok(applied)
    }

    fn wake(&self, to: MessageTicket, bytes: Arc<[u8]>) {
        let mut sleepers = self.sleepers.borrow_mut();
        if let Some(place) = sleepers.iter().position(|(sleeper, _)| *sleeper == to) {
            // Sending fails if the sleeping message was cancelled.
            let _ = sleepers.swap_remove(place).1.send(bytes);
        }
    }
}

/// A generation as a JavaScript number, which is exact because generations are below 2^53.
fn number(generation: u64) -> JsValue {
    (generation as f64).into()
}
