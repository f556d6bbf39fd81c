//! What is under way in the made-up isolates, and what it waits for: time passes by events, where the
//! Worker awaits.

use std::sync::Arc;

use super::{
    object::Ticket,
    origin::Call,
    tiers::{Isolate, Record},
    world::{Happened, Request, World},
};
use crate::{
    core::{
        entry::{Entry, Floor},
        time::{Instant, Span},
    },
    isolate::{
        miss::{self, Miss},
        origin_calls::CallId,
        refresh::{self, Refresh},
    },
    protocol::message::Message,
};

/// Something under way in an isolate.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) isolate: usize,
    pub(super) key: usize,
    pub(super) ticket: u32,
    pub(super) waits: Waits,
    pub(super) work: Work,
}

/// What a task waits for.
#[derive(Clone, Debug)]
pub(super) enum Waits {
    Nothing,
    /// A look into the colo's cache.
    Colo,
    /// The object's answer to this.
    Object(Message, Option<Arc<Entry>>),
    /// The origin.
    Origin(Call, CallId),
    /// To look before writing to the colo's cache.
    Put(Arc<Entry>),
    /// The write.
    Written(Arc<Entry>, Option<Record>),
    /// A moment.
    Others,
    /// What another request's look into the colo finds.
    Looking,
    /// What another request's message to the object leads to.
    Sleeping,
    /// The next look into memory, the object being out of reach; until then at most.
    Memory(Instant),
}

#[derive(Debug)]
pub(super) enum Work {
    /// A request that looks into the colo's cache.
    LookUp(Request, Looking),
    /// A look into the colo's cache, for all who wait for it under this name.
    LookingForAll(u64),
    /// A sleep at the object, for all who have seen this generation and wait under this name.
    SleepingForAll(u64, u64),
    /// A computation, for a request that waits or behind an answer.
    Computing { refresh: Refresh, owner: u64, for_whom: Option<u64>, is_repeated: bool },
    /// A request with nothing to serve.
    Cold { cold: Miss, request: Request, delta: Option<Span>, ends: Instant },
    /// A request that goes uncached, as its key's answers must not be stored.
    Uncached(Request, Option<Arc<Entry>>),
    /// An acquire that nobody waits for any more: a grant is given back.
    GivingBack,
    /// An entry of the object's on its way to the colo's cache.
    Adopting,
    /// A purge, until the object has heard it.
    Purging,
}

/// What a request has in hand while it looks further.
#[derive(Clone, Debug)]
pub(super) struct Looking {
    /// The mark that it set, if it found stale.
    pub(super) owner: Option<u64>,
    pub(super) in_hand: Option<Arc<Entry>>,
    pub(super) arrived: Instant,
    pub(super) heard: Floor,
}

impl Task {
    pub(super) fn new(isolate: usize, key: usize, work: Work) -> Self {
        Self { isolate, key, ticket: 0, waits: Waits::Nothing, work }
    }

    pub(super) fn describe(&self) -> String {
        format!("{:?} waits for {:?}", self.work, self.waits)
    }
}

/// Above the names of the isolates that a world begins with.
const NAMED_LATER: u64 = 1 << 32;

impl World {
    pub(super) fn on_task(&mut self, (id, ticket): Ticket, happened: Happened) {
        let Some(task) = self.tasks.get_mut(&id).filter(|task| task.ticket == ticket) else {
            return self.on_late((id, ticket), happened);
        };
        let (isolate, key) = (task.isolate, task.key);
        let waits = std::mem::replace(&mut task.waits, Waits::Nothing);
        match (waits, happened) {
            (Waits::Object(message, entry), happened) => {
                self.on_object(id, isolate, key, (message, entry), happened);
            }
            (Waits::Colo, _) => self.on_colo(id, isolate, key),
            (Waits::Origin(call, call_id), _) => self.on_origin(id, isolate, call, call_id),
            (Waits::Put(entry), _) => {
                let colo = self.isolates[isolate].colo;
                let heard = self.isolates[isolate].local.memory.floor(&self.keys[key].hash);
                let record = self.colos[colo].with(key, heard, &entry, self.clock_of(isolate));
                self.wait_for(id, Waits::Written(entry, record), self.scenario.colo_delay);
            }
            (Waits::Written(entry, record), _) => {
                let colo = self.isolates[isolate].colo;
                if let Some(record) = record
                    && !self.fault(|it| it.cache_loss)
                {
                    self.colos[colo].put(key, record);
                }
                let now = self.clock_of(isolate);
                if let Some(Task { work: Work::Adopting, .. }) = self.tasks.get(&id) {
                    self.tasks.remove(&id);
                } else {
                    self.isolates[isolate].local.memory.accept(self.keys[key].hash, &entry, now);
                    self.feed(id, refresh::Event::Stored);
                }
            }
            (Waits::Others, _) => {
                let (now, known) = (self.clock_of(isolate), &self.keys[key]);
                match self.isolates[isolate].local.memory.get(&known.hash, &known.text, now) {
                    Some(entry) => self.feed_cold(id, miss::Event::LookedAround(Some(entry))),
                    None => self.look_together(id, isolate, key),
                }
            }
            (Waits::Looking, Happened::Found(found)) => self.told_of_colo(id, isolate, key, found),
            (Waits::Looking, _) => self.told_of_colo(id, isolate, key, None),
            (Waits::Sleeping, happened) => self.woken(id, happened),
            (Waits::Memory(until), _) => self.watch_memory(id, isolate, key, until),
            (Waits::Nothing, _) => {}
        }
    }

    pub(super) fn on_colo(&mut self, id: u64, isolate: usize, key: usize) {
        match self.tasks.get(&id).map(|task| &task.work) {
            Some(Work::LookUp(request, looking)) => {
                let (request, looking) = (*request, looking.clone());
                self.tasks.remove(&id);
                let in_colo = self.look_up_colo(isolate, key);
                self.looked_up(isolate, key, request, looking, in_colo);
            }
            Some(Work::LookingForAll(owner)) => self.looked_for_all(id, isolate, key, *owner),
            Some(Work::Computing { .. }) => {
                let found = self.look_up_colo(isolate, key);
                self.feed(id, refresh::Event::LookedInColo(found));
            }
            _ => {}
        }
    }

    /// A new instance: memory and everything under way are gone.
    pub(super) fn restart(&mut self, isolate: usize) {
        let gone: Vec<u64> =
            self.tasks.iter().filter(|(_, task)| task.isolate == isolate).map(|(id, _)| *id).collect();
        for id in gone {
            let work = self.tasks.remove(&id).map(|task| task.work);
            let is_request = matches!(work, Some(Work::LookUp(..) | Work::Cold { .. } | Work::Uncached(..)));
            self.figures.lost += u64::from(is_request);
        }
        self.late.retain(|_, (whose, _)| *whose != isolate);
        self.isolates[isolate] =
            Isolate::new(self.isolates[isolate].colo, NAMED_LATER + (self.next_task << 8) + isolate as u64);
    }

    pub(super) fn purge(&mut self, isolate: usize, key: usize, hard: bool) {
        let id = self.spawn(Task::new(isolate, key, Work::Purging));
        let physical = self.route.lifetime.physical();
        self.ask(id, Message::Purge { hard, physical }, None);
    }
}
