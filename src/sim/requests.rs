//! A request in a made-up isolate, from its arrival to its answer: what the Worker does for a cached route.

use std::sync::Arc;

use super::{
    invariants::Served,
    origin,
    tasks::{Looking, Task, Waits, Work},
    world::{Request, World},
};
use crate::{
    core::{
        config::OBJECT_TIMEOUT,
        entry::Entry,
        freshness::Verdict,
        time::{Instant, Span},
    },
    isolate::{
        metrics::{MetricEvent, ServedAs},
        refresh::{Purpose, Refresh, Subject},
    },
};

impl World {
    pub(super) fn on_request(&mut self, isolate: usize, key: usize) {
        let now = self.clock_of(isolate);
        let found = self.isolates[isolate].local.arrived(&self.keys[key], &self.route, now);
        let verdict = self.judge(isolate, key, found.as_deref(), now);
        let is_warm = !matches!(verdict, Verdict::Miss { .. });
        let request = Request { at: self.now, is_warm };
        let owner = match verdict {
            Verdict::Fresh | Verdict::RefreshEarly => {
                return self.serve(isolate, key, request, found, verdict);
            }
            Verdict::Stale => {
                match self.isolates[isolate].local.begin(self.keys[key].hash, now, OBJECT_TIMEOUT) {
                    Err(_) => return self.serve(isolate, key, request, found, verdict),
                    Ok(owner) => Some(owner),
                }
            }
            Verdict::Miss { .. } => None,
        };
        let heard = self.isolates[isolate].local.memory.floor(&self.keys[key].hash);
        let looking = Looking { owner, in_hand: found, arrived: now, heard };
        let id = self.spawn(Task::new(isolate, key, Work::LookUp(request, looking)));
        // Nobody waits for another one's look who has something in hand.
        match owner {
            Some(_) => self.wait_for(id, Waits::Colo, self.scenario.colo_delay),
            None => self.look_together(id, isolate, key),
        }
    }

    pub(super) fn judge(
        &mut self,
        isolate: usize,
        key: usize,
        entry: Option<&Entry>,
        now: Instant,
    ) -> Verdict {
        let draw = self.draw();
        self.isolates[isolate].local.judge(&self.keys[key].hash, &self.route, entry, now, draw)
    }

    pub(super) fn looked_up(
        &mut self,
        isolate: usize,
        key: usize,
        mut request: Request,
        looking: Looking,
        in_colo: Option<Arc<Entry>>,
    ) {
        let Looking { owner, in_hand, arrived, heard } = looking;
        let found = self.isolates[isolate].local.after_colo(&self.keys[key], in_colo, in_hand, arrived);
        let verdict = self.judge(isolate, key, found.as_deref(), arrived);
        if let Some(owner) = owner {
            self.isolates[isolate].local.marks.end(&self.keys[key].hash, owner);
        }
        // A purge that was heard meanwhile may have taken away what was warm.
        request.is_warm &= heard == self.isolates[isolate].local.memory.floor(&self.keys[key].hash);
        self.serve(isolate, key, request, found, verdict);
    }

    pub(super) fn look_up_colo(&mut self, isolate: usize, key: usize) -> Option<Arc<Entry>> {
        let (now, colo) = (self.clock_of(isolate), self.isolates[isolate].colo);
        if self.fault(|it| it.cache_loss) {
            self.colos[colo].lose(key);
        }
        let record = self.colos[colo].look_up(key, now);
        self.isolates[isolate].local.adopt_from_colo(self.keys[key].hash, record.floor, record.entry, now)
    }

    pub(super) fn serve(
        &mut self,
        isolate: usize,
        key: usize,
        request: Request,
        found: Option<Arc<Entry>>,
        verdict: Verdict,
    ) {
        match (found, verdict) {
            (Some(entry), Verdict::Fresh) => self.hit(isolate, key, request, &entry, false),
            (Some(entry), Verdict::RefreshEarly) => {
                self.trigger(isolate, key, &entry, Purpose::Early);
                self.hit(isolate, key, request, &entry, false);
            }
            (Some(entry), Verdict::Stale) => {
                self.trigger(isolate, key, &entry, Purpose::Stale);
                self.hit(isolate, key, request, &entry, true);
            }
            (found, _) => self.begin_cold(isolate, key, request, found, verdict),
        }
    }

    pub(super) fn hit(
        &mut self,
        isolate: usize,
        key: usize,
        request: Request,
        entry: &Entry,
        is_stale: bool,
    ) {
        let class = if is_stale { ServedAs::HitStale } else { ServedAs::HitFresh };
        let allowed = entry.lifetime.ttl.plus(entry.lifetime.stale_while_revalidate);
        self.answer(isolate, key, request, class, Some((entry, allowed)));
    }

    pub(super) fn answer(
        &mut self,
        isolate: usize,
        key: usize,
        request: Request,
        class: ServedAs,
        served: Option<(&Entry, Span)>,
    ) {
        let is_own = class == ServedAs::Miss;
        let took = self.now.since(request.at);
        self.tally.fold(MetricEvent::Answered { class, took });
        let ended = served
            .and_then(|(entry, _)| origin::read(&entry.body))
            .map(|(_, number)| self.origin.ended[number]);
        let at = self.elapsed();
        let age = served.map(|_| self.now.since(ended.unwrap_or(self.now)));
        self.figures.answered(at, took, age, self.scenario.lifetime.ttl);
        if let (Some((entry, allowed)), Some(ended)) = (served, ended) {
            let heard = self.isolates[isolate].local.memory.floor(&self.keys[key].hash);
            let swift = self.scenario.colo_delay;
            let is_warm = request.is_warm;
            let started = self.now;
            let is_stale = class == ServedAs::HitStale;
            let served = Served {
                isolate,
                is_stale,
                is_own,
                entry,
                heard,
                allowed,
                ended,
                started,
                is_warm,
                took,
                swift,
            };
            self.promises.answered(at, key, &served);
        }
    }

    pub(super) fn trigger(&mut self, isolate: usize, key: usize, entry: &Entry, purpose: Purpose) {
        self.triggered(key, entry.generation);
        let now = self.clock_of(isolate);
        match self.isolates[isolate].local.trigger(self.keys[key].hash, &self.route, now) {
            Err(trigger) => self.tally.fold(MetricEvent::Triggered { purpose, trigger }),
            Ok(owner) => {
                let subject = self.subject(key, entry.generation, Some(entry.delta));
                self.compute_for(isolate, key, Refresh::new(subject, purpose), owner, None);
            }
        }
    }

    pub(super) fn subject(&self, key: usize, seen: u64, delta: Option<Span>) -> Subject {
        let text = Arc::clone(&self.keys[key].text);
        Subject { key: text, lifetime: self.scenario.lifetime, seen, delta }
    }
}
