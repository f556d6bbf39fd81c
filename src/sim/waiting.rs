//! Performs what [`crate::isolate::miss`] decides: one loop and one match, as the Worker does.

use std::sync::Arc;

use super::{
    tasks::{Task, Waits, Work},
    world::{Request, What, World},
};
use crate::{
    core::{
        config::OBJECT_TIMEOUT,
        entry::{Entry, Floor},
        failure::Failure,
        freshness::Verdict,
        time::{Instant, Span},
    },
    isolate::{
        metrics::ServedAs,
        miss::{self, Miss, Outcome},
        refresh::{Computed, Purpose, Refresh, RefreshOutcome},
        refresh_gate::Blocked,
    },
};

const WATCH_EVERY: Span = Span(50);

impl World {
    pub(super) fn begin_cold(
        &mut self,
        isolate: usize,
        key: usize,
        request: Request,
        found: Option<Arc<Entry>>,
        verdict: Verdict,
    ) {
        let now = self.clock_of(isolate);
        let usable = verdict == Verdict::Miss { usable_on_error: true };
        let seen = found.as_ref().map_or(0, |entry| entry.generation);
        let delta = found.as_ref().map(|entry| entry.delta);
        let cold = Miss::new(seen, found.filter(|_| usable), now);
        let ends = self.now.plus(self.route.patience());
        let id = self.spawn(Task::new(isolate, key, Work::Cold { cold, request, delta, ends }));
        self.schedule(self.route.patience(), What::Patience(id));
        let blocked = self.isolates[isolate].local.marks.blocked(&self.keys[key].hash, now);
        self.feed_cold(
            id,
            match blocked {
                Some(Blocked::BackingOff { failure, retry_after }) => {
                    self.backing_off(isolate, key, failure, retry_after)
                }
                Some(Blocked::UnderWay) => miss::Event::Started { led_here: true },
                None => miss::Event::Started { led_here: false },
            },
        );
    }

    pub(super) fn backing_off(
        &self,
        isolate: usize,
        key: usize,
        failure: Failure,
        retry_after: Span,
    ) -> miss::Event {
        let floor = self.isolates[isolate].local.memory.floor(&self.keys[key].hash);
        miss::Event::Led(RefreshOutcome::BackedOff { failure, retry_after }, floor)
    }

    pub(super) fn on_patience(&mut self, id: u64) {
        if self.tasks.contains_key(&id) {
            self.feed_cold(id, miss::Event::TimedOut);
        }
    }

    pub(super) fn feed_cold(&mut self, id: u64, event: miss::Event) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let (isolate, key) = (task.isolate, task.key);
        let now = self.colos[self.isolates[isolate].colo].clock.read(self.now);
        let Work::Cold { cold, delta, .. } = &mut task.work else { return };
        cold.hear(self.isolates[isolate].local.memory.floor(&self.keys[key].hash));
        let (action, delta) = (cold.on(event, now), *delta);
        match action {
            miss::Action::Lead { seen } => {
                if !self.isolates[isolate].local.has_room(&self.route) {
                    let full = miss::Event::Led(RefreshOutcome::Failed(Failure::GivenBack), Floor::default());
                    return self.feed_cold(id, full);
                }
                let lease = self.route.lease();
                let owner = self.isolates[isolate].local.marks.begin(self.keys[key].hash, now, lease);
                let refresh = Refresh::new(self.subject(key, seen, delta), Purpose::Cold);
                self.next_ticket(id, Waits::Nothing);
                self.compute_for(isolate, key, refresh, owner, Some(id));
            }
            miss::Action::Wait { seen } => {
                self.sleep_together(id, isolate, key, seen);
            }
            miss::Action::LookAround => {
                let pause = Span(self.chance.below(100));
                self.wait_for(id, Waits::Others, pause);
            }
            miss::Action::WatchMemory => {
                let until = self.now.plus(self.route.origin_timeout).plus(OBJECT_TIMEOUT);
                self.wait_for(id, Waits::Memory(until), WATCH_EVERY);
            }
            miss::Action::Answer(outcome) => self.tell(id, isolate, key, outcome),
        }
    }

    pub(super) fn watch_memory(&mut self, id: u64, isolate: usize, key: usize, until: Instant) {
        let (now, known) = (self.clock_of(isolate), &self.keys[key]);
        let local = &mut self.isolates[isolate].local;
        if let Some(entry) = local.memory.get(&known.hash, &known.text, now) {
            self.feed_cold(id, miss::Event::LookedAround(Some(entry)));
        } else if let Some(Blocked::BackingOff { failure, retry_after }) =
            local.marks.blocked(&known.hash, now)
        {
            let event = self.backing_off(isolate, key, failure, retry_after);
            self.feed_cold(id, event);
        } else if self.now >= until {
            self.feed_cold(id, miss::Event::TimedOut);
        } else {
            self.wait_for(id, Waits::Memory(until), WATCH_EVERY);
        }
    }

    pub(super) fn tell(&mut self, id: u64, isolate: usize, key: usize, outcome: Outcome) {
        let Some(Work::Cold { request, ends, .. }) = self.tasks.remove(&id).map(|task| task.work) else {
            return;
        };
        let (at, slack) = (self.elapsed(), Span::SECOND);
        self.promises
            .ended(self.now <= ends.plus(slack), at, || "a request waited beyond its patience".to_owned());
        if let Outcome::Hit(entry) | Outcome::Collapsed(entry) = &outcome {
            self.adopt(isolate, key, entry);
        }
        let allowed = |entry: &Entry| entry.lifetime.ttl.plus(entry.lifetime.stale_while_revalidate);
        let on_error = |entry: &Entry| entry.lifetime.ttl.plus(entry.lifetime.stale_if_error);
        match outcome {
            Outcome::Computed(entry, _) | Outcome::Collapsed(entry) => {
                let served = Some((&*entry, allowed(&entry)));
                self.answer(isolate, key, request, ServedAs::Miss, served);
            }
            Outcome::Hit(entry) => {
                let verdict = self.judge(isolate, key, Some(&entry), self.clock_of(isolate));
                match verdict {
                    Verdict::RefreshEarly => self.trigger(isolate, key, &entry, Purpose::Early),
                    Verdict::Stale => self.trigger(isolate, key, &entry, Purpose::Stale),
                    Verdict::Fresh | Verdict::Miss { .. } => {}
                }
                self.hit(isolate, key, request, &entry, verdict == Verdict::Stale);
            }
            Outcome::Fallback(entry) => {
                self.answer(isolate, key, request, ServedAs::HitStale, Some((&entry, on_error(&entry))));
            }
            Outcome::Uncached(fallback) => self.go_uncached(isolate, key, request, fallback),
            Outcome::TooManyWaiters => self.answer(isolate, key, request, ServedAs::Rejected, None),
            Outcome::Passed(_)
            | Outcome::Negative { .. }
            | Outcome::Failed { .. }
            | Outcome::Unavailable
            | Outcome::TimedOut => self.answer(isolate, key, request, ServedAs::Miss, None),
        }
    }

    /// What the object has sent is kept by the nearer tiers too.
    pub(super) fn adopt(&mut self, isolate: usize, key: usize, entry: &Arc<Entry>) {
        let now = self.clock_of(isolate);
        let is_news = self.isolates[isolate].local.memory.accept(self.keys[key].hash, entry, now);
        if is_news && entry.committed {
            let id = self.spawn(Task::new(isolate, key, Work::Adopting));
            self.wait_for(id, Waits::Put(Arc::clone(entry)), self.scenario.colo_delay);
        }
    }

    pub(super) fn go_uncached(
        &mut self,
        isolate: usize,
        key: usize,
        request: Request,
        fallback: Option<Arc<Entry>>,
    ) {
        if !self.isolates[isolate].local.has_room(&self.route) {
            return self.answer(isolate, key, request, ServedAs::Rejected, None);
        }
        let id = self.spawn(Task::new(isolate, key, Work::Uncached(request, fallback)));
        self.begin_call(id, isolate, key, Purpose::Cold);
    }

    pub(super) fn uncached_ended(&mut self, id: u64, result: Result<Computed, Failure>) {
        let Some(Task { isolate, key, work: Work::Uncached(request, fallback), .. }) = self.tasks.remove(&id)
        else {
            return;
        };
        match (result, fallback) {
            (Err(Failure::Transient { .. } | Failure::GivenBack), Some(entry))
                if entry.generation
                    >= self.isolates[isolate].local.memory.floor(&self.keys[key].hash).hard =>
            {
                let allowed =
                    entry.lifetime.ttl.plus(entry.lifetime.stale_if_error).plus(self.now.since(request.at));
                self.answer(isolate, key, request, ServedAs::HitStale, Some((&entry, allowed)));
            }
            _ => self.answer(isolate, key, request, ServedAs::Miss, None),
        }
    }
}
