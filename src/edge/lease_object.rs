//! The Durable Object `RefreshLease`: one per key. It loads the state, makes one call to
//! [`crate::lease`], and saves it, in one synchronous block; what it adds is storage, sleepers and the
//! alarm.

#![allow(missing_docs, reason = "the macro exports undocumented methods of the class")]

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use futures_channel::oneshot;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use worker::{DurableObject, Env, SqlStorage, SqlStorageValue, State, durable_object};

use super::{reply, timer};
use crate::{
    frame,
    host::{self, Dice},
    lease::{self, CleanUp, Waiting, Wake},
    message::{self, Answer, Message, PROTOCOL, Reply},
    time::Millis,
};

/// Bytes that one wake-up may send at most, over all sleepers; beyond it they are told to look around.
const WAKE_BYTES_MOST: usize = 32 << 20;

type Sleepers = Vec<(u64, oneshot::Sender<Rc<[u8]>>)>;

/// A key's object. Class name and binding are part of the deployment's contract.
#[durable_object(alarm)]
pub struct RefreshLease {
    state: State,
    sleepers: RefCell<Sleepers>,
    next_sleeper: Cell<u64>,
    dice: RefCell<Dice>,
}

impl DurableObject for RefreshLease {
    fn new(state: State, _: Env) -> Self {
        Self { state, sleepers: RefCell::default(), next_sleeper: Cell::new(0), dice: RefCell::default() }
    }

    async fn fetch(&self, request: worker::Request) -> worker::Result<worker::Response> {
        let buffer = JsFuture::from(request.inner().array_buffer()?).await?;
        let bytes = js_sys::Uint8Array::new(&buffer.unchecked_into::<js_sys::ArrayBuffer>()).to_vec();
        let answer = self.answer(&bytes).await?;
        Ok(reply::with_bytes(200, &reply::headers(&[]), &answer).into())
    }

    async fn alarm(&self) -> worker::Result<worker::Response> {
        let now = host::now();
        let sql = self.state.storage().sql();
        let mut stored = Stored::load(&sql)?;
        let next = match stored.lease.clean_up(self.sleeping(), now) {
            // Called in the same breath as the decision: nothing comes between.
            CleanUp::Forget => {
                self.state.storage().delete_all().await?;
                None
            }
            CleanUp::DropBody(after) => {
                sql.exec("DELETE FROM entry", None)?;
                Some(after)
            }
            CleanUp::Later(after) => Some(after),
        };
        if let Some(after) = next {
            stored.alarm_at = Some(now.plus(after));
            stored.save(&sql)?;
            self.state.storage().set_alarm(offset(after)).await?;
        }
        Ok(reply::empty(204, &reply::headers(&[])).into())
    }
}

impl RefreshLease {
    async fn answer(&self, bytes: &[u8]) -> worker::Result<Vec<u8>> {
        let Some((message, entry)) = message::decode_message(bytes) else {
            let stored = Stored::load(&self.state.storage().sql())?;
            return stored.reply(&self.state.storage().sql(), Answer::Refused { speaks: PROTOCOL });
        };
        match message {
            Message::Wait { seen, max_waiters } => self.wait(seen, max_waiters).await,
            Message::Acquire { .. }
            | Message::Commit { .. }
            | Message::Fail { .. }
            | Message::Purge { .. } => self.change(message, entry).await,
            Message::Inspect => {
                let sql = self.state.storage().sql();
                let stored = Stored::load(&sql)?;
                stored.reply(&sql, stored.lease.inspect(self.sleeping(), host::now()))
            }
        }
    }

    /// Everything that changes the state: load, one pure call, save, without an await between.
    async fn change(&self, message: Message, entry: &[u8]) -> worker::Result<Vec<u8>> {
        let now = host::now();
        let sql = self.state.storage().sql();
        let mut stored = Stored::load(&sql)?;
        let before = stored.lease.committed_generation();
        let (answer, wake) = self.decide(&mut stored.lease, message, now);
        match stored.lease.committed_generation() {
            after if after == before => {}
            Some(generation) => write_entry(&sql, generation, entry)?,
            None => {
                sql.exec("DELETE FROM entry", None)?;
            }
        }
        // One alarm at a time: it looks for itself when the next is due.
        let after = stored.lease.next_clean_up(now);
        let alarm_is_due = stored.alarm_at.is_none_or(|at| at <= now);
        if alarm_is_due {
            stored.alarm_at = Some(now.plus(after));
        }
        stored.save(&sql)?;
        let reply = stored.reply(&sql, answer)?;
        if let Wake::With(answer) = wake {
            self.wake(&stored.lease.reply(answer), entry);
        }
        if alarm_is_due {
            self.state.storage().set_alarm(offset(after)).await?;
        }
        Ok(reply)
    }

    fn decide(&self, lease: &mut lease::State, message: Message, now: Millis) -> (Answer, Wake) {
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

    async fn wait(&self, seen: u64, max_waiters: u32) -> worker::Result<Vec<u8>> {
        let sql = self.state.storage().sql();
        let stored = Stored::load(&sql)?;
        let at_most = match stored.lease.wait(seen, self.sleeping(), max_waiters, host::now()) {
            Waiting::Now(answer) => return stored.reply(&sql, answer),
            Waiting::Sleep(at_most) => at_most,
        };
        let (id, woken) = self.fall_asleep();
        let woken = timer::within(at_most, Box::pin(woken)).await;
        self.sleepers.borrow_mut().retain(|(sleeper, _)| *sleeper != id);
        match woken {
            Ok(Ok(reply)) => Ok(reply.to_vec()),
            // The timer, or nobody left to wake it.
            Ok(Err(_)) | Err(_) => Stored::load(&sql)?.reply(&sql, Answer::Again),
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
        let again = Reply { floor: reply.floor, answer: Answer::Again };
        let again: Rc<[u8]> = message::encode_reply(&again, &[]).into();
        let allowed = WAKE_BYTES_MOST / told.len().max(1);
        for (index, (_, sleeper)) in sleepers.into_iter().enumerate() {
            // One that has hung up hears nothing.
            let _ = sleeper.send(Rc::clone(if index < allowed { &told } else { &again }));
        }
    }

    fn sleeping(&self) -> u32 {
        self.sleepers.borrow().len() as u32
    }
}

fn offset(after: Millis) -> i64 {
    i64::try_from(after.0).unwrap_or(i64::MAX)
}

/// The version of the stored state. A change of [`lease::State`] is a new one.
const STATE_FORMAT: u32 = u32::from_le_bytes(*b"XFS1");

/// What the object keeps beside the entry's bytes.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Stored {
    lease: lease::State,
    alarm_at: Option<Millis>,
}

impl Stored {
    /// Loads the state, over tables that are there for certain: a clean-up may have taken them away
    /// under a living instance.
    fn load(sql: &SqlStorage) -> worker::Result<Self> {
        sql.exec(
            "CREATE TABLE IF NOT EXISTS lease (id INTEGER PRIMARY KEY CHECK (id = 1), state BLOB NOT NULL);
             CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY CHECK (id = 1), generation INTEGER NOT NULL, bytes BLOB NOT NULL)",
            None,
        )?;
        let row = sql.exec("SELECT state FROM lease", None)?.raw().next().transpose()?;
        match row.and_then(|row| row.into_iter().next()) {
            // A state that cannot be read is forgotten: tokens go on increasing with the clock and with
            // what callers have seen, and a key is never locked for good.
            Some(SqlStorageValue::Blob(state)) => {
                Ok(frame::split(STATE_FORMAT, &state).map(|(stored, _)| stored).unwrap_or_default())
            }
            _ => Ok(Self::default()),
        }
    }

    /// An answer as bytes, with the floor, and beside `Newer` the entry.
    fn reply(&self, sql: &SqlStorage, answer: Answer) -> worker::Result<Vec<u8>> {
        let entry = match &answer {
            Answer::Newer { generation, .. } => read_entry(sql, *generation)?,
            _ => Vec::new(),
        };
        Ok(message::encode_reply(&self.lease.reply(answer), &entry))
    }

    fn save(&self, sql: &SqlStorage) -> worker::Result<()> {
        let state = SqlStorageValue::Blob(frame::join(STATE_FORMAT, self, &[]));
        sql.exec("INSERT OR REPLACE INTO lease (id, state) VALUES (1, ?)", vec![state])?;
        Ok(())
    }
}

fn write_entry(sql: &SqlStorage, generation: u64, bytes: &[u8]) -> worker::Result<()> {
    let generation = SqlStorageValue::Integer(generation.cast_signed());
    let bytes = SqlStorageValue::Blob(bytes.to_vec());
    sql.exec(
        "INSERT OR REPLACE INTO entry (id, generation, bytes) VALUES (1, ?, ?)",
        vec![generation, bytes],
    )?;
    Ok(())
}

/// The entry's bytes; nothing when they are of another generation, so that the entry is overtaken.
fn read_entry(sql: &SqlStorage, generation: u64) -> worker::Result<Vec<u8>> {
    let generation = SqlStorageValue::Integer(generation.cast_signed());
    let row = sql.exec("SELECT bytes FROM entry WHERE generation = ?", vec![generation])?.raw().next();
    match row.transpose()?.and_then(|row| row.into_iter().next()) {
        Some(SqlStorageValue::Blob(bytes)) => Ok(bytes),
        _ => Ok(Vec::new()),
    }
}
