//! Runs tasks in the simulated world: one loop around [`Task::on`], and one `match` in which each effect
//! draws its faults and is scheduled to end.

use super::{
    event::{Arrival, EffectEnd, WorldEvent},
    invariants::SeenAnswer,
    object::MessageTicket,
    origin::{self, Fate, OriginCall, Question},
    tiers::SimIsolate,
    world::{Asked, Running, Whose, World},
};
use crate::{
    core::{config::OBJECT_TIMEOUT, failure::Failure, http::CacheStatus, time::Span},
    isolate::{
        coalesce,
        computation::Computed,
        metrics::{MetricEvent, ServedAs},
        served::{Answered, Served},
        step::{Background, Done, Effect, Event, KeyedRoute, Notes, ObjectError, Shared, Step},
        task::Task,
    },
};

/// The ticket of a step is the task's number times this, plus the step's number.
const STEPS: u64 = 1 << 20;
/// The names of restarted isolates begin here, above those of the isolates that a world begins with.
const NAMED_LATER: u64 = 1 << 32;
/// A task that takes more steps than this is taken for one that never ends: the longest seen took fewer than 100.
const MAX_STEPS: u64 = 10_000;
/// The longest delay of a wake-up in a busy isolate, in milliseconds.
const MAX_TURN: u64 = 500;

impl World {
    pub(super) fn begin_task(&mut self, whose: Whose, task: Task, event: Event, arrival: Option<Arrival>) {
        self.run_task(whose, task, event, arrival, None);
    }

    fn run_task(
        &mut self,
        whose: Whose,
        task: Task,
        event: Event,
        arrival: Option<Arrival>,
        goes_on_with: Option<usize>,
    ) {
        self.next_task += 1;
        let running = Running { whose, task, arrival, steps: 0, wants_late_reply: false, goes_on_with };
        self.tasks.insert(self.next_task, running);
        self.feed(self.next_task, event);
    }

    /// The ticket of a task's step under way.
    fn ticket(&self, id: u64) -> MessageTicket {
        id * STEPS + self.tasks.get(&id).map_or(0, |running| running.steps)
    }

    fn feed(&mut self, id: u64, event: Event) {
        let chance = self.chance();
        let Some(running) = self.tasks.get_mut(&id) else { return };
        let whose = running.whose;
        let Whose { isolate, key, variant } = whose;
        let now = self.colos[self.isolates[isolate].colo].clock.read(self.now);
        let subject = KeyedRoute { key: &self.keys[key], route: &self.route, fields: &Asked(variant) };
        let step = running.task.on(event, subject, &mut self.isolates[isolate].state, now, chance);
        running.steps += 1;
        let (ends, at) = (running.steps <= MAX_STEPS, self.elapsed());
        self.invariants.ended(ends, at, || format!("a task took more than {MAX_STEPS} steps"));
        self.perform(id, whose, step);
    }

    fn perform(&mut self, id: u64, whose: Whose, Step { effect, notes }: Step) {
        let Whose { isolate, key, .. } = whose;
        if let Some(generation) = triggered_by(&effect, &notes) {
            self.triggered(key, generation);
        }
        for event in notes.events {
            self.counters.fold(event);
        }
        for (ticket, shared) in notes.wake {
            let (turn, name) = (self.turn(), self.isolates[isolate].state.name);
            self.schedule(turn, WorldEvent::Wake { isolate, name, ticket, shared });
        }
        let is_request = self.tasks.get(&id).is_some_and(|running| running.arrival.is_some());
        if !is_request && !matches!(effect, Effect::Done(_)) && self.fault(|it| it.crash) {
            // Background work that is cut off runs no destructor: its marks and its lease stay as they are.
            self.tasks.remove(&id);
        } else {
            self.perform_effect(id, whose, effect);
        }
        for background in notes.spawn {
            self.begin_task(whose, Task::new(background), Event::Started, None);
        }
    }

    fn perform_effect(&mut self, id: u64, whose: Whose, effect: Effect) {
        let Whose { isolate, key, variant } = whose;
        let ticket = self.ticket(id);
        let colo_delay = self.scenario.colo_delay;
        match effect {
            Effect::LookUpColo => self.schedule(colo_delay, WorldEvent::Task(ticket, EffectEnd::Colo)),
            Effect::WriteColo { bytes, .. } => {
                self.schedule(colo_delay, WorldEvent::Task(ticket, EffectEnd::Write(bytes)));
            }
            Effect::Send { bytes, limit, wants_late_reply } => {
                if let Some(running) = self.tasks.get_mut(&id) {
                    running.wants_late_reply = wants_late_reply;
                }
                self.send(key, ticket, bytes);
                self.schedule(limit, WorldEvent::Task(ticket, EffectEnd::Lost(ObjectError::Slow)));
            }
            Effect::CallOrigin { held, .. } => {
                let token = self.tasks.get(&id).and_then(|running| running.task.token());
                let at = self.elapsed();
                self.invariants.called(at, key, token);
                let call = self.call_origin(&Question {
                    key,
                    variant,
                    tenant: self.scenario.tenant(key),
                    held: held.as_deref(),
                });
                self.schedule(call.takes, WorldEvent::Task(ticket, EffectEnd::Origin(call)));
            }
            Effect::Sleep { ticket: own, at_most } => {
                self.isolates[isolate].sleepers.insert(own, ticket);
                self.schedule(at_most, WorldEvent::Task(ticket, EffectEnd::TimedOut));
            }
            Effect::Done(done) => {
                let Some(running) = self.tasks.remove(&id) else { return };
                let Some(arrival) = running.arrival else { return };
                match (done, running.goes_on_with) {
                    (Done::Served(served), _) => self.answered(whose, arrival, served),
                    (Done::Varies(_), _) => self.vary(whose, arrival),
                    (Done::Forward, _) => {
                        let took = self.now.since(arrival.at);
                        self.counters.fold(MetricEvent::Answered { class: ServedAs::Bypass, took });
                    }
                    (Done::Nothing | Done::Purged(_), Some(own)) => self.go_on(whose, own, arrival),
                    (Done::Nothing | Done::Purged(_), None) => {}
                }
            }
        }
    }

    /// A request goes on with the key of its variant, as in the Worker: first the purge floor of the key is learned.
    fn vary(&mut self, whose: Whose, arrival: Arrival) {
        let own = whose.variant.map(|variant| self.scenario.variant(whose.key, variant));
        let arrival = Arrival { rounds: arrival.rounds + 1, is_warm: false, ..arrival };
        match own.filter(|own| *own != whose.key) {
            Some(own) => self.run_task(whose, Task::learn(), Event::Started, Some(arrival), Some(own)),
            None => self.begin_task(whose, Task::uncached(), Event::Started, Some(arrival)),
        }
    }

    fn go_on(&mut self, whose: Whose, own: usize, arrival: Arrival) {
        let now = self.clock_of(whose.isolate);
        let state = &mut self.isolates[whose.isolate].state;
        let may_cache = state.enter_variant(&self.keys[whose.key], &self.keys[own], u32::MAX, now);
        let task = if may_cache { Task::request() } else { Task::uncached() };
        self.begin_task(Whose { key: own, ..whose }, task, Event::Started, Some(arrival));
    }

    /// Reports the end of an effect to its task.
    pub(super) fn on_report(&mut self, ticket: MessageTicket, report: EffectEnd) {
        let (id, steps) = (ticket / STEPS, ticket % STEPS);
        let Some(running) = self.tasks.get(&id).filter(|running| running.steps == steps) else {
            return self.on_late_report(ticket, report);
        };
        let whose = running.whose;
        let Whose { isolate, key, variant } = whose;
        let event = match report {
            EffectEnd::Colo => Event::Colo(self.read_colo(isolate, key)),
            EffectEnd::Write(bytes) => {
                if !self.fault(|it| it.cache_loss) {
                    let colo = self.isolates[isolate].colo;
                    self.colos[colo].cache.insert(key, bytes);
                }
                Event::Written
            }
            EffectEnd::Reply(bytes) => Event::Object(Ok(bytes)),
            EffectEnd::Lost(error) => {
                if error == ObjectError::Slow && running.wants_late_reply {
                    self.late.insert(ticket, whose);
                }
                Event::Object(Err(error))
            }
            EffectEnd::Origin(call) => Event::Origin(self.origin_result(isolate, variant, call)),
            EffectEnd::TimedOut => Event::TimedOut,
        };
        self.feed(id, event);
    }

    fn on_late_report(&mut self, ticket: MessageTicket, report: EffectEnd) {
        let EffectEnd::Reply(bytes) = report else { return };
        if let Some(whose) = self.late.remove(&ticket) {
            self.begin_task(whose, Task::late_reply(), Event::LateObject(bytes), None);
        }
    }

    pub(super) fn on_wake(
        &mut self,
        isolate: usize,
        name: u64,
        ticket: coalesce::WaitTicket,
        shared: Shared,
    ) {
        // A restarted isolate has a new name, and other tickets.
        if self.isolates[isolate].state.name != name {
            return;
        }
        let Some(sleeper) = self.isolates[isolate].sleepers.remove(&ticket) else { return };
        let (id, steps) = (sleeper / STEPS, sleeper % STEPS);
        if self.tasks.get(&id).is_some_and(|running| running.steps == steps) {
            self.feed(id, Event::Woken(shared));
        }
    }

    /// The delay of a wake-up: one turn of the event loop, or more in a busy isolate.
    fn turn(&mut self) -> Span {
        let is_late = self.fault(|it| it.delay);
        Span(if is_late { self.rng.below(MAX_TURN) } else { 1 })
    }

    /// Replaces an isolate by a new one, which loses its memory and all tasks under way.
    pub(super) fn restart(&mut self, isolate: usize) {
        let gone: Vec<u64> =
            self.tasks.iter().filter(|(_, it)| it.whose.isolate == isolate).map(|(id, _)| *id).collect();
        for id in gone {
            let running = self.tasks.remove(&id);
            self.report.lost += u64::from(running.is_some_and(|it| it.arrival.is_some()));
        }
        self.late.retain(|_, whose| whose.isolate != isolate);
        self.isolates[isolate] = SimIsolate::new(
            self.isolates[isolate].colo,
            NAMED_LATER + (self.next_task << 8) + isolate as u64,
        );
    }

    fn origin_result(
        &self,
        isolate: usize,
        variant: Option<u32>,
        call: OriginCall,
    ) -> Result<Computed, Failure> {
        match call.fate {
            Fate::Failure(failure) => Err(failure),
            Fate::Body(body, storable) => Ok(Computed {
                status: 200,
                // With a validator it may be confirmed.
                headers: variant.map(|_| ("etag".to_owned(), "\"v\"".to_owned())).into_iter().collect(),
                body,
                delta: self.now.since(call.began),
                storable,
                at: self.clock_of(isolate),
                age: if variant.is_some() { self.now.since(call.began) } else { Span::ZERO },
                lifetime: variant.map(|_| self.scenario.lifetime),
                variant: Asked(variant).variant(),
                is_renewal: call.is_renewal,
                ..Computed::default()
            }),
        }
    }

    fn answered(&mut self, whose: Whose, arrival: Arrival, served: Served) {
        let Whose { isolate, key, variant } = whose;
        let Served { class, answer } = served;
        let (at, took) = (self.elapsed(), self.now.since(arrival.at));
        self.counters.fold(MetricEvent::Answered { class, took });
        let entry = answer.entry();
        let number = entry.and_then(|(entry, _)| origin::read(&entry.body)).map(|(_, number)| number);
        let ended = number.map(|number| self.origin.ended[number]);
        let variants = (variant, number.and_then(|number| self.origin.variants[number]));
        let age = entry.map(|_| self.now.since(ended.unwrap_or(self.now)));
        self.report.answered(at, took, age, self.scenario.lifetime.ttl);
        self.patient(at, took, arrival.rounds);
        let (Some((entry, status)), Some(ended), Some(number)) = (entry, ended, number) else { return };
        let lifetime = entry.lifetime;
        let window = match status {
            CacheStatus::FellBack { .. } => lifetime.stale_if_error,
            _ => lifetime.stale_while_revalidate,
        };
        let heard = self.isolates[isolate].state.memory.floor(&self.keys[key].hash);
        let seen = SeenAnswer {
            isolate,
            is_stale: class == ServedAs::HitStale,
            is_own: class == ServedAs::Miss,
            entry,
            heard,
            allowed: lifetime.ttl.plus(window),
            ended,
            served_at: self.now,
            // If the isolate has learned of a purge meanwhile, the warm entry may have been removed.
            is_warm: arrival.is_warm && arrival.floor == heard,
            took,
            swift: self.scenario.colo_delay,
            variants,
            tenants: (self.scenario.tenant(key), self.origin.tenants[number]),
        };
        self.invariants.answered(at, key, &seen);
    }

    /// Checks that no request waits beyond its patience. Not if clocks step: a wait may then seem shorter.
    fn patient(&mut self, at: Span, took: Span, rounds: u64) {
        let faults = &self.scenario.faults;
        let has_steps = faults.steps_every > Span::ZERO || faults.leaps_every > Span::ZERO;
        // Beside its patience a request looks into the colo, and may call the origin past the cache.
        let most = self.route.patience().plus(self.route.origin_timeout).plus(OBJECT_TIMEOUT);
        // With the key of its variant it begins anew, after a question to the object.
        let most = Span(most.0 * (1 + rounds) + 3 * OBJECT_TIMEOUT.0 * rounds);
        let slack = Span::SECOND.plus(Span(MAX_TURN));
        self.invariants.ended(has_steps || took <= most.plus(slack), at, || {
            format!("a request waited {} ms, beyond its patience", took.0)
        });
    }
}

/// The generation of the entry that a request serves in this step, if the request triggers a refresh.
fn triggered_by(effect: &Effect, notes: &Notes) -> Option<u64> {
    let Effect::Done(Done::Served(Served { answer: Answered::Entry { entry, .. }, .. })) = effect else {
        return None;
    };
    let has_begun = notes.spawn.iter().any(|it| matches!(it, Background::Refresh(_)));
    let has_not = notes.events.iter().any(|it| matches!(it, MetricEvent::Triggered { .. }));
    (has_begun || has_not).then_some(entry.generation)
}
