//! The made-up colos: a cache each, isolates with the deployed memory and marks, and a clock that may be
//! wrong.

use std::{collections::BTreeMap, sync::Arc};

use super::object::Ticket;
use crate::{
    core::{
        entry::{Entry, Floor},
        time::Instant,
    },
    isolate::{coalesce::Coalesce, state::IsolateState},
};

/// Off from the true time, by so many milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock(pub(super) i64);

impl Clock {
    pub(super) fn read(self, now: Instant) -> Instant {
        Instant(now.0.saturating_add_signed(self.0))
    }
}

/// What a colo's cache holds for a key.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) floor: Floor,
    pub(super) entry: Option<Arc<Entry>>,
}

#[derive(Debug, Default)]
pub(super) struct Colo {
    pub(super) clock: Clock,
    cache: BTreeMap<usize, Record>,
}

impl Colo {
    /// What is left of the record at this instant, by this colo's clock.
    pub(super) fn look_up(&self, key: usize, now: Instant) -> Record {
        let Some(record) = self.cache.get(&key) else { return Record::default() };
        let entry = record.entry.clone().and_then(|entry| record.floor.applied(entry, now));
        Record { floor: record.floor, entry: entry.filter(|it| !it.is_gone(now)) }
    }

    /// The record that a write of this entry would leave, as somebody sees it who looks now and writes
    /// later: the Cache API has no compare-and-set.
    pub(super) fn with(&self, key: usize, heard: Floor, entry: &Arc<Entry>, now: Instant) -> Option<Record> {
        let held = self.look_up(key, now);
        let floor = held.floor.raised(heard);
        let entry = floor.applied(Arc::clone(entry), now).filter(|it| !it.is_gone(now))?;
        let is_newer = held.entry.is_none_or(|held| entry.supersedes(&held));
        is_newer.then_some(Record { floor, entry: Some(entry) })
    }

    pub(super) fn put(&mut self, key: usize, record: Record) {
        self.cache.insert(key, record);
    }

    /// Hears a floor, and leaves it for those who come.
    pub(super) fn hear(&mut self, key: usize, floor: Floor, now: Instant) {
        let held = self.look_up(key, now);
        let floor = held.floor.raised(floor);
        let entry = held.entry.and_then(|entry| floor.applied(entry, now));
        self.cache.insert(key, Record { floor, entry });
    }

    pub(super) fn lose(&mut self, key: usize) {
        self.cache.remove(&key);
    }
}

/// An isolate of the deployed Worker.
#[derive(Debug)]
pub(super) struct Isolate {
    pub(super) colo: usize,
    /// A restarted isolate has a new one.
    pub(super) name: u64,
    pub(super) local: IsolateState,
    /// Those who look a key up in the colo, and those who sleep at a key's object.
    pub(super) looking: Coalesce<Ticket>,
    pub(super) waiting: Coalesce<Ticket>,
}

impl Isolate {
    pub(super) fn new(colo: usize, name: u64) -> Self {
        let (looking, waiting) = (Coalesce::default(), Coalesce::default());
        Self { colo, name, local: IsolateState::new(32 << 20, 10_000), looking, waiting }
    }
}
