//! Performs what [`super::miss`] decides, as effects: a request with nothing to serve leads a computation or
//! waits for one, as long as its patience lasts.

use std::sync::Arc;

use super::{
    computation::Purpose,
    miss::{Miss, MissAction, MissEvent, MissOutcome},
    refresh_gate::Blocked,
    refresh_outcome::RefreshOutcome,
    share,
    step::{Background, Effect, Event, ObjectError, RefreshOrder, Shared, StepContext},
};
use crate::{
    core::{
        config::OBJECT_TIMEOUT,
        entry::Entry,
        failure::Failure,
        purge::Floor,
        time::{Instant, Span},
    },
    protocol::message::{Answer, Reply},
};

/// Requests that are woken together pause for a random share of this, so as not to ask together.
const MAX_PAUSE: Span = Span(100);
/// How often memory is looked at while the object is out of reach.
const WATCH_EVERY: Span = Span(50);
/// The platform ends `waitUntil` after this long: a computation that has not ended by then never will.
const BACKGROUND_LIMIT: Span = Span(30_000);

/// A miss under way.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) struct MissTask {
    miss: Miss,
    /// The smoothed cost of the key's computation, if an entry was found.
    delta: Option<Span>,
    /// How long the request may still wait. A span, shortened by each wait, as the clock may step.
    patience: Span,
    waits_for: WaitsFor,
    since: Instant,
    at_most: Span,
}

/// What the request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum WaitsFor {
    /// The computation that it leads.
    Computation,
    /// Another isolate's computation, at the key's object.
    Object,
    /// The end of a short pause, before it looks into memory and the colo's cache.
    Pause,
    /// A lookup in the colo's cache.
    Colo,
    /// An entry in memory, for at most this long, because the object is out of reach.
    Memory(Span),
}

/// The result of a step.
pub(super) enum Next {
    Effect(Effect),
    Outcome(MissOutcome),
}

impl MissTask {
    /// `found` is the entry found, however old. `is_usable`: it may be served if the origin fails.
    pub(super) fn new(found: Option<Arc<Entry>>, is_usable: bool, context: &StepContext<'_>) -> Self {
        // The object of a variant does not hear of a purge of the key; this isolate does. With the floor as the generation
        // seen, the object sends no entry from before the purge, and its next token is above the floor.
        let floor = context.isolate.memory.floor(&context.subject.key.hash);
        let seen = found.as_ref().map_or(0, |entry| entry.generation).max(floor.hard);
        let delta = found.as_ref().map(|entry| entry.delta);
        Self {
            miss: Miss::new(seen, found.filter(|_| is_usable), context.now),
            delta,
            patience: context.subject.route.patience(),
            waits_for: WaitsFor::Computation,
            since: context.now,
            at_most: Span::ZERO,
        }
    }

    /// The first step. It consults the isolate's gate first, so that in an outage not every request sends a
    /// message to the object.
    pub(super) fn start(&mut self, context: &mut StepContext<'_>) -> Next {
        let blocked = context.isolate.gate.blocked(&context.subject.key.hash, context.now);
        let event = match blocked {
            Some(Blocked::BackingOff { failure, retry_after }) => backed_off(failure, retry_after),
            Some(Blocked::UnderWay) => MissEvent::Started { led_here: true },
            None => MissEvent::Started { led_here: false },
        };
        self.feed(event, context)
    }

    pub(super) fn on(&mut self, event: Event, context: &mut StepContext<'_>) -> Next {
        let is_woken = matches!(event, Event::Woken(_));
        let waited = if is_woken { context.now.since(self.since).min(self.at_most) } else { self.at_most };
        self.patience = self.patience.minus(waited);
        if !is_woken && self.patience == Span::ZERO {
            return self.feed(MissEvent::TimedOut, context);
        }
        match (self.waits_for, event) {
            (WaitsFor::Computation, Event::Woken(Shared::Led(outcome, floor))) => {
                self.feed(MissEvent::Led(outcome, floor), context)
            }
            (WaitsFor::Object, Event::Woken(Shared::Object(Ok((reply, entry))))) => {
                self.feed(MissEvent::Woken(reply, entry), context)
            }
            (WaitsFor::Object, Event::Woken(Shared::Object(Err(error)))) => {
                let is_overloaded = error == ObjectError::Overloaded;
                self.feed(MissEvent::WaitBroken { is_overloaded }, context)
            }
            (WaitsFor::Pause, _) => match context.in_memory() {
                Some(entry) => self.feed(MissEvent::LookedAround(Some(entry)), context),
                None => {
                    let effect = share::look(self.patience, context);
                    self.sleep(WaitsFor::Colo, effect, context)
                }
            },
            (WaitsFor::Colo, event) => {
                let in_colo = match event {
                    Event::Woken(Shared::Colo(found)) => found,
                    _ => None,
                };
                let (key, now) = (context.subject.key, context.now);
                let found = context.isolate.after_colo(key, in_colo, None, now);
                self.feed(MissEvent::LookedAround(found), context)
            }
            (WaitsFor::Memory(left), _) => self.watch_memory(left, waited, context),
            // No reply arrived in time.
            (WaitsFor::Computation | WaitsFor::Object, _) => {
                self.feed(MissEvent::WaitBroken { is_overloaded: false }, context)
            }
        }
    }

    /// Feeds the machine until it waits for something or has an outcome.
    fn feed(&mut self, event: MissEvent, context: &mut StepContext<'_>) -> Next {
        let (subject, now) = (context.subject, context.now);
        let mut event = event;
        loop {
            self.miss.hear(context.isolate.memory.floor(&subject.key.hash));
            match self.miss.on(event, now) {
                // Acquiring a lease only to release it would wake every waiter.
                MissAction::Lead { .. } if !context.isolate.has_room(subject.route, context.now) => {
                    let failed = RefreshOutcome::Failed(Failure::GivenBack);
                    event = MissEvent::Led(failed, Floor::default());
                }
                MissAction::Lead { seen } => return self.lead(seen, context),
                MissAction::Wait { seen } => match share::wait(seen, self.patience, context) {
                    Some(effect) => return self.sleep(WaitsFor::Object, effect, context),
                    None => {
                        let answer = Answer::TooManyWaiters;
                        event =
                            MissEvent::Woken(Reply { floor: Floor::default(), global_rate: 0, answer }, None);
                    }
                },
                MissAction::LookAround => {
                    let pause = MAX_PAUSE.share(context.chance.draw().value());
                    return self.pause(WaitsFor::Pause, pause, context);
                }
                MissAction::WatchMemory => {
                    let left = subject.route.origin_timeout.plus(OBJECT_TIMEOUT);
                    return self.pause(WaitsFor::Memory(left), WATCH_EVERY, context);
                }
                MissAction::Answer(outcome) => return Next::Outcome(outcome),
            }
        }
    }

    /// Leads a computation in `waitUntil`, so that a client that hangs up does not lose it.
    fn lead(&mut self, seen: u64, context: &mut StepContext<'_>) -> Next {
        let (subject, now) = (context.subject, context.now);
        let owner = context.isolate.gate.begin(subject.key.hash, now, subject.route.lease());
        let ticket = context.isolate.ticket();
        context.notes.spawn.push(Background::Refresh(RefreshOrder {
            purpose: Purpose::Cold,
            seen,
            delta: self.delta,
            has_looked: true,
            owner,
            for_whom: Some(ticket),
        }));
        let at_most = BACKGROUND_LIMIT.min(self.patience);
        self.sleep(WaitsFor::Computation, Effect::Sleep { ticket, at_most }, context)
    }

    /// Polls memory, because no message can wake the request while the object is out of reach. It polls as
    /// long as this isolate's one call without a lease may take.
    fn watch_memory(&mut self, left: Span, waited: Span, context: &mut StepContext<'_>) -> Next {
        if let Some(entry) = context.in_memory() {
            return self.feed(MissEvent::LookedAround(Some(entry)), context);
        }
        let blocked = context.isolate.gate.blocked(&context.subject.key.hash, context.now);
        if let Some(Blocked::BackingOff { failure, retry_after }) = blocked {
            return self.feed(backed_off(failure, retry_after), context);
        }
        match left.minus(waited) {
            Span::ZERO => self.feed(MissEvent::TimedOut, context),
            left => self.pause(WaitsFor::Memory(left), WATCH_EVERY, context),
        }
    }

    /// Sleeps for `length`, or for the rest of the patience if that is shorter; no task wakes it.
    fn pause(&mut self, waits_for: WaitsFor, length: Span, context: &mut StepContext<'_>) -> Next {
        let ticket = context.isolate.ticket();
        let at_most = length.min(self.patience);
        self.sleep(waits_for, Effect::Sleep { ticket, at_most }, context)
    }

    fn sleep(&mut self, waits_for: WaitsFor, effect: Effect, context: &StepContext<'_>) -> Next {
        self.waits_for = waits_for;
        self.since = context.now;
        self.at_most = match effect {
            Effect::Sleep { at_most, .. } => at_most,
            _ => Span::ZERO,
        };
        Next::Effect(effect)
    }
}

fn backed_off(failure: Failure, retry_after: Span) -> MissEvent {
    MissEvent::Led(RefreshOutcome::BackedOff { failure, retry_after }, Floor::default())
}

impl StepContext<'_> {
    /// What memory holds for the key, whatever its age.
    pub(super) fn in_memory(&mut self) -> Option<Arc<Entry>> {
        let key = self.subject.key;
        self.isolate.memory.get(&key.hash, &key.text, self.now)
    }
}
