//! Performs what [`crate::isolate::refresh`] decides: one loop and one match, as the Worker does.

use std::sync::Arc;

use super::{
    object::Ticket,
    origin::{Call, Fate},
    tasks::{Task, Waits, Work},
    tiers::Isolate,
    world::{Happened, Loss, What, World},
};
use crate::{
    core::{
        entry::Entry,
        failure::Failure,
        time::{Instant, Span},
    },
    isolate::{
        metrics::{self, MetricEvent},
        miss,
        origin_calls::CallId,
        refresh::{self, Computed, Purpose, Refresh, RefreshOutcome},
    },
    protocol::{
        lease,
        message::{Answer, Message, Reply},
    },
};

impl World {
    pub(super) fn compute_for(
        &mut self,
        isolate: usize,
        key: usize,
        refresh: Refresh,
        owner: u64,
        for_whom: Option<u64>,
    ) {
        let work = Work::Computing { refresh, owner, for_whom, is_repeated: false };
        let id = self.spawn(Task::new(isolate, key, work));
        self.feed(id, refresh::Event::Started);
    }

    /// Feeds a computation, and begins what it asks for next.
    pub(super) fn feed(&mut self, id: u64, event: refresh::Event) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let (isolate, key) = (task.isolate, task.key);
        let now = self.colos[self.isolates[isolate].colo].clock.read(self.now);
        let Work::Computing { refresh, is_repeated, .. } = &mut task.work else { return };
        *is_repeated = false;
        let action = refresh.on(event, now);
        let (purpose, trigger, token, expected) =
            (refresh.purpose(), refresh.take_trigger(), refresh.token(), refresh.delta());
        if let Some(trigger) = trigger {
            self.tally.fold(MetricEvent::Triggered { purpose, trigger });
        }
        if self.fault(|it| it.crash) {
            return self.cut_off(id);
        }
        match action {
            refresh::Action::LookInColo => self.wait_for(id, Waits::Colo, self.scenario.colo_delay),
            refresh::Action::Acquire { seen } => {
                let nonce = (!self.fault(|it| it.no_entropy)).then(|| format!("{id}"));
                let Isolate { name, local, .. } = &self.isolates[isolate];
                let terms = local.terms(&self.keys[key].hash, &self.route, *name, expected);
                self.ask(id, Message::Acquire { seen, nonce, terms }, None);
            }
            refresh::Action::Wait { seen } => {
                let max_waiters = self.route.max_waiters / 2;
                self.ask(id, Message::Wait { seen, max_waiters }, None);
            }
            refresh::Action::Compute => {
                if !self.isolates[isolate].local.has_room(&self.route) {
                    return self.feed(id, refresh::Event::Failed(Failure::GivenBack));
                }
                let at = self.elapsed();
                self.promises.called(at, key, token);
                self.begin_call(id, isolate, key, purpose);
            }
            refresh::Action::Commit(entry) => {
                let message = Message::Commit {
                    token: entry.generation,
                    age: entry.age(now),
                    lifetime: entry.lifetime,
                };
                self.ask(id, message, Some(entry));
            }
            refresh::Action::Fail(token, failure) => self.ask(id, Message::Fail { token, failure }, None),
            refresh::Action::Store(entry) if entry.committed => {
                self.wait_for(id, Waits::Put(entry), self.scenario.colo_delay);
            }
            refresh::Action::Store(entry) => {
                self.isolates[isolate].local.memory.accept(self.keys[key].hash, &entry, now);
                self.feed(id, refresh::Event::Stored);
            }
            refresh::Action::End(ending) => self.computation_ended(id, ending),
        }
    }

    /// A task calls the origin, and waits for it.
    pub(super) fn begin_call(&mut self, id: u64, isolate: usize, key: usize, purpose: Purpose) {
        let (now, lease) = (self.clock_of(isolate), self.route.lease());
        let call_id = self.isolates[isolate].local.calls.begin(purpose, now, lease);
        let call = self.call_origin(key);
        let takes = call.takes;
        self.wait_for(id, Waits::Origin(call, call_id), takes);
    }

    pub(super) fn computation_ended(&mut self, id: u64, ending: RefreshOutcome) {
        let Some(Task { isolate, key, work, .. }) = self.tasks.remove(&id) else { return };
        let Work::Computing { refresh, owner, for_whom, .. } = work else { return };
        let now = self.clock_of(isolate);
        self.isolates[isolate].local.ended(self.keys[key].hash, owner, &refresh, &ending, now);
        if let RefreshOutcome::Rejected(_) = ending {
            self.tally.fold(MetricEvent::CommitRejected);
        }
        if let Some(whom) = for_whom {
            self.feed_cold(whom, miss::Event::Led(ending, refresh.floor()));
        }
    }

    /// Background work that is cut off runs no destructor: its marks and its lease stay as they are.
    pub(super) fn cut_off(&mut self, id: u64) {
        let Some(task) = self.tasks.remove(&id) else { return };
        if let Work::Computing { for_whom: Some(whom), .. } = task.work {
            self.feed_cold(whom, miss::Event::WaitBroken { is_overloaded: false });
        }
    }

    pub(super) fn ask(&mut self, id: u64, message: Message, entry: Option<Arc<Entry>>) {
        let limit = lease::time_limit(&message);
        let Some(key) = self.tasks.get(&id).map(|task| task.key) else { return };
        let ticket = self.next_ticket(id, Waits::Object(message.clone(), entry.clone()));
        self.send(key, ticket, message, entry);
        self.schedule(limit, What::Task(ticket, Happened::Lost(Loss::Slow)));
    }

    pub(super) fn wait_for(&mut self, id: u64, waits: Waits, time: Span) {
        let ticket = self.next_ticket(id, waits);
        self.schedule(time, What::Task(ticket, Happened::Done));
    }

    pub(super) fn on_object(
        &mut self,
        id: u64,
        isolate: usize,
        key: usize,
        (message, entry): (Message, Option<Arc<Entry>>),
        happened: Happened,
    ) {
        match happened {
            Happened::Replied(reply, beside) => {
                let now = self.clock_of(isolate);
                let beside = self.hear(isolate, key, &reply, beside, now);
                self.replied(id, isolate, key, reply, beside);
            }
            Happened::Lost(loss) => {
                let is_acquire = matches!(message, Message::Acquire { .. });
                let is_commit = matches!(message, Message::Commit { .. });
                if loss == Loss::Retryable && (is_acquire || is_commit) && self.may_repeat(id) {
                    return self.ask(id, message, entry);
                }
                if loss == Loss::Slow && is_acquire {
                    self.await_late_grant(id, isolate, key);
                }
                self.lost(id, isolate, key, loss, is_acquire);
            }
            Happened::Done | Happened::Found(_) => {}
        }
    }

    /// Once: the nonce, or the token, makes the second message the same as the first.
    pub(super) fn may_repeat(&mut self, id: u64) -> bool {
        match self.tasks.get_mut(&id).map(|task| &mut task.work) {
            Some(Work::Computing { is_repeated, .. }) => !std::mem::replace(is_repeated, true),
            _ => false,
        }
    }

    /// What an answer says of purges is heard at once; the entry beside it as this isolate's clock sees it.
    pub(super) fn hear(
        &mut self,
        isolate: usize,
        key: usize,
        reply: &Reply,
        beside: Option<Arc<Entry>>,
        now: Instant,
    ) -> Option<Arc<Entry>> {
        let colo = self.isolates[isolate].colo;
        if self.isolates[isolate].local.hear(self.keys[key].hash, reply.floor, now) {
            self.colos[colo].hear(key, reply.floor, now);
        }
        let Answer::Newer { generation, age, ttl } = reply.answer else { return None };
        let Some(entry) = beside.filter(|entry| entry.generation == generation) else {
            self.tally.fold(MetricEvent::EntryUnreadable);
            return None;
        };
        Some(Arc::new((*entry).clone().adopted(now, age, ttl)))
    }

    pub(super) fn replied(
        &mut self,
        id: u64,
        isolate: usize,
        key: usize,
        reply: Reply,
        entry: Option<Arc<Entry>>,
    ) {
        let is_refused = matches!(reply.answer, Answer::Refused { .. });
        match self.tasks.get(&id).map(|task| &task.work) {
            Some(Work::Computing { refresh, .. }) if is_refused && refresh.token().is_none() => {
                self.lost(id, isolate, key, Loss::Broken, true);
            }
            Some(Work::Computing { .. }) => self.feed(id, refresh::Event::Replied(reply, entry)),
            Some(Work::SleepingForAll(..)) => {
                self.slept_for_all(id, isolate, key, &Happened::Replied(reply, entry));
            }
            Some(Work::GivingBack | Work::Purging) => drop(self.tasks.remove(&id)),
            _ => {}
        }
    }

    pub(super) fn lost(&mut self, id: u64, isolate: usize, key: usize, loss: Loss, is_acquire: bool) {
        let now = self.clock_of(isolate);
        match self.tasks.get(&id).map(|task| &task.work) {
            Some(Work::Computing { refresh, .. }) => {
                let hash = self.keys[key].hash;
                let local = &mut self.isolates[isolate].local;
                let may_compute =
                    is_acquire && local.may_compute_without_lease(hash, &self.route, refresh, now);
                self.feed(id, refresh::Event::ObjectLost { may_compute });
            }
            Some(Work::SleepingForAll(..)) => self.slept_for_all(id, isolate, key, &Happened::Lost(loss)),
            Some(Work::GivingBack | Work::Purging) => drop(self.tasks.remove(&id)),
            _ => {}
        }
    }

    /// A grant that comes after everybody has stopped waiting for it would lock the key for a lease: its
    /// answer finds a task of its own.
    pub(super) fn await_late_grant(&mut self, id: u64, isolate: usize, key: usize) {
        if let Some(task) = self.tasks.get(&id) {
            self.late.insert((id, task.ticket), (isolate, key));
        }
    }

    pub(super) fn on_late(&mut self, ticket: Ticket, happened: Happened) {
        let Happened::Replied(reply, entry) = happened else { return };
        let Some((isolate, key)) = self.late.remove(&ticket) else { return };
        let now = self.clock_of(isolate);
        self.hear(isolate, key, &reply, entry, now);
        if let Answer::Granted { token } = reply.answer {
            self.tally.fold(MetricEvent::GrantGivenBack);
            let id = self.spawn(Task::new(isolate, key, Work::GivingBack));
            self.ask(id, Message::Fail { token, failure: Failure::GivenBack }, None);
        }
    }

    pub(super) fn on_origin(&mut self, id: u64, isolate: usize, call: Call, call_id: CallId) {
        let result = self.result(isolate, call);
        let ended = metrics::Call::of(&result);
        self.sweep(isolate);
        let work = self.tasks.get(&id).map(|task| &task.work);
        let purpose = match work {
            Some(Work::Computing { refresh, .. }) => refresh.purpose(),
            _ => Purpose::Cold,
        };
        if self.isolates[isolate].local.calls.settle(call_id) {
            self.tally.fold(MetricEvent::Called { purpose, call: ended });
        }
        if let Some(Work::Uncached(..)) = work {
            return self.uncached_ended(id, result);
        }
        self.feed(
            id,
            match result {
                Ok(computed) => refresh::Event::Computed(computed),
                Err(failure) => refresh::Event::Failed(failure),
            },
        );
    }

    /// OriginCalls that nobody settled are counted as abandoned by their own isolate.
    pub(super) fn sweep(&mut self, isolate: usize) {
        let now = self.clock_of(isolate);
        for purpose in self.isolates[isolate].local.calls.sweep(now) {
            self.tally.fold(MetricEvent::Called { purpose, call: metrics::Call::Abandoned });
        }
    }

    pub(super) fn result(&mut self, isolate: usize, call: Call) -> Result<Computed, Failure> {
        let Call { began, fate, .. } = call;
        match fate {
            Fate::Failure(failure) => Err(failure),
            Fate::Body(body, storable) => Ok(Computed {
                status: 200,
                headers: Vec::new(),
                body,
                delta: self.now.since(began),
                storable,
                at: self.clock_of(isolate),
            }),
        }
    }
}
