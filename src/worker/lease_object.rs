//! The Durable Object `RefreshLease`: one per key. It loads the state, makes one call to
//! [`crate::protocol::lease`], and saves it, in one synchronous block; what it adds is storage, sleepers and the
//! alarm.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use futures_channel::oneshot;
use js_sys::{Promise, Uint8Array};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use web_sys::Request;

use super::{
    platform::bindings::{self, ObjectState},
    timer,
};
use crate::{
    core::{entry, global_rate::GlobalRate, time::Instant},
    protocol::{
        codec,
        lease::{self, CleanUp, Waiting, Wake},
        message::{self, Answer, Message, PROTOCOL, Reply},
    },
    worker::platform::{clock, rng::IsolateRng},
};

/// Bytes that one wake-up may send at most, over all sleepers; beyond it they are told to look around.
const MAX_WAKE_BYTES: usize = 32 << 20;

type Sleepers = Vec<(u64, oneshot::Sender<Rc<[u8]>>)>;

/// A key's object. ServedAs name and binding are part of the deployment's contract.
#[wasm_bindgen]
pub struct RefreshLease(Rc<Object>);

#[wasm_bindgen]
impl RefreshLease {
    /// Called by the platform.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(state: ObjectState) -> Self {
        let sleepers = RefCell::default();
        let (has_tables, next_sleeper, dice) = (Cell::new(false), Cell::new(0), RefCell::default());
        Self(Rc::new(Object { state, has_tables, sleepers, next_sleeper, dice }))
    }

    /// Called by the platform.
    pub fn fetch(&self, request: Request) -> Promise {
        let object = Rc::clone(&self.0);
        bindings::answer(request, async move |bytes| object.answer(&bytes).await.map(Some))
    }

    /// Called by the platform.
    pub fn alarm(&self) -> Promise {
        let object = Rc::clone(&self.0);
        bindings::promise(Box::pin(async move { object.clean_up().await.map(|()| JsValue::UNDEFINED) }))
    }
}

struct Object {
    state: ObjectState,
    /// Whether this instance has seen to it that there are tables, and has not taken them away since.
    has_tables: Cell<bool>,
    sleepers: RefCell<Sleepers>,
    next_sleeper: Cell<u64>,
    dice: RefCell<IsolateRng>,
}

impl Object {
    /// The state, over tables that are there for certain.
    fn load(&self) -> Result<Stored, JsValue> {
        if !self.has_tables.replace(true) {
            self.state.run(TABLES, &[]).inspect_err(|_| self.has_tables.set(false))?;
        }
        Stored::load(&self.state)
    }

    async fn clean_up(&self) -> Result<(), JsValue> {
        let now = clock::now();
        let mut stored = self.load()?;
        let after = match stored.lease.clean_up(self.sleeping(), now) {
            // Called in the same breath as the decision: nothing comes between.
            CleanUp::Forget => {
                self.has_tables.set(false);
                return self.state.delete_all().await;
            }
            CleanUp::DropBody(after) => {
                self.state.run(DROP_ENTRY, &[])?;
                after
            }
            CleanUp::Later(after) => after,
        };
        let at = now.plus(after);
        stored.alarm_at = Some(at);
        stored.save(&self.state)?;
        self.state.set_alarm(at.0 as f64).await
    }

    async fn answer(&self, bytes: &[u8]) -> Result<Vec<u8>, JsValue> {
        let Some((message, entry)) = message::decode_message(bytes) else {
            return self.load()?.reply(&self.state, Answer::Refused { speaks: PROTOCOL });
        };
        match message {
            Message::Wait { seen, max_waiters } => self.wait(seen, max_waiters).await,
            Message::Acquire { .. }
            | Message::Commit { .. }
            | Message::Fail { .. }
            | Message::Purge { .. } => self.change(message, entry).await,
            Message::Inspect => {
                let stored = self.load()?;
                stored.reply(&self.state, stored.lease.inspect(self.sleeping(), clock::now()))
            }
        }
    }

    /// Everything that changes the state: load, one pure call, save, without an await between.
    async fn change(&self, message: Message, entry: &[u8]) -> Result<Vec<u8>, JsValue> {
        let now = clock::now();
        let mut stored = self.load()?;
        let before = stored.lease.committed_generation();
        let (answer, wake) = self.decide(&mut stored.lease, message, now);
        let mut entry = entry.to_vec();
        match stored.lease.committed_generation() {
            after if after == before => {}
            Some(generation) => {
                entry::stamp(&mut entry, stored.lease.global_rate.total());
                write_entry(&self.state, generation, &entry)?;
            }
            None => self.state.run(DROP_ENTRY, &[])?,
        }
        // One alarm at a time: it looks for itself when the next is due.
        let alarm_at = now.plus(stored.lease.next_clean_up(now));
        let alarm_is_due = stored.alarm_at.is_none_or(|at| at <= now);
        if alarm_is_due {
            stored.alarm_at = Some(alarm_at);
        }
        stored.save(&self.state)?;
        let reply = stored.reply(&self.state, answer)?;
        if let Wake::With(answer) = wake {
            self.wake(&stored.lease.reply(answer), &entry);
        }
        if alarm_is_due {
            self.state.set_alarm(alarm_at.0 as f64).await?;
        }
        Ok(reply)
    }

    fn decide(&self, lease: &mut lease::State, message: Message, now: Instant) -> (Answer, Wake) {
        match message {
            Message::Acquire { seen, nonce, terms } => {
                (lease.acquire(seen, nonce.as_deref(), terms, now), Wake::Nobody)
            }
            Message::Commit { token, age, lifetime } => lease.commit(token, age, lifetime, now),
            Message::Fail { token, failure } => {
                lease.fail(token, failure, now, self.dice.borrow_mut().draw())
            }
            Message::Purge { hard, physical } => lease.purge(hard, physical, now),
            Message::Wait { .. } | Message::Inspect => (Answer::Refused { speaks: PROTOCOL }, Wake::Nobody),
        }
    }

    async fn wait(&self, seen: u64, max_waiters: u32) -> Result<Vec<u8>, JsValue> {
        let stored = self.load()?;
        let at_most = match stored.lease.wait(seen, self.sleeping(), max_waiters, clock::now()) {
            Waiting::Now(answer) => return stored.reply(&self.state, answer),
            Waiting::Sleep(at_most) => at_most,
        };
        let (id, woken) = self.fall_asleep();
        let woken = timer::within(at_most, Box::pin(woken)).await;
        self.sleepers.borrow_mut().retain(|(sleeper, _)| *sleeper != id);
        match woken {
            Ok(Ok(reply)) => Ok(reply.to_vec()),
            // The timer, or nobody left to wake it.
            Ok(Err(_)) | Err(_) => self.load()?.reply(&self.state, Answer::Again),
        }
    }

    fn fall_asleep(&self) -> (u64, oneshot::Receiver<Rc<[u8]>>) {
        let (sender, receiver) = oneshot::channel();
        let id = self.next_sleeper.replace(self.next_sleeper.get() + 1);
        self.sleepers.borrow_mut().push((id, sender));
        (id, receiver)
    }

    fn wake(&self, reply: &Reply, entry: &[u8]) {
        let sleepers = std::mem::take(&mut *self.sleepers.borrow_mut());
        let is_newer = matches!(reply.answer, Answer::Newer { .. });
        let beside = if is_newer { entry } else { &[] };
        let told: Rc<[u8]> = message::encode_reply(reply, beside).into();
        let again = Reply { floor: reply.floor, global_rate: reply.global_rate, answer: Answer::Again };
        let again: Rc<[u8]> = message::encode_reply(&again, &[]).into();
        let allowed = MAX_WAKE_BYTES / told.len().max(1);
        for (index, (_, sleeper)) in sleepers.into_iter().enumerate() {
            // One that has hung up hears nothing.
            let _ = sleeper.send(Rc::clone(if index < allowed { &told } else { &again }));
        }
    }

    fn sleeping(&self) -> u32 {
        self.sleepers.borrow().len() as u32
    }
}

const DROP_ENTRY: &str = "DELETE FROM entry";
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS lease (id INTEGER PRIMARY KEY CHECK (id = 1), state BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY CHECK (id = 1), generation INTEGER NOT NULL, bytes BLOB NOT NULL)";

/// The version of the stored state. A change of [`lease::State`] is a new one.
const STATE_FORMAT: u32 = u32::from_le_bytes(*b"XFS1");

/// What the object keeps beside the entry's bytes.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Stored {
    lease: lease::State,
    alarm_at: Option<Instant>,
}

impl Stored {
    fn load(state: &ObjectState) -> Result<Self, JsValue> {
        // A state that cannot be read is forgotten: tokens go on increasing with the clock and with what
        // callers have seen, and a key is never locked for good.
        let stored = state.first_bytes("SELECT state FROM lease", &[])?;
        Ok(stored
            .and_then(|bytes| {
                let (mut stored, beside): (Self, _) = codec::split(STATE_FORMAT, &bytes)?;
                // Written by older code, there is nothing beside it.
                stored.lease.global_rate = GlobalRate::from_bytes(beside);
                Some(stored)
            })
            .unwrap_or_default())
    }

    /// An answer as bytes, with the floor, and beside `Newer` the entry.
    fn reply(&self, state: &ObjectState, answer: Answer) -> Result<Vec<u8>, JsValue> {
        let entry = match &answer {
            Answer::Newer { generation, .. } => read_entry(state, *generation)?,
            _ => Vec::new(),
        };
        Ok(message::encode_reply(&self.lease.reply(answer), &entry))
    }

    fn save(&self, state: &ObjectState) -> Result<(), JsValue> {
        let bytes = codec::join(STATE_FORMAT, self, self.lease.global_rate.as_bytes());
        let bytes = Uint8Array::from(&bytes[..]);
        state.run("INSERT OR REPLACE INTO lease (id, state) VALUES (1, ?)", &[bytes.into()])
    }
}

/// A generation is below 2^53, and so exact as a number.
fn write_entry(state: &ObjectState, generation: u64, bytes: &[u8]) -> Result<(), JsValue> {
    state.run(
        "INSERT OR REPLACE INTO entry (id, generation, bytes) VALUES (1, ?, ?)",
        &[(generation as f64).into(), Uint8Array::from(bytes).into()],
    )
}

/// The entry's bytes; nothing when they are of another generation, so that the entry is overtaken.
fn read_entry(state: &ObjectState, generation: u64) -> Result<Vec<u8>, JsValue> {
    let query = "SELECT bytes FROM entry WHERE generation = ?";
    Ok(state.first_bytes(query, &[(generation as f64).into()])?.unwrap_or_default())
}
